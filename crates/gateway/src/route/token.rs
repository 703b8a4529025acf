//! The token door: `GET /v1/token` and `POST /v1/token/rejected`.
//!
//! The first is the path that agents take before every call of theirs. Warm, it is two reads of
//! the published copy and one write of one buffer.

use axum::response::Response;
use doorward_broker::handle::{Rejection, TokenAsk};
use doorward_broker::views::TokenAnswer;
use doorward_core::decide::serving::{self, Caller};
use doorward_core::name::Name;
use doorward_core::problem::Refusal;
use doorward_core::secret::AccessToken;
use serde::{Deserialize, Serialize};

use crate::ask::Call;
use crate::failure::Failure;

/// RFC 6749 §5.1, and whose token it is.
#[derive(Serialize)]
struct Handed<'a> {
    access_token: &'a str,
    token_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    scope: &'a str,
    connection: &'a str,
}

pub(crate) async fn hand(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    let query = call.query(&["connection", "resource", "min_valid"])?;
    let ask = TokenAsk {
        connection: query.get("connection").map(named).transpose()?,
        resource: query.get("resource").map(str::to_owned),
        min_valid: query.seconds("min_valid")?,
        patience: call.patience(),
    };
    let answer = call.gate.handle.token(caller, ask).await?;
    token(&answer)
}

/// A text that is no name names no connection, and is answered like a name that is not there.
fn named(text: &str) -> Result<Name, Refusal> {
    text.parse().map_err(|_| serving::unknown(text))
}

/// What names, punctuation and numbers of the answer take.
const FRAME: usize = 128;

fn token(answer: &TokenAnswer) -> Result<Response, Failure> {
    let handed = Handed {
        access_token: answer.access.expose(),
        token_type: &answer.token_type,
        expires_in: answer.expires_in,
        scope: &answer.scope,
        connection: answer.connection.as_str(),
    };
    let texts = [
        handed.access_token,
        handed.token_type,
        handed.scope,
        handed.connection,
    ];
    let length = texts.iter().map(|text| text.len()).sum::<usize>();
    let mut body = Vec::with_capacity(FRAME + length);
    serde_json::to_writer(&mut body, &handed).map_err(|_| crate::failure::internal())?;
    Ok(super::unkept(super::written(body)))
}

/// A token that the API refused. No `Debug`: it holds the token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rejected {
    connection: String,
    access_token: String,
    status: Option<u16>,
    code: Option<String>,
}

pub(crate) async fn rejected(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    call.query(&[])?;
    let patience = call.patience();
    let Rejected {
        connection,
        access_token,
        status,
        code,
    } = call.json().await?;
    let access = AccessToken::new(access_token);
    let rejection = Rejection {
        connection: named(&connection)?,
        access,
        status,
        code,
        patience,
    };
    let answer = call.gate.handle.token_rejected(caller, rejection).await?;
    token(&answer)
}
