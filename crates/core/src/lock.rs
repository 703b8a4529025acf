//! Locks that agents hold at providers.
//!
//! A lock that an agent took through the proxy door is remembered, so that it can be given back when the agent may not
//! do so itself any longer. Its token lies sealed with the connection's own. What a provider does not say is when a
//! lock ends; then it is believed to end when the longest there is would.

use std::time::Duration;

use crate::ids::{AgentId, ConnectionId, LockId, TenantId};
use crate::name::ClaimedName;
use crate::time::Timestamp;

/// A lock that an agent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// Its identity, to which its sealed token is bound.
    pub id: LockId,
    /// The tenant of the connection.
    pub tenant: TenantId,
    /// Through which connection it was taken. It may be gone already, while its end is still owed to the provider.
    pub connection: ConnectionId,
    /// Who took it.
    pub agent: AgentId,
    /// What that one calls itself, as it may be gone before its lock is.
    pub agent_name: ClaimedName,
    /// The path that it was taken at, below the API's base, as it was sent.
    pub path: String,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// When it was last taken or kept.
    pub heard_at: Timestamp,
    /// When it ends by itself, if that is known.
    pub until: Option<Timestamp>,
    /// A person wants it given back.
    pub is_wanted_back: bool,
    /// How often giving it back was tried.
    pub attempts: u32,
    /// When that is tried next.
    pub next_try: Option<Timestamp>,
    /// What was seen last.
    pub last_error: Option<String>,
}

/// No provider that is known grants a lock for longer at once.
pub const LONGEST_LIFE: Duration = Duration::from_hours(1);
/// So many locks of one agent are remembered: more would be a program that takes and never gives back.
pub const MOST_HELD: usize = 200;
/// A lock stands in somebody's way, so it is tried more often than a revocation.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

impl HeldLock {
    /// When it ends by itself, as far as can be said.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.until
            .unwrap_or_else(|| self.heard_at.plus(LONGEST_LIFE))
    }

    /// Whether it is the lock of that path.
    #[must_use]
    pub fn is_at(&self, connection: ConnectionId, path: &str) -> bool {
        let bare = |path: &str| path.trim_matches('/').to_owned();
        self.connection == connection && bare(&self.path) == bare(path)
    }

    /// The lock after it could not be given back: tried again with doubling waits.
    #[must_use]
    pub(crate) fn after_failure(
        mut self,
        now: Timestamp,
        why: String,
        stated: Option<Timestamp>,
    ) -> Self {
        self.attempts = self.attempts.saturating_add(1);
        let doubling = Duration::from_secs(1_u64 << self.attempts.min(7)).min(LONGEST_WAIT);
        // A stated moment that is not to come would be a try without any wait.
        let stated = stated.filter(|moment| *moment > now);
        self.next_try = Some(stated.unwrap_or_else(|| now.plus(doubling)));
        self.last_error = Some(why);
        self
    }
}
