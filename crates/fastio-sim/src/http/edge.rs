//! The edge: where connections come in, faults strike and envelopes are written.
//!
//! A fault may close the connection without a byte of answer. No middleware can do that, so the
//! edge is a hyper service of its own: an error returned from it makes hyper drop the connection.
//!
//! The work on a request runs in its own task, not in the connection's. A client that is killed
//! after its request arrived must find the request carried out, as at any real server; were the work
//! part of the connection, hyper would cancel it when the client's end of the socket closes.
//!
//! Most bodies are read whole before the work begins, for the kind of a request may stand in its
//! body. Those that may be of any size ([`streams`]) go to the handler as they come.

use axum::Router;
use axum::body::Body;
use axum::http::header::DATE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::clock::http_date;
use crate::http::course::Course;
use crate::http::envelope::{Occasion, Refusal, render};
use crate::http::fields::Fields;
use crate::http::limits;
use crate::http::site::SharedSite;
use crate::kind::Kind;
use crate::secret::random_node_id;
use crate::world::traffic::{Arrival, Verdict};

/// The largest body that is read: a small upload with room for its multipart frame.
const BODY_LIMIT: usize = 5 * 1024 * 1024;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulator closes this connection")]
pub(crate) struct Closed;

/// The place of a request in the log, for handlers to which the order of arrival matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived(pub(crate) u64);

/// Serves connections until its task is aborted; then they all end with it.
pub(crate) async fn serve(listener: TcpListener, site: SharedSite, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, site.clone(), router.clone()));
                }
                Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, site: SharedSite, router: Router) {
    // Streams are written event by event; each would wait 40 ms for the one before to be acknowledged.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection waits before it sends small pieces");
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let (site, router) = (site.clone(), router.clone());
        async move {
            let (parts, body) = request.into_parts();
            if streams(parts.uri.path()) {
                let body = Read {
                    known: Bytes::new(),
                    body: Body::new(body),
                };
                let work = tokio::spawn(async move { answer(&site, router, parts, body).await });
                return work.await.unwrap_or(Err(Closed));
            }
            let body = Limited::new(body, BODY_LIMIT).collect().await;
            let work = tokio::spawn(async move {
                match body {
                    Ok(body) => answer(&site, router, parts, Read::whole(body.to_bytes())).await,
                    Err(_) => Ok(too_large(&site, &parts)),
                }
            });
            work.await.unwrap_or(Err(Closed))
        }
    });
    let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    // Whoever sends the headers of a request and then nothing is not waited for.
    server.http1().timer(TokioTimer::new());
    let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Whether a body may be of any size, and therefore is not read before the work begins.
fn streams(path: &str) -> bool {
    path == "/blob"
        || path == "/current/sim/sink/"
        || path == "/current/upload/batch/"
        || (path.starts_with("/current/upload/") && path.ends_with("/stream/"))
}

/// A body, and as much of it as is known before the work.
struct Read {
    known: Bytes,
    body: Body,
}

impl Read {
    fn whole(bytes: Bytes) -> Self {
        Self {
            known: bytes.clone(),
            body: Body::from(bytes),
        }
    }
}

fn too_large(site: &SharedSite, parts: &Parts) -> Response {
    let occasion = Occasion {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        now: site.now(),
    };
    render(
        Refusal::TooLarge.into_response(),
        &site.world().knobs,
        &occasion,
    )
}

/// One request from arrival to answer.
async fn answer(
    site: &SharedSite,
    router: Router,
    parts: Parts,
    body: Read,
) -> Result<Response, Closed> {
    let method = parts.method.as_str().to_owned();
    let path = parts.uri.path().to_owned();
    let kind = Kind::of(&method, &path, &body.known);
    let releases = site.releases();
    let admission = {
        let mut world = site.world();
        let knobs = world.knobs.clone();
        let seen = world.sighting(&parts, site.now());
        let arrival = Arrival {
            method: &method,
            path: &path,
            kind,
            parameters: parameter_names(&parts, &body.known),
            seen,
            rpc: matches!(kind, Kind::Mcp | Kind::McpSse)
                .then(|| rpc(&body.known))
                .flatten(),
        };
        world.traffic.admit(arrival, &knobs, site.now())
    };
    site.note_activity();
    let mut course = Course {
        site,
        sequence: admission.sequence,
        kind,
        releases,
        in_body: None,
    };
    let response = match admission.verdict {
        Verdict::Limited => Refusal::RateLimited.into_response(),
        Verdict::Proceed(fault) => {
            let mut request = Request::from_parts(parts, body.body);
            request.extensions_mut().insert(Arrived(admission.sequence));
            course.run(fault, request, router).await?
        }
    };
    let (knobs, now) = (site.world().knobs.clone(), site.now());
    let mut response = render(
        response,
        &knobs,
        &Occasion {
            method: &method,
            path: &path,
            now,
        },
    );
    let headers = response.headers_mut();
    if !matches!(kind, Kind::Consent | Kind::Unknown) {
        limits::write(headers, admission.limit, knobs.limit_header_names, now);
    }
    if let Ok(value) = HeaderValue::from_str(&random_node_id()) {
        headers.insert("x-ve-reqid", value);
    }
    // Else hyper stamps the machine's time, and a client that compares clocks sees another one than tokens live by.
    if let Ok(value) = HeaderValue::from_str(&http_date(now)) {
        headers.insert(DATE, value);
    }
    Ok(course.send_off(response))
}

/// The names of all parameters, sorted. A multipart or JSON body has none that could be told here.
fn parameter_names(parts: &Parts, body: &[u8]) -> Vec<String> {
    let encoded = parts.headers.get("content-type").is_none_or(|value| {
        value
            .as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    let query = Fields::of_query(&parts.uri);
    let form = if encoded {
        Fields::parse(body)
    } else {
        Fields::default()
    };
    let mut names: Vec<String> = query
        .names()
        .chain(form.names())
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// The JSON-RPC method of a message to the MCP server and, for a call, the tool.
fn rpc(body: &[u8]) -> Option<String> {
    let message: serde_json::Value = serde_json::from_slice(body).ok()?;
    let method = message["method"].as_str()?;
    Some(match message["params"]["name"].as_str() {
        Some(tool) => format!("{method} {tool}"),
        None => method.to_owned(),
    })
}
