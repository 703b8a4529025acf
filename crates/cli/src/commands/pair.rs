//! `doorward pair`: an agent asks a person for access (RFC 8628) and prints its key.
//!
//! On success the key is the only thing on standard output, so that an agent may read it from there; everything a
//! person reads meanwhile is on standard error.

use std::time::Duration;

use doorward_core::pairing::Wanted;
use doorward_core::problem::Code;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::token::not_understood;
use crate::args::Pair;
use crate::endpoint;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::link::Context;
use crate::words::{duration, plain};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// What RFC 8628 adds to the interval at each `slow_down`.
const SLOWER: Duration = Duration::from_secs(5);
/// RFC 8628's interval where none is given.
const DEFAULT_INTERVAL: u64 = 5;

#[derive(Deserialize)]
struct Registered {
    client_id: String,
}

#[derive(Deserialize)]
struct Asked {
    device_code: String,
    user_code: String,
    verification_uri: String,
    expires_in: u64,
    interval: Option<u64>,
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct OAuthError {
    error: String,
    #[serde(default)]
    error_description: String,
    /// Doorward's own code for it, which says more.
    code: Option<Code>,
}

pub(super) async fn run(context: &mut Context, ask: Pair) -> Outcome {
    let scope = ask.scope.join(" ");
    // A scope that cannot be is said before anybody is asked anything.
    Wanted::parse_scope(&scope)?;
    let base = endpoint::find(&context.folders)?;
    let client = Client {
        http: endpoint::client()?,
        base,
    };
    let registered: Registered = client.register(&ask.name).await?;
    let asked: Asked = client
        .form(
            "/oauth/device_authorization",
            &[("client_id", &registered.client_id), ("scope", &scope)],
        )
        .await?
        .map_err(|error| refused(&error))?;
    tell(context, &ask.name, &scope, &asked);
    let answer = client.wait(&registered.client_id, &asked).await?;
    if context.output.is_json() {
        return context.output.json_line(&answer);
    }
    match answer.get("access_token").and_then(Value::as_str) {
        Some(key) => context.output.text(key),
        None => Err(not_understood()),
    }
}

fn tell(context: &Context, name: &str, scope: &str, asked: &Asked) {
    if context.output.is_json() {
        let waiting = json!({
            "user_code": asked.user_code,
            "verification_uri": asked.verification_uri,
            "expires_in": asked.expires_in,
        });
        context.output.note(&waiting.to_string());
        return;
    }
    context.output.note(&format!(
        "`{}` asks for {}.\n\n  code  {}\n\nA person answers in Doorward, after comparing that code: in its window, or with\n\n  \
         doorward approve {}\n\nWaiting for {} at most.",
        plain(name),
        plain(scope),
        plain(&asked.user_code),
        plain(&asked.user_code),
        duration(Duration::from_secs(asked.expires_in))
    ));
}

struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    fn at(&self, path: &str) -> Url {
        let mut address = self.base.clone();
        address.set_path(path);
        address
    }

    async fn register(&self, name: &str) -> Outcome<Registered> {
        let body = json!({
            "client_name": name,
            "redirect_uris": [],
            "grant_types": [DEVICE_GRANT],
            "token_endpoint_auth_method": "none",
        });
        read(self.http.post(self.at("/oauth/register")).json(&body))
            .await?
            .map_err(|error| refused(&error))
    }

    async fn form<T: DeserializeOwned>(
        &self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Outcome<Result<T, OAuthError>> {
        read(self.http.post(self.at(path)).form(fields)).await
    }

    /// Polls until a person has answered.
    async fn wait(&self, client_id: &str, asked: &Asked) -> Outcome<Value> {
        let fields = [
            ("grant_type", DEVICE_GRANT),
            ("device_code", asked.device_code.as_str()),
            ("client_id", client_id),
        ];
        let mut interval = Duration::from_secs(asked.interval.unwrap_or(DEFAULT_INTERVAL).max(1));
        loop {
            tokio::time::sleep(interval).await;
            match self.form::<Value>("/oauth/token", &fields).await? {
                Ok(answer) => return Ok(answer),
                Err(error) => match error.error.as_str() {
                    "authorization_pending" => {}
                    "slow_down" => interval += SLOWER,
                    _ => return Err(refused(&error)),
                },
            }
        }
    }
}

async fn read<T: DeserializeOwned>(
    request: reqwest::RequestBuilder,
) -> Outcome<Result<T, OAuthError>> {
    let answer = request
        .send()
        .await
        .map_err(|error| endpoint::unanswered(&error))?;
    let is_success = answer.status().is_success();
    let body = answer
        .bytes()
        .await
        .map_err(|error| endpoint::unanswered(&error))?;
    let read = if is_success {
        serde_json::from_slice(&body).map(Ok)
    } else {
        serde_json::from_slice(&body).map(Err)
    };
    read.map_err(|_| not_understood())
}

/// An OAuth error as the command's own failure.
fn refused(error: &OAuthError) -> Failure {
    let said = |otherwise: &str| {
        if error.error_description.is_empty() {
            otherwise.to_owned()
        } else {
            error.error_description.clone()
        }
    };
    match error.error.as_str() {
        "access_denied" if error.code.is_none() => Failure::new(
            "approval_denied",
            "A person said no.",
            "Ask them why before asking again.",
        ),
        "expired_token" => Failure::new(
            "approval_expired",
            "Nobody answered in time.",
            "Run the command again when someone is there.",
        ),
        code => {
            let exit = match (error.code, code) {
                (Some(code), _) => Exit::of(code),
                (None, "invalid_scope" | "invalid_request" | "invalid_client_metadata") => {
                    Exit::Usage
                }
                (None, "temporarily_unavailable") => Exit::TryLater,
                (None, "invalid_client" | "invalid_grant" | "unauthorized_client") => Exit::Refused,
                (None, _) => Exit::Failed,
            };
            Failure {
                exit,
                code: error
                    .code
                    .map_or_else(|| code.to_owned(), |code| code.as_str().to_owned()),
                detail: said("Doorward refused."),
                hint: String::new(),
                retry_after_seconds: None,
            }
        }
    }
}
