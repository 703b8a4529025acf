//! `/proxy/NAME/PATH`: the API of a connection's provider, with the credential put in on the way.
//!
//! What is sent goes on as it is: this parses the path, asks the broker whether it may, and carries both bodies.

use axum::body::Body;
use axum::response::Response;
use doorward_broker::handle::Entry;
use doorward_broker::upstream::{
    Base, BoxError, CallFailure, DoorPath, Label, Opened, Outgoing, OutgoingBody, Tunnel, door_path,
};
use doorward_core::api_path::ApiPath;
use doorward_core::decide::calling::{self, Question, Verdict};
use doorward_core::decide::serving::{Caller, unauthenticated, unknown};
use doorward_core::name::Name;
use doorward_core::problem::{Code, Refusal};
use http::header::{CONTENT_SECURITY_POLICY, HOST, LOCATION};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use hyper::upgrade::OnUpgrade;
use url::form_urlencoded;

use crate::ask::{Call, ask_person};
use crate::failure::Failure;
use crate::pass;
use crate::routes::route_unknown;

pub(crate) async fn forward(call: &mut Call, caller: Option<&Caller>) -> Result<Response, Failure> {
    let (entry, path) = enter(call, caller)?;
    check_served(&path)?;
    let patience = call.patience();
    let method = call.head.method.clone();
    let rest = calling::Call::Rest {
        method: method.as_str(),
        path: &path,
    };
    let body = match entry.judge(&rest) {
        Verdict::Allow => body(call),
        Verdict::Deny(refusal) => return Err(refusal.into()),
        Verdict::Ask => {
            let shown = call.bytes().await.map_err(unshowable)?;
            let target = target(path.as_sent(), call.head.uri.query());
            let question = Question::rest(method.as_str(), &target, &shown);
            ask_person(&entry, question, patience, call.peer()).await?;
            OutgoingBody::Whole(shown)
        }
    };
    let (base, below) = entry.base_of(&path);
    let sent = target(below, call.head.uri.query());
    let requested = sent.clone();
    let outgoing = Outgoing {
        base,
        path_and_query: sent,
        headers: take_headers(call),
        method,
        body,
        patience,
        safe_to_repeat: None,
        label: Label::Path,
        path: Some(path),
    };
    let mut response = send(call, &entry, outgoing).await?;
    rewrite_location(&mut response, &entry, base, &requested, call);
    if caller.is_none() {
        // Who needs no key may be a browser: what it shows has no part in this door's origin.
        let sandbox = HeaderValue::from_static("sandbox");
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, sandbox);
    }
    Ok(response)
}

/// Lets the caller in, by its key or by a one-time token.
fn enter(call: &Call, caller: Option<&Caller>) -> Result<(Entry, ApiPath), Failure> {
    let handle = &call.gate.handle;
    let below = call.head.uri.path().strip_prefix("/proxy/");
    let (name, raw) = below
        .and_then(|below| below.split_once('/'))
        .ok_or_else(route_unknown)?;
    let Some(caller) = caller else {
        let token = ticket(call.head.uri.query());
        let parsed = name.parse::<Name>().ok().zip(path_of(raw).ok());
        let (Some(token), Some((name, path))) = (token, parsed) else {
            return Err(unauthenticated("The request shows no agent key.").into());
        };
        let entry = handle.enter_by_ticket(&name, &call.head.method, &path, &token)?;
        return Ok((entry, path));
    };
    let connection = name.parse().map_err(|_| unknown(name))?;
    let entry = handle.enter(caller, &connection)?;
    Ok((entry, path_of(raw)?))
}

/// The path behind the name. The slash between the two is none of it, and a second one is an empty segment.
fn path_of(raw: &str) -> Result<ApiPath, Refusal> {
    ApiPath::parse(&format!("/{raw}"))
}

/// The one-time token in an address, if there is just one.
fn ticket(query: Option<&str>) -> Option<String> {
    let mut tokens = form_urlencoded::parse(query?.as_bytes()).filter(|(name, _)| name == "token");
    let (_, token) = tokens.next()?;
    tokens.next().is_none().then(|| token.into_owned())
}

