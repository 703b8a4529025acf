//! What a refresh that has ended says beyond its own connection: counts, since when all is well, and whether so many
//! fail at once that it is one alarm.

use std::collections::HashMap;

use doorward_core::alarm::{self, Alarm, Turn};
use doorward_core::connection::{Connection, Standing};
use doorward_core::ids::ConnectionId;
use doorward_core::plan::Notice;
use doorward_core::tally::{Rates, Tally};
use doorward_core::time::Timestamp;
use doorward_core::token_reply::TokenOutcome;

use super::Actor;
use crate::courier::Flown;

/// How a flight came back, as far as others are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// No refresh was sent.
    NothingSent,
    /// It brought tokens.
    Succeeded,
    /// The provider refused: it is there.
    Refused,
    /// Nothing shows that the provider can answer.
    Failed,
}

impl Landing {
    pub(super) fn of(outcome: Option<&Flown>) -> Self {
        match outcome {
            None => Self::NothingSent,
            Some(Flown::Landed(TokenOutcome::Issued(_))) => Self::Succeeded,
            Some(Flown::Landed(
                TokenOutcome::GrantEnded { .. }
                | TokenOutcome::ClientRejected { .. }
                | TokenOutcome::Misconfigured { .. },
            )) => Self::Refused,
            Some(
                Flown::Landed(TokenOutcome::Transient { .. } | TokenOutcome::RateLimited { .. })
                | Flown::Empty(_),
            ) => Self::Failed,
        }
    }
}

/// What was seen since the start.
#[derive(Default)]
pub(super) struct Seen {
    tallies: HashMap<ConnectionId, Tally>,
    /// Since when a connection works that had not.
    well_since: HashMap<ConnectionId, Timestamp>,
    alarm: Option<Alarm>,
}

impl Seen {
    pub(super) fn rates(&self, id: ConnectionId, now: Timestamp) -> Rates {
        self.tallies
            .get(&id)
            .map_or_else(Rates::default, |tally| tally.rates(now))
    }

    /// Since when a connection is as it is, where that is known.
    pub(super) fn since(&self, row: &Connection) -> Option<Timestamp> {
        if row.paused {
            return None;
        }
        match (&row.standing, &row.trouble) {
            (Standing::ReconnectRequired { since, .. }, _) => Some(*since),
            (_, Some(trouble)) => Some(trouble.since),
            (Standing::Connected | Standing::Unproven | Standing::Ending, None) => {
                let well = self.well_since.get(&row.id).copied();
                Some(well.map_or(row.connected_at, |well| well.max(row.connected_at)))
            }
        }
    }

    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.tallies.remove(&id);
        self.well_since.remove(&id);
    }
}

impl Actor {
    /// A flight has landed and its end is stored.
    pub(super) async fn after_landing(&mut self, before: Option<&Connection>, landing: Landing) {
        let Some(before) = before else {
            return;
        };
        let (id, now) = (before.id, self.now());
        if landing != Landing::NothingSent && self.book().connection(id).is_some() {
            let succeeded = landing == Landing::Succeeded;
            self.seen
                .tallies
                .entry(id)
                .or_default()
                .count(now, succeeded);
            if let Some(meter) = self.published.refresh_meters.get(&id) {
                meter.count(succeeded);
            }
            if succeeded && before.trouble.is_some() {
                self.seen.well_since.insert(id, now);
            }
        }
        if matches!(landing, Landing::Succeeded | Landing::Refused) {
            self.origin_is_back(before).await;
        }
        self.watch_alarm();
        self.answer_retries(id);
    }

    /// Raises or lowers the alarm.
    pub(super) fn watch_alarm(&mut self) {
        let skew = self.providers.skew();
        match alarm::turn(self.book(), self.now(), self.seen.alarm, skew) {
            None => {}
            Some(Turn::Raised(alarm)) => {
                self.seen.alarm = Some(alarm);
                self.shell.tell(&Notice::ManyFail(alarm));
            }
            Some(Turn::Lowered(alarm)) => {
                self.seen.alarm = None;
                self.shell.tell(&Notice::ManyRecovered(alarm));
            }
        }
    }

    /// What failed when the last process ended was told then.
    pub(super) fn take_over_alarm(&mut self) {
        self.seen.alarm = alarm::found(self.book(), self.now(), 0);
    }
}
