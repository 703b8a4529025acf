//! Until when a provider wants no more calls.
//!
//! Providers say it in many forms; the sum of the matter is one moment. Fast.io's `x-ve-limit-expires` was seen as a
//! UTC date and time and is read by its own client as epoch seconds; others send `Retry-After` as seconds or a date,
//! or `RateLimit-Reset` in seconds.
//!
//! A moment is one on the provider's clock. Where the reply tells that clock (`Date`) and it is not ours, the moment is
//! moved to ours: a machine that is an hour behind would else wait an hour too long, and one ahead not at all.

use std::time::Duration;

use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::time::Timestamp;

/// A provider that asks for more is taken at its word up to here; then a person would rather be told.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// What to wait when a provider says "too many" and nothing else.
const UNSTATED_WAIT: Duration = Duration::from_mins(1);
/// `Date` is in whole seconds and a reply takes its time to arrive: clocks that differ by less agree.
const CLOCKS_AGREE_WITHIN: Duration = Duration::from_secs(5);
/// Numbers above this are moments, not waits: ten years in seconds.
const EPOCH_THRESHOLD: i64 = 315_360_000;
/// Numbers above this are moments in milliseconds: as seconds they would lie three thousand years ahead.
const MILLISECOND_THRESHOLD: i64 = 100_000_000_000;

/// The headers of a provider's reply that matter here, by lower-case name.
pub trait Headers {
    /// The value of a header, if it is there and is text.
    fn header(&self, name: &str) -> Option<&str>;
}

impl Headers for [(String, String)] {
    fn header(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The moment until which a 429 wants no more calls.
#[must_use]
pub fn limited_until(now: Timestamp, headers: &(impl Headers + ?Sized)) -> Timestamp {
    let names = [
        "retry-after",
        "x-ve-limit-expires",
        "x-rate-limit-expiry",
        "ratelimit-reset",
        "x-ratelimit-reset",
    ];
    first_stated(now, headers, &names).unwrap_or_else(|| now.plus(UNSTATED_WAIT))
}

/// The moment that a failure other than a 429 states for the next try; nothing where it states none. Only
/// `Retry-After` speaks of that: the other headers stand in every reply and tell when a limit begins anew that may be
/// far from used up.
#[must_use]
pub fn stated_retry(now: Timestamp, headers: &(impl Headers + ?Sized)) -> Option<Timestamp> {
    first_stated(now, headers, &["retry-after"])
}

fn first_stated(
    now: Timestamp,
    headers: &(impl Headers + ?Sized),
    names: &[&str],
) -> Option<Timestamp> {
    names
        .iter()
        .find_map(|name| match stated(headers.header(name)?)? {
            Stated::Wait(wait) => Some(now.plus(wait)),
            Stated::Moment(moment) => Some(on_our_clock(now, headers, moment)),
        })
        .map(|until| until.max(now).min(now.plus(LONGEST_WAIT)))
}

enum Stated {
    Wait(Duration),
    Moment(Timestamp),
}

fn stated(text: &str) -> Option<Stated> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return match number {
            ..0 => None,
            0..EPOCH_THRESHOLD => Some(Stated::Wait(Duration::from_secs(number.unsigned_abs()))),
            EPOCH_THRESHOLD..MILLISECOND_THRESHOLD => {
                Some(Stated::Moment(Timestamp::from_secs(number)))
            }
            MILLISECOND_THRESHOLD.. => Some(Stated::Moment(Timestamp::from_millis(number))),
        };
    }
    let plain = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let zoneless = text.strip_suffix("UTC").map_or(text, str::trim_end);
    if let Ok(parsed) = PrimitiveDateTime::parse(zoneless, &plain) {
        let moment = parsed.assume_utc().unix_timestamp();
        return Some(Stated::Moment(Timestamp::from_secs(moment)));
    }
    date(text)
        .or_else(|| {
            OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
        })
        .map(|parsed| Stated::Moment(Timestamp::from_secs(parsed.unix_timestamp())))
}

/// An HTTP date (RFC 9110 §5.6.7), in the one form that may be sent.
fn date(text: &str) -> Option<OffsetDateTime> {
    let numeric_zone = text
        .strip_suffix("GMT")
        .map_or_else(|| text.to_owned(), |rest| format!("{rest}+0000"));
    OffsetDateTime::parse(&numeric_zone, &Rfc2822).ok()
}

