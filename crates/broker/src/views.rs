//! What a person and an agent are shown. Plain data for the command, the window and the gateway; never a secret, but
//! for the few answers whose purpose is to carry one, and those cannot be printed.

use std::sync::Arc;

use doorward_core::asking::Always;
use doorward_core::audit::AuditTopic;
use doorward_core::grant::{Door, Lifetime, Policy};
use doorward_core::health::Health;
use doorward_core::name::Name;
use doorward_core::pairing::Program;
use doorward_core::provider::Manifest;
use doorward_core::secret::AccessToken;
use doorward_core::tally::Rates;
use doorward_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A token for an agent (RFC 6749 §5.1).
pub struct TokenAnswer {
    /// The access token.
    pub access: Arc<AccessToken>,
    /// Its type.
    pub token_type: Arc<str>,
    /// Seconds until it ends, if that is known.
    pub expires_in: Option<u64>,
    /// What was granted.
    pub scope: Arc<str>,
    /// Whose it is.
    pub connection: Name,
}

/// A connection as its agent sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentConnection {
    /// Its name.
    pub name: Name,
    /// Its provider's name.
    pub provider: String,
    /// The doors this agent has.
    pub doors: Vec<Door>,
    /// What was granted.
    pub scopes: Vec<String>,
    /// Its health.
    pub health: Health,
}

/// A provider that can be connected, as the person sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct ProviderOffer {
    /// The name it is asked for by.
    pub name: String,
    /// The name shown to people.
    pub title: String,
    /// What can be asked for; nothing where the provider lists nothing.
    pub scopes: Vec<ScopeOffer>,
    /// What is asked for when the person chooses nothing.
    pub default_scope: String,
}

/// A scope word that can be asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct ScopeOffer {
    /// The word.
    pub word: String,
    /// What a person calls it.
    pub title: String,
    /// What choosing it means.
    pub explains: String,
}

impl From<Manifest> for ProviderOffer {
    fn from(manifest: Manifest) -> Self {
        let scopes = manifest.known_scopes.into_iter().map(|known| ScopeOffer {
            word: known.word,
            title: known.title,
            explains: known.explains,
        });
        Self {
            scopes: scopes.collect(),
            name: manifest.name,
            title: manifest.title,
            default_scope: manifest.default_scope,
        }
    }
}

/// How the broker is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct Status {
    /// The version of Doorward.
    pub version: String,
    /// The process that holds the broker.
    pub pid: u32,
    /// `unlocked`, `locked` or `new`.
    pub store: StoreState,
    /// Where the store's key comes from, once that was decided.
    pub keys: Option<String>,
    /// Whether an approval PIN is set; nothing while the store is locked.
    pub pin_set: Option<bool>,
    /// Where the gateway listens, if it does.
    pub url: Option<String>,
    /// How many connections there are.
    pub connections: usize,
    /// How many of them need a person.
    pub need_reconnect: usize,
    /// How many further connections a person has to look at, because the provider refuses to renew them.
    #[serde(default)]
    pub need_look: usize,
    /// For how many connections the tries have halted, because the provider does not answer.
    #[serde(default)]
    pub halted: usize,
    /// How many agents there are.
    pub agents: usize,
    /// How many approval requests wait.
    pub requests: usize,
    /// How many questions about single calls wait.
    #[serde(default)]
    pub questions: usize,
    /// How many revocations are owed to providers.
    pub revocations_owed: usize,
    /// How many connections' fresh tokens are in memory alone, because the store could not take them.
    #[serde(default)]
    pub tokens_unsaved: usize,
    /// The locks that agents hold at providers, the oldest first.
    #[serde(default)]
    pub locks: Vec<LockView>,
    /// Why the store is not open, and what to do, where it is not.
    pub locked_because: Option<doorward_core::problem::Refusal>,
}

/// Whether the store's secrets can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// They can.
    Unlocked,
    /// The key is not to be had.
    Locked,
    /// No key was made yet.
    New,
}

/// A connection as the person sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct ConnectionView {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: Name,
    /// Its tenant's name.
    pub tenant: Name,
    /// Its provider's name.
    pub provider: String,
    /// Its provider's title.
    pub provider_title: String,
    /// The provider's address.
    pub issuer: String,
    /// Whose account it is.
    pub account: Option<String>,
    /// The scope that was asked for.
    pub asked: String,
    /// Whether only reading was asked for.
    pub read_only: bool,
    /// What was granted.
    pub granted: Vec<String>,
    /// Whether the provider said what it granted.
    pub granted_stated: bool,
    /// Its health.
    pub health: Health,
    /// When a person last consented.
    pub connected_at: Timestamp,
    /// When its access token ends.
    pub access_expires_at: Option<Timestamp>,
    /// The last real call that succeeded.
    pub proven_at: Option<Timestamp>,
    /// How many agents may use it.
    pub agents: usize,
    /// Since when its health is as it is, as far as that is known.
    #[serde(default)]
    pub health_since: Option<Timestamp>,
    /// When it is refreshed next by itself, or tried again.
    #[serde(default)]
    pub next_refresh: Option<Timestamp>,
    /// What was seen last in a row of failures.
    #[serde(default)]
    pub last_error: Option<String>,
    /// How its refreshes went since Doorward started.
    #[serde(default)]
    pub rates: Rates,
}

/// A grant as the person sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct GrantView {
    /// Its identifier.
    pub id: String,
    /// The connection's name.
    pub connection: Name,
    /// The doors.
    pub doors: Vec<Door>,
    /// The limits.
    pub policy: Policy,
    /// How long it lasts.
    pub lifetime: Lifetime,
    /// What a person said for good about single calls, the newest first.
    #[serde(default)]
    pub answers: Vec<AnswerView>,
}

