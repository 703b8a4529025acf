//! How the book may change. The store writes a list of changes in one transaction; the book applies the same list
//! after it was written, so that what is in memory is never ahead of what is on disk.

use crate::agent::{Agent, Client};
use crate::asking::{Answer, AskedCall};
use crate::connection::{Connection, Tenant};
use crate::grant::Grant;
use crate::ids::{
    AgentId, AnswerId, ConnectionId, FlightId, GrantId, KeyId, LockId, OutboxId, QuestionId,
    RequestId, TenantId,
};
use crate::key::KeyRecord;
use crate::lock::HeldLock;
use crate::outbox::OutboxItem;
use crate::pairing::ApprovalRequest;
use crate::registration::Registration;
use crate::secret::{
    AccessToken, ClientSecret, FlightKey, LockToken, RefreshToken, RegistrationToken,
};

/// Where the tokens of an outbox item come from.
pub enum OutboxTokens {
    /// The connection's stored tokens, which are moved.
    Stored,
    /// Tokens that were never stored with the connection.
    Given {
        /// The access token.
        access: AccessToken,
        /// The refresh token.
        refresh: Option<RefreshToken>,
    },
}

/// One change. `…Put` writes a whole row, new or not.
pub enum Change {
    /// A tenant.
    TenantPut(Tenant),
    /// A registration of ours at a provider, with its secrets to seal.
    RegistrationPut {
        /// The row.
        registration: Registration,
        /// Its secret.
        secret: Option<ClientSecret>,
        /// What manages it.
        token: Option<RegistrationToken>,
    },
    /// A connection, without its tokens.
    ConnectionPut(Box<Connection>),
    /// A connection's tokens of a generation, to seal in place of the older ones. No refresh token keeps the stored
    /// one, sealed again for this generation.
    TokensPut {
        /// The tenant the sealed values are bound to.
        tenant: TenantId,
        /// The connection they are bound to.
        connection: ConnectionId,
        /// The generation they are bound to.
        generation: u64,
        /// The access token.
        access: std::sync::Arc<AccessToken>,
        /// The refresh token.
        refresh: Option<std::sync::Arc<RefreshToken>>,
    },
    /// The key of a flight that is about to begin, to seal in the row of its mark. It is erased with the mark: by any
    /// row of the connection that does not carry it.
    FlightKeyPut {
        /// The tenant the sealed key is bound to.
        tenant: TenantId,
        /// The connection it is bound to.
        connection: ConnectionId,
        /// The generation it is bound to.
        generation: u64,
        /// The flight it is bound to.
        flight: FlightId,
        /// The key.
        key: std::sync::Arc<FlightKey>,
    },
    /// A connection's tokens are erased.
    TokensErased {
        /// The tenant.
        tenant: TenantId,
        /// The connection.
        connection: ConnectionId,
    },
    /// A connection and its tokens are erased. Its data key and its locks go too, unless the outbox still needs them.
    ConnectionErased {
        /// The tenant.
        tenant: TenantId,
        /// The connection.
        connection: ConnectionId,
    },
    /// A revocation is owed.
    OutboxAdded {
        /// The item.
        item: Box<OutboxItem>,
        /// Its tokens.
        tokens: OutboxTokens,
    },
    /// A revocation was tried.
    OutboxPut(Box<OutboxItem>),
    /// A revocation is done: its tokens are erased, and with the last of them the data key and the locks.
    OutboxErased {
        /// The tenant.
        tenant: TenantId,
        /// The item.
        item: OutboxId,
    },
    /// An agent took a lock, whose token is to be sealed.
    LockTaken {
        /// The lock.
        lock: Box<HeldLock>,
        /// Its token.
        token: LockToken,
    },
    /// A lock that is known, without its token.
    LockPut(Box<HeldLock>),
    /// A lock is over: its token is erased.
    LockErased {
        /// The tenant.
        tenant: TenantId,
        /// The lock.
        lock: LockId,
    },
    /// A local client without rights.
    ClientPut(Client),
    /// A local client is forgotten.
    ClientErased(AgentId),
    /// An agent.
    AgentPut(Agent),
    /// An agent is forgotten, with its grants. Its keys stay, revoked, until they are swept.
    AgentErased {
        /// The tenant.
        tenant: TenantId,
        /// The agent.
        agent: AgentId,
    },
    /// An agent key.
    KeyPut(KeyRecord),
    /// An agent key that has opened nothing for long is forgotten.
    KeyErased(KeyId),
    /// A grant.
    GrantPut {
        /// The tenant of its agent and connection.
        tenant: TenantId,
        /// The grant.
        grant: Grant,
    },
    /// A grant is over.
    GrantErased {
        /// The tenant.
        tenant: TenantId,
        /// The grant.
        grant: GrantId,
    },
    /// An approval request.
    RequestPut(Box<ApprovalRequest>),
    /// An approval request is over and forgotten.
    RequestErased(RequestId),
    /// A question about a single call. It stands in memory alone: its arguments may be private, and after a restart
    /// the agent simply asks again.
    QuestionPut(Box<AskedCall>),
    /// A question is over and forgotten.
    QuestionErased(QuestionId),
    /// A lasting answer about a call. It goes with its grant.
    AnswerPut {
        /// The tenant of the grant.
        tenant: TenantId,
        /// The answer.
        answer: Answer,
    },
    /// A lasting answer was taken back.
    AnswerErased {
        /// The tenant.
        tenant: TenantId,
        /// The answer.
        answer: AnswerId,
    },
}
