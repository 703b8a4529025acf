//! What Doorward says of itself as an OAuth server (RFC 8414) and as a protected resource
//! (RFC 9728).
//!
//! Clients compare the addresses in these answers with the one they asked, so all of them follow
//! the `Host` that the client used and the guard has checked. Only what exists is advertised. For
//! any well-formed name the answer is the same: who has shown no key does not learn which
//! connections there are.

use axum::response::Response;
use doorward_core::name::Name;
use serde::Serialize;

use crate::ask::Call;
use crate::failure::Failure;
use crate::routes::route_unknown;

/// RFC 8628 §3.4.
pub(crate) const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The grant types that there are.
pub(crate) const GRANT_TYPES: &[&str] = &[DEVICE_CODE_GRANT];

/// RFC 9728 §2.
#[derive(Serialize)]
struct Described<'a> {
    resource: &'a str,
    authorization_servers: [&'a str; 1],
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'static str,
}

/// `GET /.well-known/oauth-protected-resource`
pub(crate) async fn resource(call: &mut Call) -> Result<Response, Failure> {
    let base = call.base();
    describe(&base, &base)
}

/// `GET /.well-known/oauth-protected-resource/mcp/NAME`
pub(crate) async fn mcp_resource(call: &mut Call) -> Result<Response, Failure> {
    let path = call.head.uri.path();
    let name = path
        .rsplit_once('/')
        .and_then(|(_, name)| name.parse::<Name>().ok());
    let name = name.ok_or_else(route_unknown)?;
    let base = call.base();
    describe(&base, &format!("{base}/mcp/{name}"))
}

fn describe(base: &str, resource: &str) -> Result<Response, Failure> {
    super::json(&Described {
        resource,
        authorization_servers: [base],
        bearer_methods_supported: ["header"],
        resource_name: "Doorward",
    })
}

/// RFC 8414 §2. `response_types_supported` is required, and there are none while the only grant
/// goes without an authorization endpoint.
#[derive(Serialize)]
struct Server {
    issuer: String,
    token_endpoint: String,
    device_authorization_endpoint: String,
    registration_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    response_types_supported: [&'static str; 0],
    grant_types_supported: &'static [&'static str],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
}

/// `GET /.well-known/oauth-authorization-server`
pub(crate) async fn server(call: &mut Call) -> Result<Response, Failure> {
    let issuer = call.base();
    let endpoint = |name: &str| format!("{issuer}/oauth/{name}");
    super::json(&Server {
        token_endpoint: endpoint("token"),
        device_authorization_endpoint: endpoint("device_authorization"),
        registration_endpoint: endpoint("register"),
        revocation_endpoint: endpoint("revoke"),
        introspection_endpoint: endpoint("introspect"),
        response_types_supported: [],
        grant_types_supported: GRANT_TYPES,
        token_endpoint_auth_methods_supported: ["none"],
        // The client itself is public in both; what is checked is the key it shows.
        revocation_endpoint_auth_methods_supported: ["none"],
        introspection_endpoint_auth_methods_supported: ["Bearer"],
        issuer,
    })
}
