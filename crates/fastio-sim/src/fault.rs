//! Faults: what may go wrong between a client and Fast.io, on demand.
//!
//! The cases that lose grants in practice are not the refusals but the half-done exchanges: the
//! server rotated the refresh token and its answer never arrived. So a fault says not only *what*
//! happens but on which side of the work: `close_socket`, `hang: before_work`, `delay_ms` and
//! `status` come before it (nothing was changed), `drop_response_after_commit`, `hang: after_work`
//! and `delay_response_ms` after it (everything was changed, nobody was told).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kind::Selector;

/// One queued fault. It strikes the next `count` matching requests, one fault per request, in the
/// order in which they were queued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests.
    pub kind: Selector,
    /// How many of them. For `rate_limit`: how many windows.
    #[serde(default = "one")]
    pub count: u32,
    /// Only requests whose path contains this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_contains: Option<String>,
    /// Wait before doing the work.
    #[serde(default)]
    pub delay_ms: u64,
    /// Wait after the work was done, before answering.
    #[serde(default)]
    pub delay_response_ms: u64,
    /// Answer with this status instead of doing the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The body for `status`: a JSON value, or a string that is sent as it is. Left out, it is the
    /// error body that the endpoint would send with such a status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// More headers for `status`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Do the work, then close the connection without a byte of answer.
    #[serde(default)]
    pub drop_response_after_commit: bool,
    /// Close the connection without doing the work.
    #[serde(default)]
    pub close_socket: bool,
    /// Wait until the faults are cleared, then go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hang: Option<Hang>,
    /// Open a window in which matching requests are answered 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

fn one() -> u32 {
    1
}

/// On which side of the work a request hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hang {
    /// Nothing was done yet.
    BeforeWork,
    /// Everything was done; the answer is held back.
    AfterWork,
}

/// A window of 429s. It opens with the first matching request and every matching request until its
/// end is refused with the same end, so a client that waits exactly as long as it was told succeeds
/// and one that does not is seen to be refused again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Its length.
    pub window_s: u64,
    /// How the end is told.
    #[serde(default)]
    pub header: LimitForm,
}

/// How a 429 tells when to come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitForm {
    /// `x-ve-limit-expires: 2026-04-24 23:49:04 UTC`.
    #[default]
    Datetime,
    /// `x-ve-limit-expires:` seconds since 1970.
    Epoch,
    /// `x-ve-limit-expires:` seconds from now.
    Delta,
    /// `Retry-After: 7`, and no `x-ve-limit-expires`.
    RetryAfterSeconds,
    /// `Retry-After: Fri, 24 Apr 2026 23:49:04 GMT`, and no `x-ve-limit-expires`.
    RetryAfterDate,
    /// `RateLimit-Reset: 7`, and no `x-ve-limit-expires`.
    RateLimitReset,
    /// Nothing tells.
    None,
}

impl Fault {
    /// A fault that strikes once and, until one of the methods below adds something, does nothing.
    #[must_use]
    pub fn on(kind: impl Into<Selector>) -> Self {
        Self {
            kind: kind.into(),
            count: 1,
            path_contains: None,
            delay_ms: 0,
            delay_response_ms: 0,
            status: None,
            body: None,
            headers: BTreeMap::new(),
            drop_response_after_commit: false,
            close_socket: false,
            hang: None,
            rate_limit: None,
        }
    }

    /// Strikes the next `count` requests.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Strikes only requests whose path contains `part`.
    #[must_use]
    pub fn path_contains(mut self, part: &str) -> Self {
        self.path_contains = Some(part.to_owned());
        self
    }

    /// Waits before the work.
    #[must_use]
    pub fn delay(mut self, by: Duration) -> Self {
        self.delay_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Waits after the work.
    #[must_use]
    pub fn delay_response(mut self, by: Duration) -> Self {
        self.delay_response_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Answers with `status` and does not do the work.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The body that goes with [`Fault::status`].
    #[must_use]
    pub fn body(mut self, body: impl Into<Value>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A header that goes with [`Fault::status`].
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Does the work, then closes the connection.
    #[must_use]
    pub fn drop_response_after_commit(mut self) -> Self {
        self.drop_response_after_commit = true;
        self
    }

    /// Closes the connection without doing the work.
    #[must_use]
    pub fn close_socket(mut self) -> Self {
        self.close_socket = true;
        self
    }

    /// Hangs until the faults are cleared.
    #[must_use]
    pub fn hang(mut self, at: Hang) -> Self {
        self.hang = Some(at);
        self
    }

    /// Opens a window of 429s.
    #[must_use]
    pub fn rate_limit(mut self, window_s: u64, header: LimitForm) -> Self {
        self.rate_limit = Some(RateLimit { window_s, header });
        self
    }
}
