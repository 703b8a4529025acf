//! What describes the installation: a few named values, all written in the transaction of what they describe.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::error::StoreError;

/// The number of the schema.
pub(crate) const SCHEMA: &str = "schema";
/// The installation's identity: its keys are bound to it.
pub(crate) const INSTALLATION: &str = "installation";
/// The identity of the key-encryption key.
pub(crate) const KEK: &str = "kek";
/// The kind of source it comes from.
pub(crate) const SOURCE: &str = "source";
/// What the source needs to find it again.
pub(crate) const RECIPE: &str = "recipe";
/// By what the right key is recognised.
pub(crate) const CHECK: &str = "check";
/// A key that the source may still hold and nobody needs: of a rotation that was cut short, or before one.
pub(crate) const UNNEEDED_KEK: &str = "unneeded_kek";
/// The audit log's end, sealed.
pub(crate) const AUDIT_HEAD: &str = "audit_head";
/// The last row that was pruned, sealed.
pub(crate) const AUDIT_CHECKPOINT: &str = "audit_checkpoint";

pub(crate) async fn get(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = sqlx::query("SELECT value FROM meta WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.try_get("value")).transpose()?)
}

pub(crate) async fn text(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let Some(value) = get(connection, name).await? else {
        return Ok(None);
    };
    let unreadable = |_| StoreError::Corrupt {
        detail: format!("the value `{name}` is no text"),
    };
    String::from_utf8(value).map(Some).map_err(unreadable)
}

pub(crate) async fn put(
    connection: &mut SqliteConnection,
    name: &str,
    value: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        .bind(name)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn remove(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM meta WHERE name = $1")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}
