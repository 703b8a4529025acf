//! When a connection is refreshed by itself, and what sets halted tries going again.
//!
//! The hard problem is to be early without being often. A token in use is renewed shortly before its end, so that no
//! caller waits; but whoever stops asking stops the renewals too, because "in use" is said of the stored generation
//! alone, and a token that lives for seconds is renewed on demand only. What is idle is renewed once in days, because
//! a refresh token that nobody uses may end, and no provider's word about its lifetime is trusted.

use std::time::Duration;

use crate::book::Book;
use crate::change::Change;
use crate::connection::{Connection, Standing, Trouble, TroubleKind};
use crate::lock::HeldLock;
use crate::plan::Plan;
use crate::time::Timestamp;

use super::flying;

/// A token in use is renewed no earlier than this before its end.
const LONGEST_LEAD: Duration = Duration::from_mins(5);
/// Between two refreshes of a connection that nobody waits for lies at least this.
const LEAST_INTERVAL: Duration = Duration::from_mins(1);
/// An idle connection is refreshed this often. The shortest idle ends of refresh tokens that are in common use are a
/// week; three days leave room for a machine that is off over a weekend.
const KEEP_ALIVE: Duration = Duration::from_hours(72);
/// What waited for the same thing is set going again within this.
const LONGEST_SPREAD: Duration = Duration::from_secs(30);
/// ... and so far apart, where they are few.
const SPREAD_FOR_EACH: Duration = Duration::from_millis(100);

