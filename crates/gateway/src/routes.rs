//! The one table of routes. The router, the answers about wrong methods and the tests are made
//! from it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, any, on};
use doorward_core::decide::serving::Caller;
use doorward_core::problem::{Code, Refusal};
use http::Method;
use http::header::AUTHORIZATION;

use crate::ask::{Call, Gate};
use crate::failure::{self, Failure};
use crate::{guard, route};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Any program of this user.
    Open,
    /// Who shows an agent key.
    Keyed,
}

/// A route.
#[derive(Clone, Debug)]
pub struct RouteInfo {
    /// Its method. `GET` answers `HEAD` too.
    pub method: Method,
    /// Whether it takes every other method as well.
    pub any_method: bool,
    /// Its path; `{name}` stands for one segment, `{*path}` for what follows.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

macro_rules! table {
    ($($method:ident $path:literal $access:ident $handler:path;)+) => {
        const ROUTES: &[RouteInfo] = &[$(
            RouteInfo {
                method: method!($method),
                any_method: is_any!($method),
                path: $path,
                access: access!($access),
            },
        )+];

        fn mount(router: Router<Arc<Gate>>) -> Router<Arc<Gate>> {
            router$(.route($path, taking!($method mounted!($access $path $handler))))+
        }
    };
}

macro_rules! method {
    (ANY) => {
        Method::GET
    };
    ($method:ident) => {
        Method::$method
    };
}

macro_rules! taking {
    (ANY $handler:expr) => {
        any($handler)
    };
    ($method:ident $handler:expr) => {
        on(MethodFilter::$method, $handler)
    };
}

macro_rules! is_any {
    (ANY) => {
        true
    };
    ($method:ident) => {
        false
    };
}

macro_rules! access {
    (Ticketed) => {
        Access::Keyed
    };
    ($access:ident) => {
        Access::$access
    };
}

/// A handler behind what its access asks. That is the whole difference between `Open` and `Keyed`,
/// and a keyed handler cannot be mounted as an open one: it takes the caller.
macro_rules! mounted {
    (Open $path:literal $handler:path) => {
        |State(gate): State<Arc<Gate>>, request: Request| async move {
            let mut call = Call::new(gate, request);
            let answer = $handler(&mut call).await;
            finish($path, &call, answer)
        }
    };
    (Keyed $path:literal $handler:path) => {
        |State(gate): State<Arc<Gate>>, request: Request| async move {
            let mut call = Call::new(gate, request);
            let (caller, answer) = match guard::caller(&call.gate.handle, &call.head.headers) {
                Ok(caller) => {
                    let answer = $handler(&mut call, &caller).await;
                    (Some(caller), answer)
                }
                Err(refusal) => (None, Err(Failure::from(refusal))),
            };
            count(&call, caller.as_ref(), &answer);
            finish($path, &call, answer)
        }
    };
    // Keyed, but that a request without a key may show a one-time token of a provider instead.
    (Ticketed $path:literal $handler:path) => {
        |State(gate): State<Arc<Gate>>, request: Request| async move {
            let mut call = Call::new(gate, request);
            let shown = if call.head.headers.contains_key(AUTHORIZATION) {
                guard::caller(&call.gate.handle, &call.head.headers).map(Some)
            } else {
                Ok(None)
            };
            let (caller, answer) = match shown {
                Ok(caller) => {
                    let answer = $handler(&mut call, caller.as_ref()).await;
                    (caller, answer)
                }
                Err(refusal) => (None, Err(Failure::from(refusal))),
            };
            count(&call, caller.as_ref(), &answer);
            finish($path, &call, answer)
        }
    };
}

table! {
    GET "/healthz" Open route::health::tell;
    GET "/metrics" Keyed route::metrics::show;

    GET "/v1/connections" Keyed route::connections::list;
    GET "/v1/events" Keyed route::events::stream;
    GET "/v1/token" Keyed route::token::hand;
    POST "/v1/token/rejected" Keyed route::token::rejected;

    POST "/oauth/register" Open route::register::register;
    POST "/oauth/device_authorization" Open route::pair::ask;
    GET "/oauth/device" Open route::page::show;
    POST "/oauth/token" Open route::pair::fetch;
    POST "/oauth/revoke" Keyed route::key::revoke;
    POST "/oauth/introspect" Keyed route::key::introspect;

    GET "/.well-known/oauth-protected-resource" Open route::discovery::resource;
    GET "/.well-known/oauth-protected-resource/mcp/{name}" Open route::discovery::mcp_resource;
    GET "/.well-known/oauth-authorization-server" Open route::discovery::server;

    ANY "/proxy/{name}/" Ticketed route::proxy::forward;
    ANY "/proxy/{name}/{*path}" Ticketed route::proxy::forward;

    POST "/mcp/{name}" Keyed route::mcp::post;
    GET "/mcp/{name}" Keyed route::mcp::listen;
    DELETE "/mcp/{name}" Keyed route::mcp::end;
    POST "/mcp/{name}/blob" Keyed route::mcp::blob;
    GET "/mcp/{name}/file/{*path}" Keyed route::mcp::file;
    GET "/sse/{name}" Keyed route::mcp::listen_sse;
    POST "/sse/{name}/message" Keyed route::mcp::post_sse;
    GET "/reconnect/{id}" Open route::reconnect::show;

    // Later: /oauth/authorize.
}

/// Every route.
#[must_use]
pub fn routes() -> &'static [RouteInfo] {
    ROUTES
}

