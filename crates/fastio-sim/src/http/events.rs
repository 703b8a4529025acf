//! The event log.
//!
//! Events have no parents here, so whoever asks for those of a parent finds none. The filters `subcategory`
//! and `visibility` find nothing either: their words are not public, and no event here bears one.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::json;
use time::OffsetDateTime;

use crate::clock::parse_datetime;
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
    let whose = Whose::read(call, world)?;
    let filter = Filter::read(call)?;
    let mut found: Vec<&Event> = world
        .activity
        .events()
        .iter()
        .filter(|event| whose.covers(call, world, event) && filter.lets_through(event))
        .collect();
    found.reverse();
    Ok(found)
}

/// Whose events are searched.
enum Whose {
    Place(String),
    Org(String),
    Person,
    /// Those that another event brought about.
    Parent,
}

impl Whose {
    /// Just one of five parameters, of something that the caller may read.
    fn read(call: &Call, world: &World) -> Result<Self, Refusal> {
        let scopes = [
            "workspace_id",
            "share_id",
            "org_id",
            "user_id",
            "parent_event_id",
        ];
        let named: Vec<(&str, String)> = scopes
            .into_iter()
            .filter_map(|name| Some((name, call.given(name)?)))
            .collect();
        let [(name, id)] = &named[..] else {
            return Err(Refusal::State(
                StatusCode::BAD_REQUEST,
                10262,
                "Name just one of workspace_id, share_id, org_id, user_id, parent_event_id.",
            ));
        };
        let id = id.clone();
        match *name {
            "org_id" => {
                call.open_org(world, &id, Mode::Read)?;
                Ok(Self::Org(id))
            }
            "user_id" => Ok(Self::Person),
            "parent_event_id" => {
                let mut events = world.activity.events().iter();
                events
                    .any(|event| event.id == id)
                    .then_some(Self::Parent)
                    .ok_or(Refusal::NotFound("event"))
            }
            kind => {
                let place = Place {
                    id,
                    is_share: kind == "share_id",
                };
                call.open_place(world, &place, Mode::Read)?;
                Ok(Self::Place(place.id))
            }
        }
    }

    fn covers(&self, call: &Call, world: &World, event: &Event) -> bool {
        let place = world.catalogue.place(&event.entity);
        match self {
            Self::Place(id) => event.entity == *id,
            Self::Org(id) => event.entity == *id || place.is_some_and(|place| place.org_id == *id),
            Self::Person => place.is_none_or(|place| call.reaches(place)),
            Self::Parent => false,
        }
    }
}

/// What else a search says about the events it wants.
struct Filter {
    event: Option<String>,
    category: Option<String>,
    object: Option<String>,
    acknowledged: Option<bool>,
    since: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
    /// Whether it asks for something that no event here is.
    nothing: bool,
}

impl Filter {
    fn read(call: &Call) -> Result<Self, Refusal> {
        let moment = |name: &str| {
            call.given(name)
                .map(|text| {
                    parse_datetime(&text)
                        .ok_or_else(|| Refusal::invalid(name, format!("{name} is not a date.")))
                })
                .transpose()
        };
        let by_other = call
            .given("calling_user_id")
            .is_some_and(|id| id != call.caller.person_id);
        let unknown_words = ["subcategory", "visibility"]
            .iter()
            .any(|name| call.given(name).is_some());
        Ok(Self {
            event: call.given("event"),
            category: call.given("category"),
            object: call.given("object_id"),
            acknowledged: call.flag("acknowledged")?,
            since: moment("created-min")?,
            until: moment("created-max")?,
            nothing: by_other || unknown_words,
        })
    }

    fn lets_through(&self, event: &Event) -> bool {
        let is =
            |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|wanted| wanted == own);
        !self.nothing
            && is(&self.event, &event.name)
            && is(&self.category, event.category)
            && is(&self.object, &event.object)
            && self
                .acknowledged
                .is_none_or(|wanted| wanted == event.acknowledged)
            && self.since.is_none_or(|since| since <= event.created)
            && self.until.is_none_or(|until| event.created <= until)
    }
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
