//! Where a test keeps tokens: what the store does with each change, without sealing, and what must hold whenever it
//! does it.

use std::collections::{BTreeMap, BTreeSet};

use doorward_core::book::Book;
use doorward_core::change::{Change, OutboxTokens};
use doorward_core::connection::{Connection, Mark};
use doorward_core::grant::Door;
use doorward_core::ids::{ConnectionId, OutboxId, TenantId};

/// The tokens of one connection, or of one revocation that is owed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) generation: u64,
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Shelf {
    own: BTreeMap<ConnectionId, Held>,
    owed: BTreeMap<OutboxId, Held>,
    ever_owed: BTreeSet<String>,
    dropped: BTreeSet<String>,
}

impl Shelf {
    pub(crate) fn own(&self, connection: ConnectionId) -> Option<&Held> {
        self.own.get(&connection)
    }

    pub(crate) fn owed(&self, item: OutboxId) -> Option<&Held> {
        self.owed.get(&item)
    }

    /// Every access token that was ever owed a revocation.
    pub(crate) fn ever_owed(&self) -> &BTreeSet<String> {
        &self.ever_owed
    }

    /// Every access token that was erased without a revocation being owed.
    pub(crate) fn dropped(&self) -> &BTreeSet<String> {
        &self.dropped
    }

    /// Applies a change to the tokens, before the book has it.
    pub(crate) fn apply(&mut self, book: &Book, change: &Change) {
        check(book, change);
        match change {
            Change::TokensPut {
                connection,
                generation,
                access,
                refresh,
                ..
            } => {
                let before = self.own.get(connection);
                assert!(
                    before.is_none_or(|before| before.generation < *generation),
                    "tokens of generation {generation} replace newer ones"
                );
                let kept = before.and_then(|before| before.refresh.clone());
                let held = Held {
                    generation: *generation,
                    access: access.expose().to_owned(),
                    refresh: refresh
                        .as_ref()
                        .map(|token| token.expose().to_owned())
                        .or(kept),
                };
                self.own.insert(*connection, held);
            }
            Change::TokensErased { connection, .. }
            | Change::ConnectionErased { connection, .. } => {
                if let Some(left) = self.own.remove(connection) {
                    self.dropped.insert(left.access);
                }
            }
            Change::OutboxAdded { item, tokens } => {
                let held = match tokens {
                    OutboxTokens::Stored => self.own.remove(&item.connection).unwrap_or_default(),
                    OutboxTokens::Given { access, refresh } => Held {
                        generation: 0,
                        access: access.expose().to_owned(),
                        refresh: refresh.as_ref().map(|token| token.expose().to_owned()),
                    },
                };
                assert!(
                    self.ever_owed.insert(held.access.clone()),
                    "the tokens {held:?} are owed twice"
                );
                self.owed.insert(item.id, held);
            }
            Change::OutboxErased { item, .. } => {
                assert!(
                    self.owed.remove(item).is_some(),
                    "a revocation that is not owed is done"
                );
            }
            Change::TenantPut(_)
            | Change::RegistrationPut { .. }
            | Change::ConnectionPut(_)
            | Change::FlightKeyPut { .. }
            | Change::OutboxPut(_)
            | Change::LockTaken { .. }
            | Change::LockPut(_)
            | Change::LockErased { .. }
            | Change::ClientPut(_)
            | Change::ClientErased(_)
            | Change::AgentPut(_)
            | Change::AgentErased { .. }
            | Change::KeyPut(_)
            | Change::KeyErased(_)
            | Change::GrantPut { .. }
            | Change::GrantErased { .. }
            | Change::RequestPut(_)
            | Change::RequestErased(_)
            | Change::QuestionPut(_)
            | Change::QuestionErased(_)
            | Change::AnswerPut { .. }
            | Change::AnswerErased { .. } => {}
        }
    }
}

