//! The simulator's own clock: the wall clock, moved ahead by whatever a test asked for.
//!
//! Tests must see a token expire, or a rate-limit window end, without waiting for it. Every rule of
//! the simulator therefore takes `now` as an argument, and this is the one place that reads a clock.
//! The offset only grows: a provider's clock that runs backwards is a fault of another kind, and
//! would make "already expired" reversible.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// How Fast.io writes an instant, in bodies and in the rate-limit header.
const FASTIO_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");

/// The same without the zone, which clients may leave out.
const ZONELESS_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// The date format of HTTP headers such as `Retry-After`.
const HTTP_FORMAT: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// Wall clock plus an offset in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_ms: AtomicI64,
}

impl Clock {
    /// The simulator's present.
    #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
    pub(crate) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from(SystemTime::now())
            + time::Duration::milliseconds(self.ahead_ms.load(Ordering::SeqCst))
    }

    /// Moves the present ahead. Tokens, codes and windows age by `by` at once.
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.ahead_ms.fetch_add(by, Ordering::SeqCst);
    }
}

/// `2026-04-24 23:49:04 UTC`.
pub(crate) fn fastio_datetime(at: OffsetDateTime) -> String {
    at.format(FASTIO_FORMAT).unwrap_or_default()
}

/// An instant as clients write it: `2026-04-24 23:49:04 UTC`, the same without the zone, or RFC 3339.
pub(crate) fn parse_datetime(text: &str) -> Option<OffsetDateTime> {
    PrimitiveDateTime::parse(text.trim_end_matches(" UTC"), ZONELESS_FORMAT)
        .map(PrimitiveDateTime::assume_utc)
        .or_else(|_| OffsetDateTime::parse(text, &Rfc3339))
        .ok()
}

/// `Fri, 24 Apr 2026 23:49:04 GMT`.
pub(crate) fn http_date(at: OffsetDateTime) -> String {
    at.format(HTTP_FORMAT).unwrap_or_default()
}

/// The next whole second, so that a reset time rounded to seconds never lies in the past of the
/// window it ends.
pub(crate) fn rounded_up(at: OffsetDateTime) -> OffsetDateTime {
    if at.nanosecond() == 0 {
        at
    } else {
        at.replace_nanosecond(0).unwrap_or(at) + time::Duration::SECOND
    }
}
