//! Organisations, workspaces and shares: making and changing them, and the person.

use serde_json::{Value, json};

use crate::http::account::{org_description, page, workspace_description};
use crate::http::call::{Call, Place};
use crate::http::envelope::{Refusal, Reply};
use crate::scope::{Mode, Target};
use crate::secret::random_profile_id;
use crate::world::World;
use crate::world::catalogue::{Org, Workspace};

pub(crate) async fn create_org(call: Call) -> Result<Reply, Refusal> {
    let (name, domain) = (call.needed("name")?, call.needed("domain")?);
    call.may_write()?;
    if !call.caller.scopes.whole_account() {
        return Err(crate::http::envelope::ScopeRefusal::of(
            &call.caller,
            crate::http::envelope::Lacking::Org,
        ));
    }
    let mut world = call.site.world();
    let org = Org {
        id: random_profile_id(),
        name,
        domain,
    };
    world.effects.note("organization made", &org.domain);
    let shown = org_description(&org);
    world.catalogue.orgs.push(org);
    Ok(Reply::new(json!({ "id": shown["id"], "org": shown })))
}

pub(crate) async fn update_org(call: Call) -> Result<Reply, Refusal> {
    let id = call.named("id").to_owned();
    let mut world = call.site.world();
    call.open_org(&world, &id, Mode::ReadWrite)?;
    let org = world
        .catalogue
        .org_mut(&id)
        .ok_or(Refusal::NotFound("organization"))?;
    if let Some(name) = call.given("name") {
        org.name = name;
    }
    if let Some(domain) = call.given("domain") {
        org.domain = domain;
    }
    let shown = org_description(org);
    world.effects.note("organization changed", &id);
    Ok(Reply::new(json!({ "org": shown })))
}

pub(crate) async fn org_limits(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let id = call.named("id");
    call.open_org(&world, id, Mode::Read)?;
    let workspaces = world.catalogue.workspaces();
    let used = workspaces.filter(|place| place.org_id == id).count();
    Ok(Reply::new(
        json!({ "limits": { "workspaces": { "used": used, "max": 100 } } }),
    ))
}

pub(crate) async fn org_billing(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    call.open_org(&world, call.named("id"), Mode::Read)?;
    Ok(Reply::new(
        json!({ "billing": { "plan": "solo", "credits": 5000 } }),
    ))
}

pub(crate) async fn plans(_: Call) -> Result<Reply, Refusal> {
    Ok(Reply::new(json!({
        "plans": [{ "id": "solo", "name": "Solo" }, { "id": "business", "name": "Business" }],
    })))
}

pub(crate) async fn org_shares(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let id = call.named("id");
    call.open_org(&world, id, Mode::Read)?;
    let shares = world.catalogue.shares().filter(|share| share.org_id == id);
    page(
        "shares",
        shares.map(workspace_description).collect(),
        call.query(),
    )
}

pub(crate) async fn create_workspace(call: Call) -> Result<Reply, Refusal> {
    let name = call.needed("name")?;
    let org = call.named("id").to_owned();
    let now = call.site.now();
    let mut world = call.site.world();
    call.open_org(&world, &org, Mode::ReadWrite)?;
    let mut workspace = Workspace::empty(&random_profile_id(), &org, &name, now);
    if let Some(folder) = call.given("folder_name") {
        workspace.folder_name = folder;
    }
    // Left out, the intelligence of a workspace is on here.
    workspace.intelligence = call.flag("intelligence")?.unwrap_or(true);
    let shown = workspace_description(&workspace);
    world
        .effects
        .note("workspace made", &format!("{org}/{name}"));
    call.site
        .changed(&mut world, &org, format!("workspaces:{}", workspace.id));
    world.catalogue.places.push(workspace);
    Ok(Reply::new(json!({ "id": shown["id"], "workspace": shown })))
}

pub(crate) async fn create_share(call: Call) -> Result<Reply, Refusal> {
    let name = call.needed("name")?;
    let now = call.site.now();
    let mut world = call.site.world();
    let workspace = call.open(&world, Mode::ReadWrite)?;
    let (from, org) = (workspace.id.clone(), workspace.org_id.clone());
    let share = Workspace {
        shared_from: Some(from.clone()),
        ..Workspace::empty(&random_profile_id(), &org, &name, now)
    };
    let shown = workspace_description(&share);
    world.effects.note("share made", &format!("{from}/{name}"));
    call.site
        .changed(&mut world, &from, format!("shares:{}", share.id));
    world.catalogue.places.push(share);
    Ok(Reply::new(json!({ "id": shown["id"], "share": shown })))
}

pub(crate) async fn workspace_shares(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let id = call.open(&world, Mode::Read)?.id.as_str();
    let shares = world.catalogue.shares();
    let own = shares.filter(|share| share.shared_from.as_deref() == Some(id));
    page(
        "shares",
        own.map(workspace_description).collect(),
        call.query(),
    )
}

