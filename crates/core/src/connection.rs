//! Connections: one grant by one person at one provider.
//!
//! A connection's tokens are counted in generations. Every successful exchange or refresh makes the next one; every
//! decision about tokens names the generation it was made for, so that a late or repeated reply about an old
//! generation can neither overwrite nor end a newer one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ConnectionId, FlightId, TenantId};
use crate::name::Name;
use crate::provider::Provider;
use crate::registration::ClientIdentity;
use crate::scope::{Ask, Granted};
use crate::time::Timestamp;

/// The isolation boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its identity.
    pub id: TenantId,
    /// Its name, unique in an installation.
    pub name: Name,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whose account it is, as far as the provider tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The provider's identifier of the account: what tells one account from another.
    pub id: String,
    /// What a person knows it by, such as an e-mail address.
    pub label: String,
}

/// Whether the grant at the provider stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Standing {
    /// As far as is known it stands.
    Connected,
    /// It was restored from a backup and asks before its first refresh.
    Unproven,
    /// It has ended; a person has to connect again.
    ReconnectRequired {
        /// What the provider said.
        why: String,
        /// When that was noticed.
        since: Timestamp,
    },
    /// A person disconnected it; a refresh in flight is waited for.
    Ending,
}

/// What kind of trouble keeps a refresh from succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// It may pass.
    Transient,
    /// The provider's limit is used up.
    RateLimited,
    /// The provider does not accept Doorward's client credentials.
    ClientRejected,
    /// The request can never succeed as it is set up.
    Misconfigured,
    /// A refresh was sent and its reply was lost: whether the provider acted on it is not known.
    ReplyLost,
    /// The courier, which carries refreshes, could not be started. Nothing was sent.
    CourierFailed,
}

/// A row of failures without a success between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Of which kind the last one was.
    pub kind: TroubleKind,
    /// When the row began.
    pub since: Timestamp,
    /// How many there were.
    pub failures: u32,
    /// What was seen last, without secrets.
    pub last: String,
    /// Before this no further try is made.
    pub retry_at: Timestamp,
}

/// So many failures in a row halt the task: from then on it takes a person, a wake, a start or, where the provider
/// may only have been down, a seldom probe to try again.
pub const FAILURES_TO_HALT: u32 = 5;

impl Trouble {
    /// Whether tries have halted. A limit never halts: the provider itself says when to ask again.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.failures >= FAILURES_TO_HALT && self.kind != TroubleKind::RateLimited
    }

    /// Whether nothing but a person, a wake or a start tries again. What a provider refuses it will refuse again; only
    /// one that was down may come back by itself.
    #[must_use]
    pub fn waits_for_a_person(&self) -> bool {
        self.is_halted() && self.needs_a_person()
    }

    /// Whether a person has to look: it will not pass by itself.
    #[must_use]
    pub const fn needs_a_person(&self) -> bool {
        matches!(
            self.kind,
            TroubleKind::ClientRejected | TroubleKind::Misconfigured
        )
    }

    /// Whether the provider answered the last try at all: what it answered begins with the status.
    #[must_use]
    pub fn was_answered(&self) -> bool {
        self.last.starts_with("HTTP ")
    }

    /// When the next try is made at the earliest, where one is.
    #[must_use]
    pub fn next_try(&self) -> Option<Timestamp> {
        (!self.waits_for_a_person()).then_some(self.retry_at)
    }

    /// Whether a further try has to wait. A row of failures that has not begun yet was seen by a clock that was
    /// ahead: what it says of the next try is then not believed, or one wrong hour would become an hour's outage.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.waits_for_a_person() || (now < self.retry_at && now >= self.since.minus(CLOCK_SLACK))
    }
}

/// The mark that a refresh was begun. It is on disk before anything is sent, so that whoever starts next knows that a
/// reply may be on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The generation whose refresh token is sent.
    pub generation: u64,
    /// What names the flight's files, and what its key and its reply are bound to.
    pub flight: FlightId,
}

