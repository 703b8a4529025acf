//! `doorward status --watch`

use doorward_broker::control::Request;
use doorward_broker::views::ConnectionView;
use doorward_broker::{Clock as _, SystemClock};
use serde::Serialize;

use super::status::{Report, in_words, report};
use crate::failure::Outcome;
use crate::link::Context;
use crate::words::{health, moment, table};

/// What is shown each time.
#[derive(Serialize)]
struct Watched {
    #[serde(flatten)]
    report: Report,
    connections_in_full: Vec<ConnectionView>,
}

/// Shows how Doorward is, and again whenever something a person would see has changed, until it is interrupted or
/// Doorward stops. Nothing is asked in between: the answer to the last question comes with the change.
pub(super) async fn run(context: &mut Context) -> Outcome {
    let mut link = context.running_required().await?;
    let (mut seen, mut shown) = (None, None);
    loop {
        seen = Some(link.ask::<u64>(Request::AwaitChange { seen }).await?);
        let status = link.ask(Request::Status).await?;
        let connections_in_full = link.ask(Request::Connections).await.unwrap_or_default();
        let watched = Watched {
            report: report(true, &context.folders.data, Some(status)),
            connections_in_full,
        };
        // What only counts, such as a token that was handed out, changes nothing here.
        let state = in_words(&watched.report) + &states(&watched.connections_in_full);
        if shown.as_ref() != Some(&state) {
            context.output.answer(&watched, shown_in_words)?;
            shown = Some(state);
        }
    }
}

/// What has to change before it is shown again: not how far away a moment is.
fn states(connections: &[ConnectionView]) -> String {
    let states: Vec<_> = connections
        .iter()
        .map(|connection| format!("{} {:?}", connection.name, connection.health))
        .collect();
    states.join("\n")
}

fn shown_in_words(watched: &Watched) -> String {
    let now = SystemClock.now();
    let rows = watched.connections_in_full.iter().map(|connection| {
        let day = connection.rates.day;
        [
            connection.name.to_string(),
            health(now, &connection.health),
            connection
                .health_since
                .map_or_else(String::new, |since| moment(now, since)),
            connection
                .proven_at
                .map_or_else(|| "never".to_owned(), |at| moment(now, at)),
            connection
                .next_refresh
                .map_or_else(|| "when needed".to_owned(), |at| moment(now, at)),
            format!("{} good, {} failed", day.succeeded, day.failed),
        ]
    });
    let heading = [
        "name",
        "health",
        "since",
        "last proof",
        "next refresh",
        "in 24 hours",
    ];
    format!(
        "{}\n{}",
        in_words(&watched.report),
        table(heading, rows.collect())
    )
}
