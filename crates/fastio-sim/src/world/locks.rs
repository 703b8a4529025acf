//! Locks on files: exclusive, for one to sixty minutes, kept by heartbeats, gone by themselves.

use std::collections::HashMap;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::clock::fastio_datetime;
use crate::secret::random_token;

#[derive(Clone, Debug)]
pub(crate) struct Lock {
    pub(crate) token: String,
    /// The session of whoever holds it.
    pub(crate) holder: String,
    pub(crate) length: Duration,
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) client_info: Option<String>,
}

/// Why a lock is not given, kept or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockRefusal {
    /// Someone holds it.
    Held,
    /// Nobody does.
    Free,
    /// Someone does, by another token.
    OtherToken,
}

/// The locks by place and node.
#[derive(Debug, Default)]
pub(crate) struct Locks(HashMap<(String, String), Lock>);

impl Locks {
    pub(crate) fn find(&self, place: &str, node: &str, now: OffsetDateTime) -> Option<&Lock> {
        self.0
            .get(&(place.to_owned(), node.to_owned()))
            .filter(|lock| now < lock.expires_at)
    }

    /// Whether someone else than `session` holds a node.
    pub(crate) fn bars(&self, place: &str, node: &str, session: &str, now: OffsetDateTime) -> bool {
        self.find(place, node, now)
            .is_some_and(|lock| lock.holder != session)
    }

    pub(crate) fn acquire(
        &mut self,
        (place, node): (&str, &str),
        mut lock: Lock,
        now: OffsetDateTime,
    ) -> Result<Lock, LockRefusal> {
        if self.find(place, node, now).is_some() {
            return Err(LockRefusal::Held);
        }
        lock.token = random_token();
        lock.expires_at = now + lock.length;
        self.0
            .insert((place.to_owned(), node.to_owned()), lock.clone());
        Ok(lock)
    }

    pub(crate) fn keep(
        &mut self,
        (place, node): (&str, &str),
        token: &str,
        now: OffsetDateTime,
    ) -> Result<Lock, LockRefusal> {
        self.check(place, node, token, now)?;
        let lock = self
            .0
            .get_mut(&(place.to_owned(), node.to_owned()))
            .ok_or(LockRefusal::Free)?;
        lock.expires_at = now + lock.length;
        Ok(lock.clone())
    }

    pub(crate) fn release(
        &mut self,
        (place, node): (&str, &str),
        token: &str,
        now: OffsetDateTime,
    ) -> Result<(), LockRefusal> {
        self.check(place, node, token, now)?;
        self.0.remove(&(place.to_owned(), node.to_owned()));
        Ok(())
    }

    /// Every lock that is held: place, node, lock.
    pub(crate) fn held(&self, now: OffsetDateTime) -> Vec<(&str, &str, &Lock)> {
        let mut held: Vec<_> = self
            .0
            .iter()
            .filter(|(_, lock)| now < lock.expires_at)
            .map(|((place, node), lock)| (place.as_str(), node.as_str(), lock))
            .collect();
        held.sort_by_key(|(place, node, _)| (*place, *node));
        held
    }

    fn check(
        &self,
        place: &str,
        node: &str,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<(), LockRefusal> {
        match self.find(place, node, now) {
            None => Err(LockRefusal::Free),
            Some(lock) if lock.token != token => Err(LockRefusal::OtherToken),
            Some(_) => Ok(()),
        }
    }
}

impl Lock {
    /// What everyone may see; the token is for its holder alone.
    pub(crate) fn description(&self) -> Value {
        json!({
            "locked": true,
            "expires": fastio_datetime(self.expires_at),
            "duration": self.length.whole_seconds(),
            "client_info": self.client_info,
        })
    }
}
