//! Random values, and how they are remembered.
//!
//! The simulator keeps tokens only as SHA-256 digests: what it prints about itself can then never
//! hand out a token that works. Random values come from the operating system, so two simulators
//! never issue the same token and a byte scan for one of them cannot match by accident.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// What a token is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Enough of the digest to tell two tokens apart in a listing.
    pub(crate) fn short(self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0[..9])
    }
}

/// `length` random bytes.
///
/// # Panics
/// If the operating system has no randomness to give; nothing sensible could go on after that.
fn random_bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// 256 random bits as 43 base64url characters.
pub(crate) fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// A 19-digit numeric id, the form of Fast.io's profile ids.
pub(crate) fn random_profile_id() -> String {
    let drawn = u64::from_be_bytes(random_bytes::<8>());
    let least = 1_000_000_000_000_000_000;
    (least + drawn % (8 * least)).to_string()
}

/// An opaque hyphenated id of 29 characters, the form of Fast.io's node ids.
pub(crate) fn random_node_id() -> String {
    node_id(&random_bytes::<24>())
}

/// The same form, always the same for the same name, so that demo files keep their ids.
pub(crate) fn node_id_for(name: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    node_id(&digest[..24])
}

fn node_id(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let letters: Vec<char> = bytes
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect();
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    groups.join("-")
}

/// An access token that looks like the production one: three base64url parts, the last one random.
/// `claims` are readable by whoever holds the token and decide nothing; the simulator looks the
/// whole string up.
pub(crate) fn jwt_looking(claims: &serde_json::Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{header}.{payload}.{}", random_token())
}

/// The S256 transformation of RFC 7636.
pub(crate) fn pkce_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// User name and password of an `Authorization: Basic` header.
pub(crate) fn basic_credentials(header: &str) -> Option<(String, String)> {
    let encoded = header
        .strip_prefix("Basic ")
        .or_else(|| header.strip_prefix("basic "))?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((form_decoded(user), form_decoded(password)))
}

/// RFC 6749 §2.3.1 has both halves form-encoded before they are joined.
fn form_decoded(text: &str) -> String {
    let pair = format!("v={text}");
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_forms_of_the_provider() {
        let profile = random_profile_id();
        assert_eq!(profile.len(), 19);
        assert!(profile.bytes().all(|byte| byte.is_ascii_digit()));
        let node = random_node_id();
        assert_eq!(node.len(), 29);
        assert_eq!(node.matches('-').count(), 5);
    }

    #[test]
    fn the_challenge_is_the_one_of_rfc_7636_appendix_b() {
        assert_eq!(
            pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
