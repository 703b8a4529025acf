//! Locks that agents hold at providers.

use doorward_core::ids::{ConnectionId, LockId, TenantId};
use doorward_core::lock::HeldLock;
use doorward_core::secret::LockToken;
use doorward_core::time::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::{millis, of_that_tenant};
use crate::error::StoreError;
use crate::keys::Keys;
use crate::read;
use crate::vault::{self, Kind, Owner, Slot};

pub(super) async fn put(to: &mut SqliteConnection, lock: &HeldLock) -> Result<(), StoreError> {
    let written = sqlx::query(
        "INSERT INTO locks (id, tenant, connection, agent, agent_name, path, taken_at, heard_at, until, wanted_back,
            attempts, next_try, last_error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (id) DO UPDATE SET agent_name = excluded.agent_name, taken_at = excluded.taken_at,
            heard_at = excluded.heard_at, until = excluded.until, wanted_back = excluded.wanted_back,
            attempts = excluded.attempts, next_try = excluded.next_try, last_error = excluded.last_error
         WHERE locks.tenant = excluded.tenant AND locks.connection = excluded.connection
            AND locks.agent = excluded.agent AND locks.path = excluded.path",
    )
    .bind(lock.id.to_string())
    .bind(lock.tenant.to_string())
    .bind(lock.connection.to_string())
    .bind(lock.agent.to_string())
    .bind(lock.agent_name.as_str())
    .bind(lock.path.as_str())
    .bind(lock.taken_at.as_millis())
    .bind(lock.heard_at.as_millis())
    .bind(millis(lock.until))
    .bind(i64::from(lock.is_wanted_back))
    .bind(i64::from(lock.attempts))
    .bind(millis(lock.next_try))
    .bind(lock.last_error.as_deref())
    .execute(to)
    .await?;
    of_that_tenant(&written, "the lock")
}

pub(super) async fn take(
    to: &mut SqliteConnection,
    keys: &Keys,
    now: Timestamp,
    (lock, token): (&HeldLock, &LockToken),
) -> Result<(), StoreError> {
    put(to, lock).await?;
    let owner = Owner::Connection(lock.tenant, lock.connection);
    let key = vault::data_key_or_new(to, keys, owner, now).await?;
    let slot = Slot::lock(lock.tenant, lock.connection, lock.id);
    // A lock is of no generation of the connection's tokens.
    vault::put(to, &key, slot, 0, token.expose()).await
}

pub(super) async fn erase(
    to: &mut SqliteConnection,
    tenant: TenantId,
    lock: LockId,
) -> Result<(), StoreError> {
    let found = sqlx::query("SELECT connection FROM locks WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_string())
        .bind(lock.to_string())
        .fetch_optional(&mut *to)
        .await?;
    let Some(row) = found else { return Ok(()) };
    let connection: ConnectionId = read::parsed(&row, "connection")?;
    vault::remove(to, Slot::lock(tenant, connection, lock)).await?;
    sqlx::query("DELETE FROM locks WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_string())
        .bind(lock.to_string())
        .execute(to)
        .await?;
    Ok(())
}

/// Erases a connection's locks.
pub(super) async fn erase_all(
    to: &mut SqliteConnection,
    tenant: TenantId,
    of: ConnectionId,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sealed WHERE tenant = $1 AND connection = $2 AND kind = $3")
        .bind(tenant.to_string())
        .bind(of.to_string())
        .bind(Kind::Lock.as_str())
        .execute(&mut *to)
        .await?;
    sqlx::query("DELETE FROM locks WHERE tenant = $1 AND connection = $2")
        .bind(tenant.to_string())
        .bind(of.to_string())
        .execute(to)
        .await?;
    Ok(())
}
