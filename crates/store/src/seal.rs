//! Sealing: the one way a secret gets onto the disk.
//!
//! The hard problem is not secrecy but place: whoever can write the file could copy a sealed value into another row
//! and have it used for somebody else. So every value is bound to where it belongs by its [`Place`], which goes into
//! the associated data. A value opens only in the place it was sealed for.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// The first byte of every sealed value, and of every place: what comes later can tell them apart.
const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 24;

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub(crate) struct NoRandomness;

pub(crate) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], NoRandomness> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// Where a sealed value belongs: a purpose, then fields, each with its length before it, so that no two places have
/// the same encoding.
pub(crate) struct Place(Vec<u8>);

impl Place {
    pub(crate) fn new(purpose: &'static str) -> Self {
        Self(vec![VERSION]).bytes(purpose.as_bytes())
    }

    pub(crate) fn bytes(mut self, field: &[u8]) -> Self {
        self.0
            .extend_from_slice(&(field.len() as u64).to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    pub(crate) fn number(self, field: u64) -> Self {
        self.bytes(&field.to_be_bytes())
    }

    pub(crate) fn encoding(&self) -> &[u8] {
        &self.0
    }
}

/// A key that seals. Wiped when dropped; has no `Debug`, `Clone` or way out but into another sealed value.
pub(crate) struct SealingKey(Zeroizing<[u8; 32]>);

impl SealingKey {
    pub(crate) fn random() -> Result<Self, NoRandomness> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut()).map_err(|_| NoRandomness)?;
        Ok(Self(key))
    }

    pub(crate) fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Seals `plain` for that place.
    pub(crate) fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>, NoRandomness> {
        let nonce = random::<NONCE_LENGTH>()?;
        let payload = Payload {
            msg: plain,
            aad: place.encoding(),
        };
        // Fails only for messages of hundreds of gigabytes.
        let body = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| NoRandomness)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LENGTH + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens a value that was sealed for that place with this key; nothing in any other case.
    pub(crate) fn open(&self, place: &Place, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LENGTH>()?;
        if *version != VERSION {
            return None;
        }
        let payload = Payload {
            msg: body,
            aad: place.encoding(),
        };
        self.cipher()
            .decrypt(&XNonce::from(*nonce), payload)
            .ok()
            .map(Zeroizing::new)
    }

    /// Seals another key under this one.
    pub(crate) fn wrap(&self, place: &Place, key: &Self) -> Result<Vec<u8>, NoRandomness> {
        self.seal(place, key.0.as_slice())
    }

    /// Opens a key that was sealed under this one.
    pub(crate) fn unwrap(&self, place: &Place, wrapped: &[u8]) -> Option<Self> {
        let plain = self.open(place, wrapped)?;
        let bytes: &[u8; 32] = plain.as_slice().try_into().ok()?;
        Some(Self(Zeroizing::new(*bytes)))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(fields: &[Vec<u8>]) -> Place {
        fields
            .iter()
            .fold(Place::new("test"), |place, field| place.bytes(field))
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_in_its_place_and_nowhere_else(
            plain: Vec<u8>,
            here: Vec<Vec<u8>>,
            there: Vec<Vec<u8>>,
        ) {
            let key = SealingKey::random().unwrap();
            let sealed = key.seal(&place(&here), &plain).unwrap();
            let opened = key.open(&place(&here), &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
            prop_assert_eq!(key.open(&place(&there), &sealed).is_some(), here == there);
            prop_assert!(SealingKey::random().unwrap().open(&place(&here), &sealed).is_none());
        }

        #[test]
        fn a_changed_bit_anywhere_keeps_it_shut(plain: Vec<u8>, at: prop::sample::Index, bit in 0..8_u8) {
            let key = SealingKey::random().unwrap();
            let mut sealed = key.seal(&place(&[]), &plain).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(key.open(&place(&[]), &sealed).is_none());
            prop_assert!(key.open(&place(&[]), &sealed[..at]).is_none());
        }
    }

    #[test]
    fn fields_cannot_run_into_one_another() {
        let split = Place::new("test").bytes(b"ab").bytes(b"c");
        let moved = Place::new("test").bytes(b"a").bytes(b"bc");
        assert_ne!(split.encoding(), moved.encoding());
        assert_ne!(
            Place::new("ab").bytes(b"").encoding(),
            Place::new("a").bytes(b"b").encoding()
        );
    }

    #[test]
    fn a_wrapped_key_is_the_same_key() {
        let (outer, inner) = (SealingKey::random().unwrap(), SealingKey::random().unwrap());
        let wrapped = outer.wrap(&place(&[]), &inner).unwrap();
        let again = outer.unwrap(&place(&[]), &wrapped).unwrap();
        let sealed = inner.seal(&place(&[]), b"x").unwrap();
        assert_eq!(again.open(&place(&[]), &sealed).unwrap().as_slice(), b"x");
    }
}
