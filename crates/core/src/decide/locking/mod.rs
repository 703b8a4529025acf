//! A lock is taken, kept, and given back.
//!
//! Whether Doorward owes a lock's return is not written down anywhere: it follows from the book. Whoever took the lock
//! may not use the connection any longer, so nobody else will give it back. That makes the debt as durable as the
//! revoke that caused it, and whatever ends or pauses something needs to know nothing of locks. An agent that merely
//! goes away owes nothing: it may come back, and its lock lapses by itself.

mod hearing;

use std::sync::Arc;
use std::time::Duration;

use crate::agent::Agent;
use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::Change;
use crate::connection::{Connection, Standing};
use crate::ids::{ConnectionId, LockId};
use crate::lock::{HeldLock, MOST_HELD};
use crate::plan::Plan;
use crate::problem::{Code, Refusal};
use crate::secret::LockToken;
use crate::time::Timestamp;

pub use self::hearing::{Heard, concerns, hear};

/// A lock that a call has taken.
pub struct LockTaken {
    /// The path at which it is given back, below the API's base, as it was sent.
    pub path: String,
    /// What gives it back.
    pub token: LockToken,
    /// When it ends by itself, if that is known.
    pub until: Option<Timestamp>,
}

/// What a call did with a lock.
pub enum LockNews {
    /// It took one.
    Taken(LockTaken),
    /// It kept the one at that path, or at the nearest path above it.
    Kept {
        /// The path.
        path: String,
        /// When it ends by itself now, if that is known.
        until: Option<Timestamp>,
    },
    /// It gave back the one at that path.
    GivenBack {
        /// The path.
        path: String,
    },
}

/// An agent's call did something with a lock. The agent may have been revoked while the call was under way: its lock is
/// remembered all the same, and owed at once.
pub fn learn(
    book: &Book,
    (agent, connection): (&Agent, &Connection),
    news: LockNews,
    (id, now): (LockId, Timestamp),
) -> Result<Plan, Refusal> {
    match news {
        LockNews::Taken(taken) => take(book, (agent, connection), taken, (id, now)),
        LockNews::Kept { path, until } => Ok(keep(book, connection.id, &path, (until, now))),
        LockNews::GivenBack { path } => {
            let over = at(book, connection.id, &path);
            Ok(over.map_or_else(Plan::nothing, |lock| erased(lock)))
        }
    }
}

fn take(
    book: &Book,
    (agent, connection): (&Agent, &Connection),
    taken: LockTaken,
    (id, now): (LockId, Timestamp),
) -> Result<Plan, Refusal> {
    let held = book.locks().filter(|lock| lock.agent == agent.id).count();
    if held >= MOST_HELD {
        return Err(Refusal::new(
            Code::RateLimited,
            format!("`{}` holds {MOST_HELD} locks already.", agent.name.as_str()),
            "Give some back: no further one is remembered for this agent.",
        ));
    }
    // A provider gives a lock to one at a time: whoever gets it, the one before is over.
    let before = at(book, connection.id, &taken.path);
    let plan = before.map_or_else(Plan::nothing, |lock| erased(lock));
    let lock = HeldLock {
        id,
        tenant: connection.tenant,
        connection: connection.id,
        agent: agent.id,
        agent_name: agent.name.clone(),
        path: taken.path,
        taken_at: now,
        heard_at: now,
        until: taken.until,
        is_wanted_back: false,
        attempts: 0,
        next_try: None,
        last_error: None,
    };
    Ok(plan.change(Change::LockTaken {
        lock: Box::new(lock),
        token: taken.token,
    }))
}

/// What is kept again and again is written down seldom: a second more or less is nobody's concern.
const WORTH_WRITING: Duration = Duration::from_secs(5);

fn keep(
    book: &Book,
    connection: ConnectionId,
    path: &str,
    (until, now): (Option<Timestamp>, Timestamp),
) -> Plan {
    let path = path.trim_matches('/');
    let covers = |lock: &&Arc<HeldLock>| {
        let own = lock.path.trim_matches('/');
        let rest = path.strip_prefix(own);
        lock.connection == connection
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let Some(lock) = book
        .locks()
        .filter(covers)
        .max_by_key(|lock| lock.path.len())
    else {
        return Plan::nothing();
    };
    let kept = HeldLock {
        heard_at: now,
        until,
        ..(**lock).clone()
    };
    if kept.end().since(lock.end()) < WORTH_WRITING && lock.end().since(kept.end()) < WORTH_WRITING
    {
        return Plan::nothing();
    }
    Plan::nothing().change(Change::LockPut(Box::new(kept)))
}

fn at<'a>(book: &'a Book, connection: ConnectionId, path: &str) -> Option<&'a Arc<HeldLock>> {
    book.locks().find(|lock| lock.is_at(connection, path))
}

