//! The numbers for whoever watches Doorward from outside.
//!
//! They are read from the published copy, so that watching costs nobody anything. What only grows is counted in
//! atomics that all copies share: no copy is published for a count.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use doorward_core::connection::{Connection, Standing};
use doorward_core::health::Health;
use doorward_core::name::Name;
use doorward_core::pairing::Verdict;
use doorward_core::problem::Code;
use doorward_core::time::Timestamp;

use crate::published::Published;
use crate::uses::{Outcome, Use};

/// How Doorward is, in numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// How many connections have each health, for every word there is. One that is being disconnected is not counted.
    pub connections: Vec<(&'static str, usize)>,
    /// Of each connection how its refreshes went.
    pub refreshes: Vec<RefreshTotals>,
    /// Of each connection what went through its proxy door.
    pub calls: Vec<CallTotals>,
    /// How many locks agents hold at providers.
    pub locks: usize,
    /// How many agents there are.
    pub agents: usize,
    /// How many approval requests wait.
    pub requests: usize,
    /// How many revocations are owed to providers.
    pub revocations_owed: usize,
    /// How many connections' fresh tokens are in memory alone.
    pub tokens_unsaved: usize,
    /// How many requests were refused since the start, by code; only codes that there was one of. Refusals of open
    /// routes, in OAuth's own words, are not among them.
    pub refused: Vec<(Code, u64)>,
}

/// How the refreshes of a connection went since the start. A connection that is made anew under a name counts anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTotals {
    /// The connection.
    pub connection: Name,
    /// Refreshes that brought tokens.
    pub succeeded: u64,
    /// Refreshes that did not.
    pub failed: u64,
}

/// What went through a connection's proxy door since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallTotals {
    /// The connection.
    pub connection: Name,
    /// Calls by the class of the status that the agent got, such as `2xx`; `none` are those that got no answer of the
    /// provider.
    pub by_class: [(&'static str, u64); 6],
    /// Bytes of the requests' bodies.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies.
    pub bytes_out: u64,
    /// How often calls were sent again.
    pub retries: u64,
}

/// Counts what goes through one connection's proxy door.
#[derive(Default)]
pub(crate) struct CallMeter {
    by_class: [AtomicU64; 6],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    retries: AtomicU64,
}

impl CallMeter {
    const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

    /// A call has ended.
    pub(crate) fn count(&self, used: &Use) {
        let is_answered = !matches!(used.outcome, Outcome::Refused | Outcome::Unknown);
        let class = usize::from(used.status / 100);
        let class = if is_answered { class } else { 0 };
        if let Some(count) = self.by_class.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.bytes_in.fetch_add(used.bytes_in, Ordering::Relaxed);
        self.bytes_out.fetch_add(used.bytes_out, Ordering::Relaxed);
        let retries = u64::from(used.retries);
        self.retries.fetch_add(retries, Ordering::Relaxed);
    }

    fn totals(&self, connection: Name) -> CallTotals {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let class = |nth: usize| (Self::CLASSES[nth], read(&self.by_class[nth]));
        CallTotals {
            connection,
            by_class: std::array::from_fn(class),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            retries: read(&self.retries),
        }
    }
}

/// Counts the refreshes of one connection.
#[derive(Default)]
pub(crate) struct RefreshMeter {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl RefreshMeter {
    pub(crate) fn count(&self, succeeded: bool) {
        let side = if succeeded {
            &self.succeeded
        } else {
            &self.failed
        };
        side.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is counted of the whole.
pub(crate) struct Totals {
    /// Every code is there from the start, so that counting is never an insertion.
    refused: HashMap<Code, AtomicU64>,
    unsaved: AtomicUsize,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            refused: Code::ALL
                .iter()
                .map(|code| (*code, AtomicU64::default()))
                .collect(),
            unsaved: AtomicUsize::default(),
        }
    }
}

impl Totals {
    pub(crate) fn count_refusal(&self, code: Code) {
        if let Some(count) = self.refused.get(&code) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// So many connections' fresh tokens wait for the store.
    pub(crate) fn tell_unsaved(&self, count: usize) {
        self.unsaved.store(count, Ordering::Relaxed);
    }

    fn refused(&self) -> Vec<(Code, u64)> {
        let counted = Code::ALL.iter().map(|code| {
            let count = self.refused.get(code);
            (
                *code,
                count.map_or(0, |count| count.load(Ordering::Relaxed)),
            )
        });
        counted.filter(|(_, count)| *count > 0).collect()
    }
}

impl Published {
    pub(crate) fn metrics(&self, now: Timestamp) -> Metrics {
        let rows = || {
            self.book
                .connections()
                .filter(|row| row.standing != Standing::Ending)
        };
        let mut connections = Health::WORDS.map(|word| (word, 0)).to_vec();
        for row in rows() {
            let own = self.health(row, now).as_str();
            for (word, count) in &mut connections {
                *count += usize::from(*word == own);
            }
        }
        let mut refreshes: Vec<_> = rows().map(|row| self.refresh_totals(row)).collect();
        refreshes.sort_by(|left, right| left.connection.cmp(&right.connection));
        let mut calls: Vec<_> = rows().filter_map(|row| self.call_totals(row)).collect();
        calls.sort_by(|left, right| left.connection.cmp(&right.connection));
        let waiting = self
            .book
            .requests()
            .filter(|request| request.verdict == Verdict::Waiting && now < request.expires_at);
        Metrics {
            connections,
            refreshes,
            calls,
            locks: self.book.locks().count(),
            agents: self.book.agents().count(),
            requests: waiting.count(),
            revocations_owed: self.book.outbox().count(),
            tokens_unsaved: self.totals.unsaved.load(Ordering::Relaxed),
            refused: self.totals.refused(),
        }
    }

    fn call_totals(&self, row: &Connection) -> Option<CallTotals> {
        let meter = self.call_meters.get(&row.id)?;
        Some(meter.totals(row.name.clone()))
    }

    fn refresh_totals(&self, row: &Connection) -> RefreshTotals {
        let meter = self.refresh_meters.get(&row.id);
        let read = |side: fn(&RefreshMeter) -> &AtomicU64| {
            meter.map_or(0, |meter| side(meter).load(Ordering::Relaxed))
        };
        RefreshTotals {
            connection: row.name.clone(),
            succeeded: read(|meter| &meter.succeeded),
            failed: read(|meter| &meter.failed),
        }
    }
}
