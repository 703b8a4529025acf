//! `doorward pause` and `doorward resume`

use doorward_broker::control::Request;
use doorward_broker::handle::PauseTarget;
use serde_json::json;

use crate::args::Pause;
use crate::failure::Outcome;
use crate::link::Context;
use crate::words::{count, plain};

pub(super) async fn set(context: &mut Context, ask: Pause, paused: bool) -> Outcome {
    let (target, what) = match (ask.agent, ask.connection) {
        (Some(agent), _) => (
            PauseTarget::Agent(agent.clone()),
            format!("`{}`", plain(&agent)),
        ),
        (None, Some(name)) => (
            PauseTarget::Connection(name.clone()),
            format!("the connection `{name}`"),
        ),
        // The arguments say that it is one of the three.
        (None, None) => (PauseTarget::AllAgents, "all agents".to_owned()),
    };
    let everyone = target == PauseTarget::AllAgents;
    let mut link = context.on_store().await?;
    let changed: usize = link.ask(Request::SetPaused { target, paused }).await?;
    context
        .output
        .answer(&json!({ "paused": paused, "changed": changed }), |_| {
            let done = if paused { "Paused" } else { "Resumed" };
            let state = if paused { "paused" } else { "not paused" };
            match (changed, everyone) {
                (0, true) => format!("Nothing to do: no agent was left that is not {state}."),
                (0, false) => format!("Nothing to do: {what} is {state} already."),
                (_, true) => format!("{done} {}.", count(changed, "agent", "agents")),
                (_, false) => format!("{done} {what}."),
            }
        })
}
