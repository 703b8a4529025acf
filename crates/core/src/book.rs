//! What Doorward knows: every row but the sealed ones, and the questions that wait for a person.
//!
//! The maps share their structure when they are cloned, so a copy of the whole book costs a few pointers. The broker
//! publishes such a copy after every change; requests read it without a lock, and every decision can be made on it.

use std::sync::Arc;

use imbl::OrdMap;

use crate::agent::{Agent, Client};
use crate::asking::{Answer, AskedCall};
use crate::change::Change;
use crate::connection::{Connection, Tenant};
use crate::grant::Grant;
use crate::ids::{
    AgentId, ConnectionId, GrantId, LockId, OutboxId, QuestionId, RegistrationId, RequestId,
    TenantId,
};
use crate::key::{KeyHash, KeyRecord};
use crate::lock::HeldLock;
use crate::name::Name;
use crate::outbox::OutboxItem;
use crate::pairing::ApprovalRequest;
use crate::registration::Registration;

/// Everything that is known. Changed only by [`Book::apply`].
#[derive(Clone, Default)]
pub struct Book {
    tenants: OrdMap<TenantId, Arc<Tenant>>,
    registrations: OrdMap<RegistrationId, Arc<Registration>>,
    connections: OrdMap<ConnectionId, Arc<Connection>>,
    connection_names: OrdMap<Name, ConnectionId>,
    outbox: OrdMap<OutboxId, Arc<OutboxItem>>,
    locks: OrdMap<LockId, Arc<HeldLock>>,
    clients: OrdMap<AgentId, Arc<Client>>,
    agents: OrdMap<AgentId, Arc<Agent>>,
    keys: OrdMap<KeyHash, Arc<KeyRecord>>,
    grants: OrdMap<(AgentId, GrantId), Arc<Grant>>,
    requests: OrdMap<RequestId, Arc<ApprovalRequest>>,
    questions: OrdMap<QuestionId, Arc<AskedCall>>,
    answers: OrdMap<(GrantId, [u8; 32]), Arc<Answer>>,
}

