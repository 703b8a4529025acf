//! Revocation and the sessions API.

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::clock::fastio_datetime;
use crate::http::authorize::AGENT_NAME_LIMIT;
use crate::http::edge::Arrived;
use crate::http::envelope::{Lacking, Refusal, Reply, ScopeRefusal};
use crate::http::fields::Fields;
use crate::http::site::SharedSite;
use crate::scope::Scopes;
use crate::world::ledger::{Caller, EndedBy, Session};

/// RFC 7009: success whatever the token was. Only a refresh token ends anything.
pub(crate) async fn revoke(State(site): State<SharedSite>, body: Bytes) -> Result<Reply, Refusal> {
    let fields = Fields::parse(&body);
    let token = fields
        .given("token")
        .ok_or_else(|| Refusal::missing("token"))?;
    let now = site.now();
    site.world()
        .ledger
        .end_family_of(token, EndedBy::RevokeEndpoint, now);
    Ok(Reply::new(json!({})))
}

pub(crate) async fn list(
    State(site): State<SharedSite>,
    headers: HeaderMap,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let world = site.world();
    let sessions: Vec<Value> = world
        .ledger
        .sessions()
        .iter()
        .filter(|session| is_own(session, &caller))
        .map(|session| description(session, &caller))
        .collect();
    Ok(Reply::new(json!({ "response": { "sessions": sessions } })))
}

pub(crate) async fn details(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let world = site.world();
    let session = world
        .ledger
        .session(&id)
        .filter(|session| is_own(session, &caller))
        .ok_or(Refusal::NotFound("session"))?;
    Ok(Reply::new(
        json!({ "response": { "session": description(session, &caller) } }),
    ))
}

/// Renames or narrows a session. All changes are checked before the first one is made. A change that
/// arrived before another one was carried out was meant for a session that is no more, and is refused.
pub(crate) async fn update(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Extension(Arrived(arrived)): Extension<Arrived>,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let fields = Fields::parse(&body);
    for name in ["device_name", "agent_name"] {
        if fields
            .get(name)
            .is_some_and(|value| value.chars().count() > AGENT_NAME_LIMIT)
        {
            return Err(Refusal::invalid(
                name,
                format!("{name} is longer than 128 characters."),
            ));
        }
    }
    let mut guard = site.world();
    let world = &mut *guard;
    let newest = world.traffic.last_sequence();
    let session = world
        .ledger
        .living_mut(&id)
        .filter(|session| is_own(session, &caller))
        .ok_or(Refusal::NotFound("session"))?;
    if session.changed_by > arrived {
        return Err(Refusal::Conflict);
    }
    if let Some(text) = fields.get("scopes") {
        let narrowed = Scopes::from_json(text)
            .map_err(|error| Refusal::invalid("scopes", error.to_string()))?;
        if narrowed.0.is_empty() {
            return Err(Refusal::invalid(
                "scopes",
                "A session cannot be left without scopes.",
            ));
        }
        let catalogue = &world.catalogue;
        let inside = narrowed.0.iter().all(|scope| {
            session
                .scopes
                .contains(scope, |workspace| catalogue.org_of(workspace))
        });
        if !inside {
            return Err(ScopeRefusal::of(&caller, Lacking::Width));
        }
        session.scopes = narrowed;
    }
    if let Some(name) = fields.get("device_name") {
        session.device_name = Some(name.to_owned()).filter(|name| !name.is_empty());
    }
    if let Some(name) = fields.get("agent_name") {
        session.agent_name = Some(name.to_owned()).filter(|name| !name.is_empty());
    }
    session.changed_by = newest;
    Ok(Reply::new(
        json!({ "response": { "session": description(session, &caller) } }),
    ))
}

pub(crate) async fn delete_one(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let now = site.now();
    let mut world = site.world();
    let own = world
        .ledger
        .session(&id)
        .is_some_and(|session| is_own(session, &caller));
    if !own {
        return Err(Refusal::NotFound("session"));
    }
    world.ledger.end(&id, EndedBy::SessionDelete, now);
    Ok(Reply::new(json!({})))
}

pub(crate) async fn delete_all(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Reply, Refusal> {
    let caller = site.caller(&headers)?;
    let fields = Fields::of_query(&uri);
    let kept = match fields.given("exclude_current") {
        Some("true" | "1") => Some(
            fields
                .given("current_session_id")
                .unwrap_or(&caller.session_id)
                .to_owned(),
        ),
        _ => None,
    };
    let now = site.now();
    let mut world = site.world();
    let ending: Vec<String> = world
        .ledger
        .sessions()
        .iter()
        .filter(|session| is_own(session, &caller) && Some(&session.id) != kept.as_ref())
        .map(|session| session.id.clone())
        .collect();
    for id in &ending {
        world.ledger.end(id, EndedBy::SessionDelete, now);
    }
    Ok(Reply::new(json!({ "revoked": ending.len() })))
}

/// A living session of the caller's person.
fn is_own(session: &Session, caller: &Caller) -> bool {
    session.person_id == caller.person_id && session.ended.is_none()
}

fn description(session: &Session, caller: &Caller) -> Value {
    json!({
        "session_id": session.id,
        "client_id": session.client_id,
        "client_name": session.client_name,
        "device_name": session.device_name,
        "device_type": session.device_type,
        "agent_name": session.agent_name,
        "scopes": session.scopes.strings(),
        "created": fastio_datetime(session.created_at),
        "last_used": fastio_datetime(session.last_used_at),
        "current": session.id == caller.session_id,
    })
}
