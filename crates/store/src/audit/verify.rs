//! Reading the whole chain and naming the first thing that is wrong with it.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::chain::{self, Link, SignedRow};
use super::{AuditFault, AuditReport, Tampering};
use crate::error::StoreError;
use crate::keys::{ChainKey, ChainMac, Keys};
use crate::meta;
use crate::read::generation;
use crate::write::stored;

/// How many rows are in memory at once.
const PAGE: i64 = 1000;

/// Verifies the log from its beginning, or its last checkpoint, to its sealed end.
pub(crate) async fn verify(
    from: &mut SqliteConnection,
    keys: &Keys,
) -> Result<AuditReport, StoreError> {
    let signers = Signers {
        retired: chain::retired_keys(from, keys).await?,
        current: &keys.chain,
    };
    let begin = chain::get(from, keys, meta::AUDIT_CHECKPOINT)
        .await?
        .unwrap_or(Link::BEGINNING);
    let mut walk = Walk {
        rows: 0,
        first: None,
        last: None,
        after: begin,
        broken: None,
    };
    let mut cursor = i64::MIN;
    loop {
        let rows = sqlx::query("SELECT * FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(cursor)
            .bind(PAGE)
            .fetch_all(&mut *from)
            .await?;
        for row in &rows {
            cursor = row.try_get("seq")?;
            walk.step(&SignedRow::read(row)?, row.try_get("mac")?, &signers);
        }
        if rows.is_empty() {
            break;
        }
    }
    let broken = match walk.broken {
        Some(broken) => Some(look_closer(from, &signers, broken).await?),
        None => compare_with_head(walk.after, chain::get(from, keys, meta::AUDIT_HEAD).await?),
    };
    Ok(AuditReport {
        rows: walk.rows,
        first: walk.first,
        last: walk.last,
        broken,
    })
}

struct Signers<'a> {
    retired: Vec<(u64, ChainKey)>,
    current: &'a ChainKey,
}

impl Signers<'_> {
    fn of(&self, seq: u64) -> &ChainKey {
        let retired = self.retired.iter().find(|(last_seq, _)| seq <= *last_seq);
        retired.map_or(self.current, |(_, key)| key)
    }
}

/// A row that does not verify.
enum Broken {
    Missing(u64),
    Wrong { row: Box<SignedRow>, mac: Vec<u8> },
}

struct Walk {
    rows: u64,
    first: Option<u64>,
    last: Option<u64>,
    after: Link,
    broken: Option<Broken>,
}

impl Walk {
    /// Rows after the first fault are counted and not looked at: what they are chained to is not known.
    fn step(&mut self, row: &SignedRow, mac: &[u8], signers: &Signers<'_>) {
        self.rows += 1;
        self.first = self.first.or(Some(row.seq));
        self.last = Some(row.seq);
        if self.broken.is_some() {
            return;
        }
        let expected = self.after.seq + 1;
        if row.seq > expected {
            self.broken = Some(Broken::Missing(expected));
        } else if row.seq == expected
            && signers
                .of(row.seq)
                .has_signed(&row.place(&self.after.mac), mac)
        {
            let mac = ChainMac::try_from(mac).unwrap_or_default();
            self.after = Link { seq: row.seq, mac };
        } else {
            self.broken = Some(Broken::Wrong {
                row: Box::new(row.clone()),
                mac: mac.to_vec(),
            });
        }
    }
}

fn compare_with_head(last: Link, head: Option<Link>) -> Option<AuditFault> {
    match head {
        Some(head) if head == last => None,
        Some(head) if head.seq > last.seq => Some(AuditFault {
            seq: last.seq + 1,
            what: Tampering::CutOff,
        }),
        _ => Some(AuditFault {
            seq: last.seq,
            what: Tampering::HeadForged,
        }),
    }
}

/// Tells a row that was moved from one that was changed: a moved one verifies under another number.
async fn look_closer(
    from: &mut SqliteConnection,
    signers: &Signers<'_>,
    broken: Broken,
) -> Result<AuditFault, StoreError> {
    let (row, mac) = match broken {
        Broken::Missing(seq) => {
            return Ok(AuditFault {
                seq,
                what: Tampering::Missing,
            });
        }
        Broken::Wrong { row, mac } => (row, mac),
    };
    let others = sqlx::query("SELECT seq, mac FROM audit WHERE seq >= $1 ORDER BY seq")
        .bind(stored(row.seq)?)
        .fetch_all(from)
        .await?;
    let mut before: Option<ChainMac> = None;
    for other in &others {
        let seq = generation(other, "seq")?;
        let here = ChainMac::try_from(other.try_get::<&[u8], _>("mac")?).ok();
        // Where neighbours changed places, the signature before the moved row is the one that took its place.
        let moved = [before, here].into_iter().flatten().any(|candidate| {
            seq != row.seq
                && signers
                    .of(seq)
                    .has_signed(&row.place_at(seq, &candidate), &mac)
        });
        if moved {
            return Ok(AuditFault {
                seq: row.seq,
                what: Tampering::Reordered,
            });
        }
        before = here;
    }
    Ok(AuditFault {
        seq: row.seq,
        what: Tampering::Edited,
    })
}
