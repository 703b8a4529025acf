//! A person ends a connection, and what is owed to the provider is worked off.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::connection::{Connection, Standing};
use doorward_core::decide::revoking::{self, RevocationOutcome};
use doorward_core::ids::{ConnectionId, OutboxId};
use doorward_core::name::Name;
use doorward_core::outbox::OutboxItem;
use doorward_core::problem::{Code, Refusal};
use tokio::sync::oneshot;

use super::{Actor, LockMessage, Message, consents, locks, reply};
use crate::handle::Reply;
use crate::provider::revocation;
use crate::random;
use crate::views::Disconnected;

/// How long a person who disconnects is kept for the provider's word. The outbox goes on without them.
const CONFIRMATION_PATIENCE: Duration = Duration::from_secs(5);

impl Actor {
    pub(super) async fn disconnect(&mut self, name: &Name, to: Reply<Disconnected>) {
        let row = match self
            .check_unlocked()
            .and_then(|()| self.person_connection(name))
        {
            Ok(row) => row,
            Err(refusal) => return reply(to, Err(refusal)),
        };
        let in_flight = self.flights.contains_key(&row.id)
            || self.unsaved.iter().any(|kept| kept.connection() == row.id);
        let outbox = OutboxId::from_random(random::bytes());
        let plan = revoking::disconnect(self.book(), &row, self.now(), in_flight, outbox);
        let open: Vec<_> = self
            .consents
            .values()
            .filter(|consent| consent.pending.connection == row.id && !consent.is_exchanging())
            .map(|consent| consent.pending.id)
            .collect();
        for flow in open {
            self.end_consent(flow, Err(consents::cancelled()));
        }
        // Asked for before the plan is carried out: its effects begin the revocation.
        let (confirm, confirmed) = oneshot::channel();
        self.revocation_waiters
            .entry(row.id)
            .or_default()
            .push(confirm);
        if let Err(refusal) = self.carry_out(plan).await {
            self.revocation_waiters.remove(&row.id);
            return reply(to, Err(refusal));
        }
        if !in_flight && !self.book().outbox().any(|item| item.connection == row.id) {
            self.tell_revocation_waiters(row.id, true);
        }
        let handed_out_until = self.handed_out_until(&row);
        tokio::spawn(async move {
            let confirmed = tokio::time::timeout(CONFIRMATION_PATIENCE, confirmed).await;
            let confirmed = matches!(confirmed, Ok(Ok(true)));
            reply(
                to,
                Ok(Disconnected {
                    name: row.name.clone(),
                    handed_out_until,
                    confirmed,
                }),
            );
        });
    }

    /// The connection a person names.
    pub(super) fn person_connection(&self, name: &Name) -> Result<Arc<Connection>, Refusal> {
        self.book()
            .connection_named(name)
            .filter(|row| row.standing != Standing::Ending)
            .cloned()
            .ok_or_else(|| {
                Refusal::new(
                    Code::ConnectionUnknown,
                    format!("There is no connection `{name}`."),
                    "`doorward connections` lists them.",
                )
            })
    }

    /// Until when a handed-out access token may still work, where the provider does not end it at once.
    fn handed_out_until(&self, row: &Connection) -> Option<doorward_core::time::Timestamp> {
        let was_handed_out = row.generation > 0 && row.access_is_live(self.now());
        row.access_expires_at.filter(|_| was_handed_out)
    }

    /// The flight that a disconnected connection waited for has come back.
    pub(super) async fn end_blocked(&mut self, id: ConnectionId) {
        let Some(row) = self
            .connection(id)
            .filter(|row| row.standing == Standing::Ending)
        else {
            if self.connection(id).is_none()
                && !self.book().outbox().any(|item| item.connection == id)
            {
                self.tell_revocation_waiters(id, true);
            }
            return;
        };
        if self.flights.contains_key(&id) || self.unsaved.iter().any(|kept| kept.connection() == id)
        {
            return;
        }
        let outbox = OutboxId::from_random(random::bytes());
        let plan = revoking::end(self.book(), &row, self.now(), outbox);
        if let Err(refusal) = self.carry_out(plan).await {
            tracing::error!(%refusal, connection = %id, "a disconnected connection could not be erased yet");
        }
    }

