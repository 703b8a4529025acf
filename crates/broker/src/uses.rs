//! What agents did through the proxy door, in numbers: never a query, never a body.
//!
//! Counting must cost a call nothing to speak of. A use is pushed onto a bounded list; a second later one task sorts
//! what came by agent, connection, call and status, and once a minute the owner of the state takes the sums and writes
//! them into the audit log. A list that is full loses uses and says how many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use doorward_core::ids::{AgentId, ConnectionId};
use doorward_core::time::Timestamp;
use doorward_core::usage::{self, OTHERS, UseMinute, UseSum};
use tokio::sync::Notify;

use crate::handle::Shared;

/// More uses in a second than the door can carry.
const MOST_PENDING: usize = 32 * 1024;
/// So many different calls in a minute are counted each by its own name, the others together.
const MOST_KINDS: usize = 2048;
/// How long uses lie unsorted.
const REST: Duration = Duration::from_secs(1);

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The agent got the whole answer.
    Complete,
    /// The answer broke off: the provider or the agent went away.
    BrokenOff,
    /// It was cut off, as the agent may not have it any longer.
    Cut,
    /// It was refused here, or the provider did not answer in time.
    Refused,
    /// It was sent and not answered: whether it was carried out is not known.
    Unknown,
}

impl Outcome {
    /// The answer has come to its end; one that was cut off stays so.
    pub(crate) fn complete(&mut self) {
        if *self == Self::BrokenOff {
            *self = Self::Complete;
        }
    }

    /// The outcome as it stands in the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::BrokenOff => "broken_off",
            Self::Cut => "cut",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// One call, when it is over.
#[derive(Clone, Debug)]
pub struct Use {
    /// Who called.
    pub agent: AgentId,
    /// Through which connection.
    pub connection: ConnectionId,
    /// The method and path, or the tool.
    pub label: String,
    /// The HTTP status that the agent got.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// How long it took, to the end of the answer.
    pub millis: u64,
    /// How often it was sent again.
    pub retries: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// What uses are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UseKind {
    /// Who called.
    pub agent: AgentId,
    /// Through which connection.
    pub connection: ConnectionId,
    /// The method and path, or the tool.
    pub label: String,
    /// The HTTP status that the agent got.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
}

/// A minute's uses.
#[derive(Clone, Debug, Default)]
pub struct Minute {
    /// By kind.
    pub sums: HashMap<UseKind, UseSum>,
    /// How many were lost, as there were too many at once.
    pub lost: u64,
}

impl Minute {
    /// The sums, as they are written down.
    pub(crate) fn into_rows(self) -> Vec<UseMinute> {
        let row = |(kind, sum): (UseKind, UseSum)| UseMinute {
            agent: kind.agent,
            connection: kind.connection,
            call: kind.label,
            status: Some(kind.status),
            outcome: kind.outcome.as_str(),
            sum,
        };
        usage::rows(self.sums.into_iter().map(row).collect())
    }

