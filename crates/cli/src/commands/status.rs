//! `doorward status`

use std::path::Path;

use doorward_broker::control::Request;
use doorward_broker::views::{Status, StoreState};
use doorward_broker::{Clock as _, SystemClock};
use doorward_core::time::Timestamp;
use serde::Serialize;

use crate::failure::Outcome;
use crate::link::{Context, wants_passphrase, window_approves};
use crate::words::{self, count};

/// What `status` tells.
#[derive(Serialize)]
pub(super) struct Report {
    /// Whether Doorward runs.
    running: bool,
    /// The data folder.
    data: String,
    /// What the broker tells of itself; nothing where no store was made yet.
    #[serde(flatten)]
    status: Option<Status>,
    /// What a person does next, most urgent first.
    next: Vec<String>,
}

pub(super) async fn run(context: &mut Context) -> Outcome {
    let running = context.running().await?;
    let is_running = running.is_some();
    let link = match running {
        Some(link) => Some(link),
        None if context.folders.has_store() => Some(context.without_unlocking().await?),
        None => None,
    };
    let status: Option<Status> = match link {
        Some(mut link) => Some(link.ask(Request::Status).await?),
        None => None,
    };
    let report = report(is_running, &context.folders.data, status);
    let now = SystemClock.now();
    context
        .output
        .answer(&report, |report| in_words(report) + &held(now, report))
}

/// Who holds what at providers. How long still changes by itself, so whoever watches for changes is not shown it.
fn held(now: Timestamp, report: &Report) -> String {
    let locks = report.status.as_ref().map(|status| &status.locks);
    match locks.filter(|locks| !locks.is_empty()) {
        Some(locks) => format!("\n\nLocks:\n{}", super::locks::in_words(now, locks)),
        None => String::new(),
    }
}

pub(super) fn report(running: bool, data: &Path, status: Option<Status>) -> Report {
    let mut next = Vec::new();
    if let Some(status) = &status {
        // A store that nothing has open and that opens with a passphrase is as it should be.
        let is_at_rest = !running && wants_passphrase(status);
        if let Some(refusal) = status.locked_because.as_ref().filter(|_| !is_at_rest) {
            next.push(format!("{} {}", refusal.detail, refusal.hint));
        }
        let in_window = window_approves(data);
        if status.requests > 0 {
            let waiting = count(status.requests, "agent waits", "agents wait");
            let place = if in_window {
                "in the Doorward window"
            } else {
                "`doorward requests`"
            };
            next.push(format!("{waiting} for your answer: {place}."));
        }
        if status.questions > 0 {
            let waiting = count(status.questions, "call waits", "calls wait");
            let place = if in_window {
                "in the Doorward window"
            } else {
                "`doorward requests`"
            };
            next.push(format!("{waiting} for your answer: {place}."));
        }
        if status.need_reconnect > 0 {
            let ended = count(status.need_reconnect, "connection has", "connections have");
            next.push(format!("{ended} ended: `doorward connections` shows which, `doorward connect --name NAME` connects it again."));
        }
        if status.need_look > 0 {
            let refused = count(status.need_look, "connection is", "connections are");
            next.push(format!(
                "{refused} refused by the provider: `doorward doctor` says what to do."
            ));
        }
        if status.halted > 0 {
            let halted = count(status.halted, "connection has", "connections have");
            next.push(format!("{halted} halted, because the provider does not answer: `doorward retry NAME` tries at once."));
        }
        if status.pin_set == Some(false) && !in_window {
            next.push("No approval PIN is set: `doorward pin` sets one.".to_owned());
        }
        if status.tokens_unsaved > 0 {
            let waiting = count(status.tokens_unsaved, "connection", "connections");
            next.push(format!(
                "Fresh tokens of {waiting} cannot be stored and are in memory alone: make room on the disk before you stop Doorward."
            ));
        }
        if status.revocations_owed > 0 {
            let owed = count(status.revocations_owed, "revocation is", "revocations are");
            next.push(format!(
                "{owed} still owed to a provider; Doorward goes on asking while it runs."
            ));
        }
    }
    if !running {
        next.push("Start Doorward with `doorward serve`, or open the app.".to_owned());
    }
    if status
        .as_ref()
        .is_none_or(|status| status.store == StoreState::Unlocked && status.connections == 0)
    {
        next.push("Connect a provider: `doorward connect fastio`.".to_owned());
    }
    Report {
        running,
        data: data.display().to_string(),
        status,
        next,
    }
}

pub(super) fn in_words(report: &Report) -> String {
    let mut facts = Vec::new();
    match (&report.status, report.running) {
        (Some(status), true) => {
            facts.push((
                "Doorward",
                format!(
                    "running, process {}, version {}",
                    status.pid, status.version
                ),
            ));
            facts.push((
                "address",
                status
                    .url
                    .clone()
                    .unwrap_or_else(|| "not listening".to_owned()),
            ));
        }
        _ => facts.push(("Doorward", "not running".to_owned())),
    }
    facts.push((
        "store",
        report
            .status
            .as_ref()
            .map_or("not made yet", store_in_words)
            .to_owned(),
    ));
    if let Some(status) = report
        .status
        .as_ref()
        .filter(|status| status.store == StoreState::Unlocked)
    {
        facts.push(("connections", status.connections.to_string()));
        facts.push(("agents", status.agents.to_string()));
        facts.push(("requests", status.requests.to_string()));
    }
    facts.push(("folder", report.data.clone()));
    let mut text = words::facts(&facts);
    if report.next.is_empty() {
        text.push_str("\nNothing needs you.");
    } else {
        text.push_str("\nNext:\n");
        text.extend(
            report
                .next
                .iter()
                .map(|step| format!("  {}\n", words::plain(step))),
        );
    }
    text
}

fn store_in_words(status: &Status) -> &'static str {
    match (status.store, status.keys.as_deref()) {
        (StoreState::Unlocked, Some("passphrase")) => "open, with a passphrase",
        (StoreState::Unlocked, _) => "open, with the system's keyring",
        (StoreState::Locked, Some("passphrase")) => "locked, opens with a passphrase",
        (StoreState::Locked, _) => "locked",
        (StoreState::New, _) => "has no key yet",
    }
}
