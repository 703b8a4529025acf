//! Putting files in: small ones in one request, large ones in pieces, streams of unknown size.
//!
//! What is larger than [`KEPT`] is counted and hashed and not kept; it reads as the pattern
//! ([`crate::pattern`]), so a test that sends the pattern finds what it sent.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::http::account::{page, reach};
use crate::http::call::{Call, Place};
use crate::http::envelope::{Refusal, Reply};
use crate::http::fields::Fields;
use crate::http::site::SharedSite;
use crate::http::storage::hex;
use crate::scope::Mode;
use crate::world::World;
use crate::world::catalogue::ROOT;
use crate::world::ledger::Caller;
use crate::world::stored::Stored;
use crate::world::uploads::{Status, Upload};

/// What goes into one multipart request; more needs the chunked protocol.
pub(crate) const SMALL_UPLOAD_LIMIT: usize = 4 * 1024 * 1024;
/// What is kept of an upload; of a larger one only length and hash.
const KEPT: u64 = 16 * 1024 * 1024;

/// A small upload whole, or the beginning of a large one.
pub(crate) async fn begin(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    request: Request,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let form = UploadForm::read(request).await?;
    let mut world = site.world();
    let place = reach(&world, &caller, &form.place, Mode::ReadWrite)?;
    place
        .folder(&form.folder)
        .ok_or(Refusal::NotFound("folder"))?;
    let Some(chunk) = form.chunk else {
        let upload = Upload::new(&form.name, form.size, form.place, form.folder);
        let id = upload.id.clone();
        world.uploads.push(upload);
        world.effects.note("upload begun", &form.name);
        return Ok(Reply::new(json!({ "id": id })));
    };
    if chunk.len() > SMALL_UPLOAD_LIMIT {
        return Err(Refusal::TooLarge);
    }
    if form.size != Some(chunk.len() as u64) {
        return Err(Refusal::invalid(
            "size",
            "size differs from the bytes that came.",
        ));
    }
    let mut upload = Upload::new(&form.name, form.size, form.place, form.folder);
    upload.received = chunk.len() as u64;
    let file = store(&site, &mut world, &mut upload, chunk.into());
    let id = upload.id.clone();
    world.uploads.push(upload);
    Ok(Reply::new(json!({ "id": id, "new_file_id": file })))
}

pub(crate) async fn chunk(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    request: Request,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let query = Fields::of_query(request.uri());
    let id = upload_id(&request)?;
    let Some(bytes) = UploadParts::read(request).await?.chunk else {
        return Err(Refusal::missing("chunk"));
    };
    let order: u64 = query
        .given("order")
        .ok_or_else(|| Refusal::missing("order"))?
        .parse()
        .ok()
        .filter(|order| *order > 0)
        .ok_or_else(|| Refusal::invalid("order", "order must be a number from 1."))?;
    if query
        .given("size")
        .is_some_and(|size| size != bytes.len().to_string())
    {
        return Err(Refusal::State(
            StatusCode::NOT_ACCEPTABLE,
            10522,
            "size differs from the bytes that came.",
        ));
    }
    let mut world = site.world();
    let upload = open_upload(&mut world, &caller, &id)?;
    upload.take(order, bytes, KEPT);
    let received = upload.received;
    let name = upload.name.clone();
    world
        .effects
        .note("chunk stored", &format!("{name} {order}"));
    let person = caller.person_id;
    site.changed(&mut world, &person, format!("upload:{id}"));
    Ok(Reply::new(
        json!({ "id": id, "order": order, "received": received }),
    ))
}

/// An upload whose size nobody knows before its end.
pub(crate) async fn stream(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    request: Request,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let id = upload_id(&request)?;
    open_upload(&mut site.world(), &caller, &id)?;
    let drained = Drained::read(request.into_body()).await?;
    let mut world = site.world();
    let upload = open_upload(&mut world, &caller, &id)?;
    upload.received = drained.length;
    upload.sha256 = Some(drained.sha256.clone());
    let mut upload = upload.clone();
    let file = store(&site, &mut world, &mut upload, drained.kept());
    world.uploads.replace(upload);
    Ok(Reply::new(json!({
        "id": id,
        "new_file_id": file,
        "size": drained.length,
        "sha256": drained.sha256,
    })))
}

pub(crate) async fn complete(call: Call) -> Result<Reply, Refusal> {
    let id = call.named("id").to_owned();
    let mut world = call.site.world();
    let mut upload = open_upload(&mut world, &call.caller, &id)?.clone();
    if upload.size.is_some_and(|size| size != upload.received) {
        upload.status = Status::AssemblyFailed;
        world.uploads.replace(upload);
        return Err(Refusal::State(
            StatusCode::NOT_ACCEPTABLE,
            10522,
            "The pieces do not make up the file.",
        ));
    }
    let bytes = upload.assembled();
    let file = store(&call.site, &mut world, &mut upload, bytes);
    world.uploads.replace(upload);
    Ok(Reply::new(json!({ "id": id, "new_file_id": file })))
}

pub(crate) async fn details(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let upload = world
        .uploads
        .find(call.named("id"))
        .ok_or(Refusal::NotFound("upload"))?;
    reach(&world, &call.caller, &upload.place, Mode::Read)?;
    Ok(Reply::new(json!({ "session": upload.description() })))
}

pub(crate) async fn list(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let shown: Vec<Value> = world
        .uploads
        .iter()
        .filter(|upload| reach(&world, &call.caller, &upload.place, Mode::Read).is_ok())
        .map(Upload::description)
        .collect();
    page("sessions", shown, call.query())
}

