//! An agent says that the API refused a token: is it believed?
//!
//! A report costs a call to the provider, so it must not become a lever: not by repeating it, not for a token that is
//! not the current one, and not where the refusal was about something else. What is not believed is not refused
//! either: the agent is served as if it had asked.

use std::time::Duration;

use crate::connection::Connection;
use crate::time::Timestamp;

/// A token younger than this is not believed to have been refused: a fresh one may not be known everywhere yet.
const LEAST_AGE: Duration = Duration::from_secs(5);
/// After a report that was followed up, the next one waits this long; then twice as long each time.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// After so long without one the waits begin anew. Longer than the longest wait, or that would never be waited twice.
const QUIET: Duration = Duration::from_mins(20);

/// Fast.io's codes for a 401 that is about a membership or a resource, not about the token. Its 1650 on a link with a
/// password is one too, but means a dead token elsewhere: there the provider's own check decides.
const NOT_ABOUT_THE_TOKEN: &[&str] = &["10545", "115069"];

/// Whether a 401 that came on a call with the connection's token is about that token, by the code in its body. One on a
/// call with a link's password is about the password.
#[must_use]
pub fn is_about_the_token(code: Option<&str>, with_link_password: bool) -> bool {
    !with_link_password && !code.is_some_and(|code| NOT_ABOUT_THE_TOKEN.contains(&code))
}

/// What an agent reports.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Whether the refused token is the stored one.
    pub is_current: bool,
    /// The HTTP status the API answered, where the agent tells.
    pub status: Option<u16>,
    /// The error code the API answered, where the agent tells.
    pub code: Option<&'a str>,
}

/// Decides whether a report is followed up. Where the provider has no check of its own the report alone would cost a
/// refresh, so there the agent has to name the status.
#[must_use]
pub fn is_believed(connection: &Connection, now: Timestamp, report: Report<'_>) -> bool {
    let is_old = now.since(connection.access_issued_at) >= LEAST_AGE;
    let says_so = match report.status {
        Some(status) => status == 401,
        None => connection.provider.check.is_some(),
    };
    let is_about_it = !report
        .code
        .is_some_and(|code| NOT_ABOUT_THE_TOKEN.contains(&code));
    report.is_current && is_old && says_so && is_about_it && connection.refreshable
}

/// The reports about one connection that were followed up.
#[derive(Clone, Copy, Debug)]
pub struct Followed {
    last: Timestamp,
    wait: Duration,
}

impl Followed {
    /// Notes that a report is followed up at `now`.
    #[must_use]
    pub fn after(before: Option<Self>, now: Timestamp) -> Self {
        let wait = match before {
            Some(before) if now.since(before.last) < QUIET => {
                before.wait.saturating_mul(2).min(LONGEST_WAIT)
            }
            Some(_) | None => FIRST_WAIT,
        };
        Self { last: now, wait }
    }

    /// Whether a further report has to wait. What a clock says that was set back is not believed.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        now >= self.last && now < self.last.plus(self.wait)
    }
}
