//! The proxy door: an agent calls a provider, and the broker puts the credential in.

use std::borrow::Cow;
use std::time::Duration;

use doorward_core::api_path::ApiPath;
use doorward_core::connection::Connection;
use doorward_core::decide::calling::{self, Call, Question, Verdict};
use doorward_core::decide::locking::{self, Heard};
use doorward_core::decide::serving::{self, Caller};
use doorward_core::grant::{Door, Policy};
use doorward_core::ids::ConnectionId;
use doorward_core::name::Name;
use doorward_core::problem::{Code, Refusal};
use doorward_core::upstream::Upstream;
use http::{Method, Response};
use url::Url;

use super::Handle;
use crate::actor::{AgentMessage, Message};
use crate::upstream::{
    self, Base, CallFailure, CutBody, Exchange, Lease, Opened, Outgoing, SignedWith, is_meant,
};

/// A token is wanted that can be sent.
pub(crate) struct Renewal {
    pub(crate) caller: Caller,
    pub(crate) connection: Name,
    /// The generation whose token the provider refused.
    pub(crate) rejected: Option<u64>,
}

/// An agent that may use the proxy door of a connection.
pub struct Entry {
    handle: Handle,
    lease: Lease,
    /// Whether the credential is sent. Whoever comes with a one-time token is let through without.
    signs: bool,
}

impl Handle {
    /// Lets an agent in at the proxy door of a connection, if it may use that.
    pub fn enter(&self, caller: &Caller, name: &Name) -> Result<Entry, Refusal> {
        // Before the state is read, so that no change after it is missed.
        let changes = self.shared.changes.subscribe();
        let published = self.shared.published.load();
        published.check_unlocked()?;
        let (now, door) = (self.now(), Door::Proxy);
        let access = serving::access(&published.book, now, caller, Some(name), door)?;
        Ok(Entry {
            handle: self.clone(),
            lease: Lease {
                shared: std::sync::Arc::clone(&self.shared),
                caller: caller.clone(),
                connection: std::sync::Arc::clone(access.connection),
                grant: std::sync::Arc::clone(access.grant),
                changes,
            },
            signs: true,
        })
    }

    /// Lets whoever shows a one-time token through to the call that it opens, if the token was handed to an agent here
    /// that still may use the connection.
    pub fn enter_by_ticket(
        &self,
        name: &Name,
        method: &Method,
        path: &ApiPath,
        token: &str,
    ) -> Result<Entry, Refusal> {
        let refused = || {
            serving::unauthenticated(
                "The request shows no agent key, and no one-time token that opens this.",
            )
        };
        let handed = self
            .shared
            .traffic
            .tickets
            .find(token, self.now())
            .filter(|handed| is_meant(&handed.opens, method, path))
            .ok_or_else(refused)?;
        let caller = self.still(&handed.caller)?;
        let entry = self.enter(&caller, name)?;
        if entry.lease.connection.id != handed.connection {
            return Err(refused());
        }
        Ok(Entry {
            signs: false,
            ..entry
        })
    }

    /// Waits for a token that can be sent.
    pub(crate) async fn renew(
        &self,
        caller: &Caller,
        connection: &Name,
        rejected: Option<u64>,
        patience: Duration,
    ) -> Result<(), Refusal> {
        let renewal = Renewal {
            caller: caller.clone(),
            connection: connection.clone(),
            rejected,
        };
        let asked = self.ask(|reply| AgentMessage::Renew { renewal, reply });
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Refusal::new(
                Code::ProviderUnavailable,
                format!("The token of `{connection}` is being renewed, and that takes longer."),
                "Ask again; Doorward goes on by itself, and nothing was lost.",
            )
            .retry_after(Duration::from_secs(1))),
        }
    }

    /// A page sent a person here, to answer for a connection: the window comes forward. Where the mailbox is full, it
    /// does so the next time.
    pub fn want_window(&self, connection: ConnectionId) {
        let message = AgentMessage::WindowWanted { connection };
        let _full = self.mailbox.try_send(Message::Agent(message));
    }

    /// Begins a refresh that nobody waits for. Where the mailbox is full the next call asks again.
    pub(crate) fn renew_soon(&self, connection: ConnectionId) {
        let message = AgentMessage::RenewSoon { connection };
        let _full = self.mailbox.try_send(Message::Agent(message));
    }
}

