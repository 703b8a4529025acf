//! The open store, and what the broker asks of it.
//!
//! One connection serves all: the folder is held by one process, whose one task owns the state, so there is nobody
//! to run beside it, and every answer is about what was committed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use doorward_core::audit::AuditEvent;
use doorward_core::book::Book;
use doorward_core::change::Change;
use doorward_core::connection::Mark;
use doorward_core::ids::{ConnectionId, OutboxId, RegistrationId, TenantId};
use doorward_core::lock::HeldLock;
use doorward_core::secret::{
    AccessToken, ClientSecret, FlightKey, LockToken, Pin, RefreshToken, RegistrationToken,
};
use doorward_core::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::MutexGuard;
use uuid::Uuid;

use crate::audit::{AuditFilter, AuditReport, AuditRow};
use crate::error::{OpenError, StoreError};
use crate::folder::{self, Folder, Holder, HolderKind};
use crate::keys::Keys;
use crate::pin::PinCheck;
use crate::source::SourceKind;
use crate::transaction::Database;
use crate::unlock::Origin;
use crate::vault::{self, Kind, Owner, Slot};
use crate::{audit, database, meta, pin, read, write};

/// Whether the store's keys are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// None was ever made: the first unlock makes them.
    Fresh,
    /// They are not in memory.
    Locked,
    /// They are.
    Unlocked,
}

/// What an unlocked store holds.
pub struct Loaded {
    /// Every row.
    pub book: Book,
    /// The access token of every connection that has one.
    pub access: Vec<(ConnectionId, AccessToken)>,
    /// Connections whose sealed access token does not open: it was changed or moved outside Doorward.
    pub wont_open: Vec<ConnectionId>,
}

/// The secrets of a registration.
pub struct RegistrationSecrets {
    /// Its client secret.
    pub secret: Option<ClientSecret>,
    /// What manages it.
    pub token: Option<RegistrationToken>,
}

/// Everything at rest. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// The fields drop in this order: the file is let go before the folder is.
struct Inner {
    database: tokio::sync::Mutex<Database>,
    unlocked: Mutex<Unlocked>,
    key_turn: tokio::sync::Mutex<()>,
    installation: Uuid,
    folder: Folder,
}

/// Where the keys come from, and the keys.
#[derive(Clone, Default)]
pub(crate) struct Unlocked {
    pub(crate) origin: Option<Origin>,
    pub(crate) keys: Option<Arc<Keys>>,
}

/// The right to change the keys. Apart from the database, which must answer while a keyring asks a person.
pub(crate) type KeyTurn<'a> = MutexGuard<'a, ()>;

impl Store {
    /// Takes hold of the folder, then opens its database, makes or migrates it, and checks it.
    pub async fn open(
        data_dir: &Path,
        holder: HolderKind,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let folder = Folder::hold(data_dir, holder, now).await?;
        let mut database = database::open(folder.path()).await?;
        let path = || folder.path().join(database::FILE);
        let installation = installation(&mut database)
            .await
            .map_err(|error| OpenError::from_store(path(), error))?;
        let origin = Origin::read(&mut database)
            .await
            .map_err(|error| OpenError::from_store(path(), error))?;
        Ok(Self {
            inner: Arc::new(Inner {
                database: tokio::sync::Mutex::new(Database::new(database)),
                unlocked: Mutex::new(Unlocked { origin, keys: None }),
                key_turn: tokio::sync::Mutex::new(()),
                installation,
                folder,
            }),
        })
    }

    /// Who holds a folder now, if anyone does.
    #[must_use]
    pub fn holder(data_dir: &Path) -> Option<Holder> {
        folder::holder(data_dir)
    }

    /// Whether the keys are there.
    #[must_use]
    pub fn key_state(&self) -> KeyState {
        match self.unlocked() {
            Unlocked { keys: Some(_), .. } => KeyState::Unlocked,
            Unlocked {
                origin: Some(_), ..
            } => KeyState::Locked,
            Unlocked { origin: None, .. } => KeyState::Fresh,
        }
    }

