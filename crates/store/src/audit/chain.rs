//! The chain itself: how a row is signed, where the next one goes, and which key signed what.

use doorward_core::audit::AuditEvent;
use doorward_core::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::error::StoreError;
use crate::keys::{ChainKey, ChainMac, Keys};
use crate::meta;
use crate::read::generation;
use crate::seal::Place;
use crate::write::stored;

/// What stands for the signature before the first row.
const GENESIS: ChainMac = [0; 32];

/// A place in the chain: after that row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) mac: ChainMac,
}

impl Link {
    pub(super) const BEGINNING: Self = Self {
        seq: 0,
        mac: GENESIS,
    };
}

/// A row as it is signed: exactly the text that is stored.
#[derive(Clone)]
pub(super) struct SignedRow {
    pub(super) seq: u64,
    at: i64,
    kind: String,
    tenant: Option<String>,
    connection: Option<String>,
    agent: Option<String>,
    detail: String,
}

impl SignedRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            seq: generation(row, "seq")?,
            at: row.try_get("at")?,
            kind: row.try_get("kind")?,
            tenant: row.try_get("tenant")?,
            connection: row.try_get("connection")?,
            agent: row.try_get("agent")?,
            detail: row.try_get("detail")?,
        })
    }

    pub(super) fn place(&self, before: &ChainMac) -> Place {
        self.place_at(self.seq, before)
    }

    /// The row as it would have been signed under another number.
    pub(super) fn place_at(&self, seq: u64, before: &ChainMac) -> Place {
        let optional = |place: Place, text: Option<&str>| match text {
            Some(text) => place.bytes(&[1]).bytes(text.as_bytes()),
            None => place.bytes(&[0]),
        };
        let place = Place::new("audit-row")
            .bytes(before)
            .number(seq)
            .bytes(&self.at.to_be_bytes())
            .bytes(self.kind.as_bytes());
        let place = optional(place, self.tenant.as_deref());
        let place = optional(place, self.connection.as_deref());
        optional(place, self.agent.as_deref()).bytes(self.detail.as_bytes())
    }
}

/// Seals the head of an empty log.
pub(crate) async fn begin(to: &mut SqliteConnection, keys: &Keys) -> Result<(), StoreError> {
    put(to, keys, meta::AUDIT_HEAD, Link::BEGINNING).await
}

/// Appends events, in the transaction of what they tell of.
pub(crate) async fn append(
    to: &mut SqliteConnection,
    keys: &Keys,
    now: Timestamp,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let (mut before, mut seq) = end(to, keys).await?;
    for event in events {
        let contradiction = |error: serde_json::Error| StoreError::Contradiction {
            detail: error.to_string(),
        };
        let row = SignedRow {
            seq,
            at: now.as_millis(),
            kind: event.kind.as_str().to_owned(),
            tenant: event.tenant.map(|tenant| tenant.to_string()),
            connection: event.connection.map(|connection| connection.to_string()),
            agent: event.agent.map(|agent| agent.to_string()),
            detail: serde_json::to_string(&event.detail).map_err(contradiction)?,
        };
        before = keys.chain.sign(&row.place(&before));
        insert(to, row, &before).await?;
        seq += 1;
    }
    put(
        to,
        keys,
        meta::AUDIT_HEAD,
        Link {
            seq: seq - 1,
            mac: before,
        },
    )
    .await
}

/// After which signature and under which number the next row goes.
async fn end(from: &mut SqliteConnection, keys: &Keys) -> Result<(ChainMac, u64), StoreError> {
    let last = last_row(from).await?;
    let head = get(from, keys, meta::AUDIT_HEAD).await?;
    if let Some(head) = head {
        return Ok((head.mac, head.seq.max(last.map_or(0, |last| last.seq)) + 1));
    }
    let checkpoint = get(from, keys, meta::AUDIT_CHECKPOINT).await?;
    let last = last.or(checkpoint).unwrap_or(Link::BEGINNING);
    // The number left out is what verifying finds for as long as the log exists.
    Ok((last.mac, last.seq + 2))
}

