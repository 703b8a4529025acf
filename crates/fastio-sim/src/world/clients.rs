//! Known clients: `fastio-cli`, known from the start, those that registered themselves (RFC 7591,
//! RFC 7592), and those whose metadata document was fetched ([`crate::world::documents`]).

use serde::Deserialize;
use time::OffsetDateTime;
use url::{Host, Url};

use crate::knobs::RedirectCheck;
use crate::secret::{Fingerprint, random_token};

/// The public client that Fast.io's own command line uses.
pub(crate) const PREREGISTERED: &str = "fastio-cli";

/// The redirect URI that older versions of that client had compiled in.
const CLI_FIXED_REDIRECT: &str = "http://localhost:19836/callback";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuthentication {
    None,
    SecretBasic,
    SecretPost,
}

impl ClientAuthentication {
    pub(crate) const NAMES: [&str; 3] = ["none", "client_secret_basic", "client_secret_post"];

    fn parse(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "client_secret_basic" => Some(Self::SecretBasic),
            "client_secret_post" => Some(Self::SecretPost),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SecretBasic => "client_secret_basic",
            Self::SecretPost => "client_secret_post",
        }
    }
}

/// A secret and its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientSecret {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) grant_types: Vec<String>,
    pub(crate) authentication: ClientAuthentication,
    pub(crate) secret: Option<ClientSecret>,
    pub(crate) issued_at: OffsetDateTime,
    registration_token: Option<Fingerprint>,
}

/// What a registering client says about itself. Members that the simulator has no use for are
/// ignored, as RFC 7591 demands.
#[derive(Debug, Deserialize)]
pub(crate) struct ClientMetadata {
    pub(crate) client_id: Option<String>,
    pub(crate) redirect_uris: Option<Vec<String>>,
    pub(crate) client_name: Option<String>,
    pub(crate) grant_types: Option<Vec<String>>,
    pub(crate) response_types: Option<Vec<String>>,
    pub(crate) token_endpoint_auth_method: Option<String>,
}

/// A refusal in the terms of RFC 7591 §3.2.2.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RegistrationRefusal {
    pub(crate) error: &'static str,
    pub(crate) description: String,
}

/// A registered client and what only its owner may see, once.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) client: Client,
    pub(crate) registration_token: String,
    pub(crate) secret: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Clients {
    known: Vec<Client>,
}

impl Clients {
    pub(crate) fn new(now: OffsetDateTime) -> Self {
        Self {
            known: vec![Client {
                id: PREREGISTERED.to_owned(),
                name: "Fast.io CLI".to_owned(),
                redirect_uris: vec![CLI_FIXED_REDIRECT.to_owned()],
                grant_types: default_grant_types(),
                authentication: ClientAuthentication::None,
                secret: None,
                issued_at: now,
                registration_token: None,
            }],
        }
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Client> {
        self.known.iter().find(|client| client.id == id)
    }

    pub(crate) fn all(&self) -> &[Client] {
        &self.known
    }

    /// Drops a registration, as a provider that sweeps unused ones does.
    pub(crate) fn forget(&mut self, id: &str) -> bool {
        let before = self.known.len();
        self.known.retain(|client| client.id != id);
        self.known.len() < before
    }

    pub(crate) fn register(
        &mut self,
        metadata: &ClientMetadata,
        secret_lifetime_s: u64,
        now: OffsetDateTime,
    ) -> Result<Registered, RegistrationRefusal> {
        let registration_token = random_token();
        let id = format!("dcr_{}", &random_token()[..24]);
        let mut client = Client::described(&id, metadata, now)?;
        client.registration_token = Some(Fingerprint::of(&registration_token));
        let secret = (client.authentication != ClientAuthentication::None).then(random_token);
        client.secret = secret.as_deref().map(|secret| ClientSecret {
            fingerprint: Fingerprint::of(secret),
            expires_at: (secret_lifetime_s > 0).then(|| {
                now + time::Duration::seconds(i64::try_from(secret_lifetime_s).unwrap_or(i64::MAX))
            }),
        });
        self.known.push(client.clone());
        Ok(Registered {
            client,
            registration_token,
            secret,
        })
    }

    /// Takes a client as its document describes it now, in place of what an earlier document said.
    pub(crate) fn adopt(&mut self, client: Client) {
        self.forget(&client.id);
        self.known.push(client);
    }

    /// Replaces a registration's description. `None` when the registration token opens nothing.
    pub(crate) fn update(
        &mut self,
        registration_token: &str,
        metadata: &ClientMetadata,
    ) -> Option<Result<Client, RegistrationRefusal>> {
        let fingerprint = Fingerprint::of(registration_token);
        let client = self
            .known
            .iter_mut()
            .find(|client| client.registration_token == Some(fingerprint))?;
        if metadata
            .client_id
            .as_deref()
            .is_some_and(|id| id != client.id)
        {
            return Some(Err(invalid_metadata(
                "client_id does not match the registration token",
            )));
        }
        let mut changed = client.clone();
        Some(changed.describe(metadata).map(|()| {
            client.clone_from(&changed);
            changed
        }))
    }
}

impl Client {
    /// A client as it describes itself, without a secret.
    pub(crate) fn described(
        id: &str,
        metadata: &ClientMetadata,
        now: OffsetDateTime,
    ) -> Result<Self, RegistrationRefusal> {
        let mut client = Self {
            id: id.to_owned(),
            name: String::new(),
            redirect_uris: Vec::new(),
            grant_types: Vec::new(),
            authentication: ClientAuthentication::None,
            secret: None,
            issued_at: now,
            registration_token: None,
        };
        client.describe(metadata)?;
        Ok(client)
    }