/// A lasting answer about one exact call, as the person sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct AnswerView {
    /// Its identifier.
    pub id: String,
    /// The call, without its arguments.
    pub what: String,
    /// What was said.
    pub says: Always,
    /// When.
    pub created_at: Timestamp,
}

/// An agent as the person sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct AgentView {
    /// Its identifier.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// Its tenant's name.
    pub tenant: Name,
    /// Whether it is paused.
    pub paused: bool,
    /// What it was given.
    pub grants: Vec<GrantView>,
    /// Whether a key of it reads the metrics.
    #[serde(default)]
    pub metrics: bool,
    /// How many keys it holds that open something.
    pub keys: usize,
    /// Its last use, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was let in.
    pub created_at: Timestamp,
    /// The locks that it holds at providers.
    #[serde(default)]
    pub holds: Vec<LockView>,
}

/// A lock that an agent holds, as the person sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct LockView {
    /// Its identifier.
    pub id: String,
    /// Who took it: the agent's identifier.
    pub agent: String,
    /// What that one calls itself; it may be revoked by now.
    pub agent_name: String,
    /// Through which connection.
    pub connection: Option<Name>,
    /// At which path of the provider's API.
    pub path: String,
    /// When it was taken.
    pub since: Timestamp,
    /// When it ends by itself, if the provider or the agent said so.
    pub until: Option<Timestamp>,
    /// Why it is being given back, where it is.
    pub returning: Option<String>,
    /// What was seen when that was tried last.
    pub last_error: Option<String>,
}

/// An approval request as the person sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct RequestView {
    /// Its identifier.
    pub id: String,
    /// What the agent calls itself.
    pub name: String,
    /// The code to compare.
    pub code: String,
    /// What it asks for, as `NAME:door`.
    pub wanted: Vec<String>,
    /// The program behind it.
    pub program: Option<Program>,
    /// When it asked.
    pub created_at: Timestamp,
    /// When no answer becomes a refusal.
    pub expires_at: Timestamp,
}

/// A call that an agent asks a person for, as the person sees it. What is called and with what are the agent's own
/// words: they are shown as text and never as anything else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct QuestionView {
    /// Its identifier.
    pub id: String,
    /// The code that names it at a terminal.
    pub code: String,
    /// What the agent calls itself.
    pub agent: String,
    /// The connection it would use.
    pub connection: Name,
    /// What is called: a method and a path, or a tool.
    pub what: String,
    /// With what: the body or the arguments.
    pub arguments: String,
    /// How many characters of it are not shown.
    pub unshown: usize,
    /// The program that calls, where it is known.
    pub program: Option<Program>,
    /// When it asked.
    pub created_at: Timestamp,
    /// When no answer becomes a refusal.
    pub expires_at: Timestamp,
}

/// A consent that was started: what will be asked, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct ConsentStarted {
    /// Names the consent in further calls.
    pub flow: String,
    /// The connection it is for.
    pub connection: Name,
    /// The provider's title.
    pub provider_title: String,
    /// The scope that is asked for.
    pub scope: String,
    /// Whether only reading is asked for.
    pub read_only: bool,
    /// The name the consent page shows.
    pub agent_name: String,
    /// The address to open in the browser.
    pub url: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a disconnection did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct Disconnected {
    /// The connection's name.
    pub name: Name,
    /// Until when an access token that was handed out may still work at the provider, if one was and that is known.
    pub handed_out_until: Option<Timestamp>,
    /// Whether the provider has confirmed the end; where it has not, the outbox goes on trying.
    pub confirmed: bool,
}

/// What revoking an agent did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct AgentRevoked {
    /// What it called itself.
    pub name: String,
    /// Access tokens it was handed that may still work at the provider: connection and end.
    pub handed_out: Vec<(Name, Option<Timestamp>)>,
}

/// An agent that a person added by hand. The key is shown once.
#[derive(Serialize, Deserialize)]
pub struct AgentAdded {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: String,
    /// What it was given.
    pub scope: String,
}

/// What verifying the audit log found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditVerified {
    /// How many rows were checked.
    pub rows: u64,
    /// What is wrong, if something is.
    pub fault: Option<AuditFaultView>,
}

/// Where the audit log does not verify.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditFaultView {
    /// The row's number.
    pub row: u64,
    /// `edited`, `missing`, `reordered`, `cut_off` or `head_forged`.
    pub what: String,
}

/// Which rows of the audit log a person wants to see.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct ActivityAsk {
    /// About that agent, by name or the beginning of its identifier.
    pub agent: Option<String>,
    /// About that connection.
    pub connection: Option<Name>,
    /// About that topic.
    pub topic: Option<AuditTopic>,
    /// Before the row of that number.
    pub before: Option<u64>,
    /// How many at the most.
    pub limit: u32,
    /// Whether the uses of this minute, which are written down when it is over, are written down now.
    #[serde(default)]
    pub up_to_now: bool,
}

/// A page of the audit log, the newest row first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct ActivityPage {
    /// The rows.
    pub rows: Vec<AuditRowView>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// A row of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct AuditRowView {
    /// Its number.
    pub row: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// In which tenant.
    pub tenant: Option<String>,
    /// To which connection.
    pub connection: Option<String>,
    /// By or to which agent.
    pub agent: Option<String>,
    /// Plain words about it.
    pub detail: std::collections::BTreeMap<String, String>,
    /// All of it as a sentence; names and paths of programs stand between backticks.
    #[serde(default)]
    pub says: String,
}
