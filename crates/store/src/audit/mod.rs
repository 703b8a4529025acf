//! The audit log: rows that cannot be changed, removed, moved or cut off unnoticed.
//!
//! Every row is signed together with the signature of the row before it, and the last signature lies sealed beside
//! the log: the chain finds what was changed or removed inside, the sealed head what was cut off the end. The harder
//! part is that damage must stay visible when the log goes on: a new row is numbered and chained after the sealed
//! head, not after whatever the table holds, and where the head itself was lost a number is left out. So no later
//! commit can paper over a gap.
//!
//! What this cannot find is a whole older copy of the database put back, head and all.

mod chain;
mod prune;
mod verify;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use doorward_core::audit::AuditKind;
use doorward_core::ids::{AgentId, ConnectionId, TenantId};
use doorward_core::time::Timestamp;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::error::StoreError;
use crate::read::generation;
use crate::write::stored;

pub(crate) use chain::{append, begin, reseal, retire_chain_key};
pub(crate) use prune::prune;
pub(crate) use verify::verify;

/// What was done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tampering {
    /// It is not as it was written.
    Edited,
    /// It is gone.
    Missing,
    /// It stands where another one stood.
    Reordered,
    /// It and what came after it are gone.
    CutOff,
    /// The sealed end of the log is gone, does not open, or belongs to another state of it.
    HeadForged,
}

/// The first thing that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFault {
    /// At which row.
    pub seq: u64,
    /// What was found.
    pub what: Tampering,
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq;
        match self.what {
            Tampering::Edited => write!(f, "row {seq} was edited"),
            Tampering::Missing => write!(f, "row {seq} is missing"),
            Tampering::Reordered => write!(f, "row {seq} was put in another place"),
            Tampering::CutOff => write!(f, "everything from row {seq} on was cut off"),
            Tampering::HeadForged => write!(
                f,
                "the sealed end of the log, after row {seq}, was forged or removed"
            ),
        }
    }
}

/// What verifying found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// How many rows were read.
    pub rows: u64,
    /// The first row's number; above 1 where older rows were pruned.
    pub first: Option<u64>,
    /// The last row's number.
    pub last: Option<u64>,
    /// The first thing that does not verify.
    pub broken: Option<AuditFault>,
}

/// Which rows to read. Nothing set is all of them.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of that tenant.
    pub tenant: Option<TenantId>,
    /// About that agent.
    pub agent: Option<AgentId>,
    /// About that connection.
    pub connection: Option<ConnectionId>,
    /// Of one of these kinds; with none named, of any.
    pub kinds: Vec<AuditKind>,
    /// Before the row of that number.
    pub before: Option<u64>,
    /// From that moment on.
    pub since: Option<Timestamp>,
    /// The newest so many.
    pub limit: Option<u32>,
}

/// A row of the log, as it stands there: text that was tampered with is shown, not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// Its number.
    pub seq: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// In which tenant.
    pub tenant: Option<String>,
    /// To which connection.
    pub connection: Option<String>,
    /// By or to which agent.
    pub agent: Option<String>,
    /// Plain words about it.
    pub detail: BTreeMap<String, String>,
}

/// Reads rows, oldest first.
pub(crate) async fn rows(
    from: &mut SqliteConnection,
    filter: &AuditFilter,
) -> Result<Vec<AuditRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT seq, at, kind, tenant, connection, agent, detail FROM audit
         WHERE ($1 IS NULL OR tenant = $1) AND ($2 IS NULL OR agent = $2) AND ($3 IS NULL OR connection = $3)
         AND ($4 IS NULL OR $4 LIKE '%|' || kind || '|%') AND at >= $5 AND seq < $6
         ORDER BY seq DESC LIMIT $7",
    )
    .bind(filter.tenant.map(|tenant| tenant.to_string()))
    .bind(filter.agent.map(|agent| agent.to_string()))
    .bind(filter.connection.map(|connection| connection.to_string()))
    .bind(listed(&filter.kinds))
    .bind(filter.since.map_or(i64::MIN, Timestamp::as_millis))
    .bind(filter.before.map_or(Ok(i64::MAX), stored)?)
    .bind(filter.limit.map_or(i64::MAX, i64::from))
    .fetch_all(from)
    .await?;
    rows.iter().rev().map(row).collect()
}

/// The kinds as one value to look a row's own up in: a statement has a fixed number of values.
fn listed(kinds: &[AuditKind]) -> Option<String> {
    let words: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    (!words.is_empty()).then(|| format!("|{}|", words.join("|")))
}

/// What agents and connections were called that are gone: the log itself says it where they went.
pub(crate) async fn names_of_gone(
    from: &mut SqliteConnection,
) -> Result<HashMap<String, String>, StoreError> {
    let rows = sqlx::query(
        "SELECT CASE kind WHEN $1 THEN agent ELSE connection END AS id, detail FROM audit
         WHERE kind IN ($1, $2) ORDER BY seq",
    )
    .bind(AuditKind::AgentRevoked.as_str())
    .bind(AuditKind::Disconnected.as_str())
    .fetch_all(from)
    .await?;
    let mut names = HashMap::new();
    for row in rows {
        let (id, detail): (Option<String>, &str) = (row.try_get("id")?, row.try_get("detail")?);
        let words = serde_json::from_str::<BTreeMap<String, String>>(detail);
        // A row that was tampered with names nobody.
        let name = words.ok().and_then(|mut words| words.remove("name"));
        if let (Some(id), Some(name)) = (id, name) {
            names.insert(id, name);
        }
    }
    Ok(names)
}

fn row(row: &SqliteRow) -> Result<AuditRow, StoreError> {
    let detail: String = row.try_get("detail")?;
    Ok(AuditRow {
        seq: generation(row, "seq")?,
        at: Timestamp::from_millis(row.try_get("at")?),
        kind: row.try_get("kind")?,
        tenant: row.try_get("tenant")?,
        connection: row.try_get("connection")?,
        agent: row.try_get("agent")?,
        detail: serde_json::from_str(&detail)
            .unwrap_or_else(|_| BTreeMap::from([("unreadable".to_owned(), detail)])),
    })
}
