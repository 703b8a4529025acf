//! API keys, the Basic sign-in and the second factor: what mints or manages credentials.
//!
//! They are here so that a test can show that nothing behind the proxy reaches them. An API key is
//! no wider than the credential that made it, and one without scopes is `user:*:rw`.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use serde_json::{Value, json};
use time::Duration;

use crate::clock::parse_datetime;
use crate::http::call::Call;
use crate::http::envelope::{Lacking, Refusal, Reply, ScopeRefusal};
use crate::http::site::{SharedSite, bearer};
use crate::scope::Scopes;
use crate::secret::basic_credentials;
use crate::world::World;
use crate::world::keys::{Key, KeyKind};

/// How long the token of a Basic sign-in lives.
const SESSION_LIFETIME: Duration = Duration::days(30);

/// `GET /user/auth/` with Basic: a token that is no OAuth token and has no refresh.
pub(crate) async fn sign_in(
    State(site): State<SharedSite>,
    headers: HeaderMap,
) -> Result<Reply, Refusal> {
    let (email, password) = headers
        .get(AUTHORIZATION)
        .and_then(|value| basic_credentials(value.to_str().ok()?))
        .ok_or(Refusal::Anonymous)?;
    let now = site.now();
    let mut world = site.world();
    world
        .catalogue
        .sign_in(&email, &password)
        .ok_or(Refusal::InvalidToken(
            "The address or the password is wrong.",
        ))?;
    let key = Key {
        id: String::new(),
        kind: KeyKind::Session,
        memo: "sign-in".to_owned(),
        scopes: whole_account()?,
        agent_name: None,
        expires: None,
        expires_at: Some(now + SESSION_LIFETIME),
    };
    let (_, secret) = world.keys.issue(key);
    world.effects.note("signed in", &email);
    Ok(Reply::new(json!({
        "auth_token": secret,
        "expires_in": SESSION_LIFETIME.whole_seconds(),
        "2factor": false,
    })))
}

/// Ends a Basic sign-in; OAuth tokens and API keys stay.
pub(crate) async fn sign_out(
    State(site): State<SharedSite>,
    headers: HeaderMap,
) -> Result<Reply, Refusal> {
    site.caller(&headers)?;
    let mut world = site.world();
    world.keys.sign_out(bearer(&headers));
    world.effects.note("signed out", "");
    Ok(Reply::new(json!({})))
}

pub(crate) async fn invalidate_all(call: Call) -> Result<Reply, Refusal> {
    call.may_change_account()?;
    let mut world = call.site.world();
    world.keys.sign_out(None);
    world.effects.note("signed out", "everywhere");
    Ok(Reply::new(json!({})))
}

pub(crate) async fn list(call: Call) -> Result<Reply, Refusal> {
    let world = call.site.world();
    let keys: Vec<Value> = world.keys.listed().into_iter().map(description).collect();
    Ok(Reply::new(json!({ "api_keys": keys })))
}

pub(crate) async fn create(call: Call) -> Result<Reply, Refusal> {
    call.may_write()?;
    let expires = call.given("expires");
    let key = Key {
        id: String::new(),
        kind: KeyKind::Api,
        memo: call.given("memo").unwrap_or_default(),
        scopes: scopes(&call, &call.site.world())?,
        agent_name: call.given("agent_name"),
        expires_at: expires.as_deref().map(end).transpose()?,
        expires,
    };
    let mut world = call.site.world();
    world.effects.note("api key made", &key.memo);
    let (id, secret) = world.keys.issue(key);
    Ok(Reply::new(json!({ "id": id, "api_key": secret })))
}

pub(crate) async fn details(call: Call) -> Result<Reply, Refusal> {
    let mut world = call.site.world();
    let shown = description(key(&call, &mut world)?);
    Ok(Reply::new(json!({ "api_key": shown })))
}

/// Scopes that are given replace those that were.
pub(crate) async fn update(call: Call) -> Result<Reply, Refusal> {
    call.may_write()?;
    let mut world = call.site.world();
    let scopes = call
        .given("scopes")
        .map(|_| scopes(&call, &world))
        .transpose()?;
    let key = key(&call, &mut world)?;
    if let Some(scopes) = scopes {
        key.scopes = scopes;
    }
    if let Some(memo) = call.given("memo") {
        key.memo = memo;
    }
    if let Some(name) = call.given("agent_name") {
        key.agent_name = Some(name);
    }
    if let Some(expires) = call.given("expires") {
        key.expires_at = Some(end(&expires)?);
        key.expires = Some(expires);
    }
    let shown = description(key);
    world.effects.note("api key changed", call.named("id"));
    Ok(Reply::new(json!({ "api_key": shown })))
}

pub(crate) async fn delete(call: Call) -> Result<Reply, Refusal> {
    call.may_write()?;
    let mut world = call.site.world();
    if !world.keys.forget_api_key(call.named("id")) {
        return Err(Refusal::NotFound("API key"));
    }
    world.effects.note("api key deleted", call.named("id"));
    Ok(Reply::new(json!({})))
}

pub(crate) async fn second_factor(_: Call) -> Result<Reply, Refusal> {
    Ok(Reply::new(
        json!({ "2factor": { "enabled": false, "channels": [] } }),
    ))
}

/// Everything that would change the second factor.
pub(crate) async fn change_second_factor(call: Call) -> Result<Reply, Refusal> {
    call.may_change_account()?;
    Err(Refusal::NotImplemented("A second factor"))
}

fn key<'w>(call: &Call, world: &'w mut World) -> Result<&'w mut Key, Refusal> {
    world
        .keys
        .api_key_mut(call.named("id"))
        .ok_or(Refusal::NotFound("API key"))
}

/// The scopes that are asked for, no wider than the caller's own.
fn scopes(call: &Call, world: &World) -> Result<Scopes, Refusal> {
    let asked = match call.given("scopes") {
        Some(text) => Scopes::from_json(&text)
            .map_err(|error| Refusal::invalid("scopes", error.to_string()))?,
        None => whole_account()?,
    };
    let catalogue = &world.catalogue;
    let inside = |scope| {
        call.caller
            .scopes
            .contains(scope, |id| catalogue.org_of(id))
    };
    if asked.0.iter().all(inside) {
        Ok(asked)
    } else {
        Err(ScopeRefusal::of(&call.caller, Lacking::Width))
    }
}

fn whole_account() -> Result<Scopes, Refusal> {
    Scopes::from_json("[\"user:*:rw\"]")
        .map_err(|error| Refusal::invalid("scopes", error.to_string()))
}

/// `2026-04-24 23:49:04 UTC` as a moment.
fn end(text: &str) -> Result<time::OffsetDateTime, Refusal> {
    parse_datetime(text).ok_or_else(|| Refusal::invalid("expires", "expires is not a date."))
}

fn description(key: &Key) -> Value {
    json!({
        "id": key.id,
        "memo": key.memo,
        "name": key.memo,
        "scopes": key.scopes.strings(),
        "agent_name": key.agent_name,
        "expires": key.expires,
    })
}
