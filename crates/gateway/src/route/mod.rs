//! The routes: each parses, asks the broker and renders, and decides nothing.

pub(crate) mod connections;
pub(crate) mod discovery;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod key;
pub(crate) mod mcp;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod pair;
pub(crate) mod proxy;
pub(crate) mod reconnect;
pub(crate) mod register;
pub(crate) mod token;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, PRAGMA};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::failure::{self, Failure};

fn json<T: Serialize>(body: &T) -> Result<Response, Failure> {
    let body = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        failure::internal()
    })?;
    Ok(written(body))
}

fn written(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer that carries a token, as RFC 6749 §5.1 wants it. `Cache-Control: no-store` stands on
/// every answer of the gateway.
fn unkept(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

fn with_status(status: StatusCode, mut response: Response) -> Response {
    *response.status_mut() = status;
    response
}
