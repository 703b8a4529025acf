//! Arguments with which a tool of the whole catalogue works.
//!
//! A test that calls all 251 tools needs, for each, things that are there: a file to rename, a record
//! to remove, a run to stop. So whoever asks for an example gets arguments and, where they name
//! something, that thing made anew: the call then succeeds whatever was called before. Only
//! `auth_pkce_complete` needs a sign-in that a person has answered, and has no example.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use time::Duration;

use crate::demo;
use crate::http::call::Place;
use crate::http::site::Site;
use crate::mcp::operations::{Variant, placeholders, variants};
use crate::scope::Scopes;
use crate::secret::{Fingerprint, random_node_id, random_token};
use crate::world::errands::{Thread, Turn, WebUpload};
use crate::world::fileshares::{Capability, Fileshare, Grant};
use crate::world::keys::{Key, KeyKind};
use crate::world::locks::Lock;
use crate::world::uploads::Upload;
use crate::world::{Transfer, World};

/// Arguments for a tool; `None` for one that is not there or has no example.
pub(crate) fn example(site: &Site, tool: &str) -> Option<Map<String, Value>> {
    let variant = variants().iter().find(|variant| variant.name == tool)?;
    if variant.operation.action == "pkce-complete" {
        return None;
    }
    let mut world = site.world();
    let mut making = Making {
        site,
        world: &mut world,
        variant,
        arguments: Map::new(),
    };
    let named = placeholders(&variant.path).map(str::to_owned);
    let needed = variant.operation.arguments.iter();
    let needed = needed.filter(|argument| argument.needed);
    for name in named.chain(needed.map(|argument| argument.name.to_owned())) {
        let value = making.value(&name)?;
        making.arguments.insert(name, value);
    }
    let more = match (variant.operation.tool, variant.operation.action) {
        ("upload", "chunk" | "create-file") => Some(("content", "hello")),
        ("event", "search" | "summarize") => Some(("workspace_id", demo::WEBSITE)),
        _ => None,
    };
    if let Some((name, value)) = more {
        making.arguments.insert(name.to_owned(), value.into());
    }
    Some(making.arguments)
}

/// One example in the making.
struct Making<'a> {
    site: &'a Site,
    world: &'a mut World,
    variant: &'a Variant,
    arguments: Map<String, Value>,
}

