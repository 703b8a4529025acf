//! A connection's health: what a person is told, decided in one place.
//!
//! Only real calls count as proof. A connection that has not been used since it was restored is `unproven`, however
//! good its tokens look.

use serde::{Deserialize, Serialize};

use crate::connection::{Connection, Standing, TroubleKind};
use crate::time::Timestamp;

/// The health of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Health {
    /// The last real call succeeded.
    Connected,
    /// A refresh is in flight.
    Refreshing,
    /// Refreshes fail in a way that may pass.
    Degraded {
        /// What was seen last.
        last_error: String,
        /// When the next try is made at the earliest.
        next_try: Timestamp,
    },
    /// The provider's limit is used up.
    RateLimited {
        /// Until when.
        until: Timestamp,
    },
    /// A person has to connect again.
    ReconnectRequired {
        /// Why.
        why: String,
    },
    /// Nothing has proven it yet.
    Unproven,
    /// A person paused it.
    Paused,
}

impl Health {
    /// Decides the health at `now`.
    #[must_use]
    pub fn of(connection: &Connection, in_flight: bool, now: Timestamp) -> Self {
        match &connection.standing {
            Standing::ReconnectRequired { why, .. } => {
                return Self::ReconnectRequired { why: why.clone() };
            }
            Standing::Ending => {
                return Self::ReconnectRequired {
                    why: "it is being disconnected".to_owned(),
                };
            }
            Standing::Connected | Standing::Unproven => {}
        }
        if connection.paused {
            return Self::Paused;
        }
        if in_flight {
            return Self::Refreshing;
        }
        match &connection.trouble {
            Some(trouble) if trouble.kind == TroubleKind::RateLimited && trouble.holds_at(now) => {
                Self::RateLimited {
                    until: trouble.retry_at,
                }
            }
            Some(trouble) => Self::Degraded {
                last_error: trouble.last.clone(),
                next_try: trouble.retry_at,
            },
            None if connection.standing == Standing::Unproven || connection.proven_at.is_none() => {
                Self::Unproven
            }
            None => Self::Connected,
        }
    }

    /// The state's word, as it stands in answers.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Refreshing => "refreshing",
            Self::Degraded { .. } => "degraded",
            Self::RateLimited { .. } => "rate_limited",
            Self::ReconnectRequired { .. } => "reconnect_required",
            Self::Unproven => "unproven",
            Self::Paused => "paused",
        }
    }
}
