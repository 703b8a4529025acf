//! Where the key-encryption key comes from.
//!
//! The key-encryption key (KEK) is the one secret from which everything in the store opens, and the one secret that
//! is not in it. A source makes it, finds it again and forgets it. What a source needs to find a key again and may be
//! read by anybody (a salt, say) is its recipe, which the store keeps.

mod keyring;
mod passphrase;

use std::fmt;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use keyring::OsKeyring;
pub(crate) use passphrase::derive;
pub use passphrase::{DerivationCost, PassphraseSource};

/// A key-encryption key. Wiped when dropped; cannot be printed.
pub struct Kek(Zeroizing<[u8; 32]>);

impl Kek {
    /// Takes the bytes of a key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A key of 256 random bits.
    pub fn random() -> Result<Self, KeySourceError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut())
            .map_err(|error| KeySourceError::Other(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// The bytes themselves: for a source that keeps them, and for the derivation.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Which key-encryption key: of which installation, and which of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KekId {
    /// The installation: two on one machine never take each other's key.
    pub installation: Uuid,
    /// The key. A rotation makes a new one.
    pub key: Uuid,
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.installation, self.key)
    }
}

/// The kinds of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// The keyring of the operating system.
    Keyring,
    /// A passphrase that a person types.
    Passphrase,
}

impl SourceKind {
    /// The kind as it stands in the store and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::Passphrase => "passphrase",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a source does, later: it may have to wait for a keyring or a derivation.
pub type SourceFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeySourceError>> + Send + 'a>>;

/// Where a key-encryption key comes from.
pub trait KeySource: Send + Sync {
    /// Which kind it is.
    fn kind(&self) -> SourceKind;

    /// Makes a key of that name and keeps it, if keeping is what the source does. The text is the recipe.
    fn make(&self, id: KekId) -> SourceFuture<'_, (Kek, String)>;

    /// Finds the key of that name; nothing where the source works and has no such key.
    fn find<'a>(&'a self, id: KekId, recipe: &'a str) -> SourceFuture<'a, Option<Kek>>;

    /// Forgets the key of that name. One that is not there is forgotten already.
    fn forget(&self, id: KekId) -> SourceFuture<'_, ()>;
}

/// Why a source gives no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySourceError {
    /// There is no keyring to ask.
    #[error("there is no OS keyring to ask: {0}")]
    Absent(String),
    /// The keyring is locked and was not unlocked.
    #[error("the OS keyring is locked: {0}")]
    Locked(String),
    /// The keyring did not answer in time: most likely it waits for a person.
    #[error("the OS keyring did not answer within {seconds} s")]
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// Something else.
    #[error("no key could be had: {0}")]
    Other(String),
}