impl Making<'_> {
    fn value(&mut self, name: &str) -> Option<Value> {
        let action = self.variant.operation.action;
        let text = match name {
            "workspace_id" | "profile_id" | "entity_id" | "instance_id" => demo::WEBSITE.to_owned(),
            "share_id" if self.variant.path == "/share/{share_id}/delete/" => self.share(),
            "share_id" => demo::PRESS_KIT.to_owned(),
            "org_id" => demo::STUDIO.to_owned(),
            "user_id" => demo::PERSON_ID.to_owned(),
            "fileshare_id" => self.fileshare(),
            "node" => self.node(false),
            "node_id" if matches!(action, "list" | "create-folder" | "add-note" | "add-file") => {
                "root".to_owned()
            }
            "node_id" => self.node(action == "restore"),
            "version" => "0".to_owned(),
            "lock_token" => self.lock()?,
            "record_id" => self.record(&self.shelf()),
            "session_id" => self.session()?,
            "key_id" => self.key()?.0,
            "api_key" => self.key()?.1,
            "thread_id" => self.thread(),
            "turn_id" => self.turn()?,
            "upload_id" => self.upload(action == "add-file"),
            "web_upload_id" | "id" => self.web_upload(),
            "event_id" => self.event()?,
            "identity_id" => self.record(&format!("imports/{}/identities", demo::WEBSITE)),
            "source_id" => self.source(),
            "job_id" => self.record(&self.source_shelf("jobs")),
            "writeback_id" => self.record(&self.source_shelf("writebacks")),
            "token" => self.transfer().1,
            "token_id" => self.transfer().0,
            "values" => return Some(json!({ "colour": "blue" })),
            "size" => return Some(json!(5)),
            "order" => return Some(json!(1)),
            other => plain(other)?,
        };
        Some(text.into())
    }

    fn place(&self) -> Place {
        let is_share = self.variant.path.starts_with("/share/");
        let id = if is_share {
            demo::PRESS_KIT
        } else {
            demo::WEBSITE
        };
        Place {
            id: id.to_owned(),
            is_share,
        }
    }

    /// The shelf of the collection that the path is about.
    fn shelf(&self) -> String {
        let before = self
            .variant
            .path
            .split("/{record_id}")
            .next()
            .unwrap_or_default();
        let mut label = before.trim_matches('/').to_owned();
        for (name, value) in &self.arguments {
            let value = value.as_str().unwrap_or_default();
            label = label.replace(&format!("{{{name}}}"), value);
        }
        label
    }

    fn source_shelf(&self, name: &str) -> String {
        let source = self.arguments.get("source_id").and_then(Value::as_str);
        format!("imports/sources/{}/{name}", source.unwrap_or_default())
    }

    fn record(&mut self, label: &str) -> String {
        let fields = Map::from_iter([("name".to_owned(), "example".into())]);
        self.world.shelves.add(label, fields).id
    }

    fn source(&mut self) -> String {
        let fields = Map::from_iter([("workspace_id".to_owned(), demo::WEBSITE.into())]);
        self.world.shelves.add("imports/sources", fields).id
    }

    fn node(&mut self, trashed: bool) -> String {
        let now = self.site.now();
        let name = format!("example-{}.txt", random_node_id());
        let bytes = Bytes::from_static(b"An example.\n");
        let Some(place) = self.world.catalogue.place_mut(&self.place().id) else {
            return String::new();
        };
        let id = place.add(&name, "root".to_owned(), Some(bytes.into()), now);
        if let Some(node) = place.node_mut(&id) {
            node.trashed = trashed;
        }
        let written = format!("{}/metadata", self.node_shelf(&id));
        if self.variant.operation.action == "node-delete" {
            self.record(&written);
        }
        id
    }

    /// A link that lets the person of the other examples view its file.
    fn fileshare(&mut self) -> String {
        let node = self.node(false);
        let mut fileshare = Fileshare::new(demo::WEBSITE, &node);
        fileshare.grants.push(Grant {
            person: "someone@example.com".to_owned(),
            capability: Capability::View,
        });
        let id = fileshare.id.clone();
        self.world.fileshares.push(fileshare);
        id
    }

    fn node_shelf(&self, node: &str) -> String {
        let place = self.place();
        let kind = if place.is_share { "share" } else { "workspace" };
        format!("{kind}/{}/storage/{node}", place.id)
    }

    fn lock(&mut self) -> Option<String> {
        let now = self.site.now();
        let node = self.arguments.get("node_id")?.as_str()?;
        let lock = Lock {
            token: String::new(),
            holder: "example".to_owned(),
            length: Duration::minutes(5),
            expires_at: now,
            client_info: None,
        };
        let place = self.place().id;
        let lock = self.world.locks.acquire((&place, node), lock, now).ok()?;
        Some(lock.token)
    }

    fn share(&mut self) -> String {
        let now = self.site.now();
        let id = crate::secret::random_profile_id();
        let share = crate::world::catalogue::Workspace {
            shared_from: Some(demo::WEBSITE.to_owned()),
            ..crate::world::catalogue::Workspace::empty(&id, demo::STUDIO, "Example", now)
        };
        self.world.catalogue.places.push(share);
        id
    }

    /// Another session like the newest one.
    fn session(&mut self) -> Option<String> {
        let like = self.world.ledger.sessions().last()?.clone();
        Some(self.world.ledger.open(like))
    }

    fn key(&mut self) -> Option<(String, String)> {
        Some(self.world.keys.issue(Key {
            id: String::new(),
            kind: KeyKind::Api,
            memo: "example".to_owned(),
            scopes: Scopes::from_json("[\"user:*:rw\"]").ok()?,
            agent_name: None,
            expires: None,
            expires_at: None,
        }))
    }

    fn thread(&mut self) -> String {
        let turn = Turn::new("An example?".to_owned(), None, self.site.now());
        let thread = Thread {
            id: random_node_id(),
            place: self.place(),
            name: "Example".to_owned(),
            privacy: "private".to_owned(),
            published: false,
            turns: vec![turn],
        };
        let id = thread.id.clone();
        self.world.threads.push(thread);
        id
    }

    fn turn(&self) -> Option<String> {
        let thread = self.arguments.get("thread_id")?.as_str()?;
        let mut threads = self.world.threads.iter();
        let thread = threads.find(|own| own.id == thread)?;
        Some(thread.turns.first()?.id.clone())
    }

    /// An upload that takes bytes, or one that has ended.
    fn upload(&mut self, ended: bool) -> String {
        let place = Place {
            id: demo::WEBSITE.to_owned(),
            is_share: false,
        };
        let empty = self.variant.operation.action == "complete";
        let size = if empty { 0 } else { 5 };
        let mut upload = Upload::new("example.txt", Some(size), place, "root".to_owned());
        if ended {
            upload.new_file_id = Some("pattern-5".to_owned());
        }
        let id = upload.id.clone();
        self.world.uploads.push(upload);
        id
    }

    /// An import that stays at its beginning for an hour.
    fn web_upload(&mut self) -> String {
        let upload = WebUpload {
            id: random_node_id(),
            source: "https://example.com/a.txt".to_owned(),
            place: Place {
                id: demo::WEBSITE.to_owned(),
                is_share: false,
            },
            folder: "root".to_owned(),
            name: "a.txt".to_owned(),
            begun_at: self.site.now() + Duration::HOUR,
            canceled: false,
            new_file_id: None,
        };
        let id = upload.id.clone();
        self.world.web_uploads.push(upload);
        id
    }

    fn event(&mut self) -> Option<String> {
        let now = self.site.now();
        self.world
            .activity
            .log(demo::WEBSITE, "example", "example", now);
        Some(self.world.activity.events().last()?.id.clone())
    }

    /// A transfer token: its id and the token. An older one goes, for five are the most.
    fn transfer(&mut self) -> (String, String) {
        let token: String = format!("{}{}", random_token(), random_token());
        let token: String = token.chars().take(64).collect();
        let transfer = Transfer {
            id: random_node_id(),
            org: demo::STUDIO.to_owned(),
            fingerprint: Fingerprint::of(&token),
            expires_at: self.site.now() + Duration::HOUR,
        };
        let id = transfer.id.clone();
        self.world.transfers.clear();
        self.world.transfers.push(transfer);
        (id, token)
    }
}

/// Values for arguments that name nothing which has to be there.
fn plain(name: &str) -> Option<String> {
    Some(
        match name {
            "name" | "filename" | "title" => return Some(format!("example-{}", random_node_id())),
            "domain" => return Some(format!("example-{}", &random_token()[..8].to_lowercase())),
            "query" => "brief",
            "content" | "text" | "memo" => "An example.",
            "question" => "What does the budget say about design?",
            "parent" => "root",
            "action" => "create",
            "email" => "someone@example.com",
            "capability" => "view",
            "type" => "logo",
            "source_url" => "https://example.com/a.txt",
            "provider" => "google_drive",
            "remote_path" => "/Reports",
            "topic" => "start",
            _ => return None,
        }
        .to_owned(),
    )
}
