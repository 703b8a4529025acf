//! `/sse/NAME`: the transport before Streamable HTTP, as of 2024-11-05.
//!
//! The server's stream begins with the address to which the agent posts its messages, and everything is answered on
//! the stream. The address must be of the server's own origin, else the credential would go wherever a server says;
//! the agent is told one of this door's, and only an address that a server told an agent is ever posted to.
//!
//! An answer on the stream finds what was asked by its identifier ([`Waiting`]): so a lock is heard of here as over
//! Streamable HTTP, and what was refused for its credential is sent once more.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use doorward_broker::upstream::{Base, CallFailure};
use doorward_core::decide::serving::Caller;
use doorward_core::problem::{Code, Refusal};
use http::{Method, StatusCode};
use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::answer::{self, Asked};
use super::door::{Door, Sending, query};
use super::json::Members;
use super::locks;
use super::memory::Stream;
use super::message::{self, Message, Posted};
use super::post::{label, read, requests};
use super::relay::{Answered, Opening};
use super::waiting::{Sent, Waiting};
use crate::ask::Call;
use crate::failure::Failure;

/// How many refusals may wait on a stream whose agent does not read.
const MOST_WAITING: usize = 32;

pub(crate) async fn listen(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    let door = Arc::new(open(call, caller)?);
    let sending = Sending {
        base: Base::Sse,
        path_and_query: query(call),
        method: call.head.method.clone(),
        headers: call.head.headers.clone(),
        body: Bytes::new(),
        is_repeatable: true,
        label: "mcp sse".to_owned(),
    };
    let asked = Asked::nothing();
    let response = match door.send(&sending).await {
        Ok(response) if response.status() == StatusCode::OK => response,
        Ok(response) => return answer::pass(&door, asked, response).await,
        Err(failure) => return asked.refuse(&door, &failure),
    };
    let (say, said) = mpsc::channel(MOST_WAITING);
    let opening = Box::new(Told {
        door: Arc::clone(&door),
        say,
        stream: None,
    });
    answer::pass_stream(&door, response, |relay| relay.with_opening(opening, said))
}

fn open(call: &Call, caller: &Caller) -> Result<Door, Refusal> {
    Door::open(call, caller, |entry| entry.upstream().sse.as_ref())
}

/// What a server told about its stream.
struct Told {
    door: Arc<Door>,
    say: mpsc::Sender<String>,
    /// The stream, open as long as this is here.
    stream: Option<Arc<Stream>>,
}

impl Opening for Told {
    fn endpoint(&mut self, told: &str) -> Result<String, Refusal> {
        let server = self.door.entry.upstream().sse.as_ref();
        let (path, key) = server
            .and_then(|server| below(server, told))
            .ok_or_else(elsewhere)?;
        let key = key.unwrap_or_else(|| format!("stream={}", answer::random_id()));
        let stream = Arc::new(Stream {
            path_and_query: path,
            say: self.say.clone(),
            waiting: Waiting::default(),
        });
        let pair = self.door.pair();
        self.door.gate.mcp.opened(pair, key.clone(), &stream);
        self.stream = Some(stream);
        Ok(format!("/sse/{}/message?{key}", self.door.name))
    }

    fn answered(&mut self, answer: &str, says_signed_out: bool) -> Answered {
        let members = Members::read(answer);
        let id = members.as_ref().and_then(|members| members.get("id"));
        let (Some(stream), Some(id)) = (&self.stream, id) else {
            return Answered::Passes(None);
        };
        if says_signed_out && let Some(message) = stream.waiting.take_message(id) {
            let (id, answer) = (id.to_owned(), answer.to_owned());
            tokio::spawn(send_again(Arc::clone(stream), id, answer, message));
            return Answered::AskedAgain;
        }
        Answered::Passes(stream.waiting.answered(id))
    }
}

/// An address for messages, below the root of the server's origin, and its query; nothing where it is of another one.
fn below(server: &Url, told: &str) -> Option<(String, Option<String>)> {
    let address = server.join(told.trim()).ok()?;
    let is_own = address.origin() == server.origin()
        && address.username().is_empty()
        && address.password().is_none();
    let path = &address[url::Position::BeforePath..url::Position::AfterQuery];
    let query = address.query().filter(|query| !query.is_empty());
    is_own.then(|| {
        (
            path.trim_start_matches('/').to_owned(),
            query.map(str::to_owned),
        )
    })
}

fn elsewhere() -> Refusal {
    Refusal::new(
        Code::ProviderRejected,
        "The server names an address of another origin for messages.",
        "A person looks at the provider: this is no address that a credential may go to.",
    )
}