pub(crate) fn router(gate: Arc<Gate>) -> Router {
    mount(Router::new())
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .with_state(gate)
}

fn count(call: &Call, caller: Option<&Caller>, answer: &Result<Response, Failure>) {
    if let Err(Failure::Refused(refusal) | Failure::Unknown(refusal)) = answer {
        call.gate.handle.count_refusal(caller, refusal.code);
    }
}

fn finish(route: &'static str, call: &Call, answer: Result<Response, Failure>) -> Response {
    match answer {
        Ok(response) => {
            tracing::trace!(route, "answered");
            response
        }
        Err(failure) => {
            let response = failure::render(failure, call.head.uri.path(), &call.head.headers);
            tracing::debug!(route, status = response.status().as_u16(), "refused");
            response
        }
    }
}

/// Clients probe the addresses of OAuth metadata to learn what there is, and a 401 there would
/// send them round in circles. Everywhere else, who has no key learns nothing about addresses.
fn tells_strangers(path: &str) -> bool {
    path.starts_with("/.well-known/") || failure::speaks_oauth(path)
}

async fn nothing_here(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let is_open = tells_strangers(request.uri().path());
    refuse(&gate, &request, is_open, route_unknown)
}

/// The refusal of an address that there is nothing at.
pub(crate) fn route_unknown() -> Refusal {
    Refusal::new(
        Code::RouteUnknown,
        "There is nothing at this address.",
        "docs/AGENTS-API.md lists the routes. Check the path, and the version of Doorward.",
    )
}

async fn other_method(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let matched = request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str);
    let own: Vec<_> = ROUTES
        .iter()
        .filter(|route| Some(route.path) == matched)
        .collect();
    let is_open = own.iter().any(|route| route.access == Access::Open);
    let methods: Vec<_> = own.iter().map(|route| route.method.as_str()).collect();
    refuse(&gate, &request, is_open, || {
        Refusal::new(
            Code::MethodNotAllowed,
            "This address does not take that method.",
            format!("Use {}.", methods.join(" or ")),
        )
    })
}

fn refuse(
    gate: &Gate,
    request: &Request,
    is_open: bool,
    why: impl FnOnce() -> Refusal,
) -> Response {
    let headers = request.headers();
    let caller = if is_open {
        Ok(None)
    } else {
        guard::caller(&gate.handle, headers).map(Some)
    };
    let (caller, refusal) = match caller {
        Ok(caller) => (caller, why()),
        Err(refusal) => (None, refusal),
    };
    gate.handle.count_refusal(caller.as_ref(), refusal.code);
    failure::render(Failure::from(refusal), request.uri().path(), headers)
}
