//! What the server answers, on its way to the agent.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use doorward_broker::upstream::{CallFailure, CutBody, SignedWith};
use doorward_core::decide::serving::Caller;
use doorward_core::problem::{Code, Refusal};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode, response};
use http_body_util::BodyExt as _;

use super::door::{Door, Sending};
use super::era;
use super::errors::{self, Asking, Place};
use super::locks;
use super::message::{Posted, Request};
use super::post::{is_about_the_door, requests};
use super::relay::Relay;
use crate::ask::Call;
use crate::failure::Failure;

/// The largest answer that is one document: a file that a tool reads stands in one, in base64.
const MOST_WHOLE: usize = 32 * 1024 * 1024;

/// What an agent asked, as far as an error has to say it.
pub(super) struct Asked {
    requests: Vec<Request>,
    is_batch: bool,
    asking: Asking,
    /// What was sent, if it may be sent once more.
    again: Option<Sending>,
    /// Whether the server may have done what was asked though no answer came.
    may_be_done: bool,
}

impl Asked {
    pub(super) fn new(door: &Door, posted: &Posted, headers: &HeaderMap) -> Self {
        let requests: Vec<Request> = requests(posted).cloned().collect();
        let asking = match requests.as_slice() {
            [request] => {
                let session = era::session(headers);
                let declared = door.gate.mcp.opens_addresses(door.pair(), session);
                era::asking(headers, request, declared)
            }
            _ => Asking::Nohow,
        };
        Self {
            requests,
            is_batch: matches!(posted, Posted::Batch(_)),
            asking,
            again: None,
            may_be_done: false,
        }
    }

    /// Where nothing was asked that an error could answer.
    pub(super) const fn nothing() -> Self {
        Self {
            requests: Vec::new(),
            is_batch: false,
            asking: Asking::Nohow,
            again: None,
            may_be_done: false,
        }
    }

    /// The person was asked for already.
    pub(super) const fn ask_no_more(&mut self) {
        self.asking = Asking::Nohow;
    }

    /// The same, with what was sent.
    pub(super) fn with(mut self, sending: Sending) -> Self {
        self.may_be_done = !sending.is_repeatable;
        if !self.is_batch && self.requests.len() == 1 {
            self.again = Some(sending);
        }
        self
    }

    pub(super) const fn take_again(&mut self) -> Option<Sending> {
        self.again.take()
    }

    /// What was asked.
    pub(super) fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Whether the server may have done what was asked though no answer came.
    pub(super) const fn may_be_done(&self) -> bool {
        self.may_be_done
    }

    /// What JSON-RPC says to a refusal; nothing where nothing was asked.
    pub(super) fn error(&self, door: &Door, refusal: &Refusal, is_unknown: bool) -> Option<String> {
        let text = match self.requests.as_slice() {
            [] => return None,
            [request] if errors::needs_person(refusal) && self.asking != Asking::Nohow => {
                errors::ask_for_person(request, refusal, self.asking, &place(door))
            }
            [request] => errors::refused(&request.id, refusal, is_unknown),
            requests => {
                let refused = requests.iter();
                let errors: Vec<String> = refused
                    .map(|request| errors::refused(&request.id, refusal, is_unknown))
                    .collect();
                return Some(super::json::list(errors.iter().map(String::as_str)));
            }
        };
        Some(if self.is_batch {
            format!("[{text}]")
        } else {
            text
        })
    }

    /// The answer to what did not reach the server, or not back.
    pub(super) fn refuse(self, door: &Door, failure: &CallFailure) -> Result<Response, Failure> {
        let refusal = failure.refusal();
        if is_about_the_door(refusal) {
            return Err(refusal.clone().into());
        }
        let is_unknown = matches!(failure, CallFailure::Unknown(_));
        match self.error(door, refusal, is_unknown) {
            Some(error) => {
                let handle = &door.gate.handle;
                handle.count_refusal(Some(&door.caller), refusal.code);
                Ok(json(StatusCode::OK, error))
            }
            None => Err(failure.clone().into()),
        }
    }
}

