//! Looking at files: folders page by page, one node, searching, versions, checksums.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::clock::fastio_datetime;
use crate::http::account::page;
use crate::http::call::Call;
use crate::http::envelope::{Refusal, Reply};
use crate::http::fields::Fields;
use crate::scope::Mode;
use crate::world::World;
use crate::world::catalogue::{Node, Workspace};
use crate::world::locks::{Lock, Locks};
use crate::world::stored::Stored;

/// The largest text that is read or searched.
const TEXT_LIMIT: u64 = 1024 * 1024;

pub(crate) async fn list(call: Call) -> Result<Reply, Refusal> {
    let now = call.site.now();
    let world = call.site.world();
    let place = call.open(&world, Mode::Read)?;
    let window = ListWindow::read(call.query())?;
    let folder = call.named("node");
    let mut nodes: Vec<&Node> = if folder == "trash" || folder.is_empty() {
        place.trash().collect()
    } else {
        let folder = place.folder(folder).ok_or(Refusal::NotFound("folder"))?;
        place.children(folder).collect()
    };
    window.sort(&mut nodes);
    let (shown, next_cursor) = window.cut(&nodes)?;
    let shown: Vec<Value> = shown
        .iter()
        .map(|node| description(&world.locks, place, node, now))
        .collect();
    Ok(Reply::new(json!({
        "nodes": shown,
        "pagination": {
            "has_more": next_cursor.is_some(),
            "next_cursor": next_cursor,
            "page_size": window.page_size,
        },
    })))
}

pub(crate) async fn details(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let place = call.open(&world, Mode::Read)?;
    let node = node(place, call.named("node"))?;
    let shown = description(&world.locks, place, node, call.site.now());
    Ok(Reply::new(json!({ "node": shown })))
}

/// Finds by name and, in small text files, by what they say.
pub(crate) async fn search(call: Call) -> Result<Reply, Refusal> {
    let query = call.needed("query")?.to_lowercase();
    let world = call.site.world();
    let place = call.open(&world, Mode::Read)?;
    let found = matching(&world, place, &query, call.site.now());
    page("nodes", found, call.query())
}

/// The same in every place that the caller reaches.
pub(crate) async fn find(call: Call) -> Result<Reply, Refusal> {
    let query = call.needed("query")?.to_lowercase();
    let now = call.site.now();
    let world = call.site.world();
    let found = world
        .catalogue
        .places
        .iter()
        .filter(|place| call.reaches(place))
        .flat_map(|place| matching(&world, place, &query, now))
        .collect();
    page("nodes", found, call.query())
}

pub(crate) async fn recent(call: Call) -> Result<Reply, Refusal> {
    let now = call.site.now();
    let world = call.site.world();
    let place = call.open(&world, Mode::Read)?;
    let mut nodes: Vec<&Node> = place
        .nodes
        .iter()
        .filter(|node| node.is_file() && !node.trashed)
        .collect();
    nodes.sort_by(|one, other| (other.modified, &one.name).cmp(&(one.modified, &other.name)));
    let shown = nodes
        .iter()
        .map(|node| description(&world.locks, place, node, now))
        .collect();
    page("nodes", shown, call.query())
}

pub(crate) async fn versions(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let node = node(call.open(&world, Mode::Read)?, call.named("node"))?;
    let versions: Vec<Value> = node
        .versions
        .iter()
        .enumerate()
        .map(|(index, content)| json!({ "id": index.to_string(), "size": content.bytes.len() }))
        .collect();
    Ok(Reply::new(json!({ "versions": versions })))
}

pub(crate) async fn checksum(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let content = call
        .open(&world, Mode::Read)?
        .content(call.named("node"))
        .ok_or(Refusal::NotFound("file"))?;
    Ok(Reply::new(json!({
        "size": content.bytes.len(),
        "sha256": sha256(&content.bytes),
    })))
}

pub(crate) async fn read_note(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let text = text_of(&call, &world, TEXT_LIMIT)?;
    Ok(Reply::new(json!({ "content": text })))
}

pub(crate) async fn preview(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let text = text_of(&call, &world, u64::MAX)?;
    let beginning: String = text.chars().take(200).collect();
    Ok(Reply::new(json!({ "preview": beginning })))
}

/// A node that is there, be it in the trash.
pub(crate) fn node<'w>(place: &'w Workspace, id: &str) -> Result<&'w Node, Refusal> {
    place.node(id).ok_or(Refusal::NotFound("node"))
}

