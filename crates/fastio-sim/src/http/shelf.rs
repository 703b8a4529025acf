//! The endpoints of the collections that all behave alike ([`crate::world::shelves`]).
//!
//! The paths follow one scheme: `GET …/NAME/list/`, `POST …/NAME/`, `GET …/NAME/ID/details/`,
//! `POST …/NAME/ID/update/`, `DELETE …/NAME/ID/`. Where the public material gives no path for a
//! collection, this scheme stands in for it.

use axum::Router;
use axum::routing::{delete, get, post};
use serde_json::json;

use crate::http::account::page;
use crate::http::call::Call;
use crate::http::envelope::{Refusal, Reply};
use crate::http::site::SharedSite;
use crate::scope::Mode;
use crate::world::World;
use crate::world::shelves::Record;

/// The collections of each kind of entity.
const COLLECTIONS: [(&str, &[&str]); 4] = [
    (
        "/workspace/{id}",
        &[
            "comments",
            "members",
            "invitations",
            "assets",
            "templates",
            "views",
        ],
    ),
    (
        "/share/{id}",
        &[
            "comments",
            "members",
            "invitations",
            "assets",
            "templates",
            "views",
        ],
    ),
    ("/org/{id}", &["members", "invitations", "assets", "apps"]),
    ("/user", &["contacts", "invitations", "assets"]),
];

pub(crate) fn routes() -> Router<SharedSite> {
    let mut router = Router::new();
    for (owner, names) in COLLECTIONS {
        for name in names {
            let shelf = format!("{owner}/{name}");
            router = router
                .route(&format!("{shelf}/list/"), get(list))
                .route(&format!("{shelf}/"), post(add))
                .route(&format!("{shelf}/{{record}}/"), delete(remove))
                .route(&format!("{shelf}/{{record}}/details/"), get(details))
                .route(&format!("{shelf}/{{record}}/update/"), post(change));
        }
    }
    router
}

/// The shelf that a path names, and what it holds. Refuses a caller who may not use its owner.
fn shelf(call: &Call, world: &World, mode: Mode) -> Result<(String, String), Refusal> {
    let part = |index: usize| call.path.get(index).map_or("", String::as_str);
    let owner_has_id = part(0) != "user";
    match part(0) {
        "workspace" | "share" => {
            call.open(world, mode)?;
        }
        "org" => call.open_org(world, part(1), mode)?,
        _ if mode > Mode::Read => call.may_write()?,
        _ => {}
    }
    let depth = if owner_has_id { 3 } else { 2 };
    let path = call.path.get(..depth).unwrap_or_default().join("/");
    Ok((path, part(depth - 1).to_owned()))
}

async fn list(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let (shelf, name) = shelf(&call, &world, Mode::Read)?;
    let all = world.shelves.all(&shelf);
    let shown = all.iter().map(Record::description);
    page(&name, shown.collect(), call.query())
}

async fn add(call: Call) -> Result<Reply, Refusal> {
    let now = call.site.now();
    let mut world = call.site.world();
    let (shelf, name) = shelf(&call, &world, Mode::ReadWrite)?;
    let fields = call.record();
    let what = serde_json::to_string(&fields).unwrap_or_default();
    let record = world.shelves.add(&shelf, fields);
    world
        .effects
        .note(&format!("{name} added"), &format!("{shelf} {what}"));
    let entity = call.path.get(1).cloned().unwrap_or_default();
    world
        .activity
        .note(&entity, format!("{name}:{}", record.id), now);
    world
        .activity
        .log(&entity, &format!("{name}_added"), &record.id, now);
    call.site.note_activity();
    Ok(Reply::new(
        json!({ "record": record.description(), "id": record.id }),
    ))
}

async fn details(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let (shelf, _) = shelf(&call, &world, Mode::Read)?;
    let record = world
        .shelves
        .find(&shelf, call.named("record"))
        .ok_or(Refusal::NotFound("record"))?;
    Ok(Reply::new(json!({ "record": record.description() })))
}

async fn change(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let (shelf, name) = shelf(&call, &world, Mode::ReadWrite)?;
    let id = call.named("record");
    let changed = world
        .shelves
        .change(&shelf, id, call.record())
        .ok_or(Refusal::NotFound("record"))?
        .description();
    world
        .effects
        .note(&format!("{name} changed"), &format!("{shelf}/{id}"));
    Ok(Reply::new(json!({ "record": changed })))
}

async fn remove(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let (shelf, name) = shelf(&call, &world, Mode::ReadWrite)?;
    let id = call.named("record");
    world
        .shelves
        .remove(&shelf, id)
        .ok_or(Refusal::NotFound("record"))?;
    world
        .effects
        .note(&format!("{name} removed"), &format!("{shelf}/{id}"));
    Ok(Reply::new(json!({})))
}
