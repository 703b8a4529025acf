//! The line of callers before a provider that wants no calls for a while.
//!
//! A limit is the connection's, and its callers are several agents. If each of them asked again when the limit ends,
//! they would use it up together at once; and if each asked meanwhile, none of those calls could succeed. So while a
//! connection is limited its callers stand in line and nothing is sent. After the stated moment they go one after the
//! other, the agents in turn, and the first one shows whether the limit is really over.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_core::ids::{AgentId, ConnectionId};
use doorward_core::problem::{Code, Refusal};
use doorward_core::time::Timestamp;
use tokio::sync::oneshot;

use crate::handle::Shared;

/// More callers than this are told to come back: what waits holds a connection of the gateway each.
const LONGEST: usize = 512;
/// The moment is looked at this often, as clocks are set and machines sleep.
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// So long the others wait for what the first one learns.
const PROBE_TIME: Duration = Duration::from_secs(5);
/// Behind a probe that went well the others follow when the one before has its answer, or after this.
const STEP: Duration = Duration::from_millis(100);

/// The lines of all connections.
#[derive(Default)]
pub(crate) struct Lines {
    lines: Mutex<HashMap<ConnectionId, Line>>,
    /// How many there are, so that the calls of good days look at no map.
    count: AtomicUsize,
}

struct Line {
    until: Timestamp,
    waiting: HashMap<AgentId, VecDeque<oneshot::Sender<Turn>>>,
    /// The agents that wait, the next one first.
    order: VecDeque<AgentId>,
    /// Whether the limit was stated anew since the last turn.
    is_limited_anew: bool,
}

/// A caller's turn. The next one comes when it is dropped.
pub(super) struct Turn {
    _over: oneshot::Sender<()>,
}

impl Line {
    fn length(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    fn forget_who_left(&mut self) {
        for waiting in self.waiting.values_mut() {
            waiting.retain(|caller| !caller.is_closed());
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        let waiting = &self.waiting;
        self.order.retain(|agent| waiting.contains_key(agent));
    }

    fn join(&mut self, agent: AgentId) -> Option<oneshot::Receiver<Turn>> {
        if self.length() >= LONGEST {
            self.forget_who_left();
            if self.length() >= LONGEST {
                return None;
            }
        }
        let (caller, turn) = oneshot::channel();
        let own = self.waiting.entry(agent).or_default();
        if own.is_empty() {
            self.order.push_back(agent);
        }
        own.push_back(caller);
        Some(turn)
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let agent = self.order.pop_front()?;
        let own = self.waiting.get_mut(&agent)?;
        let caller = own.pop_front();
        if own.is_empty() {
            self.waiting.remove(&agent);
        } else {
            self.order.push_back(agent);
        }
        caller
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A provider wants no calls of a connection until then.
    pub(super) fn limited(shared: &Arc<Shared>, connection: ConnectionId, until: Timestamp) {
        let own = &shared.traffic.lines;
        let mut lines = own.lock();
        if let Some(line) = lines.get_mut(&connection) {
            line.until = line.until.max(until);
            line.is_limited_anew = true;
            return;
        }
        let line = Line {
            until,
            waiting: HashMap::new(),
            order: VecDeque::new(),
            is_limited_anew: false,
        };
        lines.insert(connection, line);
        own.count.store(lines.len(), Ordering::Release);
        drop(lines);
        tokio::spawn(usher(Arc::clone(shared), connection));
    }

    /// Waits for a turn, as long as the caller would. Nothing where there is no line.
    pub(super) async fn wait(
        &self,
        now: Timestamp,
        connection: ConnectionId,
        agent: AgentId,
        patience: Duration,
    ) -> Result<Option<Turn>, Refusal> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Ok(None);
        }
        let (until, turn) = {
            let mut lines = self.lock();
            let Some(line) = lines.get_mut(&connection) else {
                return Ok(None);
            };
            let until = line.until;
            if until.since(now) > patience {
                return Err(rate_limited(until, now));
            }
            let turn = line.join(agent).ok_or_else(|| rate_limited(until, now))?;
            (until, turn)
        };
        match tokio::time::timeout(patience, turn).await {
            Ok(Ok(turn)) => Ok(Some(turn)),
            Ok(Err(_)) | Err(_) => Err(rate_limited(until, now.plus(patience))),
        }
    }

    /// Until when a connection is limited.
    fn until(&self, connection: ConnectionId) -> Option<Timestamp> {
        self.lock().get(&connection).map(|line| line.until)
    }

    /// The next caller, and whether it finds out if the limit is over; nothing where nobody waits, and then the line is
    /// gone.
    fn next(&self, connection: ConnectionId) -> Option<(oneshot::Sender<Turn>, bool)> {
        let mut lines = self.lock();
        let line = lines.get_mut(&connection)?;
        if let Some(caller) = line.next() {
            return Some((caller, std::mem::take(&mut line.is_limited_anew)));
        }
        lines.remove(&connection);
        self.count.store(lines.len(), Ordering::Release);
        None
    }
}

/// Lets the callers of one connection go, one after the other, until nobody waits.
async fn usher(shared: Arc<Shared>, connection: ConnectionId) {
    let lines = &shared.traffic.lines;
    let mut is_first = true;
    loop {
        while let Some(left) = lines
            .until(connection)
            .map(|until| until.since(shared.clock.now()))
            .filter(|left| !left.is_zero())
        {
            tokio::time::sleep(left.min(LONGEST_NAP)).await;
        }
        let Some((caller, is_probe)) = lines.next(connection) else {
            return;
        };
        let (ends, over) = oneshot::channel();
        // Who has left needs no turn.
        if caller.send(Turn { _over: ends }).is_ok() {
            let time = if is_probe || is_first {
                PROBE_TIME
            } else {
                STEP
            };
            is_first = false;
            let _ended = tokio::time::timeout(time, over).await;
        }
    }
}

/// The refusal while a provider wants no calls.
pub(super) fn rate_limited(until: Timestamp, now: Timestamp) -> Refusal {
    let moment = until.to_rfc3339();
    Refusal::new(
        Code::RateLimited,
        format!("The provider wants no calls until {moment}."),
        "Try again after the time given; `Prefer: wait=SECONDS` waits here instead, in line with the others.",
    )
    .retry_after(until.since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(number: u8) -> AgentId {
        AgentId::from_random([number; 16])
    }

    #[test]
    fn agents_take_turns_however_many_calls_each_has_in_line() {
        let mut line = Line {
            until: Timestamp::from_secs(0),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            is_limited_anew: false,
        };
        let mut turns = Vec::new();
        for number in [1, 1, 1, 2, 3, 3] {
            turns.push((number, line.join(agent(number)).unwrap()));
        }
        let mut order = Vec::new();
        while let Some(caller) = line.next() {
            let (over, _) = oneshot::channel();
            assert!(caller.send(Turn { _over: over }).is_ok());
            for (number, turn) in &mut turns {
                if turn.try_recv().is_ok() {
                    order.push(*number);
                }
            }
        }
        assert_eq!(order, [1, 2, 3, 1, 3, 1]);
    }

    #[test]
    fn a_line_is_bounded_and_those_who_left_take_no_place() {
        let mut line = Line {
            until: Timestamp::from_secs(0),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            is_limited_anew: false,
        };
        let mut turns: Vec<_> = (0..LONGEST).map(|_| line.join(agent(1)).unwrap()).collect();
        assert!(line.join(agent(2)).is_none());
        turns.pop();
        assert!(line.join(agent(2)).is_some());
    }
}
