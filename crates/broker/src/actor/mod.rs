//! The one owner of the state: one task, one mailbox.
//!
//! Every message is handled to its end before the next one is looked at. What takes long (a call to a provider, a
//! consent in a browser) runs in a task of its own and comes back as a message. Nothing is seen by anyone before it is
//! on disk: [`Actor::carry_out`] writes a plan, then applies it, then publishes, then does what else it says.

mod adopting;
mod asking;
mod connecting;
mod consents;
mod flights;
mod keeping;
mod locks;
mod message;
mod noticing;
mod pacing;
mod pairing;
mod people;
mod programs;
mod renewing;
mod revoking;
mod serving;
mod unsaved;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use doorward_core::change::Change;
use doorward_core::connection::Connection;
use doorward_core::ids::{ConnectionId, FlowId, LockId, OutboxId, RequestId};
use doorward_core::plan::{Effect, Plan};
use doorward_core::problem::Refusal;
use doorward_core::time::Timestamp;
use doorward_store::{Spool, Store};
use tokio::sync::{mpsc, oneshot};

pub(crate) use asking::CallAsk;
pub(crate) use locks::LockMessage;
pub(crate) use message::{AgentMessage, Message, PersonMessage};

use crate::config::Config;
use crate::handle::Shared;
use crate::provider::Providers;
use crate::published::{LiveToken, Meter, Published};
use crate::shell::Shell;
use consents::{Consent, Ended};
use flights::Flight;
use noticing::Seen;
use pacing::Pace;
use unsaved::Unsaved;

/// Owns everything.
pub(crate) struct Actor {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) spool: Spool,
    pub(crate) providers: Providers,
    pub(crate) shell: Arc<dyn Shell>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) mailbox: mpsc::Sender<Message>,
    /// The owner's copy of what is published.
    pub(crate) published: Published,
    flights: HashMap<ConnectionId, Flight>,
    consents: HashMap<FlowId, Consent>,
    /// How consents ended a moment ago.
    ended_consents: HashMap<FlowId, Ended>,
    /// Fresh tokens that the store could not take.
    unsaved: Vec<Unsaved>,
    polls: HashMap<RequestId, Timestamp>,
    /// Callers that wait for a person's answer.
    waiting: asking::Waiting,
    revocations: HashSet<OutboxId>,
    revocation_waiters: HashMap<ConnectionId, Vec<oneshot::Sender<bool>>>,
    /// Locks that are being given back.
    returning: HashSet<LockId>,
    url: Option<String>,
    metered_at: Timestamp,
    /// Before this nobody looks around again, whatever is due.
    look_after: Timestamp,
    pace: Pace,
    seen: Seen,
    stopping: Option<Stopping>,
}

/// A stop that was asked for.
pub(crate) struct Stopping {
    pub(crate) reply: crate::handle::Reply<()>,
    /// What has not come back by then is not waited for any longer.
    pub(crate) no_later_than: Timestamp,
}

/// The mailbox's owner looks around at least this often; use is counted to the minute.
const LONGEST_REST: Duration = Duration::from_mins(1);

impl Actor {
    pub(crate) fn new(
        config: Config,
        store: Store,
        providers: Providers,
        shell: Arc<dyn Shell>,
        shared: Arc<Shared>,
        mailbox: mpsc::Sender<Message>,
    ) -> Self {
        let now = shared.clock.now();
        let spool = Spool::of(&config.data);
        let slept = shared.clock.slept();
        Self {
            config,
            store,
            spool,
            providers,
            shell,
            shared,
            mailbox,
            published: Published::default(),
            flights: HashMap::new(),
            consents: HashMap::new(),
            ended_consents: HashMap::new(),
            unsaved: Vec::new(),
            polls: HashMap::new(),
            waiting: HashMap::new(),
            revocations: HashSet::new(),
            revocation_waiters: HashMap::new(),
            returning: HashSet::new(),
            url: None,
            metered_at: now,
            look_after: now,
            pace: Pace::from_start(slept),
            seen: Seen::default(),
            stopping: None,
        }
    }

    /// Handles messages until it is told to stop and what is under way at providers has come back.
    pub(crate) async fn run(mut self, mut mailbox: mpsc::Receiver<Message>) {
        loop {
            if let Some(stopping) = &self.stopping
                && (self.is_idle() || self.now() >= stopping.no_later_than)
            {
                break;
            }
            let rest = self.rest();
            if rest.is_zero() {
                // A mailbox that never empties must not keep what is due waiting.
                self.look_around().await;
                continue;
            }
            tokio::select! {
                message = mailbox.recv() => match message {
                    Some(message) => {
                        self.handle(message).await;
                        self.end_questions().await;
                    }
                    None => break,
                },
                () = tokio::time::sleep(rest) => {}
            }
        }
        self.write_meters().await;
        for unsaved in &self.unsaved {
            let connection = unsaved.connection();
            if unsaved.is_spooled() {
                tracing::error!(%connection, "fresh tokens were never stored; the next start finds them in the spool");
            } else {
                tracing::error!(%connection, "fresh tokens were never stored and are lost");
            }
        }
        self.store.close().await;
        if let Some(stopping) = self.stopping {
            reply(stopping.reply, Ok(()));
        }
    }

