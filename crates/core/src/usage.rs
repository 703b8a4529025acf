//! What agents did through the proxy door in a minute, as it is written down.
//!
//! An agent that walks through a thousand files calls a thousand paths, and a log with a row for each is one that
//! nobody reads and that grows by the agent's will. So an agent's minute takes a bounded number of rows: where there
//! are more, paths that differ in their identifiers alone count as one, and the rarest calls are summed up.

use std::collections::BTreeMap;

use crate::audit::{AuditEvent, AuditKind};
use crate::ids::{AgentId, ConnectionId, TenantId};

/// What calls are called that no row names.
pub const OTHERS: &str = "(others)";
/// So many rows of one agent's calls through one connection are written for a minute.
pub const MOST_ROWS: usize = 20;
/// An outcome that needs no word.
pub const COMPLETE: &str = "complete";

/// Calls of one kind in a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseMinute {
    /// Who called.
    pub agent: AgentId,
    /// Through which connection.
    pub connection: ConnectionId,
    /// The method and path without a query, or the tool.
    pub call: String,
    /// The HTTP status that the agent got; nothing where several were summed up.
    pub status: Option<u16>,
    /// How they ended, as one word.
    pub outcome: &'static str,
    /// How many, and how much.
    pub sum: UseSum,
}

/// How many calls, and how much they moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UseSum {
    /// How many.
    pub count: u64,
    /// Bytes of the requests' bodies.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies.
    pub bytes_out: u64,
    /// How long they took together, in milliseconds.
    pub millis: u64,
    /// How long the longest took.
    pub longest: u64,
    /// How often they were sent again.
    pub retries: u64,
    /// How many of them had no success.
    pub failed: u64,
}

impl UseSum {
    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.millis = self.millis.saturating_add(other.millis);
        self.longest = self.longest.max(other.longest);
        self.retries = self.retries.saturating_add(other.retries);
        self.failed = self.failed.saturating_add(other.failed);
    }
}

impl UseMinute {
    fn has_failed(&self) -> bool {
        self.outcome != COMPLETE || self.status.is_some_and(|status| status >= 400)
    }

    /// The minute as an event of the log.
    #[must_use]
    pub fn event(self, tenant: TenantId) -> AuditEvent {
        let sum = self.sum;
        let mut event = AuditEvent::new(AuditKind::Used)
            .tenant(tenant)
            .agent(self.agent)
            .connection(self.connection)
            .with("call", self.call);
        if let Some(status) = self.status {
            event = event.with("status", status.to_string());
        } else {
            event = event.with("failed", sum.failed.to_string());
        }
        if self.outcome != COMPLETE {
            event = event.with("outcome", self.outcome);
        }
        if sum.retries > 0 {
            event = event.with("retries", sum.retries.to_string());
        }
        event
            .with("count", sum.count.to_string())
            .with("bytes_in", sum.bytes_in.to_string())
            .with("bytes_out", sum.bytes_out.to_string())
            .with("millis", sum.millis.to_string())
            .with("longest", sum.longest.to_string())
    }
}

/// The rows of a minute: of each agent and connection at most [`MOST_ROWS`].
#[must_use]
pub fn rows(minutes: Vec<UseMinute>) -> Vec<UseMinute> {
    let mut by_pair: BTreeMap<(AgentId, ConnectionId), Vec<UseMinute>> = BTreeMap::new();
    for mut minute in minutes {
        minute.sum.failed = if minute.has_failed() {
            minute.sum.count
        } else {
            0
        };
        if minute.call == OTHERS {
            // Summed up already, while they were counted.
            (minute.status, minute.outcome) = (None, COMPLETE);
        }
        let pair = (minute.agent, minute.connection);
        by_pair.entry(pair).or_default().push(minute);
    }
    let bounded = by_pair.into_values().flat_map(|minutes| {
        let merged = merged(minutes);
        if merged.len() <= MOST_ROWS {
            return merged;
        }
        let folded = merged.into_iter().map(|minute| UseMinute {
            call: without_ids(&minute.call),
            ..minute
        });
        summed_up(self::merged(folded.collect()))
    });
    bounded.collect()
}

