//! Fast.io over HTTP: the routes, and what stands around them.

pub(crate) mod account;
pub(crate) mod ai;
pub(crate) mod authorize;
pub(crate) mod batch;
pub(crate) mod call;
pub(crate) mod course;
pub(crate) mod discovery;
pub(crate) mod downloads;
pub(crate) mod edge;
pub(crate) mod envelope;
pub(crate) mod events;
pub(crate) mod fields;
pub(crate) mod fileshares;
pub(crate) mod imports;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod locks;
pub(crate) mod nodes;
pub(crate) mod places;
pub(crate) mod proving;
pub(crate) mod realtime;
pub(crate) mod registration;
pub(crate) mod sessions;
pub(crate) mod shelf;
pub(crate) mod site;
pub(crate) mod storage;
pub(crate) mod token;
pub(crate) mod transfers;
pub(crate) mod uploads;
pub(crate) mod web_uploads;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, delete, get, post};

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
        .route("/api/websocket/", get(realtime::socket))
        .nest("/current", api_routes())
        .fallback(async || Refusal::UnknownRoute)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        // The edge has bounded the body already.
        .layer(DefaultBodyLimit::disable())
        .with_state(site)
}

/// The second origin: somebody else, who takes whatever is brought.
pub(crate) fn stranger_router(site: SharedSite) -> Router {
    Router::new().fallback(proving::stranger).with_state(site)
}

fn api_routes() -> Router<SharedSite> {
    Router::new()
        .merge(sign_in_routes())
        .merge(account_routes())
        .merge(transfer_routes())
        .nest("/workspace/{id}", place_routes())
        .nest("/share/{id}", place_routes())
        .merge(shelf::routes())
        .merge(fileshares::routes())
        .merge(errand_routes())
        .merge(import_routes())
        .nest("/sim", proving_routes())
}

/// What mints, shows or ends credentials.
fn sign_in_routes() -> Router<SharedSite> {
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
        .route("/user/auth/", get(keys::sign_in))
        .route("/user/auth/check/", get(account::check))
        .route("/user/auth/sign-out/", post(keys::sign_out))
        .route("/user/auth/invalidate-all/", post(keys::invalidate_all))
        .route("/user/auth/keys/", get(keys::list))
        .route("/user/auth/key/", post(keys::create))
        .route(
            "/user/auth/key/{id}/",
            get(keys::details).post(keys::update).delete(keys::delete),
        )
        .route(
            "/user/auth/2factor/",
            get(keys::second_factor)
                .post(keys::change_second_factor)
                .delete(keys::change_second_factor),
        )
        .route(
            "/user/auth/2factor/{*rest}",
            any(keys::change_second_factor),
        )
}

fn account_routes() -> Router<SharedSite> {
    Router::new()
        .route("/user/me/details/", get(account::me))
        .route("/user/me/limits/", get(places::user_limits))
        .route("/user/{id}/details/", get(places::user))
        .route("/user/update/", post(places::update_user))
        .route("/users/search/", get(places::find_users))
        .route("/orgs/list/", get(account::orgs))
        .route("/org/create/", post(places::create_org))
        .route("/org/billing/plan/list/", get(places::plans))
        .route("/org/{id}/details/", get(account::org))
        .route("/org/{id}/update/", post(places::update_org))
        .route("/org/{id}/limits/", get(places::org_limits))
        .route("/org/{id}/billing/details/", get(places::org_billing))
        .route("/org/{id}/list/workspaces/", get(account::org_workspaces))
        .route("/org/{id}/list/shares/", get(places::org_shares))
        .route(
            "/org/{id}/create/workspace/",
            post(places::create_workspace),
        )
        .route("/workspaces/all/", get(account::workspaces))
        .route(
            "/workspace/{id}/list/shares/",
            get(places::workspace_shares),
        )
        .route("/workspace/{id}/create/share/", post(places::create_share))
        .route("/shares/all/", get(places::shares))
        .route("/share/{id}/delete/", delete(places::delete_share))
        .route("/find/", get(storage::find))
        .route("/ping/", get(account::ping))
        .route("/system/status/", get(account::system_status))
}

fn transfer_routes() -> Router<SharedSite> {
    Router::new()
        .route("/org/{id}/transfer/token/create/", post(transfers::create))
        .route("/org/{id}/transfer/token/list/", get(transfers::list))
        .route(
            "/org/{id}/transfer/token/{token}/",
            delete(transfers::delete),
        )
        .route("/org/transfer/claim/", post(transfers::claim))
}

/// What a workspace and a share have in common.
fn place_routes() -> Router<SharedSite> {
    Router::new()
        .route("/details/", get(places::details))
        .route("/update/", post(places::update))
        .route("/archive/", post(places::archive))
        .route("/unarchive/", post(places::unarchive))
        .route("/usage/", get(places::usage))
        .merge(storage_routes())
        .merge(ai_routes())
}

