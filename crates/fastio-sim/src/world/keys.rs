//! Credentials that are not OAuth tokens: API keys and the tokens of a Basic sign-in.
//!
//! They outlive any grant, which is why a proxy must not let an agent make one. The simulator has
//! them so that a test can see whether it did.

use std::collections::HashMap;

use time::OffsetDateTime;

use crate::scope::Scopes;
use crate::secret::{Fingerprint, random_node_id, random_token};
use crate::world::ledger::{Caller, Credential};

/// What kind of credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Api,
    Session,
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) kind: KeyKind,
    pub(crate) memo: String,
    pub(crate) scopes: Scopes,
    pub(crate) agent_name: Option<String>,
    pub(crate) expires: Option<String>,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

impl Key {
    pub(crate) fn caller(&self, person_id: &str) -> Caller {
        Caller {
            session_id: self.id.clone(),
            person_id: person_id.to_owned(),
            scopes: self.scopes.clone(),
            agent_name: self.agent_name.clone(),
            resource: None,
            credential: match self.kind {
                KeyKind::Api => Credential::ApiKey,
                KeyKind::Session => Credential::Session,
            },
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Keys(HashMap<Fingerprint, Key>);

impl Keys {
    /// Keeps a credential and returns its id and the secret, which is shown once.
    pub(crate) fn issue(&mut self, mut key: Key) -> (String, String) {
        key.id = random_node_id();
        let id = key.id.clone();
        let secret = random_token();
        self.0.insert(Fingerprint::of(&secret), key);
        (id, secret)
    }

    pub(crate) fn knows(&self, secret: &str) -> bool {
        self.0.contains_key(&Fingerprint::of(secret))
    }

    /// A credential that is good.
    pub(crate) fn find(&self, secret: &str, now: OffsetDateTime) -> Option<&Key> {
        self.0
            .get(&Fingerprint::of(secret))
            .filter(|key| key.expires_at.is_none_or(|end| now < end))
    }

    /// The API keys, by id.
    pub(crate) fn listed(&self) -> Vec<&Key> {
        let mut listed: Vec<&Key> = self
            .0
            .values()
            .filter(|key| key.kind == KeyKind::Api)
            .collect();
        listed.sort_by(|one, other| one.id.cmp(&other.id));
        listed
    }

    pub(crate) fn api_key_mut(&mut self, id: &str) -> Option<&mut Key> {
        self.0
            .values_mut()
            .find(|key| key.kind == KeyKind::Api && key.id == id)
    }

    /// Forgets an API key; `false` if there is none.
    pub(crate) fn forget_api_key(&mut self, id: &str) -> bool {
        let before = self.0.len();
        self.0
            .retain(|_, key| key.kind != KeyKind::Api || key.id != id);
        self.0.len() < before
    }

    /// Ends one sign-in, or all of them.
    pub(crate) fn sign_out(&mut self, secret: Option<&str>) {
        let one = secret.map(Fingerprint::of);
        self.0.retain(|fingerprint, key| {
            key.kind != KeyKind::Session || one.is_some_and(|one| one != *fingerprint)
        });
    }
}
