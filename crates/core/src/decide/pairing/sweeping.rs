//! What has become old goes.

use crate::agent::CLIENT_LIFE;
use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::Change;
use crate::ids::AgentId;
use crate::pairing::{REQUEST_LIFE, Verdict};
use crate::plan::Plan;
use crate::time::Timestamp;

use super::answering::deny;

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
    for key in book.keys().filter(|key| key.is_forgettable(now)) {
        plan = plan.change(Change::KeyErased(key.id));
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
