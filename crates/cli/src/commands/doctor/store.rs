//! Who holds the folder, and whether the store opens.

use doorward_broker::control::Request;
use doorward_broker::views::{ConnectionView, Status, StoreState};
use doorward_broker::{Clock as _, SystemClock};
use doorward_core::health::Health;

use super::Check;
use crate::link::{Context, Link, wants_passphrase, window_approves};
use crate::words::{count, health, moment};

/// What the other checks go on with.
#[derive(Default)]
pub(super) struct Found {
    /// How the running broker is.
    pub(super) status: Option<Status>,
    /// Its process.
    pub(super) running_pid: Option<u32>,
    /// The connections, where the store is open.
    pub(super) connections: Vec<ConnectionView>,
}

pub(super) async fn check(context: &mut Context, checks: &mut Vec<Check>) -> Found {
    let mut found = Found::default();
    let Some(mut link) = reach(context, checks).await else {
        return found;
    };
    let status: Status = match link.ask(Request::Status).await {
        Ok(status) => status,
        Err(failure) => {
            checks.push(Check::failed("running", failure));
            return found;
        }
    };
    let status = opened_if_that_needs_nobody(context, &mut link, status, checks).await;
    checks.push(key(&status, link.is_running_elsewhere()));
    match status.pin_set {
        Some(true) => checks.push(Check::ok("approval PIN", "set")),
        // There the window approves.
        Some(false) if window_approves(&context.folders.data) => {}
        Some(false) => checks.push(Check::warn(
            "approval PIN",
            "not set, so no agent can be approved on this machine",
            "Set one: `doorward pin`.",
        )),
        None => {}
    }
    if status.store == StoreState::Unlocked {
        match link.ask::<Vec<ConnectionView>>(Request::Connections).await {
            Ok(connections) => found.connections = connections,
            Err(failure) => checks.push(Check::failed("connections", failure)),
        }
        checks.extend(found.connections.iter().map(connection));
        if status.tokens_unsaved > 0 {
            checks.push(Check::fail(
                "fresh tokens",
                format!("of {} in memory alone, because the store cannot take them", count(status.tokens_unsaved, "connection are", "connections are")),
                "Make room on the disk before you stop Doorward: they are stored by themselves then.",
            ));
        }
        checks.push(match status.revocations_owed {
            0 => Check::ok("revocations", "none owed"),
            owed => Check::warn(
                "revocations",
                format!("{owed} owed to a provider"),
                "Nothing to do: Doorward goes on asking while it runs.",
            ),
        });
    }
    if link.is_running_elsewhere() {
        found.running_pid = Some(status.pid);
        found.status = Some(status);
    }
    found
}

/// A way to the broker: the one that runs, or one of our own where there is a store to look into.
async fn reach(context: &mut Context, checks: &mut Vec<Check>) -> Option<Link> {
    let running = match context.running().await {
        Ok(running) => running,
        Err(failure) => {
            checks.push(Check::failed("running", failure));
            return None;
        }
    };
    if let Some(link) = running {
        checks.push(match doorward_broker::holder(&context.folders.data) {
            Some(holder) => Check::ok(
                "running",
                format!(
                    "{}, process {}, started {}",
                    holder.kind,
                    holder.pid,
                    moment(SystemClock.now(), holder.since)
                ),
            ),
            None => Check::ok("running", "yes"),
        });
        checks.push(Check::ok("store", "in use by the running Doorward"));
        return Some(link);
    }
    if let Some(holder) = doorward_broker::holder(&context.folders.data) {
        checks.push(Check::fail(
            "running",
            format!(
                "{}, process {}, holds the folder and does not answer.",
                holder.kind, holder.pid
            ),
            format!(
                "Wait a moment; if it stays so, end it: `kill {}`.",
                holder.pid
            ),
        ));
        return None;
    }
    checks.push(Check::warn(
        "running",
        "no",
        "Start it with `doorward serve`, or open the app.",
    ));
    if !context.folders.has_store() {
        checks.push(Check::ok("store", "not made yet"));
        return None;
    }
    match context.without_unlocking().await {
        Ok(link) => {
            checks.push(Check::ok("store", "readable, its schema is known"));
            Some(link)
        }
        Err(failure) => {
            checks.push(Check::failed("store", failure));
            None
        }
    }
}

/// A store of our own opening that opens with a passphrase, where a file holds that.
async fn opened_if_that_needs_nobody(
    context: &Context,
    link: &mut Link,
    status: Status,
    checks: &mut Vec<Check>,
) -> Status {
    let is_ours = !link.is_running_elsewhere();
    if !(is_ours && context.passphrase.is_unattended() && status.store == StoreState::Locked) {
        return status;
    }
    if let Err(failure) = context.unlock_as(link, status.store, true).await {
        checks.push(Check::failed("passphrase", failure));
    }
    link.ask(Request::Status).await.unwrap_or(status)
}

fn key(status: &Status, is_running: bool) -> Check {
    let source = status.keys.as_deref().unwrap_or("not chosen yet");
    match (status.store, &status.locked_because) {
        (StoreState::Unlocked, _) => Check::ok("store key", format!("had from the {source}")),
        (StoreState::Locked, _) if !is_running && wants_passphrase(status) => Check::ok(
            "store key",
            "comes from a passphrase, which is asked for when needed",
        ),
        (_, Some(refusal)) => {
            Check::fail("store key", refusal.detail.clone(), refusal.hint.clone())
        }
        (StoreState::New, None) => Check::ok("store key", "made with the first connection"),
        (StoreState::Locked, None) => Check::fail(
            "store key",
            format!("locked ({source})"),
            "Unlock it: `doorward unlock`.",
        ),
    }
}

fn connection(connection: &ConnectionView) -> Check {
    let now = SystemClock.now();
    let name = format!("connection {}", connection.name);
    let words = health(now, &connection.health);
    match &connection.health {
        Health::Connected | Health::Refreshing => Check::ok(&name, words),
        Health::Unproven => Check::ok(&name, "unproven: not used yet"),
        Health::Paused => Check::warn(
            &name,
            words,
            format!(
                "`doorward resume --connection {}` lets it go on.",
                connection.name
            ),
        ),
        Health::Degraded { halted: false, .. } => Check::warn(
            &name,
            words,
            "Nothing to do: Doorward tries again by itself, and nothing was lost.",
        ),
        Health::Degraded { halted: true, .. } => Check::warn(
            &name,
            words,
            format!(
                "See whether this machine is online and the provider is up. Doorward asks it now and then and goes on by itself; `doorward retry {}` tries at once.",
                connection.name
            ),
        ),
        Health::ClientRejected { .. } => Check::fail(
            &name,
            words,
            format!(
                "The client secret of Doorward's registration has expired or was changed. The grant was kept. Put the registration right at the provider, then `doorward retry {0}`; or make a new one: `doorward connect --name {0}`.",
                connection.name
            ),
        ),
        Health::Misconfigured { .. } => Check::fail(
            &name,
            words,
            format!(
                "The provider refuses what is asked of it. The grant was kept. Compare the provider's manifest with its documentation, then `doorward retry {0}`; or connect it again: `doorward connect --name {0}`.",
                connection.name
            ),
        ),
        Health::RateLimited { .. } => Check::warn(
            &name,
            words,
            "Nothing to do: Doorward waits for that long, and tries again by itself.",
        ),
        Health::ReconnectRequired { .. } => Check::fail(
            &name,
            words,
            format!(
                "Connect it again: `doorward connect --name {}`.",
                connection.name
            ),
        ),
    }
}
