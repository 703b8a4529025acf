//! Many small files in one request.
//!
//! Known are the path, the limits, the bucket of its own, and that a batch is a success even where files
//! of it failed: each has a result of its own. How its parts are called is not public. Here each part
//! with a file name is a file, and the other parts are those of a single upload.

use std::collections::HashMap;

use axum::extract::multipart::Field;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::http::HeaderMap;
use bytes::{Bytes, BytesMut};
use serde_json::json;

use crate::http::account::reach;
use crate::http::call::Place;
use crate::http::envelope::{Refusal, Reply};
use crate::http::site::SharedSite;
use crate::http::uploads::{SMALL_UPLOAD_LIMIT, store};
use crate::scope::Mode;
use crate::secret::random_node_id;
use crate::world::catalogue::ROOT;
use crate::world::uploads::Upload;

/// The most files in one request.
const MOST_FILES: usize = 200;
/// The most bytes of all its files together.
const MOST_BYTES: usize = 100 * 1024 * 1024;

pub(crate) async fn upload(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    request: Request,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let batch = Batch::read(request).await?;
    let place = batch.place()?;
    let folder = batch.text("folder_id").unwrap_or(ROOT).to_owned();
    let mut world = site.world();
    reach(&world, &caller, &place, Mode::ReadWrite)?
        .folder(&folder)
        .ok_or(Refusal::NotFound("folder"))?;
    let mut results = Vec::new();
    for file in &batch.files {
        let Some(bytes) = &file.bytes else {
            let error = json!({ "code": 1656, "text": "The file is too large for a batch." });
            results.push(json!({ "filename": file.name, "status": "error", "error": error }));
            continue;
        };
        let length = bytes.len() as u64;
        let mut upload = Upload::new(&file.name, Some(length), place.clone(), folder.clone());
        upload.received = length;
        let node = store(&site, &mut world, &mut upload, bytes.clone().into());
        results.push(json!({
            "filename": file.name,
            "status": "ok",
            "upload_id": upload.id,
            "node_id": node,
        }));
        world.uploads.push(upload);
    }
    let errored = results.iter().filter(|result| result["status"] == "error");
    let errored = errored.count();
    Ok(Reply::new(json!({
        "batch_id": random_node_id(),
        "results": results,
        "count_errored": errored,
        "all_failed": errored == batch.files.len(),
    })))
}

/// What a request brings.
#[derive(Default)]
struct Batch {
    texts: HashMap<String, String>,
    files: Vec<File>,
}

struct File {
    name: String,
    /// Nothing of a file that is larger than it may be.
    bytes: Option<Bytes>,
}

impl Batch {
    async fn read(request: Request) -> Result<Self, Refusal> {
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|_| not_multipart())?;
        let mut batch = Self::default();
        let mut total = 0_usize;
        while let Some(part) = parts.next_field().await.map_err(|_| not_multipart())? {
            if let Some(name) = part.file_name().map(str::to_owned) {
                let bytes = read_file(part, &mut total).await?;
                batch.files.push(File { name, bytes });
            } else {
                let name = part.name().unwrap_or_default().to_owned();
                let text = part.text().await.map_err(|_| not_multipart())?;
                batch.texts.insert(name, text);
            }
        }
        if total > MOST_BYTES {
            return Err(Refusal::TooLarge);
        }
        match batch.files.len() {
            0 => Err(Refusal::missing("files")),
            count if count > MOST_FILES => Err(Refusal::invalid(
                "files",
                "A batch holds at most 200 files.",
            )),
            _ => Ok(batch),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.texts
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    fn place(&self) -> Result<Place, Refusal> {
        let id = self
            .text("instance_id")
            .ok_or_else(|| Refusal::missing("instance_id"))?;
        match self.text("profile_type") {
            None | Some("workspace" | "share") => Ok(Place {
                id: id.to_owned(),
                is_share: self.text("profile_type") == Some("share"),
            }),
            Some(_) => Err(Refusal::NotImplemented(
                "Uploading to anything but a workspace or a share",
            )),
        }
    }
}

/// Reads one file and adds its length to `total`. What is too much is read too and not kept, for a client
/// that is refused in the middle of its body may never see why.
async fn read_file(mut part: Field<'_>, total: &mut usize) -> Result<Option<Bytes>, Refusal> {
    let mut bytes = BytesMut::new();
    let mut length = 0;
    while let Some(chunk) = part.chunk().await.map_err(|_| not_multipart())? {
        length += chunk.len();
        *total += chunk.len();
        if length <= SMALL_UPLOAD_LIMIT && *total <= MOST_BYTES {
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok((length <= SMALL_UPLOAD_LIMIT).then(|| bytes.freeze()))
}

fn not_multipart() -> Refusal {
    Refusal::invalid("files", "The body must be multipart/form-data.")
}