fn storage_routes() -> Router<SharedSite> {
    Router::new()
        .route("/storage/search/", get(storage::search))
        .route("/storage/recent/", get(storage::recent))
        .route("/storage/{node}/list/", get(storage::list))
        .route("/storage/{node}/details/", get(storage::details))
        .route("/storage/{node}/versions/", get(storage::versions))
        .route("/storage/{node}/checksum/", get(storage::checksum))
        .route("/storage/{node}/readnote/", get(storage::read_note))
        .route("/storage/{node}/preview/", get(storage::preview))
        .route("/storage/{node}/createfolder/", post(nodes::create_folder))
        .route("/storage/{node}/createnote/", post(nodes::create_note))
        .route("/storage/{node}/updatenote/", post(nodes::update_note))
        .route("/storage/{node}/addfile/", post(nodes::add_file))
        .route("/storage/{node}/update/", post(nodes::rename))
        .route("/storage/{node}/move/", post(nodes::move_node))
        .route("/storage/{node}/copy/", post(nodes::copy))
        .route("/storage/{node}/delete/", delete(nodes::delete))
        .route("/storage/{node}/restore/", post(nodes::restore))
        .route("/storage/{node}/purge/", delete(nodes::purge))
        .route(
            "/storage/{node}/versions/{version}/restore/",
            post(nodes::restore_version),
        )
        .route(
            "/storage/{node}/metadata/",
            get(nodes::metadata)
                .post(nodes::write_metadata)
                .delete(nodes::delete_metadata),
        )
        .route(
            "/storage/{node}/lock/",
            post(locks::acquire)
                .get(locks::status)
                .delete(locks::release),
        )
        .route("/storage/{node}/lock/heartbeat/", post(locks::heartbeat))
        .route("/storage/{node}/requestread/", get(downloads::request_read))
        .route("/storage/{node}/read/", get(downloads::read))
}

fn ai_routes() -> Router<SharedSite> {
    Router::new()
        .route("/ai/agent/", post(ai::start))
        .route("/ai/agent/list/", get(ai::list))
        .route("/ai/agent/{thread}/", delete(ai::delete))
        .route("/ai/agent/{thread}/details/", get(ai::details))
        .route("/ai/agent/{thread}/update/", post(ai::update))
        .route("/ai/agent/{thread}/publish/", post(ai::publish))
        .route("/ai/agent/{thread}/cancel/", post(ai::cancel))
        .route("/ai/agent/{thread}/message/", post(ai::message))
        .route("/ai/agent/{thread}/message/list/", get(ai::messages))
        .route(
            "/ai/agent/{thread}/message/{turn}/details/",
            get(ai::message_details),
        )
}

/// Uploads, imports from addresses, events and being told of changes.
fn errand_routes() -> Router<SharedSite> {
    Router::new()
        .route("/upload/", post(uploads::begin))
        .route("/upload/batch/", post(batch::upload))
        .route("/upload/list/", get(uploads::list))
        .route("/upload/limits/", get(uploads::limits))
        .route("/upload/{id}/", delete(uploads::cancel))
        .route("/upload/{id}/chunk/", post(uploads::chunk))
        .route("/upload/{id}/stream/", post(uploads::stream))
        .route("/upload/{id}/complete/", post(uploads::complete))
        .route("/upload/{id}/details/", get(uploads::details))
        .route(
            "/web_upload/",
            post(web_uploads::begin)
                .get(web_uploads::list)
                .delete(web_uploads::cancel),
        )
        .route("/web_upload/{id}/details/", get(web_uploads::details))
        .route("/events/search/", get(events::search))
        .route("/events/search/summarize/", get(events::summarize))
        .route("/event/{event}/details/", get(events::details))
        .route("/event/{event}/ack/", post(events::acknowledge))
        .route("/activity/poll/{entity}", get(realtime::poll))
        .route("/activity/poll/{entity}/", get(realtime::poll))
        .route("/websocket/auth/{entity}", get(realtime::ticket))
}

fn import_routes() -> Router<SharedSite> {
    let workspace = Router::new()
        .route("/", get(imports::overview))
        .route("/providers/", get(imports::providers))
        .route("/identities/", get(imports::list_identities))
        .route("/identities/provision/", post(imports::provision))
        .route("/identities/{identity}/", get(imports::identity))
        .route(
            "/identities/{identity}/revoke/",
            post(imports::revoke_identity),
        )
        .route("/sources/", get(imports::list_sources))
        .route("/sources/discover/", post(imports::discover))
        .route("/sources/create/", post(imports::create_source));
    let source = Router::new()
        .route("/", get(imports::source).delete(imports::delete_source))
        .route("/update/", post(imports::update_source))
        .route("/disconnect/", post(imports::disconnect))
        .route("/refresh/", post(imports::refresh))
        .route("/jobs/", get(imports::list_parts))
        .route("/writebacks/", get(imports::list_parts))
        .route("/jobs/{part}/cancel/", post(imports::change_part))
        .route("/writebacks/{part}/retry/", post(imports::change_part))
        .route("/writebacks/{part}/resolve/", post(imports::change_part))
        .route("/writebacks/{part}/cancel/", post(imports::change_part));
    Router::new()
        .nest("/imports/workspace/{id}/", workspace)
        .nest("/imports/details/{source}/", source)
}

fn proving_routes() -> Router<SharedSite> {
    Router::new()
        .route("/echo/", any(proving::echo))
        .route("/redirect/{status}/", any(proving::redirect))
        .route("/leaky/", any(proving::leaky))
        .route("/ticks/", get(proving::ticks))
        .route("/trailers/", get(proving::trailers))
        .route("/sink/", any(uploads::sink))
}
