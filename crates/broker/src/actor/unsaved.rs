//! Fresh tokens that the store could not take.
//!
//! They are kept in memory and tried again: those of a consent exist nowhere else, and those of a refresh only in the
//! spool. What they mean is decided anew at each try: a
//! person may have disconnected, paused or connected again meanwhile, and a plan made before that would undo it.

use std::time::Duration;

use doorward_core::connection::Mark;
use doorward_core::consent::PendingConsent;
use doorward_core::decide::connecting::{self, Learned};
use doorward_core::decide::refreshing::{self, Finished};
use doorward_core::ids::{ConnectionId, FlightId, OutboxId};
use doorward_core::plan::Plan;
use doorward_core::problem::Refusal;
use doorward_core::time::Timestamp;
use doorward_core::token_reply::{TokenOutcome, TokenSet};

use super::Actor;

/// How often the store is tried again with what it could not take.
const RETRY: Duration = Duration::from_secs(1);

/// Tokens that have just been issued.
pub(super) enum Fresh {
    /// By a refresh.
    Refreshed {
        connection: ConnectionId,
        /// The mark it was begun under. The reply stays in the spool until the store has taken it.
        mark: Mark,
        tokens: TokenSet,
        outbox: OutboxId,
    },
    /// For a consent.
    Consented(Box<Consented>),
}

/// A consent that was exchanged.
pub(super) struct Consented {
    pub(super) pending: PendingConsent,
    pub(super) tokens: TokenSet,
    pub(super) learned: Learned,
    pub(super) outbox: OutboxId,
}

/// Fresh tokens that wait for the store.
pub(super) struct Unsaved {
    fresh: Fresh,
    retry_at: Timestamp,
}

impl Unsaved {
    pub(super) fn connection(&self) -> ConnectionId {
        self.fresh.connection()
    }

    /// Whether they lie in the spool too, where the next start finds them.
    pub(super) fn is_spooled(&self) -> bool {
        self.fresh.flight().is_some()
    }

    pub(super) fn retry_at(&self) -> Timestamp {
        self.retry_at
    }

    pub(super) fn clock_was_set(&mut self, millis: i64) {
        self.retry_at = self.retry_at.shifted(millis);
        self.fresh.tokens_mut().clock_was_set(millis);
    }
}

impl Fresh {
    fn tokens_mut(&mut self) -> &mut TokenSet {
        match self {
            Self::Refreshed { tokens, .. } => tokens,
            Self::Consented(consented) => &mut consented.tokens,
        }
    }

    fn connection(&self) -> ConnectionId {
        match self {
            Self::Refreshed { connection, .. } => *connection,
            Self::Consented(consented) => consented.pending.connection,
        }
    }

    fn flight(&self) -> Option<FlightId> {
        match self {
            Self::Refreshed { mark, .. } => Some(mark.flight),
            Self::Consented(_) => None,
        }
    }
}

impl Actor {
    /// Decides about fresh tokens and carries that out. A refusal is the decision's own, or the store's: then the
    /// tokens are kept and tried again.
    pub(super) async fn carry_out_or_keep(&mut self, fresh: Fresh) -> Result<(), Refusal> {
        let (plan, refused) = self.decided(&fresh);
        match self.carry_out(plan).await {
            Ok(()) => refused.map_or(Ok(()), Err),
            Err(failure) => {
                let connection = fresh.connection();
                tracing::error!(%connection, "fresh tokens could not be stored; they are kept in memory and tried again");
                let retry_at = self.now().plus(RETRY);
                self.unsaved.push(Unsaved { fresh, retry_at });
                self.published.totals.tell_unsaved(self.unsaved.len());
                Err(refused.unwrap_or(failure))
            }
        }
    }

    fn decided(&self, fresh: &Fresh) -> (Plan, Option<Refusal>) {
        let (book, now) = (self.book(), self.now());
        match fresh {
            Fresh::Refreshed {
                connection,
                mark,
                tokens,
                outbox,
            } => {
                let finished = Finished {
                    connection: *connection,
                    generation: mark.generation,
                    outcome: TokenOutcome::Issued(tokens.duplicate()),
                    jitter: 0.0,
                    outbox: *outbox,
                };
                (refreshing::finish(book, now, finished), None)
            }
            Fresh::Consented(consented) => {
                let Consented {
                    pending,
                    tokens,
                    learned,
                    outbox,
                } = consented.as_ref();
                connecting::connected(
                    book,
                    now,
                    pending,
                    tokens.duplicate(),
                    learned.clone(),
                    *outbox,
                )
            }
        }
    }

    /// Tries again to store fresh tokens that the store could not take.
    pub(super) async fn store_unsaved(&mut self) {
        let now = self.now();
        for unsaved in std::mem::take(&mut self.unsaved) {
            if now < unsaved.retry_at {
                self.unsaved.push(unsaved);
                continue;
            }
            let connection = unsaved.connection();
            let (plan, _told_before) = self.decided(&unsaved.fresh);
            if self.carry_out(plan).await.is_ok() {
                tracing::info!(%connection, "fresh tokens were stored after all");
                if let Some(flight) = unsaved.fresh.flight() {
                    self.erase_spooled(flight);
                }
                self.end_blocked(connection).await;
            } else {
                self.unsaved.push(Unsaved {
                    retry_at: now.plus(RETRY),
                    ..unsaved
                });
            }
        }
        self.published.totals.tell_unsaved(self.unsaved.len());
    }
}
