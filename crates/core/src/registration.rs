//! Doorward's own registrations at providers (RFC 7591).
//!
//! A registration is kept with its redirect URI: a cached registration used from another port broke sign-in for good
//! in similar programs. If the port is taken, Doorward registers again.

use serde::{Deserialize, Serialize};

use crate::ids::RegistrationId;
use crate::time::Timestamp;

/// How Doorward shows a token endpoint who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// A public client: PKCE alone.
    None,
    /// The secret in the `Authorization` header.
    ClientSecretBasic,
    /// The secret in the form.
    ClientSecretPost,
}

/// A registration at one issuer. Its secret is sealed apart from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its identity, to which its secrets are bound.
    pub id: RegistrationId,
    /// The issuer it is valid at.
    pub issuer: String,
    /// The redirect URI it was made with.
    pub redirect_uri: String,
    /// What the issuer calls us.
    pub client_id: String,
    /// How we show who we are.
    pub authentication: ClientAuthentication,
    /// When the secret ends, if it does.
    pub secret_expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The client that a connection uses at its provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientIdentity {
    /// The `client_id`.
    pub client_id: String,
    /// How it shows who it is.
    pub authentication: ClientAuthentication,
    /// The registration it comes from; none for a public client from a manifest.
    pub registration: Option<RegistrationId>,
}
