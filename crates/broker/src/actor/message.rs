//! What the mailbox takes, and where each message goes.

use std::sync::Arc;

use doorward_core::connection::Mark;
use doorward_core::consent::CallbackParameters;
use doorward_core::decide::connecting::Learned;
use doorward_core::decide::revoking::RevocationOutcome;
use doorward_core::decide::serving::Caller;
use doorward_core::grant::ProgramId;
use doorward_core::ids::{AgentId, ConnectionId, FlowId, OutboxId};
use doorward_core::key::KeyHash;
use doorward_core::name::{ClaimedName, Name};
use doorward_core::pairing::{Program, Wanted};
use doorward_core::plan::Notice;
use doorward_core::problem::Refusal;
use doorward_core::secret::{Passphrase, Pin};
use doorward_core::token_reply::TokenSet;

use doorward_core::asking::Reply as Said;

use super::asking::CallAsk;
use super::connecting::Prepared;
use super::{Actor, LockMessage, reply};
use crate::courier::Flown;
use crate::handle::{
    ConnectAsk, DeviceAuthorization, LifetimeAsk, PauseTarget, PollAnswer, Proof, RegisteredClient,
    Rejection, Renewal, Reply, Terms, TokenAsk,
};
use crate::views::{
    ActivityAsk, ActivityPage, AgentAdded, AgentRevoked, AgentView, AuditRowView, AuditVerified,
    ConnectionView, ConsentStarted, Disconnected, QuestionView, RequestView, Status, TokenAnswer,
};

/// What the mailbox takes.
pub(crate) enum Message {
    Agent(AgentMessage),
    Person(PersonMessage),
    Lock(LockMessage),
    // What was under way and has come back.
    FlightEnded(FlightEnded),
    Prepared {
        result: Result<Box<Prepared>, Refusal>,
        reply: Reply<ConsentStarted>,
    },
    Answered {
        flow: FlowId,
        parameters: CallbackParameters,
        reply: Reply<ConnectionView>,
    },
    Exchanged {
        flow: FlowId,
        result: Result<Box<(TokenSet, Learned)>, Refusal>,
    },
    Revoked {
        item: OutboxId,
        outcome: RevocationOutcome,
    },
    ProgramEnded {
        program: ProgramId,
    },
    /// The wall clock was set, or the machine woke.
    ClockDisturbed,
}

/// What agents ask, through the gateway.
pub(crate) enum AgentMessage {
    Token {
        caller: Caller,
        ask: TokenAsk,
        reply: Reply<TokenAnswer>,
    },
    Rejected {
        caller: Caller,
        rejection: Rejection,
        reply: Reply<TokenAnswer>,
    },
    /// A token that can be sent is wanted, for the proxy door.
    Renew {
        renewal: Renewal,
        reply: Reply<()>,
    },
    /// A token ends soon, and nobody waits for the next.
    RenewSoon {
        connection: ConnectionId,
    },
    /// A page sent a person here, to answer for a connection.
    WindowWanted {
        connection: ConnectionId,
    },
    Register {
        name: ClaimedName,
        redirect_uris: Vec<String>,
        reply: Reply<RegisteredClient>,
    },
    AskApproval {
        client: AgentId,
        wanted: Vec<Wanted>,
        program: Option<Program>,
        reply: Reply<DeviceAuthorization>,
    },
    Poll {
        client: AgentId,
        device_code: KeyHash,
        reply: Reply<PollAnswer>,
    },
    RevokeKey {
        caller: Caller,
        hash: KeyHash,
        reply: Reply<()>,
    },
    AskCall(Box<CallAsk>),
}

impl From<AgentMessage> for Message {
    fn from(message: AgentMessage) -> Self {
        Self::Agent(message)
    }
}

