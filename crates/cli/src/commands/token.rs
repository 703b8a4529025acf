//! `doorward token`: an agent's command. It goes over HTTP with an agent key, as any agent does.

use doorward_core::problem::{Code, Refusal};
use serde::Deserialize;
use serde_json::Value;

use crate::args::Token;
use crate::endpoint;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::link::Context;

pub(super) async fn run(context: &mut Context, ask: Token) -> Outcome {
    let key = crate::agent_key::read(context.output, ask.key_file.as_deref())?;
    let mut address = endpoint::find(&context.folders)?;
    address.set_path("/v1/token");
    if let Some(connection) = &ask.connection {
        address
            .query_pairs_mut()
            .append_pair("connection", connection.as_str());
    }
    if let Some(seconds) = ask.min_valid {
        address
            .query_pairs_mut()
            .append_pair("min_valid", &seconds.to_string());
    }
    let request = endpoint::client()?.get(address).bearer_auth(key.as_str());
    let answer = request
        .send()
        .await
        .map_err(|error| endpoint::unanswered(&error))?;
    let is_success = answer.status().is_success();
    let retry_after = answer
        .headers()
        .get(reqwest::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let body = answer
        .bytes()
        .await
        .map_err(|error| endpoint::unanswered(&error))?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| not_understood())?;
    if !is_success {
        return Err(problem(&body, retry_after));
    }
    if context.output.is_json() {
        return context.output.json_line(&body);
    }
    match body.get("access_token").and_then(Value::as_str) {
        Some(token) => context.output.text(token),
        None => Err(not_understood()),
    }
}

/// RFC 9457, as far as a caller acts on it.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
    #[serde(default)]
    hint: String,
}

/// Why the gateway refused.
pub(super) fn problem(body: &Value, retry_after_seconds: Option<u64>) -> Failure {
    let Ok(Problem { code, detail, hint }) = Problem::deserialize(body) else {
        return not_understood();
    };
    match serde_json::from_value::<Code>(Value::String(code.clone())) {
        Ok(code) => Failure::from(Refusal {
            code,
            detail,
            hint,
            retry_after_seconds,
        }),
        // A newer Doorward may have codes that this command does not know.
        Err(_) => Failure {
            exit: Exit::Failed,
            code,
            detail,
            hint,
            retry_after_seconds,
        },
    }
}

pub(super) fn not_understood() -> Failure {
    Failure::new(
        "unreachable",
        "What answered is not Doorward, or not this version of it.",
        "Set DOORWARD_URL to the address that `doorward status` shows; update the older of the two.",
    )
}
