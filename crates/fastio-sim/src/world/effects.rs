//! What was done, counted by what it was meant to do.
//!
//! A repeated request is harmless only if it has no second effect, and no status code tells whether
//! it had one. So whatever changes the world notes the deed together with what names it for the one
//! who asked (`node created: WORKSPACE/root/notes.txt`), never an id that the simulator made up: the
//! same deed done twice counts two under one name.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Effects(BTreeMap<String, u64>);

impl Effects {
    pub(crate) fn note(&mut self, deed: &str, what: &str) {
        *self.0.entry(format!("{deed}: {what}")).or_default() += 1;
    }

    pub(crate) fn counted(&self) -> &BTreeMap<String, u64> {
        &self.0
    }

    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}
