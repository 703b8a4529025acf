//! A connection's health: what a person is told, decided in one place.
//!
//! Only real calls count as proof. A connection that has not been used since it was restored is `unproven`, however
//! good its tokens look.

use serde::{Deserialize, Serialize};

use crate::connection::{Connection, Standing, Trouble, TroubleKind};
use crate::decide::ending::NOTHING_RENEWS_IT;
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
        /// Whether the tries have halted after a row of failures: the provider is only probed now and then.
        #[serde(default)]
        halted: bool,
    },
    /// The provider's limit is used up.
    RateLimited {
        /// Until when.
        until: Timestamp,
    },
    /// The provider does not accept Doorward's own registration: a person has to look. Nothing was erased.
    ClientRejected {
        /// What was seen last.
        last_error: String,
        /// When the next try is made at the earliest; none once the tries have halted.
        next_try: Option<Timestamp>,
    },
    /// The provider refuses every renewal as it is set up: a person has to look. Nothing was erased.
    Misconfigured {
        /// What was seen last.
        last_error: String,
        /// When the next try is made at the earliest; none once the tries have halted.
        next_try: Option<Timestamp>,
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
    /// Every state's word.
    pub const WORDS: [&str; 9] = [
        "connected",
        "refreshing",
        "degraded",
        "rate_limited",
        "client_rejected",
        "misconfigured",
        "reconnect_required",
        "unproven",
        "paused",
    ];

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
        if !connection.refreshable && !connection.access_is_live(now) {
            return Self::ReconnectRequired {
                why: NOTHING_RENEWS_IT.to_owned(),
            };
        }
        match &connection.trouble {
            Some(trouble) => Self::of_trouble(trouble, now),
            None if connection.standing == Standing::Unproven || connection.proven_at.is_none() => {
                Self::Unproven
            }
            None => Self::Connected,
        }
    }

    fn of_trouble(trouble: &Trouble, now: Timestamp) -> Self {
        let last_error = trouble.last.clone();
        match trouble.kind {
            TroubleKind::RateLimited if trouble.holds_at(now) => Self::RateLimited {
                until: trouble.retry_at,
            },
            TroubleKind::RateLimited
            | TroubleKind::Transient
            | TroubleKind::ReplyLost
            | TroubleKind::CourierFailed => Self::Degraded {
                last_error,
                next_try: trouble.retry_at,
                halted: trouble.is_halted(),
            },
            TroubleKind::ClientRejected => Self::ClientRejected {
                last_error,
                next_try: trouble.next_try(),
            },
            TroubleKind::Misconfigured => Self::Misconfigured {
                last_error,
                next_try: trouble.next_try(),
            },
        }
    }

    /// Whether only a person can put it right.
    #[must_use]
    pub const fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::ClientRejected { .. }
                | Self::Misconfigured { .. }
                | Self::ReconnectRequired { .. }
        )
    }

    /// The state's word, as it stands in answers.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Refreshing => "refreshing",
            Self::Degraded { .. } => "degraded",
            Self::RateLimited { .. } => "rate_limited",
            Self::ClientRejected { .. } => "client_rejected",
            Self::Misconfigured { .. } => "misconfigured",
            Self::ReconnectRequired { .. } => "reconnect_required",
            Self::Unproven => "unproven",
            Self::Paused => "paused",
        }
    }
}
