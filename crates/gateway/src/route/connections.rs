//! `GET /v1/connections`: what the caller may use, and how it is.

use axum::response::Response;
use doorward_broker::views::AgentConnection;
use doorward_core::decide::serving::Caller;
use doorward_core::grant::Door;
use doorward_core::health::Health;
use doorward_core::name::Name;
use doorward_core::time::Timestamp;
use serde::Serialize;

use crate::ask::Call;
use crate::failure::Failure;

#[derive(Serialize)]
struct Connections<'a> {
    connections: Vec<Connection<'a>>,
}

#[derive(Serialize)]
pub(super) struct Connection<'a> {
    name: &'a Name,
    provider: &'a str,
    doors: &'a [Door],
    scopes: &'a [String],
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_detail: Option<Detail<'a>>,
}

/// What there is to say of a health beyond its word. Which of these is there depends on the word.
#[derive(Default, Serialize)]
struct Detail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_try: Option<String>,
    /// Whether the tries have halted.
    #[serde(skip_serializing_if = "Option::is_none")]
    halted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

fn detail(health: &Health) -> Option<Detail<'_>> {
    let moment = |moment: &Timestamp| Some(moment.to_rfc3339());
    match health {
        Health::Degraded {
            last_error,
            next_try,
            halted,
        } => Some(Detail {
            last_error: Some(last_error),
            next_try: moment(next_try),
            halted: halted.then_some(true),
            ..Detail::default()
        }),
        Health::ClientRejected {
            last_error,
            next_try,
        }
        | Health::Misconfigured {
            last_error,
            next_try,
        } => Some(Detail {
            last_error: Some(last_error),
            next_try: next_try.as_ref().and_then(moment),
            halted: next_try.is_none().then_some(true),
            ..Detail::default()
        }),
        Health::RateLimited { until } => Some(Detail {
            until: moment(until),
            ..Detail::default()
        }),
        Health::ReconnectRequired { why } => Some(Detail {
            why: Some(why),
            ..Detail::default()
        }),
        Health::Connected | Health::Refreshing | Health::Unproven | Health::Paused => None,
    }
}

impl<'a> From<&'a AgentConnection> for Connection<'a> {
    fn from(connection: &'a AgentConnection) -> Self {
        Self {
            name: &connection.name,
            provider: &connection.provider,
            doors: &connection.doors,
            scopes: &connection.scopes,
            health: connection.health.as_str(),
            health_detail: detail(&connection.health),
        }
    }
}

pub(crate) async fn list(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    call.query(&[])?;
    let connections = call.gate.handle.connections_of(caller)?;
    super::json(&Connections {
        connections: connections.iter().map(Connection::from).collect(),
    })
}
