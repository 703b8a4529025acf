//! What the account holds: people, organisations, workspaces and the files in them.

use bytes::Bytes;
use time::OffsetDateTime;

use crate::world::stored::Stored;

use crate::demo;
use crate::secret::{node_id_for, random_node_id};

/// The alias of a workspace's topmost folder.
pub(crate) const ROOT: &str = "root";

#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    password: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Org {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) domain: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) id: String,
    pub(crate) org_id: String,
    pub(crate) name: String,
    pub(crate) folder_name: String,
    /// The workspace that a share was made from; `None` for a workspace.
    pub(crate) shared_from: Option<String>,
    pub(crate) intelligence: bool,
    pub(crate) archived: bool,
    pub(crate) nodes: Vec<Node>,
}

/// A file or a folder. What lies at the top has the parent [`ROOT`].
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) parent: String,
    pub(crate) modified: OffsetDateTime,
    pub(crate) trashed: bool,
    /// The bytes of a file, the newest version last; empty for a folder.
    pub(crate) versions: Vec<Content>,
}

/// The bytes of one version of a file.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Stored,
    pub(crate) media_type: String,
}

impl Node {
    pub(crate) fn is_file(&self) -> bool {
        !self.versions.is_empty()
    }

    pub(crate) fn content(&self) -> Option<&Content> {
        self.versions.last()
    }

    pub(crate) fn size(&self) -> u64 {
        self.content().map_or(0, |content| content.bytes.len())
    }
}

#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) person: Person,
    pub(crate) orgs: Vec<Org>,
    /// Workspaces and shares.
    pub(crate) places: Vec<Workspace>,
}

impl Catalogue {
    pub(crate) fn demo(now: OffsetDateTime) -> Self {
        let org = |id: &str, name: &str, domain: &str| Org {
            id: id.to_owned(),
            name: name.to_owned(),
            domain: domain.to_owned(),
        };
        let photos: Vec<String> = (1..=130)
            .map(|number| format!("photo-{number:03}.txt"))
            .collect();
        let photos: Vec<(&str, &str)> = photos
            .iter()
            .map(|name| (name.as_str(), "A picture, in words."))
            .collect();
        Self {
            person: Person {
                id: demo::PERSON_ID.to_owned(),
                name: demo::PERSON_NAME.to_owned(),
                email: demo::EMAIL.to_owned(),
                password: demo::PASSWORD.to_owned(),
            },
            orgs: vec![
                org(demo::STUDIO, "Harbour Studio", "harbour-studio"),
                org(demo::CLINIC, "Linden Clinic", "linden-clinic"),
            ],
            places: vec![
                Workspace::seeded(demo::WEBSITE, demo::STUDIO, "Website relaunch", now).holding(&[
                    ("brief.md", "# Brief\n\nA quieter home page.\n"),
                    ("budget.csv", "item,cost\ndesign,4200\nphotos,900\n"),
                    ("Drafts/home.md", "# Home\n\nFirst draft.\n"),
                    ("Drafts/about.md", "# About\n\nSecond draft.\n"),
                ]),
                Workspace::seeded(demo::ARCHIVE, demo::STUDIO, "Photo archive", now)
                    .holding(&photos),
                Workspace::seeded(demo::LEAFLETS, demo::CLINIC, "Patient leaflets", now).holding(
                    &[
                        ("first-visit.md", "# Your first visit\n\nBring your card.\n"),
                        ("opening-hours.txt", "Monday to Friday, 8 to 17.\n"),
                    ],
                ),
                Workspace::seeded(demo::ACCOUNTS, demo::CLINIC, "Accounts", now)
                    .holding(&[("ledger.csv", "date,amount\n2026-01-05,120.00\n")]),
                Workspace {
                    shared_from: Some(demo::WEBSITE.to_owned()),
                    ..Workspace::seeded(demo::PRESS_KIT, demo::STUDIO, "Press kit", now)
                        .holding(&[("logo.txt", "A lighthouse.\n")])
                },
            ],
        }
    }

    pub(crate) fn sign_in(&self, email: &str, password: &str) -> Option<&Person> {
        let person = &self.person;
        (person.email.eq_ignore_ascii_case(email.trim()) && person.password == password)
            .then_some(person)
    }

    pub(crate) fn org(&self, id: &str) -> Option<&Org> {
        self.orgs.iter().find(|org| org.id == id)
    }

    pub(crate) fn org_mut(&mut self, id: &str) -> Option<&mut Org> {
        self.orgs.iter_mut().find(|org| org.id == id)
    }

    pub(crate) fn workspace(&self, id: &str) -> Option<&Workspace> {
        self.place(id).filter(|place| !place.is_share())
    }

    pub(crate) fn workspaces(&self) -> impl Iterator<Item = &Workspace> {
        self.places.iter().filter(|place| !place.is_share())
    }

    pub(crate) fn shares(&self) -> impl Iterator<Item = &Workspace> {
        self.places.iter().filter(|place| place.is_share())
    }

    /// A workspace or a share.
    pub(crate) fn place(&self, id: &str) -> Option<&Workspace> {
        self.places.iter().find(|place| place.id == id)
    }

