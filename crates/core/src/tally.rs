//! How often the refreshes of a connection succeeded and failed lately.
//!
//! Counted by the minute and only where there was something to count: a connection is refreshed about once an hour, so
//! a day of it is a few dozen entries.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

const MINUTE_MILLIS: i64 = 60_000;
const DAY: Duration = Duration::from_hours(24);
/// A day has so many minutes: more entries there cannot be, whatever the clock does.
const MOST_ENTRIES: usize = 1440;

/// Successes and failures in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct Count {
    /// Refreshes that brought tokens.
    pub succeeded: u32,
    /// Refreshes that did not.
    pub failed: u32,
}

/// Successes and failures over the usual three stretches of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct Rates {
    /// Over the last five minutes.
    pub five_minutes: Count,
    /// Over the last hour.
    pub hour: Count,
    /// Over the last 24 hours.
    pub day: Count,
}

/// The counts of one connection.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    minutes: VecDeque<(Timestamp, Count)>,
}

impl Tally {
    /// Counts a refresh that ended at `now`.
    pub fn count(&mut self, now: Timestamp, succeeded: bool) {
        let minute =
            Timestamp::from_millis(now.as_millis().div_euclid(MINUTE_MILLIS) * MINUTE_MILLIS);
        let oldest = minute.minus(DAY);
        // A clock that was set back makes entries of the future: they would outlive their day.
        self.minutes.retain(|(at, _)| *at > oldest && *at <= minute);
        if self.minutes.back().is_none_or(|(at, _)| *at != minute) {
            if self.minutes.len() == MOST_ENTRIES {
                self.minutes.pop_front();
            }
            self.minutes.push_back((minute, Count::default()));
        }
        if let Some((_, count)) = self.minutes.back_mut() {
            let side = if succeeded {
                &mut count.succeeded
            } else {
                &mut count.failed
            };
            *side = side.saturating_add(1);
        }
    }

    /// The counts as they stand at `now`.
    #[must_use]
    pub fn rates(&self, now: Timestamp) -> Rates {
        let over = |length: Duration| {
            let from = now.minus(length);
            let recent = self
                .minutes
                .iter()
                .filter(|(at, _)| *at > from && *at <= now);
            recent.fold(Count::default(), |sum, (_, count)| Count {
                succeeded: sum.succeeded.saturating_add(count.succeeded),
                failed: sum.failed.saturating_add(count.failed),
            })
        };
        Rates {
            five_minutes: over(Duration::from_mins(5)),
            hour: over(Duration::from_hours(1)),
            day: over(DAY),
        }
    }
}
