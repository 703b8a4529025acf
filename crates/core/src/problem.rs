//! What can go wrong, one code for each thing that somebody can act on.
//!
//! A refusal always carries its reason and a hint. Codes for agents are part of the contract (docs/AGENTS-API.md);
//! codes for the person's commands are stable too, as scripts read them through `--json`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $title:literal;)+) => {
        /// A stable code of a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $($(#[$doc])* $variant,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code as it stands in answers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// A short sentence, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

codes! {
    /// No agent key, or one that opens nothing.
    Unauthenticated = "unauthenticated", 401, "An agent key is needed";
    /// A browser page called.
    OriginNotAllowed = "origin_not_allowed", 403, "Web pages may not call Doorward";
    /// The `Host` header is missing or not Doorward's.
    HostNotAllowed = "host_not_allowed", 421, "This host name is not Doorward's";
    /// The caller belongs to another user of the machine.
    PeerNotAllowed = "peer_not_allowed", 403, "Other users of this machine may not call Doorward";
    /// A person paused the agent.
    AgentPaused = "agent_paused", 403, "This agent is paused";
    /// A person paused the connection.
    ConnectionPaused = "connection_paused", 403, "This connection is paused";
    /// The agent has no grant for this.
    GrantMissing = "grant_missing", 403, "This agent was not given this";
    /// A grant's policy says no.
    PolicyDenied = "policy_denied", 403, "The grant does not allow this";
    /// A person has not answered yet.
    ApprovalPending = "approval_pending", 403, "A person has to approve this first";
    /// There is no such connection for this caller.
    ConnectionUnknown = "connection_unknown", 404, "There is no such connection";
    /// There is no such route.
    RouteUnknown = "route_unknown", 404, "There is nothing at this address";
    /// The route exists, with another method.
    MethodNotAllowed = "method_not_allowed", 405, "This address does not take that method";
    /// Several connections would fit.
    ConnectionAmbiguous = "connection_ambiguous", 400, "Say which connection is meant";
    /// The request cannot be understood.
    BadRequest = "bad_request", 400, "The request cannot be understood";
    /// The request took too long to arrive.
    RequestTimeout = "request_timeout", 408, "The request took too long to arrive";
    /// The request is larger than the bound.
    PayloadTooLarge = "payload_too_large", 413, "The request is too large";
    /// The grant at the provider has ended.
    ReconnectRequired = "reconnect_required", 424, "A person has to connect again";
    /// The store's keys are not to be had.
    StoreLocked = "store_locked", 503, "Doorward is locked";
    /// The store cannot be written.
    StoreFailed = "store_failed", 503, "Doorward cannot write its store";
    /// The provider's rate limit is used up.
    RateLimited = "rate_limited", 429, "The provider's rate limit is used up";
    /// The provider cannot be reached or fails.
    ProviderUnavailable = "provider_unavailable", 503, "The provider does not answer";
    /// The provider refused in a way that waiting does not mend.
    ProviderRejected = "provider_rejected", 502, "The provider refused";
    /// A defect of Doorward.
    Internal = "internal", 500, "Doorward failed";

    // The person's side.
    /// The person declined at the provider.
    ConsentDeclined = "consent_declined", 403, "The consent was declined";
    /// The consent was not answered in time.
    ConsentExpired = "consent_expired", 408, "The consent was not answered in time";
    /// The answer does not belong to the consent that was asked.
    ConsentMismatch = "consent_mismatch", 400, "That answer belongs to another consent";
    /// Another consent for the connection is open.
    ConsentPending = "consent_pending", 409, "A consent for this connection is open already";
    /// The consent is gone: answered, cancelled or never there.
    ConsentUnknown = "consent_unknown", 404, "There is no such consent under way";
    /// The person consented with another account than before.
    AccountDiffers = "account_differs", 409, "That is another account";
    /// The name is taken.
    NameTaken = "name_taken", 409, "That name is taken";
    /// There is no provider by that name.
    ProviderUnknown = "provider_unknown", 404, "There is no such provider";
    /// The provider's metadata cannot be used.
    ProviderUnsafe = "provider_unsafe", 400, "The provider's description of itself cannot be trusted";
    /// There is no such agent.
    AgentUnknown = "agent_unknown", 404, "There is no such agent";
    /// There is no such approval request, or it is over.
    RequestUnknown = "request_unknown", 404, "There is no such approval request";
    /// The rights cannot be given together.
    RightsInvalid = "rights_invalid", 400, "These rights cannot be given together";
    /// The act needs a person in the desktop window.
    NeedsWindow = "needs_window", 403, "Answer this in the Doorward window";
    /// The act needs the approval PIN.
    PinRequired = "pin_required", 403, "The approval PIN is needed";
    /// No approval PIN was set yet.
    PinMissing = "pin_missing", 403, "No approval PIN is set yet";
    /// The PIN is wrong.
    PinWrong = "pin_wrong", 403, "That PIN is wrong";
    /// Too many wrong PINs.
    PinBlocked = "pin_blocked", 429, "Too many wrong PINs";
    /// The PIN is too weak.
    PinTooShort = "pin_too_short", 400, "That PIN is too short";
    /// The passphrase is wrong.
    PassphraseWrong = "passphrase_wrong", 403, "That passphrase is wrong";
    /// A passphrase is needed.
    PassphraseRequired = "passphrase_required", 403, "A passphrase is needed";
    /// The audit log was tampered with or damaged.
    AuditBroken = "audit_broken", 409, "The audit log does not verify";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: what failed and what to do next. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[error("{detail}")]
pub struct Refusal {
    /// What to branch on.
    #[cfg_attr(feature = "bindings", ts(as = "String"))]
    pub code: Code,
    /// What failed, this time.
    pub detail: String,
    /// What a person or agent does next.
    pub hint: String,
    /// When asking again makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "bindings", ts(optional))]
    pub retry_after_seconds: Option<u64>,
}

impl Refusal {
    /// A refusal with its reason and its remedy.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            hint: hint.into(),
            retry_after_seconds: None,
        }
    }

    /// The same refusal, with the time after which asking again makes sense (rounded up to whole seconds).
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_seconds = Some(
            u64::try_from(wait.as_millis().div_ceil(1000))
                .unwrap_or(u64::MAX)
                .max(1),
        );
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_serialises_as_it_is_written_in_answers() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).ok(), Some(code.as_str().into()));
        }
    }
}
