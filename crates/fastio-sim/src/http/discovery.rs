//! The two well-known documents, RFC 8414 and RFC 9728.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::http::envelope::Refusal;
use crate::http::site::SharedSite;
use crate::knobs::{ClientDocuments, Presence, Registration, WellKnown};
use crate::scope::ScopeType;
use crate::world::clients::ClientAuthentication;

pub(crate) async fn authorization_server(State(site): State<SharedSite>, uri: Uri) -> Response {
    let knobs = site.world().knobs.clone();
    if !is_served(&uri, knobs.well_known) {
        return Refusal::UnknownRoute.into_response();
    }
    let at = |path: &str| format!("{}/current/oauth/{path}", site.origin());
    let mut document = json!({
        "issuer": site.issuer(&knobs),
        "authorization_endpoint": at("authorize/"),
        "token_endpoint": at("token/"),
        "revocation_endpoint": at("revoke/"),
        "scopes_supported": ScopeType::ALL.map(ScopeType::as_str),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ClientAuthentication::NAMES,
        "revocation_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported":
            knobs.issuer_in_redirect == Presence::Present,
    });
    if knobs.registration == Registration::Open {
        document["registration_endpoint"] = at("register/").into();
    }
    if knobs.client_documents == ClientDocuments::Fetched {
        document["client_id_metadata_document_supported"] = true.into();
    }
    Json(document).into_response()
}

pub(crate) async fn protected_resource(State(site): State<SharedSite>, uri: Uri) -> Response {
    let knobs = site.world().knobs.clone();
    if !is_served(&uri, knobs.well_known) {
        return Refusal::UnknownRoute.into_response();
    }
    Json(json!({
        "resource": site.api_base(),
        "authorization_servers": [site.issuer(&knobs)],
        "scopes_supported": ScopeType::ALL.map(ScopeType::as_str),
        "bearer_methods_supported": ["header"],
        "resource_name": "Fast.io API",
    }))
    .into_response()
}

fn is_served(uri: &Uri, well_known: WellKnown) -> bool {
    uri.path().ends_with('/') || well_known == WellKnown::Both
}