impl Entry {
    /// The connection, as it was when the agent was let in.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.lease.connection
    }

    /// The policy of the agent's grant.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.lease.grant.rights.policy()
    }

    /// What lies behind the door.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.lease.connection.provider.upstream
    }

    /// The agent that was let in.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.lease.caller
    }

    /// Where a call of the REST API goes: the base, and what follows it.
    #[must_use]
    pub fn base_of<'a>(&self, path: &'a ApiPath) -> (Base, &'a str) {
        let sent = path.as_sent();
        let mut bases = self.upstream().bases.iter().enumerate();
        let found = bases.find_map(|(place, base)| {
            let rest = sent.strip_prefix(base.prefix.as_str())?;
            Some((Base::Other(place), rest))
        });
        found.unwrap_or((Base::Api, sent))
    }

    /// The address of a base, if the provider has it.
    #[must_use]
    pub fn address_of(&self, base: Base) -> Option<Cow<'_, Url>> {
        upstream::address(&self.lease.connection, base).map(|(address, _)| address)
    }

    /// How paths at the door begin that go to a base.
    #[must_use]
    pub fn prefix_of(&self, base: Base) -> &str {
        match base {
            Base::Other(place) => {
                let other = self.upstream().bases.get(place);
                other.map_or("", |base| base.prefix.as_str())
            }
            Base::Api | Base::Mcp | Base::Sse | Base::BesideMcp | Base::BesideSse => "",
        }
    }

    /// What the agent's policy says of a call.
    #[must_use]
    pub fn judge(&self, call: &Call<'_>) -> Verdict {
        calling::judge(self.policy(), self.upstream(), call)
    }

    /// Whether a call is about a lock, so that its answer is worth reading.
    #[must_use]
    pub fn is_about_a_lock(&self, call: &Call<'_>) -> bool {
        locking::concerns(self.upstream(), call)
    }

    /// A tool's result has come. A lock that it tells of is remembered once this has answered, so the result is passed
    /// on after it. Calls of the REST API are heard by themselves.
    pub async fn hear_of_lock(&self, heard: Heard<'_>) {
        upstream::hear(&self.handle, &self.lease, heard).await;
    }

    /// What a person has said about a call already, where it need not be asked again.
    #[must_use]
    pub fn settled(&self, question: &Question) -> Option<Result<(), Refusal>> {
        let (caller, name) = (&self.lease.caller, &self.lease.connection.name);
        self.handle.settled_call(caller, name, question)
    }

    /// Asks a person about a call.
    pub async fn ask(&self, question: Question, patience: Option<Duration>) -> Result<(), Refusal> {
        let name = &self.lease.connection.name;
        self.handle
            .ask_person(&self.lease.caller, name, question, patience)
            .await
    }

    /// Sends a call with the credential and sees it through.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Response<CutBody>, CallFailure> {
        let mut exchange = self.begin(outgoing)?;
        match exchange.run().await {
            Ok(answer) => Ok(exchange.finish(answer)),
            Err(failure) => Err(exchange.fail(failure)),
        }
    }

    /// An answer said inside itself that the credential was not taken: has it renewed, unless that happened since.
    pub async fn renew(
        &self,
        refused: SignedWith,
        patience: Option<Duration>,
    ) -> Result<(), Refusal> {
        let (caller, name) = (&self.lease.caller, &self.lease.connection.name);
        let patience = patience.unwrap_or(super::DEFAULT_PATIENCE);
        self.handle
            .renew(caller, name, Some(refused.0), patience)
            .await
    }

    /// Sends a call that asks for a WebSocket.
    pub async fn open(&self, outgoing: Outgoing) -> Result<Opened, CallFailure> {
        let mut exchange = self.begin(outgoing)?;
        match exchange.run().await {
            Ok(answer) => Ok(upstream::open(exchange, answer)),
            Err(failure) => Err(exchange.fail(failure)),
        }
    }

    fn begin(&self, outgoing: Outgoing) -> Result<Exchange<'_>, CallFailure> {
        Exchange::begin(&self.handle, self.lease.clone(), outgoing, self.signs).map_err(Into::into)
    }
}
