//! `/mcp/NAME`: messages of the agent, the stream of the server, and the end of a session.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use doorward_broker::upstream::{Base, CallFailure, CutBody};
use doorward_core::decide::serving::Caller;
use doorward_core::problem::{Code, Refusal};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value};

use super::answer::{self, Asked};
use super::door::{Door, Sending, query};
use super::era;
use super::errors::{self, QUESTION};
use super::json::Members;
use super::message::{self, Message, Posted, Request};
use crate::ask::{Call, bad_request};
use crate::failure::Failure;

/// The largest message: a file that a tool writes stands in one, in base64; larger ones go through `/blob`.
pub(super) const MOST_POSTED: usize = 8 * 1024 * 1024;
/// It comes from this machine.
const BODY_TIME: Duration = Duration::from_mins(1);

pub(crate) async fn post(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    let opened = Door::open(call, caller, |entry| entry.upstream().mcp.as_ref());
    let (posted, body) = match read(call, caller).await? {
        Ok(read) => read,
        Err(unread) => return Ok(unread),
    };
    let door = match opened {
        Ok(door) => Arc::new(door),
        Err(refusal) => return answer::refused_at_the_door(call, caller, &posted, refusal),
    };
    let headers = std::mem::take(&mut call.head.headers);
    let sending = Sending {
        base: Base::Mcp,
        path_and_query: query(call),
        method: Method::POST,
        headers: headers.clone(),
        body,
        is_repeatable: true,
        label: String::new(),
    };
    let answered = forward(&door, &posted, sending).await;
    // What renders a failure goes by the headers.
    call.head.headers = headers;
    answered
}

/// Reads what was posted: an answer at once where it is no message. One that is too large is told so in the protocol's
/// own words, to nobody by name.
pub(super) async fn read(
    call: &mut Call,
    caller: &Caller,
) -> Result<Result<(Posted, Bytes), Response>, Refusal> {
    check_charset(&call.head.headers)?;
    let body = match call.bytes_within(MOST_POSTED, BODY_TIME).await {
        Err(refusal) if refusal.code == Code::PayloadTooLarge => {
            let handle = &call.gate.handle;
            handle.count_refusal(Some(caller), refusal.code);
            let error = errors::refused("null", &too_large(), false);
            return Ok(Err(answer::json(StatusCode::PAYLOAD_TOO_LARGE, error)));
        }
        collected => collected?,
    };
    Ok(match message::read(&body) {
        Ok(posted) => Ok((posted, body)),
        Err(unread) => {
            let error = errors::error("null", unread.code, unread.why, None);
            Err(answer::json(StatusCode::BAD_REQUEST, error))
        }
    })
}

fn too_large() -> Refusal {
    Refusal::new(
        Code::PayloadTooLarge,
        "The message is larger than 8 MiB.",
        "Send large contents through `/mcp/NAME/blob`, or in parts.",
    )
}

/// What is judged as UTF-8 must be read as UTF-8.
fn check_charset(headers: &HeaderMap) -> Result<(), Refusal> {
    let strange = headers.get_all(CONTENT_TYPE).iter().any(|kind| {
        let kind = kind.as_bytes().to_ascii_lowercase();
        let kind = String::from_utf8_lossy(&kind);
        let charset = kind
            .split(';')
            .find_map(|part| part.trim().strip_prefix("charset="));
        charset.is_some_and(|charset| charset.trim_matches('"') != "utf-8")
    });
    if strange {
        return Err(bad_request(
            "The body is not in UTF-8.",
            "Send JSON in UTF-8, as its specification wants it.",
        ));
    }
    Ok(())
}

/// Judges what was posted, sends it and passes the answer on.
async fn forward(
    door: &Arc<Door>,
    posted: &Posted,
    mut sending: Sending,
) -> Result<Response, Failure> {
    let requests: Vec<&Request> = requests(posted).collect();
    for request in &requests {
        let agree = era::check_headers(&sending.headers, request)
            .and_then(|()| door.check_repeated(&sending.headers, request));
        if let Err(why) = agree {
            let error = errors::error(&request.id, errors::HEADER_MISMATCH, &why, None);
            return Ok(answer::json(StatusCode::BAD_REQUEST, error));
        }
    }
    let mut asked = Asked::new(door, posted, &sending.headers);
    for request in &requests {
        if let Err(refusal) = door.permit(request).await {
            return asked.refuse(door, &CallFailure::Refused(refusal));
        }
    }
    sending.is_repeatable = requests.iter().all(|request| door.is_repeatable(request));
    sending.label = label(&requests);
    let answers_question = match requests.as_slice() {
        [request] if is_answered(request) => {
            sending.body = without_answer(&sending.body);
            true
        }
        _ => false,
    };
    let sent = send(door, &sending, answers_question).await;
    if answers_question {
        // Whoever was asked once and has answered is told plainly the next time.
        asked.ask_no_more();
    }
    match sent {
        Ok(response) => answer::pass(door, asked.with(sending), response).await,
        Err(failure) => asked.refuse(door, &failure),
    }
}

pub(super) fn requests(posted: &Posted) -> impl Iterator<Item = &Request> {
    posted
        .messages()
        .iter()
        .filter_map(|message| match message {
            Message::Request(request) => Some(request),
            Message::Notification { .. } | Message::Response => None,
        })
}

