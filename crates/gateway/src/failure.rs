//! How a refusal is said: RFC 9457 outside `/oauth/`, RFC 6749 §5.2 below it.
//!
//! Both carry the same code and the same remedy, so that an agent can branch on one word wherever
//! it meets a refusal. A 401 of ours names our own protected-resource metadata and nobody else's:
//! clients that follow it must end up here.

use axum::body::Body;
use axum::response::Response;
use doorward_broker::upstream::CallFailure;
use doorward_core::name::Name;
use doorward_core::problem::{Code, Refusal};
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

/// Why a route did not do what it was asked.
pub(crate) enum Failure {
    /// As the broker and the guard say it.
    Refused(Refusal),
    /// As the broker says it of a call that may have been carried out.
    Unknown(Refusal),
    /// As OAuth says it.
    OAuth(OAuthError),
}

impl Failure {
    /// A refusal that has an `error` of its own in OAuth where its code is `code`.
    pub(crate) fn named(refusal: Refusal, code: Code, error: &'static str) -> Self {
        if refusal.code == code {
            Self::OAuth(OAuthError::naming(error, &refusal))
        } else {
            Self::Refused(refusal)
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<CallFailure> for Failure {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Refused(refusal) => Self::Refused(refusal),
            CallFailure::Unknown(refusal) => Self::Unknown(refusal),
        }
    }
}

impl From<OAuthError> for Failure {
    fn from(error: OAuthError) -> Self {
        Self::OAuth(error)
    }
}

/// An error in OAuth's words.
pub(crate) struct OAuthError {
    error: &'static str,
    status: StatusCode,
    description: String,
    code: Option<Code>,
    retry_after_seconds: Option<u64>,
}

impl OAuthError {
    /// An error that is about the request, answered 400 as RFC 6749 §5.2 wants it.
    pub(crate) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self {
            error,
            status: StatusCode::BAD_REQUEST,
            description: description.into(),
            code: None,
            retry_after_seconds: None,
        }
    }

    /// A refusal under a name of OAuth's that says more than its status does.
    pub(crate) fn naming(error: &'static str, refusal: &Refusal) -> Self {
        Self {
            error,
            status: StatusCode::BAD_REQUEST,
            ..Self::from(refusal)
        }
    }
}

impl From<&Refusal> for OAuthError {
    fn from(refusal: &Refusal) -> Self {
        let error = match refusal.code.status() {
            401 => "invalid_token",
            403 => "access_denied",
            429 | 502 | 503 => "temporarily_unavailable",
            500 => "server_error",
            _ => "invalid_request",
        };
        Self {
            error,
            status: status(refusal.code),
            description: format!("{} {}", refusal.detail, refusal.hint),
            code: Some(refusal.code),
            retry_after_seconds: refusal.retry_after_seconds,
        }
    }
}

/// Whether a path's errors are said in OAuth's words.
pub(crate) fn speaks_oauth(path: &str) -> bool {
    path.starts_with("/oauth/")
}

/// Renders a failure for the request that met it.
pub(crate) fn render(failure: Failure, path: &str, headers: &HeaderMap) -> Response {
    let mut response = match failure {
        Failure::Refused(refusal) if !speaks_oauth(path) => problem(&refusal, None),
        Failure::Unknown(refusal) if !speaks_oauth(path) => problem(&refusal, Some("unknown")),
        Failure::Refused(refusal) | Failure::Unknown(refusal) => oauth(&OAuthError::from(&refusal)),
        Failure::OAuth(error) => oauth(&error),
    };
    if response.status() == StatusCode::UNAUTHORIZED
        && let Some(challenge) = challenge(path, headers)
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    hint: &'a str,
    /// `unknown` where the call may have been carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
}

fn problem(refusal: &Refusal, outcome: Option<&'static str>) -> Response {
    let body = Problem {
        r#type: format!("urn:doorward:problem:{}", refusal.code),
        title: refusal.code.title(),
        status: refusal.code.status(),
        detail: &refusal.detail,
        code: refusal.code.as_str(),
        hint: &refusal.hint,
        outcome,
    };
    let kind = HeaderValue::from_static("application/problem+json");
    answer(
        status(refusal.code),
        kind,
        &body,
        refusal.retry_after_seconds,
    )
}

#[derive(Serialize)]
struct OAuthBody<'a> {
    error: &'static str,
    error_description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

fn oauth(error: &OAuthError) -> Response {
    let body = OAuthBody {
        error: error.error,
        error_description: describable(&error.description),
        code: error.code.map(Code::as_str),
    };
    let kind = HeaderValue::from_static("application/json");
    answer(error.status, kind, &body, error.retry_after_seconds)
}

/// RFC 6749 §5.2 allows in `error_description` printable ASCII without `"` and `\`.
fn describable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' => plain.push('\''),
            '…' => plain.push_str("..."),
            '\\' => plain.push('/'),
            ' '..='~' => plain.push(letter),
            _ => plain.push('?'),
        }
    }
    plain
}

fn answer<T: Serialize>(
    status: StatusCode,
    kind: HeaderValue,
    body: &T,
    retry_after_seconds: Option<u64>,
) -> Response {
    // Text and numbers cannot fail to be written as JSON.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if let Some(seconds) = retry_after_seconds {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// RFC 9728 §5.1: where a client learns how to get a key. `error` only when a key was shown
/// (RFC 6750 §3.1).
fn challenge(path: &str, headers: &HeaderMap) -> Option<HeaderValue> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let error = if headers.contains_key(http::header::AUTHORIZATION) {
        ", error=\"invalid_token\""
    } else {
        ""
    };
    let door = mcp_door(path).unwrap_or_default();
    let text = format!(
        "Bearer resource_metadata=\"http://{host}/.well-known/oauth-protected-resource{door}\"{error}"
    );
    HeaderValue::try_from(text).ok()
}

/// The MCP door that a path belongs to, which has metadata of its own.
fn mcp_door(path: &str) -> Option<String> {
    let name = path.strip_prefix("/mcp/")?.split('/').next()?;
    let name: Name = name.parse().ok()?;
    Some(format!("/mcp/{name}"))
}

/// The failure of Doorward itself.
pub(crate) fn internal() -> Refusal {
    Refusal::new(
        Code::Internal,
        "Doorward failed while it answered.",
        "Ask again; if it happens again, the log of Doorward says more.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_holds_only_what_rfc_6749_allows() {
        let text = describable("“a” \"b\" c\\d\ndwk_… ü");
        assert_eq!(text, "?a? 'b' c/d?dwk_... ?");
    }
}
