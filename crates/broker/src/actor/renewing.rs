//! The proxy door wants tokens: the same flights, for callers who never see what they bring.

use doorward_core::decide::reporting::Followed;
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::grant::Door;
use doorward_core::ids::ConnectionId;

use super::flights::Reason;
use super::serving::{Answering, Waiter};
use super::{Actor, reply};
use crate::handle::{Renewal, Reply, TokenAsk};

impl Actor {
    /// A call waits for a token that can be sent.
    pub(super) async fn renew(&mut self, renewal: Renewal, to: Reply<()>) {
        let Renewal {
            caller,
            connection,
            rejected,
        } = renewal;
        let now = self.now();
        let decided = self.authenticated(&caller).and_then(|caller| {
            let name = Some(&connection);
            let access = serving::access(self.book(), now, &caller, name, Door::Proxy)?;
            Ok(std::sync::Arc::clone(access.connection))
        });
        let row = match decided {
            Ok(row) => row,
            Err(refusal) => return reply(to, Err(refusal)),
        };
        // What was refused has a successor already: that one is sent.
        let rejected = rejected.filter(|generation| *generation == row.generation);
        let reason = match (rejected, serving::token_state(&row, now, None)) {
            (_, TokenState::Refused(refusal)) => return reply(to, Err(refusal)),
            (_, TokenState::Due) => Reason::Due,
            (None, TokenState::Fresh | TokenState::DueButLive) => return reply(to, Ok(())),
            (Some(generation), TokenState::Fresh | TokenState::DueButLive) => {
                if !self.follows_up(row.id, generation) {
                    return reply(to, Ok(()));
                }
                if let Some(trouble) = row.trouble.as_ref().filter(|trouble| trouble.holds_at(now))
                {
                    let (kind, at) = (trouble.kind, trouble.retry_at);
                    return reply(to, Err(serving::in_trouble(&row, kind, at, now)));
                }
                Reason::Rejected
            }
        };
        let ask = TokenAsk {
            connection: Some(connection),
            ..TokenAsk::default()
        };
        let waiter = Waiter {
            caller,
            ask,
            rejected_generation: rejected,
            answering: Answering::Sendable(to),
        };
        self.join_flight(row.id, reason, waiter).await;
    }

    /// Whether a refusal that was seen at the door costs the provider a call. A refusal that its own check did not
    /// confirm is followed up again only after a while, else an address that answers 401 to everybody would double
    /// every call. A new generation begins anew, except where there is no check: there each refusal costs a refresh.
    fn follows_up(&mut self, connection: ConnectionId, generation: u64) -> bool {
        if self.flights.contains_key(&connection) {
            return true;
        }
        let now = self.now();
        let has_check = self
            .connection(connection)
            .is_some_and(|row| row.provider.check.is_some());
        let generation = if has_check { generation } else { 0 };
        let before = self
            .pace
            .refusals
            .get(&connection)
            .filter(|(seen, _)| *seen == generation)
            .map(|(_, followed)| *followed);
        if before.is_some_and(|before| before.holds_at(now)) {
            return false;
        }
        let followed = Followed::after(before, now);
        self.pace
            .refusals
            .insert(connection, (generation, followed));
        true
    }

    /// A token ends soon.
    pub(super) async fn renew_soon(&mut self, connection: ConnectionId) {
        let now = self.now();
        let is_due = self
            .connection(connection)
            .is_some_and(|row| serving::token_state(&row, now, None) == TokenState::DueButLive);
        if is_due {
            self.refresh_ahead(connection).await;
        }
    }
}
