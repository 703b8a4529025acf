//! A person answers: as asked, otherwise, or not at all. Or lets an agent in that did not ask.
//!
//! Whatever is given, one agent belongs to one tenant for ever, and so do all its grants.

use std::sync::Arc;

use crate::agent::Agent;
use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::Change;
use crate::connection::{Connection, Standing};
use crate::decide::connecting;
use crate::grant::{Door, Grant, Lifetime, Policy, Rights};
use crate::ids::{AgentId, ConnectionId, GrantId, KeyId, TenantId};
use crate::key::{KeyHash, KeyRecord};
use crate::name::ClaimedName;
use crate::pairing::{Approval, ApprovalRequest, Verdict, Wanted};
use crate::plan::Plan;
use crate::problem::{Code, Refusal};
use crate::time::Timestamp;

/// What approving a request as it was asked would give.
pub fn as_asked(
    book: &Book,
    request: &ApprovalRequest,
    lifetime: Lifetime,
) -> Result<Approval, Refusal> {
    let mut doors: Vec<(ConnectionId, Vec<Door>)> = Vec::new();
    for wanted in &request.wanted {
        let connection = usable(book, wanted)?.id;
        match doors.iter_mut().find(|(known, _)| *known == connection) {
            Some((_, doors)) => doors.push(wanted.door),
            None => doors.push((connection, vec![wanted.door])),
        }
    }
    let grants = doors
        .into_iter()
        .map(|(connection, doors)| Ok((connection, Rights::new(doors, Policy::default())?)))
        .collect::<Result<_, Refusal>>()?;
    Ok(Approval { grants, lifetime })
}

fn usable<'a>(book: &'a Book, wanted: &Wanted) -> Result<&'a Arc<Connection>, Refusal> {
    book.connection_named(&wanted.connection)
        .filter(|connection| connection.standing != Standing::Ending)
        .ok_or_else(|| {
            Refusal::new(
                Code::ConnectionUnknown,
                format!(
                    "The agent asks for `{}`, and there is no such connection.",
                    wanted.connection
                ),
                "Approve it for another one with `--connection`, or connect first.",
            )
        })
}

/// How long a key can be fetched after the answer, where less is left of the request's own life: an answer in the
/// last second counts.
const FETCH_LIFE: std::time::Duration = std::time::Duration::from_mins(1);

/// A person approves a request, as asked or otherwise.
pub fn approve(
    book: &Book,
    now: Timestamp,
    request: &ApprovalRequest,
    approval: Approval,
    fresh: &mut dyn FnMut() -> [u8; 16],
) -> Result<Plan, Refusal> {
    if request.verdict != Verdict::Waiting || now >= request.expires_at {
        return Err(Refusal::new(
            Code::RequestUnknown,
            "That approval request is over.",
            "Let the agent ask again.",
        ));
    }
    let tenant = one_tenant(book, &approval)?;
    let agent = known_or_new(book, now, request.client, &request.name, tenant)?;
    let scope = scope_given(book, &approval);
    let event = AuditEvent::new(AuditKind::PairingApproved)
        .tenant(tenant)
        .agent(agent.id)
        .with("name", agent.name.as_str())
        .with("given", scope.as_str())
        .with("code", request.user_code.as_str());
    let key_expires_at = end_of(approval.lifetime);
    let answered = ApprovalRequest {
        verdict: Verdict::Approved {
            key_expires_at,
            scope,
        },
        expires_at: request.expires_at.max(now.plus(FETCH_LIFE)),
        ..request.clone()
    };
    Ok(Plan::nothing()
        .and(let_in(book, now, &agent, approval, fresh))
        .change(Change::RequestPut(Box::new(answered)))
        .log(event))
}

/// A person adds an agent by hand. The key is made by the caller and shown once.
pub fn add(
    book: &Book,
    now: Timestamp,
    name: &ClaimedName,
    approval: Approval,
    key: (KeyId, KeyHash),
    fresh: &mut dyn FnMut() -> [u8; 16],
) -> Result<Plan, Refusal> {
    check_name_is_free(book, name)?;
    let tenant = one_tenant(book, &approval)?;
    let agent = known_or_new(book, now, AgentId::from_random(fresh()), name, tenant)?;
    let event = AuditEvent::new(AuditKind::AgentAdded)
        .tenant(tenant)
        .agent(agent.id)
        .with("name", agent.name.as_str())
        .with("given", scope_given(book, &approval));
    let expires_at = end_of(approval.lifetime);
    Ok(let_in(book, now, &agent, approval, fresh)
        .change(Change::KeyPut(new_key(agent.id, key, now, expires_at)))
        .log(event))
}

/// What the right to read the metrics is called where a scope is told.
pub const METRICS_SCOPE: &str = "metrics";

/// A person adds an agent that reads the metrics and uses no connection. It belongs to the tenant of whoever names
/// none, as every agent belongs to one.
pub fn add_metrics_reader(
    book: &Book,
    now: Timestamp,
    name: &ClaimedName,
    key: (KeyId, KeyHash),
    lifetime: Lifetime,
    fresh: &mut dyn FnMut() -> [u8; 16],
) -> Result<Plan, Refusal> {
    check_name_is_free(book, name)?;
    let (tenant, plan) =
        connecting::tenant_of_that_name(book, now, connecting::default_tenant(), fresh);
    let agent = known_or_new(book, now, AgentId::from_random(fresh()), name, tenant)?;
    let event = AuditEvent::new(AuditKind::AgentAdded)
        .tenant(tenant)
        .agent(agent.id)
        .with("name", agent.name.as_str())
        .with("given", METRICS_SCOPE);
    let key = KeyRecord {
        metrics: true,
        ..new_key(agent.id, key, now, end_of(lifetime))
    };
    Ok(plan
        .change(Change::AgentPut(agent))
        .change(Change::KeyPut(key))
        .log(event))
}

