//! A refresh on its way: marked before it is sent, and what is decided where its reply does not come.
//!
//! The hard problem is a crash between sending and storing. A provider that rotates refresh tokens strictly has then
//! used up the stored one, and ends the grant when it is shown again. So nothing is sent before the mark is on disk,
//! and the reply is kept by a process that outlives this one, sealed under a key that lies beside the mark. Whoever
//! finds a mark knows that there may be a reply to adopt. Only where there is surely none is the stored token tried
//! again, and then as late as the access token allows: should the provider take that for theft, agents have worked
//! until then.

use std::sync::Arc;

use crate::book::Book;
use crate::change::Change;
use crate::connection::{Connection, Mark, Standing, TroubleKind};
use crate::ids::{ConnectionId, FlightId, OutboxId};
use crate::plan::Plan;
use crate::secret::FlightKey;
use crate::time::Timestamp;

use super::{refreshing, revoking};

/// Marks that a refresh of the stored generation is about to be sent.
pub fn begin(connection: &Connection, flight: FlightId, key: Arc<FlightKey>) -> Plan {
    let generation = connection.generation;
    let marked = Connection {
        refreshing: Some(Mark { generation, flight }),
        ..connection.clone()
    };
    Plan::nothing()
        .change(Change::ConnectionPut(Box::new(marked)))
        .change(Change::FlightKeyPut {
            tenant: connection.tenant,
            connection: connection.id,
            generation,
            flight,
            key,
        })
}

/// How a flight ended that brought no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Empty {
    /// Nothing was sent: the courier could not be started, or it refused.
    CourierFailed {
        /// What kept it.
        why: String,
    },
    /// It had not sent anything when it ended, with whatever had begun it.
    NeverSent,
    /// It was sent, and whether the provider acted on it is not known.
    ReplyLost {
        /// What was seen, without secrets.
        why: String,
    },
}

/// A flight that came back without a reply.
pub struct CameEmpty {
    /// Of which connection.
    pub connection: ConnectionId,
    /// The generation whose refresh token it carried.
    pub generation: u64,
    /// How it ended.
    pub end: Empty,
    /// A random number from 0 up to, not including, 1: spreads the next tries.
    pub jitter: f64,
    /// An identifier for a revocation, should one be owed.
    pub outbox: OutboxId,
}

/// Decides what a flight that brought no reply changes. The grant is kept in every case: a lost reply proves nothing.
pub fn came_empty(book: &Book, now: Timestamp, flight: CameEmpty) -> Plan {
    let Some(connection) = book.connection(flight.connection) else {
        return Plan::nothing();
    };
    if connection.generation != flight.generation {
        return Plan::nothing();
    }
    let soon = refreshing::next_try(connection, now, None, flight.jitter);
    let plan = match flight.end {
        Empty::NeverSent => unmarked(connection),
        Empty::CourierFailed { why } => {
            refreshing::troubled(connection, now, TroubleKind::CourierFailed, why, soon)
        }
        Empty::ReplyLost { why } => {
            let retry_at = as_late_as_possible(connection, now).map_or(soon, |late| late.max(soon));
            refreshing::troubled(connection, now, TroubleKind::ReplyLost, why, retry_at)
        }
    };
    if connection.standing == Standing::Ending {
        plan.and(revoking::end(book, connection, now, flight.outbox))
    } else {
        plan
    }
}

fn unmarked(connection: &Connection) -> Plan {
    let unmarked = Connection {
        refreshing: None,
        ..connection.clone()
    };
    Plan::nothing().change(Change::ConnectionPut(Box::new(unmarked)))
}

/// The last moment at which agents can still be served without a refresh, while that is to come. A token whose end is
/// not known, or that the provider refuses already, gives no reason to wait.
fn as_late_as_possible(connection: &Connection, now: Timestamp) -> Option<Timestamp> {
    connection
        .last_served_at()
        .filter(|_| connection.access_is_live(now))
}

/// Whether a next try waits for the end of the access token alone. Proof that the token is dead already takes the
/// reason away; every other wait is the provider's or the machine's, and no report shortens it.
#[must_use]
pub fn waits_for_the_token_to_end(connection: &Connection, now: Timestamp) -> bool {
    let kind = connection.trouble.as_ref().map(|trouble| trouble.kind);
    kind == Some(TroubleKind::ReplyLost) && connection.access_is_live(now)
}

/// Every mark that was left by whoever held the store before: a flight to wait for and to adopt.
pub fn left_marks(book: &Book) -> impl Iterator<Item = (&Arc<Connection>, Mark)> {
    book.connections()
        .filter_map(|connection| Some((connection, connection.refreshing?)))
}