/// What the person asks, through the control socket or the window.
pub(crate) enum PersonMessage {
    Status {
        reply: Reply<Status>,
    },
    ListeningAt {
        url: String,
        reply: Reply<()>,
    },
    Unlock {
        passphrase: Option<Passphrase>,
        reply: Reply<()>,
    },
    Connections {
        reply: Reply<Vec<ConnectionView>>,
    },
    Connect {
        ask: ConnectAsk,
        reply: Reply<ConsentStarted>,
    },
    AwaitConsent {
        flow: String,
        reply: Reply<ConnectionView>,
    },
    Paste {
        flow: String,
        address: String,
        reply: Reply<ConnectionView>,
    },
    Cancel {
        flow: String,
        reply: Reply<()>,
    },
    Disconnect {
        name: Name,
        reply: Reply<Disconnected>,
    },
    /// A connection is tried again now.
    Retry {
        name: Name,
        reply: Reply<ConnectionView>,
    },
    Agents {
        reply: Reply<Vec<AgentView>>,
    },
    AddAgent {
        name: ClaimedName,
        terms: Terms,
        proof: Proof,
        reply: Reply<AgentAdded>,
    },
    AddMetricsReader {
        name: ClaimedName,
        lifetime: Option<LifetimeAsk>,
        proof: Proof,
        reply: Reply<AgentAdded>,
    },
    Requests {
        reply: Reply<Vec<RequestView>>,
    },
    Approve {
        code: String,
        terms: Terms,
        proof: Proof,
        reply: Reply<String>,
    },
    Deny {
        code: String,
        reply: Reply<()>,
    },
    Questions {
        reply: Reply<Vec<QuestionView>>,
    },
    AllowCall {
        code: String,
        said: Said,
        proof: Proof,
        reply: Reply<String>,
    },
    DenyCall {
        code: String,
        said: Said,
        reply: Reply<String>,
    },
    TakeBack {
        answer: String,
        reply: Reply<String>,
    },
    RevokeAgent {
        agent: String,
        reply: Reply<AgentRevoked>,
    },
    SetPaused {
        target: PauseTarget,
        paused: bool,
        reply: Reply<usize>,
    },
    SetPin {
        before: Option<Pin>,
        pin: Pin,
        reply: Reply<()>,
    },
    VerifyAudit {
        reply: Reply<AuditVerified>,
    },
    Audit {
        limit: u32,
        reply: Reply<Vec<AuditRowView>>,
    },
    Activity {
        ask: ActivityAsk,
        reply: Reply<ActivityPage>,
    },
    RotateKeys {
        passphrase: Option<Passphrase>,
        reply: Reply<usize>,
    },
    Stop {
        reply: Reply<()>,
    },
}

impl From<PersonMessage> for Message {
    fn from(message: PersonMessage) -> Self {
        Self::Person(message)
    }
}

/// A flight that has come back.
pub(crate) struct FlightEnded {
    pub(crate) connection: ConnectionId,
    /// The mark it was begun under.
    pub(crate) mark: Mark,
    /// Whether the provider's own check refused the access token before the refresh was sent.
    pub(crate) access_is_dead: bool,
    /// What came of the refresh; nothing where the check found the access token good and none was sent.
    pub(crate) outcome: Option<Flown>,
}

impl Actor {
    /// Handles one message to its end.
    pub(crate) async fn handle(&mut self, message: Message) {
        match message {
            Message::Agent(message) => self.handle_agent(message).await,
            Message::Person(message) => self.handle_person(message).await,
            Message::Lock(message) => self.handle_lock(message).await,
            Message::FlightEnded(ended) => self.flight_ended(ended).await,
            Message::Prepared { result, reply } => self.prepared(result, reply).await,
            Message::Answered {
                flow,
                parameters,
                reply,
            } => self.answered(flow, &parameters, reply).await,
            Message::Exchanged { flow, result } => self.exchanged(flow, result).await,
            Message::Revoked { item, outcome } => self.revoked(item, outcome).await,
            Message::ProgramEnded { program } => self.program_ended(program).await,
            Message::ClockDisturbed => self.notice_clock().await,
        }
    }

    async fn handle_agent(&mut self, message: AgentMessage) {
        match message {
            AgentMessage::Token { caller, ask, reply } => self.token(caller, ask, reply).await,
            AgentMessage::Rejected {
                caller,
                rejection,
                reply,
            } => self.rejected(caller, rejection, reply).await,
            AgentMessage::Renew { renewal, reply } => self.renew(renewal, reply).await,
            AgentMessage::RenewSoon { connection } => self.renew_soon(connection).await,
            AgentMessage::WindowWanted { connection } => {
                self.shell.tell(&Notice::WindowWanted(connection));
            }
            AgentMessage::Register {
                name,
                redirect_uris,
                reply: to,
            } => reply(to, self.register(name, redirect_uris).await),
            AgentMessage::AskApproval {
                client,
                wanted,
                program,
                reply: to,
            } => {
                reply(to, self.ask_approval(client, wanted, program).await);
            }
            AgentMessage::Poll {
                client,
                device_code,
                reply: to,
            } => reply(to, self.poll(client, &device_code).await),
            AgentMessage::RevokeKey {
                caller,
                hash,
                reply: to,
            } => reply(to, self.revoke_key(&caller, &hash).await),
            AgentMessage::AskCall(ask) => self.ask_call(*ask).await,
        }
    }

