//! `doorward pin`

use doorward_broker::control::Request;
use doorward_broker::views::Status;
use serde_json::json;

use crate::failure::Outcome;
use crate::link::Context;
use crate::pin;
use crate::terminal::Terminal;

pub(super) async fn run(context: &mut Context) -> Outcome {
    let terminal = Terminal::required("Choosing the approval PIN")?;
    doorward_host::hardening::forbid_looking_in();
    let mut link = context.on_any_store().await?;
    let status: Status = link.ask(Request::Status).await?;
    if let Some(refusal) = status.locked_because {
        return Err(refusal.into());
    }
    if status.pin_set == Some(true) {
        pin::change(&mut link, &terminal).await?;
    } else {
        pin::set_first(&mut link, &terminal).await?;
    }
    context.output.answer(&json!({ "pin_set": true }), |_| {
        "The approval PIN is set.".to_owned()
    })
}
