//! What the door remembers: little, for a while, and never more than so much.
//!
//! Nothing here decides by itself, and everything may be forgotten: a client whose declaration is forgotten gets the
//! plain error, a file whose hand-out is forgotten is asked for again, a hint that is forgotten counts as none, and
//! whoever repeats an argument in a header of which is forgotten what it repeats lists the tools again.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use doorward_core::ids::{AgentId, ConnectionId};
use doorward_core::time::Timestamp;
use tokio::sync::mpsc;

use super::waiting::Waiting;
use crate::argument_headers::Repeated;

/// Enough for hundreds of agents with several sessions each.
const MOST_SESSIONS: usize = 1024;
/// A catalogue of a few hundred tools for each of a dozen connections.
const MOST_HINTS: usize = 4096;
const MOST_FILES: usize = 4096;
const MOST_QUESTIONS: usize = 256;
/// For how long a file's hand-out and a question are remembered.
const KEPT: Duration = Duration::from_hours(1);

/// Who uses what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) agent: AgentId,
    pub(super) connection: ConnectionId,
}

/// An open stream of the older transport. Who reads it keeps it: when it ends, it is gone here too.
pub(super) struct Stream {
    /// Where its messages go, below the root of the server's origin.
    pub(super) path_and_query: String,
    /// What the door says on it.
    pub(super) say: mpsc::Sender<String>,
    /// What was posted and is answered on it.
    pub(super) waiting: Waiting,
}

/// What a list says of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hint {
    /// Whether it changes nothing.
    pub(super) is_reading: bool,
    /// Which of its arguments are repeated in headers; nothing where the list says that wrongly.
    pub(super) repeated: Option<Repeated>,
}

/// The memory of all MCP doors.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    sessions: Bounded<(Pair, String), ()>,
    hints: Bounded<(ConnectionId, String), Hint>,
    files: Bounded<(Pair, String), Timestamp>,
    questions: Bounded<String, (ConnectionId, Timestamp)>,
    streams: Bounded<(Pair, String), Weak<Stream>>,
}

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whoever panicked in here left at worst an entry too few.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of this session opens addresses for a person, or does not. Where the server has no sessions, the
    /// last client of an agent that initialized stands for all of them.
    pub(super) fn declared(&self, pair: Pair, session: Option<&str>, opens_addresses: bool) {
        let key = (pair, session.unwrap_or_default().to_owned());
        let mut kept = self.kept();
        if opens_addresses {
            kept.sessions.put(key, (), MOST_SESSIONS);
        } else {
            kept.sessions.take(&key);
        }
    }

    /// Whether the client of this session opens addresses.
    pub(super) fn opens_addresses(&self, pair: Pair, session: Option<&str>) -> bool {
        let key = (pair, session.unwrap_or_default().to_owned());
        self.kept().sessions.get(&key).is_some()
    }

    /// A list said this of its tools.
    pub(super) fn hinted(&self, connection: ConnectionId, hints: Vec<(String, Hint)>) {
        let mut kept = self.kept();
        for (tool, hint) in hints {
            kept.hints.put((connection, tool), hint, MOST_HINTS);
        }
    }

    /// Whether the list said that a tool changes nothing.
    pub(super) fn is_reading(&self, connection: ConnectionId, tool: &str) -> bool {
        let key = (connection, tool.to_owned());
        let kept = self.kept();
        kept.hints.get(&key).is_some_and(|hint| hint.is_reading)
    }

    /// Which of a tool's arguments are repeated in headers, if a list has said so.
    pub(super) fn repeated(&self, connection: ConnectionId, tool: &str) -> Option<Repeated> {
        let key = (connection, tool.to_owned());
        self.kept().hints.get(&key)?.repeated.clone()
    }

    /// Results handed these files to an agent.
    pub(super) fn handed(&self, pair: Pair, files: Vec<String>, now: Timestamp) {
        let mut kept = self.kept();
        for file in files {
            kept.files.put((pair, file), now, MOST_FILES);
        }
    }

    /// Whether a result handed this file to the agent, not long ago.
    pub(super) fn was_handed(&self, pair: Pair, file: &str, now: Timestamp) -> bool {
        let key = (pair, file.to_owned());
        self.kept()
            .files
            .get(&key)
            .is_some_and(|at| now.since(*at) < KEPT)
    }

    /// A question was put to a client about this connection.
    pub(super) fn asked(&self, question: String, connection: ConnectionId, now: Timestamp) {
        self.kept()
            .questions
            .put(question, (connection, now), MOST_QUESTIONS);
    }

    /// A stream was opened; its messages come with this query.
    pub(super) fn opened(&self, pair: Pair, query: String, stream: &Arc<Stream>) {
        let mut kept = self.kept();
        kept.streams.keep(|stream| stream.strong_count() > 0);
        kept.streams
            .put((pair, query), Arc::downgrade(stream), MOST_SESSIONS);
    }

    /// The stream whose messages come with this query.
    pub(super) fn stream(&self, pair: Pair, query: &str) -> Option<Arc<Stream>> {
        let key = (pair, query.to_owned());
        self.kept().streams.get(&key).and_then(Weak::upgrade)
    }

    /// Which connection a question is about, if it was asked not long ago.
    pub(crate) fn question(&self, question: &str, now: Timestamp) -> Option<ConnectionId> {
        let kept = self.kept();
        let (connection, at) = kept.questions.get(&question.to_owned())?;
        (now.since(*at) < KEPT).then_some(*connection)
    }
}

