//! `doorward retry`

use doorward_broker::control::Request;
use doorward_broker::views::ConnectionView;
use doorward_broker::{Clock as _, SystemClock};

use crate::args::Retry;
use crate::failure::Outcome;
use crate::link::Context;
use crate::words::health;

pub(super) async fn run(context: &mut Context, ask: Retry) -> Outcome {
    let mut link = context.on_store().await?;
    let after: ConnectionView = link.ask(Request::Retry { name: ask.name }).await?;
    let now = SystemClock.now();
    context.output.answer(&after, |after| {
        format!("`{}` is {}.", after.name, health(now, &after.health))
    })
}
