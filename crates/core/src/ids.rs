//! Identifiers that never change and are never reused.
//!
//! Sealed values are bound to these, not to names, so that renaming is free and a value moved to another row does
//! not open. They are random; the bytes come from the caller, as this crate has no randomness of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! identifier {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes an identifier from 16 random bytes.
            #[must_use]
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// The bytes that associated data of a sealed value holds.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }
    )+};
}

identifier! {
    /// A tenant, the isolation boundary.
    TenantId,
    /// A connection: one grant by one person at one provider.
    ConnectionId,
    /// An agent, and the `client_id` of the local OAuth client it registered as.
    AgentId,
    /// One agent key of an agent.
    KeyId,
    /// What one agent may do with one connection.
    GrantId,
    /// An agent asking a person for a grant.
    RequestId,
    /// An agent asking a person for a single call.
    QuestionId,
    /// A person's lasting answer about a call.
    AnswerId,
    /// Doorward's own registration at a provider (RFC 7591).
    RegistrationId,
    /// One revocation still owed to a provider.
    OutboxId,
    /// One consent under way in a browser.
    FlowId,
    /// One refresh on its way to a provider and back.
    FlightId,
    /// One lock that an agent holds at a provider.
    LockId,
}
