//! A person, or an agent for itself, ends or pauses something.
//!
//! Ending always has the same order: what agents can use goes first, in the same transaction that writes down what is
//! still owed to the provider. So there is no moment at which an agent can still get a token, or at which the grant at
//! the provider would be forgotten.

use crate::agent::Agent;
use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::{Change, OutboxTokens};
use crate::connection::{Connection, Standing};
use crate::ids::{AgentId, OutboxId};
use crate::key::{KeyHash, KeyRecord};
use crate::outbox::OutboxItem;
use crate::plan::{Effect, Notice, Plan};
use crate::problem::{Code, Refusal};
use crate::time::Timestamp;

/// A person disconnects. While a refresh is in flight the connection is only blocked; its end follows the flight's.
pub fn disconnect(
    book: &Book,
    connection: &Connection,
    now: Timestamp,
    in_flight: bool,
    outbox: OutboxId,
) -> Plan {
    let event = AuditEvent::new(AuditKind::Disconnected)
        .tenant(connection.tenant)
        .connection(connection.id)
        .with("name", connection.name.as_str());
    let plan = if in_flight {
        let blocked = Connection {
            standing: Standing::Ending,
            ..connection.clone()
        };
        Plan::nothing().change(Change::ConnectionPut(Box::new(blocked)))
    } else {
        end(book, connection, now, outbox)
    };
    plan.log(event)
}

/// The end of a connection with no refresh in flight: what is owed to the provider is written down, then it is erased.
pub fn end(book: &Book, connection: &Connection, now: Timestamp, outbox: OutboxId) -> Plan {
    let has_tokens = connection.generation > 0
        && !matches!(connection.standing, Standing::ReconnectRequired { .. });
    let owed = if has_tokens {
        owe(
            connection,
            now,
            outbox,
            connection.session.clone(),
            OutboxTokens::Stored,
        )
    } else {
        Plan::nothing()
    };
    owed.and(erase(book, connection))
}

/// A connection and every grant for it are erased.
pub(super) fn erase(book: &Book, connection: &Connection) -> Plan {
    let tenant = connection.tenant;
    let mut plan = Plan::nothing();
    for grant in book.grants_for(connection.id) {
        plan = plan.change(Change::GrantErased {
            tenant,
            grant: grant.id,
        });
    }
    plan.change(Change::ConnectionErased {
        tenant,
        connection: connection.id,
    })
}

/// A revocation is owed to the provider.
pub fn owe(
    connection: &Connection,
    now: Timestamp,
    id: OutboxId,
    session: Option<String>,
    tokens: OutboxTokens,
) -> Plan {
    let item = OutboxItem {
        id,
        tenant: connection.tenant,
        connection: connection.id,
        name: connection.name.clone(),
        provider: connection.provider.clone(),
        client: connection.client.clone(),
        session,
        created_at: now,
        attempts: 0,
        next_try: Some(now),
        last_error: None,
    };
    Plan::nothing()
        .change(Change::OutboxAdded {
            item: Box::new(item),
            tokens,
        })
        .effect(Effect::WorkOutbox)
}

/// What came of trying a revocation.
pub enum RevocationOutcome {
    /// The provider confirmed it, or the grant was gone already.
    Confirmed,
    /// It did not work this time.
    Failed {
        /// What was seen, without secrets.
        why: String,
        /// When the provider wants the next try, if it says.
        retry_at: Option<Timestamp>,
    },
    /// The provider has no way to end it.
    Impossible,
}

/// Decides what a tried revocation changes.
pub fn tried(item: &OutboxItem, now: Timestamp, outcome: RevocationOutcome) -> Plan {
    let event = |kind| {
        AuditEvent::new(kind)
            .tenant(item.tenant)
            .connection(item.connection)
            .with("name", item.name.as_str())
    };
    match outcome {
        RevocationOutcome::Confirmed => Plan::nothing()
            .change(Change::OutboxErased {
                tenant: item.tenant,
                item: item.id,
            })
            .log(event(AuditKind::RevocationConfirmed)),
        RevocationOutcome::Failed { why, retry_at } => {
            let next = item.clone().after_failure(now, why.clone(), retry_at);
            if next.next_try.is_some() {
                return Plan::nothing().change(Change::OutboxPut(Box::new(next)));
            }
            given_up(item, event(AuditKind::RevocationGivenUp).with("why", why))
        }
        RevocationOutcome::Impossible => given_up(
            item,
            event(AuditKind::RevocationGivenUp).with("why", "the provider offers no revocation"),
        ),
    }
}

