//! The event log.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::json;

use crate::http::account::page;
use crate::http::call::{Call, Place};
use crate::http::envelope::{Refusal, Reply};
use crate::scope::Mode;
use crate::world::World;
use crate::world::activity::Event;

pub(crate) async fn search(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let found = matching(&call, &world)?;
    page(
        "events",
        found.iter().map(|event| event.description()).collect(),
        call.query(),
    )
}

pub(crate) async fn summarize(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for event in matching(&call, &world)? {
        *counts.entry(&event.name).or_default() += 1;
    }
    Ok(Reply::new(json!({ "summary": counts })))
}

pub(crate) async fn details(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let shown = event(&call, &mut world, Mode::Read)?.description();
    Ok(Reply::new(json!({ "event": shown })))
}

pub(crate) async fn acknowledge(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let event = event(&call, &mut world, Mode::ReadWrite)?;
    event.acknowledged = true;
    let (id, shown) = (event.id.clone(), event.description());
    world.effects.note("event acknowledged", &id);
    Ok(Reply::new(json!({ "event": shown })))
}

/// The events that a search asks for, newest first. It must name whose.
fn matching<'w>(call: &Call, world: &'w World) -> Result<Vec<&'w Event>, Refusal> {
    let workspace = call.given("workspace_id");
    let share = call.given("share_id");
    let org = call.given("org_id");
    let user = call.given("user_id");
    let named = [&workspace, &share, &org, &user];
    if named.iter().filter(|scope| scope.is_some()).count() != 1 {
        return Err(Refusal::State(
            StatusCode::BAD_REQUEST,
            10262,
            "Name just one of workspace_id, share_id, org_id, user_id.",
        ));
    }
    for (id, is_share) in [(&workspace, false), (&share, true)] {
        if let Some(id) = id.clone() {
            call.open_place(world, &Place { id, is_share }, Mode::Read)?;
        }
    }
    if let Some(org) = &org {
        call.open_org(world, org, Mode::Read)?;
    }
    let name = call.given("event");
    let category = call.given("category");
    let mut found: Vec<&Event> = world
        .activity
        .events()
        .iter()
        .filter(|event| {
            let place = world.catalogue.place(&event.entity);
            let own = workspace.as_ref().or(share.as_ref());
            own.is_none_or(|own| *own == event.entity)
                && org.as_ref().is_none_or(|org| {
                    *org == event.entity || place.is_some_and(|place| place.org_id == *org)
                })
                && (user.is_none() || place.is_none_or(|place| call.reaches(place)))
                && name.as_ref().is_none_or(|name| *name == event.name)
                && category
                    .as_ref()
                    .is_none_or(|category| category == event.category)
        })
        .collect();
    found.reverse();
    Ok(found)
}

/// An event of something that the caller may use in `mode`.
fn event<'w>(call: &Call, world: &'w mut World, mode: Mode) -> Result<&'w mut Event, Refusal> {
    let id = call.named("event");
    let entity = world
        .activity
        .events()
        .iter()
        .find(|event| event.id == id)
        .map(|event| event.entity.clone())
        .ok_or(Refusal::NotFound("event"))?;
    if let Some(place) = world.catalogue.place(&entity) {
        let place = Place {
            id: place.id.clone(),
            is_share: place.is_share(),
        };
        call.open_place(world, &place, mode)?;
    }
    world
        .activity
        .event_mut(id)
        .ok_or(Refusal::NotFound("event"))
}
