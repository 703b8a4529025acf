//! Refreshes in flight: one for each connection, whoever asks and on whichever path.
//!
//! A flight belongs to nobody: callers join it and may leave without ending it. When it has come back, what is stored
//! then is what every waiter is answered from, never what anyone read before it began.

use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::connection::Connection;
use doorward_core::decide::refreshing::{self, Finished};
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::ids::{ConnectionId, OutboxId};
use doorward_core::plan::Plan;
use doorward_core::problem::{Code, Refusal};
use doorward_core::secret::{ClientSecret, RefreshToken};
use doorward_core::token_reply::TokenOutcome;

use super::message::FlightEnded;
use super::serving::Waiter;
use super::unsaved::Fresh;
use super::{Actor, Message, reply};
use crate::provider::account::{self, Checked};
use crate::provider::token;
use crate::random;

/// A refresh in flight.
#[derive(Default)]
pub(super) struct Flight {
    waiters: Vec<Waiter>,
}

/// What a flight begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The token has ended, or will soon.
    Due,
    /// An agent says that the API refused the token: the provider's own check decides whether that is so.
    Rejected,
}

impl Actor {
    /// A caller waits for a flight, which is begun where there is none.
    pub(super) async fn join_flight(
        &mut self,
        connection: ConnectionId,
        reason: Reason,
        waiter: Waiter,
    ) {
        match self.begin_flight(connection, reason).await {
            Ok(()) => {
                if let Some(flight) = self.flights.get_mut(&connection) {
                    flight.waiters.push(waiter);
                }
            }
            Err(refusal) => self.settle(vec![waiter], Some(&refusal)).await,
        }
    }

    /// Begins a flight, unless one is under way. This is the one place where a refresh is sent.
    pub(super) async fn begin_flight(
        &mut self,
        id: ConnectionId,
        reason: Reason,
    ) -> Result<(), Refusal> {
        if self.flights.contains_key(&id) {
            return Ok(());
        }
        if self.stopping.is_some() {
            return Err(crate::handle::stopped());
        }
        if self
            .unsaved
            .iter()
            .any(|unsaved| unsaved.connection() == id)
        {
            return Err(Refusal::new(
                Code::StoreFailed,
                "Fresh tokens of this connection are waiting to be stored.",
                "Make room on the disk, or make it writable; nothing is lost while Doorward runs.",
            ));
        }
        let Some(connection) = self.connection(id) else {
            return Err(serving::unknown(""));
        };
        let (generation, refresh) = self.stored_refresh_token(&connection).await?;
        let secret = self.client_secret(&connection.client).await?;
        let mut plan = refreshing::begin(&connection);
        if reason == Reason::Rejected {
            plan = plan.log(
                AuditEvent::new(AuditKind::TokenRejected)
                    .tenant(connection.tenant)
                    .connection(id)
                    .with("generation", generation.to_string()),
            );
        }
        self.carry_out(plan).await?;
        self.flights.insert(id, Flight::default());
        self.published.in_flight.insert(id);
        self.publish();
        self.send_flight(&connection, generation, refresh, secret, reason);
        Ok(())
    }

    async fn stored_refresh_token(
        &self,
        connection: &Connection,
    ) -> Result<(u64, RefreshToken), Refusal> {
        let stored = self.store.refresh_token(connection.tenant, connection.id).await.map_err(|error| {
            tracing::error!(%error, connection = %connection.id, "a refresh token could not be read");
            error.refusal()
        })?;
        match stored {
            Some((generation, token)) if generation == connection.generation => {
                Ok((generation, token))
            }
            Some(_) | None => Err(serving::reconnect_required(
                &connection.name,
                "there is no refresh token",
            )),
        }
    }

    /// The secret of a registration of ours, where it has one.
    pub(super) async fn client_secret(
        &self,
        client: &doorward_core::registration::ClientIdentity,
    ) -> Result<Option<ClientSecret>, Refusal> {
        match client.registration {
            Some(id) => {
                let secrets = self
                    .store
                    .registration_secrets(id)
                    .await
                    .map_err(|error| error.refusal())?;
                Ok(secrets.secret)
            }
            None => Ok(None),
        }
    }

