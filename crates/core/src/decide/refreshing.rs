//! A refresh begins and ends.
//!
//! The hard problem is that the reply about one generation can arrive when another is stored: a person may have
//! connected again, or disconnected, in the meantime. So a refresh is named by the generation it was begun for, and
//! its end changes something only where that is still the stored one. Fresh tokens that a late reply brings are owed a
//! revocation where that cannot end the newer grant.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::{Change, OutboxTokens};
use crate::connection::{Connection, FAILURES_TO_HALT, Standing, Trouble, TroubleKind};
use crate::ids::{ConnectionId, OutboxId};
use crate::plan::{Effect, Notice, Plan};
use crate::time::Timestamp;
use crate::token_reply::{TokenOutcome, TokenSet};

use super::revoking;

/// The first wait after a failure; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between tries.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// What does not pass by itself is looked at this often, in case a person mended it at the provider, until the tries
/// halt.
const STUCK_WAIT: Duration = Duration::from_mins(5);
/// Once the tries have halted, a provider that was down is asked this often whether it is back.
const PROBE_WAIT: Duration = LONGEST_WAIT;

/// The API refused an access token that should have been good, and the provider's own check agrees.
pub fn access_is_dead(connection: &Connection, now: Timestamp) -> Plan {
    let dead = Connection {
        access_expires_at: Some(now),
        ..connection.clone()
    };
    Plan::nothing().change(Change::ConnectionPut(Box::new(dead)))
}

/// The provider's own check says that the access token is good: no refresh is sent.
pub fn access_is_good(connection: &Connection, now: Timestamp) -> Plan {
    let good = Connection {
        refreshing: None,
        proven_at: Some(now),
        ..connection.clone()
    };
    Plan::nothing().change(Change::ConnectionPut(Box::new(good)))
}

/// A refresh that has ended.
pub struct Finished {
    /// Of which connection.
    pub connection: ConnectionId,
    /// The generation whose refresh token was sent.
    pub generation: u64,
    /// What came of it.
    pub outcome: TokenOutcome,
    /// A random number from 0 up to, not including, 1: spreads the next tries.
    pub jitter: f64,
    /// An identifier for a revocation, should one be owed.
    pub outbox: OutboxId,
}

/// Decides what the end of a refresh changes.
pub fn finish(book: &Book, now: Timestamp, finished: Finished) -> Plan {
    let Some(connection) = book.connection(finished.connection) else {
        return Plan::nothing();
    };
    if connection.generation != finished.generation {
        return stale(connection, now, finished);
    }
    let ends = connection.standing == Standing::Ending;
    let plan = match finished.outcome {
        TokenOutcome::Issued(tokens) => refreshed(connection, now, tokens),
        TokenOutcome::GrantEnded { why } => return ended(book, connection, now, &why, ends),
        TokenOutcome::Transient { why, retry_at } => {
            let retry_at = next_try(connection, now, retry_at, finished.jitter);
            troubled(connection, now, TroubleKind::Transient, why, retry_at)
        }
        TokenOutcome::RateLimited { until } => troubled(
            connection,
            now,
            TroubleKind::RateLimited,
            "HTTP 429".to_owned(),
            next_try(connection, now, Some(until), finished.jitter),
        ),
        TokenOutcome::ClientRejected { why } => {
            refused(book, connection, now, TroubleKind::ClientRejected, why)
        }
        TokenOutcome::Misconfigured { why } => {
            refused(book, connection, now, TroubleKind::Misconfigured, why)
        }
    };
    if ends {
        plan.and(revoking::end(book, connection, now, finished.outbox))
    } else {
        plan
    }
}

fn refreshed(connection: &Connection, now: Timestamp, tokens: TokenSet) -> Plan {
    let next = with_tokens(connection, now, &tokens);
    let event = AuditEvent::new(AuditKind::Refreshed)
        .tenant(connection.tenant)
        .connection(connection.id)
        .with("generation", next.generation.to_string());
    let plan = Plan::nothing()
        .change(tokens_put(&next, tokens))
        .change(Change::ConnectionPut(Box::new(next)))
        .log(event);
    // Whoever was told that a person has to look is told that it is over; nobody else heard of the trouble.
    let was_told = connection
        .trouble
        .as_ref()
        .is_some_and(Trouble::needs_a_person);
    if was_told && connection.standing != Standing::Ending {
        plan.effect(Effect::Tell(Notice::Recovered(connection.id)))
    } else {
        plan
    }
}

/// The connection's row once these tokens are its own.
#[must_use]
pub fn with_tokens(connection: &Connection, now: Timestamp, tokens: &TokenSet) -> Connection {
    Connection {
        generation: connection.generation + 1,
        refreshing: None,
        refreshable: tokens.refresh.is_some()
            || (connection.refreshable && connection.generation > 0),
        token_type: tokens.token_type.clone(),
        access_issued_at: tokens.issued_at,
        access_expires_at: tokens.expires_at,
        granted: if tokens.granted.stated {
            tokens.granted.clone()
        } else {
            connection.granted.clone()
        },
        standing: if connection.standing == Standing::Ending {
            Standing::Ending
        } else {
            Standing::Connected
        },
        proven_at: Some(now),
        trouble: None,
        ..connection.clone()
    }
}

