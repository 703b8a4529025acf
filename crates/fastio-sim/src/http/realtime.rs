//! Being told of changes: the long poll, and the WebSocket that nudges.

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::clock::parse_datetime;
use crate::http::call::{Call, Place};
use crate::http::envelope::{Refusal, Reply};
use crate::http::fields::Fields;
use crate::http::site::SharedSite;
use crate::scope::Mode;
use crate::secret::{Fingerprint, random_token};
use crate::world::{SocketTicket, World};

/// The longest that a long poll waits, in seconds.
const LONGEST_WAIT: u64 = 95;
/// How long a ticket for the WebSocket lives.
const TICKET_LIFETIME: time::Duration = time::Duration::minutes(5);

pub(crate) async fn poll(call: Call) -> Result<Reply, Refusal> {
    let entity = call.named("entity").to_owned();
    let wait = call.number("wait")?.unwrap_or(0);
    if wait > LONGEST_WAIT {
        return Err(Refusal::invalid("wait", "wait must be at most 95."));
    }
    let mut changes = call.site.changes();
    let since = {
        let world = call.site.world();
        may_watch(&call, &world, &entity)?;
        match call.given("lastactivity") {
            Some(text) => moment(&text)?,
            None => world.activity.latest(),
        }
    };
    let until = tokio::time::sleep(Duration::from_secs(wait));
    tokio::pin!(until);
    loop {
        if let Some(reply) = news(&call.site.world(), &entity, since) {
            return Ok(reply);
        }
        tokio::select! {
            () = &mut until => {
                return Ok(Reply::new(json!({ "activity": {}, "lastactivity": since.to_string() })));
            }
            // The sender lives as long as the site.
            _ = changes.changed() => {}
        }
    }
}

/// Hands out a token that opens the WebSocket once.
pub(crate) async fn ticket(call: Call) -> Result<Reply, Refusal> {
    let entity = call.named("entity").to_owned();
    let expires_at = call.site.now() + TICKET_LIFETIME;
    let mut world = call.site.world();
    may_watch(&call, &world, &entity)?;
    let token = random_token();
    world
        .sockets
        .insert(Fingerprint::of(&token), SocketTicket { entity, expires_at });
    Ok(Reply::new(json!({
        "token": token,
        "expires_in": TICKET_LIFETIME.whole_seconds(),
    })))
}

pub(crate) async fn socket(
    State(site): State<SharedSite>,
    uri: Uri,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let fields = Fields::of_query(&uri);
    let token = fields
        .given("token")
        .ok_or_else(|| Refusal::missing("token"))?;
    let now = site.now();
    let entity = site
        .world()
        .sockets
        .remove(&Fingerprint::of(token))
        .filter(|ticket| now < ticket.expires_at)
        .map(|ticket| ticket.entity)
        .ok_or(Refusal::InvalidToken("The token is not valid."))?;
    Ok(upgrade.on_upgrade(move |socket| push(site, entity, socket)))
}

/// Sends a nudge for each change until the client goes. Text is sent back as it came.
async fn push(site: SharedSite, entity: String, mut socket: WebSocket) {
    let mut changes = site.changes();
    let mut since = site.world().activity.latest();
    loop {
        tokio::select! {
            told = changes.changed() => {
                if told.is_err() {
                    return;
                }
            }
            came = socket.recv() => match came {
                Some(Ok(Message::Text(text))) => {
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
            },
        }
        let news = site.world().activity.after(&entity, since);
        let Some(last) = news.iter().map(|(_, moment)| *moment).max() else {
            continue;
        };
        since = last;
        let keys: Vec<&str> = news.iter().map(|(key, _)| key.as_str()).collect();
        let nudge = json!({ "response": "activity", "activity": keys }).to_string();
        if socket.send(Message::Text(nudge.into())).await.is_err() {
            return;
        }
    }
}

/// The changes of an entity after a moment, if there are any.
fn news(world: &World, entity: &str, since: i64) -> Option<Reply> {
    let news = world.activity.after(entity, since);
    let last = news.iter().map(|(_, moment)| *moment).max()?;
    let keys: Map<String, Value> = news
        .into_iter()
        .map(|(key, moment)| (key, moment.to_string().into()))
        .collect();
    Some(Reply::new(
        json!({ "activity": keys, "lastactivity": last.to_string() }),
    ))
}

/// Refuses a caller who may not read an entity: a place, an organisation, the person, or a link to a file,
/// which the members of its workspace may watch.
fn may_watch(call: &Call, world: &World, entity: &str) -> Result<(), Refusal> {
    if entity == call.caller.person_id || entity == "me" {
        return Ok(());
    }
    if world.catalogue.org(entity).is_some() {
        return call.open_org(world, entity, Mode::Read);
    }
    let link = world.fileshares.find(entity);
    let entity = link.map_or(entity, |link| link.workspace.as_str());
    let place = Place {
        id: entity.to_owned(),
        is_share: world
            .catalogue
            .place(entity)
            .is_some_and(crate::world::catalogue::Workspace::is_share),
    };
    call.open_place(world, &place, Mode::Read).map(|_| ())
}

/// A moment as it was handed out, or a date as `server_date` has it.
fn moment(text: &str) -> Result<i64, Refusal> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    parse_datetime(text)
        .map(|date| i64::try_from(date.unix_timestamp_nanos() / 1000).unwrap_or(0))
        .ok_or_else(|| Refusal::invalid("lastactivity", "lastactivity is not a moment."))
}