impl Book {
    /// All tenants.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.tenants.values()
    }

    /// A tenant.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> Option<&Arc<Tenant>> {
        self.tenants.get(&id)
    }

    /// A tenant by its name.
    #[must_use]
    pub fn tenant_named(&self, name: &Name) -> Option<&Arc<Tenant>> {
        self.tenants.values().find(|tenant| tenant.name == *name)
    }

    /// All registrations.
    pub fn registrations(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.registrations.values()
    }

    /// All connections.
    pub fn connections(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.connections.values()
    }

    /// A connection.
    #[must_use]
    pub fn connection(&self, id: ConnectionId) -> Option<&Arc<Connection>> {
        self.connections.get(&id)
    }

    /// A connection by its name, for the person: agents are asked for their tenant first.
    #[must_use]
    pub fn connection_named(&self, name: &Name) -> Option<&Arc<Connection>> {
        self.connections.get(self.connection_names.get(name)?)
    }

    /// A connection by its name, if it belongs to that tenant.
    #[must_use]
    pub fn connection_of(&self, tenant: TenantId, name: &Name) -> Option<&Arc<Connection>> {
        self.connection_named(name)
            .filter(|connection| connection.tenant == tenant)
    }

    /// All revocations still owed.
    pub fn outbox(&self) -> impl Iterator<Item = &Arc<OutboxItem>> {
        self.outbox.values()
    }

    /// A revocation still owed.
    #[must_use]
    pub fn outbox_item(&self, id: OutboxId) -> Option<&Arc<OutboxItem>> {
        self.outbox.get(&id)
    }

    /// All locks that agents hold.
    pub fn locks(&self) -> impl Iterator<Item = &Arc<HeldLock>> {
        self.locks.values()
    }

    /// A lock that an agent holds.
    #[must_use]
    pub fn lock(&self, id: LockId) -> Option<&Arc<HeldLock>> {
        self.locks.get(&id)
    }

    /// All local clients without rights.
    pub fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.clients.values()
    }

    /// A local client without rights.
    #[must_use]
    pub fn client(&self, id: AgentId) -> Option<&Arc<Client>> {
        self.clients.get(&id)
    }

    /// All agents.
    pub fn agents(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.agents.values()
    }

    /// An agent.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<&Arc<Agent>> {
        self.agents.get(&id)
    }

    /// The key with that hash.
    #[must_use]
    pub fn key(&self, hash: &KeyHash) -> Option<&Arc<KeyRecord>> {
        self.keys.get(hash)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<KeyRecord>> {
        self.keys.values()
    }

    /// The keys of an agent.
    pub fn keys_of(&self, agent: AgentId) -> impl Iterator<Item = &Arc<KeyRecord>> {
        self.keys.values().filter(move |key| key.agent == agent)
    }

    /// The grants of an agent.
    pub fn grants_of(&self, agent: AgentId) -> impl Iterator<Item = &Arc<Grant>> {
        // No identifier sorts before the one made of zeros.
        let first = GrantId::from_random([0; 16]);
        self.grants
            .range((agent, first)..)
            .take_while(move |((owner, _), _)| *owner == agent)
            .map(|(_, grant)| grant)
    }

    /// The grant of an agent for a connection.
    #[must_use]
    pub fn grant(&self, agent: AgentId, connection: ConnectionId) -> Option<&Arc<Grant>> {
        self.grants_of(agent)
            .find(|grant| grant.connection == connection)
    }

    /// All grants.
    pub fn grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants.values()
    }

    /// The grants for a connection.
    pub fn grants_for(&self, connection: ConnectionId) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants
            .values()
            .filter(move |grant| grant.connection == connection)
    }

    /// All approval requests.
    pub fn requests(&self) -> impl Iterator<Item = &Arc<ApprovalRequest>> {
        self.requests.values()
    }

    /// An approval request.
    #[must_use]
    pub fn request(&self, id: RequestId) -> Option<&Arc<ApprovalRequest>> {
        self.requests.get(&id)
    }

    /// All questions about single calls.
    pub fn questions(&self) -> impl Iterator<Item = &Arc<AskedCall>> {
        self.questions.values()
    }

    /// A question about a single call.
    #[must_use]
    pub fn question(&self, id: QuestionId) -> Option<&Arc<AskedCall>> {
        self.questions.get(&id)
    }

    /// The question about that call of a grant.
    #[must_use]
    pub fn question_about(&self, grant: GrantId, digest: &[u8; 32]) -> Option<&Arc<AskedCall>> {
        let mut questions = self.questions.values();
        questions.find(|asked| asked.grant == grant && asked.question.digest == *digest)
    }

    /// The lasting answer about that call of a grant.
    #[must_use]
    pub fn answer(&self, grant: GrantId, digest: &[u8; 32]) -> Option<&Arc<Answer>> {
        self.answers.get(&(grant, *digest))
    }

    /// All lasting answers.
    pub fn answers(&self) -> impl Iterator<Item = &Arc<Answer>> {
        self.answers.values()
    }

    /// The lasting answers about calls of a grant.
    pub fn answers_of(&self, grant: GrantId) -> impl Iterator<Item = &Arc<Answer>> {
        self.answers
            .range((grant, [0; 32])..)
            .take_while(move |((owner, _), _)| *owner == grant)
            .map(|(_, answer)| answer)
    }

    /// The same book, with the rules that this program has for the providers it knows.
    #[must_use]
    pub fn with_rules_of_today(mut self) -> Self {
        let rows: Vec<_> = self.connections().cloned().collect();
        for row in rows {
            let today = row.provider.clone().with_rules_of_today();
            if today != row.provider {
                let mut row = Connection::clone(&row);
                row.provider = today;
                self.put_connection(&row);
            }
        }
        self
    }

    /// Applies a change that the store has written.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::TenantPut(tenant) => {
                self.tenants.insert(tenant.id, Arc::new(tenant.clone()));
            }
            Change::RegistrationPut { registration, .. } => {
                self.registrations
                    .insert(registration.id, Arc::new(registration.clone()));
            }
            Change::ConnectionPut(connection) => self.put_connection(connection),
            // Tokens are sealed in the store; the row that describes them comes as a change of its own.
            Change::TokensPut { .. }
            | Change::TokensErased { .. }
            | Change::FlightKeyPut { .. } => {}
            Change::ConnectionErased { connection, .. } => self.erase_connection(*connection),
            Change::OutboxAdded { item, .. } | Change::OutboxPut(item) => {
                self.outbox.insert(item.id, Arc::new((**item).clone()));
            }
            Change::OutboxErased { item, .. } => {
                if let Some(gone) = self.outbox.remove(item) {
                    self.erase_unreachable_locks(gone.connection);
                }
            }
            Change::LockTaken { lock, .. } | Change::LockPut(lock) => {
                self.locks.insert(lock.id, Arc::new((**lock).clone()));
            }
            Change::LockErased { lock, .. } => {
                self.locks.remove(lock);
            }
            Change::ClientPut(client) => {
                self.clients.insert(client.id, Arc::new(client.clone()));
            }
            Change::ClientErased(client) => {
                self.clients.remove(client);
            }
            Change::AgentPut(agent) => {
                self.agents.insert(agent.id, Arc::new(agent.clone()));
            }
            Change::AgentErased { agent, .. } => {
                let owned: Vec<_> = self
                    .grants_of(*agent)
                    .map(|grant| (grant.agent, grant.id))
                    .collect();
                self.erase_grants(&owned);
                self.agents.remove(agent);
            }
            Change::KeyPut(key) => {
                self.keys.insert(key.hash, Arc::new(key.clone()));
            }
            Change::KeyErased(id) => {
                let found = self.keys.values().find(|key| key.id == *id);
                if let Some(hash) = found.map(|key| key.hash) {
                    self.keys.remove(&hash);
                }
            }
            Change::GrantPut { grant, .. } => {
                self.grants
                    .insert((grant.agent, grant.id), Arc::new(grant.clone()));
            }
            Change::GrantErased { grant, .. } => {
                let found = self.grants.keys().find(|(_, id)| id == grant).copied();
                self.erase_grants(found.as_slice());
            }
            Change::RequestPut(request) => {
                self.requests
                    .insert(request.id, Arc::new((**request).clone()));
            }
            Change::RequestErased(request) => {
                self.requests.remove(request);
            }
            Change::QuestionPut(asked) => {
                self.questions.insert(asked.id, Arc::new((**asked).clone()));
            }
            Change::QuestionErased(question) => {
                self.questions.remove(question);
            }
            Change::AnswerPut { answer, .. } => {
                self.answers
                    .insert((answer.grant, answer.digest), Arc::new(answer.clone()));
            }
            Change::AnswerErased { answer, .. } => {
                let found = self.answers().find(|known| known.id == *answer);
                if let Some(found) = found.map(|answer| (answer.grant, answer.digest)) {
                    self.answers.remove(&found);
                }
            }
        }
    }

    /// What was asked and answered about calls goes with the grant that it was about.
    fn erase_grants(&mut self, grants: &[(AgentId, GrantId)]) {
        for key in grants {
            self.grants.remove(key);
            let (_, grant) = key;
            let answered: Vec<_> = self
                .answers_of(*grant)
                .map(|answer| (*grant, answer.digest))
                .collect();
            for answer in answered {
                self.answers.remove(&answer);
            }
            let about_it = |asked: &&Arc<AskedCall>| asked.grant == *grant;
            let asked: Vec<_> = self
                .questions()
                .filter(about_it)
                .map(|asked| asked.id)
                .collect();
            for question in asked {
                self.questions.remove(&question);
            }
        }
    }

    fn put_connection(&mut self, connection: &Connection) {
        if let Some(before) = self.connections.get(&connection.id)
            && before.name != connection.name
        {
            let before = before.name.clone();
            self.forget_name(&before, connection.id);
        }
        self.connection_names
            .insert(connection.name.clone(), connection.id);
        self.connections
            .insert(connection.id, Arc::new(connection.clone()));
    }

    /// A name goes with the connection that has it, never with one that had it before.
    fn forget_name(&mut self, name: &Name, connection: ConnectionId) {
        if self.connection_names.get(name) == Some(&connection) {
            self.connection_names.remove(name);
        }
    }

    fn erase_connection(&mut self, connection: ConnectionId) {
        if let Some(gone) = self.connections.remove(&connection) {
            self.forget_name(&gone.name, connection);
        }
        let orphans: Vec<_> = self
            .grants_for(connection)
            .map(|grant| (grant.agent, grant.id))
            .collect();
        self.erase_grants(&orphans);
        self.erase_unreachable_locks(connection);
    }

    /// A lock is of use as long as there is a token that gives it back: with the connection, or in the outbox.
    fn erase_unreachable_locks(&mut self, connection: ConnectionId) {
        let is_owed = |item: &Arc<OutboxItem>| item.connection == connection;
        if self.connections.contains_key(&connection) || self.outbox.values().any(is_owed) {
            return;
        }
        let unreachable: Vec<_> = self
            .locks
            .values()
            .filter(|lock| lock.connection == connection)
            .map(|lock| lock.id)
            .collect();
        for lock in unreachable {
            self.locks.remove(&lock);
        }
    }
}
