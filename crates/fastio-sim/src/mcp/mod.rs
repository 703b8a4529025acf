//! Fast.io's MCP server, at the simulator's own port.
//!
//! Everything that a tool does goes through the REST handlers, in the name of whoever called: the two
//! doors cannot disagree about what a credential may do. What stands here is the rest of it: which
//! tools there are, who is asked to sign in and how, and the side channels for bytes.

mod answer;
mod calling;
mod catalogue;
mod confirming;
pub(crate) mod examples;
mod inside;
mod menu;
mod operations;
mod own;
mod resources;
mod server;
mod side;
mod sse;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::http::site::{SharedSite, Site, bearer};
use crate::knobs::{McpAnonymous, McpAuthFailure};
use crate::mcp::inside::Inside;
use crate::mcp::server::Fastio;
use crate::world::clients::PREREGISTERED;
use crate::world::ledger::Credential;
use crate::world::{SecretKind, World};

/// The door that a client came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// `/mcp` and `/sse`: the tools follow the client's name, and signing in is done by a tool.
    Open,
    /// `/mcp/tools`: named tools, a credential with each request.
    Tools,
    /// `/mcp/code`: code mode, a credential with each request.
    Code,
    /// `/mcp/key`: as `/mcp`, with an API key in each request and without OAuth.
    Key,
    /// `/mcp/oauth`: as `/mcp`, with a credential in each request.
    OAuth,
}

/// How long before its end a session's access token is renewed.
const RENEWED_BEFORE: Duration = Duration::minutes(5);

/// The sessions of all entrances over Streamable HTTP.
pub(crate) type Sessions = Arc<LocalSessionManager>;

/// What the side channels need.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) site: SharedSite,
    pub(crate) sessions: Sessions,
    pub(crate) legacy: sse::Sessions,
}

/// Every path of the MCP server. `api` is the API, for requests from the inside.
pub(crate) fn routes(site: &SharedSite, api: Router) -> Router<SharedSite> {
    let inside = Inside {
        site: site.clone(),
        api,
    };
    let sessions = Sessions::default();
    let legacy = sse::Sessions::default();
    let bytes = Side {
        site: site.clone(),
        sessions: sessions.clone(),
        legacy: legacy.clone(),
    };
    let entrances = [
        ("/mcp", Entrance::Open),
        ("/mcp/tools", Entrance::Tools),
        ("/mcp/code", Entrance::Code),
        ("/mcp/key", Entrance::Key),
        ("/mcp/oauth", Entrance::OAuth),
    ];
    let mut router = Router::new();
    for (path, entrance) in entrances {
        let server = Fastio {
            inside: inside.clone(),
            entrance,
        };
        // A test may reach the simulator by any name, so every `Host` is served.
        let config = StreamableHttpServerConfig::default().disable_allowed_hosts();
        let service =
            StreamableHttpService::new(move || Ok(server.clone()), sessions.clone(), config);
        let guarded =
            Router::new()
                .route_service(path, service)
                .layer(middleware::from_fn_with_state(
                    (site.clone(), entrance),
                    guard,
                ));
        router = router.merge(guarded);
    }
    router
        .merge(sse::routes(site, inside, legacy))
        .merge(side_routes(bytes))
}

fn side_routes(side: Side) -> Router<SharedSite> {
    Router::new()
        .route("/blob", post(side::leave))
        .route("/file/{kind}/{id}/{node}", get(side::fetch))
        .route("/file/fileshare/{id}", get(side::fetch_link))
        .with_state(side)
}

/// Turns away who has no credential where one is needed, and, unless a knob has it told otherwise,
/// who has a bad one.
async fn guard(
    State((site, entrance)): State<(SharedSite, Entrance)>,
    request: Request,
    next: Next,
) -> Response {
    match challenge(&site, entrance, request.headers()) {
        Some(challenge) => challenge,
        None => next.run(request).await,
    }
}

fn challenge(site: &Site, entrance: Entrance, headers: &HeaderMap) -> Option<Response> {
    let (anonymous, failure) = {
        let knobs = &site.world().knobs;
        (knobs.mcp_anonymous, knobs.mcp_auth_failure)
    };
    let metadata = format!(
        "resource_metadata=\"{}/.well-known/oauth-protected-resource/\"",
        site.origin()
    );
    let holder = bearer(headers).map(|token| site.holder(token));
    let text = match (entrance, holder) {
        (Entrance::Open, None) if anonymous == McpAnonymous::Allowed => return None,
        (Entrance::Key, None) => "Bearer".to_owned(),
        (Entrance::Key, Some(Ok(caller))) if caller.credential != Credential::ApiKey => {
            "Bearer error=\"invalid_token\"".to_owned()
        }
        (Entrance::Key, Some(Err(_))) if failure == McpAuthFailure::Http401 => {
            "Bearer error=\"invalid_token\"".to_owned()
        }
        (_, None) => format!("Bearer {metadata}"),
        (_, Some(Err(_))) if failure == McpAuthFailure::Http401 => {
            format!("Bearer error=\"invalid_token\", {metadata}")
        }
        (_, Some(_)) => return None,
    };
    let body = json!({ "error": "invalid_token", "error_description": "Sign in to use this." });
    let mut response = (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response();
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    Some(response)
}

impl Site {
    /// The credential that a session got by the `auth` tool. An access token is renewed where less than
    /// five minutes of it are left; the real server does so by an alarm, here it happens at the next use.
    pub(crate) fn signed_in(&self, session: &str) -> Option<String> {
        let now = self.now();
        let mut world = self.world();
        world.renew_session(session, now);
        world.desk.session(session)?.token.clone()
    }

    /// When a credential ends by itself.
    pub(crate) fn end_of(&self, token: &str) -> Option<OffsetDateTime> {
        let now = self.now();
        let world = self.world();
        match world.keys.find(token, now) {
            Some(key) => key.expires_at,
            None => world.ledger.end_of(token),
        }
    }
}

impl World {
    fn renew_session(&mut self, id: &str, now: OffsetDateTime) {
        let Some(session) = self.desk.session(id).cloned() else {
            return;
        };
        let (Some(token), Some(refresh)) = (session.token, session.refresh) else {
            return;
        };
        let ends_soon = self
            .ledger
            .end_of(&token)
            .is_none_or(|end| end - RENEWED_BEFORE <= now);
        if !ends_soon && self.ledger.caller(&token, &self.knobs, now).is_ok() {
            return;
        }
        let renewed = self
            .ledger
            .refresh(&refresh, PREREGISTERED, None, &self.knobs, now);
        let Ok(issued) = renewed else {
            let session = self.desk.session_mut(id);
            session.refresh = None;
            session.refresh_refused = true;
            return;
        };
        self.note_secret(SecretKind::AccessToken, &issued.access_token);
        let refresh = issued.refresh_token.unwrap_or(refresh);
        self.note_secret(SecretKind::RefreshToken, &refresh);
        let session = self.desk.session_mut(id);
        session.token = Some(issued.access_token);
        session.refresh = Some(refresh);
    }
}
