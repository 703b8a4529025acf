//! A stream of the server, event by event, as fast as the agent reads.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use doorward_broker::upstream::{CallFailure, CutBody, SignedWith};
use doorward_core::problem::{Code, Refusal};
use futures_util::stream;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use super::answer::{self, Asked, Document};
use super::door::Door;
use super::locks;
use super::message::Request;
use crate::event_stream::{Event, Reader, TooLarge};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// After this much silence a comment is sent, so that either end notices when the other is gone.
const BEAT: Duration = Duration::from_secs(15);
/// A comment alone.
const HEARTBEAT: &[u8] = b": \n\n";

/// What the older transport adds to a stream.
pub(super) trait Opening: Send {
    /// The address for messages that the agent is told, from the one that the server told.
    fn endpoint(&mut self, told: &str) -> Result<String, Refusal>;

    /// An answer has come to something that was posted.
    fn answered(&mut self, answer: &str, says_signed_out: bool) -> Answered;
}

/// What becomes of an answer.
pub(super) enum Answered {
    /// It goes on to the agent. The request that it answers, where that is about a lock.
    Passes(Option<Request>),
    /// It does not: what was asked is sent once more.
    AskedAgain,
}

/// A stream on its way.
pub(super) struct Relay {
    door: Arc<Door>,
    source: CutBody,
    reader: Reader,
    asked: Asked,
    signed: Option<SignedWith>,
    opening: Option<Box<dyn Opening>>,
    /// What the door itself has to say on this stream.
    said: Option<mpsc::Receiver<String>>,
    passed: Passed,
    is_over: bool,
}

/// What has passed.
#[derive(Clone, Copy, Default)]
struct Passed {
    /// A message: what was asked has begun.
    message: bool,
    /// The answer.
    answer: bool,
    /// An identifier, with which the agent can ask for the rest.
    identifier: bool,
}

impl Relay {
    pub(super) fn new(
        door: Arc<Door>,
        source: CutBody,
        asked: Asked,
        signed: Option<SignedWith>,
    ) -> Self {
        Self {
            door,
            source,
            reader: Reader::default(),
            asked,
            signed,
            opening: None,
            said: None,
            passed: Passed::default(),
            is_over: false,
        }
    }

