//! What a token endpoint's reply means.
//!
//! This is where a grant is kept or lost, so the rule is narrow: only a reply that says in so many words that this
//! grant is over ends it. Everything else (a failing server, a proxy's error page, a limit, a client that is not
//! known) keeps the refresh token.

use std::time::Duration;

use serde_json::Value;

use crate::limits::{self, Headers};
use crate::scope::Granted;
use crate::secret::{AccessToken, RefreshToken};
use crate::time::Timestamp;

/// A reply of a token endpoint, as far as it matters.
pub struct TokenReply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: &'a [(String, String)],
    /// The body, bounded by the caller.
    pub body: &'a [u8],
    /// When the request was sent: lifetimes count from here, so that a slow reply does not lengthen them.
    pub sent_at: Timestamp,
    /// When the reply had arrived.
    pub now: Timestamp,
}

/// Tokens that a provider issued.
pub struct TokenSet {
    /// The access token.
    pub access: AccessToken,
    /// The refresh token, if the reply carries one; none keeps the old one.
    pub refresh: Option<RefreshToken>,
    /// The token type as RFC 6749 writes it.
    pub token_type: String,
    /// When the access token ends, if the provider says.
    pub expires_at: Option<Timestamp>,
    /// When it was asked for.
    pub issued_at: Timestamp,
    /// What was granted.
    pub granted: Granted,
}

impl TokenSet {
    /// The wall clock was set by so many milliseconds since these were asked for.
    pub fn clock_was_set(&mut self, millis: i64) {
        self.issued_at = self.issued_at.shifted(millis);
        self.expires_at = self.expires_at.map(|end| end.shifted(millis));
    }

    /// A second copy. Where the store fails, the tokens have to outlive the decision that was made about them: what
    /// they mean is decided anew when the store is tried again.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let copy = |token: &RefreshToken| RefreshToken::new(token.expose().to_owned());
        Self {
            access: AccessToken::new(self.access.expose().to_owned()),
            refresh: self.refresh.as_ref().map(copy),
            token_type: self.token_type.clone(),
            expires_at: self.expires_at,
            issued_at: self.issued_at,
            granted: self.granted.clone(),
        }
    }
}

/// What became of a refresh or an exchange.
pub enum TokenOutcome {
    /// New tokens.
    Issued(TokenSet),
    /// A failure that may pass; the refresh token is kept.
    Transient {
        /// What was seen, without secrets.
        why: String,
        /// When the provider wants the next try, if it says.
        retry_at: Option<Timestamp>,
    },
    /// The provider's rate limit is used up.
    RateLimited {
        /// Until when.
        until: Timestamp,
    },
    /// The grant is over at the provider. The only outcome that erases.
    GrantEnded {
        /// What the provider said.
        why: String,
    },
    /// The provider does not accept Doorward's own client credentials.
    ClientRejected {
        /// What the provider said.
        why: String,
    },
    /// The request can never succeed as it is set up.
    Misconfigured {
        /// What the provider said.
        why: String,
    },
}

/// Fast.io's code for "auth invalid".
const FASTIO_AUTH_INVALID: i64 = 1650;

/// Decides what a token endpoint's reply means.
#[must_use]
pub fn read(reply: &TokenReply<'_>) -> TokenOutcome {
    let body: Option<Value> = serde_json::from_slice(reply.body).ok();
    match reply.status {
        200..=299 => match body.as_ref().and_then(|body| issued(reply, body)) {
            Some(tokens) => TokenOutcome::Issued(tokens),
            None => refused(reply, body.as_ref()),
        },
        429 => TokenOutcome::RateLimited {
            until: limits::limited_until(reply.now, reply.headers),
        },
        _ => refused(reply, body.as_ref()),
    }
}

fn issued(reply: &TokenReply<'_>, body: &Value) -> Option<TokenSet> {
    let text = |name: &str| {
        body.get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let access = text("access_token")?;
    let token_type = text("token_type").unwrap_or("Bearer");
    Some(TokenSet {
        access: AccessToken::new(access.to_owned()),
        refresh: text("refresh_token").map(|token| RefreshToken::new(token.to_owned())),
        token_type: if token_type.eq_ignore_ascii_case("bearer") {
            "Bearer".to_owned()
        } else {
            token_type.to_owned()
        },
        expires_at: lifetime(body.get("expires_in")).map(|lifetime| reply.sent_at.plus(lifetime)),
        issued_at: reply.sent_at,
        granted: Granted::from_reply(body.get("scope"), body.get("scopes")),
    })
}

/// `expires_in` is a number in the RFC and text at some providers. None at all, zero or less is "not said": a token
/// that had ended before it arrived would be of no use to anyone.
fn lifetime(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|lifetime| !lifetime.is_zero())
}

