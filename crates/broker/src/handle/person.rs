//! For the person, through the control socket or the window.

use doorward_core::asking::Reply as Said;
use doorward_core::grant::{Door, Policy};
use doorward_core::name::{ClaimedName, Name};
use doorward_core::problem::Refusal;
use doorward_core::secret::{Passphrase, Pin};

use super::Handle;
use crate::actor::{LockMessage, PersonMessage};
use crate::views::{
    ActivityAsk, ActivityPage, AgentAdded, AgentRevoked, AgentView, AuditRowView, AuditVerified,
    ConnectionView, ConsentStarted, Disconnected, LockView, QuestionView, RequestView, Status,
};

/// What a person asks to connect.
#[derive(Clone, Debug)]
pub struct ConnectAsk {
    /// A manifest's name, or the address of an OAuth issuer. Left out: that of the connection `name`.
    pub provider: Option<String>,
    /// Another address for the manifest's provider.
    pub base: Option<String>,
    /// The scope; the manifest's default where it is left out.
    pub scope: Option<String>,
    /// Whether only reading is asked for.
    pub read_only: bool,
    /// The tenant; `personal` where it is left out.
    pub tenant: Option<Name>,
    /// The connection's name; the provider's where it is left out.
    pub name: Option<Name>,
    /// The name the consent page shows for who will act.
    pub agent_name: Option<String>,
}

/// What makes sure that a person approves.
pub enum Proof {
    /// The person answered in the window of the process that holds the broker. Nothing that comes over a socket can
    /// be this.
    Window,
    /// The person typed the approval PIN on a terminal.
    Pin(Pin),
}

/// A person's answer to an approval request: as asked where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Another connection than the one asked for.
    pub connection: Option<Name>,
    /// Other doors than those asked for.
    pub doors: Option<Vec<Door>>,
    /// Limits.
    pub policy: Policy,
    /// For how long.
    pub lifetime: Option<LifetimeAsk>,
}

/// For how long a person gives something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum LifetimeAsk {
    /// Until revoked.
    UntilRevoked,
    /// For an hour.
    Hour,
    /// Until the day ends at this machine's place.
    Today,
    /// While the program that asked runs.
    WhileRunning,
}

/// What is paused or resumed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PauseTarget {
    /// An agent, by name or the beginning of its identifier.
    Agent(String),
    /// A connection.
    Connection(Name),
    /// Every agent.
    AllAgents,
}

impl Handle {
    /// How the broker is.
    pub async fn status(&self) -> Result<Status, Refusal> {
        self.ask(|reply| PersonMessage::Status { reply }).await
    }

    /// Says where the gateway listens, so that the status can tell.
    pub async fn listening_at(&self, url: String) -> Result<(), Refusal> {
        self.ask(|reply| PersonMessage::ListeningAt { url, reply })
            .await
    }

    /// Opens the store. A passphrase is needed where the store's key comes from one.
    pub async fn unlock(&self, passphrase: Option<Passphrase>) -> Result<(), Refusal> {
        self.ask(|reply| PersonMessage::Unlock { passphrase, reply })
            .await
    }

    /// All connections.
    pub async fn connections(&self) -> Result<Vec<ConnectionView>, Refusal> {
        self.ask(|reply| PersonMessage::Connections { reply }).await
    }

    /// Starts a consent: discovers the provider, registers where needed, listens for the answer.
    pub async fn connect(&self, ask: ConnectAsk) -> Result<ConsentStarted, Refusal> {
        self.ask(|reply| PersonMessage::Connect { ask, reply })
            .await
    }

    /// Waits for a consent's end.
    pub async fn connected(&self, flow: String) -> Result<ConnectionView, Refusal> {
        self.ask(|reply| PersonMessage::AwaitConsent { flow, reply })
            .await
    }

    /// The person pastes the address that the browser was sent back to.
    pub async fn paste(&self, flow: String, address: String) -> Result<ConnectionView, Refusal> {
        self.ask(|reply| PersonMessage::Paste {
            flow,
            address,
            reply,
        })
        .await
    }

    /// The person gives a consent up.
    pub async fn cancel(&self, flow: String) -> Result<(), Refusal> {
        self.ask(|reply| PersonMessage::Cancel { flow, reply })
            .await
    }

    /// Ends a connection: agents at once, the provider as soon as it answers.
    pub async fn disconnect(&self, name: Name) -> Result<Disconnected, Refusal> {
        self.ask(|reply| PersonMessage::Disconnect { name, reply })
            .await
    }

    /// Tries a connection again whose tries have halted or wait. Answers how it is if it works after that, else why it
    /// does not.
    pub async fn retry(&self, name: Name) -> Result<ConnectionView, Refusal> {
        self.ask(|reply| PersonMessage::Retry { name, reply }).await
    }

    /// All agents.
    pub async fn agents(&self) -> Result<Vec<AgentView>, Refusal> {
        self.ask(|reply| PersonMessage::Agents { reply }).await
    }

    /// Adds an agent by hand. `terms.connection` is needed.
    pub async fn add_agent(
        &self,
        name: &str,
        terms: Terms,
        proof: Proof,
    ) -> Result<AgentAdded, Refusal> {
        let name = ClaimedName::clean(name);
        self.ask(|reply| PersonMessage::AddAgent {
            name,
            terms,
            proof,
            reply,
        })
        .await
    }

