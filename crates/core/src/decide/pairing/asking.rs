//! A program registers and puts its question to the person.

use std::sync::Arc;

use crate::agent::{Client, MOST_CLIENTS};
use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::Change;
use crate::ids::{AgentId, RequestId};
use crate::key::KeyHash;
use crate::name::ClaimedName;
use crate::pairing::{
    ApprovalRequest, MOST_WAITING, Program, REQUEST_LIFE, Verdict, Wanted, normalised_user_code,
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