    pub(crate) fn place_mut(&mut self, id: &str) -> Option<&mut Workspace> {
        self.places.iter_mut().find(|place| place.id == id)
    }

    /// The organisation that a workspace belongs to.
    pub(crate) fn org_of(&self, workspace: &str) -> Option<&str> {
        self.workspace(workspace).map(|found| found.org_id.as_str())
    }
}

impl Workspace {
    pub(crate) fn empty(id: &str, org_id: &str, name: &str, now: OffsetDateTime) -> Self {
        let mut made = Self::seeded(id, org_id, name, now);
        made.nodes.clear();
        made
    }

    fn seeded(id: &str, org_id: &str, name: &str, now: OffsetDateTime) -> Self {
        let drafts = Node {
            id: node_id_for(&format!("{id}/Drafts")),
            name: "Drafts".to_owned(),
            parent: ROOT.to_owned(),
            modified: now,
            trashed: false,
            versions: Vec::new(),
        };
        Self {
            id: id.to_owned(),
            org_id: org_id.to_owned(),
            name: name.to_owned(),
            folder_name: name.to_lowercase().replace(' ', "-"),
            shared_from: None,
            intelligence: true,
            archived: false,
            nodes: vec![drafts],
        }
    }

    /// Adds files; `Drafts/` before a name puts the file there. A folder that stays empty goes.
    fn holding(mut self, files: &[(&str, &str)]) -> Self {
        let drafts = self.nodes[0].id.clone();
        let now = self.nodes[0].modified;
        for (path, text) in files {
            let in_drafts = path.strip_prefix("Drafts/");
            let name = in_drafts.unwrap_or(path);
            self.nodes.push(Node {
                id: node_id_for(&format!("{}/{path}", self.id)),
                name: name.to_owned(),
                parent: in_drafts.map_or_else(|| ROOT.to_owned(), |_| drafts.clone()),
                modified: now,
                trashed: false,
                versions: vec![Content::of(
                    name,
                    Bytes::copy_from_slice(text.as_bytes()).into(),
                )],
            });
        }
        if self.nodes.iter().all(|node| node.parent == ROOT) {
            self.nodes.remove(0);
        }
        self
    }

    pub(crate) fn is_share(&self) -> bool {
        self.shared_from.is_some()
    }

    pub(crate) fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub(crate) fn node_mut(&mut self, id: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.id == id)
    }

    /// The newest content of a file. A file named `pattern-N` is there in every place without being
    /// listed and holds N bytes that nobody has to keep.
    pub(crate) fn content(&self, id: &str) -> Option<Content> {
        if let Some(length) = id.strip_prefix("pattern-") {
            return length
                .parse()
                .ok()
                .map(|length| Content::of(id, Stored::Pattern(length)));
        }
        self.node(id)?.content().cloned()
    }

    /// The id of the folder that a path names, if there is such a folder.
    pub(crate) fn folder(&self, id: &str) -> Option<&str> {
        if id == ROOT {
            return Some(ROOT);
        }
        self.node(id)
            .filter(|node| !node.is_file() && !node.trashed)
            .map(|node| node.id.as_str())
    }

    pub(crate) fn children<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a Node> {
        self.nodes
            .iter()
            .filter(move |node| node.parent == folder && !node.trashed)
    }

    pub(crate) fn trash(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.trashed)
    }

    /// Whether `id` is `folder` or lies in it, at any depth.
    pub(crate) fn lies_in(&self, id: &str, folder: &str) -> bool {
        let mut at = id;
        loop {
            if at == folder {
                return true;
            }
            match self.node(at) {
                Some(node) => at = &node.parent,
                None => return false,
            }
        }
    }

    /// Stores a file, or a folder if there is no content, and returns its id.
    pub(crate) fn add(
        &mut self,
        name: &str,
        parent: String,
        bytes: Option<Stored>,
        now: OffsetDateTime,
    ) -> String {
        let id = random_node_id();
        self.nodes.push(Node {
            id: id.clone(),
            name: name.to_owned(),
            parent,
            modified: now,
            trashed: false,
            versions: bytes
                .map(|bytes| Content::of(name, bytes))
                .into_iter()
                .collect(),
        });
        id
    }

    /// Copies a node, and what lies in it, into a folder; returns the id of the copy.
    pub(crate) fn copy(&mut self, id: &str, parent: String, now: OffsetDateTime) -> Option<String> {
        let original = self.node(id)?.clone();
        let children: Vec<String> = self.children(id).map(|node| node.id.clone()).collect();
        let copy = random_node_id();
        self.nodes.push(Node {
            id: copy.clone(),
            parent,
            modified: now,
            ..original
        });
        for child in children {
            self.copy(&child, copy.clone(), now);
        }
        Some(copy)
    }
}

impl Content {
    pub(crate) fn of(name: &str, bytes: Stored) -> Self {
        Self {
            bytes,
            media_type: media_type_of(name).to_owned(),
        }
    }
}

fn media_type_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("txt") => "text/plain",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