    /// Nothing is in flight whose reply would be lost.
    fn is_idle(&self) -> bool {
        self.flights.is_empty()
            && self.unsaved.is_empty()
            && !self.consents.values().any(Consent::is_exchanging)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Writes a plan, applies it, publishes it, and does what else it says. Where the store fails nothing has changed.
    async fn carry_out(&mut self, plan: Plan) -> Result<(), Refusal> {
        let Plan {
            changes,
            audit,
            effects,
        } = plan;
        if !changes.is_empty() || !audit.is_empty() {
            self.store
                .commit(self.now(), &changes, &audit)
                .await
                .map_err(|error| {
                    tracing::error!(%error, "the store could not take a change");
                    error.refusal()
                })?;
            for change in &changes {
                self.apply(change);
            }
            self.pace.forget_next();
            self.publish();
        }
        for effect in effects {
            match effect {
                Effect::Tell(notice) => self.shell.tell(&notice),
                Effect::WorkOutbox => self.work_outbox().await,
                Effect::LogHalted { connection, last } => {
                    tracing::error!(critical = true, %connection, %last, "five refreshes in a row failed: the tries have halted, `doorward retry NAME` goes on");
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change) {
        self.published.book.apply(change);
        match change {
            Change::TokensPut {
                connection,
                generation,
                access,
                ..
            } => {
                let row = self.published.book.connection(*connection);
                let token = LiveToken {
                    generation: *generation,
                    access: Arc::clone(access),
                    token_type: row.map_or("Bearer", |row| row.token_type.as_str()).into(),
                    scope: row
                        .map_or_else(String::new, |row| row.granted.as_scope())
                        .into(),
                };
                self.published.tokens.insert(*connection, Arc::new(token));
            }
            Change::ConnectionPut(row) => {
                self.describe_token(row);
                self.meter_connection(row.id);
            }
            Change::TokensErased { connection, .. } => {
                self.published.tokens.remove(connection);
            }
            Change::ConnectionErased { connection, .. } => {
                self.published.tokens.remove(connection);
                self.published.refresh_meters.remove(connection);
                self.published.call_meters.remove(connection);
                self.pace.forget(*connection);
                self.seen.forget(*connection);
            }
            Change::KeyPut(key) => {
                if key.revoked_at.is_some() {
                    self.published.key_meters.remove(&key.id);
                } else if !self.published.key_meters.contains_key(&key.id) {
                    self.published
                        .key_meters
                        .insert(key.id, Arc::new(Meter::default()));
                }
            }
            Change::KeyErased(key) => {
                self.published.key_meters.remove(key);
            }
            Change::GrantPut { grant, .. } => {
                if !self.published.grant_meters.contains_key(&grant.id) {
                    self.published
                        .grant_meters
                        .insert(grant.id, Arc::new(Meter::default()));
                }
                self.watch_program(grant);
            }
            Change::GrantErased { grant, .. } => {
                self.published.grant_meters.remove(grant);
            }
            Change::TenantPut(_)
            | Change::FlightKeyPut { .. }
            | Change::RegistrationPut { .. }
            | Change::OutboxAdded { .. }
            | Change::OutboxPut(_)
            | Change::OutboxErased { .. }
            | Change::LockTaken { .. }
            | Change::LockPut(_)
            | Change::LockErased { .. }
            | Change::ClientPut(_)
            | Change::ClientErased(_)
            | Change::AgentPut(_)
            | Change::AgentErased { .. }
            | Change::RequestPut(_)
            | Change::RequestErased(_)
            | Change::QuestionPut(_)
            | Change::QuestionErased(_)
            | Change::AnswerPut { .. }
            | Change::AnswerErased { .. } => {}
        }
    }

    /// From now on the refreshes and calls of a connection are counted.
    fn meter_connection(&mut self, id: ConnectionId) {
        if !self.published.call_meters.contains_key(&id) {
            self.published.call_meters.insert(id, Arc::default());
        }
        if !self.published.refresh_meters.contains_key(&id) {
            self.published.refresh_meters.insert(id, Arc::default());
        }
    }

    /// A token's type and scope stand in its connection's row, which a plan may write before or after the token.
    fn describe_token(&mut self, row: &Connection) {
        let Some(token) = self.published.tokens.get(&row.id) else {
            return;
        };
        if *token.token_type == *row.token_type && *token.scope == *row.granted.as_scope() {
            return;
        }
        let token = LiveToken {
            generation: token.generation,
            access: Arc::clone(&token.access),
            token_type: row.token_type.as_str().into(),
            scope: row.granted.as_scope().into(),
        };
        self.published.tokens.insert(row.id, Arc::new(token));
    }

    fn publish(&self) {
        self.shared
            .published
            .store(Arc::new(self.published.clone()));
        self.shared.changes.send_modify(|number| *number += 1);
    }

    /// Sends a message to this mailbox from a task that was started for something that takes long.
    fn report(&self) -> mpsc::Sender<Message> {
        self.mailbox.clone()
    }
}

/// An answer whose asker may have gone away meanwhile: then nobody needs it.
fn reply<T>(to: crate::handle::Reply<T>, answer: Result<T, Refusal>) {
    let _gone = to.send(answer);
}
