//! The side channels: bytes that would not fit into a tool's arguments or its result.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, Limited};
use rmcp::transport::streamable_http_server::session::SessionManager as _;
use serde_json::json;

use crate::http::account::reach;
use crate::http::call::Place;
use crate::http::downloads::serve;
use crate::http::envelope::Refusal;
use crate::http::fields::Fields;
use crate::http::fileshares::{Guest, link_password};
use crate::http::site::bearer;
use crate::mcp::Side;
use crate::scope::Mode;
use crate::world::ledger::Caller;

/// The largest blob.
const BLOB_LIMIT: usize = 100 * 1024 * 1024;

/// `POST /blob`.
pub(crate) async fn leave(
    State(side): State<Side>,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<Response, Refusal> {
    if !side.knows(&headers, &uri).await {
        side.bearer(&headers)?;
    }
    let bytes = Limited::new(body, BLOB_LIMIT)
        .collect()
        .await
        .map_err(|_| Refusal::TooLarge)?
        .to_bytes();
    let length = bytes.len();
    let now = side.site.now();
    let id = side.site.world().desk.leave_blob(bytes, now);
    Ok((
        StatusCode::CREATED,
        Json(json!({ "blob_id": id, "size": length })),
    )
        .into_response())
}

/// `GET /file/{workspace|share}/{id}/{node}`.
pub(crate) async fn fetch(
    State(side): State<Side>,
    Path((kind, id, node)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if !matches!(kind.as_str(), "workspace" | "share") {
        return Err(Refusal::UnknownRoute);
    }
    let caller = side.caller(&headers)?;
    let place = Place {
        id,
        is_share: kind == "share",
    };
    let content = reach(&side.site.world(), &caller, &place, Mode::Read)?
        .content(&node)
        .ok_or(Refusal::NotFound("file"))?;
    Ok(serve(content, &method, &headers))
}

/// `GET /file/fileshare/{id}`. A password goes in `x-ve-password`.
pub(crate) async fn fetch_link(
    State(side): State<Side>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let guest = Guest {
        caller: Some(side.caller(&headers)?),
        password: link_password(&headers),
    };
    let content = guest.content(&side.site.world(), &id)?;
    Ok(serve(content, &method, &headers))
}

impl Side {
    /// Who calls: the holder of a bearer or, without one, of the credential of a session.
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        if let Some(token) = bearer(headers) {
            return self.site.holder(token);
        }
        let token = self.session_token(headers).ok_or(Refusal::Anonymous)?;
        self.site.holder(&token)
    }

    /// Whether a request names a session of either transport.
    async fn knows(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let Some(id) = session(headers) else {
            return false;
        };
        if Fields::of_query(uri).get("transport") == Some("sse") {
            return self.legacy.has(id);
        }
        let id = id.to_owned().into();
        self.sessions.has_session(&id).await.unwrap_or(false)
    }

    fn bearer(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = bearer(headers).ok_or(Refusal::Anonymous)?;
        self.site.holder(token).map(|_| ())
    }

    fn session_token(&self, headers: &HeaderMap) -> Option<String> {
        self.site.signed_in(session(headers)?)
    }
}

fn session(headers: &HeaderMap) -> Option<&str> {
    headers.get("mcp-session-id")?.to_str().ok()
}
