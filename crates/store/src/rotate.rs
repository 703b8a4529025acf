//! Replacing the key-encryption key.
//!
//! Everything that is sealed under the old keys is sealed again under the new ones in one transaction: data keys, the
//! audit log's head, checkpoint and older chain keys, the PIN's hash. Tokens stay as they are, under their data keys.
//! The audit log goes on under a new chain key, whose first row says so and is chained to the last row before.

use std::sync::Arc;

use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::ids::{ConnectionId, RegistrationId, TenantId};
use doorward_core::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use uuid::Uuid;

use crate::error::{RotateError, StoreError};
use crate::keys::Keys;
use crate::source::KeySource;
use crate::store::{Store, Unlocked};
use crate::vault::{self, Owner};
use crate::{audit, meta, pin, read};

/// What a rotation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// How many data keys were wrapped again.
    pub data_keys: usize,
}

impl Store {
    /// Replaces the key-encryption key by a new one of the same kind of source; for a passphrase, by that of the one
    /// given, which may be another than before. Needs the store unlocked. Wherever this is cut short, either the old
    /// key or the new one opens everything.
    pub async fn rotate_keys(
        &self,
        source: &dyn KeySource,
        now: Timestamp,
    ) -> Result<Rotated, RotateError> {
        let turn = self.turn_keys().await;
        let old = self.keys()?;
        let made_with = self.source_kind().unwrap_or(source.kind());
        if made_with != source.kind() {
            return Err(RotateError::OtherSource {
                made_with,
                given: source.kind(),
            });
        }
        let (new, origin) = self.make_kek::<RotateError>(&turn, source).await?;
        let mut database = self.database().await;
        let mut transaction = database.begin().await.map_err(StoreError::from)?;
        let data_keys = rewrap(&mut transaction, &old, &new).await?;
        pin::reseal(&mut transaction, &old, &new).await?;
        audit::retire_chain_key(&mut transaction, &old, &new).await?;
        audit::reseal(&mut transaction, &old, &new).await?;
        origin.write(&mut transaction).await?;
        meta::put(
            &mut transaction,
            meta::UNNEEDED_KEK,
            old.id.key.to_string().as_bytes(),
        )
        .await?;
        let event =
            AuditEvent::new(AuditKind::KeysRotated).with("data_keys", data_keys.to_string());
        audit::append(&mut transaction, &new, now, &[event]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        self.set_unlocked(Unlocked {
            origin: Some(origin),
            keys: Some(Arc::new(new)),
        });
        self.leave_no_trace(&mut database).await;
        drop(database);
        self.forget_unneeded(&turn, source).await;
        Ok(Rotated { data_keys })
    }
}

async fn rewrap(to: &mut SqliteConnection, old: &Keys, new: &Keys) -> Result<usize, StoreError> {
    let rows = sqlx::query("SELECT * FROM data_keys")
        .fetch_all(&mut *to)
        .await?;
    for row in &rows {
        let (id, owner): (Uuid, _) = (read::parsed(row, "id")?, owner(row)?);
        let key = vault::unwrapped(old, owner, id, row.try_get("wrapped")?)?;
        let wrapped = new.wrapping.wrap(&owner.data_key_place(id), &key)?;
        sqlx::query("UPDATE data_keys SET wrapped = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(wrapped)
            .execute(&mut *to)
            .await?;
    }
    Ok(rows.len())
}

fn owner(row: &SqliteRow) -> Result<Owner, StoreError> {
    if row.try_get::<Option<&str>, _>("registration")?.is_some() {
        let registration: RegistrationId = read::parsed(row, "registration")?;
        return Ok(Owner::Registration(registration));
    }
    let (tenant, connection): (TenantId, ConnectionId) = (
        read::parsed(row, "tenant")?,
        read::parsed(row, "connection")?,
    );
    Ok(Owner::Connection(tenant, connection))
}
