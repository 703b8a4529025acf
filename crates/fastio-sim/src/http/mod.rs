//! Fast.io over HTTP: the routes, and what stands around them.

pub(crate) mod account;
pub(crate) mod authorize;
pub(crate) mod call;
pub(crate) mod course;
pub(crate) mod discovery;
pub(crate) mod downloads;
pub(crate) mod edge;
pub(crate) mod envelope;
pub(crate) mod fields;
pub(crate) mod limits;
pub(crate) mod registration;
pub(crate) mod sessions;
pub(crate) mod shelf;
pub(crate) mod site;
pub(crate) mod storage;
pub(crate) mod token;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::consent;
use crate::http::envelope::Refusal;
use crate::http::site::SharedSite;
use crate::mcp;

/// Every path that the simulator serves. Slashes at the end count, as they do at Fast.io.
pub(crate) fn router(site: SharedSite) -> Router {
    let authorization_server = get(discovery::authorization_server);
    let protected_resource = get(discovery::protected_resource);
    let api = Router::new()
        .nest("/current", api_routes())
        .fallback(async || Refusal::UnknownRoute)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(DefaultBodyLimit::disable())
        .with_state(site.clone());
    Router::new()
        .route("/.well-known/oauth-authorization-server", authorization_server.clone())
        .route("/.well-known/oauth-authorization-server/", authorization_server)
        .route("/.well-known/oauth-protected-resource", protected_resource.clone())
        .route("/.well-known/oauth-protected-resource/", protected_resource)
        .merge(consent::routes())
        .merge(mcp::routes(&site, api))
        .nest("/current", api_routes())
        .fallback(async || Refusal::UnknownRoute)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        // The edge has bounded the body already.
        .layer(DefaultBodyLimit::disable())
        .with_state(site)
}

fn api_routes() -> Router<SharedSite> {
    Router::new()
        .route(
            "/oauth/register/",
            post(registration::register).put(registration::update),
        )
        .route("/oauth/authorize/", get(authorize::start))
        .route("/oauth/authorize/info/", get(authorize::info))
        .route("/oauth/token/", post(token::token))
        .route("/oauth/revoke/", post(sessions::revoke))
        .route(
            "/oauth/sessions/",
            get(sessions::list).delete(sessions::delete_all),
        )
        .route(
            "/oauth/sessions/{id}/",
            get(sessions::details)
                .patch(sessions::update)
                .delete(sessions::delete_one),
        )
        .route("/auth/scopes/", get(account::scopes))
        .route("/user/auth/check/", get(account::check))
        .route("/user/me/details/", get(account::me))
        .route("/orgs/list/", get(account::orgs))
        .route("/org/{id}/details/", get(account::org))
        .route("/org/{id}/list/workspaces/", get(account::org_workspaces))
        .route("/workspaces/all/", get(account::workspaces))
        .route("/workspace/{id}/details/", get(account::workspace))
        .route("/workspace/{id}/storage/{node}/list/", get(storage::list))
        .route(
            "/workspace/{id}/storage/{node}/details/",
            get(storage::details),
        )
        .route(
            "/workspace/{id}/storage/{node}/requestread/",
            get(downloads::request_read),
        )
        .route("/workspace/{id}/storage/{node}/read/", get(downloads::read))
        .merge(shelf::routes())
        .route("/upload/", post(storage::upload))
        .route("/ping/", get(account::ping))
        .route("/system/status/", get(account::system_status))
}
