//! What is said over the control socket.

use doorward_core::grant::{Door, Policy};
use doorward_core::name::Name;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::handle::{ConnectAsk, LifetimeAsk, PauseTarget, Terms};
use crate::views::ActivityAsk;

/// A secret on its way from the terminal to the broker. Wiped when dropped; not printable.
#[derive(Serialize, Deserialize)]
#[serde(from = "String")]
pub struct SecretText(#[serde(serialize_with = "as_text")] Zeroizing<String>);

fn as_text<S: serde::Serializer>(
    text: &Zeroizing<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl SecretText {
    /// Takes what was typed.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What to connect.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[cfg_attr(feature = "bindings", ts(rename = "ConnectAsk"))]
pub struct Connect {
    /// A manifest's name or an issuer's address.
    pub provider: Option<String>,
    /// Another address for the manifest's provider.
    pub base: Option<String>,
    /// The scope.
    pub scope: Option<String>,
    /// Whether only reading is asked for.
    pub read_only: bool,
    /// The tenant.
    pub tenant: Option<Name>,
    /// The connection's name.
    pub name: Option<Name>,
    /// The name the consent page shows.
    pub agent_name: Option<String>,
}

impl From<Connect> for ConnectAsk {
    fn from(wire: Connect) -> Self {
        let Connect {
            provider,
            base,
            scope,
            read_only,
            tenant,
            name,
            agent_name,
        } = wire;
        Self {
            provider,
            base,
            scope,
            read_only,
            tenant,
            name,
            agent_name,
        }
    }
}

/// On which terms something is given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[cfg_attr(feature = "bindings", ts(rename = "Terms"))]
pub struct TermsAsk {
    /// Another connection than the one asked for.
    pub connection: Option<Name>,
    /// Other doors than those asked for.
    pub doors: Option<Vec<Door>>,
    /// Limits.
    #[serde(default)]
    pub policy: Policy,
    /// For how long.
    pub lifetime: Option<LifetimeAsk>,
}

impl From<TermsAsk> for Terms {
    fn from(wire: TermsAsk) -> Self {
        let TermsAsk {
            connection,
            doors,
            policy,
            lifetime,
        } = wire;
        Self {
            connection,
            doors,
            policy,
            lifetime,
        }
    }
}

/// An approval.
#[derive(Serialize, Deserialize)]
pub struct Approve {
    /// The code that was compared.
    pub code: String,
    /// On which terms.
    pub terms: TermsAsk,
    /// The approval PIN.
    pub pin: SecretText,
}

/// One question over the control socket. The answer is the view that `Handle`'s method of that name gives, or a
/// refusal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Request {
    /// `Status`
    Status,
    /// A number, once it is another one than this: something has changed since it was told.
    AwaitChange {
        /// The number that was told last; nothing at first.
        seen: Option<u64>,
    },
    /// Nothing.
    Unlock {
        /// The passphrase, where the store's key comes from one.
        passphrase: Option<SecretText>,
    },
    /// `Vec<ConnectionView>`
    Connections,
    /// `ConsentStarted`
    Connect(Connect),
    /// `ConnectionView`, when the consent has ended.
    AwaitConsent {
        /// Which consent.
        flow: String,
    },
    /// `ConnectionView`
    Paste {
        /// Which consent.
        flow: String,
        /// The address that the browser was sent back to.
        address: SecretText,
    },
    /// Nothing.
    Cancel {
        /// Which consent.
        flow: String,
    },
    /// `Disconnected`
    Disconnect {
        /// The connection.
        name: Name,
    },
    /// `ConnectionView`, if it works after the try.
    Retry {
        /// The connection.
        name: Name,
    },
    /// `Vec<AgentView>`
    Agents,
    /// `AgentAdded`
    AddAgent {
        /// Its name.
        name: String,
        /// On which terms.
        terms: TermsAsk,
        /// The approval PIN.
        pin: SecretText,
    },
    /// `AgentAdded`
    AddMetricsReader {
        /// Its name.
        name: String,
        /// For how long.
        lifetime: Option<LifetimeAsk>,
        /// The approval PIN.
        pin: SecretText,
    },
    /// `Vec<RequestView>`
    Requests,
    /// The scope that was given, as text.
    Approve(Approve),
    /// Nothing.
    Deny {
        /// The code of the request.
        code: String,
    },
    /// `Vec<QuestionView>`
    Questions,
    /// What was called, as text.
    AllowCall {
        /// The code of the question.
        code: String,
        /// Whether every such call is allowed.
        always: bool,
        /// The approval PIN.
        pin: SecretText,
    },
    /// What was called, as text.
    DenyCall {
        /// The code of the question.
        code: String,
        /// Whether every such call is denied.
        always: bool,
    },
    /// What the answer was about, as text.
    TakeBack {
        /// The answer, by the beginning of its identifier.
        answer: String,
    },
    /// `AgentRevoked`
    RevokeAgent {
        /// The agent, by name or the beginning of its identifier.
        agent: String,
    },
    /// How many things changed.
    SetPaused {
        /// What.
        target: PauseTarget,
        /// Paused or resumed.
        paused: bool,
    },
    /// Nothing.
    SetPin {
        /// The PIN before, where there is one.
        before: Option<SecretText>,
        /// The new one.
        pin: SecretText,
    },
    /// `AuditVerified`
    VerifyAudit,
    /// `Vec<AuditRowView>`
    Audit {
        /// How many rows at the most, the newest.
        limit: u32,
    },
    /// `ActivityPage`
    Activity(ActivityAsk),
    /// `LockView`
    ReleaseLock {
        /// The lock, by its path, its identifier, or the beginning of that.
        lock: String,
    },
    /// How many data keys were wrapped anew.
    RotateKeys {
        /// The new passphrase, where the store's key comes from one.
        passphrase: Option<SecretText>,
    },
    /// Nothing: the broker stops.
    Stop,
}
