//! The audit log's events: what was asked, allowed, used and refused.
//!
//! An event holds identifiers and plain words, never a secret. The chain that makes tampering visible belongs to the
//! store.

mod saying;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, ConnectionId, TenantId};

pub use saying::{Named, say};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal;)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum AuditKind {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }

        impl AuditKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The kind as it stands in the log.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

kinds! {
    /// The store was made.
    StoreCreated = "store.created";
    /// The key-encryption key was replaced.
    KeysRotated = "keys.rotated";
    /// Older rows were removed, with a signed checkpoint.
    AuditPruned = "audit.pruned";
    /// The approval PIN was set or changed.
    PinSet = "pin.set";
    /// A wrong approval PIN.
    PinRefused = "pin.refused";
    /// A person connected.
    Connected = "connection.connected";
    /// A person consented again.
    Reconnected = "connection.reconnected";
    /// New tokens were stored.
    Refreshed = "connection.refreshed";
    /// The grant ended at the provider.
    GrantEnded = "connection.ended";
    /// A person disconnected.
    Disconnected = "connection.disconnected";
    /// A person paused a connection.
    ConnectionPaused = "connection.paused";
    /// A person resumed a connection.
    ConnectionResumed = "connection.resumed";
    /// The provider confirmed a revocation.
    RevocationConfirmed = "revocation.confirmed";
    /// A revocation was given up.
    RevocationGivenUp = "revocation.given_up";
    /// An agent asked for a grant.
    PairingAsked = "pairing.asked";
    /// A person approved.
    PairingApproved = "pairing.approved";
    /// A person said no, or did not answer.
    PairingDenied = "pairing.denied";
    /// An agent fetched its key.
    KeyIssued = "key.issued";
    /// A key ended.
    KeyRevoked = "key.revoked";
    /// A person added an agent by hand.
    AgentAdded = "agent.added";
    /// A person paused an agent.
    AgentPaused = "agent.paused";
    /// A person resumed an agent.
    AgentResumed = "agent.resumed";
    /// A person revoked an agent.
    AgentRevoked = "agent.revoked";
    /// An agent asked a person for a single call.
    CallAsked = "call.asked";
    /// A person allowed a call.
    CallAllowed = "call.allowed";
    /// A person denied a call, or did not answer.
    CallDenied = "call.denied";
    /// A person took a lasting answer back.
    AnswerTakenBack = "call.taken_back";
    /// A grant ended by its lifetime.
    GrantExpired = "grant.expired";
    /// A lock was given back for an agent that may not use it any longer, or because a person wanted it.
    LockGivenBack = "lock.given_back";
    /// A lock that was to be given back ended by itself.
    LockLapsed = "lock.lapsed";
    /// An agent was handed a generation of an access token for the first time.
    TokenHandedOut = "token.handed_out";
    /// An agent reported a token as refused by the API.
    TokenRejected = "token.rejected";
    /// Ordinary uses in a minute.
    Used = "agent.used";
    /// Refusals in a minute.
    Refused = "agent.refused";
}

/// What a kind is about, for whoever looks for something in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum AuditTopic {
    /// What agents did.
    Uses,
    /// What was refused.
    Refusals,
    /// Who was let in, and whose access ended.
    Access,
    /// Connections and their grants at providers.
    Connections,
    /// Locks that Doorward gave back.
    Locks,
    /// Doorward's own store, keys and log.
    Store,
}

impl AuditTopic {
    /// Every topic.
    pub const ALL: [Self; 6] = [
        Self::Uses,
        Self::Refusals,
        Self::Access,
        Self::Connections,
        Self::Locks,
        Self::Store,
    ];

    /// The topic as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uses => "uses",
            Self::Refusals => "refusals",
            Self::Access => "access",
            Self::Connections => "connections",
            Self::Locks => "locks",
            Self::Store => "store",
        }
    }

    /// The kinds that are about it.
    pub fn kinds(self) -> impl Iterator<Item = AuditKind> {
        let all = AuditKind::ALL.iter().copied();
        all.filter(move |kind| kind.topic() == self)
    }
}

impl AuditKind {
    /// What it is about.
    #[must_use]
    pub const fn topic(self) -> AuditTopic {
        match self {
            Self::TokenHandedOut | Self::Used => AuditTopic::Uses,
            Self::Refused
            | Self::TokenRejected
            | Self::PinRefused
            | Self::PairingDenied
            | Self::CallDenied => AuditTopic::Refusals,
            Self::PairingAsked
            | Self::PairingApproved
            | Self::KeyIssued
            | Self::KeyRevoked
            | Self::AgentAdded
            | Self::AgentPaused
            | Self::AgentResumed
            | Self::AgentRevoked
            | Self::GrantExpired
            | Self::CallAsked
            | Self::CallAllowed
            | Self::AnswerTakenBack => AuditTopic::Access,
            Self::Connected
            | Self::Reconnected
            | Self::Refreshed
            | Self::GrantEnded
            | Self::Disconnected
            | Self::ConnectionPaused
            | Self::ConnectionResumed
            | Self::RevocationConfirmed
            | Self::RevocationGivenUp => AuditTopic::Connections,
            Self::LockGivenBack | Self::LockLapsed => AuditTopic::Locks,
            Self::StoreCreated | Self::KeysRotated | Self::AuditPruned | Self::PinSet => {
                AuditTopic::Store
            }
        }
    }
}

/// One event, before the store gives it a number, a moment and a place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// What happened.
    pub kind: AuditKind,
    /// In which tenant.
    pub tenant: Option<TenantId>,
    /// To which connection.
    pub connection: Option<ConnectionId>,
    /// By or to which agent.
    pub agent: Option<AgentId>,
    /// Plain words about it, sorted, so that the text is the same whoever writes it.
    pub detail: BTreeMap<String, String>,
}

impl AuditEvent {
    /// An event about nothing in particular.
    #[must_use]
    pub fn new(kind: AuditKind) -> Self {
        Self {
            kind,
            tenant: None,
            connection: None,
            agent: None,
            detail: BTreeMap::new(),
        }
    }

    /// In this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// About this connection.
    #[must_use]
    pub fn connection(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    /// About this agent.
    #[must_use]
    pub fn agent(mut self, agent: AgentId) -> Self {
        self.agent = Some(agent);
        self
    }

    /// With a plain word about it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}