pub(crate) async fn cancel(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let upload = open_upload(&mut world, &call.caller, call.named("id"))?;
    upload.status = Status::Canceled;
    Ok(Reply::new(json!({})))
}

pub(crate) async fn limits(_: Call) -> Result<Reply, Refusal> {
    Ok(Reply::new(json!({
        "limits": { "small": SMALL_UPLOAD_LIMIT, "chunk": SMALL_UPLOAD_LIMIT, "file": null },
    })))
}

/// Takes bytes and keeps none: `/sim/sink/`, which Fast.io does not have.
pub(crate) async fn sink(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply, Refusal> {
    site.caller(&headers)?;
    let drained = Drained::read(body).await?;
    Ok(Reply::new(
        json!({ "size": drained.length, "sha256": drained.sha256 }),
    ))
}

/// Makes the file that an upload is for.
pub(crate) fn store(
    site: &SharedSite,
    world: &mut World,
    upload: &mut Upload,
    bytes: Stored,
) -> String {
    let now = site.now();
    let place = upload.place.id.clone();
    let file = match world.catalogue.place_mut(&place) {
        Some(place) => place.add(&upload.name, upload.folder.clone(), Some(bytes), now),
        None => String::new(),
    };
    upload.status = Status::Complete;
    upload.new_file_id = Some(file.clone());
    let named = format!("{place}/{}/{}", upload.folder, upload.name);
    world.effects.note("node created", &named);
    world.activity.log(&place, "file_uploaded", &file, now);
    site.changed(world, &place, format!("storage:{file}"));
    file
}

/// An upload that still takes bytes, of someone who may write there.
fn open_upload<'w>(
    world: &'w mut World,
    caller: &Caller,
    id: &str,
) -> Result<&'w mut Upload, Refusal> {
    let place = world
        .uploads
        .find(id)
        .map(|upload| upload.place.clone())
        .ok_or(Refusal::NotFound("upload"))?;
    reach(world, caller, &place, Mode::ReadWrite)?;
    world
        .uploads
        .find_mut(id)
        .filter(|upload| upload.status == Status::Uploading)
        .ok_or(Refusal::Conflict)
}

/// The id in `/upload/{id}/…`.
fn upload_id(request: &Request) -> Result<String, Refusal> {
    let mut parts = request.uri().path().split('/').skip(2);
    let id = parts.next().filter(|id| !id.is_empty());
    id.map(str::to_owned).ok_or(Refusal::UnknownRoute)
}

/// A body, read to its end and forgotten where it is large.
struct Drained {
    length: u64,
    sha256: String,
    beginning: Bytes,
}

impl Drained {
    async fn read(mut body: Body) -> Result<Self, Refusal> {
        let mut digest = Sha256::new();
        let mut length = 0;
        let mut beginning = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::invalid("body", "The body broke off."))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            length += data.len() as u64;
            digest.update(&data);
            if length <= KEPT {
                beginning.extend_from_slice(&data);
            }
        }
        Ok(Self {
            length,
            sha256: hex(&digest.finalize()),
            beginning: beginning.freeze(),
        })
    }

    fn kept(&self) -> Stored {
        if self.length <= KEPT {
            Stored::Kept(self.beginning.clone())
        } else {
            Stored::Counted(self.length)
        }
    }
}

/// What the first request of an upload says.
struct UploadForm {
    name: String,
    size: Option<u64>,
    place: Place,
    folder: String,
    chunk: Option<Bytes>,
}

impl UploadForm {
    async fn read(request: Request) -> Result<Self, Refusal> {
        let UploadParts { mut texts, chunk } = UploadParts::read(request).await?;
        let mut text = |name| texts.remove(name).ok_or_else(|| Refusal::missing(name));
        if text("action")? != "create" {
            return Err(Refusal::NotImplemented(
                "An upload action other than create",
            ));
        }
        let kind = text("profile_type").unwrap_or_else(|_| "workspace".to_owned());
        if !matches!(kind.as_str(), "workspace" | "share") {
            return Err(Refusal::NotImplemented(
                "Uploading to anything but a workspace or a share",
            ));
        }
        Ok(Self {
            name: text("name")?,
            size: match text("size") {
                Ok(size) => Some(
                    size.parse()
                        .map_err(|_| Refusal::invalid("size", "size must be a number."))?,
                ),
                Err(_) => None,
            },
            place: Place {
                id: text("instance_id")?,
                is_share: kind == "share",
            },
            folder: text("folder_id").unwrap_or_else(|_| ROOT.to_owned()),
            chunk,
        })
    }
}

/// The parts of a multipart body, or the fields of a form.
struct UploadParts {
    texts: HashMap<String, String>,
    chunk: Option<Bytes>,
}

impl UploadParts {
    async fn read(request: Request) -> Result<Self, Refusal> {
        let not_multipart = || Refusal::invalid("chunk", "The body must be multipart/form-data.");
        let is_multipart = request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"));
        let mut texts = HashMap::new();
        if !is_multipart {
            let body = request.into_body().collect().await;
            let body = body.map_err(|_| not_multipart())?.to_bytes();
            let fields = Fields::parse(&body);
            for name in fields.names() {
                texts.insert(
                    name.to_owned(),
                    fields.get(name).unwrap_or_default().to_owned(),
                );
            }
            return Ok(Self { texts, chunk: None });
        }
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|_| not_multipart())?;
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
        Ok(Self { texts, chunk })
    }
}
