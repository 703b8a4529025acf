//! Refreshes in flight: one for each connection, whoever asks and on whichever path.
//!
//! A flight belongs to nobody: callers join it and may leave without ending it. When it has come back, what is stored
//! then is what every waiter is answered from, never what anyone read before it began. It belongs not even to this
//! process: a courier carries it, and one that outlived the process which sent it is joined like any other.

use std::sync::Arc;

use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::connection::{Connection, Mark};
use doorward_core::decide::flying::{self, CameEmpty};
use doorward_core::decide::refreshing::{self, Finished};
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::ids::{ConnectionId, FlightId, OutboxId};
use doorward_core::plan::Plan;
use doorward_core::problem::{Code, Refusal};
use doorward_core::secret::{ClientSecret, FlightKey, RefreshToken};
use doorward_core::token_reply::TokenOutcome;
use doorward_store::FlightPlace;

use super::message::FlightEnded;
use super::noticing::Landing;
use super::serving::Waiter;
use super::unsaved::Fresh;
use super::{Actor, Message};
use crate::control::SecretText;
use crate::courier::{self, Flown, Order};
use crate::provider::account::{self, Checked};
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

/// What a flight carries.
struct Errand {
    refresh: RefreshToken,
    secret: Option<ClientSecret>,
    flight: FlightId,
    key: Arc<FlightKey>,
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
        let connection = self.may_fly(id)?;
        self.check_probe(&connection)?;
        let refresh = self.stored_refresh_token(&connection).await?;
        let secret = self.client_secret(&connection.client).await?;
        let (flight, key) = self.mark(&connection, reason).await?;
        self.take_off(id);
        let errand = Errand {
            refresh,
            secret,
            flight,
            key,
        };
        self.send_flight(&connection, errand, reason);
        Ok(())
    }

    fn may_fly(&self, id: ConnectionId) -> Result<Arc<Connection>, Refusal> {
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
        self.connection(id).ok_or_else(|| serving::unknown(""))
    }

    /// The ticket, then the mark: once both are on disk, whoever starts next knows of this flight.
    async fn mark(
        &mut self,
        connection: &Connection,
        reason: Reason,
    ) -> Result<(FlightId, Arc<FlightKey>), Refusal> {
        let flight = FlightId::from_random(random::bytes());
        let key = Arc::new(random::flight_key());
        self.spool.announce(flight).map_err(|error| {
            tracing::error!(%error, "the spool cannot be written");
            no_spool(&error)
        })?;
        let mut plan = flying::begin(connection, flight, Arc::clone(&key));
        if reason == Reason::Rejected {
            plan = plan.log(
                AuditEvent::new(AuditKind::TokenRejected)
                    .tenant(connection.tenant)
                    .connection(connection.id)
                    .with("generation", connection.generation.to_string()),
            );
        }
        if let Err(refusal) = self.carry_out(plan).await {
            self.erase_spooled(flight);
            return Err(refusal);
        }
        if let Some(before) = connection.refreshing {
            // What came of that one could not be written down, and was no token.
            self.erase_spooled(before.flight);
        }
        Ok((flight, key))
    }

    pub(super) fn take_off(&mut self, id: ConnectionId) {
        self.flights.insert(id, Flight::default());
        self.published.in_flight.insert(id);
        self.publish();
    }

    async fn stored_refresh_token(&self, connection: &Connection) -> Result<RefreshToken, Refusal> {
        let stored = self.store.refresh_token(connection.tenant, connection.id).await.map_err(|error| {
            tracing::error!(%error, connection = %connection.id, "a refresh token could not be read");
            error.refusal()
        })?;
        match stored {
            Some((generation, token)) if generation == connection.generation => Ok(token),
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

    fn send_flight(&self, connection: &Connection, errand: Errand, reason: Reason) {
        let access = (reason == Reason::Rejected)
            .then(|| self.published.tokens.get(&connection.id))
            .flatten()
            .map(|token| Arc::clone(&token.access));
        let mark = Mark {
            generation: connection.generation,
            flight: errand.flight,
        };
        let key = FlightKey::new(errand.key.expose().to_owned());
        let flight = self.flight_of(connection, mark, Some(key));
        let order = self.order(connection, flight.place, errand);
        let (providers, report) = (self.providers.clone(), self.report());
        let (id, provider) = (connection.id, connection.provider.clone());
        let program = self.config.courier.clone();
        tokio::spawn(async move {
            let checked = match &access {
                Some(access) => account::check(&providers, &provider, access).await,
                None => Checked::Unknown,
            };
            let outcome = match checked {
                Checked::Good => None,
                // A provider without a check of its own leaves the agent's word, which costs one refresh.
                Checked::Unknown if access.is_some() && provider.check.is_some() => {
                    Some(Flown::Landed(TokenOutcome::Transient {
                        why: "the provider's own check of the token did not answer".to_owned(),
                        retry_at: None,
                    }))
                }
                Checked::Refused | Checked::Unknown => {
                    Some(courier::send(program, order, flight).await)
                }
            };
            let access_is_dead = checked == Checked::Refused;
            let ended = FlightEnded {
                connection: id,
                mark,
                access_is_dead,
                outcome,
            };
            // The mailbox is gone only when the process is ending; the next one finds the mark.
            let _gone = report.send(Message::FlightEnded(ended)).await;
        });
    }

    fn order(&self, connection: &Connection, place: FlightPlace, errand: Errand) -> Order {
        let text = |secret: &str| SecretText::new(secret.to_owned());
        let data = &self.config.data;
        Order {
            place,
            key: text(errand.key.expose()),
            // A courier keeps the folder it was started in, and still need not depend on it.
            data: std::path::absolute(data).unwrap_or_else(|_| data.clone()),
            provider: connection.provider.clone(),
            client: connection.client.clone(),
            secret: errand.secret.map(|secret| text(secret.expose())),
            refresh: text(errand.refresh.expose()),
            timeout_ms: u64::try_from(self.config.provider_timeout.as_millis()).unwrap_or(u64::MAX),
            now: self.now(),
        }
    }

    /// A flight has come back: what it brings is stored before anyone sees it, then every waiter is answered.
    pub(super) async fn flight_ended(&mut self, ended: FlightEnded) {
        let Some(flight) = self.flights.remove(&ended.connection) else {
            return;
        };
        let (connection, mark) = (ended.connection, ended.mark);
        self.published.in_flight.remove(&connection);
        let landing = Landing::of(ended.outcome.as_ref());
        let before = self.connection(connection);
        let issued = matches!(ended.outcome, Some(Flown::Landed(TokenOutcome::Issued(_))));
        // Before the outcome is decided: it says whether there is a token that agents can be served until.
        if ended.access_is_dead && !issued {
            self.mark_access_dead(connection, mark.generation).await;
        }
        let stored = self.take_in(connection, mark, ended.outcome).await;
        if stored.is_ok() {
            self.erase_spooled(mark.flight);
        }
        self.publish();
        self.settle(flight.waiters, stored.err().as_ref()).await;
        self.after_landing(before.as_deref(), landing).await;
        self.end_blocked(connection).await;
    }

    async fn take_in(
        &mut self,
        connection: ConnectionId,
        mark: Mark,
        outcome: Option<Flown>,
    ) -> Result<(), Refusal> {
        let now = self.now();
        let generation = mark.generation;
        let outbox = OutboxId::from_random(random::bytes());
        let jitter = random::fraction();
        let plan = match outcome {
            Some(Flown::Landed(TokenOutcome::Issued(tokens))) => {
                let fresh = Fresh::Refreshed {
                    connection,
                    mark,
                    tokens,
                    outbox,
                };
                return self.carry_out_or_keep(fresh).await;
            }
            Some(Flown::Landed(outcome)) => {
                let finished = Finished {
                    connection,
                    generation,
                    outcome,
                    jitter,
                    outbox,
                };
                refreshing::finish(self.book(), now, finished)
            }
            Some(Flown::Empty(end)) => {
                tracing::warn!(%connection, ?end, "a refresh came back without a reply");
                let empty = CameEmpty {
                    connection,
                    generation,
                    end,
                    jitter,
                    outbox,
                };
                flying::came_empty(self.book(), now, empty)
            }
            None => {
                let row = self.connection(connection);
                let row = row.filter(|row| row.generation == generation);
                row.map_or_else(Plan::nothing, |row| refreshing::access_is_good(&row, now))
            }
        };
        self.carry_out(plan).await
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
                Err(refusal) => waiter.refuse(refusal),
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
        let access = serving::access(
            self.book(),
            now,
            &caller,
            waiter.ask.connection.as_ref(),
            waiter.door(),
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

fn no_spool(error: &std::io::Error) -> Refusal {
    Refusal::new(
        Code::StoreFailed,
        format!("The data folder cannot be written: {error}."),
        "Make room on the disk, or make it writable. Nothing was sent to the provider.",
    )
}