pub(super) async fn last_row(from: &mut SqliteConnection) -> Result<Option<Link>, StoreError> {
    let row = sqlx::query("SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(from)
        .await?;
    let Some(row) = row else { return Ok(None) };
    // A signature of another length is no signature; the row does not verify, whatever stands for it.
    let mac = ChainMac::try_from(row.try_get::<&[u8], _>("mac")?).unwrap_or(GENESIS);
    Ok(Some(Link {
        seq: generation(&row, "seq")?,
        mac,
    }))
}

async fn insert(
    to: &mut SqliteConnection,
    row: SignedRow,
    mac: &ChainMac,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit (seq, at, kind, tenant, connection, agent, detail, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(stored(row.seq)?)
    .bind(row.at)
    .bind(row.kind)
    .bind(row.tenant)
    .bind(row.connection)
    .bind(row.agent)
    .bind(row.detail)
    .bind(mac.as_slice())
    .execute(to)
    .await?;
    Ok(())
}

fn link_place(name: &'static str) -> Place {
    Place::new("audit-link").bytes(name.as_bytes())
}

/// A sealed place in the chain; nothing where it is gone or does not open.
pub(super) async fn get(
    from: &mut SqliteConnection,
    keys: &Keys,
    name: &'static str,
) -> Result<Option<Link>, StoreError> {
    let sealed = meta::get(from, name).await?;
    Ok(sealed.and_then(|sealed| {
        let plain = keys.audit_sealing.open(&link_place(name), &sealed)?;
        let (seq, mac) = plain.split_first_chunk::<8>()?;
        Some(Link {
            seq: u64::from_be_bytes(*seq),
            mac: ChainMac::try_from(mac).ok()?,
        })
    }))
}

pub(super) async fn put(
    to: &mut SqliteConnection,
    keys: &Keys,
    name: &'static str,
    link: Link,
) -> Result<(), StoreError> {
    let mut plain = link.seq.to_be_bytes().to_vec();
    plain.extend_from_slice(&link.mac);
    meta::put(
        to,
        name,
        &keys.audit_sealing.seal(&link_place(name), &plain)?,
    )
    .await
}

fn retired_place(last_seq: u64) -> Place {
    Place::new("audit-chain-key").number(last_seq)
}

/// Keeps the chain key of before a rotation, sealed under the new keys: rows up to here were signed with it.
pub(crate) async fn retire_chain_key(
    to: &mut SqliteConnection,
    old: &Keys,
    new: &Keys,
) -> Result<(), StoreError> {
    let (_, next) = end(to, old).await?;
    let last_seq = next - 1;
    let sealed = old.chain.retire(new, &retired_place(last_seq))?;
    // Two rotations with no row between them: nothing was signed with the key that would be replaced.
    sqlx::query(
        "INSERT INTO audit_keys (last_seq, sealed) VALUES ($1, $2)
         ON CONFLICT (last_seq) DO UPDATE SET sealed = excluded.sealed",
    )
    .bind(stored(last_seq)?)
    .bind(sealed)
    .execute(to)
    .await?;
    Ok(())
}

/// Seals head, checkpoint and older chain keys under the new keys. What did not open before does not after.
pub(crate) async fn reseal(
    to: &mut SqliteConnection,
    old: &Keys,
    new: &Keys,
) -> Result<(), StoreError> {
    for name in [meta::AUDIT_HEAD, meta::AUDIT_CHECKPOINT] {
        if let Some(link) = get(to, old, name).await? {
            put(to, new, name, link).await?;
        }
    }
    for (last_seq, key) in retired_keys(to, old).await? {
        let sealed = key.retire(new, &retired_place(last_seq))?;
        sqlx::query("UPDATE audit_keys SET sealed = $2 WHERE last_seq = $1")
            .bind(stored(last_seq)?)
            .bind(sealed)
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

/// The chain keys of before rotations, each with the number of the last row it signed, in that order.
pub(super) async fn retired_keys(
    from: &mut SqliteConnection,
    keys: &Keys,
) -> Result<Vec<(u64, ChainKey)>, StoreError> {
    let rows = sqlx::query("SELECT last_seq, sealed FROM audit_keys ORDER BY last_seq")
        .fetch_all(from)
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let last_seq = generation(&row, "last_seq")?;
        if let Some(key) = ChainKey::retired(keys, &retired_place(last_seq), row.try_get("sealed")?)
        {
            found.push((last_seq, key));
        }
    }
    Ok(found)
}