    /// The kind of source the keys come from, once they were made.
    #[must_use]
    pub fn source_kind(&self) -> Option<SourceKind> {
        self.unlocked().origin.map(|origin| origin.source)
    }

    /// The installation's identity.
    #[must_use]
    pub fn installation(&self) -> Uuid {
        self.inner.installation
    }

    /// Every row, and every access token.
    pub async fn load(&self) -> Result<Loaded, StoreError> {
        let mut database = self.database().await;
        let keys = self.keys()?;
        let book = read::book(&mut database).await?;
        let tokens = read::access_tokens(&mut database, &keys).await?;
        Ok(Loaded {
            book,
            access: tokens.opened,
            wont_open: tokens.wont_open,
        })
    }

    /// Every row. Needs no keys.
    pub async fn load_book(&self) -> Result<Book, StoreError> {
        read::book(&mut *self.database().await).await
    }

    /// Writes changes and logs events, all in one transaction. Once this has answered they are on the disk; where it
    /// fails nothing is.
    pub async fn commit(
        &self,
        now: Timestamp,
        changes: &[Change],
        events: &[AuditEvent],
    ) -> Result<(), StoreError> {
        let mut database = self.database().await;
        let keys = self.keys()?;
        let mut transaction = database.begin().await?;
        for change in changes {
            write::change(&mut transaction, &keys, now, change).await?;
        }
        audit::append(&mut transaction, &keys, now, events).await?;
        transaction.commit().await?;
        if changes.iter().any(write::erases) {
            self.leave_no_trace(&mut database).await;
        }
        Ok(())
    }

    /// A connection's refresh token, with its generation.
    pub async fn refresh_token(
        &self,
        tenant: TenantId,
        connection: ConnectionId,
    ) -> Result<Option<(u64, RefreshToken)>, StoreError> {
        let found = self
            .opened(Slot::own(tenant, connection, Kind::Refresh))
            .await?;
        Ok(found.map(|(generation, plain)| (generation, RefreshToken::new(plain))))
    }

    /// A connection's access token, with its generation.
    pub async fn access_token(
        &self,
        tenant: TenantId,
        connection: ConnectionId,
    ) -> Result<Option<(u64, AccessToken)>, StoreError> {
        let found = self
            .opened(Slot::own(tenant, connection, Kind::Access))
            .await?;
        Ok(found.map(|(generation, plain)| (generation, AccessToken::new(plain))))
    }

    /// The key of a connection's flight; nothing where the mark is of a schema that had no flights.
    pub async fn flight_key(
        &self,
        tenant: TenantId,
        connection: ConnectionId,
        mark: Mark,
    ) -> Result<Option<FlightKey>, StoreError> {
        let found = self
            .opened(Slot::flight(tenant, connection, mark.flight))
            .await?;
        Ok(found
            .filter(|(generation, _)| *generation == mark.generation)
            .map(|(_, plain)| FlightKey::new(plain)))
    }