    /// The same, for the older transport.
    pub(super) fn with_opening(
        mut self,
        opening: Box<dyn Opening>,
        said: mpsc::Receiver<String>,
    ) -> Self {
        self.opening = Some(opening);
        self.said = Some(said);
        self
    }

    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut relay| async move {
            let piece = relay.next().await?;
            Some((piece, relay))
        }))
    }

    async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        let mut stopping = self.door.gate.stopping.clone();
        while !self.is_over {
            match self.reader.next_event() {
                Ok(Some(event)) => {
                    if let Some(passed) = self.event(event).await {
                        return Some(passed);
                    }
                    continue;
                }
                Ok(None) => {}
                Err(TooLarge) => {
                    tracing::warn!("an event of an MCP server was too large to pass");
                    return Some(self.end_with(&CallFailure::Unknown(too_large())));
                }
            }
            tokio::select! {
                frame = self.source.frame() => match frame {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            self.reader.push(&data);
                        }
                    }
                    Some(Err(error)) => return Some(self.broken(error)),
                    None => self.is_over = true,
                },
                text = said(&mut self.said) => return Some(Ok(Event::of(&text).write())),
                // A gateway that is gone altogether stops too.
                _ = stopping.wait_for(|is_stopping| *is_stopping) => self.is_over = true,
                () = tokio::time::sleep(BEAT) => return Some(Ok(Bytes::from_static(HEARTBEAT))),
            }
        }
        None
    }

    /// An event as the agent gets it; nothing where another stream takes the place of this one.
    async fn event(&mut self, event: Event) -> Option<Result<Bytes, BoxError>> {
        if event.field("id").is_some_and(|id| !id.is_empty()) {
            self.passed.identifier = true;
        }
        let Some(data) = event.data() else {
            return Some(Ok(event.write()));
        };
        if self.opening.is_some() && event.field("event").as_deref() == Some("endpoint") {
            return Some(self.endpoint(&event, &data));
        }
        let looked = self.door.look(&data);
        if looked.signed_out
            && !self.passed.message
            && let Some(signed) = self.signed.take()
            && let Some(sending) = self.asked.take_again()
        {
            let tried = answer::try_again(&self.door, &sending, signed).await;
            return match tried {
                Ok(response) => self.go_on_with(response).await,
                Err(failure) => Some(self.end_with(&failure)),
            };
        }
        let posted = match &mut self.opening {
            Some(opening) if looked.answers => {
                let shown = looked.text.as_deref().unwrap_or(&data);
                match opening.answered(shown, looked.signed_out) {
                    Answered::Passes(request) => request,
                    Answered::AskedAgain => return None,
                }
            }
            Some(_) | None => None,
        };
        let asked = posted.as_ref().map(std::slice::from_ref);
        let asked = asked.unwrap_or(self.asked.requests());
        locks::hear(&self.door, asked, &data).await;
        self.passed.message = true;
        self.passed.answer |= looked.answers;
        let event = match looked.text {
            Some(text) => event.with_data(&text),
            None => event,
        };
        Some(Ok(event.write()))
    }

    fn endpoint(&mut self, event: &Event, told: &str) -> Result<Bytes, BoxError> {
        let opening = self.opening.as_mut();
        match opening.map(|opening| opening.endpoint(told)) {
            Some(Ok(endpoint)) => Ok(event.with_data(&endpoint).write()),
            Some(Err(refusal)) => {
                tracing::warn!(detail = %refusal.detail, "a stream was refused");
                self.is_over = true;
                Err(Box::new(refusal))
            }
            None => Ok(event.write()),
        }
    }

    /// The second try's answer takes the place of the first one's.
    async fn go_on_with(
        &mut self,
        response: http::Response<CutBody>,
    ) -> Option<Result<Bytes, BoxError>> {
        if response.status() == http::StatusCode::UNAUTHORIZED {
            let refusal = answer::not_accepted(&self.door);
            return Some(self.end_with(&CallFailure::Refused(refusal)));
        }
        match answer::document(response).await {
            Ok(Document::Events(body)) => {
                self.source = *body;
                self.reader = Reader::default();
                None
            }
            Ok(Document::Text(text)) => {
                self.is_over = true;
                let looked = self.door.look(&text);
                locks::hear(&self.door, self.asked.requests(), &text).await;
                let event = Event::of(looked.text.as_deref().unwrap_or(&text));
                Some(Ok(event.write()))
            }
            Err(refusal) => Some(self.end_with(&CallFailure::Unknown(refusal))),
        }
    }

    /// The stream broke. What was cut off here ends so; of what broke at the server, an agent that cannot ask for the
    /// rest is told that no answer will come.
    fn broken(&mut self, error: BoxError) -> Result<Bytes, BoxError> {
        let is_cut = error.is::<Refusal>();
        if is_cut || self.passed.answer || self.passed.identifier {
            self.is_over = true;
            return Err(error);
        }
        let failure = if self.asked.may_be_done() {
            CallFailure::Unknown(answer::broke_off())
        } else {
            CallFailure::Refused(answer::broke_off())
        };
        self.end_with(&failure)
    }

    fn end_with(&mut self, failure: &CallFailure) -> Result<Bytes, BoxError> {
        self.is_over = true;
        let refusal = failure.refusal();
        let is_unknown = matches!(failure, CallFailure::Unknown(_));
        match self.asked.error(&self.door, refusal, is_unknown) {
            Some(error) => Ok(Event::of(&error).write()),
            None => Err(Box::new(refusal.clone())),
        }
    }
}

/// What the door has to say next; never anything where it has nothing to say.
async fn said(receiver: &mut Option<mpsc::Receiver<String>>) -> String {
    if let Some(open) = receiver
        && let Some(text) = open.recv().await
    {
        return text;
    }
    *receiver = None;
    std::future::pending().await
}

fn too_large() -> Refusal {
    Refusal::new(
        Code::ProviderRejected,
        "The MCP server sent an event of more than 16 MiB.",
        "Ask for less at once, or use the REST API through `/proxy/NAME/…`.",
    )
}
