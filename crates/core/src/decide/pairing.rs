//! An agent asks to be let in; a person answers.

use std::sync::Arc;

use crate::agent::{Agent, CLIENT_LIFE, Client, MOST_CLIENTS};
use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::Change;
use crate::connection::{Connection, Standing};
use crate::grant::{Door, Grant, Lifetime, Policy, Rights};
use crate::ids::{AgentId, ConnectionId, GrantId, KeyId, RequestId, TenantId};
use crate::key::{KeyHash, KeyRecord};
use crate::name::ClaimedName;
use crate::pairing::{
    Approval, ApprovalRequest, MOST_WAITING, POLL_INTERVAL, Program, REQUEST_LIFE, Verdict, Wanted,
    normalised_user_code,
};
use crate::plan::{Effect, Notice, Plan};
use crate::problem::{Code, Refusal};
use crate::time::Timestamp;

/// A program registers as a local client without rights. The oldest of too many makes room.
pub fn register(book: &Book, client: Client) -> Plan {
    let mut plan = Plan::nothing();
    if book.clients().count() >= MOST_CLIENTS {
        let waits = |id: AgentId| book.requests().any(|request| request.client == id);
        let oldest = book
            .clients()
            .filter(|known| !waits(known.id))
            .min_by_key(|known| known.created_at);
        if let Some(oldest) = oldest {
            plan = plan.change(Change::ClientErased(oldest.id));
        }
    }
    plan.change(Change::ClientPut(client))
}

/// What a client brings when it asks for a grant.
pub struct Asked {
    /// The request's identity.
    pub id: RequestId,
    /// Who asks.
    pub client: AgentId,
    /// For what.
    pub wanted: Vec<Wanted>,
    /// The code to compare.
    pub user_code: String,
    /// SHA-256 of the code it polls with.
    pub device_code: KeyHash,
    /// The program that asked.
    pub program: Option<Program>,
}

/// Decides whether a client may put a question to the person. A client's newer question replaces its older one.
pub fn ask(book: &Book, now: Timestamp, asked: Asked) -> Result<Plan, Refusal> {
    let name = client_name(book, asked.client)?;
    let mut plan = Plan::nothing();
    let waiting = |request: &&Arc<ApprovalRequest>| {
        request.verdict == Verdict::Waiting && now < request.expires_at
    };
    for older in book
        .requests()
        .filter(|request| request.client == asked.client)
        .filter(waiting)
    {
        plan = plan.change(Change::RequestErased(older.id));
    }
    if book
        .requests()
        .filter(waiting)
        .filter(|request| request.client != asked.client)
        .count()
        >= MOST_WAITING
    {
        return Err(Refusal::new(
            Code::RateLimited,
            "Too many approval requests are waiting for a person.",
            "Ask again when some were answered; `doorward requests` lists them.",
        )
        .retry_after(std::time::Duration::from_secs(30)));
    }
    let wanted: Vec<_> = asked.wanted.iter().map(Wanted::as_scope).collect();
    let mut event = AuditEvent::new(AuditKind::PairingAsked)
        .agent(asked.client)
        .with("name", name.as_str())
        .with("wanted", wanted.join(" "))
        .with("code", asked.user_code.as_str());
    if let Some(program) = &asked.program {
        event = event
            .with("executable", program.executable.as_str())
            .with("pid", program.id.pid.to_string());
    }
    let request = ApprovalRequest {
        id: asked.id,
        client: asked.client,
        name,
        wanted: asked.wanted,
        user_code: asked.user_code,
        device_code: asked.device_code,
        program: asked.program,
        created_at: now,
        expires_at: now.plus(REQUEST_LIFE),
        verdict: Verdict::Waiting,
    };
    Ok(plan
        .change(Change::RequestPut(Box::new(request)))
        .log(event)
        .effect(Effect::Tell(Notice::ApprovalAsked(asked.id))))
}

fn client_name(book: &Book, id: AgentId) -> Result<ClaimedName, Refusal> {
    let registered = book.client(id).map(|client| client.name.clone());
    registered.or_else(|| book.agent(id).map(|agent| agent.name.clone())).ok_or_else(|| {
        Refusal::new(
            Code::Unauthenticated,
            "There is no local client with that `client_id`.",
            "Register with `POST /oauth/register` first; a client without rights is forgotten after a day.",
        )
    })
}

