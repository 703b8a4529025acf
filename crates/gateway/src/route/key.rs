//! A caller's own key: ending it (RFC 7009) and reading what it opens (RFC 7662).
//!
//! Neither tells anything about any other key, not even whether there is one.

use axum::body::Body;
use axum::response::Response;
use doorward_core::decide::serving::Caller;
use doorward_core::time::Timestamp;
use serde::Serialize;

use crate::ask::Call;
use crate::failure::Failure;

/// `POST /oauth/revoke`
pub(crate) async fn revoke(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    let form = call.form().await?;
    call.gate
        .handle
        .revoke_key(caller, form.require("token")?)
        .await?;
    Ok(Response::new(Body::empty()))
}

/// RFC 7662 §2.2.
#[derive(Serialize)]
struct Introspected<'a> {
    active: bool,
    client_id: String,
    client_name: &'a str,
    token_type: &'static str,
    scope: &'a str,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
}

#[derive(Serialize)]
struct Inactive {
    active: bool,
}

/// `POST /oauth/introspect`
pub(crate) async fn introspect(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    let form = call.form().await?;
    match call.gate.handle.introspect(caller, form.require("token")?) {
        None => super::json(&Inactive { active: false }),
        Some(own) => super::json(&Introspected {
            active: true,
            client_id: own.client_id.to_string(),
            client_name: own.name.as_str(),
            token_type: "Bearer",
            scope: &own.scope,
            iat: own.issued_at.as_secs(),
            exp: own.expires_at.map(Timestamp::as_secs),
        }),
    }
}
