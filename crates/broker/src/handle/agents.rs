//! For agents, through the gateway.

use std::time::Duration;

use doorward_core::decide::asking;
use doorward_core::decide::calling::Question;
use doorward_core::decide::locking::LockNews;
use doorward_core::decide::serving::{self, Caller};
use doorward_core::ids::{AgentId, ConnectionId};
use doorward_core::key::{AgentKey, KeyHash};
use doorward_core::name::{ClaimedName, Name};
use doorward_core::pairing::{Program, Wanted};
use doorward_core::problem::{Code, Refusal};
use doorward_core::secret::{AccessToken, DeviceCode};
use doorward_core::time::Timestamp;

use super::Handle;
use crate::actor::{AgentMessage, CallAsk, LockMessage};
use crate::metrics::Metrics;
use crate::views::{AgentConnection, TokenAnswer};

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

/// How long a caller waits where it says nothing.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

impl Handle {
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

    /// Who a caller is by now: what it holds open ends with its key. It is no use of the key.
    pub fn still(&self, caller: &Caller) -> Result<Caller, Refusal> {
        self.shared.published.load().still(self.now(), caller)
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

    /// Asks a person whether this one call may go on, and waits for the answer as long as the caller does. What a
    /// person said for good is found in the published copy.
    pub async fn ask_person(
        &self,
        caller: &Caller,
        connection: &Name,
        question: Question,
        patience: Option<Duration>,
    ) -> Result<(), Refusal> {
        if let Some(answer) = self.settled_call(caller, connection, &question) {
            return answer;
        }
        let pending = asking::pending(&question, connection);
        let asked = self.ask(|reply| {
            AgentMessage::AskCall(Box::new(CallAsk {
                caller: caller.clone(),
                connection: connection.clone(),
                question,
                reply,
            }))
        });
        let patience = patience.unwrap_or(DEFAULT_PATIENCE);
        let heard = tokio::time::timeout(patience, asked).await;
        heard.unwrap_or(Err(pending))
    }

    /// What a person has said about a call already, where nothing has to be written for it.
    pub(crate) fn settled_call(
        &self,
        caller: &Caller,
        connection: &Name,
        question: &Question,
    ) -> Option<Result<(), Refusal>> {
        let published = self.shared.published.load();
        let settled = published.settled_call(self.now(), caller, connection, question);
        settled.unwrap_or_else(|refusal| Some(Err(refusal)))
    }

    /// An agent's call did something with a lock at the provider. Once this has answered it is remembered, so whoever
    /// passes a lock's token on waits for it.
    pub async fn hear_of_lock(
        &self,
        caller: &Caller,
        connection: ConnectionId,
        news: LockNews,
    ) -> Result<(), Refusal> {
        self.ask(|reply| LockMessage::Heard {
            caller: caller.clone(),
            connection,
            news,
            reply,
        })
        .await
    }

    /// A caller's connections.
    pub fn connections_of(&self, caller: &Caller) -> Result<Vec<AgentConnection>, Refusal> {
        let published = self.shared.published.load();
        published.check_unlocked()?;
        serving::check_uses_connections(caller)?;
        Ok(published.connections_of(caller, self.now()))
    }

    /// How Doorward is, in numbers, for a caller that may read them.
    pub fn metrics(&self, caller: &Caller) -> Result<Metrics, Refusal> {
        let published = self.shared.published.load();
        published.check_unlocked()?;
        serving::check_reads_metrics(caller)?;
        Ok(published.metrics(self.now()))
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
