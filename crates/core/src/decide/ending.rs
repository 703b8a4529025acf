//! An access token comes to its end, and nothing renews it.
//!
//! The hard problem is that no provider says so: only the clock does, and a clock can be wrong. So nothing is erased
//! and the connection stands; its health says how it is for as long as it is so. What is written down is that the
//! person was told, of which generation: once, whatever a restart or a clock that is set makes of that end.

use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::Change;
use crate::connection::{Connection, Standing};
use crate::plan::{Effect, Notice, Plan};
use crate::time::Timestamp;

/// Why a connection has ended whose access token nothing renews.
pub const NOTHING_RENEWS_IT: &str = "the access token has ended and there is no refresh token";

/// When a person has to be told that a connection has ended by itself; nothing where that never comes or was told. A
/// person who paused it is told when it goes on: nobody misses it meanwhile.
#[must_use]
pub fn tells_at(connection: &Connection) -> Option<Timestamp> {
    let stands = matches!(
        connection.standing,
        Standing::Connected | Standing::Unproven
    );
    let ends_by_itself = stands && connection.generation > 0 && !connection.refreshable;
    connection
        .access_expires_at
        .filter(|_| ends_by_itself && !connection.paused && !connection.is_end_told())
}

/// Tells the person of every connection that has ended by itself.
pub fn tell(book: &Book, now: Timestamp) -> Plan {
    let ended = book
        .connections()
        .filter(|row| tells_at(row).is_some_and(|end| end <= now));
    ended.fold(Plan::nothing(), |plan, row| {
        let told = Connection {
            end_told: Some(row.generation),
            ..(**row).clone()
        };
        let event = AuditEvent::new(AuditKind::GrantEnded)
            .tenant(row.tenant)
            .connection(row.id)
            .with("why", NOTHING_RENEWS_IT);
        plan.change(Change::ConnectionPut(Box::new(told)))
            .log(event)
            .effect(Effect::Tell(Notice::ReconnectNeeded(row.id)))
    })
}