/// How many milliseconds the clock that a reply tells is ahead of ours; nothing where it tells none.
#[must_use]
pub fn skew(now: Timestamp, headers: &(impl Headers + ?Sized)) -> Option<i64> {
    let theirs = headers.header("date").and_then(date)?;
    let theirs = Timestamp::from_secs(theirs.unix_timestamp());
    Some(theirs.as_millis().saturating_sub(now.as_millis()))
}

fn on_our_clock(now: Timestamp, headers: &(impl Headers + ?Sized), moment: Timestamp) -> Timestamp {
    let Some(theirs) = headers.header("date").and_then(date) else {
        return moment;
    };
    let theirs = Timestamp::from_secs(theirs.unix_timestamp());
    let apart = theirs.since(now).max(now.since(theirs));
    if apart <= CLOCKS_AGREE_WITHIN {
        return moment;
    }
    now.plus(moment.since(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(headers: &[(&str, &str)]) -> i64 {
        let now = Timestamp::from_secs(1_777_074_540); // 2026-04-24 23:49:00 UTC
        let owned: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        limited_until(now, owned.as_slice()).as_secs() - now.as_secs()
    }

    #[test]
    fn a_limit_is_read_in_every_form() {
        assert_eq!(
            until(&[("x-ve-limit-expires", "2026-04-24 23:49:04 UTC")]),
            4
        );
        assert_eq!(until(&[("X-Rate-Limit-Expiry", "1777074547")]), 7);
        assert_eq!(until(&[("x-ratelimit-reset", "1777074548000")]), 8);
        assert_eq!(until(&[("ratelimit-reset", "9")]), 9);
        assert_eq!(until(&[("Retry-After", "3")]), 3);
        assert_eq!(
            until(&[("Retry-After", "Fri, 24 Apr 2026 23:49:05 GMT")]),
            5
        );
        assert_eq!(until(&[("x-ve-limit-expires", "2026-04-24T23:49:06Z")]), 6);
    }

    #[test]
    fn a_moment_is_meant_on_the_providers_clock() {
        let an_hour_ahead = ("Date", "Sat, 25 Apr 2026 00:49:00 GMT");
        let an_hour_behind = ("Date", "Fri, 24 Apr 2026 22:49:00 GMT");
        let about_the_same = ("Date", "Fri, 24 Apr 2026 23:48:58 GMT");
        assert_eq!(
            until(&[
                an_hour_ahead,
                ("x-ve-limit-expires", "2026-04-25 00:49:09 UTC")
            ]),
            9
        );
        assert_eq!(
            until(&[
                an_hour_behind,
                ("Retry-After", "Fri, 24 Apr 2026 22:49:09 GMT")
            ]),
            9
        );
        assert_eq!(
            until(&[about_the_same, ("x-rate-limit-expiry", "1777074549")]),
            9
        );
        assert_eq!(until(&[an_hour_ahead, ("Retry-After", "9")]), 9);
        assert_eq!(until(&[("Date", "noon"), ("Retry-After", "9")]), 9);
    }

    #[test]
    fn a_limit_that_is_not_used_up_does_not_delay_the_next_try() {
        let now = Timestamp::from_secs(1_777_074_540);
        let expires = ("x-ve-limit-expires".to_owned(), "59".to_owned());
        let retry = ("Retry-After".to_owned(), "3".to_owned());
        assert_eq!(stated_retry(now, [expires.clone()].as_slice()), None);
        let stated = stated_retry(now, [expires, retry].as_slice());
        assert_eq!(stated, Some(Timestamp::from_secs(1_777_074_543)));
    }

    #[test]
    fn nonsense_and_the_past_are_bounded() {
        assert_eq!(until(&[]), 60);
        assert_eq!(until(&[("retry-after", "soon")]), 60);
        assert_eq!(until(&[("retry-after", "-5")]), 60);
        assert_eq!(
            until(&[("x-ve-limit-expires", "2020-01-01 00:00:00 UTC")]),
            0
        );
        assert_eq!(until(&[("retry-after", "9999999")]), 24 * 3600);
    }
}
