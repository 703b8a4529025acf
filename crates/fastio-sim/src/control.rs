//! The control port: JSON over HTTP on a loopback listener of its own.
//!
//! | method and path | does |
//! |---|---|
//! | `GET /knobs` | all knobs |
//! | `PUT /knobs` `{…}` | sets them; a knob left out goes to its default |
//! | `PATCH /knobs` `{…}` | turns those that are named |
//! | `GET /faults` | the queued faults |
//! | `POST /faults` `{…}` or `[{…}, …]` | queues faults ([`Fault`]) |
//! | `DELETE /faults` | forgets them, ends their windows, lets hanging requests go on |
//! | `GET /clock` | `{"now","unix"}` |
//! | `POST /clock` `{"advance_s"}` | moves the clock ahead; answers as above |
//! | `GET /counts` | `{"kinds":{"token_refresh":1,…},"statuses":{"200":1,…}}` |
//! | `POST /counts/reset` | sets them to zero and empties the request log |
//! | `GET /requests` | `{"requests":[{"sequence","at","method","path","kind","parameters","progress","status","rpc","seen"}]}` ([`crate::LoggedRequest`]) |
//! | `GET /sessions` | `{"sessions":[…]}`, ended ones included ([`crate::SessionView`]) |
//! | `DELETE /sessions/{id}` | the person revokes it from the dashboard |
//! | `GET /clients` | `{"clients":[{"client_id","client_name","redirect_uris"}]}` |
//! | `DELETE /clients/{id}` | the provider forgets a registration |
//! | `GET /client-documents` | `{"documents":{"https://…":{…}}}` |
//! | `PUT /client-documents` `{"address","document"}` | puts a client metadata document at an HTTPS address |
//! | `DELETE /client-documents` `{"address"}` | takes it away |
//! | `POST /tokens/probe` `{"refresh_token"}` or `{"access_token"}` | `{"live":bool,"why":null or a word}` |
//! | `GET /effects` | `{"effects":{"node created: …":1,…}}` |
//! | `POST /effects/reset` | forgets them |
//! | `POST /examples` `{"tool"}` | `{"arguments":{…}}` with which that tool of the whole catalogue works |
//! | `GET /locks` | `{"locks":[{"place","node","session_id","expires"}]}` |
//! | `GET /stranger/requests` | what reached the second origin, as in `GET /requests` |
//! | `GET /secrets` | `{"secrets":[{"kind","value"}]}`: all that was ever issued, for byte scans |
//! | `POST /outage` `{"down":bool}` | closes the provider's port, or opens it again |
//!
//! A request that is not understood answers 400 with `{"error"}`, a missing thing 404.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock::fastio_datetime;
use crate::door::Door;
use crate::fault::Fault;
use crate::http::site::SharedSite;
use crate::inspect::Probe;
use crate::knobs::{KnobError, Knobs};
use crate::mcp::examples;

/// What the handlers of the control port get.
#[derive(Clone, Debug)]
struct Control {
    site: SharedSite,
    door: Arc<Door>,
}