/// Puts a question to the client: which page a person opens.
fn place(door: &Door) -> Place {
    let id = random_id();
    let now = door.gate.handle.now();
    door.gate.mcp.asked(id.clone(), door.pair().connection, now);
    Place {
        url: format!("{}/reconnect/{id}", door.base),
        id,
    }
}

/// What nobody guesses.
pub(super) fn random_id() -> String {
    let bytes: [u8; 16] = doorward_broker::random::bytes();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A door that did not open: inside JSON-RPC too, but where it is the address or the key that is wrong.
pub(super) fn refused_at_the_door(
    call: &Call,
    caller: &Caller,
    posted: &Posted,
    refusal: Refusal,
) -> Result<Response, Failure> {
    let refused: Vec<String> = requests(posted)
        .map(|request| errors::refused(&request.id, &refusal, false))
        .collect();
    let text = match (posted, refused.as_slice()) {
        _ if is_about_the_door(&refusal) => return Err(refusal.into()),
        (_, []) => return Err(refusal.into()),
        (Posted::One(_), [one, ..]) => one.clone(),
        (Posted::Batch(_), all) => super::json::list(all.iter().map(String::as_str)),
    };
    call.gate.handle.count_refusal(Some(caller), refusal.code);
    Ok(json(StatusCode::OK, text))
}

/// A document of JSON.
pub(super) fn json(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What kind of answer it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Document,
    Events,
    Other,
}

fn kind(headers: &HeaderMap) -> Kind {
    let stated = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let stated = stated
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim();
    if stated.eq_ignore_ascii_case("application/json") {
        Kind::Document
    } else if stated.eq_ignore_ascii_case("text/event-stream") {
        Kind::Events
    } else {
        Kind::Other
    }
}

/// Passes an answer on: read where it is a message, as it is where it is none.
pub(super) async fn pass(
    door: &Arc<Door>,
    asked: Asked,
    response: http::Response<CutBody>,
) -> Result<Response, Failure> {
    let (head, body) = response.into_parts();
    if head.status == StatusCode::UNAUTHORIZED {
        let failure = CallFailure::Refused(not_accepted(door));
        return asked.refuse(door, &failure);
    }
    let kind = kind(&head.headers);
    if kind != Kind::Other && head.headers.contains_key(CONTENT_ENCODING) {
        let failure = CallFailure::Refused(unreadable("is compressed, which nobody asked for"));
        return asked.refuse(door, &failure);
    }
    remember_declaration(door, &asked, &head);
    match kind {
        Kind::Other => Ok(as_it_is(head, body)),
        Kind::Events => {
            let signed = signed_with(&head.extensions);
            let relay = Relay::new(Arc::clone(door), body, asked, signed);
            Ok(with_body(head, relay.into_body()))
        }
        Kind::Document => whole(door, asked, head, body).await,
    }
}

/// Passes a stream on that nothing was asked on.
pub(super) fn pass_stream(
    door: &Arc<Door>,
    response: http::Response<CutBody>,
    set_up: impl FnOnce(Relay) -> Relay,
) -> Result<Response, Failure> {
    let (head, body) = response.into_parts();
    if kind(&head.headers) != Kind::Events || head.headers.contains_key(CONTENT_ENCODING) {
        return Err(unreadable("is no stream of events").into());
    }
    let relay = set_up(Relay::new(Arc::clone(door), body, Asked::nothing(), None));
    Ok(with_body(head, relay.into_body()))
}

/// Which credential the call was sent with that this answers.
pub(super) fn signed_with(answer: &http::Extensions) -> Option<SignedWith> {
    answer.get().copied()
}

async fn whole(
    door: &Arc<Door>,
    mut asked: Asked,
    head: response::Parts,
    body: CutBody,
) -> Result<Response, Failure> {
    let bytes = match collect(body).await {
        Ok(bytes) => bytes,
        Err(refusal) if asked.may_be_done() => {
            return asked.refuse(door, &CallFailure::Unknown(refusal));
        }
        Err(refusal) => return asked.refuse(door, &CallFailure::Refused(refusal)),
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        let failure = CallFailure::Refused(unreadable("is not in UTF-8"));
        return asked.refuse(door, &failure);
    };
    let looked = door.look(text);
    if looked.signed_out
        && let Some(signed) = signed_with(&head.extensions)
        && let Some(sending) = asked.take_again()
    {
        return match try_again(door, &sending, signed).await {
            // Once: what it says then is its answer.
            Ok(response) => Box::pin(pass(door, asked, response)).await,
            Err(failure) => asked.refuse(door, &failure),
        };
    }
    locks::hear(door, &asked.requests, text).await;
    let body = looked.text.map_or(bytes, Bytes::from);
    Ok(with_body(head, Body::from(body)))
}

/// Has the credential renewed and sends a call once more.
pub(super) async fn try_again(
    door: &Door,
    sending: &Sending,
    signed: SignedWith,
) -> Result<http::Response<CutBody>, CallFailure> {
    door.entry.renew(signed, door.patience).await?;
    door.send(sending).await
}

/// The document in an answer, where it is one.
pub(super) async fn document(response: http::Response<CutBody>) -> Result<Document, Refusal> {
    let (head, body) = response.into_parts();
    match kind(&head.headers) {
        Kind::Events => Ok(Document::Events(Box::new(body))),
        Kind::Document => {
            let bytes = collect(body).await?;
            let text = String::from_utf8(bytes.to_vec());
            text.map(Document::Text)
                .map_err(|_| unreadable("is not in UTF-8"))
        }
        Kind::Other => Err(unreadable("is neither JSON nor a stream of events")),
    }
}

/// What a second try brought.
pub(super) enum Document {
    /// A stream.
    Events(Box<CutBody>),
    /// One document.
    Text(String),
}

async fn collect(mut body: CutBody) -> Result<Bytes, Refusal> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast::<Refusal>() {
            Ok(refusal) => *refusal,
            Err(_) => broke_off(),
        })?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > MOST_WHOLE {
            return Err(unreadable("is larger than 32 MiB"));
        }
    }
    Ok(bytes.freeze())
}

