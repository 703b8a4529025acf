//! `doorward serve`: the broker, its control socket and the gateway, in the foreground until a signal comes.
//!
//! The order matters. The folder is held before anything in it is touched; the port is taken before a person is asked
//! for anything; and callers are let in last (`doorward_host::open`).

use doorward_broker::control::Request;
use doorward_broker::views::{Status, StoreState};
use doorward_broker::{Handle, HolderKind, Keys};
use doorward_gateway::{BindError, Gateway};
use doorward_host::logs;
use serde_json::json;

use crate::args::Serve;
use crate::failure::{Failure, Outcome};
use crate::link::{Context, Link, wants_passphrase};
use crate::output::failure_text;
use crate::signals::Signals;
use crate::terminal::Terminal;

const LOOK_CLOSER: &str = "`doorward doctor` looks closer.";

pub(super) async fn run(context: &mut Context, ask: Serve, signals: &mut Signals) -> Outcome {
    logs::to_file(&context.folders.log(), logs::OF_SERVE);
    doorward_host::hardening::forbid_looking_in();
    let port = ask
        .port
        .or(context.settings.port)
        .unwrap_or(doorward_gateway::DEFAULT_PORT);
    let keys = context.keys(ask.keys);
    let started = context.start(HolderKind::Serve, keys).await;
    let (handle, running) = started.map_err(|error| context.start_failure(&error))?;
    let mut ended = std::pin::pin!(running.ended());
    let outcome = tokio::select! {
        outcome = serve(context, &handle, port, keys, signals) => outcome,
        // `doorward` asked it to stop over the control socket.
        () = &mut ended => {
            tracing::info!("stopped");
            return Ok(());
        }
    };
    // What is under way at a provider is waited for, unless a second signal says not to.
    tokio::select! {
        () = async { handle.stop().await; ended.await } => {}
        _ = signals.next() => {}
    }
    tracing::info!("stopped");
    outcome
}

async fn serve(
    context: &Context,
    handle: &Handle,
    port: u16,
    keys: Keys,
    signals: &mut Signals,
) -> Outcome {
    let gateway = Gateway::bind(port).map_err(|error| not_bound(&error))?;
    let url = gateway.url();
    tokio::select! {
        prepared = prepare(context, handle, keys) => prepared?,
        _ = signals.next() => return Err(Failure::interrupted()),
    }
    let mut open = doorward_host::open(&context.folders, handle, gateway)
        .await
        .map_err(|error| Failure::new("failed", format!("{error}."), LOOK_CLOSER))?;
    let answer = json!({ "url": url, "pid": std::process::id() });
    context
        .output
        .answer(&answer, |_| format!("Doorward listens at {url}"))?;
    let ended = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            open.close().await
        }
        ended = open.failed() => ended,
    };
    ended.map_err(|error| Failure::io("The gateway failed", &error))
}

fn not_bound(error: &BindError) -> Failure {
    let text = error.to_string();
    let (detail, hint) = text.split_once(". ").unwrap_or((&text, ""));
    let (code, detail) = match error {
        BindError::Taken { .. } => ("port_taken", format!("{detail}.")),
        BindError::Refused { .. } | BindError::NoneFree | BindError::PeersCannotBeTold => {
            ("failed", format!("The gateway cannot start: {detail}."))
        }
    };
    let hint = if hint.is_empty() {
        String::new()
    } else {
        format!("{hint}.")
    };
    Failure::new(code, detail, hint)
}

/// Opens the store and sees to the approval PIN, as far as that is possible. What is not possible is said and does
/// not keep Doorward from starting: agents learn from it what is the matter.
async fn prepare(context: &Context, handle: &Handle, keys: Keys) -> Outcome {
    let mut link = Link::Here(handle.clone());
    let terminal = Terminal::open();
    let status: Status = link.ask(Request::Status).await?;
    if let Some(refusal) = &status.locked_because {
        let is_new = status.store == StoreState::New;
        let unattended = context.passphrase.is_unattended();
        let by_passphrase =
            unattended || wants_passphrase(&status) || (is_new && keys == Keys::Passphrase);
        // The keyring was tried when the broker started.
        let locked = if by_passphrase && (unattended || terminal.is_some()) {
            context.unlock_as(&mut link, status.store, true).await.err()
        } else {
            Some(Failure::from(refusal.clone()))
        };
        match locked {
            Some(failure) if failure.is_own("interrupted") => return Err(failure),
            Some(failure) => context.output.note(&format!(
                "Doorward starts locked.\n{}",
                failure_text(&failure)
            )),
            None => {}
        }
    }
    let status: Status = link.ask(Request::Status).await?;
    match (status.pin_set, terminal) {
        (Some(false), Some(terminal)) => {
            crate::pin::set_first(&mut link, &terminal).await?;
        }
        (Some(false), None) => {
            context.output.note("No approval PIN is set yet, and there is no terminal to ask for one.\n  → `doorward pin` sets it.");
        }
        (Some(true) | None, _) => {}
    }
    Ok(())
}
