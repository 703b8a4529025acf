//! The account: who is calling, with which scopes, and which organisations and workspaces that opens.
//!
//! Lists show what the token reaches and leave out the rest; asking for one thing by its id is
//! refused aloud. A scope always reaches the person's own name and address, for a client that cannot
//! say whose connection it holds is of no use to anyone.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};

use crate::http::call::Place;
use crate::http::envelope::{Refusal, Reply};
use crate::http::fields::Fields;
use crate::http::site::{SharedSite, require};
use crate::scope::{Mode, Target};
use crate::world::World;
use crate::world::catalogue::{Org, Workspace};
use crate::world::ledger::Caller;

pub(crate) async fn ping() -> Reply {
    Reply::new(json!({ "ping": "pong" }))
}

pub(crate) async fn system_status() -> Reply {
    Reply::new(json!({ "system": "operational" }))
}

pub(crate) async fn check(
    State(site): State<SharedSite>,
    headers: HeaderMap,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    Ok(Reply::new(json!({ "id": caller.person_id })))
}

pub(crate) async fn scopes(
    State(site): State<SharedSite>,
    headers: HeaderMap,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let details: Vec<Value> = caller
        .scopes
        .0
        .iter()
        .map(|scope| {
            json!({
                "entity_type": scope.kind.as_str(),
                "entity_id": scope.id.as_deref().unwrap_or("*"),
                "access_mode": scope.mode.as_str(),
            })
        })
        .collect();
    Ok(Reply::new(json!({
        "auth_type": caller.credential.as_str(),
        "scopes": caller.scopes.strings(),
        "scopes_detail": details,
        "is_agent": caller.agent_name.is_some(),
        "full_access": caller.scopes.whole_account(),
        "admin": caller.scopes.admin(),
        "legacy": false,
    })))
}

pub(crate) async fn me(
    State(site): State<SharedSite>,
    headers: HeaderMap,
) -> Result<Reply, Refusal> {
    site.caller(&headers)?;
    let world = site.world();
    let person = &world.catalogue.person;
    let (first_name, last_name) = person.name.split_once(' ').unwrap_or((&person.name, ""));
    Ok(Reply::new(json!({
        "user": {
            "id": person.id,
            "email_address": person.email,
            "first_name": first_name,
            "last_name": last_name,
        }
    })))
}

pub(crate) async fn orgs(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let world = site.world();
    let reached = world
        .catalogue
        .orgs
        .iter()
        .filter(|org| caller.scopes.mode_on(Target::Org(&org.id)).is_some())
        .map(org_description)
        .collect();
    page("orgs", reached, &Fields::of_query(&uri))
}

pub(crate) async fn org(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    require(&caller, Target::Org(&id), Mode::Read)?;
    let world = site.world();
    let org = world
        .catalogue
        .org(&id)
        .ok_or(Refusal::NotFound("organization"))?;
    Ok(Reply::new(json!({ "org": org_description(org) })))
}

pub(crate) async fn org_workspaces(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let world = site.world();
    let reached: Vec<Value> = reached_workspaces(&world, &caller)
        .filter(|workspace| workspace.org_id == id)
        .map(workspace_description)
        .collect();
    // A token for one workspace may list the organisation it lies in, and finds only that one.
    if reached.is_empty() {
        require(&caller, Target::Org(&id), Mode::Read)?;
        world
            .catalogue
            .org(&id)
            .ok_or(Refusal::NotFound("organization"))?;
    }
    page("workspaces", reached, &Fields::of_query(&uri))
}

pub(crate) async fn workspaces(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let world = site.world();
    let reached = reached_workspaces(&world, &caller)
        .map(workspace_description)
        .collect();
    page("workspaces", reached, &Fields::of_query(&uri))
}

/// A workspace or a share that the caller may use in `mode`. One that does not exist is refused like
/// one that is out of reach, unless the caller reaches everything.
pub(crate) fn reach<'w>(
    world: &'w World,
    caller: &Caller,
    place: &Place,
    mode: Mode,
) -> Result<&'w Workspace, Refusal> {
    let found = world.catalogue.place(&place.id);
    let found = found.filter(|found| found.is_share() == place.is_share);
    let org = found.map_or("", |found| found.org_id.as_str());
    let target = if place.is_share {
        Target::Share {
            id: &place.id,
            workspace: found.and_then(|share| share.shared_from.as_deref()),
            org,
        }
    } else {
        Target::Workspace { id: &place.id, org }
    };
    require(caller, target, mode)?;
    found.ok_or(Refusal::NotFound(if place.is_share {
        "share"
    } else {
        "workspace"
    }))
}

fn reached_workspaces<'w>(
    world: &'w World,
    caller: &'w Caller,
) -> impl Iterator<Item = &'w Workspace> {
    world.catalogue.workspaces().filter(|workspace| {
        let target = Target::Workspace {
            id: &workspace.id,
            org: &workspace.org_id,
        };
        caller.scopes.mode_on(target).is_some()
    })
}

pub(crate) fn org_description(org: &Org) -> Value {
    json!({ "id": org.id, "name": org.name, "domain": org.domain })
}

pub(crate) fn workspace_description(workspace: &Workspace) -> Value {
    json!({
        "id": workspace.id,
        "name": workspace.name,
        "folder_name": workspace.folder_name,
        "org_id": workspace.org_id,
        "shared_from": workspace.shared_from,
        "intelligence": workspace.intelligence,
        "archived": workspace.archived,
    })
}

/// Offset paging: `limit` 1 to 500, 100 if left out.
pub(crate) fn page(key: &str, all: Vec<Value>, fields: &Fields) -> Result<Reply, Refusal> {
    let limit = fields
        .given("limit")
        .map_or(Ok(100), str::parse)
        .unwrap_or(0_usize);
    if !(1..=500).contains(&limit) {
        return Err(Refusal::invalid(
            "limit",
            "limit must be between 1 and 500.",
        ));
    }
    let offset: usize = fields
        .given("offset")
        .map_or(Ok(0), str::parse)
        .map_err(|_| Refusal::invalid("offset", "offset must be a number."))?;
    let total = all.len();
    let shown: Vec<Value> = all.into_iter().skip(offset).take(limit).collect();
    let has_more = offset.saturating_add(shown.len()) < total;
    Ok(Reply::new(json!({
        key: shown,
        "pagination": { "total": total, "limit": limit, "offset": offset, "has_more": has_more },
    })))
}
