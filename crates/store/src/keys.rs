//! The keys that an unlocked store works with, all derived from the key-encryption key.
//!
//! Each purpose has a key of its own, so that a value of one purpose can never be taken for one of another, and the
//! key-encryption key itself is not kept: it is wiped as soon as these are derived.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::seal::{NoRandomness, Place, SealingKey};
use crate::source::{Kek, KekId};

/// What is sealed to tell the right key from a wrong one.
const CHECK: &[u8] = b"doorward";

/// The keys of an unlocked store. Wiped when dropped.
pub(crate) struct Keys {
    /// Which key-encryption key they come from.
    pub(crate) id: KekId,
    /// Wraps data keys.
    pub(crate) wrapping: SealingKey,
    /// Seals what the audit log must not lose: its head, its checkpoint, its older chain keys.
    pub(crate) audit_sealing: SealingKey,
    /// Signs the audit log's rows.
    pub(crate) chain: ChainKey,
    /// Seals the approval PIN's hash.
    pub(crate) pin: SealingKey,
    check: SealingKey,
}

impl Keys {
    pub(crate) fn derive(id: KekId, kek: &Kek) -> Self {
        let derivation = Hkdf::<Sha256>::new(Some(id.installation.as_bytes()), kek.expose());
        let derived = |purpose: &str| {
            let mut key = Zeroizing::new([0; 32]);
            #[expect(
                clippy::expect_used,
                reason = "fails only for outputs longer than 8160 bytes"
            )]
            derivation
                .expand(purpose.as_bytes(), key.as_mut())
                .expect("32 bytes can be derived");
            key
        };
        Self {
            id,
            wrapping: SealingKey::from_bytes(derived("doorward 1 data keys")),
            audit_sealing: SealingKey::from_bytes(derived("doorward 1 audit sealing")),
            chain: ChainKey(derived("doorward 1 audit chain")),
            pin: SealingKey::from_bytes(derived("doorward 1 pin")),
            check: SealingKey::from_bytes(derived("doorward 1 check")),
        }
    }

    pub(crate) fn installation(&self) -> Uuid {
        self.id.installation
    }

    /// A value by which the same keys are recognised.
    pub(crate) fn check_value(&self) -> Result<Vec<u8>, NoRandomness> {
        self.check.seal(&self.check_place(), CHECK)
    }

    pub(crate) fn are_those_of(&self, check_value: &[u8]) -> bool {
        self.check
            .open(&self.check_place(), check_value)
            .is_some_and(|plain| plain.as_slice() == CHECK)
    }

    fn check_place(&self) -> Place {
        Place::new("check")
            .bytes(self.id.installation.as_bytes())
            .bytes(self.id.key.as_bytes())
    }
}

/// A key that signs audit rows.
pub(crate) struct ChainKey(Zeroizing<[u8; 32]>);

/// The signature of an audit row.
pub(crate) type ChainMac = [u8; 32];

impl ChainKey {
    pub(crate) fn sign(&self, row: &Place) -> ChainMac {
        self.begun(row).finalize().into_bytes().into()
    }

    /// Compares in a time that does not depend on where they differ.
    pub(crate) fn has_signed(&self, row: &Place, mac: &[u8]) -> bool {
        self.begun(row).verify_slice(mac).is_ok()
    }

    fn begun(&self, row: &Place) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut hmac =
            Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("a key of any length");
        hmac.update(row.encoding());
        hmac
    }

    /// Seals the key, to verify its rows after a rotation.
    pub(crate) fn retire(&self, under: &Keys, place: &Place) -> Result<Vec<u8>, NoRandomness> {
        under.audit_sealing.seal(place, self.0.as_slice())
    }

    /// Opens a key sealed by [`ChainKey::retire`].
    pub(crate) fn retired(under: &Keys, place: &Place, sealed: &[u8]) -> Option<Self> {
        let plain = under.audit_sealing.open(place, sealed)?;
        let bytes: &[u8; 32] = plain.as_slice().try_into().ok()?;
        Some(Self(Zeroizing::new(*bytes)))
    }
}
