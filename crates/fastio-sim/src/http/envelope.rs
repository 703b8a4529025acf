//! Fast.io's envelope.
//!
//! A handler says *what* it answers ([`Reply`], [`Refusal`]); how that looks on the wire depends on
//! the knobs, the clock and the request line, which handlers have no business knowing. So both become
//! responses that carry themselves as an extension, and [`render`] writes their bodies at the edge,
//! where all of that is at hand.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::clock::fastio_datetime;
use crate::knobs::{Knobs, ValidationStatus};
use crate::world::ledger::{Caller, Credential};

/// A success with these fields at the root of the envelope.
#[derive(Clone, Debug)]
pub(crate) struct Reply(Map<String, Value>);

impl Reply {
    /// `fields` must be an object; anything else is a reply without fields.
    pub(crate) fn new(fields: Value) -> Self {
        match fields {
            Value::Object(fields) => Self(fields),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Self(Map::new()),
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        carrying(StatusCode::OK, Enveloped::Success(self))
    }
}

/// A refusal, named by what the caller did.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// No credential where one is needed.
    Anonymous,
    /// A credential that opens nothing.
    InvalidToken(&'static str),
    /// The token's scopes do not allow it.
    Scope(ScopeRefusal),
    /// A parameter is missing or wrong.
    Invalid(BadParameter),
    /// No such path.
    UnknownRoute,
    /// The path is there, the method is not.
    MethodNotAllowed,
    /// No such thing.
    NotFound(&'static str),
    /// The thing changed meanwhile.
    Conflict,
    /// Too many bytes.
    TooLarge,
    /// Something of Fast.io that the simulator does not play.
    NotImplemented(&'static str),
    /// Too many requests.
    RateLimited,
    /// Someone else has locked it.
    Locked,
    /// A state that does not allow it, told by a code of its own.
    State(StatusCode, u32, &'static str),
    /// A status that a test asked for, and the code if it asked for one.
    Ordered(StatusCode, Option<u32>),
}

/// One entry of `error.params` in a validation error.
#[derive(Clone, Debug)]
pub(crate) struct BadParameter {
    name: String,
    missing: bool,
    message: String,
}

/// A refusal whose `error.params` is an object.
#[derive(Clone, Debug)]
pub(crate) struct ScopeRefusal {
    pub(crate) lacking: Lacking,
    pub(crate) credential: Credential,
    pub(crate) session_id: String,
}

impl ScopeRefusal {
    pub(crate) fn of(caller: &Caller, lacking: Lacking) -> Refusal {
        Refusal::Scope(Self {
            lacking,
            credential: caller.credential,
            session_id: caller.session_id.clone(),
        })
    }
}

/// What a token's scopes lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// Any reach into the workspace.
    Workspace,
    /// Any reach into the organisation.
    Org,
    /// The right to write.
    Write,
    /// The right to change the account's settings.
    UserDetails,
    /// The right to hand out what is asked: it is wider than the session's own.
    Width,
}

impl Lacking {
    /// The published list gives codes 10767 to 10770 for the reasons without saying which is whose;
    /// the order of the list is assumed.
    fn code_and_reason(self) -> (u32, &'static str, &'static str) {
        match self {
            Self::Workspace => (
                10560,
                "scope_workspace_required",
                "This token does not reach this workspace.",
            ),
            Self::Org => (
                10175,
                "scope_org_required",
                "This token does not reach this organization.",
            ),
            Self::Write => (
                10770,
                "scope_write_required",
                "This token may only read here.",
            ),
            Self::UserDetails => (
                10769,
                "userdetails_scope_required",
                "This token does not reach the account's settings.",
            ),
            Self::Width => (
                10768,
                "scope_exceeds_issuer",
                "The scopes asked for exceed those of the session.",
            ),
        }
    }
}

impl Refusal {
    pub(crate) fn missing(name: &str) -> Self {
        Self::Invalid(BadParameter {
            name: name.to_owned(),
            missing: true,
            message: format!("{name} is required."),
        })
    }

    pub(crate) fn invalid(name: &str, message: impl Into<String>) -> Self {
        Self::Invalid(BadParameter {
            name: name.to_owned(),
            missing: false,
            message: message.into(),
        })
    }

    fn status(&self, knobs: &Knobs) -> StatusCode {
        match self {
            Self::Anonymous | Self::InvalidToken(_) => StatusCode::UNAUTHORIZED,
            Self::Scope(_) => StatusCode::FORBIDDEN,
            Self::Invalid(_) => match knobs.validation_status {
                ValidationStatus::BadRequest => StatusCode::BAD_REQUEST,
                ValidationStatus::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            },
            Self::UnknownRoute | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Locked => StatusCode::LOCKED,
            Self::State(status, ..) | Self::Ordered(status, _) => *status,
        }
    }

    fn code_and_text(&self) -> (u32, String) {
        match self {
            Self::Anonymous => (10011, "Sign in to use this endpoint.".to_owned()),
            Self::InvalidToken(text) => (1650, (*text).to_owned()),
            Self::Scope(refusal) => {
                let (code, _, text) = refusal.lacking.code_and_reason();
                (code, text.to_owned())
            }
            Self::Invalid(parameter) => (1605, parameter.message.clone()),
            Self::UnknownRoute => (9992, "There is no such endpoint.".to_owned()),
            Self::MethodNotAllowed => (1651, "This endpoint has no such method.".to_owned()),
            Self::NotFound(what) => (1609, format!("There is no such {what}.")),
            Self::Conflict => (1660, "It was changed by someone else meanwhile.".to_owned()),
            Self::TooLarge => (1656, "The request is too large.".to_owned()),
            Self::NotImplemented(what) => (1686, format!("{what} is not available here.")),
            Self::RateLimited => (1671, "Too many requests; please calm down.".to_owned()),
            Self::Locked => (1677, "It is locked by someone else.".to_owned()),
            Self::State(_, code, text) => (*code, (*text).to_owned()),
            Self::Ordered(status, code) => (
                code.unwrap_or(match status.as_u16() {
                    401 => 1650,
                    403 => 1670,
                    404 => 1609,
                    409 => 1660,
                    423 => 1677,
                    429 => 1671,
                    500..=599 => 1654,
                    _ => 1605,
                }),
                status.canonical_reason().unwrap_or("An error").to_owned(),
            ),
        }
    }

    fn params(&self) -> Option<Value> {
        match self {
            Self::Scope(refusal) => {
                let (_, reason, _) = refusal.lacking.code_and_reason();
                Some(json!({
                    "reason": reason,
                    "credential_type": refusal.credential.as_str(),
                    "credential_id": refusal.session_id,
                }))
            }
            Self::Invalid(parameter) => Some(json!([{
                "name": parameter.name,
                "kind": if parameter.missing { "missing" } else { "invalid" },
                "message": parameter.message,
                "code": if parameter.missing { 10022 } else { 10023 },
                "expected_type": "string",
            }])),
            Self::Anonymous
            | Self::InvalidToken(_)
            | Self::UnknownRoute
            | Self::MethodNotAllowed
            | Self::NotFound(_)
            | Self::Conflict
            | Self::TooLarge
            | Self::NotImplemented(_)
            | Self::RateLimited
            | Self::Locked
            | Self::State(..)
            | Self::Ordered(..) => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        carrying(StatusCode::OK, Enveloped::Failure(self))
    }
}

#[derive(Clone, Debug)]
enum Enveloped {
    Success(Reply),
    Failure(Refusal),
}

fn carrying(status: StatusCode, enveloped: Enveloped) -> Response {
    let mut response = status.into_response();
    response.extensions_mut().insert(enveloped);
    response
}

/// Where and when an envelope is written.
pub(crate) struct Occasion<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) now: OffsetDateTime,
}

/// Writes the body of a response that carries an envelope; leaves any other as it is.
pub(crate) fn render(mut response: Response, knobs: &Knobs, occasion: &Occasion<'_>) -> Response {
    let Some(enveloped) = response.extensions_mut().remove::<Enveloped>() else {
        return response;
    };
    let body = match enveloped {
        Enveloped::Success(Reply(mut fields)) => {
            fields.insert("result".to_owned(), Value::Bool(true));
            // A few endpoints have a `status` of their own.
            fields.entry("status").or_insert_with(|| Value::from("ok"));
            fields.insert("current_api_version".to_owned(), Value::from("1.0"));
            fields.insert(
                "server_date".to_owned(),
                fastio_datetime(occasion.now).into(),
            );
            Value::Object(fields)
        }
        Enveloped::Failure(refusal) => {
            *response.status_mut() = refusal.status(knobs);
            let (code, text) = refusal.code_and_text();
            let mut error = json!({
                "code": code,
                "text": text,
                "documentation_url": null,
                "resource": format!("{} {}", occasion.method, occasion.path),
            });
            if let Some(params) = refusal.params() {
                error["params"] = params;
            }
            json!({
                "result": false,
                "error": error,
                "current_api_version": "1.0",
                "server_date": fastio_datetime(occasion.now),
            })
        }
    };
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // The router stated the length of the empty body that stood here.
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from(body.to_string());
    response
}
