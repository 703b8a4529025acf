//! Endpoints that Fast.io does not have, below `/current/sim/`: they let a test see what a proxy makes
//! of a request, and tempt it to give something away.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::http::envelope::{Refusal, Reply};
use crate::http::fields::Fields;
use crate::http::site::SharedSite;
use crate::http::storage::hex;

/// Tells what came: method, path, query, every header with its value (the credential included), and
/// the body's length and hash. `?header=NAME:VALUE` puts headers on the answer, `?status=` a status.
pub(crate) async fn echo(
    State(site): State<SharedSite>,
    method: Method,
    given_headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    body: Bytes,
) -> Result<Response, Refusal> {
    site.caller(&given_headers)?;
    let mut headers = Map::new();
    for name in given_headers.keys() {
        let values: Vec<Value> = given_headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into())
            .collect();
        headers.insert(name.to_string(), Value::Array(values));
    }
    let fields = Fields::of_query(&uri);
    let mut response = Reply::new(json!({
        "method": method.as_str(),
        "path": uri.path(),
        "query": uri.query(),
        "headers": headers,
        "body": { "size": body.len(), "sha256": hex(&Sha256::digest(&body)) },
    }))
    .into_response();
    if let Some(status) = fields.given("status") {
        let status = StatusCode::from_bytes(status.as_bytes());
        *response.status_mut() =
            status.map_err(|_| Refusal::invalid("status", "status is no status."))?;
    }
    for header in fields.all("header") {
        if let Some((name, value)) = header.split_once(':')
            && let (Ok(name), Ok(value)) = (
                name.parse::<HeaderName>(),
                HeaderValue::from_str(value.trim()),
            )
        {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

/// Sends the client elsewhere: to `?to=`, or to the second origin.
pub(crate) async fn redirect(
    State(site): State<SharedSite>,
    Path(status): Path<u16>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    site.caller(&headers)?;
    let fields = Fields::of_query(&uri);
    let to = match (fields.given("to"), site.stranger()) {
        (Some(to), _) => to.to_owned(),
        (None, Some(stranger)) => format!("{stranger}/landed?from=redirect"),
        (None, None) => format!("{}ping/", site.api_base()),
    };
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(StatusCode::is_redirection)
        .ok_or_else(|| Refusal::invalid("status", "status is no redirect."))?;
    let to = HeaderValue::from_str(&to).map_err(|_| Refusal::invalid("to", "to is no address."))?;
    Ok((status, [(LOCATION, to)]).into_response())
}

/// An answer with everything that must not pass a proxy: a cookie, a challenge, and the request's own
/// credential in the body.
pub(crate) async fn leaky(
    State(site): State<SharedSite>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    site.caller(&headers)?;
    let credential = headers
        .get("authorization")
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let challenge = format!(
        "Bearer resource_metadata=\"{}/.well-known/x\"",
        site.origin()
    );
    let mut response = Reply::new(json!({ "credential": credential })).into_response();
    let given = response.headers_mut();
    given.append(
        SET_COOKIE,
        HeaderValue::from_static("sim=1; Path=/; HttpOnly"),
    );
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        given.append(WWW_AUTHENTICATE, value);
    }
    Ok(response)
}

/// A stream of events without end: `?every_ms=`, 100 if left out.
pub(crate) async fn ticks(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    site.caller(&headers)?;
    let every = Fields::of_query(&uri)
        .given("every_ms")
        .and_then(|every| every.parse().ok())
        .unwrap_or(100);
    let events = unfold(0_u64, move |number| async move {
        if number > 0 {
            tokio::time::sleep(Duration::from_millis(every)).await;
        }
        let event = Event::default().event("tick").data(number.to_string());
        Some((Ok::<_, Infallible>(event), number + 1))
    });
    Ok(Sse::new(events).into_response())
}

/// A body with trailers.
pub(crate) async fn trailers(
    State(site): State<SharedSite>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    site.caller(&headers)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    let frames = [
        Ok::<_, Infallible>(hyper::body::Frame::data(Bytes::from_static(
            b"with trailers",
        ))),
        Ok(hyper::body::Frame::trailers(trailers)),
    ];
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
        (
            HeaderName::from_static("trailer"),
            HeaderValue::from_static("x-checksum"),
        ),
    ];
    Ok((headers, Body::new(body)).into_response())
}

/// What the second origin answers to everything: it takes whatever is brought and keeps a note.
pub(crate) async fn stranger(State(site): State<SharedSite>, parts: Parts) -> Response {
    let now = site.now();
    let mut world = site.world();
    let seen = world.sighting(&parts, now);
    world.note_strayed(&parts, seen, now);
    drop(world);
    site.note_activity();
    (StatusCode::OK, "Welcome, stranger.\n").into_response()
}
