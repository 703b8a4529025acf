//! What has changed lately: the keys that long polls and web sockets are told, and the event log.
//!
//! A client feeds the moment of the last change back and is told everything after it, so moments
//! must grow strictly: two changes within one clock tick get two moments.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::clock::fastio_datetime;
use crate::secret::random_node_id;

/// How many changes and events are remembered.
const LENGTH: usize = 20_000;

#[derive(Debug)]
struct Change {
    /// Microseconds since 1970.
    moment: i64,
    entity: String,
    key: String,
}

/// One entry of the event log.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) category: &'static str,
    pub(crate) name: String,
    pub(crate) entity: String,
    pub(crate) object: String,
    pub(crate) created: OffsetDateTime,
    pub(crate) acknowledged: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Activity {
    changes: Vec<Change>,
    events: Vec<Event>,
    latest: i64,
}

impl Activity {
    /// Notes that `key` (such as `storage:ID`) of an entity has changed.
    pub(crate) fn note(&mut self, entity: &str, key: String, now: OffsetDateTime) {
        let moment = i64::try_from(now.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX / 2);
        self.latest = moment.max(self.latest + 1);
        if self.changes.len() == LENGTH {
            self.changes.drain(..LENGTH / 2);
        }
        self.changes.push(Change {
            moment: self.latest,
            entity: entity.to_owned(),
            key,
        });
    }

    /// Adds to the event log.
    pub(crate) fn log(&mut self, entity: &str, name: &str, object: &str, now: OffsetDateTime) {
        if self.events.len() == LENGTH {
            self.events.drain(..LENGTH / 2);
        }
        self.events.push(Event {
            id: random_node_id(),
            category: if name.starts_with("comment") {
                "comment"
            } else {
                "storage"
            },
            name: name.to_owned(),
            entity: entity.to_owned(),
            object: object.to_owned(),
            // As fine as it is told, so that what was told can be searched by.
            created: now.replace_nanosecond(0).unwrap_or(now),
            acknowledged: false,
        });
    }

    /// The keys of an entity that changed after `since`, each once with its last moment.
    pub(crate) fn after(&self, entity: &str, since: i64) -> Vec<(String, i64)> {
        let mut keys: Vec<(String, i64)> = Vec::new();
        for change in &self.changes {
            if change.entity != entity || change.moment <= since {
                continue;
            }
            match keys.iter_mut().find(|(key, _)| *key == change.key) {
                Some((_, moment)) => *moment = change.moment,
                None => keys.push((change.key.clone(), change.moment)),
            }
        }
        keys
    }

    /// The moment of the last change of anything.
    pub(crate) fn latest(&self) -> i64 {
        self.latest
    }

    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(crate) fn event_mut(&mut self, id: &str) -> Option<&mut Event> {
        self.events.iter_mut().find(|event| event.id == id)
    }
}

impl Event {
    pub(crate) fn description(&self) -> Value {
        json!({
            "event_id": self.id,
            "event": self.name,
            "category": self.category,
            "entity_id": self.entity,
            "object_id": self.object,
            "created": fastio_datetime(self.created),
            "acknowledged": self.acknowledged,
        })
    }
}
