//! Until when a provider wants no more calls.
//!
//! Providers say it in many forms; the sum of the matter is one moment. Fast.io's `x-ve-limit-expires` was seen as a
//! UTC date and time and is read by its own client as epoch seconds; others send `Retry-After` as seconds or a date,
//! or `RateLimit-Reset` in seconds.

use std::time::Duration;

use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::time::Timestamp;

/// A provider that asks for more is taken at its word up to here; then a person would rather be told.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// What to wait when a provider says "too many" and nothing else.
const UNSTATED_WAIT: Duration = Duration::from_secs(60);
/// Numbers above this are moments, not waits: ten years in seconds.
const EPOCH_THRESHOLD: i64 = 315_360_000;

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
    stated_retry(now, headers).unwrap_or_else(|| now.plus(UNSTATED_WAIT))
}

/// The moment a reply states for the next try, in whichever form; nothing where it states none.
#[must_use]
pub fn stated_retry(now: Timestamp, headers: &(impl Headers + ?Sized)) -> Option<Timestamp> {
    [
        "retry-after",
        "x-ve-limit-expires",
        "x-rate-limit-expiry",
        "ratelimit-reset",
        "x-ratelimit-reset",
    ]
    .into_iter()
    .find_map(|name| moment(now, headers.header(name)?))
    .map(|until| until.max(now).min(now.plus(LONGEST_WAIT)))
}

fn moment(now: Timestamp, text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return match number {
            ..0 => None,
            0..EPOCH_THRESHOLD => Some(now.plus(Duration::from_secs(number.unsigned_abs()))),
            EPOCH_THRESHOLD.. => Some(Timestamp::from_secs(number)),
        };
    }
    let plain = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let zoneless = text.strip_suffix("UTC").map_or(text, str::trim_end);
    if let Ok(parsed) = PrimitiveDateTime::parse(zoneless, &plain) {
        return Some(Timestamp::from_secs(parsed.assume_utc().unix_timestamp()));
    }
    let numeric_zone = text
        .strip_suffix("GMT")
        .map_or_else(|| text.to_owned(), |rest| format!("{rest}+0000"));
    OffsetDateTime::parse(&numeric_zone, &Rfc2822)
        .or_else(|_| OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339))
        .ok()
        .map(|parsed| Timestamp::from_secs(parsed.unix_timestamp()))
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
        assert_eq!(until(&[("ratelimit-reset", "9")]), 9);
        assert_eq!(until(&[("Retry-After", "3")]), 3);
        assert_eq!(
            until(&[("Retry-After", "Fri, 24 Apr 2026 23:49:05 GMT")]),
            5
        );
        assert_eq!(until(&[("x-ve-limit-expires", "2026-04-24T23:49:06Z")]), 6);
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
