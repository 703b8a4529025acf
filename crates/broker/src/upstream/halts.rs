//! Tasks of agents that are halted, because the provider did not answer them.
//!
//! An agent in a loop asks a provider that is down as fast as it is refused. After five failures in a row the same
//! task of the same agent (its method and path, or its tool) is answered at once, without a call; after a while one
//! call goes through to see whether the provider is back. A success on the connection, or a person who says
//! `doorward retry`, sets everything of it going again. Only failures to get an answer count: what a provider answers
//! is the agent's business.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_core::connection::FAILURES_TO_HALT;
use doorward_core::ids::{AgentId, ConnectionId};
use doorward_core::problem::{Code, Refusal};
use doorward_core::time::Timestamp;

/// After so long one call goes through. The same as a halted refresh waits for its provider.
const PROBE_AFTER: Duration = Duration::from_secs(30);
/// A provider that is down while agents walk over many paths; beyond that the oldest knowledge is worth nothing.
const MOST_TASKS: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Task {
    pub(crate) agent: AgentId,
    pub(crate) connection: ConnectionId,
    pub(crate) label: String,
}

#[derive(Default)]
struct Failing {
    failures: u32,
    /// When the last of them was counted.
    counted_at: Option<Timestamp>,
    /// When the next call goes through, once it is halted.
    probe_at: Option<Timestamp>,
}

/// Which tasks fail, and which of them are halted.
#[derive(Default)]
pub(crate) struct Halts {
    failing: Mutex<HashMap<Task, Failing>>,
    /// How many there are, so that the many calls of good days look at no map.
    count: AtomicUsize,
}

impl Halts {
    /// Whether a task may go on. One whose time to probe has come goes on alone.
    pub(crate) fn check(&self, now: Timestamp, task: impl FnOnce() -> Task) -> Result<(), Refusal> {
        if self.is_empty() {
            return Ok(());
        }
        let mut failing = self.lock();
        let Some(own) = failing.get_mut(&task()) else {
            return Ok(());
        };
        match own.probe_at {
            Some(at) if now < at => Err(Refusal::new(
                Code::ProviderUnavailable,
                "The provider did not answer this call five times in a row, so it is not sent for a while.",
                "Try again after the time given, or do something else first; `doorward retry NAME` sets it going again at once.",
            )
            .retry_after(at.since(now))),
            Some(_) => {
                own.probe_at = Some(now.plus(PROBE_AFTER));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A task got no answer to what it sent at that moment. Whether it is halted by that.
    ///
    /// What is under way together fails together: a connection that many calls share and that breaks is one failure,
    /// and not five in a row.
    pub(crate) fn failed(&self, now: Timestamp, sent_at: Timestamp, task: Task) -> bool {
        let mut failing = self.lock();
        if failing.len() >= MOST_TASKS && !failing.contains_key(&task) {
            failing.clear();
        }
        let label = task.label.clone();
        let (agent, connection) = (task.agent, task.connection);
        let own = failing.entry(task).or_default();
        let is_counted = own.counted_at.is_none_or(|last| sent_at >= last);
        if is_counted {
            own.failures = own.failures.saturating_add(1);
            own.counted_at = Some(now);
        }
        let is_halted = own.failures >= FAILURES_TO_HALT;
        if is_halted && is_counted {
            own.probe_at = Some(now.plus(PROBE_AFTER));
        }
        if own.failures == FAILURES_TO_HALT && is_counted {
            tracing::error!(critical = true, %agent, %connection, call = %label, "the provider did not answer five times in a row: the agent's task has halted");
        }
        self.count.store(failing.len(), Ordering::Release);
        is_halted
    }

    /// The provider answered a call of this connection, or a person wants it tried.
    pub(crate) fn resume(&self, connection: ConnectionId) {
        if self.is_empty() {
            return;
        }
        let mut failing = self.lock();
        failing.retain(|task, _| task.connection != connection);
        self.count.store(failing.len(), Ordering::Release);
    }

    /// The machine was away: what was down then says nothing about now.
    pub(crate) fn resume_all(&self) {
        let mut failing = self.lock();
        failing.clear();
        self.count.store(0, Ordering::Release);
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Task, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(label: &str) -> Task {
        Task {
            agent: AgentId::from_random([1; 16]),
            connection: ConnectionId::from_random([2; 16]),
            label: label.to_owned(),
        }
    }

    #[test]
    fn the_fifth_failure_halts_that_task_alone_until_a_probe_a_success_or_a_person() {
        let halts = Halts::default();
        let now = Timestamp::from_secs(1000);
        for failure in 1..=FAILURES_TO_HALT {
            assert!(halts.check(now, || task("GET /a/")).is_ok());
            let is_halted = halts.failed(now, now, task("GET /a/"));
            assert_eq!(is_halted, failure == FAILURES_TO_HALT);
        }
        let refused = halts.check(now, || task("GET /a/")).unwrap_err();
        assert_eq!(refused.code, Code::ProviderUnavailable);
        assert_eq!(refused.retry_after_seconds, Some(PROBE_AFTER.as_secs()));
        assert!(
            halts.check(now, || task("GET /b/")).is_ok(),
            "another task goes on"
        );

        let later = now.plus(PROBE_AFTER);
        assert!(halts.check(later, || task("GET /a/")).is_ok(), "one probe");
        assert!(
            halts.check(later, || task("GET /a/")).is_err(),
            "and one alone"
        );

        halts.resume(task("").connection);
        assert!(halts.check(later, || task("GET /a/")).is_ok());
        assert!(halts.is_empty());
    }

    #[test]
    fn what_was_under_way_together_fails_once() {
        let halts = Halts::default();
        let sent_at = Timestamp::from_secs(1000);
        let now = sent_at.plus(Duration::from_secs(1));
        for _ in 0..2 * FAILURES_TO_HALT {
            assert!(!halts.failed(now, sent_at, task("GET /a/")));
        }
        for failure in 2..=FAILURES_TO_HALT {
            let is_halted = halts.failed(now, now, task("GET /a/"));
            assert_eq!(is_halted, failure == FAILURES_TO_HALT);
        }
    }
}
