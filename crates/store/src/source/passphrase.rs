//! A passphrase that a person types, where there is no keyring.
//!
//! The key is derived from it with Argon2id, once at unlock: deriving on every use would cost more than everything
//! else together. Salt and cost are the recipe, so a later version can raise the cost for new keys and still find
//! old ones.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use doorward_core::secret::Passphrase;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Kek, KekId, KeySource, KeySourceError, SourceFuture, SourceKind};
use crate::seal;

/// How much work a derivation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivationCost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl DerivationCost {
    /// For a passphrase: above what OWASP asks of Argon2id, as it is paid once at unlock.
    pub const PASSPHRASE: Self = Self {
        memory: 64 * 1024,
        passes: 3,
        lanes: 1,
    };
    /// For a PIN: OWASP's first choice; guesses are counted as well, and the result lies sealed.
    pub(crate) const PIN: Self = Self {
        memory: 19 * 1024,
        passes: 2,
        lanes: 1,
    };
    /// A recipe that was tampered with must not make unlocking eat the machine.
    const MOST: Self = Self {
        memory: 1024 * 1024,
        passes: 64,
        lanes: 16,
    };

    fn is_bounded(self) -> bool {
        self.memory <= Self::MOST.memory
            && self.passes <= Self::MOST.passes
            && self.lanes <= Self::MOST.lanes
    }
}

/// Derives 32 bytes, off the runtime's threads.
pub(crate) async fn derive(
    secret: Zeroizing<Vec<u8>>,
    salt: [u8; 16],
    cost: DerivationCost,
) -> Result<Zeroizing<[u8; 32]>, KeySourceError> {
    let unusable =
        |error: argon2::Error| KeySourceError::Other(format!("the key cannot be derived: {error}"));
    let work = move || {
        let params =
            Params::new(cost.memory, cost.passes, cost.lanes, Some(32)).map_err(unusable)?;
        let mut derived = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&secret, &salt, derived.as_mut())
            .map_err(unusable)?;
        Ok(derived)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| KeySourceError::Other(error.to_string()))?
}

#[derive(Serialize, Deserialize)]
struct Recipe {
    salt: String,
    cost: DerivationCost,
}

/// A passphrase that a person typed.
pub struct PassphraseSource {
    passphrase: Passphrase,
    cost: DerivationCost,
}

impl PassphraseSource {
    /// Takes the passphrase.
    #[must_use]
    pub fn new(passphrase: Passphrase) -> Self {
        Self {
            passphrase,
            cost: DerivationCost::PASSPHRASE,
        }
    }

    /// The same, with another cost for keys that are made. Tests use it to be quick.
    #[must_use]
    pub fn with_cost(self, cost: DerivationCost) -> Self {
        Self { cost, ..self }
    }

    fn secret(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.passphrase.expose().as_bytes().to_vec())
    }
}

impl KeySource for PassphraseSource {
    fn kind(&self) -> SourceKind {
        SourceKind::Passphrase
    }

    fn make(&self, _id: KekId) -> SourceFuture<'_, (Kek, String)> {
        Box::pin(async move {
            let salt = seal::random().map_err(|error| KeySourceError::Other(error.to_string()))?;
            let derived = derive(self.secret(), salt, self.cost).await?;
            let recipe = Recipe {
                salt: STANDARD_NO_PAD.encode(salt),
                cost: self.cost,
            };
            let recipe = serde_json::to_string(&recipe)
                .map_err(|error| KeySourceError::Other(error.to_string()))?;
            Ok((Kek::from_bytes(*derived), recipe))
        })
    }

    fn find<'a>(&'a self, _id: KekId, recipe: &'a str) -> SourceFuture<'a, Option<Kek>> {
        Box::pin(async move {
            let unreadable = || {
                KeySourceError::Other(
                    "the store's record of the passphrase cannot be read".to_owned(),
                )
            };
            let recipe: Recipe = serde_json::from_str(recipe).map_err(|_| unreadable())?;
            let salt = STANDARD_NO_PAD
                .decode(&recipe.salt)
                .map_err(|_| unreadable())?;
            let salt = <[u8; 16]>::try_from(salt).map_err(|_| unreadable())?;
            if !recipe.cost.is_bounded() {
                return Err(unreadable());
            }
            let derived = derive(self.secret(), salt, recipe.cost).await?;
            Ok(Some(Kek::from_bytes(*derived)))
        })
    }

    fn forget(&self, _id: KekId) -> SourceFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
