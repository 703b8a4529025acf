//! `doorward connections` and `doorward disconnect`

use doorward_broker::control::Request;
use doorward_broker::views::{ConnectionView, Disconnected};
use doorward_broker::{Clock as _, SystemClock};
use doorward_core::time::Timestamp;

use crate::args::Disconnect;
use crate::failure::Outcome;
use crate::link::Context;
use crate::words::{self, health, moment, plain, table};

pub(super) async fn list(context: &mut Context) -> Outcome {
    let connections: Vec<ConnectionView> = match context.on_store().await {
        Ok(mut link) => link.ask(Request::Connections).await?,
        Err(failure) if failure.is_own("store_missing") => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let now = SystemClock.now();
    context
        .output
        .answer(&connections, |connections| listed(now, connections))
}

fn listed(now: Timestamp, connections: &[ConnectionView]) -> String {
    if connections.is_empty() {
        return "No connections yet. `doorward connect fastio` makes one.".to_owned();
    }
    let rows = connections.iter().map(|connection| {
        [
            connection.name.to_string(),
            connection.tenant.to_string(),
            connection.provider_title.clone(),
            connection
                .account
                .clone()
                .unwrap_or_else(|| "unknown".to_owned()),
            granted(connection),
            connection
                .access_expires_at
                .map_or_else(|| "unknown".to_owned(), |end| access_end(now, end)),
            connection.agents.to_string(),
            health(now, &connection.health),
        ]
    });
    table(
        [
            "name",
            "tenant",
            "provider",
            "account",
            "granted",
            "token ends",
            "agents",
            "health",
        ],
        rows.collect(),
    )
}

fn access_end(now: Timestamp, end: Timestamp) -> String {
    if end > now {
        moment(now, end)
    } else {
        "ended, renewed when needed".to_owned()
    }
}

/// What a connection was granted, in a few words.
pub(super) fn granted(connection: &ConnectionView) -> String {
    match connection.granted.as_slice() {
        [] if connection.asked.is_empty() => "as the provider decides".to_owned(),
        // RFC 6749: a provider that says nothing granted what was asked.
        [] => connection.asked.clone(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

pub(super) async fn disconnect(context: &mut Context, ask: Disconnect) -> Outcome {
    let mut link = context.on_store().await?;
    let ended: Disconnected = link.ask(Request::Disconnect { name: ask.name }).await?;
    let (now, goes_on) = (SystemClock.now(), link.is_running_elsewhere());
    context
        .output
        .answer(&ended, |ended| disconnected(now, ended, goes_on))
}

fn disconnected(now: Timestamp, ended: &Disconnected, goes_on: bool) -> String {
    let mut text = format!(
        "Disconnected `{}`. No agent can use it any more.\n",
        ended.name
    );
    if ended.confirmed {
        text.push_str("The provider has confirmed the end.\n");
    } else if goes_on {
        text.push_str(
            "The provider has not confirmed the end yet; Doorward goes on asking until it does.\n",
        );
    } else {
        text.push_str(
            "The provider has not confirmed the end yet; Doorward goes on asking when it runs: `doorward serve`.\n",
        );
    }
    if let Some(until) = ended
        .handed_out_until
        .filter(|until| *until > now && !ended.confirmed)
    {
        text.push_str(&words::plain(&format!(
            "An access token that an agent holds may work at the provider until it ends {}.",
            moment(now, until)
        )));
    }
    text
}

/// A connection in full, for the end of `connect`.
pub(super) fn described(now: Timestamp, connection: &ConnectionView) -> String {
    let mode = if connection.read_only {
        "reading only"
    } else {
        "reading and writing"
    };
    words::facts(&[
        (
            "provider",
            format!("{} ({})", connection.provider_title, connection.issuer),
        ),
        (
            "account",
            connection
                .account
                .clone()
                .unwrap_or_else(|| "unknown".to_owned()),
        ),
        ("tenant", connection.tenant.to_string()),
        ("asked", format!("{}, {mode}", said(&connection.asked))),
        ("granted", said(&connection.granted.join(" "))),
        (
            "token ends",
            connection
                .access_expires_at
                .map_or_else(String::new, |end| moment(now, end)),
        ),
    ])
}

fn said(scope: &str) -> String {
    if scope.is_empty() {
        "not said".to_owned()
    } else {
        plain(scope)
    }
}