    /// Adds an agent whose key reads the metrics and opens nothing else.
    pub async fn add_metrics_reader(
        &self,
        name: &str,
        lifetime: Option<LifetimeAsk>,
        proof: Proof,
    ) -> Result<AgentAdded, Refusal> {
        let name = ClaimedName::clean(name);
        self.ask(|reply| PersonMessage::AddMetricsReader {
            name,
            lifetime,
            proof,
            reply,
        })
        .await
    }

    /// The approval requests that wait.
    pub async fn requests(&self) -> Result<Vec<RequestView>, Refusal> {
        self.ask(|reply| PersonMessage::Requests { reply }).await
    }

    /// Approves a request. Returns the scope that was given.
    pub async fn approve(
        &self,
        code: String,
        terms: Terms,
        proof: Proof,
    ) -> Result<String, Refusal> {
        self.ask(|reply| PersonMessage::Approve {
            code,
            terms,
            proof,
            reply,
        })
        .await
    }

    /// Denies a request.
    pub async fn deny(&self, code: String) -> Result<(), Refusal> {
        self.ask(|reply| PersonMessage::Deny { code, reply }).await
    }

    /// The questions about single calls that wait.
    pub async fn questions(&self) -> Result<Vec<QuestionView>, Refusal> {
        self.ask(|reply| PersonMessage::Questions { reply }).await
    }

    /// Allows a call: the next such one, or every one. Returns what was called.
    pub async fn allow_call(
        &self,
        code: String,
        always: bool,
        proof: Proof,
    ) -> Result<String, Refusal> {
        let said = if always { Said::Always } else { Said::Once };
        self.ask(|reply| PersonMessage::AllowCall {
            code,
            said,
            proof,
            reply,
        })
        .await
    }

    /// Denies a call: for ten minutes, or for good. Returns what was called.
    pub async fn deny_call(&self, code: String, always: bool) -> Result<String, Refusal> {
        let said = if always { Said::DenyAlways } else { Said::Deny };
        self.ask(|reply| PersonMessage::DenyCall { code, said, reply })
            .await
    }

    /// Takes a lasting answer back, by its identifier or the beginning of it. Returns what it was about.
    pub async fn take_back(&self, answer: String) -> Result<String, Refusal> {
        self.ask(|reply| PersonMessage::TakeBack { answer, reply })
            .await
    }

    /// Revokes an agent, named or by the beginning of its identifier.
    pub async fn revoke_agent(&self, agent: String) -> Result<AgentRevoked, Refusal> {
        self.ask(|reply| PersonMessage::RevokeAgent { agent, reply })
            .await
    }

    /// Pauses or resumes. Returns how many things changed.
    pub async fn set_paused(&self, target: PauseTarget, paused: bool) -> Result<usize, Refusal> {
        self.ask(|reply| PersonMessage::SetPaused {
            target,
            paused,
            reply,
        })
        .await
    }

    /// Sets the approval PIN; the one before is needed where there is one.
    pub async fn set_pin(&self, before: Option<Pin>, pin: Pin) -> Result<(), Refusal> {
        self.ask(|reply| PersonMessage::SetPin { before, pin, reply })
            .await
    }

    /// Verifies the audit log.
    pub async fn verify_audit(&self) -> Result<AuditVerified, Refusal> {
        self.ask(|reply| PersonMessage::VerifyAudit { reply }).await
    }

    /// The newest rows of the audit log, oldest first.
    pub async fn audit(&self, limit: u32) -> Result<Vec<AuditRowView>, Refusal> {
        self.ask(|reply| PersonMessage::Audit { limit, reply })
            .await
    }

    /// A page of the audit log, the newest row first, as far as what is asked for.
    pub async fn activity(&self, ask: ActivityAsk) -> Result<ActivityPage, Refusal> {
        self.ask(|reply| PersonMessage::Activity { ask, reply })
            .await
    }

    /// A person wants a lock given back that an agent holds: named by its path, or by its identifier or the beginning of
    /// it. Answers once that is written down; the provider is told next.
    pub async fn release_lock(&self, lock: String) -> Result<LockView, Refusal> {
        self.ask(|reply| LockMessage::WantedBack { lock, reply })
            .await
    }

    /// Replaces the key-encryption key and wraps every data key anew. Returns how many.
    pub async fn rotate_keys(&self, passphrase: Option<Passphrase>) -> Result<usize, Refusal> {
        self.ask(|reply| PersonMessage::RotateKeys { passphrase, reply })
            .await
    }

    /// Tells when something was published that a person may want to see again. The number only
    /// grows; what it stands for is read through the other calls.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Waits until something was published since `seen`, and tells the number that stands for it.
    pub async fn await_change(&self, seen: Option<u64>) -> Result<u64, Refusal> {
        let mut changes = self.changes();
        let number = changes.wait_for(|number| Some(*number) != seen).await;
        number.map(|number| *number).map_err(|_| super::stopped())
    }

    /// Stops the broker after what is under way in the store.
    pub async fn stop(&self) {
        // A broker that has stopped already cannot be stopped again; either way it is stopped.
        let _stopped: Result<(), Refusal> = self.ask(|reply| PersonMessage::Stop { reply }).await;
    }
}
