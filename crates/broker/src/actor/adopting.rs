//! Flights that were begun before this broker: joined, and what they brought adopted.
//!
//! A courier may have outlived the broker that sent it, or ended before this one began. Either way its flight is one
//! like any other: it is waited for, its reply counts for the generation it was sent for and for no other, and the
//! files in the spool go when that is stored.

use std::collections::HashSet;
use std::sync::Arc;

use doorward_core::connection::{Connection, Mark};
use doorward_core::decide::flying;
use doorward_core::ids::FlightId;
use doorward_core::secret::FlightKey;
use doorward_store::FlightPlace;

use super::message::FlightEnded;
use super::{Actor, Message};
use crate::courier;

impl Actor {
    /// Joins every flight that whoever held the store before has begun, as if it had begun here.
    pub(super) async fn adopt_flights(&mut self) {
        let marks: Vec<_> = flying::left_marks(self.book())
            .map(|(row, mark)| (Arc::clone(row), mark))
            .collect();
        let wanted: HashSet<_> = marks.iter().map(|(_, mark)| mark.flight).collect();
        match self.spool.sweep(&wanted) {
            Ok(0) => {}
            Ok(erased) => tracing::info!(erased, "left-over files in the spool were erased"),
            Err(error) => tracing::warn!(%error, "the spool could not be swept"),
        }
        for (row, mark) in marks {
            let key = self.store.flight_key(row.tenant, row.id, mark).await;
            let key = key.unwrap_or_else(|error| {
                tracing::error!(%error, connection = %row.id, "the key of a refresh under way could not be read");
                None
            });
            tracing::info!(connection = %row.id, "a refresh was under way when Doorward ended; what it brought is adopted");
            self.take_off(row.id);
            self.adopt_flight(&row, mark, key);
        }
    }

    fn adopt_flight(&self, row: &Connection, mark: Mark, key: Option<FlightKey>) {
        let flight = self.flight_of(row, mark, key);
        let (id, report) = (row.id, self.report());
        tokio::spawn(async move {
            let outcome = Some(courier::adopt(&flight).await);
            let ended = FlightEnded {
                connection: id,
                mark,
                access_is_dead: false,
                outcome,
            };
            // The mailbox is gone only when the process is ending; the next one finds the mark.
            let _gone = report.send(Message::FlightEnded(ended)).await;
        });
    }

    /// What is known of a flight by whoever waits for it.
    pub(super) fn flight_of(
        &self,
        row: &Connection,
        mark: Mark,
        key: Option<FlightKey>,
    ) -> courier::Flight {
        courier::Flight {
            spool: self.spool.clone(),
            place: FlightPlace {
                tenant: row.tenant,
                connection: row.id,
                generation: mark.generation,
                flight: mark.flight,
            },
            key,
            timeout: self.config.provider_timeout,
        }
    }

    /// What is not erased here is erased at the next start: it opens for nobody any longer.
    pub(super) fn erase_spooled(&self, flight: FlightId) {
        if let Err(error) = self.spool.erase(flight) {
            tracing::warn!(%error, "a reply that is stored could not be erased from the spool");
        }
    }
}