    /// The secrets of a registration; none of them where there is no such registration.
    pub async fn registration_secrets(
        &self,
        id: RegistrationId,
    ) -> Result<RegistrationSecrets, StoreError> {
        let mut database = self.database().await;
        let keys = self.keys()?;
        let row =
            sqlx::query("SELECT sealed_secret, sealed_token FROM registrations WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&mut **database)
                .await?;
        let Some(row) = row else {
            return Ok(RegistrationSecrets {
                secret: None,
                token: None,
            });
        };
        let key = vault::data_key(&mut database, &keys, Owner::Registration(id)).await?;
        let open = |column: &str, kind, what| {
            let sealed: Option<&[u8]> = row.try_get(column)?;
            let Some(sealed) = sealed else {
                return Ok(None);
            };
            let place = vault::registration_place(id, kind);
            let plain = key.as_ref().and_then(|key| key.open(&place, sealed));
            vault::text(&plain.ok_or(StoreError::WontOpen { what })?, what).map(Some)
        };
        let secret = open("sealed_secret", read::CLIENT_SECRET, "a client secret")?;
        let token = open(
            "sealed_token",
            read::REGISTRATION_TOKEN,
            "a registration's token",
        )?;
        Ok(RegistrationSecrets {
            secret: secret.map(ClientSecret::new),
            token: token.map(RegistrationToken::new),
        })
    }

    /// The tokens of a revocation that is owed.
    pub async fn outbox_tokens(
        &self,
        tenant: TenantId,
        item: OutboxId,
    ) -> Result<Option<(AccessToken, Option<RefreshToken>)>, StoreError> {
        let connection = {
            let mut database = self.database().await;
            let row = sqlx::query("SELECT connection FROM outbox WHERE tenant = $1 AND id = $2")
                .bind(tenant.to_string())
                .bind(item.to_string())
                .fetch_optional(&mut **database)
                .await?;
            row.map(|row| read::parsed(&row, "connection"))
                .transpose()?
        };
        let Some(connection) = connection else {
            return Ok(None);
        };
        let owed = |kind| Slot::owed(tenant, connection, kind, item);
        let Some((_, access)) = self.opened(owed(Kind::OutboxAccess)).await? else {
            return Ok(None);
        };
        let refresh = self.opened(owed(Kind::OutboxRefresh)).await?;
        Ok(Some((
            AccessToken::new(access),
            refresh.map(|(_, plain)| RefreshToken::new(plain)),
        )))
    }

    /// The token of a lock that an agent holds.
    pub async fn lock_token(&self, lock: &HeldLock) -> Result<Option<LockToken>, StoreError> {
        let found = self
            .opened(Slot::lock(lock.tenant, lock.connection, lock.id))
            .await?;
        Ok(found.map(|(_, plain)| LockToken::new(plain)))
    }

    /// Sets the approval PIN, or replaces it.
    pub async fn set_pin(&self, pin: &Pin, now: Timestamp) -> Result<(), StoreError> {
        let mut database = self.database().await;
        pin::set(&mut database, &*self.keys()?, pin, now).await
    }

    /// Tries an approval PIN. The try is counted on the disk before its outcome is known.
    pub async fn check_pin(&self, pin: &Pin, now: Timestamp) -> Result<PinCheck, StoreError> {
        let mut database = self.database().await;
        pin::check(&mut database, &*self.keys()?, pin, now).await
    }

    /// Whether an approval PIN is set. Needs no keys.
    pub async fn has_pin(&self) -> Result<bool, StoreError> {
        pin::is_set(&mut *self.database().await).await
    }

    /// Verifies the audit log from its beginning, or its last checkpoint, to its sealed end.
    pub async fn verify_audit(&self) -> Result<AuditReport, StoreError> {
        let mut database = self.database().await;
        audit::verify(&mut database, &*self.keys()?).await
    }

    /// Rows of the audit log, oldest first. Needs no keys.
    pub async fn audit_rows(&self, filter: AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        audit::rows(&mut *self.database().await, &filter).await
    }

    /// What agents and connections were called that are gone, by their identifiers as they stand in the log. Needs no
    /// keys.
    pub async fn names_of_gone(&self) -> Result<HashMap<String, String>, StoreError> {
        audit::names_of_gone(&mut *self.database().await).await
    }

    /// Removes audit rows older than that moment, leaves a sealed checkpoint in their place, and says how many went.
    pub async fn prune_audit(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let mut database = self.database().await;
        let keys = self.keys()?;
        let mut transaction = database.begin().await?;
        let removed = audit::prune(&mut transaction, &keys, before, now).await?;
        transaction.commit().await?;
        if removed > 0 {
            self.leave_no_trace(&mut database).await;
        }
        Ok(removed)
    }

    /// Closes the file and lets the folder go, if this is the last clone. Dropping does the same a moment later.
    pub async fn close(self) {
        if let Some(inner) = Arc::into_inner(self.inner) {
            let database = inner.database.into_inner();
            if let Err(error) = database.close().await {
                tracing::warn!(%error, "the store was not closed cleanly; nothing is lost");
            }
        }
    }

    async fn opened(&self, slot: Slot) -> Result<Option<(u64, String)>, StoreError> {
        let mut database = self.database().await;
        let keys = self.keys()?;
        let found = vault::get(&mut database, &keys, slot).await?;
        Ok(found.map(|(generation, mut plain)| (generation, std::mem::take(&mut *plain))))
    }

    pub(crate) async fn database(&self) -> MutexGuard<'_, Database> {
        let mut database = self.inner.database.lock().await;
        database.settle().await;
        database
    }