    async fn handle_person(&mut self, message: PersonMessage) {
        match message {
            PersonMessage::Status { reply: to } => reply(to, self.status().await),
            PersonMessage::ListeningAt { url, reply: to } => {
                self.url = Some(url);
                reply(to, Ok(()));
            }
            PersonMessage::Unlock {
                passphrase,
                reply: to,
            } => reply(to, self.unlock(passphrase).await),
            PersonMessage::Connections { reply: to } => reply(to, self.connections()),
            PersonMessage::Connect { ask, reply } => self.connect(ask, reply),
            PersonMessage::AwaitConsent { flow, reply } => self.await_consent(&flow, reply),
            PersonMessage::Paste {
                flow,
                address,
                reply,
            } => self.paste(&flow, &address, reply).await,
            PersonMessage::Cancel { flow, reply: to } => reply(to, self.cancel(&flow)),
            PersonMessage::Disconnect { name, reply } => self.disconnect(&name, reply).await,
            PersonMessage::Retry { name, reply } => self.retry(&name, reply).await,
            PersonMessage::Agents { reply: to } => reply(to, self.agents()),
            PersonMessage::AddAgent {
                name,
                terms,
                proof,
                reply: to,
            } => reply(to, self.add_agent(name, terms, proof).await),
            PersonMessage::AddMetricsReader {
                name,
                lifetime,
                proof,
                reply: to,
            } => reply(to, self.add_metrics_reader(name, lifetime, proof).await),
            PersonMessage::Requests { reply: to } => reply(to, self.requests()),
            PersonMessage::Approve {
                code,
                terms,
                proof,
                reply: to,
            } => reply(to, self.approve(&code, terms, proof).await),
            PersonMessage::Deny { code, reply: to } => reply(to, self.deny(&code).await),
            PersonMessage::Questions { reply: to } => reply(to, self.questions()),
            PersonMessage::AllowCall {
                code,
                said,
                proof,
                reply: to,
            } => reply(to, self.allow_call(&code, said, proof).await),
            PersonMessage::DenyCall {
                code,
                said,
                reply: to,
            } => reply(to, self.deny_call(&code, said).await),
            PersonMessage::TakeBack { answer, reply: to } => {
                reply(to, self.take_back(&answer).await);
            }
            PersonMessage::RevokeAgent { agent, reply: to } => {
                reply(to, self.revoke_agent(&agent).await);
            }
            PersonMessage::SetPaused {
                target,
                paused,
                reply: to,
            } => reply(to, self.set_paused(target, paused).await),
            PersonMessage::SetPin {
                before,
                pin,
                reply: to,
            } => reply(to, self.set_pin(before, pin).await),
            PersonMessage::VerifyAudit { reply: to } => reply(to, self.verify_audit().await),
            PersonMessage::Audit { limit, reply: to } => reply(to, self.audit(limit).await),
            PersonMessage::Activity { ask, reply: to } => reply(to, self.activity(ask).await),
            PersonMessage::RotateKeys {
                passphrase,
                reply: to,
            } => reply(to, self.rotate_keys(passphrase).await),
            PersonMessage::Stop { reply } => self.stop(reply),
        }
    }

    /// Where the store is locked nothing that needs it goes on.
    pub(crate) fn check_unlocked(&self) -> Result<(), Refusal> {
        self.published.check_unlocked()
    }

    /// The published book, for decisions.
    pub(crate) fn book(&self) -> &doorward_core::book::Book {
        &self.published.book
    }

    /// A connection's row, kept alive while the book changes.
    pub(crate) fn connection(
        &self,
        id: ConnectionId,
    ) -> Option<Arc<doorward_core::connection::Connection>> {
        self.published.book.connection(id).cloned()
    }
}