pub(crate) async fn post(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    let door = Arc::new(open(call, caller)?);
    let (posted, body) = match read(call, caller).await? {
        Ok(read) => read,
        Err(unread) => return Ok(unread),
    };
    let key = call.head.uri.query().unwrap_or_default();
    let Some(stream) = door.gate.mcp.stream(door.pair(), key) else {
        return Err(Refusal::new(
            Code::RouteUnknown,
            "There is no such stream.",
            "Open one with `GET /sse/NAME`, and post to the address that it begins with.",
        )
        .into());
    };
    let asked = Asked::new(&door, &posted, &call.head.headers);
    let all: Vec<_> = requests(&posted).collect();
    for request in &all {
        if let Err(refusal) = door.permit(request).await {
            let failure = CallFailure::Refused(refusal);
            return say(&door, asked, &stream, &failure);
        }
    }
    let sending = Sending {
        base: Base::BesideSse,
        path_and_query: stream.path_and_query.clone(),
        method: Method::POST,
        headers: call.head.headers.clone(),
        body,
        is_repeatable: all.iter().all(|request| door.is_repeatable(request)),
        label: label(&all),
    };
    // Before it is sent, as the answer may come before the server has said that it took the message.
    let place = await_answers(&door, &stream, &posted, sending.body.len());
    match door.send(&sending).await {
        Ok(response) => {
            if response.status().is_success()
                && let (Some(place), Some(signed)) =
                    (place, answer::signed_with(response.extensions()))
            {
                let door = Arc::clone(&door);
                // Nobody waits for it where the answer has come, or was taken back.
                let _gone = place.send(Sent {
                    door,
                    sending,
                    signed,
                });
            }
            answer::pass(&door, asked, response).await
        }
        Err(failure) => say(&door, asked, &stream, &failure),
    }
}

/// Keeps what the answers will need. A message that is one request has a place, for it may be sent once more.
fn await_answers(
    door: &Door,
    stream: &Stream,
    posted: &Posted,
    size: usize,
) -> Option<oneshot::Sender<Sent>> {
    for message in posted.messages() {
        if let Message::Notification { cancels: Some(id) } = message {
            stream.waiting.cancel(id);
        }
    }
    let is_one = matches!(posted, Posted::One(_));
    let places = requests(posted).map(|request| {
        let about_lock = locks::concerns(door, request).then(|| request.clone());
        let size = is_one.then_some(size);
        stream.waiting.keep(&request.id, about_lock, size)
    });
    places.last().flatten()
}

/// An answer said that nobody is signed in: has the credential renewed and sends the message once more. What the server
/// says then comes on the stream, as its answer.
async fn send_again(
    stream: Arc<Stream>,
    id: String,
    answer: String,
    message: oneshot::Receiver<Sent>,
) {
    let Ok(sent) = message.await else {
        // The agent hung up before the server had said that it took the message, or that failed: no second try.
        let _full = stream.say.try_send(answer);
        return;
    };
    let trying = async {
        sent.door
            .entry
            .renew(sent.signed, sent.door.patience)
            .await?;
        if !stream.waiting.is_awaited(&id) {
            return Ok::<(), CallFailure>(());
        }
        let response = sent.door.send(&sent.sending).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Err(answer::not_accepted(&sent.door).into()),
            status if status.is_success() => Ok(()),
            status => Err(CallFailure::Refused(not_taken(status))),
        }
    };
    let tried = tokio::select! {
        tried = trying => tried,
        // There is nobody to hear the answer.
        () = stream.say.closed() => return,
    };
    let Err(failure) = tried else { return };
    if let Ok(posted) = message::read(&sent.sending.body) {
        let asked = Asked::new(&sent.door, &posted, &sent.sending.headers);
        let _told = tell(&sent.door, &asked, &stream, &failure);
    }
}

fn not_taken(status: StatusCode) -> Refusal {
    Refusal::new(
        Code::ProviderRejected,
        format!("The MCP server answered {status} when the message was sent once more."),
        "Ask again; `doorward doctor` looks closer.",
    )
}

/// Answers on the stream, where the agent waits for it.
fn say(
    door: &Door,
    asked: Asked,
    stream: &Stream,
    failure: &CallFailure,
) -> Result<Response, Failure> {
    if !tell(door, &asked, stream, failure) {
        return asked.refuse(door, failure);
    }
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// Tells a failure on the stream, if that takes it.
fn tell(door: &Door, asked: &Asked, stream: &Stream, failure: &CallFailure) -> bool {
    let refusal = failure.refusal();
    let is_unknown = matches!(failure, CallFailure::Unknown(_));
    let told = asked
        .error(door, refusal, is_unknown)
        .is_some_and(|error| stream.say.try_send(error).is_ok());
    if told {
        let handle = &door.gate.handle;
        handle.count_refusal(Some(&door.caller), refusal.code);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_to_the_servers_own_origin_and_nowhere_else() {
        let server = Url::parse("https://mcp.fast.io/sse").unwrap();
        for (told, path, key) in [
            (
                "/sse/message?sessionId=a",
                "sse/message?sessionId=a",
                Some("sessionId=a"),
            ),
            ("https://mcp.fast.io/messages/7", "messages/7", None),
            ("message?s=1", "message?s=1", Some("s=1")),
        ] {
            let expected = Some((path.to_owned(), key.map(str::to_owned)));
            assert_eq!(below(&server, told), expected, "{told}");
        }
        for other in [
            "https://mcp.fast.io.evil.example/message",
            "//evil.example/message",
            "http://mcp.fast.io/message",
            "https://mcp.fast.io:8443/message",
            "https://user@mcp.fast.io/message",
            "/\\evil.example/message",
            "javascript:alert(1)",
        ] {
            assert_eq!(below(&server, other), None, "{other}");
        }
    }
}
