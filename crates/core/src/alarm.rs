//! Many connections fail at once: one cause, told once.
//!
//! A person with thirty connections behind one broken network must not be told thirty times. So failures that meet
//! half of what is in use become one alarm with its likely cause, and the end of it is told too. The alarm is raised
//! by repeated failures and lowered only by success, so that a new start of the tries neither ends nor repeats it.

use std::collections::BTreeSet;

use crate::book::Book;
use crate::connection::{Connection, Standing, Trouble, TroubleKind};
use crate::time::Timestamp;

/// Fewer connections than this are told of one by one.
const LEAST_FAILING: usize = 3;
/// One failure may be chance.
const LEAST_FAILURES: u32 = 2;
/// A clock that differs by this much from a provider's is wrong enough to break certificates and tokens.
const CLOCK_IS_WRONG_FROM_MILLIS: u64 = 5 * 60 * 1000;

/// What most likely makes many connections fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing is reached: the machine is offline, or its way out is closed.
    NetworkDown,
    /// The provider answers with failures, or is not there while others are.
    ProviderDown,
    /// The provider does not accept Doorward's own registration.
    ClientRejected,
    /// The courier, which carries refreshes, cannot be started.
    CourierFailed,
    /// This machine's clock differs much from the provider's.
    ClockWrong,
}

impl Cause {
    /// The cause as a person is told it.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NetworkDown => "this machine seems to be offline",
            Self::ProviderDown => "the provider seems to be down",
            Self::ClientRejected => {
                "the provider does not accept Doorward's registration: its client secret has expired or was changed"
            }
            Self::CourierFailed => "Doorward's courier cannot be started",
            Self::ClockWrong => "this machine's clock is wrong",
        }
    }
}

/// Many connections fail at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Why, most likely.
    pub cause: Cause,
    /// How many failed when it was raised.
    pub failing: usize,
    /// When it was raised.
    pub since: Timestamp,
}

/// What becomes of the alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is raised.
    Raised(Alarm),
    /// It is over.
    Lowered(Alarm),
}

/// Decides whether the alarm is raised or lowered. `skew` is how many milliseconds the last provider that answered was
/// ahead of this machine's clock.
#[must_use]
pub fn turn(book: &Book, now: Timestamp, standing: Option<Alarm>, skew: i64) -> Option<Turn> {
    match standing {
        None => found(book, now, skew).map(Turn::Raised),
        Some(alarm) => {
            let troubled = book.connections().filter_map(trouble).count();
            (troubled * 4 <= alarm.failing).then_some(Turn::Lowered(alarm))
        }
    }
}

/// The alarm that the book calls for by itself: at a start it is taken over without being told again.
#[must_use]
pub fn found(book: &Book, now: Timestamp, skew: i64) -> Option<Alarm> {
    let failing: Vec<(&Connection, &Trouble)> = book
        .connections()
        .filter_map(trouble)
        .filter(|(_, trouble)| trouble.failures >= LEAST_FAILURES)
        .collect();
    let standing = book
        .connections()
        .filter(|row| row.standing == Standing::Connected && !row.paused)
        .count();
    let many = failing.len() >= LEAST_FAILING && failing.len() * 2 >= standing;
    many.then(|| Alarm {
        cause: cause(book, &failing, skew),
        failing: failing.len(),
        since: now,
    })
}

fn trouble(row: &std::sync::Arc<Connection>) -> Option<(&Connection, &Trouble)> {
    let trouble = row.trouble.as_ref()?;
    let counts = row.standing == Standing::Connected
        && !row.paused
        && trouble.kind != TroubleKind::RateLimited;
    counts.then_some((row, trouble))
}

fn cause(book: &Book, failing: &[(&Connection, &Trouble)], skew: i64) -> Cause {
    let most = |is: fn(&Trouble) -> bool| {
        failing.iter().filter(|(_, trouble)| is(trouble)).count() * 2 > failing.len()
    };
    if skew.unsigned_abs() >= CLOCK_IS_WRONG_FROM_MILLIS {
        return Cause::ClockWrong;
    }
    if most(|trouble| trouble.kind == TroubleKind::ClientRejected) {
        return Cause::ClientRejected;
    }
    if most(|trouble| trouble.kind == TroubleKind::CourierFailed) {
        return Cause::CourierFailed;
    }
    if most(Trouble::was_answered) {
        return Cause::ProviderDown;
    }
    let issuers: BTreeSet<&str> = failing
        .iter()
        .map(|(row, _)| row.provider.issuer.as_str())
        .collect();
    let began = failing.iter().map(|(_, trouble)| trouble.since).min();
    let another_works = book.connections().any(|row| {
        !issuers.contains(row.provider.issuer.as_str())
            && row.trouble.is_none()
            && row.proven_at > began
    });
    if another_works {
        Cause::ProviderDown
    } else {
        Cause::NetworkDown
    }
}
