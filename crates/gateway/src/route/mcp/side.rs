//! The side channels of an MCP server, whose addresses its results hand out: bytes for a later tool call, and files.
//!
//! Both lie at the root of the server's origin and take the session of the agent. They stream, whatever their size.

use axum::response::Response;
use doorward_broker::upstream::{Base, CallFailure, CutBody, Label, Outgoing, OutgoingBody};
use doorward_core::api_path::ApiPath;
use doorward_core::decide::calling::{Call as Judged, Question};
use doorward_core::decide::serving::Caller;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;

use super::answer;
use super::door::{Door, query};
use crate::ask::Call;
use crate::failure::Failure;

pub(crate) async fn blob(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    let door = Door::open(call, caller, |entry| entry.upstream().mcp.as_ref())?;
    door.permit_call(&Judged::Blob, || Question::mcp("blob", None))
        .await?;
    let body = call.take_body().map_err(Into::into).boxed_unsync();
    let sent = door.entry.send(Outgoing {
        base: Base::BesideMcp,
        path_and_query: format!("blob{}", query(call)),
        path: None,
        method: Method::POST,
        headers: call.head.headers.clone(),
        body: OutgoingBody::Stream(body),
        patience: door.patience,
        safe_to_repeat: Some(false),
        label: Label::Tool("blob".to_owned()),
    });
    passed(&door, sent.await)
}

pub(crate) async fn file(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    let door = Door::open(call, caller, |entry| entry.upstream().mcp.as_ref())?;
    let below = call.head.uri.path().splitn(5, '/').nth(4);
    // A slash too many is a segment too many, and no slash to be overlooked.
    let path = ApiPath::parse(&format!("/{}", below.unwrap_or_default()))?;
    let now = door.gate.handle.now();
    let handed = door.gate.mcp.was_handed(door.pair(), path.as_sent(), now);
    door.permit_call(&Judged::File { handed }, || {
        Question::mcp(&format!("file {}", path.as_sent()), None)
    })
    .await?;
    let sent = door.entry.send(Outgoing {
        base: Base::BesideMcp,
        path_and_query: format!("file/{}{}", path.as_sent(), query(call)),
        path: None,
        method: call.head.method.clone(),
        headers: call.head.headers.clone(),
        body: OutgoingBody::Empty,
        patience: door.patience,
        safe_to_repeat: Some(true),
        label: Label::Tool("file".to_owned()),
    });
    passed(&door, sent.await)
}

fn passed(
    door: &Door,
    sent: Result<http::Response<CutBody>, CallFailure>,
) -> Result<Response, Failure> {
    let response = sent?;
    if response.status() == StatusCode::UNAUTHORIZED {
        return Err(answer::not_accepted(door).into());
    }
    let (head, body) = response.into_parts();
    Ok(answer::as_it_is(head, body))
}