/// One grant by one person at one provider. Its tokens are sealed in the store and are not part of this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its identity, to which its sealed values are bound.
    pub id: ConnectionId,
    /// The tenant, for ever.
    pub tenant: TenantId,
    /// Its name, unique in an installation.
    pub name: Name,
    /// The provider.
    pub provider: Provider,
    /// The client that the grant was given to.
    pub client: ClientIdentity,
    /// What was asked for.
    pub ask: Ask,
    /// What was granted, as the last reply that stated it says.
    pub granted: Granted,
    /// Whose account it is.
    pub account: Option<Account>,
    /// The provider's session of this grant.
    pub session: Option<String>,
    /// The name that session carries.
    pub device_name: String,
    /// When it was first made.
    pub created_at: Timestamp,
    /// When a person last consented.
    pub connected_at: Timestamp,
    /// Whether it stands.
    pub standing: Standing,
    /// A person paused it.
    pub paused: bool,
    /// The generation of the stored tokens.
    pub generation: u64,
    /// A refresh was begun and what came of it is not stored yet. Its flight's key lives as long as this.
    pub refreshing: Option<Mark>,
    /// Whether a refresh token is stored.
    pub refreshable: bool,
    /// The token type as RFC 6749 writes it.
    pub token_type: String,
    /// When the access token was asked for.
    pub access_issued_at: Timestamp,
    /// When the access token ends, if the provider says.
    pub access_expires_at: Option<Timestamp>,
    /// The last real call that succeeded.
    pub proven_at: Option<Timestamp>,
    /// What keeps a refresh from succeeding.
    pub trouble: Option<Trouble>,
    /// The generation of whose end a person was told, because nothing renews it.
    pub end_told: Option<u64>,
}

/// How far a clock may step back before what was measured with it is no longer believed.
const CLOCK_SLACK: Duration = Duration::from_mins(2);
/// A token that ends in less than this is not worth handing out: it would end on its way.
const LEAST_VALIDITY: Duration = Duration::from_secs(5);
/// A token younger than this is not replaced because a caller wants a longer one: the next would be no longer.
const LEAST_AGE: Duration = Duration::from_secs(10);

impl Connection {
    /// How long the access token is still valid; nothing where its end is not known.
    #[must_use]
    pub fn validity(&self, now: Timestamp) -> Option<Duration> {
        self.access_expires_at.map(|end| end.since(now))
    }

    /// Whether the access token may be handed out at `now` without a refresh, to a caller that wants it valid for
    /// `min_valid` more. What can be asked for is capped at the token's lifetime, and a token that was issued just
    /// now is as good as it gets: without both, a caller could make every answer a refresh.
    #[must_use]
    pub fn access_is_fresh(&self, now: Timestamp, min_valid: Option<Duration>) -> bool {
        if !self.access_is_live(now) {
            return false;
        }
        let Some(end) = self.access_expires_at else {
            return true;
        };
        let lifetime = end.since(self.access_issued_at);
        let least = LEAST_VALIDITY.min(lifetime / 2);
        let is_young = now.since(self.access_issued_at) < LEAST_AGE.min(lifetime / 2);
        let wanted = match min_valid {
            Some(wanted) if !is_young => wanted.min(lifetime).max(least),
            _ => least,
        };
        end.since(now) >= wanted
    }

    /// The last moment at which the access token is still handed out without a refresh, if its end is known.
    #[must_use]
    pub fn last_served_at(&self) -> Option<Timestamp> {
        let end = self.access_expires_at?;
        let lifetime = end.since(self.access_issued_at);
        Some(end.minus(LEAST_VALIDITY.min(lifetime / 2)))
    }

    /// Whether a person was told that the stored generation has ended, because nothing renews it.
    #[must_use]
    pub fn is_end_told(&self) -> bool {
        self.end_told == Some(self.generation)
    }

    /// Whether the access token has not ended.
    #[must_use]
    pub fn access_is_live(&self, now: Timestamp) -> bool {
        // A clock set back must not lengthen a token's life past what was measured when it was issued.
        let clock_is_sane = now >= self.access_issued_at.minus(CLOCK_SLACK);
        self.generation > 0
            && self
                .access_expires_at
                .is_none_or(|end| now < end && clock_is_sane)
    }
}