    /// Waits until nobody else makes, finds or replaces keys.
    pub(crate) async fn turn_keys(&self) -> KeyTurn<'_> {
        self.inner.key_turn.lock().await
    }

    /// The keys, asked for while the database is held: a rotation changes both at once.
    pub(crate) fn keys(&self) -> Result<Arc<Keys>, StoreError> {
        self.unlocked().keys.ok_or(StoreError::Locked)
    }

    pub(crate) fn unlocked(&self) -> Unlocked {
        self.inner
            .unlocked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_unlocked(&self, unlocked: Unlocked) {
        *self
            .inner
            .unlocked
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = unlocked;
    }

    /// Takes what was erased out of the journal, and copies of the file away. What was asked is done already, so a
    /// failure here is told in the log and made good by the next erasing or the next start.
    pub(crate) async fn leave_no_trace(&self, database: &mut SqliteConnection) {
        if let Err(error) = database::empty_journal(database).await {
            tracing::warn!(%error, "the journal still holds erased pages, sealed; the next start empties it");
        }
        if let Err(error) = database::remove_copies(self.inner.folder.path()) {
            tracing::warn!(%error, "a copy made before a migration is still there; the next start removes it");
        }
    }
}

async fn installation(database: &mut SqliteConnection) -> Result<Uuid, StoreError> {
    let text = meta::text(database, meta::INSTALLATION).await?;
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| StoreError::Corrupt {
            detail: "it does not say which installation it is".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use doorward_core::audit::{AuditEvent, AuditKind};
    use doorward_core::connection::Tenant;
    use doorward_core::secret::Passphrase;
    use sqlx::{AssertSqlSafe, Executor as _};

    use super::*;
    use crate::source::{DerivationCost, PassphraseSource};

    const NOW: Timestamp = Timestamp::from_secs(1_777_000_000);

    fn tenants(of: u8) -> Vec<Change> {
        let tenant = |n: u8| {
            let mut id = [of; 16];
            id[0] = n;
            Change::TenantPut(Tenant {
                id: TenantId::from_random(id),
                name: format!("tenant-{of}-{n}").parse().unwrap(),
                created_at: NOW,
            })
        };
        (0..200).map(tenant).collect()
    }

    /// The disk is played by a limit of SQLite's own, so that this runs where nothing can be mounted.
    #[tokio::test]
    async fn a_full_disk_fails_the_whole_commit_and_nothing_else() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path(), HolderKind::Command, NOW)
            .await
            .unwrap();
        let cost = DerivationCost {
            memory: 64,
            passes: 1,
            lanes: 1,
        };
        let source = PassphraseSource::new(Passphrase::new("full".to_owned())).with_cost(cost);
        store.unlock(&source, NOW).await.unwrap();
        let limit = async |pages: i64| {
            let statement = AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
            store.database().await.execute(statement).await.unwrap();
        };
        limit(1).await;
        let event = [AuditEvent::new(AuditKind::AgentAdded)];
        let refused = store.commit(NOW, &tenants(1), &event).await;
        assert_eq!(refused, Err(StoreError::DiskFull));
        assert_eq!(store.load_book().await.unwrap().tenants().count(), 0);
        assert_eq!(store.verify_audit().await.unwrap().rows, 1);
        limit(100_000).await;
        store.commit(NOW, &tenants(1), &event).await.unwrap();
        assert_eq!(store.load_book().await.unwrap().tenants().count(), 200);
        assert_eq!(store.verify_audit().await.unwrap().rows, 2);
    }
}