fn refused(reply: &TokenReply<'_>, body: Option<&Value>) -> TokenOutcome {
    let said = said(reply.status, body);
    let error = body.and_then(|body| body.get("error"));
    let oauth_error = error.and_then(Value::as_str);
    let fastio_code = error.and_then(|error| error.get("code")).and_then(number);
    match (reply.status, oauth_error, fastio_code) {
        (400 | 401, Some("invalid_grant"), _) | (400 | 401, _, Some(FASTIO_AUTH_INVALID)) => {
            TokenOutcome::GrantEnded { why: said }
        }
        (400..=403, Some("invalid_client" | "unauthorized_client"), _) => {
            TokenOutcome::ClientRejected { why: said }
        }
        (400..=499, Some("temporarily_unavailable" | "slow_down"), _) | (408 | 425, _, _) => {
            transient(reply, said)
        }
        (400..=403, Some(_), _) => TokenOutcome::Misconfigured { why: said },
        // No OAuth error in the body: a proxy, a captive portal, a moved endpoint. Nothing here proves an end.
        _ => transient(reply, said),
    }
}

fn transient(reply: &TokenReply<'_>, why: String) -> TokenOutcome {
    TokenOutcome::Transient {
        why,
        retry_at: limits::stated_retry(reply.now, reply.headers),
    }
}

fn number(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

/// What the provider said, bounded and without anything it may have echoed beyond its own error fields.
fn said(status: u16, body: Option<&Value>) -> String {
    let error = body.and_then(|body| body.get("error"));
    let code = error.and_then(|error| match error {
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => fields
            .get("code")
            .and_then(number)
            .map(|code| code.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    });
    match code {
        Some(code) => {
            let code: String = code
                .chars()
                .filter(char::is_ascii_graphic)
                .take(64)
                .collect();
            format!("HTTP {status}, error {code}")
        }
        None => format!("HTTP {status} without an OAuth error"),
    }
}

/// Lets header slices be used where the trait is asked for.
impl Headers for TokenReply<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.header(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, body: &str) -> String {
        let now = Timestamp::from_secs(1_000_000);
        let reply = TokenReply {
            status,
            headers: &[],
            body: body.as_bytes(),
            sent_at: now,
            now,
        };
        match read(&reply) {
            TokenOutcome::Issued(tokens) => format!(
                "issued {} refresh={} type={} expires={:?}",
                tokens.access.expose(),
                tokens.refresh.is_some(),
                tokens.token_type,
                tokens.expires_at.map(|end| end.as_secs() - now.as_secs()),
            ),
            TokenOutcome::Transient { why, .. } => format!("transient: {why}"),
            TokenOutcome::RateLimited { until } => {
                format!("limited {}s", until.as_secs() - now.as_secs())
            }
            TokenOutcome::GrantEnded { why } => format!("ended: {why}"),
            TokenOutcome::ClientRejected { why } => format!("client rejected: {why}"),
            TokenOutcome::Misconfigured { why } => format!("misconfigured: {why}"),
        }
    }

    #[test]
    fn legal_oddities_of_a_good_reply_are_accepted() {
        assert_eq!(
            outcome(
                200,
                r#"{"access_token":"a","token_type":"bearer","expires_in":"3600","refresh_token":"r"}"#
            ),
            "issued a refresh=true type=Bearer expires=Some(3600)"
        );
        assert_eq!(
            outcome(200, r#"{"access_token":"a","token_type":"BEARER"}"#),
            "issued a refresh=false type=Bearer expires=None"
        );
        assert_eq!(
            outcome(
                200,
                r#"{"access_token":"a","expires_in":0,"refresh_token":""}"#
            ),
            "issued a refresh=false type=Bearer expires=None"
        );
    }

    #[test]
    fn only_a_reply_that_says_so_ends_a_grant() {
        let told = [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"x"}"#,
                "ended: HTTP 400, error invalid_grant",
            ),
            (
                401,
                r#"{"result":false,"error":{"code":1650,"text":"x"}}"#,
                "ended: HTTP 401, error 1650",
            ),
            (
                401,
                r#"{"error":{"code":"1650"}}"#,
                "ended: HTTP 401, error 1650",
            ),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                "client rejected: HTTP 401, error invalid_client",
            ),
            (
                400,
                r#"{"error":"invalid_scope"}"#,
                "misconfigured: HTTP 400, error invalid_scope",
            ),
            (
                400,
                r#"{"error":"unsupported_grant_type"}"#,
                "misconfigured: HTTP 400, error unsupported_grant_type",
            ),
            (429, r#"{"error":"invalid_grant"}"#, "limited 60s"),
            (
                500,
                r#"{"error":"invalid_grant"}"#,
                "transient: HTTP 500, error invalid_grant",
            ),
            (
                502,
                "<html>bad gateway</html>",
                "transient: HTTP 502 without an OAuth error",
            ),
            (
                401,
                "<html>proxy</html>",
                "transient: HTTP 401 without an OAuth error",
            ),
            (404, "", "transient: HTTP 404 without an OAuth error"),
            (
                200,
                "<html>captive portal</html>",
                "transient: HTTP 200 without an OAuth error",
            ),
            (
                200,
                r#"{"result":false,"error":{"code":1664}}"#,
                "transient: HTTP 200, error 1664",
            ),
            (
                400,
                r#"{"error":"temporarily_unavailable"}"#,
                "transient: HTTP 400, error temporarily_unavailable",
            ),
        ];
        for (status, body, expected) in told {
            assert_eq!(outcome(status, body), expected);
        }
    }
}
