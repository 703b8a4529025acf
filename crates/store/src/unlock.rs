//! Unlocking: the first time the keys are made, every later time they are found and proven to be the right ones.
//!
//! A key made in the keyring and a store that names it cannot change in one step. So the store first notes the key
//! that is about to be made as one that may be left over, and names it as its own in the transaction that needs it:
//! wherever a crash falls, the store opens, and the next unlock takes the leftover away.

use std::sync::Arc;

use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::time::Timestamp;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::error::{StoreError, UnlockError};
use crate::keys::Keys;
use crate::source::{KekId, KeySource, KeySourceError, SourceKind};
use crate::store::{KeyTurn, Store, Unlocked};
use crate::{audit, meta, seal};

/// Where a store's key-encryption key comes from, as the store has it.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) kek: Uuid,
    pub(crate) source: SourceKind,
    recipe: String,
    check: Vec<u8>,
}

impl Origin {
    pub(crate) fn new(keys: &Keys, source: SourceKind, recipe: String) -> Result<Self, StoreError> {
        Ok(Self {
            kek: keys.id.key,
            source,
            recipe,
            check: keys.check_value()?,
        })
    }

    /// What the store says; nothing where no key was ever made.
    pub(crate) async fn read(from: &mut SqliteConnection) -> Result<Option<Self>, StoreError> {
        let damaged = || StoreError::Corrupt {
            detail: "it does not say where its key comes from".to_owned(),
        };
        let Some(kek) = meta::text(from, meta::KEK).await? else {
            return Ok(None);
        };
        let source = match meta::text(from, meta::SOURCE).await?.as_deref() {
            Some("keyring") => SourceKind::Keyring,
            Some("passphrase") => SourceKind::Passphrase,
            _ => return Err(damaged()),
        };
        Ok(Some(Self {
            kek: kek.parse().map_err(|_| damaged())?,
            source,
            recipe: meta::text(from, meta::RECIPE).await?.ok_or_else(damaged)?,
            check: meta::get(from, meta::CHECK).await?.ok_or_else(damaged)?,
        }))
    }

    pub(crate) async fn write(&self, to: &mut SqliteConnection) -> Result<(), StoreError> {
        meta::put(to, meta::KEK, self.kek.to_string().as_bytes()).await?;
        meta::put(to, meta::SOURCE, self.source.as_str().as_bytes()).await?;
        meta::put(to, meta::RECIPE, self.recipe.as_bytes()).await?;
        meta::put(to, meta::CHECK, &self.check).await
    }
}

impl Store {
    /// Unlocks the store with the key of a source. The first time this makes the key and records the kind of source.
    /// While a source makes a person wait, rows that need no keys can be read.
    pub async fn unlock(&self, source: &dyn KeySource, now: Timestamp) -> Result<(), UnlockError> {
        let turn = self.turn_keys().await;
        let Unlocked { origin, keys } = self.unlocked();
        let (origin, keys) = match (origin, keys) {
            (Some(_), Some(_)) => return Ok(()),
            (Some(origin), None) => {
                let keys = self.find_keys(source, &origin).await?;
                (origin, keys)
            }
            (None, _) => self.make_keys(&turn, source, now).await?,
        };
        self.set_unlocked(Unlocked {
            origin: Some(origin),
            keys: Some(Arc::new(keys)),
        });
        self.forget_unneeded(&turn, source).await;
        Ok(())
    }

    async fn find_keys(
        &self,
        source: &dyn KeySource,
        origin: &Origin,
    ) -> Result<Keys, UnlockError> {
        let (made_with, given) = (origin.source, source.kind());
        if made_with != given {
            return Err(UnlockError::OtherSource { made_with, given });
        }
        let id = KekId {
            installation: self.installation(),
            key: origin.kek,
        };
        let kek = source
            .find(id, &origin.recipe)
            .await?
            .ok_or(UnlockError::KeyMissing)?;
        let keys = Keys::derive(id, &kek);
        if keys.are_those_of(&origin.check) {
            return Ok(keys);
        }
        Err(match given {
            SourceKind::Passphrase => UnlockError::WrongPassphrase,
            SourceKind::Keyring => UnlockError::WrongKey,
        })
    }

    async fn make_keys(
        &self,
        turn: &KeyTurn<'_>,
        source: &dyn KeySource,
        now: Timestamp,
    ) -> Result<(Origin, Keys), UnlockError> {
        let (keys, origin) = self.make_kek::<UnlockError>(turn, source).await?;
        let mut database = self.database().await;
        let mut transaction = database.begin().await.map_err(StoreError::from)?;
        origin.write(&mut transaction).await?;
        audit::begin(&mut transaction, &keys).await?;
        let event = AuditEvent::new(AuditKind::StoreCreated)
            .with("installation", self.installation().to_string())
            .with("key", origin.source.as_str());
        audit::append(&mut transaction, &keys, now, &[event]).await?;
        meta::remove(&mut transaction, meta::UNNEEDED_KEK).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok((origin, keys))
    }

    /// Has a source make a new key, noted as unneeded until the store names it.
    pub(crate) async fn make_kek<E>(
        &self,
        turn: &KeyTurn<'_>,
        source: &dyn KeySource,
    ) -> Result<(Keys, Origin), E>
    where
        E: From<StoreError> + From<KeySourceError>,
    {
        self.forget_unneeded(turn, source).await;
        let key = Uuid::from_bytes(seal::random().map_err(StoreError::from)?);
        let noted = key.to_string();
        meta::put(
            &mut *self.database().await,
            meta::UNNEEDED_KEK,
            noted.as_bytes(),
        )
        .await?;
        let id = KekId {
            installation: self.installation(),
            key,
        };
        let (kek, recipe) = source.make(id).await?;
        let keys = Keys::derive(id, &kek);
        let origin = Origin::new(&keys, source.kind(), recipe)?;
        Ok((keys, origin))
    }

    /// Has the source forget a key that nobody needs. Never the one in use; and where it does not work, the next
    /// unlock tries again.
    pub(crate) async fn forget_unneeded(&self, _turn: &KeyTurn<'_>, source: &dyn KeySource) {
        let forgotten = async {
            let unneeded = meta::text(&mut *self.database().await, meta::UNNEEDED_KEK).await?;
            let Some(unneeded) = unneeded else {
                return Ok(());
            };
            let in_use = self.unlocked().origin.map(|origin| origin.kek);
            if let Ok(key) = unneeded.parse::<Uuid>()
                && in_use != Some(key)
            {
                source
                    .forget(KekId {
                        installation: self.installation(),
                        key,
                    })
                    .await?;
            }
            meta::remove(&mut *self.database().await, meta::UNNEEDED_KEK).await?;
            Ok::<(), UnlockError>(())
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "a key that is not needed any longer is still in the keyring");
        }
    }
}