/// Why the control port did not do what it was told.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("{0}")]
    Body(#[from] JsonRejection),
    #[error("{0}")]
    Knob(#[from] KnobError),
    #[error("name either refresh_token or access_token")]
    NothingToProbe,
    #[error("there is no such {0}")]
    Unknown(&'static str),
    #[error("the provider's port could not be opened again: {0}")]
    Reopen(#[from] io::Error),
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Body(_) | Self::Knob(_) | Self::NothingToProbe => StatusCode::BAD_REQUEST,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Reopen(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

pub(crate) fn router(site: SharedSite, door: Arc<Door>) -> Router {
    Router::new()
        .route("/knobs", get(knobs).put(put_knobs).patch(patch_knobs))
        .route(
            "/faults",
            get(faults).post(queue_faults).delete(clear_faults),
        )
        .route("/clock", get(clock).post(advance_clock))
        .route("/counts", get(counts))
        .route("/counts/reset", post(reset_counts))
        .route("/requests", get(requests))
        .route("/effects", get(effects))
        .route("/effects/reset", post(reset_effects))
        .route("/examples", post(example))
        .route("/locks", get(locks))
        .route("/stranger/requests", get(strayed))
        .route("/sessions", get(sessions))
        .route("/sessions/{id}", delete(revoke_session))
        .route("/clients", get(clients))
        .route("/clients/{id}", delete(forget_client))
        .route(
            "/client-documents",
            get(documents)
                .put(publish_document)
                .delete(withdraw_document),
        )
        .route("/tokens/probe", post(probe))
        .route("/secrets", get(secrets))
        .route("/outage", post(outage))
        .with_state(Control { site, door })
}

async fn knobs(State(control): State<Control>) -> Json<Knobs> {
    Json(control.site.world().knobs.clone())
}

async fn put_knobs(
    State(control): State<Control>,
    body: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Result<Json<Knobs>, ControlError> {
    let Json(members) = body?;
    turn(&control, &Knobs::default(), &members)
}

async fn patch_knobs(
    State(control): State<Control>,
    body: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Result<Json<Knobs>, ControlError> {
    let Json(members) = body?;
    let before = control.site.world().knobs.clone();
    turn(&control, &before, &members)
}

fn turn(
    control: &Control,
    before: &Knobs,
    members: &Map<String, Value>,
) -> Result<Json<Knobs>, ControlError> {
    let knobs = before.merged(members)?;
    control.site.world().knobs = knobs.clone();
    Ok(Json(knobs))
}

async fn faults(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "faults": control.site.world().traffic.faults() }))
}

/// One fault or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Fault>),
    One(Box<Fault>),
}

async fn queue_faults(
    State(control): State<Control>,
    body: Result<Json<OneOrMany>, JsonRejection>,
) -> Result<Json<Value>, ControlError> {
    let Json(queued) = body?;
    {
        let mut world = control.site.world();
        match queued {
            OneOrMany::Many(faults) => {
                for fault in faults {
                    world.traffic.queue(fault);
                }
            }
            OneOrMany::One(fault) => world.traffic.queue(*fault),
        }
    }
    Ok(faults(State(control)).await)
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.site.clear_faults();
    StatusCode::NO_CONTENT
}

async fn clock(State(control): State<Control>) -> Json<Value> {
    let now = control.site.now();
    Json(json!({ "now": fastio_datetime(now), "unix": now.unix_timestamp() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_s: u64,
}

async fn advance_clock(
    State(control): State<Control>,
    body: Result<Json<Advance>, JsonRejection>,
) -> Result<Json<Value>, ControlError> {
    let Json(Advance { advance_s }) = body?;
    control.site.clock().advance(Duration::from_secs(advance_s));
    Ok(clock(State(control)).await)
}

async fn counts(State(control): State<Control>) -> Json<Value> {
    Json(json!(control.site.world().traffic.counts()))
}

async fn reset_counts(State(control): State<Control>) -> StatusCode {
    control.site.world().traffic.reset_counts();
    StatusCode::NO_CONTENT
}

async fn requests(State(control): State<Control>) -> Json<Value> {
    let world = control.site.world();
    let log: Vec<_> = world.traffic.log().collect();
    Json(json!({ "requests": log }))
}

async fn effects(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "effects": control.site.world().effects.counted() }))
}

async fn reset_effects(State(control): State<Control>) -> StatusCode {
    control.site.world().effects.forget();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    tool: String,
}

async fn example(
    State(control): State<Control>,
    body: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<Value>, ControlError> {
    let Json(Wanted { tool }) = body?;
    examples::example(&control.site, &tool)
        .map(|arguments| Json(json!({ "arguments": arguments })))
        .ok_or(ControlError::Unknown("example"))
}

async fn locks(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "locks": control.site.lock_views() }))
}

async fn strayed(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "requests": control.site.world().strayed }))
}

async fn sessions(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "sessions": control.site.session_views() }))
}

async fn revoke_session(
    State(control): State<Control>,
    Path(id): Path<String>,
) -> Result<StatusCode, ControlError> {
    if control.site.revoke_as_person(&id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ControlError::Unknown("living session"))
    }
}

async fn clients(State(control): State<Control>) -> Json<Value> {
    let world = control.site.world();
    let known: Vec<Value> = world
        .clients
        .all()
        .iter()
        .map(|client| {
            json!({
                "client_id": client.id,
                "client_name": client.name,
                "redirect_uris": client.redirect_uris,
            })
        })
        .collect();
    Json(json!({ "clients": known }))
}

async fn forget_client(
    State(control): State<Control>,
    Path(id): Path<String>,
) -> Result<StatusCode, ControlError> {
    if control.site.world().clients.forget(&id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ControlError::Unknown("client"))
    }
}

async fn documents(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "documents": control.site.world().documents.all() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    address: String,
    document: Value,
}

async fn publish_document(
    State(control): State<Control>,
    body: Result<Json<Published>, JsonRejection>,
) -> Result<StatusCode, ControlError> {
    let Json(Published { address, document }) = body?;
    control.site.world().documents.publish(&address, document);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Withdrawn {
    address: String,
}

async fn withdraw_document(
    State(control): State<Control>,
    body: Result<Json<Withdrawn>, JsonRejection>,
) -> Result<StatusCode, ControlError> {
    let Json(Withdrawn { address }) = body?;
    if control.site.world().documents.withdraw(&address) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ControlError::Unknown("client document"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToProbe {
    refresh_token: Option<String>,
    access_token: Option<String>,
}

async fn probe(
    State(control): State<Control>,
    body: Result<Json<ToProbe>, JsonRejection>,
) -> Result<Json<Probe>, ControlError> {
    let Json(asked) = body?;
    match (asked.refresh_token, asked.access_token) {
        (Some(token), None) => Ok(Json(control.site.probe_refresh_token(&token))),
        (None, Some(token)) => Ok(Json(control.site.probe_access_token(&token))),
        _ => Err(ControlError::NothingToProbe),
    }
}

async fn secrets(State(control): State<Control>) -> Json<Value> {
    Json(json!({ "secrets": control.site.world().secrets }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outage {
    down: bool,
}

async fn outage(
    State(control): State<Control>,
    body: Result<Json<Outage>, JsonRejection>,
) -> Result<StatusCode, ControlError> {
    let Json(Outage { down }) = body?;
    if down {
        control.door.close().await;
    } else {
        control.door.reopen().await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
