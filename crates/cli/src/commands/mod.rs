//! The commands, one file for each thing they are about.

mod agents;
mod approvals;
mod audit;
mod calls;
mod connect;
mod connections;
pub(crate) mod doctor;
mod keys;
mod locks;
mod mcp;
mod pair;
mod pausing;
mod pin;
mod retrying;
mod serve;
mod status;
mod token;
mod unlock;
mod watching;

use crate::args::{AgentsCommand, AnswersCommand, Audit, Command, KeysCommand};
use crate::failure::{Failure, Outcome};
use crate::link::Context;
use crate::signals::Signals;

/// Runs a command to its end, or until a signal ends it. `serve` and `connect` have something to put in order first
/// and listen for themselves.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all the others are brief, and `brief` names each"
)]
pub(crate) async fn run(context: &mut Context, command: Command, signals: &mut Signals) -> Outcome {
    match command {
        Command::Serve(ask) => serve::run(context, ask, signals).await,
        Command::Connect(ask) => connect::run(context, ask, signals).await,
        other => tokio::select! {
            outcome = brief(context, other) => outcome,
            _ = signals.next() => Err(Failure::interrupted()),
        },
    }
}

async fn brief(context: &mut Context, command: Command) -> Outcome {
    match command {
        // `main` does not come here with a courier, which has none of what a command works with.
        Command::Serve(_) | Command::Connect(_) | Command::Courier => Ok(()),
        Command::Status(ask) if ask.watch => watching::run(context).await,
        Command::Status(_) => status::run(context).await,
        Command::Doctor => doctor::run(context).await,
        Command::Unlock(ask) => unlock::run(context, ask).await,
        Command::Pin => pin::run(context).await,
        Command::Connections => connections::list(context).await,
        Command::Retry(ask) => retrying::run(context, ask).await,
        Command::Disconnect(ask) => connections::disconnect(context, ask).await,
        Command::Agents(ask) => match ask.command {
            None => agents::list(context).await,
            Some(AgentsCommand::Add(ask)) => agents::add(context, ask).await,
        },
        Command::Requests => approvals::list(context).await,
        Command::Approve(ask) => approvals::approve(context, ask).await,
        Command::Deny(ask) => approvals::deny(context, ask).await,
        Command::Answers(ask) => match ask.command {
            None => calls::answers(context).await,
            Some(AnswersCommand::TakeBack(ask)) => calls::take_back(context, ask).await,
        },
        Command::Revoke(ask) => agents::revoke(context, ask).await,
        Command::Release(ask) => locks::release(context, ask).await,
        Command::Pause(ask) => pausing::set(context, ask, true).await,
        Command::Resume(ask) => pausing::set(context, ask, false).await,
        Command::Audit(Audit::Verify) => audit::verify(context).await,
        Command::Audit(Audit::Show(ask)) => audit::show(context, ask).await,
        Command::Audit(Audit::Export(ask)) => audit::export(context, ask).await,
        Command::Keys(KeysCommand::Rotate(ask)) => keys::rotate(context, ask).await,
        Command::Pair(ask) => pair::run(context, ask).await,
        Command::Token(ask) => token::run(context, ask).await,
        Command::Mcp(ask) => mcp::run(context, ask).await,
    }
}
