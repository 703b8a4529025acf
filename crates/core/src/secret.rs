//! Secrets that cannot be printed.
//!
//! Each kind is a type of its own, so that a refresh token cannot be passed where an access token is meant. None has
//! `Debug`, `Display` or `Serialize`: a type that holds one cannot derive them either, and the compiler finds the
//! log line that would have leaked it. The only way out is `expose`, which is easy to search for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

macro_rules! secret {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        pub struct $name(SecretString);

        impl $name {
            /// Takes ownership of the text; the memory is wiped when the value is dropped.
            #[must_use]
            pub fn new(text: String) -> Self {
                Self(SecretString::from(text))
            }

            /// The text itself: for the one place that must send, seal or compare it.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }

            /// Whether this is that text, in a time that does not depend on where they differ.
            #[must_use]
            pub fn matches(&self, other: &str) -> bool {
                self.expose().as_bytes().ct_eq(other.as_bytes()).into()
            }
        }
    )+};
}

secret! {
    /// A provider's access token.
    AccessToken,
    /// A provider's refresh token. Never leaves Doorward but to that provider's token and revocation endpoints.
    RefreshToken,
    /// The secret of Doorward's own registration at a provider.
    ClientSecret,
    /// What manages that registration (RFC 7592).
    RegistrationToken,
    /// What gives a lock at a provider back, and keeps it.
    LockToken,
    /// An authorization code on its way to the token endpoint.
    AuthorizationCode,
    /// The PKCE code verifier (RFC 7636).
    CodeVerifier,
    /// What an agent polls with while it waits for a person (RFC 8628).
    DeviceCode,
    /// What a person types to approve on a machine with no display.
    Pin,
    /// What a person types to unlock the store where there is no OS keyring.
    Passphrase,
    /// What seals the reply of one refresh on its way from the courier to the store: 256 random bits in base64url.
    FlightKey,
}

impl FlightKey {
    /// Makes a key from 256 random bits.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self::new(URL_SAFE_NO_PAD.encode(bytes))
    }
}
