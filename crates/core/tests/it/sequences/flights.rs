//! Refreshes in a random sequence: begun, come back with a reply or without, or left by a holder that is gone.

use doorward_core::audit::AuditKind;
use doorward_core::connection::Standing;
use doorward_core::decide::flying::{self, CameEmpty, Empty};
use doorward_core::decide::refreshing::{self, Finished};
use doorward_core::decide::revoking;
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::ids::ConnectionId;
use doorward_core::token_reply::TokenOutcome;
use proptest::sample::Index;

use super::{Play, one};
use crate::world::begin;

impl Play {
    pub(super) fn begin(&mut self, connection: Index) {
        let Some(id) = one(connection, &self.connections()).copied() else {
            return;
        };
        let row = self.world.row(id);
        let has_token = row.refreshable && row.standing == Standing::Connected;
        if has_token && !self.flights.contains_key(&id) {
            self.carry_out(begin(&row));
            self.flights.insert(id, row.generation);
        }
    }

    pub(super) fn finish(&mut self, flight: Index, outcome: u8) {
        let Some((connection, generation)) = self.landed(flight) else {
            return;
        };
        let why = "HTTP 400".to_owned();
        let now = self.world.now;
        let access = self.text("access");
        let outcome = match outcome {
            0..3 => {
                let refresh = self.text("refresh");
                TokenOutcome::Issued(
                    self.world
                        .tokens(&access, (outcome > 0).then_some(refresh.as_str())),
                )
            }
            3 => TokenOutcome::Transient {
                why,
                retry_at: Some(now),
            },
            4 => TokenOutcome::RateLimited { until: now },
            5 => TokenOutcome::GrantEnded { why },
            6 => TokenOutcome::ClientRejected { why },
            _ => TokenOutcome::Misconfigured { why },
        };
        let is_end = matches!(outcome, TokenOutcome::GrantEnded { .. });
        let before = self.world.row(connection);
        let held = self.world.shelf.own(connection).cloned();
        let outbox = self.world.outbox_id();
        let finished = Finished {
            connection,
            generation,
            outcome,
            jitter: 0.1,
            outbox,
        };
        let plan = refreshing::finish(&self.world.book, now, finished);
        let logged = self.carry_out(plan);
        if before.generation != generation {
            assert_eq!(
                *self.world.row(connection),
                *before,
                "a late reply changes nothing"
            );
            assert_eq!(self.world.shelf.own(connection), held.as_ref());
        } else if is_end {
            assert!(logged.contains(&AuditKind::GrantEnded));
            assert_eq!(self.world.shelf.own(connection), None);
        } else if before.standing != Standing::Ending {
            assert!(
                self.world.shelf.own(connection).is_some(),
                "only an end erases"
            );
            let row = self.world.row(connection);
            assert!(
                row.trouble
                    .as_ref()
                    .is_none_or(|trouble| trouble.retry_at > now)
            );
        }
        self.end_blocked(connection);
    }

    /// As the broker does when a flight of a disconnected connection has come back.
    pub(super) fn end_blocked(&mut self, connection: ConnectionId) {
        let Some(row) = self.world.book.connection(connection).cloned() else {
            return;
        };
        if row.standing == Standing::Ending {
            let held = self
                .world
                .shelf
                .own(connection)
                .map(|held| held.access.clone());
            self.must_be_owed.extend(held);
            let outbox = self.world.outbox_id();
            let plan = revoking::end(&self.world.book, &row, self.world.now, outbox);
            self.carry_out(plan);
        }
    }

    pub(super) fn access_dies(&mut self, connection: Index) {
        if let Some(id) = one(connection, &self.connections()) {
            let plan = refreshing::access_is_dead(&self.world.row(*id), self.world.now);
            self.carry_out(plan);
        }
    }

    /// One of the flights, which is under way no longer.
    fn landed(&mut self, flight: Index) -> Option<(ConnectionId, u64)> {
        let flights: Vec<_> = self.flights.clone().into_iter().collect();
        let landed = one(flight, &flights).copied()?;
        self.flights.remove(&landed.0);
        Some(landed)
    }

    /// A flight comes back without a reply: the grant is kept whatever was sent.
    pub(super) fn come_empty(&mut self, flight: Index, end: u8) {
        let Some((connection, generation)) = self.landed(flight) else {
            return;
        };
        let why = "no reply".to_owned();
        let end = match end {
            0 => Empty::NeverSent,
            1 => Empty::CourierFailed { why },
            _ => Empty::ReplyLost { why },
        };
        let now = self.world.now;
        let before = self.world.row(connection);
        let held = self.world.shelf.own(connection).cloned();
        let is_lost = matches!(end, Empty::ReplyLost { .. });
        let came = CameEmpty {
            connection,
            generation,
            end,
            jitter: 0.1,
            outbox: self.world.outbox_id(),
        };
        if before.standing == Standing::Ending {
            let held = held.as_ref().map(|held| held.access.clone());
            self.must_be_owed.extend(held);
        }
        let plan = flying::came_empty(&self.world.book, now, came);
        self.carry_out(plan);
        if before.standing != Standing::Ending {
            assert_eq!(
                self.world.shelf.own(connection),
                held.as_ref(),
                "it is kept"
            );
            let row = self.world.row(connection);
            let is_served = row.access_is_fresh(now, None);
            if is_lost && before.generation == generation && is_served {
                let state = serving::token_state(&row, now, None);
                assert_eq!(state, TokenState::Fresh, "and not tried yet");
            }
        }
        self.end_blocked(connection);
    }

    /// Whoever held the book is gone. The next one finds flights by their marks alone.
    pub(super) fn restart(&mut self) {
        self.flights = flying::left_marks(&self.world.book)
            .map(|(row, mark)| (row.id, mark.generation))
            .collect();
        for connection in self.connections() {
            if !self.flights.contains_key(&connection) {
                self.end_blocked(connection);
            }
        }
    }
}
