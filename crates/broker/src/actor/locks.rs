//! Locks that agents hold at providers: remembered while they are taken, given back when nobody else will, forgotten.
//!
//! Whether a lock is owed follows from the book, so nothing here is told of a revoke or a pause: the owner of the
//! mailbox looks around, finds the debt, and pays it in a task of its own. A revoke never waits for it.

use std::sync::Arc;

use doorward_core::connection::Connection;
use doorward_core::decide::locking::{self, LockNews, ReturnOutcome};
use doorward_core::decide::serving::{self, Caller, TokenState};
use doorward_core::ids::{ConnectionId, LockId};
use doorward_core::lock::HeldLock;
use doorward_core::outbox::OutboxItem;
use doorward_core::problem::{Code, Refusal};
use doorward_core::secret::{AccessToken, LockToken};
use doorward_core::time::Timestamp;

use super::flights::Reason;
use super::{Actor, Message, reply};
use crate::handle::Reply;
use crate::provider::locks::{self, Returned};
use crate::random;
use crate::views::LockView;

/// What is said of locks.
pub(crate) enum LockMessage {
    /// A call of an agent did something with one.
    Heard {
        caller: Caller,
        connection: ConnectionId,
        news: LockNews,
        reply: Reply<()>,
    },
    /// A person wants one given back.
    WantedBack {
        lock: String,
        reply: Reply<LockView>,
    },
    /// Giving one back was tried.
    Returned { lock: LockId, returned: Returned },
}

impl From<LockMessage> for Message {
    fn from(message: LockMessage) -> Self {
        Self::Lock(message)
    }
}

impl Actor {
    pub(super) async fn handle_lock(&mut self, message: LockMessage) {
        match message {
            LockMessage::Heard {
                caller,
                connection,
                news,
                reply: to,
            } => reply(to, self.hear_of_lock(&caller, connection, news).await),
            LockMessage::WantedBack { lock, reply: to } => {
                reply(to, self.want_lock_back(&lock).await);
            }
            LockMessage::Returned { lock, returned } => self.lock_returned(lock, returned).await,
        }
    }

    /// The caller's key is not asked for again: a lock that was taken is there, whatever became of who took it.
    async fn hear_of_lock(
        &mut self,
        caller: &Caller,
        connection: ConnectionId,
        news: LockNews,
    ) -> Result<(), Refusal> {
        self.check_unlocked()?;
        let row = self
            .connection(connection)
            .filter(|row| row.tenant == caller.agent.tenant)
            .ok_or_else(|| serving::unknown(""))?;
        let id = LockId::from_random(random::bytes());
        let who = (&*caller.agent, &*row);
        let plan = locking::learn(self.book(), who, news, (id, self.now()))?;
        self.carry_out(plan).await
    }

    async fn want_lock_back(&mut self, text: &str) -> Result<LockView, Refusal> {
        self.check_unlocked()?;
        let lock = self.lock_meant(text)?;
        self.carry_out(locking::want_back(&lock)).await?;
        let lock = self.book().lock(lock.id).cloned().unwrap_or(lock);
        Ok(self.lock_view(&lock))
    }

    /// The lock a person means: by its identifier, its beginning, or its path.
    fn lock_meant(&self, text: &str) -> Result<Arc<HeldLock>, Refusal> {
        let is_meant = |lock: &&Arc<HeldLock>| {
            let by_id = text.len() >= 4 && lock.id.to_string().starts_with(text);
            by_id || lock.path.trim_matches('/') == text.trim_matches('/')
        };
        let found: Vec<_> = self.book().locks().filter(is_meant).collect();
        match found.as_slice() {
            [one] => Ok(Arc::clone(one)),
            [] => Err(Refusal::new(
                Code::BadRequest,
                "No agent holds that lock.",
                "It may have ended a moment ago; `doorward agents` lists those that are held.",
            )),
            several => Err(Refusal::new(
                Code::BadRequest,
                format!("{} locks could be meant by that.", several.len()),
                "Say which one by the beginning of its id: `doorward agents --json` shows it.",
            )),
        }
    }

    /// The locks that are held, the oldest first.
    pub(super) fn lock_views(&self) -> Vec<LockView> {
        let mut views: Vec<_> = self
            .book()
            .locks()
            .map(|lock| self.lock_view(lock))
            .collect();
        views.sort_by_key(|lock| lock.since);
        views
    }

    pub(super) fn lock_view(&self, lock: &HeldLock) -> LockView {
        let book = self.book();
        let connection = book.connection(lock.connection);
        let owed = || {
            book.outbox()
                .find(|item| item.connection == lock.connection)
        };
        let name = connection.map(|row| row.name.clone());
        let why = locking::owed_because(book, lock, self.now());
        LockView {
            id: lock.id.to_string(),
            agent: lock.agent.to_string(),
            agent_name: lock.agent_name.as_str().to_owned(),
            connection: name.or_else(|| owed().map(|item| item.name.clone())),
            path: format!("/{}", lock.path),
            since: lock.taken_at,
            until: lock.until,
            returning: why.map(str::to_owned),
            last_error: lock.last_error.clone(),
        }
    }

    /// When something is to be done about a lock.
    pub(super) fn next_lock_due(&self) -> Option<Timestamp> {
        if !self.paces() {
            return None;
        }
        let now = self.now();
        let idle = self.book().locks().filter(|lock| {
            // What is on its way comes back as a message.
            !self.returning.contains(&lock.id) && !self.flights.contains_key(&lock.connection)
        });
        idle.map(|lock| locking::next_due(self.book(), lock, now))
            .min()
    }

