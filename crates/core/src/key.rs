//! Agent keys: what a local agent shows at the door.
//!
//! A key has 256 random bits, so a fast hash is enough to store it: there is nothing to guess. Only the hash is
//! kept, and the hash is also how a key is looked up, which leaks nothing about keys that exist.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{AgentId, ConnectionId, KeyId};
use crate::time::Timestamp;

const PREFIX: &str = "dwk_";
/// 32 bytes in base64url without padding.
const BODY_LENGTH: usize = 43;

/// The text of an agent key. Shown once, then gone.
pub struct AgentKey(SecretString);

impl AgentKey {
    /// Makes a key from 256 random bits.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(SecretString::from(format!(
            "{PREFIX}{}",
            URL_SAFE_NO_PAD.encode(bytes)
        )))
    }

    /// The text itself, for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.expose())
    }

    /// Whether `text` has the form of an agent key. Says nothing about whether the key exists.
    #[must_use]
    pub fn is_well_formed(text: &str) -> bool {
        text.strip_prefix(PREFIX).is_some_and(|body| {
            body.len() == BODY_LENGTH
                && body
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
    }
}

/// SHA-256 of a secret with enough random bits of its own: an agent key or a device code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Hashes the text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// A hash read back from the store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash as bytes, for the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// What is known of one agent key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its identity.
    pub id: KeyId,
    /// The agent it speaks for.
    pub agent: AgentId,
    /// SHA-256 of its text.
    pub hash: KeyHash,
    /// If set, the key opens this connection's door alone.
    pub audience: Option<ConnectionId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// It ends when it was not used for this many seconds.
    pub idle_seconds: Option<u32>,
    /// Its last use, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When a person or the agent ended it.
    pub revoked_at: Option<Timestamp>,
    /// It reads the metrics, and opens nothing else.
    pub metrics: bool,
}

/// A key that was revoked or has ended is remembered for this long, so that whoever still shows it
/// is told which of the two it is.
pub const ENDED_KEY_LIFE: std::time::Duration = std::time::Duration::from_hours(30 * 24);

/// Whether a key opens anything at a given moment, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStanding {
    /// It does.
    Live,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired,
    /// It was not used for too long.
    Idle,
}

impl KeyRecord {
    /// Whether the key ended so long ago that it can be forgotten.
    #[must_use]
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        let ended = self.revoked_at.or(self.expires_at);
        ended.is_some_and(|end| now.since(end) > ENDED_KEY_LIFE)
    }

    /// Decides whether the key is live at `now`. `last_used_at` is a use that is not written down yet.
    #[must_use]
    pub fn standing(&self, now: Timestamp, last_used_at: Option<Timestamp>) -> KeyStanding {
        if self.revoked_at.is_some() {
            return KeyStanding::Revoked;
        }
        if self.expires_at.is_some_and(|end| now >= end) {
            return KeyStanding::Expired;
        }
        let used = last_used_at
            .max(self.last_used_at)
            .unwrap_or(self.created_at);
        match self.idle_seconds {
            Some(idle) if now.since(used).as_secs() >= u64::from(idle) => KeyStanding::Idle,
            _ => KeyStanding::Live,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_documented_form_and_a_hash_that_finds_it() {
        let key = AgentKey::from_random([7; 32]);
        assert!(AgentKey::is_well_formed(key.expose()));
        assert_eq!(key.expose().len(), 47);
        assert_eq!(key.hash(), KeyHash::of(key.expose()));
        for wrong in [
            "",
            "dwk_",
            "dwk_short",
            &key.expose()[1..],
            &format!("{}=", &key.expose()[..46]),
        ] {
            assert!(!AgentKey::is_well_formed(wrong), "{wrong}");
        }
    }
}