/// A map that forgets what came first.
struct Bounded<K, V> {
    found: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self {
            found: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    fn put(&mut self, key: K, value: V, most: usize) {
        if self.found.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > most
            && let Some(first) = self.order.pop_front()
        {
            self.found.remove(&first);
        }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.found.get(key)
    }

    fn keep(&mut self, is_kept: impl Fn(&V) -> bool) {
        self.found.retain(|_, value| is_kept(value));
        self.order.retain(|key| self.found.contains_key(key));
    }

    fn take(&mut self, key: &K) {
        if self.found.remove(key).is_some() {
            self.order.retain(|own| own != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(agent: u8) -> Pair {
        Pair {
            agent: AgentId::from_random([agent; 16]),
            connection: ConnectionId::from_random([9; 16]),
        }
    }

    #[test]
    fn what_one_agent_was_handed_is_no_other_agents_and_lasts_an_hour() {
        let memory = Memory::default();
        let now = Timestamp::from_secs(1_000_000);
        memory.handed(pair(1), vec!["workspace/1/n".to_owned()], now);
        assert!(memory.was_handed(pair(1), "workspace/1/n", now.plus(Duration::from_mins(59))));
        assert!(!memory.was_handed(pair(1), "workspace/1/n", now.plus(Duration::from_mins(61))));
        assert!(!memory.was_handed(pair(2), "workspace/1/n", now));
        assert!(!memory.was_handed(pair(1), "workspace/1/m", now));
    }

    #[test]
    fn the_oldest_is_forgotten_first_and_nothing_grows_without_bound() {
        let mut bounded = Bounded::default();
        for number in 0..10 {
            bounded.put(number, number, 3);
            bounded.put(number, number, 3);
        }
        assert_eq!((bounded.found.len(), bounded.order.len()), (3, 3));
        assert_eq!((bounded.get(&6), bounded.get(&7)), (None, Some(&7)));
    }

    #[test]
    fn a_client_that_initializes_again_is_believed_anew() {
        let memory = Memory::default();
        memory.declared(pair(1), Some("s"), true);
        assert!(memory.opens_addresses(pair(1), Some("s")));
        assert!(!memory.opens_addresses(pair(1), None));
        assert!(!memory.opens_addresses(pair(2), Some("s")));
        memory.declared(pair(1), Some("s"), false);
        assert!(!memory.opens_addresses(pair(1), Some("s")));
    }
}