/// What the tables of the store would refuse.
fn check(book: &Book, change: &Change) {
    match change {
        Change::TenantPut(tenant) => {
            let holder = book.tenant_named(&tenant.name);
            assert!(
                holder.is_none_or(|holder| holder.id == tenant.id),
                "two tenants `{}`",
                tenant.name
            );
        }
        Change::ConnectionPut(row) => check_connection(book, row),
        Change::TokensPut {
            tenant, connection, ..
        }
        | Change::TokensErased { tenant, connection }
        | Change::ConnectionErased { tenant, connection } => {
            assert_owned(book, *tenant, *connection);
        }
        Change::FlightKeyPut {
            tenant,
            connection,
            generation,
            flight,
            ..
        } => {
            assert_owned(book, *tenant, *connection);
            let marked = book.connection(*connection).and_then(|row| row.refreshing);
            let own = Mark {
                generation: *generation,
                flight: *flight,
            };
            assert_eq!(marked, Some(own), "a flight's key without its mark");
        }
        Change::OutboxAdded { item, .. } => {
            if book.connection(item.connection).is_some() {
                assert_owned(book, item.tenant, item.connection);
            }
            assert!(book.outbox_item(item.id).is_none(), "an identifier twice");
        }
        Change::AgentPut(agent) => {
            if let Some(before) = book.agent(agent.id) {
                assert_eq!(before.tenant, agent.tenant, "an agent changes its tenant");
            }
        }
        Change::GrantPut { tenant, grant } => {
            assert_owned(book, *tenant, grant.connection);
            let agent = book.agent(grant.agent).expect("a grant has an agent");
            assert_eq!(agent.tenant, *tenant, "a grant crosses tenants");
            let is_limited_token =
                grant.rights.policy().is_limiting() && grant.rights.opens(Door::Token);
            assert!(!is_limited_token, "a limited grant has the token door");
        }
        Change::LockTaken { lock, .. } => {
            assert!(book.lock(lock.id).is_none(), "an identifier twice");
            assert_owned(book, lock.tenant, lock.connection);
        }
        Change::LockPut(lock) => {
            assert!(book.lock(lock.id).is_some(), "a lock without a token");
        }
        Change::LockErased { lock, .. } => {
            assert!(book.lock(*lock).is_some(), "a lock that is not there ends");
        }
        Change::GrantErased { grant, .. } => {
            assert!(
                book.grants().any(|known| known.id == *grant),
                "a grant that is not there ends"
            );
        }
        Change::AnswerPut { tenant, answer } => {
            let grant = book.grants().find(|known| known.id == answer.grant);
            let grant = grant.expect("an answer has a grant");
            let agent = book.agent(grant.agent).expect("a grant has an agent");
            assert_eq!(agent.tenant, *tenant, "an answer crosses tenants");
        }
        Change::RegistrationPut { .. }
        | Change::OutboxPut(_)
        | Change::OutboxErased { .. }
        | Change::ClientPut(_)
        | Change::ClientErased(_)
        | Change::AgentErased { .. }
        | Change::KeyPut(_)
        | Change::KeyErased(_)
        | Change::RequestPut(_)
        | Change::RequestErased(_)
        | Change::QuestionPut(_)
        | Change::QuestionErased(_)
        | Change::AnswerErased { .. } => {}
    }
}

fn check_connection(book: &Book, row: &Connection) {
    if let Some(before) = book.connection(row.id) {
        assert_eq!(before.tenant, row.tenant, "a connection changes its tenant");
        assert!(
            before.generation <= row.generation,
            "a generation goes back"
        );
    }
    let holder = book.connection_named(&row.name);
    assert!(
        holder.is_none_or(|holder| holder.id == row.id),
        "two connections `{}`",
        row.name
    );
    assert!(book.tenant(row.tenant).is_some(), "no such tenant");
}

fn assert_owned(book: &Book, tenant: TenantId, connection: ConnectionId) {
    let row = book.connection(connection).expect("a connection");
    assert_eq!(row.tenant, tenant, "a change crosses tenants");
}
