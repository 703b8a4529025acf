//! The agent comes for its key.

use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::Change;
use crate::ids::{AgentId, KeyId};
use crate::key::KeyHash;
use crate::pairing::{ApprovalRequest, POLL_INTERVAL, Verdict};
use crate::plan::Plan;
use crate::time::Timestamp;

use super::answering::new_key;

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
