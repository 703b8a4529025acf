//! Locks that agents hold at providers: how they are said, and `doorward release`

use doorward_broker::control::Request;
use doorward_broker::views::LockView;
use doorward_core::time::Timestamp;

use crate::args::Release;
use crate::failure::Outcome;
use crate::link::Context;
use crate::words::{moment, plain};

pub(super) async fn release(context: &mut Context, ask: Release) -> Outcome {
    let mut link = context.on_store().await?;
    let lock = ask.lock;
    let wanted: LockView = link.ask(Request::ReleaseLock { lock }).await?;
    context.output.answer(&wanted, |lock| {
        format!(
            "The lock of `{}` on {} is being given back; Doorward tries until it ends by itself.",
            plain(&lock.agent_name),
            plain(&lock.path)
        )
    })
}

/// Who holds what, a line for each lock.
pub(super) fn in_words(now: Timestamp, locks: &[LockView]) -> String {
    let lines = locks.iter().map(|lock| line(now, lock));
    lines.collect::<Vec<_>>().concat()
}

fn line(now: Timestamp, lock: &LockView) -> String {
    let through = lock
        .connection
        .as_ref()
        .map_or_else(String::new, |name| format!(" through {name}"));
    let until = lock.until.map_or_else(
        || "its end is not known".to_owned(),
        |until| format!("ends {}", moment(now, until)),
    );
    let returning = match (&lock.returning, &lock.last_error) {
        (None, _) => String::new(),
        (Some(why), None) => format!("; being given back, as {why}"),
        (Some(why), Some(error)) => format!("; being given back, as {why} (last try: {error})"),
    };
    let text = format!(
        "`{}` holds {}{through}, taken {}, {until}{returning}",
        lock.agent_name,
        lock.path,
        moment(now, lock.since)
    );
    format!("  {}\n", plain(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_said_with_who_where_since_and_until() {
        let now = Timestamp::from_secs(1_800_000_000);
        let lock = LockView {
            id: "1".to_owned(),
            agent: "2".to_owned(),
            agent_name: "Tidy".to_owned(),
            connection: Some("fastio".parse().unwrap()),
            path: "/workspace/1/storage/n/lock/".to_owned(),
            since: now.minus(std::time::Duration::from_mins(3)),
            until: Some(now.plus(std::time::Duration::from_mins(7))),
            returning: None,
            last_error: None,
        };
        assert_eq!(
            in_words(now, std::slice::from_ref(&lock)),
            "  `Tidy` holds /workspace/1/storage/n/lock/ through fastio, taken 3 minutes ago, ends in 7 minutes\n"
        );
        let owed = LockView {
            connection: None,
            until: None,
            returning: Some("the agent was revoked".to_owned()),
            last_error: Some("HTTP 503".to_owned()),
            ..lock
        };
        assert_eq!(
            in_words(now, &[owed]),
            "  `Tidy` holds /workspace/1/storage/n/lock/, taken 3 minutes ago, its end is not known; being given back, as the agent was revoked (last try: HTTP 503)\n"
        );
    }
}
