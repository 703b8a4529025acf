//! The rate-limit headers.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use time::OffsetDateTime;

use crate::clock::{fastio_datetime, http_date};
use crate::fault::LimitForm;
use crate::knobs::LimitHeaderNames;
use crate::world::traffic::LimitReport;

/// Writes what is left of the window and when it ends.
pub(crate) fn write(
    headers: &mut HeaderMap,
    report: LimitReport,
    names: LimitHeaderNames,
    now: OffsetDateTime,
) {
    let [available, max, expires] = match names {
        LimitHeaderNames::Current => ["x-ve-limit-avail", "x-ve-limit-max", "x-ve-limit-expires"],
        LimitHeaderNames::Legacy => [
            "x-rate-limit-available",
            "x-rate-limit-max",
            "x-rate-limit-expiry",
        ],
    };
    put(
        headers,
        HeaderName::from_static(available),
        &report.available.to_string(),
    );
    put(
        headers,
        HeaderName::from_static(max),
        &report.max.to_string(),
    );
    let until = report.until;
    // Rounded up, so that whoever waits as long as told arrives after the end and not just before.
    let seconds_left = ((until - now).whole_milliseconds().max(0) + 999) / 1000;
    let (name, value) = match report.form {
        LimitForm::None => return,
        LimitForm::Datetime => (HeaderName::from_static(expires), fastio_datetime(until)),
        LimitForm::Epoch => (
            HeaderName::from_static(expires),
            until.unix_timestamp().to_string(),
        ),
        LimitForm::Delta => (HeaderName::from_static(expires), seconds_left.to_string()),
        LimitForm::RetryAfterSeconds => (RETRY_AFTER, seconds_left.to_string()),
        LimitForm::RetryAfterDate => (RETRY_AFTER, http_date(until)),
        LimitForm::RateLimitReset => (
            HeaderName::from_static("ratelimit-reset"),
            seconds_left.to_string(),
        ),
    };
    put(headers, name, &value);
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
