//! Whether the machine's clock agrees with the providers': tokens are kept by the clock, and an hour off makes every
//! one of them look ended, or good for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use doorward_broker::views::ConnectionView;
use doorward_broker::{Clock as _, SystemClock};
use doorward_core::time::Timestamp;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::Check;
use crate::words::duration;

/// A provider that is slower than this is not waited for: the check is about the clock.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Providers stamp whole seconds, and an answer takes its time.
const TOLERANCE: Duration = Duration::from_mins(1);

pub(super) async fn check(connections: &[ConnectionView], checks: &mut Vec<Check>) {
    let issuers: BTreeSet<&str> = connections
        .iter()
        .map(|connection| connection.issuer.as_str())
        .collect();
    let Ok(client) = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_WITHIN)
        .build()
    else {
        return;
    };
    for issuer in issuers {
        checks.push(clock(&client, issuer).await);
    }
}

async fn clock(client: &reqwest::Client, issuer: &str) -> Check {
    const NAME: &str = "clock";
    let Ok(answer) = client.head(issuer).send().await else {
        return Check::warn(
            NAME,
            format!("{issuer} does not answer, so its clock cannot be compared"),
            "Check the network.",
        );
    };
    let now = SystemClock.now();
    let theirs = answer
        .headers()
        .get(reqwest::header::DATE)
        .and_then(|value| http_date(value.to_str().ok()?));
    match theirs {
        None => Check::ok(NAME, format!("{issuer} does not say the time")),
        Some(theirs) => compared(issuer, now, theirs),
    }
}

fn compared(issuer: &str, now: Timestamp, theirs: Timestamp) -> Check {
    const NAME: &str = "clock";
    let (off, which) = if now > theirs {
        (now.since(theirs), "fast")
    } else {
        (theirs.since(now), "slow")
    };
    if off <= TOLERANCE {
        return Check::ok(NAME, format!("agrees with {issuer}"));
    }
    Check::fail(
        NAME,
        format!(
            "this machine's clock is {} {which}, compared with {issuer}",
            duration(off)
        ),
        "Set the clock: `timedatectl set-ntp true`. Tokens seem to end too early or too late until then.",
    )
}

/// RFC 9110's date, in its one form that servers may send.
fn http_date(text: &str) -> Option<Timestamp> {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let parsed = PrimitiveDateTime::parse(text.trim(), &form).ok()?;
    Some(Timestamp::from_secs(parsed.assume_utc().unix_timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;

    #[test]
    fn a_clock_that_is_an_hour_off_is_named() {
        let theirs = http_date("Fri, 24 Apr 2026 23:49:05 GMT").unwrap();
        assert_eq!(theirs.as_secs(), 1_777_074_545);
        let hour = Duration::from_hours(1);
        let fast = compared("https://a.example", theirs.plus(hour), theirs);
        assert_eq!(
            (fast.state, fast.detail.contains("60 minutes fast")),
            (State::Fail, true),
            "{}",
            fast.detail
        );
        let slow = compared("https://a.example", theirs.minus(hour), theirs);
        assert!(slow.detail.contains("60 minutes slow"), "{}", slow.detail);
        assert_eq!(
            compared(
                "https://a.example",
                theirs.plus(Duration::from_secs(9)),
                theirs
            )
            .state,
            State::Ok
        );
    }
}
