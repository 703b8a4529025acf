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
use serde::Deserialize;

use crate::ask::Call;
use crate::failure::Failure;

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

/// RFC 6749 §5.1, and whose token it is. Written by hand: `serde_json` looks at a token byte by
/// byte for what has to be escaped, which costs a sixth of all that a warm answer takes.
fn token(answer: &TokenAnswer) -> Result<Response, Failure> {
    let (access, kind, scope) = (answer.access.expose(), &answer.token_type, &answer.scope);
    let connection = answer.connection.as_str();
    let texts = access.len() + kind.len() + scope.len() + connection.len();
    let mut body = Vec::with_capacity(FRAME + texts);
    write_text(&mut body, "{\"access_token\":", access)?;
    write_text(&mut body, ",\"token_type\":", kind)?;
    if let Some(seconds) = answer.expires_in {
        body.extend_from_slice(b",\"expires_in\":");
        body.extend_from_slice(seconds.to_string().as_bytes());
    }
    write_text(&mut body, ",\"scope\":", scope)?;
    write_text(&mut body, ",\"connection\":", connection)?;
    body.push(b'}');
    Ok(super::unkept(super::written(body)))
}

/// Writes what stands before a text, and the text as JSON.
fn write_text(body: &mut Vec<u8>, before: &str, text: &str) -> Result<(), Failure> {
    body.extend_from_slice(before.as_bytes());
    // Without a branch for each byte, so that many are looked at together.
    let escapes = text.bytes().fold(0, |escapes, byte| {
        escapes | u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\')
    });
    if escapes == 0 {
        body.push(b'"');
        body.extend_from_slice(text.as_bytes());
        body.push(b'"');
        return Ok(());
    }
    serde_json::to_writer(body, text).map_err(|_| crate::failure::internal().into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_written_as_serde_json_writes_it() {
        let every: String = (0..=0x17f_u32).filter_map(char::from_u32).collect();
        for text in [
            "",
            "dwk_-._~ a:b/c",
            "\"",
            "\\",
            "\n",
            "\u{7f}",
            "ünï 🔑",
            &every,
        ] {
            let mut body = Vec::new();
            assert!(write_text(&mut body, "", text).is_ok());
            assert_eq!(body, serde_json::to_vec(text).unwrap(), "{text:?}");
        }
    }
}
