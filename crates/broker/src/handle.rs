//! What everyone else holds of the broker: cheap to clone, and the whole of its API.
//!
//! The first half is for agents, through the gateway; the second for the person, through the control socket or the
//! window. A warm token is answered from the published copy; everything else goes through the mailbox.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::decide::serving::{self, Caller};
use doorward_core::grant::{Door, Policy};
use doorward_core::ids::AgentId;
use doorward_core::key::{AgentKey, KeyHash};
use doorward_core::name::{ClaimedName, Name};
use doorward_core::pairing::{Program, Wanted};
use doorward_core::problem::{Code, Refusal};
use doorward_core::secret::{AccessToken, DeviceCode, Passphrase, Pin};
use doorward_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::actor::{AgentMessage, Message, PersonMessage};
use crate::clock::Clock;
use crate::published::Published;
use crate::views::{
    AgentAdded, AgentConnection, AgentRevoked, AgentView, AuditRowView, AuditVerified,
    ConnectionView, ConsentStarted, Disconnected, RequestView, Status, TokenAnswer,
};

/// An answer on its way back from the mailbox.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// Shared by all handles.
pub(crate) struct Shared {
    pub(crate) published: arc_swap::ArcSwap<Published>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) changes: tokio::sync::watch::Sender<u64>,
}

/// The broker, as its callers hold it.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mailbox: mpsc::Sender<Message>,
}

/// What an agent asks a token for.
#[derive(Clone, Debug, Default)]
pub struct TokenAsk {
    /// The connection; may be left out when there is just one.
    pub connection: Option<Name>,
    /// RFC 8707's resource.
    pub resource: Option<String>,
    /// How long the token must still be valid.
    pub min_valid: Option<Duration>,
    /// How long the caller waits at most.
    pub patience: Option<Duration>,
}

/// A token that the API refused.
pub struct Rejection {
    /// The connection it was for.
    pub connection: Name,
    /// The token.
    pub access: AccessToken,
    /// The HTTP status the API answered.
    pub status: Option<u16>,
    /// The error code the API answered.
    pub code: Option<String>,
    /// How long the caller waits at most.
    pub patience: Option<Duration>,
}

/// A client that registered (RFC 7591).
#[derive(Clone, Debug)]
pub struct RegisteredClient {
    /// Its `client_id`.
    pub id: AgentId,
    /// Its cleaned name.
    pub name: ClaimedName,
    /// Where its browser flow may end.
    pub redirect_uris: Vec<String>,
    /// When it registered.
    pub created_at: Timestamp,
}

/// The answer to a device authorization request (RFC 8628 §3.2).
pub struct DeviceAuthorization {
    /// What the agent polls with.
    pub device_code: DeviceCode,
    /// What the person compares.
    pub user_code: String,
    /// How long it lives.
    pub expires_in: Duration,
    /// How often the agent may poll.
    pub interval: Duration,
}

/// What an agent that polls is told (RFC 8628 §3.5).
pub enum PollAnswer {
    /// `authorization_pending`
    Pending,
    /// `slow_down`
    SlowDown,
    /// `access_denied`
    Denied,
    /// `expired_token`
    Expired,
    /// `invalid_grant`
    Unknown,
    /// The key.
    Issued {
        /// Its text, shown this once.
        key: AgentKey,
        /// What was given.
        scope: String,
        /// Seconds until it ends, if it does.
        expires_in: Option<u64>,
    },
}

/// What introspection tells of a caller's own key (RFC 7662).
#[derive(Clone, Debug)]
pub struct Introspection {
    /// The agent's identifier.
    pub client_id: AgentId,
    /// What the agent calls itself.
    pub name: ClaimedName,
    /// What it may use.
    pub scope: String,
    /// When the key was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

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
#[serde(rename_all = "snake_case")]
pub enum PauseTarget {
    /// An agent, by name or the beginning of its identifier.
    Agent(String),
    /// A connection.
    Connection(Name),
    /// Every agent.
    AllAgents,
}

/// How long a caller waits where it says nothing.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

/// For agents.
impl Handle {
    /// The moment now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Who shows this key.
    pub fn authenticate(&self, key: &str) -> Result<Caller, Refusal> {
        if !AgentKey::is_well_formed(key) {
            return Err(serving::unauthenticated("That is not an agent key."));
        }
        self.shared
            .published
            .load()
            .authenticate(self.now(), &KeyHash::of(key))
    }