    fn add(&mut self, used: Use) {
        let mut kind = UseKind {
            agent: used.agent,
            connection: used.connection,
            label: used.label,
            status: used.status,
            outcome: used.outcome,
        };
        if self.sums.len() >= MOST_KINDS && !self.sums.contains_key(&kind) {
            OTHERS.clone_into(&mut kind.label);
        }
        let sum = self.sums.entry(kind).or_default();
        sum.count += 1;
        sum.bytes_in += used.bytes_in;
        sum.bytes_out += used.bytes_out;
        sum.millis += used.millis;
        sum.longest = sum.longest.max(used.millis);
        sum.retries += u64::from(used.retries);
    }
}

/// Where uses wait to be written down.
#[derive(Default)]
pub(crate) struct Uses {
    pending: Mutex<Vec<Use>>,
    came: Notify,
    minute: Mutex<Minute>,
    lost: AtomicU64,
}

impl Uses {
    fn record(&self, used: Use) {
        let mut pending = lock(&self.pending);
        if pending.len() >= MOST_PENDING {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        pending.push(used);
        let is_first = pending.len() == 1;
        drop(pending);
        if is_first {
            self.came.notify_one();
        }
    }

    fn sort(&self) {
        let mut minute = lock(&self.minute);
        let pending = std::mem::take(&mut *lock(&self.pending));
        for used in pending {
            minute.add(used);
        }
        minute.lost += self.lost.swap(0, Ordering::Relaxed);
    }

    /// What was used since the last time: this is where the sums of a minute arrive.
    pub(crate) fn take(&self) -> Minute {
        self.sort();
        std::mem::take(&mut *lock(&self.minute))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sorts what was used, for as long as there is a broker.
pub(crate) async fn gather(shared: Weak<Shared>) {
    loop {
        let Some(uses) = shared
            .upgrade()
            .map(|shared| Arc::clone(&shared.traffic.uses))
        else {
            return;
        };
        // Whoever waits here holds the list and not the broker; an hour without a use is a look whether it is there.
        let _woken = tokio::time::timeout(Duration::from_hours(1), uses.came.notified()).await;
        tokio::time::sleep(REST).await;
        uses.sort();
    }
}

/// A call that is being counted; it is recorded when this is dropped.
pub(crate) struct Counting {
    shared: Arc<Shared>,
    used: Option<Use>,
    began: Timestamp,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) outcome: Outcome,
}

impl Counting {
    pub(crate) fn new(shared: Arc<Shared>, used: Use, began: Timestamp) -> Self {
        Self {
            shared,
            began,
            bytes_in: used.bytes_in,
            bytes_out: used.bytes_out,
            outcome: used.outcome,
            used: Some(used),
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let Some(mut used) = self.used.take() else {
            return;
        };
        let took = self.shared.clock.now().since(self.began);
        used.millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        used.bytes_in = self.bytes_in;
        used.bytes_out = self.bytes_out;
        used.outcome = self.outcome;
        if let Some(meter) = self
            .shared
            .published
            .load()
            .call_meters
            .get(&used.connection)
        {
            meter.count(&used);
        }
        self.shared.traffic.uses.record(used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(label: &str, status: u16) -> Use {
        Use {
            agent: AgentId::from_random([1; 16]),
            connection: ConnectionId::from_random([2; 16]),
            label: label.to_owned(),
            status,
            bytes_in: 10,
            bytes_out: 100,
            millis: 5,
            retries: 1,
            outcome: Outcome::Complete,
        }
    }

    #[test]
    fn uses_of_one_kind_are_summed_and_of_others_kept_apart() {
        let uses = Uses::default();
        uses.record(used("GET /a/", 200));
        uses.record(used("GET /a/", 200));
        uses.record(used("GET /a/", 404));
        let minute = uses.take();
        let mut counts: Vec<_> = minute
            .sums
            .iter()
            .map(|(kind, sum)| (kind.status, sum.count, sum.bytes_out, sum.retries))
            .collect();
        counts.sort_unstable();
        assert_eq!(counts, [(200, 2, 200, 2), (404, 1, 100, 1)]);
        assert!(uses.take().sums.is_empty());
    }

    #[test]
    fn what_comes_too_fast_is_lost_and_counted() {
        let uses = Uses::default();
        for _ in 0..MOST_PENDING + 3 {
            uses.record(used("GET /a/", 200));
        }
        let minute = uses.take();
        assert_eq!(minute.lost, 3);
        assert_eq!(
            minute.sums.values().map(|sum| sum.count).sum::<u64>(),
            MOST_PENDING as u64
        );
    }

    #[test]
    fn the_names_of_a_minute_are_bounded() {
        let mut minute = Minute::default();
        for number in 0..MOST_KINDS + 50 {
            minute.add(used(&format!("GET /{number}/"), 200));
        }
        assert!(minute.sums.len() <= MOST_KINDS + 1);
        let others = minute.sums.iter().find(|(kind, _)| kind.label == OTHERS);
        assert_eq!(others.map(|(_, sum)| sum.count), Some(50));
    }
}