/// The change that seals these tokens as the row's own.
#[must_use]
pub fn tokens_put(connection: &Connection, tokens: TokenSet) -> Change {
    Change::TokensPut {
        tenant: connection.tenant,
        connection: connection.id,
        generation: connection.generation,
        access: Arc::new(tokens.access),
        refresh: tokens.refresh.map(Arc::new),
    }
}

fn ended(book: &Book, connection: &Connection, now: Timestamp, why: &str, ends: bool) -> Plan {
    let event = AuditEvent::new(AuditKind::GrantEnded)
        .tenant(connection.tenant)
        .connection(connection.id)
        .with("why", why);
    if ends {
        // The provider has ended it already: nothing is owed.
        return revoking::erase(book, connection).log(event);
    }
    let next = Connection {
        standing: Standing::ReconnectRequired {
            why: format!("the provider refused to renew it ({why})"),
            since: now,
        },
        refreshing: None,
        refreshable: false,
        access_expires_at: Some(now),
        trouble: None,
        ..connection.clone()
    };
    Plan::nothing()
        .change(Change::TokensErased {
            tenant: connection.tenant,
            connection: connection.id,
        })
        .change(Change::ConnectionPut(Box::new(next)))
        .log(event)
        .effect(Effect::Tell(Notice::ReconnectNeeded(connection.id)))
}

pub(super) fn troubled(
    connection: &Connection,
    now: Timestamp,
    kind: TroubleKind,
    last: String,
    retry_at: Timestamp,
) -> Plan {
    let before = connection.trouble.as_ref();
    let trouble = Trouble {
        kind,
        since: before.map_or(now, |trouble| trouble.since),
        failures: before
            .map_or(0, |trouble| trouble.failures)
            .saturating_add(1),
        last,
        retry_at,
    };
    let was_halted = before.is_some_and(Trouble::is_halted);
    let halts = (trouble.is_halted() && !was_halted).then(|| Effect::LogHalted {
        connection: connection.id,
        last: trouble.last.clone(),
    });
    let next = Connection {
        refreshing: None,
        trouble: Some(trouble),
        ..connection.clone()
    };
    let plan = Plan::nothing().change(Change::ConnectionPut(Box::new(next)));
    halts.into_iter().fold(plan, Plan::effect)
}

/// The provider refuses what a person has to mend. It is told when it begins, and once for all connections that the
/// same registration stands behind: they are mended together.
fn refused(
    book: &Book,
    connection: &Connection,
    now: Timestamp,
    kind: TroubleKind,
    last: String,
) -> Plan {
    let plan = troubled(connection, now, kind, last, now.plus(STUCK_WAIT));
    let has_it = |row: &Connection| {
        let trouble = row.trouble.as_ref();
        trouble.is_some_and(|trouble| trouble.kind == kind)
    };
    let (is_told, notice) = if kind == TroubleKind::ClientRejected {
        let told = book
            .connections()
            .any(|row| row.client == connection.client && has_it(row));
        (told, Notice::ClientRejected(connection.id))
    } else {
        (has_it(connection), Notice::Misconfigured(connection.id))
    };
    if is_told || connection.standing == Standing::Ending {
        plan
    } else {
        plan.effect(Effect::Tell(notice))
    }
}

/// What the provider states is waited for exactly. A moment that is not to come says nothing: it would make every
/// caller's ask one more request, and a clock that is ahead of the provider's turns every stated moment into one.
pub(super) fn next_try(
    connection: &Connection,
    now: Timestamp,
    stated: Option<Timestamp>,
    jitter: f64,
) -> Timestamp {
    stated
        .filter(|moment| *moment > now)
        .unwrap_or_else(|| now.plus(backoff(connection, jitter)))
}

fn backoff(connection: &Connection, jitter: f64) -> Duration {
    let failures = connection
        .trouble
        .as_ref()
        .map_or(0, |trouble| trouble.failures)
        .min(16);
    if failures + 1 >= FAILURES_TO_HALT {
        // Probes of many connections must not fall together, and none may come soon.
        return PROBE_WAIT.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
    }
    let longest = FIRST_WAIT.saturating_mul(1 << failures).min(LONGEST_WAIT);
    longest.mul_f64(jitter.clamp(0.0, 1.0)).max(FIRST_WAIT / 10)
}

fn stale(connection: &Connection, now: Timestamp, finished: Finished) -> Plan {
    match finished.outcome {
        // A reconnect came between. Only where the provider keeps a session for each grant are the late tokens surely
        // not of the new grant; elsewhere revoking them could end it. A connection that ends wants no grant at all.
        TokenOutcome::Issued(tokens)
            if connection.session.is_some() || connection.standing == Standing::Ending =>
        {
            let tokens = OutboxTokens::Given {
                access: tokens.access,
                refresh: tokens.refresh,
            };
            revoking::owe(connection, now, finished.outbox, None, tokens)
        }
        TokenOutcome::Issued(_)
        | TokenOutcome::Transient { .. }
        | TokenOutcome::RateLimited { .. }
        | TokenOutcome::GrantEnded { .. }
        | TokenOutcome::ClientRejected { .. }
        | TokenOutcome::Misconfigured { .. } => Plan::nothing(),
    }
}
