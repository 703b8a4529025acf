//! Files: listing, details, download and small uploads.

use axum::extract::{FromRequest as _, Multipart, Path, Request, State};
use axum::http::{HeaderMap, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};
use time::Duration;

use crate::clock::fastio_datetime;
use crate::http::account::open_workspace;
use crate::http::envelope::{Refusal, Reply};
use crate::http::fields::Fields;
use crate::http::site::SharedSite;
use crate::scope::Mode;
use crate::secret::random_profile_id;
use crate::world::catalogue::{Node, ROOT};

/// How long a download token lives.
const DOWNLOAD_LIFETIME: Duration = Duration::minutes(5);
/// What goes into one multipart request; more needs the chunked protocol.
const SMALL_UPLOAD_LIMIT: usize = 4 * 1024 * 1024;

pub(crate) async fn list(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    Path((workspace_id, folder_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let world = site.world();
    let workspace = open_workspace(&world, &caller, &workspace_id, Mode::Read)?;
    let window = ListWindow::read(&Fields::of_query(&uri))?;
    let mut nodes: Vec<&Node> = if folder_id == "trash" {
        Vec::new()
    } else {
        let folder = workspace
            .folder(&folder_id)
            .ok_or(Refusal::NotFound("folder"))?;
        workspace.children(folder).collect()
    };
    window.sort(&mut nodes);
    let (shown, next_cursor) = window.cut(&nodes)?;
    let shown: Vec<Value> = shown.iter().map(|node| node_description(node)).collect();
    Ok(Reply::new(json!({
        "nodes": shown,
        "pagination": {
            "has_more": next_cursor.is_some(),
            "next_cursor": next_cursor,
            "page_size": window.page_size,
        },
    })))
}

pub(crate) async fn details(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    Path((workspace_id, node_id)): Path<(String, String)>,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let world = site.world();
    let workspace = open_workspace(&world, &caller, &workspace_id, Mode::Read)?;
    let node = workspace.node(&node_id).ok_or(Refusal::NotFound("node"))?;
    Ok(Reply::new(json!({ "node": node_description(node) })))
}

pub(crate) async fn upload(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    request: Request,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let form = UploadForm::read(request).await?;
    if form.chunk.len() > SMALL_UPLOAD_LIMIT {
        return Err(Refusal::TooLarge);
    }
    if form.size != form.chunk.len() {
        return Err(Refusal::invalid(
            "size",
            "size differs from the bytes that came.",
        ));
    }
    let now = site.now();
    let mut world = site.world();
    let workspace = open_workspace(&world, &caller, &form.workspace_id, Mode::ReadWrite)?;
    let parent = workspace
        .folder(&form.folder_id)
        .ok_or(Refusal::NotFound("folder"))?
        .to_owned();
    let workspace = world
        .catalogue
        .place_mut(&form.workspace_id)
        .ok_or(Refusal::NotFound("workspace"))?;
    let file_id = workspace.add(&form.name, parent, Some(form.chunk.into()), now);
    Ok(Reply::new(
        json!({ "id": random_profile_id(), "new_file_id": file_id }),
    ))
}

/// The fields of a small upload.
struct UploadForm {
    name: String,
    size: usize,
    workspace_id: String,
    folder_id: String,
    chunk: Bytes,
}

impl UploadForm {
    async fn read(request: Request) -> Result<Self, Refusal> {
        let not_multipart = || Refusal::invalid("chunk", "The body must be multipart/form-data.");
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|_| not_multipart())?;
        let mut texts = std::collections::HashMap::new();
        let mut chunk = None;
        while let Some(part) = parts.next_field().await.map_err(|_| not_multipart())? {
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(|_| not_multipart())?;
            if name == "chunk" {
                chunk = Some(bytes);
            } else {
                texts.insert(name, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        let mut text = |name| texts.remove(name).ok_or_else(|| Refusal::missing(name));
        if text("action")? != "create" {
            return Err(Refusal::NotImplemented(
                "An upload action other than create",
            ));
        }
        if text("profile_type").is_ok_and(|kind| kind != "workspace") {
            return Err(Refusal::NotImplemented(
                "Uploading to anything but a workspace",
            ));
        }
        Ok(Self {
            name: text("name")?,
            size: text("size")?
                .parse()
                .map_err(|_| Refusal::invalid("size", "size must be a number."))?,
            workspace_id: text("instance_id")?,
            folder_id: text("folder_id").unwrap_or_else(|_| ROOT.to_owned()),
            chunk: chunk.ok_or(Refusal::NotImplemented("An upload in chunks"))?,
        })
    }
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

fn node_description(node: &Node) -> Value {
    let modified = fastio_datetime(node.modified);
    json!({
        "id": node.id,
        "name": node.name,
        "type": if node.is_file() { "file" } else { "folder" },
        "parent": node.parent,
        "size": node.size(),
        "mimetype": node.content().map(|content| content.media_type.as_str()),
        "created": modified,
        "modified": modified,
    })
}
