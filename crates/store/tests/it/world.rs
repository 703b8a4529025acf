//! A scratch folder with a store in it, a keyring in memory, and rows to fill it with.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::change::Change;
use doorward_core::secret::Passphrase;
use doorward_store::{
    DerivationCost, HolderKind, Kek, KekId, KeySource, KeySourceError, PassphraseSource,
    SourceFuture, SourceKind, Store,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::samples::{NOW, connect, connection_id, tenant_id};

/// A keyring that keeps its keys in memory, and fails when told to.
#[derive(Clone, Default)]
pub(crate) struct MemoryKeyring {
    keys: Arc<Mutex<HashMap<String, [u8; 32]>>>,
    trouble: Arc<Mutex<KeyringTrouble>>,
}

/// What a keyring in memory does wrong.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum KeyringTrouble {
    #[default]
    None,
    /// It keeps the key it makes, and the answer is lost.
    MakesAndSaysNothing,
    /// It forgets nothing.
    DoesNotForget,
    /// It is locked.
    Locked,
}

impl MemoryKeyring {
    pub(crate) fn is_in(&self, trouble: KeyringTrouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.keys.lock().unwrap().keys().cloned().collect();
        names.sort();
        names
    }

    pub(crate) fn secrets(&self) -> Vec<[u8; 32]> {
        self.keys.lock().unwrap().values().copied().collect()
    }

    pub(crate) fn lose_all(&self) {
        self.keys.lock().unwrap().clear();
    }

    pub(crate) fn replace_all(&self) {
        self.keys
            .lock()
            .unwrap()
            .values_mut()
            .for_each(|key| key.fill(7));
    }

    fn trouble(&self) -> KeyringTrouble {
        *self.trouble.lock().unwrap()
    }
}

impl KeySource for MemoryKeyring {
    fn kind(&self) -> SourceKind {
        SourceKind::Keyring
    }

    fn make(&self, id: KekId) -> SourceFuture<'_, (Kek, String)> {
        Box::pin(async move {
            if self.trouble() == KeyringTrouble::Locked {
                return Err(KeySourceError::Locked("told to be".to_owned()));
            }
            let kek = Kek::random()?;
            self.keys
                .lock()
                .unwrap()
                .insert(id.to_string(), *kek.expose());
            if self.trouble() == KeyringTrouble::MakesAndSaysNothing {
                return Err(KeySourceError::TimedOut { seconds: 10 });
            }
            Ok((kek, String::new()))
        })
    }

    fn find<'a>(&'a self, id: KekId, _recipe: &'a str) -> SourceFuture<'a, Option<Kek>> {
        Box::pin(async move {
            if self.trouble() == KeyringTrouble::Locked {
                return Err(KeySourceError::Locked("told to be".to_owned()));
            }
            Ok(self
                .keys
                .lock()
                .unwrap()
                .get(&id.to_string())
                .copied()
                .map(Kek::from_bytes))
        })
    }

    fn forget(&self, id: KekId) -> SourceFuture<'_, ()> {
        Box::pin(async move {
            if self.trouble() != KeyringTrouble::None {
                return Err(KeySourceError::TimedOut { seconds: 10 });
            }
            self.keys.lock().unwrap().remove(&id.to_string());
            Ok(())
        })
    }
}

/// A passphrase that is quick to derive from.
pub(crate) fn passphrase(text: &str) -> PassphraseSource {
    let cost = DerivationCost {
        memory: 64,
        passes: 1,
        lanes: 1,
    };
    PassphraseSource::new(Passphrase::new(text.to_owned())).with_cost(cost)
}

/// A folder, a keyring, and the store between them.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) keyring: MemoryKeyring,
    pub(crate) store: Store,
}

impl World {
    /// With a store that was never unlocked.
    pub(crate) async fn fresh() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path(), HolderKind::Serve, NOW)
            .await
            .unwrap();
        Self {
            folder,
            keyring: MemoryKeyring::default(),
            store,
        }
    }

    /// With an unlocked store.
    pub(crate) async fn new() -> Self {
        let world = Self::fresh().await;
        world.store.unlock(&world.keyring, NOW).await.unwrap();
        world
    }

    /// With an unlocked store that has two tenants, and a connection with tokens in each.
    pub(crate) async fn connected() -> Self {
        let world = Self::new().await;
        for n in [1, 2] {
            let changes = connect(n);
            let event = AuditEvent::new(AuditKind::Connected)
                .tenant(tenant_id(n))
                .connection(connection_id(n));
            world.store.commit(NOW, &changes, &[event]).await.unwrap();
        }
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Closes the store, lets something happen to the folder, and opens and unlocks it again.
    pub(crate) async fn meanwhile(self, act: impl AsyncFnOnce(&Path)) -> Self {
        let Self {
            folder,
            keyring,
            store,
        } = self;
        store.close().await;
        act(folder.path()).await;
        let store = Store::open(folder.path(), HolderKind::Serve, NOW)
            .await
            .unwrap();
        store.unlock(&keyring, NOW).await.unwrap();
        Self {
            folder,
            keyring,
            store,
        }
    }

    /// Closes the store and runs a statement on its file behind its back.
    pub(crate) async fn tampered(self, statement: &str) -> Self {
        self.meanwhile(async |folder| tamper(folder, statement).await)
            .await
    }

    /// Closes the store and gives back what is left.
    pub(crate) async fn closed(self) -> (TempDir, MemoryKeyring) {
        self.store.close().await;
        (self.folder, self.keyring)
    }

    pub(crate) async fn commit(&self, changes: &[Change]) {
        self.store.commit(NOW, changes, &[]).await.unwrap();
    }

    pub(crate) async fn refresh_token(&self, n: u8) -> Option<(u64, String)> {
        let found = self
            .store
            .refresh_token(tenant_id(n), connection_id(n))
            .await
            .unwrap();
        found.map(|(generation, token)| (generation, token.expose().to_owned()))
    }

    pub(crate) async fn access_token(&self, n: u8) -> Option<(u64, String)> {
        let found = self
            .store
            .access_token(tenant_id(n), connection_id(n))
            .await
            .unwrap();
        found.map(|(generation, token)| (generation, token.expose().to_owned()))
    }
}

/// The database file, opened behind the store's back.
pub(crate) async fn raw(folder: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(folder.join("doorward.db"))
        .foreign_keys(false)
        .connect()
        .await
        .unwrap()
}

pub(crate) async fn tamper(folder: &Path, statement: &str) {
    let mut database = raw(folder).await;
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
}

/// Every file below a folder, with its bytes.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        found.push((path, bytes));
    }
    found
}