/// What a provider says about its own sign-in would send an agent there, past this door.
fn check_served(path: &ApiPath) -> Result<(), Refusal> {
    let is_well_known = |segment: &String| segment.eq_ignore_ascii_case(".well-known");
    if path.segments().iter().any(is_well_known) {
        return Err(route_unknown());
    }
    Ok(())
}

fn unshowable(refusal: Refusal) -> Refusal {
    if refusal.code != Code::PayloadTooLarge {
        return refusal;
    }
    Refusal::new(
        Code::PolicyDenied,
        "A person is asked about calls like this, and a body of more than 64 KiB cannot be shown to anybody.",
        "Send less at once, or ask a person for a grant that does not ask for this call.",
    )
}

fn target(path: &str, query: Option<&str>) -> String {
    match query {
        None => path.to_owned(),
        Some(query) => [path, "?", query].concat(),
    }
}

fn body(call: &mut Call) -> OutgoingBody {
    let body: Body = call.take_body();
    if body.is_end_stream() {
        return OutgoingBody::Empty;
    }
    let body = body.map_err(|error| Box::new(error) as BoxError);
    OutgoingBody::Stream(body.boxed_unsync())
}

/// The headers, but for the host, by which a refusal names this door.
fn take_headers(call: &mut Call) -> HeaderMap {
    let headers = std::mem::take(&mut call.head.headers);
    if let Some(host) = headers.get(HOST) {
        call.head.headers.insert(HOST, host.clone());
    }
    headers
}

async fn send(call: &mut Call, entry: &Entry, outgoing: Outgoing) -> Result<Response, Failure> {
    let upgrade = call.head.extensions.remove::<OnUpgrade>();
    let Some(upgrade) = upgrade else {
        let response = entry.send(outgoing).await?;
        return Ok(pass::on(call, response));
    };
    match entry.open(outgoing).await? {
        Opened::Answered(response) => Ok(pass::on(call, *response)),
        Opened::Tunnel(response, tunnel) => {
            dig(call, *tunnel, upgrade)?;
            Ok(response.map(Body::new))
        }
    }
}

/// Carries a WebSocket until it ends, or the gateway stops.
fn dig(call: &Call, tunnel: Tunnel, agent: OnUpgrade) -> Result<(), CallFailure> {
    let place = std::sync::Arc::clone(&call.gate.tunnels)
        .try_acquire_owned()
        .map_err(|_| {
            Refusal::new(
                Code::RateLimited,
                "There are too many WebSockets open through this door.",
                "Close some.",
            )
        })?;
    let mut stopping = call.gate.stopping.clone();
    tokio::spawn(async move {
        let _place = place;
        tokio::select! {
            () = tunnel.run(agent) => {}
            _stops = stopping.wait_for(|stops| *stops) => {}
        }
    });
    Ok(())
}

/// A redirect that stays with the provider leads through this door; to follow it anywhere else is up to the agent.
fn rewrite_location(
    response: &mut Response,
    entry: &Entry,
    base: Base,
    requested: &str,
    call: &Call,
) {
    let Some(location) = response.headers().get(LOCATION) else {
        return;
    };
    let Some((address, text)) = entry.address_of(base).zip(location.to_str().ok()) else {
        return;
    };
    let name = &entry.connection().name;
    let new = match door_path(&address, requested, text) {
        None => return,
        Some(DoorPath::Outside(address)) => address,
        Some(DoorPath::Inside(path)) => {
            let prefix = entry.prefix_of(base);
            format!("{}/proxy/{name}/{prefix}{path}", call.base())
        }
    };
    if let Ok(new) = HeaderValue::try_from(new) {
        response.headers_mut().insert(LOCATION, new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_the_one_token_in_an_address() {
        assert_eq!(ticket(Some("token=a%2Bb&x=1")).as_deref(), Some("a+b"));
        assert_eq!(ticket(Some("x=1")), None);
        assert_eq!(ticket(Some("token=a&token=b")), None);
        assert_eq!(ticket(None), None);
    }
}
