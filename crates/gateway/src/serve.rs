//! The accept loop, and one connection.
//!
//! Facts about a connection are told once, before its first request is answered: whose socket the
//! other end is. Everything that a connection can hold is bounded, and other users of the machine
//! have a small bound of their own, so that they cannot keep its owner out.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use doorward_broker::Handle;
use doorward_core::problem::{Code, Refusal};
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONNECTION, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service as _;

use crate::ask::Gate;
use crate::failure::{self, Failure};
use crate::guard::{self, Names};
use crate::pace::{Pace, Paced, Seen};
use crate::pass::Streams;
use crate::peer::{self, Peer};
use crate::route::mcp::Memory;
use crate::routes;
use crate::workers::Workers;

/// How many connections may be open: hundreds of agents with a pool each, and far from the number
/// of files that a process may have open.
const MOST_CONNECTIONS: usize = 1024;
/// How many of them may be of other users, who are told that they may not call.
const MOST_STRANGERS: usize = 16;
/// How long requests under way may take when the gateway stops.
const GRACE: Duration = Duration::from_secs(5);
/// The largest head of a request that goes on to a provider, which has limits of its own; and as much of a body is read
/// at once.
const MOST_HEAD: usize = 128 * 1024;
/// The most headers of such a request. More than these the HTTP library would allocate room for at each request.
const MOST_HEADERS: usize = 100;
/// As many WebSockets as half of all connections.
const MOST_TUNNELS: usize = MOST_CONNECTIONS / 2;
/// After an accept that failed, which is out of files most times, a moment for some to be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections of a worker share.
struct Site {
    gate: Arc<Gate>,
    names: Names,
    router: Router,
    strangers: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

pub(crate) async fn serve(
    listeners: Vec<std::net::TcpListener>,
    port: u16,
    handle: Handle,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let listeners = listeners
        .into_iter()
        .map(into_async)
        .collect::<io::Result<Vec<_>>>()?;
    let (stop, stopping) = watch::channel(false);
    let mcp = Arc::<Memory>::default();
    let tunnels = Arc::new(Semaphore::new(MOST_TUNNELS));
    let strangers = Arc::new(Semaphore::new(MOST_STRANGERS));
    let site = |handle| {
        let gate = Arc::new(Gate {
            handle,
            mcp: Arc::clone(&mcp),
            stopping: stopping.clone(),
            tunnels: Arc::clone(&tunnels),
        });
        Site {
            router: routes::router(Arc::clone(&gate)),
            gate,
            names: Names::of_port(port),
            strangers: Arc::clone(&strangers),
            stopping: stopping.clone(),
        }
    };
    let workers = Arc::new(Workers::start(&handle, site)?);
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut loops = JoinSet::new();
    for listener in listeners {
        loops.spawn(accept(listener, Arc::clone(&workers), Arc::clone(&places)));
    }
    shutdown.await;
    loops.shutdown().await;
    // Nobody listens to the end of a gateway without connections.
    let _ = stop.send(true);
    let everybody = u32::try_from(MOST_CONNECTIONS).unwrap_or(u32::MAX);
    if tokio::time::timeout(GRACE, places.acquire_many(everybody))
        .await
        .is_err()
    {
        tracing::warn!("the gateway stops while requests are under way");
    }
    Ok(())
}

fn into_async(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Accepts while there is a place; who comes later waits in the kernel's queue.
async fn accept(listener: TcpListener, workers: Arc<Workers<Site>>, places: Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, remote)) => match stream.into_std() {
                Ok(stream) => workers.give(|site| converse(stream, remote, site, place)),
                Err(error) => tracing::debug!(%error, "a connection went away at once"),
            },
            Err(error) => {
                tracing::warn!(%error, "the gateway could not accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(
    stream: std::net::TcpStream,
    remote: SocketAddr,
    site: Arc<Site>,
    _place: OwnedSemaphorePermit,
) {
    let Ok(stream) = TcpStream::from_std(stream) else {
        return;
    };
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // Answers are written whole; waiting for more to send would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection went away at once");
        return;
    }
    let peer = Peer { local, remote };
    let refused = refusal_of(peer).await;
    let _stranger = match &refused {
        Some(_) => match Arc::clone(&site.strangers).try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) => return,
        },
        None => None,
    };
    let pace = Arc::new(Pace::new());
    let io = TokioIo::new(Paced {
        stream,
        pace: Arc::clone(&pace),
    });
    let service = service_fn(|request| {
        pace.request_began();
        answer(&site, &pace, peer, refused.as_ref(), request)
    });
    let connection = http1::Builder::new()
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_HEADERS)
        .header_read_timeout(None)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut watched = pin!(pace.watch(&site.stopping));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            seen = &mut watched, if !is_stopping => match seen {
                Seen::Overdue => {
                    tracing::debug!("a slow connection was cut off");
                    return;
                }
                // What is under way is answered; the gateway waits for it only so long.
                Seen::Stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Why a peer may not call, if it may not.
async fn refusal_of(peer: Peer) -> Option<Refusal> {
    // Reading the kernel's table takes as long as there are sockets.
    let told = tokio::task::spawn_blocking(move || peer::uid_of(peer)).await;
    match told {
        Ok(Ok(uid)) if uid == rustix::process::geteuid().as_raw() => return None,
        Ok(Ok(uid)) => tracing::warn!(uid, "another user tried the gateway"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a caller was refused: whose it is cannot be told");
        }
        Err(error) => tracing::error!(%error, "a caller was refused: telling whose it is failed"),
    }
    Some(Refusal::new(
        Code::PeerNotAllowed,
        "This Doorward belongs to another user of this machine.",
        "Start one of your own: `doorward serve --port N`.",
    ))
}

/// Answers one request: always, and always with the headers that every answer carries.
async fn answer(
    site: &Site,
    pace: &Arc<Pace>,
    peer: Peer,
    refused: Option<&Refusal>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let passed = match refused {
        Some(refusal) => Err(refusal.clone()),
        None => site.names.check(request.uri(), request.headers()),
    };
    let mut response = match passed {
        Ok(()) if !guard::passes_through(request.uri().path()) && is_long(&request) => too_long(),
        Ok(()) => routed(site, pace, peer, request).await,
        Err(refusal) => {
            tracing::debug!(code = %refusal.code, "a request did not pass the guard");
            site.gate.handle.count_refusal(None, refusal.code);
            failure::render(
                Failure::from(refusal),
                request.uri().path(),
                request.headers(),
            )
        }
    };
    if response.extensions_mut().remove::<Streams>().is_none() {
        harden(&mut response, refused.is_some());
        pace.request_answered();
    }
    Ok(response)
}

/// The largest head of a request to Doorward itself: a key, a resource and what HTTP clients add fit many times.
const MOST_OWN_HEAD: usize = 16 * 1024;
/// The most headers of such a request.
const MOST_OWN_HEADERS: usize = 64;

fn is_long(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    let length = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    headers.len() > MOST_OWN_HEADERS
        || headers.iter().map(length).sum::<usize>() > MOST_OWN_HEAD
        || request.uri().path().len() > MOST_OWN_HEAD
        || request
            .uri()
            .query()
            .is_some_and(|query| query.len() > MOST_OWN_HEAD)
}

fn too_long() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

async fn routed(
    site: &Site,
    pace: &Arc<Pace>,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Response {
    let speaks_oauth = failure::speaks_oauth(request.uri().path());
    if guard::passes_through(request.uri().path()) {
        request.extensions_mut().insert(Arc::clone(pace));
    }
    request.extensions_mut().insert(peer);
    let mut router = site.router.clone();
    caught(async move { router.call(request).await }, speaks_oauth).await
}

/// A defect of ours is an answer too: a caller that hangs cannot act on anything.
async fn caught(
    route: impl Future<Output = Result<Response, Infallible>>,
    speaks_oauth: bool,
) -> Response {
    match AssertUnwindSafe(route).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => {
            tracing::error!("a route panicked");
            let path = if speaks_oauth { "/oauth/" } else { "/" };
            failure::render(
                Failure::from(failure::internal()),
                path,
                &http::HeaderMap::new(),
            )
        }
    }
}

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

fn harden(response: &mut Response, is_stranger: bool) {
    let is_unread = matches!(
        response.status(),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
    );
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CROSS_ORIGIN_RESOURCE_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    if is_stranger || is_unread {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered() {
        for (speaks_oauth, kind) in [
            (false, "application/problem+json"),
            (true, "application/json"),
        ] {
            let response = caught(async { panic!("a test of panics") }, speaks_oauth).await;
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(response.headers()[http::header::CONTENT_TYPE], kind);
        }
    }
}