pub(crate) fn description(
    locks: &Locks,
    place: &Workspace,
    node: &Node,
    now: OffsetDateTime,
) -> Value {
    let modified = fastio_datetime(node.modified);
    let lock = locks.find(&place.id, &node.id, now);
    json!({
        "id": node.id,
        "name": node.name,
        "type": if node.is_file() { "file" } else { "folder" },
        "parent": node.parent,
        "size": node.size(),
        "mimetype": node.content().map(|content| content.media_type.as_str()),
        "version": node.versions.len(),
        "trashed": node.trashed,
        "created": modified,
        "modified": modified,
        "locked": lock.is_some(),
        "lock_info": lock.map(Lock::description),
    })
}

fn matching(world: &World, place: &Workspace, query: &str, now: OffsetDateTime) -> Vec<Value> {
    place
        .nodes
        .iter()
        .filter(|node| !node.trashed)
        .filter(|node| {
            let says = || {
                let content = node.content()?;
                let short = content.bytes.len() <= TEXT_LIMIT;
                let bytes = short.then(|| content.bytes.piece(0, usize::MAX))?;
                Some(
                    String::from_utf8_lossy(&bytes)
                        .to_lowercase()
                        .contains(query),
                )
            };
            node.name.to_lowercase().contains(query) || says().unwrap_or(false)
        })
        .map(|node| description(&world.locks, place, node, now))
        .collect()
}

fn text_of(call: &Call, world: &World, limit: u64) -> Result<String, Refusal> {
    let content = call
        .open(world, Mode::Read)?
        .content(call.named("node"))
        .ok_or(Refusal::NotFound("file"))?;
    if content.bytes.len() > limit {
        return Err(Refusal::TooLarge);
    }
    let most = usize::try_from(TEXT_LIMIT).unwrap_or(usize::MAX);
    let bytes = content.bytes.piece(0, most);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn sha256(stored: &Stored) -> String {
    let mut digest = Sha256::new();
    let mut at = 0;
    loop {
        let piece = stored.piece(at, 1024 * 1024);
        if piece.is_empty() {
            return hex(&digest.finalize());
        }
        at += piece.len() as u64;
        digest.update(&piece);
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Keyset paging: a page starts after the node that the cursor names, whatever came or went before.
struct ListWindow {
    sort_by: String,
    descending: bool,
    page_size: usize,
    after: Option<String>,
}

impl ListWindow {
    fn read(fields: &Fields) -> Result<Self, Refusal> {
        let sort_by = fields.given("sort_by").unwrap_or("name");
        if !matches!(sort_by, "name" | "updated" | "created" | "type" | "size") {
            return Err(Refusal::invalid(
                "sort_by",
                "sort_by is not a sortable field.",
            ));
        }
        let sort_dir = fields.given("sort_dir").unwrap_or("asc");
        if !matches!(sort_dir, "asc" | "desc") {
            return Err(Refusal::invalid(
                "sort_dir",
                "sort_dir must be asc or desc.",
            ));
        }
        let page_size = match fields.given("page_size") {
            None | Some("100") => 100,
            Some("250") => 250,
            Some("500") => 500,
            Some(_) => {
                return Err(Refusal::invalid(
                    "page_size",
                    "page_size must be 100, 250 or 500.",
                ));
            }
        };
        let after = fields.given("cursor").map(decode_cursor).transpose()?;
        Ok(Self {
            sort_by: sort_by.to_owned(),
            descending: sort_dir == "desc",
            page_size,
            after,
        })
    }

    fn sort(&self, nodes: &mut [&Node]) {
        nodes.sort_by(|one, other| {
            let by_field = match self.sort_by.as_str() {
                "size" => one.size().cmp(&other.size()),
                "type" => one.is_file().cmp(&other.is_file()),
                "name" => one.name.cmp(&other.name),
                _ => one.modified.cmp(&other.modified),
            };
            let by_field = if self.descending {
                by_field.reverse()
            } else {
                by_field
            };
            by_field
                .then_with(|| one.name.cmp(&other.name))
                .then_with(|| one.id.cmp(&other.id))
        });
    }

    fn cut<'n>(&self, nodes: &'n [&'n Node]) -> Result<(&'n [&'n Node], Option<String>), Refusal> {
        let start = match &self.after {
            None => 0,
            Some(id) => {
                nodes
                    .iter()
                    .position(|node| node.id == *id)
                    .ok_or_else(stale_cursor)?
                    + 1
            }
        };
        let end = nodes.len().min(start + self.page_size);
        let shown = &nodes[start..end];
        let more = end < nodes.len();
        let next = shown
            .last()
            .filter(|_| more)
            .map(|last| URL_SAFE_NO_PAD.encode(&last.id));
        Ok((shown, next))
    }
}

fn decode_cursor(cursor: &str) -> Result<String, Refusal> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(stale_cursor)
}

fn stale_cursor() -> Refusal {
    Refusal::invalid("cursor", "cursor is not one of this listing.")
}
