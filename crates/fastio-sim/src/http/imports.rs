//! Folders imported from other services.
//!
//! Each kind of thing is a shelf of records; an imported folder brings one run and one write-back with
//! it, so that there is something to stop, to retry and to settle.

use serde_json::{Map, Value, json};

use crate::http::call::{Call, Place};
use crate::http::envelope::{Refusal, Reply};
use crate::scope::Mode;
use crate::world::World;
use crate::world::shelves::Record;

const PROVIDERS: [&str; 4] = ["google_drive", "box", "onedrive_business", "dropbox"];
/// The shelf of all imported folders, wherever they belong.
const SOURCES: &str = "imports/sources";

pub(crate) async fn overview(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let workspace = open(&call, &world, Mode::Read)?;
    Ok(Reply::new(json!({
        "imports": {
            "identities": world.shelves.all(&identities(&workspace)).len(),
            "sources": own_sources(&world, &workspace).len(),
        },
    })))
}

pub(crate) async fn providers(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    open(&call, &world, Mode::Read)?;
    Ok(Reply::new(json!({ "providers": PROVIDERS })))
}

pub(crate) async fn list_identities(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let workspace = open(&call, &world, Mode::Read)?;
    let all = world.shelves.all(&identities(&workspace));
    let shown: Vec<Value> = all.iter().map(Record::description).collect();
    Ok(Reply::new(json!({ "identities": shown })))
}

pub(crate) async fn provision(call: Call) -> Result<Reply, Refusal> {
    let provider = call.needed("provider")?;
    if !PROVIDERS.contains(&provider.as_str()) {
        return Err(Refusal::invalid(
            "provider",
            "provider is none that can be imported from.",
        ));
    }
    let mut world = call.site.world();
    let workspace = open(&call, &world, Mode::ReadWrite)?;
    let fields = fields(json!({ "provider": provider, "state": "connected" }));
    let record = world.shelves.add(&identities(&workspace), fields);
    world
        .effects
        .note("identity provisioned", &format!("{workspace}/{provider}"));
    Ok(Reply::new(
        json!({ "id": record.id, "identity": record.description() }),
    ))
}

pub(crate) async fn identity(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let workspace = open(&call, &world, Mode::Read)?;
    let record = world
        .shelves
        .find(&identities(&workspace), call.named("identity"));
    let record = record.ok_or(Refusal::NotFound("identity"))?;
    Ok(Reply::new(json!({ "identity": record.description() })))
}

pub(crate) async fn revoke_identity(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let workspace = open(&call, &world, Mode::ReadWrite)?;
    let state = fields(json!({ "state": "revoked" }));
    let record = world
        .shelves
        .change(&identities(&workspace), call.named("identity"), state)
        .ok_or(Refusal::NotFound("identity"))?
        .description();
    world
        .effects
        .note("identity revoked", call.named("identity"));
    Ok(Reply::new(json!({ "identity": record })))
}

pub(crate) async fn list_sources(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let workspace = open(&call, &world, Mode::Read)?;
    Ok(Reply::new(
        json!({ "sources": own_sources(&world, &workspace) }),
    ))
}

pub(crate) async fn discover(call: Call) -> Result<Reply, Refusal> {
    let wanted = call.needed("identity_id")?;
    let world = call.site.world();
    let workspace = open(&call, &world, Mode::ReadWrite)?;
    world
        .shelves
        .find(&identities(&workspace), &wanted)
        .ok_or(Refusal::NotFound("identity"))?;
    Ok(Reply::new(json!({
        "folders": [
            { "remote_path": "/Reports", "remote_name": "Reports" },
            { "remote_path": "/Plans", "remote_name": "Plans" },
        ],
    })))
}

pub(crate) async fn create_source(call: Call) -> Result<Reply, Refusal> {
    let wanted = call.needed("identity_id")?;
    let path = call.needed("remote_path")?;
    check_settings(&call)?;
    let mut world = call.site.world();
    let workspace = open(&call, &world, Mode::ReadWrite)?;
    world
        .shelves
        .find(&identities(&workspace), &wanted)
        .ok_or(Refusal::NotFound("identity"))?;
    let mut source = call.record();
    source.extend(fields(
        json!({ "workspace_id": workspace, "state": "syncing" }),
    ));
    let record = world.shelves.add(SOURCES, source);
    let jobs = format!("{SOURCES}/{}/jobs", record.id);
    world
        .shelves
        .add(&jobs, fields(json!({ "state": "running" })));
    let writebacks = format!("{SOURCES}/{}/writebacks", record.id);
    world
        .shelves
        .add(&writebacks, fields(json!({ "state": "conflict" })));
    world
        .effects
        .note("source created", &format!("{workspace}{path}"));
    Ok(Reply::new(
        json!({ "id": record.id, "source": record.description() }),
    ))
}