    /// Where the store is locked: why. Every route that needs the store asks this first.
    pub fn check_unlocked(&self) -> Result<(), Refusal> {
        self.shared.published.load().check_unlocked()
    }

    /// A token for a caller. Warm, it is answered from the published copy.
    pub async fn token(&self, caller: &Caller, ask: TokenAsk) -> Result<TokenAnswer, Refusal> {
        let now = self.now();
        if let Some(answer) = self.shared.published.load().warm_token(now, caller, &ask)? {
            return Ok(answer);
        }
        let patience = ask.patience.unwrap_or(DEFAULT_PATIENCE);
        let fallback = ask.clone();
        let asked = self.ask(|reply| AgentMessage::Token {
            caller: caller.clone(),
            ask,
            reply,
        });
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer,
            Err(_) => {
                self.shared
                    .published
                    .load()
                    .token_after_patience(self.now(), caller, &fallback)
            }
        }
    }

    /// The API refused a token.
    pub async fn token_rejected(
        &self,
        caller: &Caller,
        rejection: Rejection,
    ) -> Result<TokenAnswer, Refusal> {
        let patience = rejection.patience.unwrap_or(DEFAULT_PATIENCE);
        let fallback = TokenAsk {
            connection: Some(rejection.connection.clone()),
            ..TokenAsk::default()
        };
        let asked = self.ask(|reply| AgentMessage::Rejected {
            caller: caller.clone(),
            rejection,
            reply,
        });
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer,
            Err(_) => {
                self.shared
                    .published
                    .load()
                    .token_after_patience(self.now(), caller, &fallback)
            }
        }
    }

    /// A caller's connections.
    pub fn connections_of(&self, caller: &Caller) -> Result<Vec<AgentConnection>, Refusal> {
        let published = self.shared.published.load();
        published.check_unlocked()?;
        Ok(published.connections_of(caller, self.now()))
    }

    /// A program registers as a local client (RFC 7591).
    pub async fn register_client(
        &self,
        name: &str,
        redirect_uris: Vec<String>,
    ) -> Result<RegisteredClient, Refusal> {
        let name = ClaimedName::clean(name);
        self.ask(|reply| AgentMessage::Register {
            name,
            redirect_uris,
            reply,
        })
        .await
    }

    /// A client asks a person for a grant (RFC 8628).
    pub async fn ask_approval(
        &self,
        client: AgentId,
        wanted: Vec<Wanted>,
        program: Option<Program>,
    ) -> Result<DeviceAuthorization, Refusal> {
        self.ask(|reply| AgentMessage::AskApproval {
            client,
            wanted,
            program,
            reply,
        })
        .await
    }

    /// A client polls.
    pub async fn poll(&self, client: AgentId, device_code: &str) -> Result<PollAnswer, Refusal> {
        let device_code = KeyHash::of(device_code);
        self.ask(|reply| AgentMessage::Poll {
            client,
            device_code,
            reply,
        })
        .await
    }

    /// A caller ends a key of its own (RFC 7009). Whether there was such a key is not told.
    pub async fn revoke_key(&self, caller: &Caller, key: &str) -> Result<(), Refusal> {
        let hash = KeyHash::of(key);
        self.ask(|reply| AgentMessage::RevokeKey {
            caller: caller.clone(),
            hash,
            reply,
        })
        .await
    }

    /// What a caller's own key is (RFC 7662); nothing for any other.
    #[must_use]
    pub fn introspect(&self, caller: &Caller, key: &str) -> Option<Introspection> {
        self.shared
            .published
            .load()
            .introspect(self.now(), caller, &KeyHash::of(key))
    }

    /// A refusal was answered: counted for the audit log, which it reaches within a minute.
    pub fn count_refusal(&self, caller: Option<&Caller>, code: Code) {
        self.shared.published.load().count_refusal(caller, code);
    }
}

/// For the person.
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

    /// Stops the broker after what is under way in the store.
    pub async fn stop(&self) {
        // A broker that has stopped already cannot be stopped again; either way it is stopped.
        let _stopped: Result<(), Refusal> = self.ask(|reply| PersonMessage::Stop { reply }).await;
    }

    async fn ask<T, M: Into<Message>>(
        &self,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.mailbox
            .send(message(reply).into())
            .await
            .map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> Refusal {
    Refusal::new(
        Code::Internal,
        "Doorward is stopping.",
        "Start it again with `doorward serve`, then retry.",
    )
}
