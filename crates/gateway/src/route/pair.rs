//! Pairing by device code (RFC 8628): an agent asks, polls, and fetches its key.

use axum::response::Response;
use doorward_broker::handle::PollAnswer;
use doorward_core::ids::AgentId;
use doorward_core::pairing::Wanted;
use doorward_core::problem::Code;
use serde::Serialize;

use crate::ask::{Call, Form};
use crate::failure::{Failure, OAuthError};
use crate::peer;
use crate::route::discovery::DEVICE_CODE_GRANT;

/// RFC 8628 §3.2.
#[derive(Serialize)]
struct Authorization<'a> {
    device_code: &'a str,
    user_code: &'a str,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

/// `POST /oauth/device_authorization`
pub(crate) async fn ask(call: &mut Call) -> Result<Response, Failure> {
    call.gate.handle.check_unlocked()?;
    let form = call.form().await?;
    let client = client(&form)?;
    let wanted = Wanted::parse_scope(form.require("scope")?)
        .map_err(|refusal| OAuthError::naming("invalid_scope", &refusal))?;
    let program = peer::program_at(call.peer()).await;
    let asked = call.gate.handle.ask_approval(client, wanted, program).await;
    let asked = asked
        .map_err(|refusal| Failure::named(refusal, Code::Unauthenticated, "invalid_client"))?;
    let page = format!("{}/oauth/device", call.base());
    let response = super::json(&Authorization {
        device_code: asked.device_code.expose(),
        user_code: &asked.user_code,
        verification_uri_complete: format!("{page}?user_code={}", asked.user_code),
        verification_uri: page,
        expires_in: asked.expires_in.as_secs(),
        interval: asked.interval.as_secs(),
    })?;
    Ok(super::unkept(response))
}

/// RFC 6749 §5.1. The access token is an agent key.
#[derive(Serialize)]
struct Issued<'a> {
    access_token: &'a str,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    scope: &'a str,
}

/// `POST /oauth/token`
pub(crate) async fn fetch(call: &mut Call) -> Result<Response, Failure> {
    call.gate.handle.check_unlocked()?;
    let form = call.form().await?;
    if form.require("grant_type")? != DEVICE_CODE_GRANT {
        return Err(OAuthError::new(
            "unsupported_grant_type",
            format!("The only grant type here is `{DEVICE_CODE_GRANT}`."),
        )
        .into());
    }
    let client = client(&form)?;
    let answer = call
        .gate
        .handle
        .poll(client, form.require("device_code")?)
        .await?;
    let (error, description) = match answer {
        PollAnswer::Issued {
            key,
            scope,
            expires_in,
        } => {
            let access_token = key.expose();
            let issued = Issued {
                access_token,
                token_type: "Bearer",
                expires_in,
                scope: &scope,
            };
            return Ok(super::unkept(super::json(&issued)?));
        }
        PollAnswer::Pending => ("authorization_pending", "A person has not answered yet."),
        PollAnswer::SlowDown => ("slow_down", "Wait 5 seconds longer between two requests."),
        PollAnswer::Denied => ("access_denied", "A person said no."),
        PollAnswer::Expired => ("expired_token", "Nobody answered in time. Ask again."),
        PollAnswer::Unknown => (
            "invalid_grant",
            "This client has no open request with that device code; a code works once.",
        ),
    };
    Err(OAuthError::new(error, description).into())
}

fn client(form: &Form) -> Result<AgentId, OAuthError> {
    form.require("client_id")?.parse().map_err(|_| {
        OAuthError::new(
            "invalid_client",
            "That is not a `client_id` of Doorward's. Register with `POST /oauth/register` first.",
        )
    })
}