/// Under which name requests are counted.
pub(super) fn label(requests: &[&Request]) -> String {
    match requests {
        [] => "notification".to_owned(),
        [request] => match request.tool() {
            Some(tool) => with_action(tool, request.arguments()),
            None => request.method.clone(),
        },
        _ => "batch".to_owned(),
    }
}

/// Some servers have few tools that each do many things: then the argument `action` says which.
fn with_action(tool: &str, arguments: Option<&Map<String, Value>>) -> String {
    let action = arguments.and_then(|arguments| arguments.get("action"));
    let action = action.and_then(Value::as_str).filter(|action| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        action.len() <= LONGEST_ACTION && action.bytes().all(is_word)
    });
    match action {
        Some(action) => format!("{tool} ({action})"),
        None => tool.to_owned(),
    }
}

/// Anything longer is no name of an action, but something that a log should not hold.
const LONGEST_ACTION: usize = 40;

/// Whether a request is sent again with the answer to our own question.
fn is_answered(request: &Request) -> bool {
    request
        .params
        .get("inputResponses")
        .is_some_and(|answers| answers.get(QUESTION).is_some_and(Value::is_object))
}

/// The same request without that answer, of which the server knows nothing.
fn without_answer(body: &Bytes) -> Bytes {
    let changed = std::str::from_utf8(body).ok().and_then(|text| {
        let mut message = Members::read(text)?;
        let params = {
            let mut params = message.object("params")?;
            let answers = {
                let mut answers = params.object("inputResponses")?;
                answers.remove(QUESTION);
                (!answers.is_empty()).then(|| answers.write())
            };
            match answers {
                Some(answers) => params.set("inputResponses", answers),
                None => params.remove("inputResponses"),
            }
            params.write()
        };
        message.set("params", params);
        Some(message.write())
    });
    changed.map_or_else(|| body.clone(), Bytes::from)
}

/// Sends a call. Where a person was just sent to connect again, it waits for that as long as the caller does.
async fn send(
    door: &Door,
    sending: &Sending,
    waits_for_person: bool,
) -> Result<http::Response<CutBody>, CallFailure> {
    let mut changes = door.gate.handle.changes();
    let first = door.send(sending).await;
    let needs_person = |sent: &Result<_, CallFailure>| matches!(sent, Err(CallFailure::Refused(refusal)) if errors::needs_person(refusal));
    if !waits_for_person || !needs_person(&first) {
        return first;
    }
    let patience = door
        .patience
        .unwrap_or(doorward_broker::handle::DEFAULT_PATIENCE);
    let again = async {
        loop {
            if changes.changed().await.is_err() {
                return None;
            }
            let sent = door.send(sending).await;
            if !needs_person(&sent) {
                return Some(sent);
            }
        }
    };
    match tokio::time::timeout(patience, again).await {
        Ok(Some(sent)) => sent,
        Ok(None) | Err(_) => first,
    }
}

/// The server's own stream, or what is left of one that broke off.
pub(crate) async fn listen(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    let method = call.head.method.clone();
    bodiless(call, caller, method).await
}

/// The end of a session.
pub(crate) async fn end(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    bodiless(call, caller, Method::DELETE).await
}

async fn bodiless(call: &mut Call, caller: &Caller, method: Method) -> Result<Response, Failure> {
    let door = Door::open(call, caller, |entry| entry.upstream().mcp.as_ref())?;
    let door = Arc::new(door);
    if call
        .head
        .headers
        .get_all(era::SESSION)
        .iter()
        .nth(1)
        .is_some()
    {
        return Err(bad_request("The request names two sessions.", "Name one.").into());
    }
    let sending = Sending {
        base: Base::Mcp,
        path_and_query: query(call),
        headers: call.head.headers.clone(),
        body: Bytes::new(),
        is_repeatable: true,
        label: format!("mcp {method}"),
        method,
    };
    let asked = Asked::nothing();
    match door.send(&sending).await {
        Ok(response) => answer::pass(&door, asked, response).await,
        Err(failure) => asked.refuse(&door, &failure),
    }
}

/// Refusals that are about the address or the key, and not about what was asked.
pub(super) fn is_about_the_door(refusal: &Refusal) -> bool {
    matches!(
        refusal.code,
        Code::Unauthenticated | Code::ConnectionUnknown | Code::RouteUnknown | Code::GrantMissing
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_question_is_answered_to_us_alone() {
        let body = |answers: &str| {
            Bytes::from(format!(
                r#"{{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{{"name":"find","requestState":"s"{answers}}}}}"#
            ))
        };
        let ours = body(r#","inputResponses":{"doorward_reconnect":{"action":"accept"}}"#);
        let Ok(Posted::One(Message::Request(request))) = message::read(&ours) else {
            panic!("a request");
        };
        assert!(is_answered(&request));
        assert_eq!(without_answer(&ours), body(""));
        let both = body(r#","inputResponses":{"x":{"action":"accept"},"doorward_reconnect":{}}"#);
        assert_eq!(
            without_answer(&both),
            body(r#","inputResponses":{"x":{"action":"accept"}}"#)
        );
    }

    #[test]
    fn a_body_of_another_encoding_is_refused() {
        let headers = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
            headers
        };
        for good in [
            "application/json",
            "application/json; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(check_charset(&headers(good)).is_ok(), "{good}");
        }
        for bad in [
            "application/json; charset=utf-7",
            "application/json;Charset=UTF-16",
        ] {
            assert!(check_charset(&headers(bad)).is_err(), "{bad}");
        }
    }
}
