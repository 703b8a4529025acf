//! `doorward keys rotate`

use doorward_broker::control::{Request, SecretText};
use doorward_broker::views::Status;
use serde_json::json;

use crate::args::KeysRotate;
use crate::failure::Outcome;
use crate::link::Context;
use crate::passphrase::PassphraseFrom;
use crate::words::count;

pub(super) async fn rotate(context: &mut Context, ask: KeysRotate) -> Outcome {
    doorward_host::hardening::forbid_looking_in();
    let mut link = context.on_store().await?;
    let status: Status = link.ask(Request::Status).await?;
    if let Some(refusal) = status.locked_because {
        return Err(refusal.into());
    }
    let passphrase = if status.keys.as_deref() == Some("passphrase") {
        let mut typed = PassphraseFrom {
            file: ask.new_passphrase_file,
        }
        .chosen()
        .await?;
        Some(SecretText::new(std::mem::take(&mut *typed)))
    } else {
        None
    };
    let wrapped: usize = link.ask(Request::RotateKeys { passphrase }).await?;
    context
        .output
        .answer(&json!({ "data_keys": wrapped }), |_| {
            format!(
                "The store has a new key; {} wrapped anew.",
                count(wrapped, "data key was", "data keys were")
            )
        })
}