pub(crate) async fn source(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let shown = open_source(&call, &world, Mode::Read)?;
    Ok(Reply::new(json!({ "source": shown })))
}

pub(crate) async fn update_source(call: Call) -> Result<Reply, Refusal> {
    check_settings(&call)?;
    change_source(&call, "changed", call.record())
}

pub(crate) async fn disconnect(call: Call) -> Result<Reply, Refusal> {
    change_source(
        &call,
        "disconnected",
        fields(json!({ "state": "disconnected" })),
    )
}

pub(crate) async fn refresh(call: Call) -> Result<Reply, Refusal> {
    change_source(&call, "refreshed", fields(json!({ "state": "syncing" })))
}

pub(crate) async fn delete_source(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    open_source(&call, &world, Mode::ReadWrite)?;
    world.shelves.remove(SOURCES, call.named("source"));
    world.effects.note("source deleted", call.named("source"));
    Ok(Reply::new(json!({})))
}

/// The runs, or the write-backs, of an imported folder.
pub(crate) async fn list_parts(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    open_source(&call, &world, Mode::Read)?;
    let (shelf, name) = parts(&call);
    let shown: Vec<Value> = world
        .shelves
        .all(&shelf)
        .iter()
        .map(Record::description)
        .collect();
    Ok(Reply::new(json!({ name: shown })))
}

/// Stops, retries or settles one of them.
pub(crate) async fn change_part(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    open_source(&call, &world, Mode::ReadWrite)?;
    let (shelf, name) = parts(&call);
    let deed = call.path.last().cloned().unwrap_or_default();
    let state = match deed.as_str() {
        "retry" => "running",
        "resolve" => "resolved",
        _ => "canceled",
    };
    let id = call.named("part");
    let changed = world
        .shelves
        .change(&shelf, id, fields(json!({ "state": state })))
        .ok_or(Refusal::NotFound("run"))?
        .description();
    world.effects.note(&format!("{name} {state}"), id);
    Ok(Reply::new(json!({ "record": changed })))
}

fn change_source(call: &Call, deed: &str, changes: Map<String, Value>) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    open_source(call, &world, Mode::ReadWrite)?;
    let id = call.named("source");
    let source = world
        .shelves
        .change(SOURCES, id, changes)
        .ok_or(Refusal::NotFound("source"))?
        .description();
    world.effects.note(&format!("source {deed}"), id);
    Ok(Reply::new(json!({ "source": source })))
}

fn check_settings(call: &Call) -> Result<(), Refusal> {
    if call
        .number("sync_interval")?
        .is_some_and(|seconds| !(300..=86_400).contains(&seconds))
    {
        return Err(Refusal::invalid(
            "sync_interval",
            "sync_interval must be between 300 and 86400.",
        ));
    }
    let modes = ["read_only", "read_write", "read", "readwrite"];
    match call.given("access_mode") {
        Some(mode) if !modes.contains(&mode.as_str()) => {
            Err(Refusal::invalid("access_mode", "access_mode is unknown."))
        }
        _ => Ok(()),
    }
}

/// The workspace of `/imports/workspace/{id}/…`.
fn open(call: &Call, world: &World, mode: Mode) -> Result<String, Refusal> {
    let place = Place {
        id: call.named("id").to_owned(),
        is_share: false,
    };
    call.open_place(world, &place, mode)?;
    Ok(place.id)
}

/// An imported folder whose workspace the caller may use in `mode`.
fn open_source(call: &Call, world: &World, mode: Mode) -> Result<Value, Refusal> {
    let record = world
        .shelves
        .find(SOURCES, call.named("source"))
        .ok_or(Refusal::NotFound("source"))?;
    let workspace = record.fields["workspace_id"].as_str().unwrap_or_default();
    let place = Place {
        id: workspace.to_owned(),
        is_share: false,
    };
    call.open_place(world, &place, mode)?;
    Ok(record.description())
}

/// The shelf in `/imports/details/{source}/{jobs|writebacks}/…`, and its name.
fn parts(call: &Call) -> (String, String) {
    let name = call.path.get(3).cloned().unwrap_or_default();
    (format!("{SOURCES}/{}/{name}", call.named("source")), name)
}

fn identities(workspace: &str) -> String {
    format!("imports/{workspace}/identities")
}

fn own_sources(world: &World, workspace: &str) -> Vec<Value> {
    let all = world.shelves.all(SOURCES).iter();
    all.filter(|record| record.fields["workspace_id"] == workspace)
        .map(Record::description)
        .collect()
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
