//! Imports from addresses. Nothing is fetched: what an address holds is made up from it, so that the
//! simulator never touches a network. An address with `missing` in it holds nothing and fails.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::account::{page, reach};
use crate::http::call::{Call, Place};
use crate::http::envelope::{Refusal, Reply};
use crate::http::site::{SharedSite, Site};
use crate::scope::Mode;
use crate::secret::random_node_id;
use crate::world::World;
use crate::world::catalogue::ROOT;
use crate::world::errands::WebUpload;

pub(crate) async fn begin(call: Call) -> Result<Reply, Refusal> {
    let source = call.needed("source_url")?;
    let address = url::Url::parse(&source)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| Refusal::invalid("source_url", "source_url must be an http address."))?;
    let kind = call.given("profile_type");
    let place = Place {
        id: call.needed("profile_id")?,
        is_share: kind.is_some_and(|kind| kind == "share"),
    };
    let folder = call.given("folder_id").unwrap_or_else(|| ROOT.to_owned());
    let last = address
        .path_segments()
        .and_then(|mut parts| parts.next_back());
    let name = call
        .given("file_name")
        .unwrap_or_else(|| last.unwrap_or_default().to_owned());
    let id = random_node_id();
    {
        let mut world = call.site.world();
        reach(&world, &call.caller, &place, Mode::ReadWrite)?
            .folder(&folder)
            .ok_or(Refusal::NotFound("folder"))?;
        world.effects.note("import begun", &source);
        world.web_uploads.push(WebUpload {
            id: id.clone(),
            source,
            place,
            folder,
            name,
            begun_at: call.site.now(),
            canceled: false,
            new_file_id: None,
        });
    }
    tokio::spawn(follow(call.site.clone(), call.caller.person_id, id.clone()));
    Ok(Reply::new(json!({ "id": id })))
}

pub(crate) async fn details(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    settle(&call.site, &mut world);
    let upload = world
        .web_uploads
        .iter()
        .find(|upload| upload.id == call.named("id"))
        .ok_or(Refusal::NotFound("import"))?;
    reach(&world, &call.caller, &upload.place, Mode::Read)?;
    let shown = upload.description(call.site.now(), step(&world));
    Ok(Reply::new(json!({ "web_upload": shown })))
}

pub(crate) async fn list(call: Call) -> Result<Reply, Refusal> {
    let now = call.site.now();
    let mut world = call.site.world();
    settle(&call.site, &mut world);
    let wanted = call.given("status");
    let shown: Vec<Value> = world
        .web_uploads
        .iter()
        .filter(|upload| reach(&world, &call.caller, &upload.place, Mode::Read).is_ok())
        .map(|upload| upload.description(now, step(&world)))
        .filter(|shown| {
            wanted
                .as_ref()
                .is_none_or(|wanted| shown["status"] == **wanted)
        })
        .collect();
    page("web_uploads", shown, call.query())
}

pub(crate) async fn cancel(call: Call) -> Result<Reply, Refusal> {
    let id = call.needed("id")?;
    let mut world = call.site.world();
    settle(&call.site, &mut world);
    let place = world
        .web_uploads
        .iter()
        .find(|upload| upload.id == id)
        .map(|upload| upload.place.clone())
        .ok_or(Refusal::NotFound("import"))?;
    reach(&world, &call.caller, &place, Mode::ReadWrite)?;
    let now = call.site.now();
    let step = step(&world);
    let upload = world.web_uploads.iter_mut().find(|upload| upload.id == id);
    let upload = upload.ok_or(Refusal::NotFound("import"))?;
    if matches!(upload.status(now, step), "complete" | "failed") {
        return Err(Refusal::Conflict);
    }
    upload.canceled = true;
    let shown = upload.description(now, step);
    world.effects.note("import canceled", &id);
    Ok(Reply::new(json!({ "web_upload": shown })))
}

/// Tells those who wait for activity as an import goes on, and stores what it brought.
async fn follow(site: SharedSite, person: String, id: String) {
    loop {
        let step = {
            let mut world = site.world();
            settle(&site, &mut world);
            site.changed(&mut world, &person, format!("upload:{id}"));
            let step = step(&world);
            let now = site.now();
            let going = world.web_uploads.iter().any(|upload| {
                upload.id == id
                    && !matches!(upload.status(now, step), "complete" | "failed" | "canceled")
            });
            if !going {
                return;
            }
            step
        };
        let wait = Duration::try_from(step).unwrap_or(Duration::from_millis(1));
        tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
    }
}

/// Stores the files of the imports that have ended since anyone looked.
fn settle(site: &Site, world: &mut World) {
    let now = site.now();
    let step = step(world);
    let ended: Vec<WebUpload> = world
        .web_uploads
        .iter()
        .filter(|upload| upload.new_file_id.is_none() && upload.status(now, step) == "complete")
        .cloned()
        .collect();
    for upload in ended {
        let place = upload.place.id;
        let bytes = bytes::Bytes::from(format!("Fetched from {}\n", upload.source));
        let Some(found) = world.catalogue.place_mut(&place) else {
            continue;
        };
        let file = found.add(&upload.name, upload.folder.clone(), Some(bytes.into()), now);
        if let Some(own) = world.web_uploads.iter_mut().find(|own| own.id == upload.id) {
            own.new_file_id = Some(file.clone());
        }
        let named = format!("{place}/{}/{}", upload.folder, upload.name);
        world.effects.note("node created", &named);
        site.changed(world, &place, format!("storage:{file}"));
    }
}

/// How long each state lasts.
pub(crate) fn step(world: &World) -> time::Duration {
    let step = i64::try_from(world.knobs.web_upload_step_ms).unwrap_or(i64::MAX / 8);
    time::Duration::milliseconds(step)
}
