//! `doorward unlock`: opens the store of the Doorward that runs. Unlocking is not approving: a file may do it.

use doorward_broker::control::Request;
use doorward_broker::views::{Status, StoreState};
use serde_json::json;

use crate::args::Unlock;
use crate::failure::Outcome;
use crate::link::{Context, wants_passphrase};

pub(super) async fn run(context: &mut Context, ask: Unlock) -> Outcome {
    doorward_host::hardening::forbid_looking_in();
    let mut link = context.running_required().await?;
    let status: Status = link.ask(Request::Status).await?;
    let already = status.store == StoreState::Unlocked;
    if !already {
        let with_passphrase =
            ask.passphrase || context.passphrase.is_unattended() || wants_passphrase(&status);
        context
            .unlock_as(&mut link, status.store, with_passphrase)
            .await?;
    }
    let answer = json!({ "store": "unlocked", "already": already });
    context.output.answer(&answer, |_| {
        let words = if already {
            "The store is open already."
        } else {
            "The store is open."
        };
        words.to_owned()
    })
}
