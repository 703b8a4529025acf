//! An MCP server that says what a test wants, byte for byte, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

/// What the server was asked.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn message(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A server that ends with its test.
pub(super) struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(script: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, noted) = (Arc::new(script), Arc::clone(&seen));
        let router = axum::Router::new().fallback(move |request: Request| {
            let (script, noted) = (Arc::clone(&script), Arc::clone(&noted));
            async move {
                let (head, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let asked = Seen {
                    method: head.method.to_string(),
                    target: head.uri.to_string(),
                    headers: head.headers,
                    body: String::from_utf8_lossy(&body).into_owned(),
                };
                let response = script(&asked);
                noted.lock().unwrap().push(asked);
                response
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, seen, task }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a script says its answer in one expression"
)]
pub(super) fn document(body: impl ToString) -> Response {
    let response = Response::new(Body::from(body.to_string()));
    with_header("content-type", "application/json", response)
}

/// A whole stream.
pub(super) fn events(body: impl Into<String>) -> Response {
    let response = Response::new(Body::from(body.into()));
    with_header("content-type", "text/event-stream", response)
}

/// A stream that stays open after this.
pub(super) fn open_events(body: impl Into<String>) -> Response {
    let first = futures_util::stream::once(std::future::ready(body.into()));
    let rest = futures_util::stream::once(async {
        tokio::time::sleep(Duration::from_mins(10)).await;
        String::new()
    });
    let pieces = first.chain(rest).map(Ok::<_, std::io::Error>);
    let response = Response::new(Body::from_stream(pieces));
    with_header("content-type", "text/event-stream", response)
}

/// A stream of what comes through a channel.
pub(super) fn events_from(coming: UnboundedReceiver<String>) -> Response {
    let pieces = futures_util::stream::unfold(coming, async |mut coming| {
        let piece = coming.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), coming))
    });
    let response = Response::new(Body::from_stream(pieces));
    with_header("content-type", "text/event-stream", response)
}

pub(super) fn with_status(status: u16, mut response: Response) -> Response {
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

pub(super) fn with_header(name: &'static str, value: &str, mut response: Response) -> Response {
    response.headers_mut().append(name, value.parse().unwrap());
    response
}
