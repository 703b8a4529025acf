//! What was posted on the older transport, until its answer comes on the stream.
//!
//! Over Streamable HTTP an answer comes to its own request. Here its identifier alone tells what it answers, so what
//! was asked is kept as far as the answer needs it: a call about a lock, to hear what became of that, and the message,
//! to send it once more where the answer says that nobody is signed in. Whatever is forgotten costs no more than that:
//! a lock that lapses by itself, an error that the agent sees.
//!
//! An answer may be here before the server has said that it took the message, and only with that is it known which
//! credential was sent. So the message comes through a channel, and whoever sends it again waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_broker::upstream::SignedWith;
use serde_json::Value;
use tokio::sync::oneshot;

use super::door::{Door, Sending};
use super::message::Request;

/// More than any client asks at once.
const MOST_REQUESTS: usize = 256;
/// How much of messages a stream keeps: one of the largest.
const MOST_BYTES: usize = super::post::MOST_POSTED;

/// A message that the server took.
pub(super) struct Sent {
    pub(super) door: Arc<Door>,
    pub(super) sending: Sending,
    pub(super) signed: SignedWith,
}

/// What is kept of a request.
struct Kept {
    /// Its identifier.
    id: String,
    /// The request, where it is about a lock.
    about_lock: Option<Request>,
    /// The message, where it may be sent once more.
    message: Option<oneshot::Receiver<Sent>>,
    /// How large that is.
    size: usize,
    /// Whether the agent has taken the request back.
    is_cancelled: bool,
}

/// The requests that are answered on one stream, the oldest first.
#[derive(Default)]
pub(super) struct Waiting(Mutex<VecDeque<Kept>>);

impl Waiting {
    fn requests(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        // Whoever panicked in here left at worst a request too few.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the answer to a request will need: the request, and the place for a message of this size, to which it
    /// comes once the server has it. No place is given where there is none left. A second request of the same identifier
    /// takes the place of the first, as nobody could tell their answers apart.
    pub(super) fn keep(
        &self,
        id: &str,
        about_lock: Option<Request>,
        size: Option<usize>,
    ) -> Option<oneshot::Sender<Sent>> {
        let id = plain(id);
        let mut requests = self.requests();
        requests.retain(|kept| kept.id != id);
        let held: usize = requests.iter().map(|kept| kept.size).sum();
        let size = size.filter(|size| held + size <= MOST_BYTES);
        let (sender, message) = size.map(|_| oneshot::channel()).unzip();
        requests.push_back(Kept {
            id,
            about_lock,
            message,
            size: size.unwrap_or_default(),
            is_cancelled: false,
        });
        if requests.len() > MOST_REQUESTS {
            requests.pop_front();
        }
        sender
    }

    /// The message of a request, to send it once more; its next answer is its last.
    pub(super) fn take_message(&self, id: &str) -> Option<oneshot::Receiver<Sent>> {
        let id = plain(id);
        let mut requests = self.requests();
        let kept = requests.iter_mut().find(|kept| kept.id == id)?;
        kept.size = 0;
        kept.message.take()
    }

    /// The answer to a request has come. The request, where it is about a lock.
    pub(super) fn answered(&self, id: &str) -> Option<Request> {
        let id = plain(id);
        let mut requests = self.requests();
        let place = requests.iter().position(|kept| kept.id == id)?;
        requests.remove(place)?.about_lock
    }

    /// The agent takes a request back: it is not sent again. The server may have carried it out all the same.
    pub(super) fn cancel(&self, id: &str) {
        let id = plain(id);
        if let Some(kept) = self.requests().iter_mut().find(|kept| kept.id == id) {
            (kept.message, kept.size, kept.is_cancelled) = (None, 0, true);
        }
    }

    /// Whether the agent still waits for the answer to a request.
    pub(super) fn is_awaited(&self, id: &str) -> bool {
        let id = plain(id);
        let requests = self.requests();
        let mut found = requests.iter().filter(|kept| kept.id == id);
        found.any(|kept| !kept.is_cancelled)
    }
}

/// An identifier in one way of writing: a server may write it in another than the agent did.
fn plain(id: &str) -> String {
    let value: Result<Value, _> = serde_json::from_str(id);
    value.map_or_else(|_| id.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn an_answer_finds_its_request_however_its_identifier_is_written() {
        let waiting = Waiting::default();
        let request = Request {
            id: r#""\u0061""#.to_owned(),
            method: "ping".to_owned(),
            params: Map::new(),
        };
        waiting.keep(&request.id, Some(request.clone()), None);
        assert_eq!(waiting.answered("1"), None);
        assert_eq!(waiting.answered("\"a\""), Some(request));
        assert_eq!(waiting.answered("\"a\""), None, "once");
    }

    #[test]
    fn nothing_grows_without_bound() {
        let waiting = Waiting::default();
        for id in 0..=MOST_REQUESTS {
            waiting.keep(&id.to_string(), None, None);
        }
        assert!(!waiting.is_awaited("0"), "the oldest is forgotten");
        assert!(waiting.is_awaited("1"));

        let large = waiting.keep("\"large\"", None, Some(MOST_BYTES - 10));
        assert!(large.is_some());
        assert!(waiting.keep("1", None, Some(11)).is_none());
        assert!(waiting.keep("2", None, Some(10)).is_some());
        waiting.answered("\"large\"");
        assert!(waiting.keep("1", None, Some(11)).is_some());
    }

    #[test]
    fn a_message_is_there_once_and_not_after_it_was_taken_back() {
        let waiting = Waiting::default();
        let _place = waiting.keep("7", None, Some(1));
        assert!(waiting.take_message("7").is_some());
        assert!(waiting.take_message("7").is_none());
        assert!(waiting.is_awaited("7"), "its answer is still to come");

        let _place = waiting.keep("8", None, Some(1));
        waiting.cancel("8");
        assert!(waiting.take_message("8").is_none());
        assert!(!waiting.is_awaited("8"));
    }
}
