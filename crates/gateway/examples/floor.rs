//! The floor of `make bench`: the least that a route behind a bearer check costs with the same HTTP
//! stack. One comparison, one fixed answer of the size that Doorward's has; no guard, no look-up.
//!
//! `floor PORT KEY SIZE` answers `GET /v1/token` with SIZE bytes of JSON, for whoever shows KEY.

use std::error::Error;
use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use tokio::net::TcpListener;

#[derive(Clone)]
struct Fixed {
    authorization: Bytes,
    body: Bytes,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, key, size] = arguments.as_slice() else {
        return Err("usage: floor PORT KEY SIZE".into());
    };
    let size: usize = size.parse()?;
    let fixed = Fixed {
        authorization: format!("Bearer {key}").into(),
        body: format!("{:size$}", "{}").into(),
    };
    let router = Router::new()
        .route("/v1/token", get(token))
        .with_state(fixed);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?)).await?;
    // As the gateway does, so that the two differ in what they do and not in when it is sent.
    let listener = listener.tap_io(|stream| {
        let _kept: std::io::Result<()> = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

async fn token(State(fixed): State<Fixed>, headers: HeaderMap) -> Response {
    let shown = headers.get(AUTHORIZATION);
    if shown.is_none_or(|shown| shown.as_bytes() != fixed.authorization) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    ([(CONTENT_TYPE, "application/json")], fixed.body).into_response()
}