/// A number from 0 up to, not including, 1 that stays the same for a generation: connections that began together drift
/// apart by it. It comes from the identifier, which is random, so that a restart does not draw anew.
fn jitter(connection: &Connection) -> f64 {
    let mixed = connection
        .id
        .as_bytes()
        .iter()
        .copied()
        .chain(connection.generation.to_le_bytes())
        .fold(0x811c_9dc5_u32, |mixed, byte| {
            (mixed ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
    // The low bits of such a mix are its weakest.
    f64::from(mixed.wrapping_mul(0x9e37_79b1) >> 8) / f64::from(1_u32 << 24)
}

/// When the next refresh that nobody asked for is due; nothing where none is.
#[must_use]
pub fn next_refresh(connection: &Connection, now: Timestamp, in_use: bool) -> Option<Timestamp> {
    let can = connection.refreshable
        && connection.generation > 0
        && !connection.paused
        && connection.standing == Standing::Connected;
    if !can {
        return None;
    }
    let jitter = jitter(connection);
    let keep_alive = connection
        .access_issued_at
        .plus(KEEP_ALIVE.mul_f64(1.0 - jitter / 4.0));
    let ahead = in_use
        .then(|| ahead(connection, now, jitter))
        .flatten()
        .map_or(keep_alive, |ahead| ahead.min(keep_alive));
    let Some(trouble) = &connection.trouble else {
        // A refresh whose reply was lost is repeated only when the access token has ended.
        let is_marked = connection.refreshing.is_some();
        return Some(if is_marked { keep_alive } else { ahead });
    };
    let next = trouble.next_try()?;
    // Trouble with a call other than a refresh is no reason to refresh a token that is good.
    Some(match (connection.access_is_live(now), in_use) {
        (true, _) => next.max(ahead),
        (false, true) => next,
        (false, false) => next.max(keep_alive),
    })
}

fn ahead(connection: &Connection, now: Timestamp, jitter: f64) -> Option<Timestamp> {
    let end = connection.access_expires_at?;
    let issued = connection.access_issued_at;
    let lifetime = end.since(issued);
    let early = lifetime
        .mul_f64(0.8)
        .max(lifetime.saturating_sub(LONGEST_LEAD));
    let spread = lifetime.saturating_sub(early).mul_f64(jitter / 2.0);
    let at = issued.plus(early + spread);
    // One that has ended already is renewed on demand: whoever needs it asks.
    (now < end && early >= LEAST_INTERVAL).then_some(at)
}

/// Whether a connection is refreshed at once because the machine was away: started, or woken from sleep.
#[must_use]
pub fn is_due_after_absence(connection: &Connection, now: Timestamp, in_use: bool) -> bool {
    let has_ended = in_use
        && connection.access_expires_at.is_some()
        && !connection.access_is_live(now)
        && connection
            .trouble
            .as_ref()
            .is_none_or(|trouble| !trouble.holds_at(now));
    next_refresh(connection, now, in_use).is_some_and(|at| has_ended || at <= now)
}

/// Whether the provider itself said when it wants to be asked again, and that is to come: nobody shortens it.
#[must_use]
pub fn is_limited(connection: &Connection, now: Timestamp) -> bool {
    let trouble = connection.trouble.as_ref();
    trouble.is_some_and(|trouble| trouble.kind == TroubleKind::RateLimited && trouble.holds_at(now))
}

/// A person wants a connection tried again now. A limit that the provider stated stands.
pub fn retry(connection: &Connection, now: Timestamp) -> Plan {
    resumed(connection, now)
}

/// The machine started, or woke from sleep: what had failed is tried again, one after the other.
pub fn resume_all(book: &Book, now: Timestamp, jitter: f64) -> Plan {
    let halted = book
        .connections()
        .map(AsRef::as_ref)
        .filter(|row: &&Connection| row.trouble.as_ref().is_some_and(Trouble::is_halted));
    spread(halted, now, jitter)
}

/// A provider has answered again: what had halted because it was down is tried again, one after the other.
pub fn origin_is_back(book: &Book, answered: &Connection, now: Timestamp, jitter: f64) -> Plan {
    let waiting = book
        .connections()
        .map(AsRef::as_ref)
        .filter(|row: &&Connection| {
            let was_down = |trouble: &Trouble| trouble.is_halted() && !trouble.needs_a_person();
            row.id != answered.id
                && row.provider.issuer == answered.provider.issuer
                && row.trouble.as_ref().is_some_and(was_down)
        });
    spread(waiting, now, jitter)
}

fn spread<'a>(
    connections: impl Iterator<Item = &'a Connection>,
    now: Timestamp,
    jitter: f64,
) -> Plan {
    let waiting: Vec<_> = connections.collect();
    let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
    let step = SPREAD_FOR_EACH.min(LONGEST_SPREAD / count.max(1));
    let mut at = now.plus(step.mul_f64(jitter.clamp(0.0, 1.0)));
    waiting.into_iter().fold(Plan::nothing(), |plan, row| {
        let moment = at;
        at = at.plus(step);
        plan.and(resumed(row, moment))
    })
}

fn resumed(connection: &Connection, at: Timestamp) -> Plan {
    let Some(trouble) = &connection.trouble else {
        return Plan::nothing();
    };
    // What the provider asked for is not shortened, nor is what is put off until the token ends.
    if trouble.kind == TroubleKind::RateLimited
        || flying::waits_for_the_token_to_end(connection, at)
    {
        return Plan::nothing();
    }
    let next = Connection {
        trouble: Some(Trouble {
            failures: 0,
            retry_at: at,
            ..trouble.clone()
        }),
        ..connection.clone()
    };
    Plan::nothing().change(Change::ConnectionPut(Box::new(next)))
}

/// The wall clock was set by so many milliseconds: what was measured with it is said anew, so that neither a lifetime
/// nor a wait becomes longer or shorter by it.
pub fn clock_was_set(book: &Book, millis: i64) -> Plan {
    let shift = |moment: Timestamp| moment.shifted(millis);
    let locks = book.locks().fold(Plan::nothing(), |plan, lock| {
        let next = HeldLock {
            taken_at: shift(lock.taken_at),
            heard_at: shift(lock.heard_at),
            until: lock.until.map(shift),
            next_try: lock.next_try.map(shift),
            ..(**lock).clone()
        };
        plan.change(Change::LockPut(Box::new(next)))
    });
    book.connections().fold(locks, |plan, row| {
        let next = Connection {
            access_issued_at: shift(row.access_issued_at),
            access_expires_at: row.access_expires_at.map(shift),
            proven_at: row.proven_at.map(shift),
            trouble: row.trouble.as_ref().map(|trouble| Trouble {
                since: shift(trouble.since),
                retry_at: shift(trouble.retry_at),
                ..trouble.clone()
            }),
            ..(**row).clone()
        };
        plan.change(Change::ConnectionPut(Box::new(next)))
    })
}
