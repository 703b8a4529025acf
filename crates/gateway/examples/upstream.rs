//! What stands behind the doors that `make bench` compares: an API with the least to do. Small answers, large bodies down
//! and up, each for whoever shows a bearer; an agent key is refused, so that a run in which a door does not put the
//! credential in its place measures nothing.
//!
//! `upstream PORT` answers below `/api/`: `GET small` with 512 bytes of JSON, `GET large/BYTES` with so many bytes, and
//! `POST sink` with how many bytes came.

use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpListener;

const SMALL: usize = 512;
/// What one write of a large body holds: more than a socket takes at once, so that its size does not show.
const CHUNK: usize = 256 * 1024;
static ZEROS: [u8; CHUNK] = [0; CHUNK];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port] = arguments.as_slice() else {
        return Err("usage: upstream PORT".into());
    };
    let router = Router::new()
        .route("/api/small", get(small))
        .route("/api/large/{size}", get(large))
        .route("/api/sink", post(sink))
        .layer(from_fn(with_credential));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?)).await?;
    let listener = listener.tap_io(|stream| {
        let _kept: std::io::Result<()> = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

async fn with_credential(request: Request, next: Next) -> Response {
    if shows_token(request.headers()) {
        next.run(request).await
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

fn shows_token(headers: &HeaderMap) -> bool {
    let shown = headers
        .get(AUTHORIZATION)
        .and_then(|shown| shown.to_str().ok());
    shown
        .and_then(|shown| shown.strip_prefix("Bearer "))
        .is_some_and(|token| !token.is_empty() && !token.starts_with("dwk_"))
}

async fn small() -> Response {
    let body = format!("{:SMALL$}", "{}");
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

async fn large(Path(size): Path<usize>) -> Response {
    let whole = stream::repeat_with(|| CHUNK).take(size / CHUNK);
    let sizes = whole.chain(stream::iter(
        [size % CHUNK].into_iter().filter(|rest| *rest > 0),
    ));
    let chunks = sizes.map(|size| Ok::<_, Infallible>(Bytes::from_static(&ZEROS[..size])));
    ([(CONTENT_LENGTH, size)], Body::from_stream(chunks)).into_response()
}

async fn sink(body: Body) -> Response {
    let mut count = 0;
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => count += chunk.len(),
            Err(_) => return StatusCode::BAD_REQUEST.into_response(),
        }
    }
    count.to_string().into_response()
}