/// Minutes of the same kind as one.
fn merged(minutes: Vec<UseMinute>) -> Vec<UseMinute> {
    let mut kinds: BTreeMap<(String, Option<u16>, &'static str), UseMinute> = BTreeMap::new();
    for minute in minutes {
        let kind = (minute.call.clone(), minute.status, minute.outcome);
        match kinds.get_mut(&kind) {
            Some(found) => found.sum.add(minute.sum),
            None => {
                kinds.insert(kind, minute);
            }
        }
    }
    kinds.into_values().collect()
}

/// The most frequent, and the sum of the others.
fn summed_up(mut minutes: Vec<UseMinute>) -> Vec<UseMinute> {
    if minutes.len() <= MOST_ROWS {
        return minutes;
    }
    // What the counting itself had to sum up goes to the others too.
    minutes.sort_by_key(|minute| (minute.call == OTHERS, std::cmp::Reverse(minute.sum.count)));
    let rare = minutes.split_off(MOST_ROWS - 1);
    let mut rare = rare.into_iter();
    if let Some(first) = rare.next() {
        let mut others = UseMinute {
            call: OTHERS.to_owned(),
            status: None,
            outcome: COMPLETE,
            ..first
        };
        for minute in rare {
            others.sum.add(minute.sum);
        }
        minutes.push(others);
    }
    minutes
}

/// A path with a star for each identifier in it. A tool's name has none.
fn without_ids(call: &str) -> String {
    let Some((method, path)) = call.split_once(" /") else {
        return call.to_owned();
    };
    let segments = path
        .split('/')
        .map(|segment| if is_id(segment) { "*" } else { segment });
    format!("{method} /{}", segments.collect::<Vec<_>>().join("/"))
}

/// Longer than the words that paths are made of.
const LONG: usize = 24;

fn is_id(segment: &str) -> bool {
    let has_digit = segment.bytes().any(|byte| byte.is_ascii_digit());
    let is_version = segment.len() <= 3 && segment.starts_with('v');
    (has_digit && !is_version) || segment.len() > LONG
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(call: &str, status: u16, count: u64) -> UseMinute {
        UseMinute {
            agent: AgentId::from_random([1; 16]),
            connection: ConnectionId::from_random([2; 16]),
            call: call.to_owned(),
            status: Some(status),
            outcome: COMPLETE,
            sum: UseSum {
                count,
                bytes_out: 10 * count,
                millis: count,
                longest: count,
                ..UseSum::default()
            },
        }
    }

    fn told(rows: &[UseMinute]) -> Vec<String> {
        let tell = |row: &UseMinute| {
            let status = row
                .status
                .map_or_else(String::new, |status| status.to_string());
            format!(
                "{} {status} ×{} failed {}",
                row.call, row.sum.count, row.sum.failed
            )
        };
        rows.iter().map(tell).collect()
    }

    #[test]
    fn a_minute_of_few_calls_is_written_as_it_was() {
        let rows = rows(vec![
            minute("GET /workspace/4190267351234567890/", 200, 2),
            minute("GET /workspace/4190267351234567890/", 404, 1),
            minute("tool storage(action=list)", 200, 14),
        ]);
        assert_eq!(
            told(&rows),
            [
                "GET /workspace/4190267351234567890/ 200 ×2 failed 0",
                "GET /workspace/4190267351234567890/ 404 ×1 failed 1",
                "tool storage(action=list) 200 ×14 failed 0",
            ]
        );
    }

    #[test]
    fn paths_that_differ_in_identifiers_alone_are_one_row_where_there_are_many() {
        let walk =
            (0..500).map(|nth| minute(&format!("GET /current/v2/storage/n{nth}-x/read/"), 200, 1));
        let mut all: Vec<_> = walk.collect();
        all.push(minute("POST /workspace/create/", 201, 3));
        assert_eq!(
            told(&rows(all)),
            [
                "GET /current/v2/storage/*/read/ 200 ×500 failed 0",
                "POST /workspace/create/ 201 ×3 failed 0",
            ]
        );
    }

    #[test]
    fn the_rarest_calls_are_summed_up_and_none_is_lost() {
        let word = |nth: u8| {
            format!(
                "GET /{}/",
                "abcdefghijklmnopqrstuvwxyz"
                    .chars()
                    .nth(nth.into())
                    .unwrap()
            )
        };
        let mut all: Vec<_> = (0..26)
            .map(|nth| minute(&word(nth), 200, u64::from(nth) + 1))
            .collect();
        all.push(minute("GET /a/", 500, 1));
        let before: u64 = all.iter().map(|minute| minute.sum.count).sum();
        let rows = rows(all);
        assert_eq!(rows.len(), MOST_ROWS);
        assert_eq!(rows.iter().map(|row| row.sum.count).sum::<u64>(), before);
        let others = told(&rows).pop().unwrap();
        assert_eq!(others, "(others)  ×29 failed 1");
    }

    #[test]
    fn agents_do_not_share_their_rows() {
        let mut all: Vec<_> = (0..MOST_ROWS)
            .map(|nth| minute(&format!("tool a{nth}"), 200, 1))
            .collect();
        all.push(UseMinute {
            agent: AgentId::from_random([9; 16]),
            ..minute("tool b", 200, 1)
        });
        assert_eq!(rows(all).len(), MOST_ROWS + 1);
    }
}
