//! An API of a test's own, for what a faithful Fast.io has no reason to do.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What the API was asked.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Shared {
    /// How many calls began to arrive.
    asked: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    /// How often each target was asked.
    counts: Mutex<HashMap<String, u32>>,
    /// Who asks with it is answered 401.
    refused: Mutex<Option<String>>,
}

/// An API that does what its paths say.
pub(crate) struct Api {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self {
            port,
            shared,
            serving,
        }
    }

    /// Its base.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}/base/", self.port)
    }

    /// Everything it was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many calls began to arrive so far.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// What it was asked last.
    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("the API was not asked")
    }

    /// From here on that credential is refused.
    pub(crate) fn refuse(&self, authorization: &str) {
        *self.shared.refused.lock().unwrap() = Some(authorization.to_owned());
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // A test that goes away, or a path that drops the connection, ends it early.
            let _ended = connection.await;
        });
    }
}

fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

fn nothing() -> Body {
    Empty::new()
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

async fn answer(
    shared: Arc<Shared>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, std::io::Error> {
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().unwrap().to_string();
    let path = head
        .uri
        .path()
        .strip_prefix("/base/")
        .unwrap_or("")
        .to_owned();
    let query = head.uri.query().unwrap_or("").to_owned();
    let body = body.collect().await.map_err(std::io::Error::other)?;
    let trailers = body.trailers().cloned();
    let seen = Seen {
        method: head.method.to_string(),
        target: target.clone(),
        headers: head.headers.clone(),
        body: body.to_bytes(),
        trailers,
    };
    shared.seen.lock().unwrap().push(seen);
    let count = {
        let mut counts = shared.counts.lock().unwrap();
        let count = counts.entry(target).or_default();
        *count += 1;
        *count
    };
    let authorization = head.headers.get("authorization");
    let refused = shared.refused.lock().unwrap().clone();
    if refused.is_some()
        && authorization.map(HeaderValue::as_bytes) == refused.as_deref().map(str::as_bytes)
    {
        let mut response = status(401, whole(r#"{"error":{"code":1650}}"#));
        let challenge = HeaderValue::from_static("Bearer realm=\"own\"");
        response.headers_mut().insert("www-authenticate", challenge);
        return Ok(response);
    }
    match path.split('/').next().unwrap_or_default() {
        "status" => Ok(by_status(&path)),
        "flaky" => flaky(&path, count),
        "limited" if count <= 1 || path == "limited/0/" => {
            let mut response = status(429, whole("{}"));
            let seconds = path.trim_start_matches("limited/").trim_end_matches('/');
            response
                .headers_mut()
                .insert("retry-after", seconds.parse().unwrap());
            Ok(response)
        }
        "redirect" => {
            let mut response = status(302, nothing());
            let to = query
                .replace("%2F", "/")
                .replace("%3A", ":")
                .replace("%3F", "?");
            response
                .headers_mut()
                .insert("location", to.parse().unwrap());
            Ok(response)
        }
        "stream" => Ok(Response::new(ticking())),
        "silent" => Ok(Response::new(silent())),
        "waits" => std::future::pending().await,
        "trailers" => Ok(with_trailers()),
        "rude" => Ok(rude()),
        "file" | "socket" if path.ends_with("requestread/") || path == "socket/" => {
            Ok(Response::new(whole(
                json!({ "result": true, "token": "one-time" }).to_string(),
            )))
        }
        "ws" => Ok(web_socket(&head.headers, upgrade)),
        _ => Ok(Response::new(whole("plain"))),
    }
}

fn status(status: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn by_status(path: &str) -> Response<Body> {
    let code: u16 = path.split('/').nth(1).unwrap().parse().unwrap();
    let body = match path.split('/').nth(2) {
        Some(error) if !error.is_empty() => {
            whole(json!({ "error": { "code": error.parse::<u32>().unwrap() } }).to_string())
        }
        _ => nothing(),
    };
    status(code, body)
}

/// Fails the first times: `flaky/HOW/TIMES/`.
fn flaky(path: &str, count: u32) -> Result<Response<Body>, std::io::Error> {
    let mut parts = path.split('/').skip(1);
    let how = parts.next().unwrap();
    let times: u32 = parts.next().unwrap().parse().unwrap();
    match how {
        _ if count > times => Ok(Response::new(whole("at last"))),
        "drop" => Err(std::io::Error::other(
            "the test wants the connection dropped",
        )),
        code => Ok(status(code.parse().unwrap(), nothing())),
    }
}

fn ticking() -> Body {
    let ticks = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok(Frame::data(Bytes::from_static(b"data: tick\n\n"))), ()))
    });
    StreamBody::new(ticks).boxed_unsync()
}

fn silent() -> Body {
    let first = stream::once(async { Ok(Frame::data(Bytes::from_static(b": hello\n\n"))) });
    StreamBody::new(first.chain(stream::pending())).boxed_unsync()
}

fn with_trailers() -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("42"));
    let frames = [
        Ok(Frame::data(Bytes::from_static(b"body"))),
        Ok(Frame::trailers(trailers)),
    ];
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync());
    response
        .headers_mut()
        .insert("trailer", HeaderValue::from_static("x-sum"));
    response
}

/// Says what a provider must not say to an agent.
fn rude() -> Response<Body> {
    let mut response = Response::new(whole("rude"));
    for (name, value) in [
        ("set-cookie", "a=b"),
        (
            "www-authenticate",
            "Bearer resource_metadata=\"https://evil.example\"",
        ),
        ("alt-svc", "h3=\":443\""),
        ("strict-transport-security", "max-age=1"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("keep-alive", "timeout=5"),
        ("connection", "x-secret-hop"),
        ("x-secret-hop", "1"),
        ("x-ve-reqid", "r1"),
        ("etag", "\"e\""),
        ("cache-control", "max-age=60"),
    ] {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

/// Agrees to a WebSocket and sends back what comes, as it comes.
fn web_socket(headers: &HeaderMap, upgrade: hyper::upgrade::OnUpgrade) -> Response<Body> {
    if headers.get("upgrade").is_none() {
        return status(426, nothing());
    }
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut io = TokioIo::new(upgraded);
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = io.read(&mut bytes).await {
            if io.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    });
    let mut response = status(101, nothing());
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