/// A client says once what it can do; the session that the server gives it is where that is remembered.
fn remember_declaration(door: &Door, asked: &Asked, head: &response::Parts) {
    if let [request] = asked.requests.as_slice()
        && request.method == "initialize"
        && head.status.is_success()
    {
        let session = era::session(&head.headers);
        let declared = era::initializes_with_addresses(request);
        door.gate.mcp.declared(door.pair(), session, declared);
    }
}

/// An answer that is no message.
pub(super) fn as_it_is(head: response::Parts, body: CutBody) -> Response {
    let length = head.headers.get(CONTENT_LENGTH).cloned();
    let mut response = with_body(head, Body::new(body));
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    response
}

fn with_body(head: response::Parts, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response.headers_mut().remove(CONTENT_LENGTH);
    // An MCP client that followed it would leave the door.
    response.headers_mut().remove(LOCATION);
    response
}

/// The provider does not take a credential that was just renewed.
pub(super) fn not_accepted(door: &Door) -> Refusal {
    let title = &door.entry.connection().provider.title;
    Refusal::new(
        Code::ProviderRejected,
        format!(
            "The MCP server of {title} does not accept the credential of `{}`.",
            door.name
        ),
        "A person looks at the connection: `doorward doctor`; connecting it again may help.",
    )
}

fn unreadable(how: &str) -> Refusal {
    Refusal::new(
        Code::ProviderRejected,
        format!("The answer of the MCP server {how}."),
        "Ask for less at once, or use the REST API through `/proxy/NAME/…`.",
    )
}

pub(super) fn broke_off() -> Refusal {
    Refusal::new(
        Code::ProviderUnavailable,
        "The MCP server broke off its answer.",
        "Look whether it was done before asking again.",
    )
}