    fn send_flight(
        &self,
        connection: &Connection,
        generation: u64,
        refresh: RefreshToken,
        secret: Option<ClientSecret>,
        reason: Reason,
    ) {
        let access = (reason == Reason::Rejected)
            .then(|| {
                self.published
                    .tokens
                    .get(&connection.id)
                    .map(|token| std::sync::Arc::clone(&token.access))
            })
            .flatten();
        let (providers, report) = (self.providers.clone(), self.report());
        let (id, provider, client) = (
            connection.id,
            connection.provider.clone(),
            connection.client.clone(),
        );
        tokio::spawn(async move {
            let checked = match &access {
                Some(access) => account::check(&providers, &provider, access).await,
                None => Checked::Unknown,
            };
            let outcome = match checked {
                Checked::Good => None,
                // A provider without a check of its own leaves the agent's word, which costs one refresh.
                Checked::Unknown if access.is_some() && provider.check.is_some() => {
                    Some(TokenOutcome::Transient {
                        why: "the provider's own check of the token did not answer".to_owned(),
                        retry_at: None,
                    })
                }
                Checked::Refused | Checked::Unknown => Some(
                    token::refresh(&providers, &provider, &client, secret.as_ref(), &refresh).await,
                ),
            };
            let access_is_dead = checked == Checked::Refused;
            let ended = FlightEnded {
                connection: id,
                generation,
                access_is_dead,
                outcome,
            };
            // The mailbox is gone only when the process is ending.
            let _gone = report.send(Message::FlightEnded(ended)).await;
        });
    }

    /// A flight has come back: what it brings is stored before anyone sees it, then every waiter is answered.
    pub(super) async fn flight_ended(&mut self, ended: FlightEnded) {
        let now = self.now();
        let Some(flight) = self.flights.remove(&ended.connection) else {
            return;
        };
        self.published.in_flight.remove(&ended.connection);
        let issued = matches!(ended.outcome, Some(TokenOutcome::Issued(_)));
        let (connection, generation) = (ended.connection, ended.generation);
        let outbox = OutboxId::from_random(random::bytes());
        let stored = match ended.outcome {
            Some(TokenOutcome::Issued(tokens)) => {
                self.carry_out_or_keep(Fresh::Refreshed {
                    connection,
                    generation,
                    tokens,
                    outbox,
                })
                .await
            }
            Some(outcome) => {
                let finished = Finished {
                    connection,
                    generation,
                    outcome,
                    jitter: random::fraction(),
                    outbox,
                };
                let plan = refreshing::finish(self.book(), now, finished);
                self.carry_out(plan).await
            }
            None => {
                let row = self.connection(connection);
                let row = row.filter(|row| row.generation == generation);
                let plan =
                    row.map_or_else(Plan::nothing, |row| refreshing::access_is_good(&row, now));
                self.carry_out(plan).await
            }
        };
        if ended.access_is_dead && !issued {
            self.mark_access_dead(ended.connection, ended.generation)
                .await;
        }
        self.publish();
        self.settle(flight.waiters, stored.err().as_ref()).await;
        self.end_blocked(ended.connection).await;
    }

    async fn mark_access_dead(&mut self, id: ConnectionId, generation: u64) {
        let Some(row) = self
            .connection(id)
            .filter(|row| row.generation == generation)
        else {
            return;
        };
        let plan = refreshing::access_is_dead(&row, self.now());
        if let Err(refusal) = self.carry_out(plan).await {
            tracing::error!(%refusal, "a token that the provider refuses could not be marked as ended");
        }
    }

    /// Answers waiters from what is stored now. `failure` is what kept fresh tokens from being stored, if anything did.
    pub(super) async fn settle(&mut self, waiters: Vec<Waiter>, failure: Option<&Refusal>) {
        let now = self.now();
        let mut ready = Vec::new();
        for waiter in waiters {
            match self.settled(&waiter, now, failure) {
                Ok(()) => ready.push(waiter),
                Err(refusal) => reply(waiter.reply, Err(refusal)),
            }
        }
        self.hand_out(ready).await;
    }

    fn settled(
        &self,
        waiter: &Waiter,
        now: doorward_core::time::Timestamp,
        failure: Option<&Refusal>,
    ) -> Result<(), Refusal> {
        let caller = self.authenticated(&waiter.caller)?;
        let door = doorward_core::grant::Door::Token;
        let access = serving::access(
            self.book(),
            now,
            &caller,
            waiter.ask.connection.as_ref(),
            door,
        )?;
        let connection = access.connection;
        let was_refused = waiter.rejected_generation == Some(connection.generation);
        if was_refused
            && let Some(trouble) = &connection.trouble
            && trouble.holds_at(now)
        {
            return Err(serving::in_trouble(
                connection,
                trouble.kind,
                trouble.retry_at,
                now,
            ));
        }
        if connection.access_is_live(now) && !(was_refused && failure.is_some()) {
            return Ok(());
        }
        if let Some(failure) = failure {
            return Err(failure.clone());
        }
        match serving::token_state(connection, now, None) {
            TokenState::Refused(refusal) => Err(refusal),
            TokenState::Fresh | TokenState::DueButLive => Ok(()),
            TokenState::Due => Err(Refusal::new(
                Code::ProviderUnavailable,
                format!(
                    "{} gave a token that had ended when it arrived.",
                    connection.provider.title
                ),
                "Try again; a person may look at the connection with `doorward doctor`.",
            )
            .retry_after(std::time::Duration::from_secs(1))),
        }
    }
}