    fn describe(&mut self, metadata: &ClientMetadata) -> Result<(), RegistrationRefusal> {
        let redirect_uris = metadata.redirect_uris.clone().unwrap_or_default();
        if redirect_uris.is_empty() {
            return Err(invalid_redirect("redirect_uris must name at least one URI"));
        }
        if let Some(bad) = redirect_uris.iter().find(|uri| !may_be_registered(uri)) {
            return Err(invalid_redirect(&format!(
                "{bad} is neither https nor http on a loopback host, or has a fragment"
            )));
        }
        let grant_types = metadata
            .grant_types
            .clone()
            .unwrap_or_else(default_grant_types);
        if let Some(bad) = grant_types
            .iter()
            .find(|grant| !matches!(grant.as_str(), "authorization_code" | "refresh_token"))
        {
            return Err(invalid_metadata(&format!(
                "grant type {bad} is not supported"
            )));
        }
        if metadata
            .response_types
            .iter()
            .flatten()
            .any(|response| response != "code")
        {
            return Err(invalid_metadata("the only response type is code"));
        }
        let method = metadata
            .token_endpoint_auth_method
            .as_deref()
            .unwrap_or("none");
        self.authentication = ClientAuthentication::parse(method)
            .ok_or_else(|| invalid_metadata(&format!("{method} is not supported")))?;
        self.name = metadata
            .client_name
            .clone()
            .unwrap_or_else(|| self.id.clone());
        self.redirect_uris = redirect_uris;
        self.grant_types = grant_types;
        Ok(())
    }

    /// Whether this client may be sent back to `uri`. Loopback URIs match on any port (RFC 8252
    /// §7.3), everything else exactly.
    pub(crate) fn may_redirect_to(&self, uri: &str, check: RedirectCheck) -> bool {
        if self.id == PREREGISTERED {
            return match check {
                RedirectCheck::Fixed19836 => uri == CLI_FIXED_REDIRECT,
                RedirectCheck::AnyLoopbackPort => {
                    loopback(uri).is_some_and(|parsed| parsed.path() == "/callback")
                }
            };
        }
        self.redirect_uris.iter().any(|registered| {
            registered == uri || same_but_for_the_port(registered, uri).unwrap_or(false)
        })
    }

    pub(crate) fn secret_opens(&self, secret: &str, now: OffsetDateTime) -> bool {
        self.secret.is_some_and(|own| {
            own.fingerprint == Fingerprint::of(secret)
                && own.expires_at.is_none_or(|expires_at| now < expires_at)
        })
    }
}

fn default_grant_types() -> Vec<String> {
    vec!["authorization_code".to_owned(), "refresh_token".to_owned()]
}

fn invalid_redirect(description: &str) -> RegistrationRefusal {
    RegistrationRefusal {
        error: "invalid_redirect_uri",
        description: description.to_owned(),
    }
}

fn invalid_metadata(description: &str) -> RegistrationRefusal {
    RegistrationRefusal {
        error: "invalid_client_metadata",
        description: description.to_owned(),
    }
}

fn may_be_registered(uri: &str) -> bool {
    loopback(uri).is_some()
        || Url::parse(uri)
            .is_ok_and(|parsed| parsed.scheme() == "https" && parsed.fragment().is_none())
}

/// The parsed URI, if it is http on a loopback host without a fragment.
fn loopback(uri: &str) -> Option<Url> {
    let parsed = Url::parse(uri).ok()?;
    let on_this_machine = match parsed.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    (parsed.scheme() == "http" && on_this_machine && parsed.fragment().is_none()).then_some(parsed)
}

fn same_but_for_the_port(registered: &str, asked: &str) -> Option<bool> {
    let mut registered = loopback(registered)?;
    let mut asked = loopback(asked)?;
    registered.set_port(None).ok()?;
    asked.set_port(None).ok()?;
    Some(registered == asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_redirect_matches_on_any_port_but_only_on_its_own_host_and_path() {
        let same = |asked| same_but_for_the_port("http://127.0.0.1:4000/callback", asked);
        assert_eq!(same("http://127.0.0.1:5123/callback"), Some(true));
        assert_eq!(same("http://localhost:4000/callback"), Some(false));
        assert_eq!(same("http://127.0.0.1:4000/other"), Some(false));
        assert_eq!(same("https://127.0.0.1:4000/callback"), None);
    }
}