fn erased(lock: &HeldLock) -> Plan {
    Plan::nothing().change(Change::LockErased {
        tenant: lock.tenant,
        lock: lock.id,
    })
}

/// A person wants a lock given back. That needs no proof: it takes something away and gives nobody anything.
pub fn want_back(lock: &HeldLock) -> Plan {
    let wanted = HeldLock {
        is_wanted_back: true,
        next_try: None,
        ..lock.clone()
    };
    Plan::nothing().change(Change::LockPut(Box::new(wanted)))
}

/// Why a lock is to be given back; nothing where it is not.
#[must_use]
pub fn owed_because(book: &Book, lock: &HeldLock, now: Timestamp) -> Option<&'static str> {
    let Some(connection) = book
        .connection(lock.connection)
        .filter(|row| row.standing != Standing::Ending)
    else {
        return Some("the connection was disconnected");
    };
    let Some(agent) = book.agent(lock.agent) else {
        return Some("the agent was revoked");
    };
    let grant = book.grant(agent.id, connection.id);
    if lock.is_wanted_back {
        Some("you asked for it")
    } else if grant.is_none_or(|grant| grant.is_over(now)) {
        Some("the agent's grant has ended")
    } else if agent.paused {
        Some("the agent was paused")
    } else if connection.paused {
        Some("the connection was paused")
    } else {
        None
    }
}

/// The locks to give back now, through connections that are there. What a connection that was disconnected leaves is
/// given back with the end of its grant.
#[must_use]
pub fn due(book: &Book, now: Timestamp) -> Vec<Arc<HeldLock>> {
    let is_due = |lock: &&Arc<HeldLock>| {
        lock.next_try.is_none_or(|next| next <= now)
            && is_reachable(book, lock)
            && owed_because(book, lock, now).is_some()
    };
    book.locks().filter(is_due).cloned().collect()
}

/// The locks that a connection has left which is gone.
#[must_use]
pub fn left_by(book: &Book, connection: ConnectionId) -> Vec<Arc<HeldLock>> {
    if book.connection(connection).is_some() {
        return Vec::new();
    }
    let left = book.locks().filter(|lock| lock.connection == connection);
    left.cloned().collect()
}

fn is_reachable(book: &Book, lock: &HeldLock) -> bool {
    let row = book.connection(lock.connection);
    row.is_some_and(|row| row.standing != Standing::Ending)
}

/// When something is to be done about a lock that nobody sees to.
#[must_use]
pub fn next_due(book: &Book, lock: &HeldLock, now: Timestamp) -> Timestamp {
    let is_owed = is_reachable(book, lock) && owed_because(book, lock, now).is_some();
    let next_try = is_owed.then(|| lock.next_try.unwrap_or(now));
    next_try.map_or(lock.end(), |next| next.min(lock.end()))
}

/// What came of trying to give a lock back.
pub enum ReturnOutcome {
    /// It is given back, or was gone already.
    Done,
    /// It did not work this time.
    Failed {
        /// What was seen, without secrets.
        why: String,
        /// When the provider wants the next try, if it says.
        retry_at: Option<Timestamp>,
    },
}

/// Decides what a tried return changes. There is no giving up: the lock's own end is the last moment that matters.
pub fn tried(book: &Book, lock: &HeldLock, now: Timestamp, outcome: ReturnOutcome) -> Plan {
    match outcome {
        ReturnOutcome::Done => {
            let why = owed_because(book, lock, now).unwrap_or("it was owed");
            erased(lock).log(event(AuditKind::LockGivenBack, lock).with("why", why))
        }
        ReturnOutcome::Failed { why, retry_at } => {
            let next = lock.clone().after_failure(now, why, retry_at);
            Plan::nothing().change(Change::LockPut(Box::new(next)))
        }
    }
}

/// Locks whose time is over are forgotten.
pub fn sweep(book: &Book, now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    for lock in book.locks().filter(|lock| lock.end() <= now) {
        plan = plan.and(erased(lock));
        if owed_because(book, lock, now).is_some() {
            let why = lock.last_error.as_deref().unwrap_or("nothing was tried");
            plan = plan.log(event(AuditKind::LockLapsed, lock).with("why", why));
        }
    }
    plan
}

fn event(kind: AuditKind, lock: &HeldLock) -> AuditEvent {
    AuditEvent::new(kind)
        .tenant(lock.tenant)
        .connection(lock.connection)
        .agent(lock.agent)
        .with("name", lock.agent_name.as_str())
        .with("path", lock.path.as_str())
}
