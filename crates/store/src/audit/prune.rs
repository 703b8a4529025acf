//! Removing old rows without losing the chain: what stands in for them is a sealed checkpoint.

use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::chain::{self, Link};
use super::verify::verify;
use crate::error::StoreError;
use crate::keys::{ChainMac, Keys};
use crate::meta;
use crate::read::generation;
use crate::write::stored;

/// Removes the rows before the first one that is not older than `before`, and says how many. A log that does not verify is left alone:
/// pruning would take the traces away.
pub(crate) async fn prune(
    to: &mut SqliteConnection,
    keys: &Keys,
    before: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    if let Some(broken) = verify(to, keys).await?.broken {
        return Err(StoreError::AuditBroken(broken));
    }
    let Some(last) = last_older_row(to, before).await? else {
        return Ok(0);
    };
    let through = stored(last.seq)?;
    let removed = sqlx::query("DELETE FROM audit WHERE seq <= $1")
        .bind(through)
        .execute(&mut *to)
        .await?;
    sqlx::query("DELETE FROM audit_keys WHERE last_seq <= $1")
        .bind(through)
        .execute(&mut *to)
        .await?;
    chain::put(to, keys, meta::AUDIT_CHECKPOINT, last).await?;
    let removed = removed.rows_affected();
    let event = AuditEvent::new(AuditKind::AuditPruned)
        .with("rows", removed.to_string())
        .with("through", last.seq.to_string());
    chain::append(to, keys, now, &[event]).await?;
    Ok(removed)
}

/// A clock that was set back leaves rows out of order; none is removed that has a row to keep before it.
async fn last_older_row(
    from: &mut SqliteConnection,
    before: Timestamp,
) -> Result<Option<Link>, StoreError> {
    let row = sqlx::query(
        "SELECT seq, mac FROM audit
         WHERE seq < COALESCE((SELECT MIN(seq) FROM audit WHERE at >= $1), $2) ORDER BY seq DESC LIMIT 1",
    )
    .bind(before.as_millis())
    .bind(i64::MAX)
    .fetch_optional(from)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mac = ChainMac::try_from(row.try_get::<&[u8], _>("mac")?).map_err(|error| {
        StoreError::Corrupt {
            detail: error.to_string(),
        }
    })?;
    Ok(Some(Link {
        seq: generation(&row, "seq")?,
        mac,
    }))
}
