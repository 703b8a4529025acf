//! Collections of plain records: comments, members, invitations, templates and the like.
//!
//! Fast.io has dozens of them and they all behave alike: a record is added, listed, read, changed and
//! removed, and belongs to one place. A record is the JSON that was sent, under an id.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::secret::random_node_id;

/// The records of every collection, by the path of the collection.
#[derive(Debug, Default)]
pub(crate) struct Shelves(BTreeMap<String, Vec<Record>>);

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) fields: Map<String, Value>,
}

impl Record {
    pub(crate) fn description(&self) -> Value {
        let mut shown = self.fields.clone();
        shown.insert("id".to_owned(), self.id.clone().into());
        Value::Object(shown)
    }
}

impl Shelves {
    pub(crate) fn add(&mut self, label: &str, fields: Map<String, Value>) -> Record {
        let record = Record {
            id: random_node_id(),
            fields,
        };
        self.0
            .entry(label.to_owned())
            .or_default()
            .push(record.clone());
        record
    }

    pub(crate) fn all(&self, label: &str) -> &[Record] {
        self.0.get(label).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn find(&self, label: &str, id: &str) -> Option<&Record> {
        self.all(label).iter().find(|record| record.id == id)
    }

    /// Changes the named fields of a record.
    pub(crate) fn change(
        &mut self,
        label: &str,
        id: &str,
        fields: Map<String, Value>,
    ) -> Option<&Record> {
        let record = self
            .0
            .get_mut(label)?
            .iter_mut()
            .find(|record| record.id == id)?;
        record.fields.extend(fields);
        Some(record)
    }

    pub(crate) fn remove(&mut self, label: &str, id: &str) -> Option<Record> {
        let records = self.0.get_mut(label)?;
        let index = records.iter().position(|record| record.id == id)?;
        Some(records.remove(index))
    }
}
