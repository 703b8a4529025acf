//! Agents, and the local OAuth clients that may become one.

use crate::ids::{AgentId, TenantId};
use crate::name::ClaimedName;
use crate::time::Timestamp;

/// A local program that asked to be known (RFC 7591) and has no rights yet. It becomes an [`Agent`] of the same id
/// when a person first approves it, and only then belongs to a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its `client_id`.
    pub id: AgentId,
    /// What it calls itself.
    pub name: ClaimedName,
    /// Where its browser flow may end; loopback only.
    pub redirect_uris: Vec<String>,
    /// When it registered.
    pub created_at: Timestamp,
}

/// A local program that a person let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its identity, and its `client_id`.
    pub id: AgentId,
    /// The tenant, for ever.
    pub tenant: TenantId,
    /// What it calls itself.
    pub name: ClaimedName,
    /// A person paused it.
    pub paused: bool,
    /// When a person first let it in.
    pub created_at: Timestamp,
}

/// How many clients without rights are kept. Anyone on this machine can register, so this bounds what they can fill.
pub const MOST_CLIENTS: usize = 200;
/// How long a client without rights is kept.
pub const CLIENT_LIFE: std::time::Duration = std::time::Duration::from_hours(24);