    /// Forgets what has lapsed, and begins to give back what is due.
    pub(super) async fn work_locks(&mut self) {
        if !self.paces() || self.book().locks().next().is_none() {
            return;
        }
        let swept = locking::sweep(self.book(), self.now());
        if let Err(refusal) = self.carry_out(swept).await {
            tracing::error!(%refusal, "locks that have lapsed could not be forgotten");
        }
        for lock in locking::due(self.book(), self.now()) {
            if !self.returning.contains(&lock.id) {
                self.begin_return(&lock).await;
            }
        }
    }

    async fn begin_return(&mut self, lock: &Arc<HeldLock>) {
        let Some(row) = self.connection(lock.connection) else {
            return;
        };
        let begun = match serving::token_state(&row, self.now(), None) {
            TokenState::Fresh | TokenState::DueButLive => self.send_return(&row, lock).await,
            // It goes on when the flight has come back.
            TokenState::Due => self.begin_flight(row.id, Reason::Due).await,
            TokenState::Refused(refusal) => Err(refusal),
        };
        if let Err(refusal) = begun {
            let wait = refusal
                .retry_after_seconds
                .map(std::time::Duration::from_secs);
            let outcome = ReturnOutcome::Failed {
                why: refusal.detail,
                retry_at: wait.map(|wait| self.now().plus(wait)),
            };
            self.lock_tried(lock, outcome).await;
        }
    }

    async fn send_return(
        &mut self,
        row: &Arc<Connection>,
        lock: &Arc<HeldLock>,
    ) -> Result<(), Refusal> {
        let live = self.published.tokens.get(&row.id);
        let live = live.filter(|live| live.generation == row.generation);
        let access = live.map(|live| Arc::clone(&live.access)).ok_or_else(|| {
            Refusal::new(
                Code::ProviderUnavailable,
                "There is no access token to give a lock back with.",
                "Doorward tries again.",
            )
        })?;
        let Some(token) = self.lock_token(lock).await? else {
            self.lock_tried(lock, ReturnOutcome::Done).await;
            return Ok(());
        };
        self.returning.insert(lock.id);
        let (providers, report) = (self.providers.clone(), self.report());
        let (row, lock) = (Arc::clone(row), Arc::clone(lock));
        tokio::spawn(async move {
            let returned =
                locks::give_back(&providers, &row.provider, &lock.path, (&token, &access)).await;
            // The mailbox is gone only when the process is ending; the next one finds the debt in its book.
            let _gone = report
                .send(Message::Lock(LockMessage::Returned {
                    lock: lock.id,
                    returned,
                }))
                .await;
        });
        Ok(())
    }

    async fn lock_token(&self, lock: &HeldLock) -> Result<Option<LockToken>, Refusal> {
        let found = self.store.lock_token(lock).await;
        found.map_err(|error| {
            tracing::error!(%error, connection = %lock.connection, "the token of a lock could not be read");
            error.refusal()
        })
    }

    async fn lock_returned(&mut self, id: LockId, returned: Returned) {
        self.returning.remove(&id);
        let Some(lock) = self.book().lock(id).cloned() else {
            return;
        };
        // A token that ended early is renewed once; if the next one is refused too, it is not the token.
        if returned.token_was_refused && lock.attempts == 0 {
            let renewed = self.begin_flight(lock.connection, Reason::Rejected).await;
            if let Err(refusal) = renewed {
                tracing::debug!(%refusal, "a token that a provider refused could not be renewed");
            }
        }
        self.lock_tried(&lock, returned.outcome).await;
    }

    async fn lock_tried(&mut self, lock: &HeldLock, outcome: ReturnOutcome) {
        if let ReturnOutcome::Failed { why, .. } = &outcome {
            tracing::warn!(connection = %lock.connection, %why, "a lock could not be given back; it is tried again");
        }
        let plan = locking::tried(self.book(), lock, self.now(), outcome);
        if let Err(refusal) = self.carry_out(plan).await {
            tracing::error!(%refusal, "what came of giving a lock back could not be written");
        }
    }

    /// What a connection that is gone has left, to be given back before its grant ends.
    pub(super) async fn locks_left(&self, item: &OutboxItem) -> Vec<(LockId, String, LockToken)> {
        let mut left = Vec::new();
        for lock in locking::left_by(self.book(), item.connection) {
            if let Ok(Some(token)) = self.lock_token(&lock).await {
                left.push((lock.id, lock.path.clone(), token));
            }
        }
        left
    }
}

/// Gives back what a connection has left, as far as that can be done in a moment. Says which locks are gone.
pub(super) async fn give_back_all(
    providers: &crate::provider::Providers,
    item: &OutboxItem,
    access: &AccessToken,
    left: &[(LockId, String, LockToken)],
) -> Vec<(LockId, Returned)> {
    let mut done = Vec::new();
    let all = async {
        for (id, path, token) in left {
            let returned = locks::give_back(providers, &item.provider, path, (token, access)).await;
            done.push((*id, returned));
        }
    };
    // Whoever disconnects waits for the end of the grant, not for this.
    let _in_time = tokio::time::timeout(locks::LEFT_BEHIND_TIME, all).await;
    done
}
