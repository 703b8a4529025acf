//! Faults: what may go wrong between a client and Fast.io, on demand.
//!
//! The cases that lose grants in practice are not the refusals but the half-done exchanges: the
//! server rotated the refresh token and its answer never arrived. So a fault says not only *what*
//! happens but on which side of the work: `close_socket`, `hang: before_work`, `delay_ms` and
//! `status` come before it (nothing was changed), `drop_response_after_commit`, `hang: after_work`
//! and `delay_response_ms` after it (everything was changed, nobody was told), and
//! `cut_after_bytes` and `stall_after_bytes` in the middle of the answer.
//!
//! Bad weather is a fault that strikes now and then for as long as it is queued: `every_nth`, or
//! `per_mille` of the matching requests. Which of them it strikes is drawn from their number, so two
//! runs with the same order of requests meet the same weather.

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
    /// Only requests with this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only requests to the MCP server whose JSON-RPC method and tool contain this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc_contains: Option<String>,
    /// Only each n-th of the requests that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_nth: Option<u32>,
    /// Only so many in a thousand of the requests that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_mille: Option<u16>,
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
    /// The code in the error body that goes with `status` where `body` is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// More headers for `status`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Do the work, then close the connection without a byte of answer.
    #[serde(default)]
    pub drop_response_after_commit: bool,
    /// Close the connection without doing the work.
    #[serde(default)]
    pub close_socket: bool,
    /// Do the work, and close the connection after so many bytes of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_after_bytes: Option<u64>,
    /// Do the work, and stand still after so many bytes of the answer's body until the faults are
    /// cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_after_bytes: Option<u64>,
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

/// What happens to the body of an answer after so many bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Interruption {
    /// It breaks off.
    Cut(u64),
    /// It stands still.
    Stall(u64),
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
            method: None,
            rpc_contains: None,
            every_nth: None,
            per_mille: None,
            delay_ms: 0,
            delay_response_ms: 0,
            status: None,
            body: None,
            code: None,
            headers: BTreeMap::new(),
            drop_response_after_commit: false,
            close_socket: false,
            cut_after_bytes: None,
            stall_after_bytes: None,
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

    /// Strikes for as long as it is queued.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// Strikes each n-th of the requests that match, for as long as it is queued.
    #[must_use]
    pub fn every_nth(mut self, nth: u32) -> Self {
        self.every_nth = Some(nth);
        self.always()
    }

    /// Strikes so many in a thousand of the requests that match, for as long as it is queued.
    #[must_use]
    pub fn per_mille(mut self, share: u16) -> Self {
        self.per_mille = Some(share);
        self.always()
    }

    /// Strikes only requests with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Strikes only requests to the MCP server whose JSON-RPC method and tool, such as
    /// `tools/call storage`, contain `part`.
    #[must_use]
    pub fn rpc_contains(mut self, part: &str) -> Self {
        self.rpc_contains = Some(part.to_owned());
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

    /// Answers 401 about the token (code 1650), though the token may be good.
    #[must_use]
    pub fn token_refused(self) -> Self {
        self.status(401).code(1650)
    }

    /// Answers 401 with a code that is not about the token, such as 10545 (membership) or 115069
    /// (access to the resource).
    #[must_use]
    pub fn not_about_the_token(self, code: u32) -> Self {
        self.status(401).code(code)
    }

    /// The code in the error body that goes with [`Fault::status`].
    #[must_use]
    pub fn code(mut self, code: u32) -> Self {
        self.code = Some(code);
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

    /// Closes the connection in the middle of the answer.
    #[must_use]
    pub fn cut_after(mut self, bytes: u64) -> Self {
        self.cut_after_bytes = Some(bytes);
        self
    }

    /// Stands still in the middle of the answer until the faults are cleared.
    #[must_use]
    pub fn stall_after(mut self, bytes: u64) -> Self {
        self.stall_after_bytes = Some(bytes);
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

    /// What it does to the body of an answer.
    pub(crate) fn interruption(&self) -> Option<Interruption> {
        let cut = self.cut_after_bytes.map(Interruption::Cut);
        cut.or_else(|| self.stall_after_bytes.map(Interruption::Stall))
    }

    /// Whether the `candidate`-th matching request, counted from 1, is struck.
    pub(crate) fn strikes(&self, candidate: u64) -> bool {
        let due = self
            .every_nth
            .is_none_or(|nth| candidate.is_multiple_of(u64::from(nth.max(1))));
        let drawn = self
            .per_mille
            .is_none_or(|share| scattered(candidate) % 1000 < u64::from(share));
        due && drawn
    }
}

/// Spreads consecutive numbers evenly and without a pattern (the finalizer of `splitmix64`).
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Group;

    #[test]
    fn two_per_cent_of_many_requests_are_about_two_per_cent() {
        let weather = Fault::on(Group::Any).per_mille(20);
        let struck = (1..=10_000)
            .filter(|number| weather.strikes(*number))
            .count();
        assert!((150..=250).contains(&struck), "{struck}");
    }

    #[test]
    fn every_third_request_is_the_third_the_sixth_and_the_ninth() {
        let weather = Fault::on(Group::Any).every_nth(3);
        let struck: Vec<u64> = (1..=9).filter(|number| weather.strikes(*number)).collect();
        assert_eq!(struck, [3, 6, 9]);
    }
}