/// The waiting request with a code that a person typed.
pub fn request_with_code<'a>(
    book: &'a Book,
    now: Timestamp,
    typed: &str,
) -> Result<&'a Arc<ApprovalRequest>, Refusal> {
    let code = normalised_user_code(typed);
    book.requests()
        .find(|request| {
            request.user_code == code
                && request.verdict == Verdict::Waiting
                && now < request.expires_at
        })
        .ok_or_else(|| {
            Refusal::new(
                Code::RequestUnknown,
                format!("No approval request with the code `{code}` is waiting."),
                "`doorward requests` lists those that wait. A request ends after 10 minutes.",
            )
        })
}

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
    let key_expires_at = match approval.lifetime {
        Lifetime::Until(end) => Some(end),
        Lifetime::UntilRevoked | Lifetime::WhileRunning(_) => None,
    };
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
    if book.agents().any(|agent| agent.name == *name) {
        return Err(Refusal::new(
            Code::NameTaken,
            format!("There is an agent `{name}` already."),
            "Choose another name, or revoke that agent first.",
        ));
    }
    let tenant = one_tenant(book, &approval)?;
    let agent = known_or_new(book, now, AgentId::from_random(fresh()), name, tenant)?;
    let event = AuditEvent::new(AuditKind::AgentAdded)
        .tenant(tenant)
        .agent(agent.id)
        .with("name", agent.name.as_str())
        .with("given", scope_given(book, &approval));
    let expires_at = match approval.lifetime {
        Lifetime::Until(end) => Some(end),
        Lifetime::UntilRevoked | Lifetime::WhileRunning(_) => None,
    };
    Ok(let_in(book, now, &agent, approval, fresh)
        .change(Change::KeyPut(new_key(agent.id, key, now, expires_at)))
        .log(event))
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

fn scope_given(book: &Book, approval: &Approval) -> String {
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

fn new_key(
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

/// What an agent that polls is told.
pub enum Polled {
    /// No answer yet (`authorization_pending`).
    Pending,
    /// It polls too often (`slow_down`).
    SlowDown,
    /// A person said no (`access_denied`).
    Denied,
    /// Nobody answered (`expired_token`).
    Expired,
    /// There is no such request for this client, or its key was fetched already (`invalid_grant`).
    Unknown,
    /// Approved: the key is the agent's once the plan is written.
    Issued {
        /// Writes the key.
        plan: Plan,
        /// What was given.
        scope: String,
        /// When the key ends.
        expires_at: Option<Timestamp>,
    },
}

/// How long a key can be fetched after the answer, where less is left of the request's own life: an answer in the
/// last second counts.
const FETCH_LIFE: std::time::Duration = std::time::Duration::from_mins(1);

/// Decides what an agent that polls is told. The key was made by the caller and is used only if this issues it.
#[must_use]
pub fn poll(
    book: &Book,
    now: Timestamp,
    client: AgentId,
    device_code: &KeyHash,
    polled_at: Option<Timestamp>,
    key: (KeyId, KeyHash),
) -> Polled {
    let found = book
        .requests()
        .find(|request| request.device_code == *device_code && request.client == client);
    let Some(request) = found else {
        return Polled::Unknown;
    };
    match &request.verdict {
        Verdict::Fetched => Polled::Unknown,
        // Before the verdict: that nobody answered is written down as a refusal, and to the agent it is an end by time.
        _ if now >= request.expires_at => Polled::Expired,
        Verdict::Denied => Polled::Denied,
        Verdict::Approved {
            key_expires_at,
            scope,
        } => {
            let Some(agent) = book.agent(client) else {
                return Polled::Denied;
            };
            let fetched = ApprovalRequest {
                verdict: Verdict::Fetched,
                ..(**request).clone()
            };
            let plan = Plan::nothing()
                .change(Change::KeyPut(new_key(client, key, now, *key_expires_at)))
                .change(Change::RequestPut(Box::new(fetched)))
                .log(
                    AuditEvent::new(AuditKind::KeyIssued)
                        .tenant(agent.tenant)
                        .agent(agent.id),
                );
            Polled::Issued {
                plan,
                scope: scope.clone(),
                expires_at: *key_expires_at,
            }
        }
        // A second of grace: clocks and networks are not exact, and RFC 8628 makes a slow_down last.
        Verdict::Waiting if polled_at.is_some_and(|last| now.since(last) < POLL_INTERVAL / 2) => {
            Polled::SlowDown
        }
        Verdict::Waiting => Polled::Pending,
    }
}

/// What has become old: unanswered requests are refusals, answered ones and clients without rights are forgotten,
/// grants whose time is over go.
pub fn sweep(book: &Book, now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    for request in book.requests().filter(|request| now >= request.expires_at) {
        if request.verdict == Verdict::Waiting {
            plan = plan.and(deny(request, "nobody answered within 10 minutes"));
        } else if now.since(request.expires_at) > REQUEST_LIFE {
            plan = plan.change(Change::RequestErased(request.id));
        }
    }
    let waits = |id: AgentId| book.requests().any(|request| request.client == id);
    for client in book
        .clients()
        .filter(|client| now.since(client.created_at) > CLIENT_LIFE && !waits(client.id))
    {
        plan = plan.change(Change::ClientErased(client.id));
    }
    for grant in book.grants().filter(|grant| grant.is_over(now)) {
        if let Some(agent) = book.agent(grant.agent) {
            plan = plan
                .change(Change::GrantErased {
                    tenant: agent.tenant,
                    grant: grant.id,
                })
                .log(
                    AuditEvent::new(AuditKind::GrantExpired)
                        .tenant(agent.tenant)
                        .agent(agent.id)
                        .connection(grant.connection),
                );
        }
    }
    plan
}