    /// Begins every revocation that is due.
    pub(super) async fn work_outbox(&mut self) {
        let now = self.now();
        let due: Vec<Arc<OutboxItem>> = self
            .book()
            .outbox()
            .filter(|item| {
                item.next_try.is_some_and(|next| next <= now)
                    && !self.revocations.contains(&item.id)
            })
            .cloned()
            .collect();
        for item in due {
            if let Err(refusal) = self.begin_revocation(&item).await {
                tracing::error!(%refusal, connection = %item.name, "a revocation could not begin");
                let outcome = RevocationOutcome::Failed {
                    why: refusal.detail,
                    retry_at: None,
                };
                Box::pin(self.revoked(item.id, outcome)).await;
            }
        }
    }

    async fn begin_revocation(&mut self, item: &Arc<OutboxItem>) -> Result<(), Refusal> {
        let tokens = self
            .store
            .outbox_tokens(item.tenant, item.id)
            .await
            .map_err(|error| error.refusal())?;
        let Some((access, refresh)) = tokens else {
            Box::pin(self.revoked(item.id, RevocationOutcome::Confirmed)).await;
            return Ok(());
        };
        let secret = self.client_secret(&item.client).await?;
        let left = self.locks_left(item).await;
        self.revocations.insert(item.id);
        let (providers, report, item) = (self.providers.clone(), self.report(), Arc::clone(item));
        tokio::spawn(async move {
            // Before the grant ends: afterwards nothing could.
            for (lock, returned) in locks::give_back_all(&providers, &item, &access, &left).await {
                let told = LockMessage::Returned { lock, returned };
                let _gone = report.send(told.into()).await;
            }
            let outcome = revocation::revoke(
                &providers,
                &item,
                secret.as_ref(),
                &access,
                refresh.as_ref(),
            )
            .await;
            // The mailbox is gone only when the process is ending; the outbox is worked off at the next start.
            let _gone = report
                .send(Message::Revoked {
                    item: item.id,
                    outcome,
                })
                .await;
        });
        Ok(())
    }

    /// A revocation was tried.
    pub(super) async fn revoked(&mut self, id: OutboxId, outcome: RevocationOutcome) {
        self.revocations.remove(&id);
        let Some(item) = self.book().outbox_item(id).cloned() else {
            return;
        };
        let confirmed = matches!(outcome, RevocationOutcome::Confirmed);
        if let RevocationOutcome::Failed { why, .. } = &outcome {
            tracing::warn!(connection = %item.name, %why, "the provider has not confirmed a revocation; it is tried again");
        }
        let plan = revoking::tried(&item, self.now(), outcome);
        if let Err(refusal) = self.carry_out(plan).await {
            tracing::error!(%refusal, connection = %item.name, "a revocation's outcome could not be written");
        }
        self.tell_revocation_waiters(item.connection, confirmed);
    }

    fn tell_revocation_waiters(&mut self, connection: ConnectionId, confirmed: bool) {
        for waiter in self
            .revocation_waiters
            .remove(&connection)
            .unwrap_or_default()
        {
            // Whoever waited may have run out of patience.
            let _gone = waiter.send(confirmed);
        }
    }

    /// Connections that were being disconnected when Doorward ended.
    pub(super) async fn end_all_blocked(&mut self) {
        let blocked: Vec<_> = self
            .book()
            .connections()
            .filter(|row| row.standing == Standing::Ending)
            .map(|row| row.id)
            .collect();
        for id in blocked {
            self.end_blocked(id).await;
        }
    }
}