fn given_up(item: &OutboxItem, event: AuditEvent) -> Plan {
    Plan::nothing()
        .change(Change::OutboxErased {
            tenant: item.tenant,
            item: item.id,
        })
        .log(event)
        .effect(Effect::Tell(Notice::RevocationGivenUp {
            name: item.name.to_string(),
        }))
}

/// A person revokes an agent: its keys open nothing any longer and its grants are gone.
pub fn revoke_agent(book: &Book, agent: &Agent, now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    for key in book
        .keys_of(agent.id)
        .filter(|key| key.revoked_at.is_none())
    {
        plan = plan.change(Change::KeyPut(KeyRecord {
            revoked_at: Some(now),
            ..(**key).clone()
        }));
    }
    for grant in book.grants_of(agent.id) {
        plan = plan.change(Change::GrantErased {
            tenant: agent.tenant,
            grant: grant.id,
        });
    }
    for request in book.requests().filter(|request| request.client == agent.id) {
        plan = plan.change(Change::RequestErased(request.id));
    }
    plan.change(Change::AgentErased {
        tenant: agent.tenant,
        agent: agent.id,
    })
    .log(
        AuditEvent::new(AuditKind::AgentRevoked)
            .tenant(agent.tenant)
            .agent(agent.id)
            .with("name", agent.name.as_str()),
    )
}

/// An agent revokes a key of its own (RFC 7009). Another's, or none at all, is answered alike and changes nothing.
pub fn revoke_key(book: &Book, agent: &Agent, hash: &KeyHash, now: Timestamp) -> Plan {
    match book.key(hash) {
        Some(key) if key.agent == agent.id && key.revoked_at.is_none() => Plan::nothing()
            .change(Change::KeyPut(KeyRecord {
                revoked_at: Some(now),
                ..(**key).clone()
            }))
            .log(
                AuditEvent::new(AuditKind::KeyRevoked)
                    .tenant(agent.tenant)
                    .agent(agent.id),
            ),
        _ => Plan::nothing(),
    }
}

/// A person pauses or resumes an agent.
pub fn set_agent_paused(agent: &Agent, paused: bool) -> Plan {
    if agent.paused == paused {
        return Plan::nothing();
    }
    let kind = if paused {
        AuditKind::AgentPaused
    } else {
        AuditKind::AgentResumed
    };
    Plan::nothing()
        .change(Change::AgentPut(Agent {
            paused,
            ..agent.clone()
        }))
        .log(
            AuditEvent::new(kind)
                .tenant(agent.tenant)
                .agent(agent.id)
                .with("name", agent.name.as_str()),
        )
}

/// A person pauses or resumes a connection.
pub fn set_connection_paused(connection: &Connection, paused: bool) -> Plan {
    if connection.paused == paused {
        return Plan::nothing();
    }
    let kind = if paused {
        AuditKind::ConnectionPaused
    } else {
        AuditKind::ConnectionResumed
    };
    Plan::nothing()
        .change(Change::ConnectionPut(Box::new(Connection {
            paused,
            ..connection.clone()
        })))
        .log(
            AuditEvent::new(kind)
                .tenant(connection.tenant)
                .connection(connection.id)
                .with("name", connection.name.as_str()),
        )
}

/// The agent a person means: by its name or the beginning of its identifier, where only one fits.
pub fn agent_meant<'a>(book: &'a Book, text: &str) -> Result<&'a std::sync::Arc<Agent>, Refusal> {
    if let Some(agent) = text.parse().ok().and_then(|id| book.agent(id)) {
        return Ok(agent);
    }
    // An agent chooses its name, and may choose the beginning of another's identifier: then neither is meant.
    let is_prefix = |id: AgentId| text.len() >= 4 && id.to_string().starts_with(text);
    let found: Vec<_> = book
        .agents()
        .filter(|agent| agent.name.as_str() == text || is_prefix(agent.id))
        .collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Refusal::new(
            Code::AgentUnknown,
            format!("There is no agent `{text}`."),
            "`doorward agents` lists them.",
        )),
        several => Err(Refusal::new(
            Code::AgentUnknown,
            format!("{} agents could be meant by `{text}`.", several.len()),
            "Say which one by the beginning of its id, as `doorward agents` shows it.",
        )),
    }
}