fn check_name_is_free(book: &Book, name: &ClaimedName) -> Result<(), Refusal> {
    if book.agents().any(|agent| agent.name == *name) {
        return Err(Refusal::new(
            Code::NameTaken,
            format!("There is an agent `{name}` already."),
            "Choose another name, or revoke that agent first.",
        ));
    }
    Ok(())
}

/// The end of a key by what it was given for.
fn end_of(lifetime: Lifetime) -> Option<Timestamp> {
    match lifetime {
        Lifetime::Until(end) => Some(end),
        Lifetime::UntilRevoked | Lifetime::WhileRunning(_) => None,
    }
}

/// All connections of one approval stand, are named once, and belong to one tenant, and so does the agent.
fn one_tenant(book: &Book, approval: &Approval) -> Result<TenantId, Refusal> {
    let mut tenants = Vec::new();
    for (nth, (id, _)) in approval.grants.iter().enumerate() {
        let connection = book
            .connection(*id)
            .filter(|connection| connection.standing != Standing::Ending)
            .ok_or_else(|| {
                Refusal::new(
                    Code::ConnectionUnknown,
                    "That connection is gone.",
                    "`doorward connections` lists them.",
                )
            })?;
        if approval.grants[..nth].iter().any(|(other, _)| other == id) {
            return Err(Refusal::new(
                Code::RightsInvalid,
                format!("The connection `{}` is named twice.", connection.name),
                "Name it once, with all its doors.",
            ));
        }
        if !tenants.contains(&connection.tenant) {
            tenants.push(connection.tenant);
        }
    }
    match tenants.as_slice() {
        [tenant] => Ok(*tenant),
        [] => Err(Refusal::new(
            Code::RightsInvalid,
            "Nothing would be given.",
            "Name a connection.",
        )),
        _ => Err(Refusal::new(
            Code::RightsInvalid,
            "One agent cannot have connections of several tenants.",
            "Approve it for the connections of one tenant; pair another agent for the others.",
        )),
    }
}

fn known_or_new(
    book: &Book,
    now: Timestamp,
    id: AgentId,
    name: &ClaimedName,
    tenant: TenantId,
) -> Result<Agent, Refusal> {
    match book.agent(id) {
        Some(agent) if agent.tenant != tenant => Err(Refusal::new(
            Code::RightsInvalid,
            format!(
                "The agent `{}` belongs to another tenant, and an agent never changes its tenant.",
                agent.name
            ),
            "Pair it anew, as another agent, for that tenant.",
        )),
        Some(agent) => Ok((**agent).clone()),
        None => Ok(Agent {
            id,
            tenant,
            name: name.clone(),
            paused: false,
            created_at: now,
        }),
    }
}

fn let_in(
    book: &Book,
    now: Timestamp,
    agent: &Agent,
    approval: Approval,
    fresh: &mut dyn FnMut() -> [u8; 16],
) -> Plan {
    let mut plan = Plan::nothing();
    if book.client(agent.id).is_some() {
        plan = plan.change(Change::ClientErased(agent.id));
    }
    plan = plan.change(Change::AgentPut(agent.clone()));
    for (connection, rights) in approval.grants {
        // One grant for each agent and connection: a newer answer replaces the older one.
        if let Some(older) = book.grant(agent.id, connection) {
            plan = plan.change(Change::GrantErased {
                tenant: agent.tenant,
                grant: older.id,
            });
        }
        let grant = Grant {
            id: GrantId::from_random(fresh()),
            agent: agent.id,
            connection,
            rights,
            lifetime: approval.lifetime,
            created_at: now,
            handed_generation: None,
        };
        plan = plan.change(Change::GrantPut {
            tenant: agent.tenant,
            grant,
        });
    }
    plan
}

/// The scope that an approval gives, as `NAME:door` words.
#[must_use]
pub fn scope_given(book: &Book, approval: &Approval) -> String {
    let words = approval.grants.iter().filter_map(|(id, rights)| {
        let name = &book.connection(*id)?.name;
        Some(
            rights
                .doors()
                .iter()
                .map(|door| format!("{name}:{door}"))
                .collect::<Vec<_>>()
                .join(" "),
        )
    });
    words.collect::<Vec<_>>().join(" ")
}

pub(super) fn new_key(
    agent: AgentId,
    key: (KeyId, KeyHash),
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> KeyRecord {
    let (id, hash) = key;
    KeyRecord {
        id,
        agent,
        hash,
        audience: None,
        created_at: now,
        expires_at,
        idle_seconds: None,
        last_used_at: None,
        revoked_at: None,
        metrics: false,
    }
}

/// A person says no.
pub fn deny(request: &ApprovalRequest, why: &str) -> Plan {
    let answered = ApprovalRequest {
        verdict: Verdict::Denied,
        ..request.clone()
    };
    Plan::nothing()
        .change(Change::RequestPut(Box::new(answered)))
        .log(
            AuditEvent::new(AuditKind::PairingDenied)
                .agent(request.client)
                .with("name", request.name.as_str())
                .with("why", why)
                .with("code", request.user_code.as_str()),
        )
}
