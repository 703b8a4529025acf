//! Revocations still owed to a provider.
//!
//! Disconnecting blocks agents at once; ending the grant at the provider may have to wait until the provider
//! answers. Until then its tokens stay sealed in the outbox, and nowhere else.

use std::time::Duration;

use crate::ids::{ConnectionId, OutboxId, TenantId};
use crate::name::Name;
use crate::provider::Provider;
use crate::registration::ClientIdentity;
use crate::time::Timestamp;

/// One grant that has to be ended at its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxItem {
    /// Its identity.
    pub id: OutboxId,
    /// The tenant of the connection it came from.
    pub tenant: TenantId,
    /// The connection it came from, which may be gone: its tokens are bound to this.
    pub connection: ConnectionId,
    /// That connection's name, for people.
    pub name: Name,
    /// Where to revoke.
    pub provider: Provider,
    /// As whom.
    pub client: ClientIdentity,
    /// The provider's session, ended as well.
    pub session: Option<String>,
    /// When the person asked.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next; none once it was given up.
    pub next_try: Option<Timestamp>,
    /// What was seen last.
    pub last_error: Option<String>,
}

/// After this long the provider has most likely ended the grant by itself, and a person is told instead.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(30 * 24);

impl OutboxItem {
    /// The item after a failed try: tried again with doubling waits up to an hour, or given up.
    #[must_use]
    pub fn after_failure(mut self, now: Timestamp, why: String, stated: Option<Timestamp>) -> Self {
        self.attempts = self.attempts.saturating_add(1);
        let doubling =
            Duration::from_secs(1_u64 << self.attempts.min(12)).min(Duration::from_hours(1));
        // A stated moment that is not to come would be a try without any wait.
        let stated = stated.filter(|moment| *moment > now);
        self.next_try = (now.since(self.created_at) < GIVE_UP_AFTER)
            .then(|| stated.unwrap_or(now.plus(doubling)));
        self.last_error = Some(why);
        self
    }
}