pub(crate) async fn shares(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let reached = world.catalogue.shares().filter(|share| call.reaches(share));
    page(
        "shares",
        reached.map(workspace_description).collect(),
        call.query(),
    )
}

pub(crate) async fn details(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let shown = workspace_description(call.open(&world, Mode::Read)?);
    Ok(Reply::new(json!({ kind(&call.place()): shown })))
}

pub(crate) async fn update(call: Call) -> Result<Reply, Refusal> {
    let intelligence = call.flag("intelligence")?;
    change(&call, "changed", |place| {
        if let Some(name) = call.given("name") {
            place.name = name;
        }
        if let Some(folder) = call.given("folder_name") {
            place.folder_name = folder;
        }
        if let Some(intelligence) = intelligence {
            place.intelligence = intelligence;
        }
    })
}

pub(crate) async fn archive(call: Call) -> Result<Reply, Refusal> {
    change(&call, "archived", |place| place.archived = true)
}

pub(crate) async fn unarchive(call: Call) -> Result<Reply, Refusal> {
    change(&call, "unarchived", |place| place.archived = false)
}

pub(crate) async fn usage(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let place = call.open(&world, Mode::Read)?;
    let bytes: u64 = place
        .nodes
        .iter()
        .map(crate::world::catalogue::Node::size)
        .sum();
    Ok(Reply::new(
        json!({ "usage": { "nodes": place.nodes.len(), "bytes": bytes } }),
    ))
}

pub(crate) async fn delete_share(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let id = call.open(&world, Mode::ReadWrite)?.id.clone();
    world.catalogue.places.retain(|place| place.id != id);
    world.effects.note("share deleted", &id);
    Ok(Reply::new(json!({})))
}

pub(crate) async fn user(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let person = &world.catalogue.person;
    if call.named("id") != person.id {
        return Err(Refusal::NotFound("user"));
    }
    Ok(Reply::new(
        json!({ "user": { "id": person.id, "name": person.name } }),
    ))
}

pub(crate) async fn update_user(call: Call) -> Result<Reply, Refusal> {
    call.may_write()?;
    let mut world = call.site.world();
    let name = world.catalogue.person.name.clone();
    let (first, last) = name.split_once(' ').unwrap_or((&name, ""));
    let first = call.given("first_name").unwrap_or_else(|| first.to_owned());
    let last = call.given("last_name").unwrap_or_else(|| last.to_owned());
    let name = format!("{first} {last}").trim().to_owned();
    world.effects.note("person renamed", &name);
    world.catalogue.person.name.clone_from(&name);
    Ok(Reply::new(
        json!({ "user": { "id": call.caller.person_id, "name": name } }),
    ))
}

pub(crate) async fn find_users(call: Call) -> Result<Reply, Refusal> {
    let query = call.needed("query")?.to_lowercase();
    let world = call.site.world();
    let person = &world.catalogue.person;
    let text = format!("{} {}", person.name, person.email).to_lowercase();
    let found: Vec<Value> = if text.contains(&query) {
        vec![json!({ "id": person.id, "name": person.name })]
    } else {
        Vec::new()
    };
    page("users", found, call.query())
}

pub(crate) async fn user_limits(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let used = world.catalogue.orgs.len();
    Ok(Reply::new(
        json!({ "limits": { "organizations": { "used": used, "max": 10 } } }),
    ))
}

fn change(call: &Call, deed: &str, work: impl FnOnce(&mut Workspace)) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let place = call.place();
    call.open(&world, Mode::ReadWrite)?;
    let found: &mut Workspace = find(&mut world, &place)?;
    work(found);
    let shown = workspace_description(found);
    world
        .effects
        .note(&format!("{} {deed}", kind(&place)), &place.id);
    call.site
        .changed(&mut world, &place.id, format!("details:{}", place.id));
    Ok(Reply::new(json!({ kind(&place): shown })))
}

fn find<'w>(world: &'w mut World, place: &Place) -> Result<&'w mut Workspace, Refusal> {
    world
        .catalogue
        .place_mut(&place.id)
        .ok_or(Refusal::NotFound("workspace"))
}

fn kind(place: &Place) -> &'static str {
    if place.is_share { "share" } else { "workspace" }
}

impl Call {
    /// Whether the caller may read a place at all.
    pub(crate) fn reaches(&self, place: &Workspace) -> bool {
        let target = match &place.shared_from {
            Some(workspace) => Target::Share {
                id: &place.id,
                workspace: Some(workspace),
                org: &place.org_id,
            },
            None => Target::Workspace {
                id: &place.id,
                org: &place.org_id,
            },
        };
        self.caller.scopes.mode_on(target).is_some()
    }
}
