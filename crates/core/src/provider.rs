//! Providers: an OAuth authorization server and the API it protects.
//!
//! A provider comes from a manifest (Fast.io is one, built in) or from discovery at an address that a person typed.
//! What discovery answers is an attacker's input: [`Provider::resolve`] takes from it only addresses that pass
//! [`AddressRule`], and only where the issuer is the one that was asked.

mod address;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::problem::{Code, Refusal};
use crate::upstream::{DoorManifest, Upstream};

pub use self::address::{AddressRule, is_private_ip, parse_base};
use self::address::{is_private_host, is_same_machine, shown};

/// The name of the provider that is built in.
pub const FASTIO_NAME: &str = "fastio";
const FASTIO: &str = include_str!("../manifests/fastio.toml");

/// A scope word that a provider knows: the word alone in a manifest, or with what a person is told about it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RawScope")]
pub struct KnownScope {
    /// The word, as it is asked for.
    pub word: String,
    /// What a person calls it.
    pub title: String,
    /// What choosing it means.
    pub explains: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawScope {
    Word(String),
    Told {
        word: String,
        title: String,
        #[serde(default)]
        explains: String,
    },
}

impl From<RawScope> for KnownScope {
    fn from(raw: RawScope) -> Self {
        match raw {
            RawScope::Word(word) => Self {
                title: word.clone(),
                word,
                explains: String::new(),
            },
            RawScope::Told {
                word,
                title,
                explains,
            } => Self {
                word,
                title,
                explains,
            },
        }
    }
}

/// How a provider is described, before it is resolved to addresses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name used on the command line.
    pub name: String,
    /// The name shown to people.
    pub title: String,
    /// The origin that relative addresses are joined to, and the issuer that discovery is asked of.
    pub base: Url,
    /// Where the browser goes.
    pub authorization_endpoint: Option<String>,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: Option<String>,
    /// RFC 7009.
    pub revocation_endpoint: Option<String>,
    /// RFC 7591.
    pub registration_endpoint: Option<String>,
    /// A client registered by hand.
    pub client_id: Option<String>,
    /// The API's base, with a trailing slash.
    pub api: Option<String>,
    /// A call that tells whether an access token is good.
    pub check: Option<String>,
    /// A call that tells whose account it is.
    pub account: Option<String>,
    /// The list of sessions, one below it by its id.
    pub sessions: Option<String>,
    /// Names under which the scope is sent.
    #[serde(default = "scope_parameter")]
    pub scope_parameters: Vec<String>,
    /// What is asked for when the person says nothing.
    #[serde(default)]
    pub default_scope: String,
    /// Scope words the provider knows; empty where they are not listed.
    #[serde(default)]
    pub known_scopes: Vec<KnownScope>,
    /// The parameter that asks for reading only (`r` or `rw`).
    pub access_mode_parameter: Option<String>,
    /// The parameter that labels the consent page.
    pub agent_name_parameter: Option<String>,
    /// The parameter that names the session.
    pub device_name_parameter: Option<String>,
    /// Whether RFC 8707's `resource` is sent.
    #[serde(default)]
    pub send_resource: bool,
    /// What lies behind the proxy door.
    #[serde(default)]
    pub door: DoorManifest,
}

fn scope_parameter() -> Vec<String> {
    vec!["scope".to_owned()]
}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        toml::from_str(text).map_err(|error| {
            Refusal::new(
                Code::ProviderUnknown,
                format!("The manifest cannot be read: {error}"),
                "Mend the file.",
            )
        })
    }

    /// The manifest of Fast.io.
    pub fn fastio() -> Result<Self, Refusal> {
        Self::parse(FASTIO)
    }

    /// A manifest for a server that a person named by its address alone.
    #[must_use]
    pub fn for_issuer(name: &str, issuer: Url) -> Self {
        Self {
            name: name.to_owned(),
            title: issuer.host_str().unwrap_or(name).to_owned(),
            base: issuer,
            authorization_endpoint: None,
            token_endpoint: None,
            revocation_endpoint: None,
            registration_endpoint: None,
            client_id: None,
            api: None,
            check: None,
            account: None,
            sessions: None,
            scope_parameters: scope_parameter(),
            default_scope: String::new(),
            known_scopes: Vec::new(),
            access_mode_parameter: None,
            agent_name_parameter: None,
            device_name_parameter: None,
            send_resource: false,
            door: DoorManifest::default(),
        }
    }

    /// The same provider at another address. A path of `/current` at its end, which Fast.io's own tools ask for, is
    /// taken off, as the manifest's paths bring it.
    pub fn at_base(mut self, base: &str) -> Result<Self, Refusal> {
        let mut base = parse_base(base)?;
        let path = base.path().trim_end_matches('/').to_owned();
        let api = self.api.as_deref().unwrap_or("/").trim_end_matches('/');
        base.set_path(path.strip_suffix(api).unwrap_or(&path));
        self.door.move_to(&base);
        self.base = base;
        Ok(self)
    }
}

/// What RFC 8414 or OpenID discovery answered, as far as it is used.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Must be the issuer that was asked.
    pub issuer: Option<String>,
    /// Where the browser goes.
    pub authorization_endpoint: Option<String>,
    /// Where codes are exchanged.
    pub token_endpoint: Option<String>,
    /// RFC 7009.
    pub revocation_endpoint: Option<String>,
    /// RFC 7591.
    pub registration_endpoint: Option<String>,
    /// PKCE methods.
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// How a client shows who it is.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 9207.
    pub authorization_response_iss_parameter_supported: bool,
    /// Scope words.
    pub scopes_supported: Option<Vec<String>>,
}

/// A provider resolved to addresses: what a connection keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// The manifest's name.
    pub name: String,
    /// The name shown to people.
    pub title: String,
    /// The issuer, exactly as it was asked and answered.
    pub issuer: String,
    /// Which addresses are allowed.
    pub addresses: AddressRule,
    /// Where the browser goes.
    pub authorization_endpoint: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: Url,
    /// RFC 7009.
    pub revocation_endpoint: Option<Url>,
    /// RFC 7591.
    pub registration_endpoint: Option<Url>,
    /// Whether redirects carry `iss` (RFC 9207): then one without it is refused.
    pub iss_promised: bool,
    /// A client registered by hand.
    pub client_id: Option<String>,
    /// The API's base.
    pub api: Option<Url>,
    /// A call that tells whether an access token is good.
    pub check: Option<Url>,
    /// A call that tells whose account it is.
    pub account: Option<Url>,
    /// The list of sessions.
    pub sessions: Option<Url>,
    /// Names under which the scope is sent.
    pub scope_parameters: Vec<String>,
    /// The parameter that asks for reading only.
    pub access_mode_parameter: Option<String>,
    /// The parameter that labels the consent page.
    pub agent_name_parameter: Option<String>,
    /// The parameter that names the session.
    pub device_name_parameter: Option<String>,
    /// RFC 8707's `resource`, where it is sent.
    pub resource: Option<String>,
    /// What lies behind the proxy door.
    #[serde(default)]
    pub upstream: Upstream,
}

impl Provider {
    /// Resolves a manifest with what discovery answered (nothing, where it did not answer).
    pub fn resolve(manifest: &Manifest, metadata: Option<Metadata>) -> Result<Self, Refusal> {
        let addresses = AddressRule::for_typed(&manifest.base);
        let asked = manifest.base.as_str().trim_end_matches('/').to_owned();
        let metadata = metadata.unwrap_or_default();
        let issuer = match metadata.issuer {
            Some(issuer) if issuer.trim_end_matches('/') != asked => {
                return Err(unsafe_metadata(
                    &format!(
                        "it was asked as {asked:?} and calls itself {:?}",
                        bounded(&issuer)
                    ),
                    "Connect to the address the provider calls itself, if you trust it.",
                ));
            }
            Some(issuer) => issuer,
            None => asked,
        };
        if metadata
            .code_challenge_methods_supported
            .is_some_and(|list| !list.iter().any(|method| method == "S256"))
        {
            return Err(unsafe_metadata(
                "it does not offer PKCE with S256",
                "Ask the provider to support PKCE S256.",
            ));
        }
        let pick = |found: Option<&String>, fallback: Option<&String>| {
            found
                .or(fallback)
                .map(|text| usable(manifest, text, found.is_some()))
                .transpose()
        };
        let needed = |address: Option<Url>, what: &str| {
            address.ok_or_else(|| {
                Refusal::new(
                    Code::ProviderUnavailable,
                    format!("{} does not say where its {what} is.", manifest.base),
                    "Check the address; it must be the OAuth issuer.",
                )
            })
        };
        Ok(Self {
            name: manifest.name.clone(),
            title: manifest.title.clone(),
            addresses,
            authorization_endpoint: needed(
                pick(
                    metadata.authorization_endpoint.as_ref(),
                    manifest.authorization_endpoint.as_ref(),
                )?,
                "authorization endpoint",
            )?,
            token_endpoint: needed(
                pick(
                    metadata.token_endpoint.as_ref(),
                    manifest.token_endpoint.as_ref(),
                )?,
                "token endpoint",
            )?,
            revocation_endpoint: pick(
                metadata.revocation_endpoint.as_ref(),
                manifest.revocation_endpoint.as_ref(),
            )?,
            registration_endpoint: pick(
                metadata.registration_endpoint.as_ref(),
                manifest.registration_endpoint.as_ref(),
            )?,
            iss_promised: metadata.authorization_response_iss_parameter_supported,
            client_id: manifest.client_id.clone(),
            api: pick(None, manifest.api.as_ref())?,
            check: pick(None, manifest.check.as_ref())?,
            account: pick(None, manifest.account.as_ref())?,
            sessions: pick(None, manifest.sessions.as_ref())?,
            scope_parameters: manifest.scope_parameters.clone(),
            access_mode_parameter: manifest.access_mode_parameter.clone(),
            agent_name_parameter: manifest.agent_name_parameter.clone(),
            device_name_parameter: manifest.device_name_parameter.clone(),
            resource: manifest.send_resource.then(|| manifest.base.to_string()),
            upstream: Upstream::resolve(&manifest.door, |text| usable(manifest, text, false))?,
            issuer,
        })
    }

    /// The same provider with the rules that this program has for it: a connection keeps where its credential goes,
    /// while what is held back there goes with the program.
    #[must_use]
    pub fn with_rules_of_today(mut self) -> Self {
        if self.name != FASTIO_NAME {
            return self;
        }
        let manifest = Manifest::fastio().and_then(|manifest| manifest.at_base(&self.issuer));
        if let Ok(today) = manifest.and_then(|manifest| Self::resolve(&manifest, None)) {
            self.upstream = self.upstream.with_rules_of(today.upstream);
        }
        self
    }
}

/// An address of a provider, if it may be used.
fn usable(manifest: &Manifest, text: &str, is_told_by_server: bool) -> Result<Url, Refusal> {
    let address = manifest.base.join(text).map_err(|error| {
        unsafe_metadata(
            &format!("it names {:?}: {error}", bounded(text)),
            "Ask the provider to mend it.",
        )
    })?;
    AddressRule::for_typed(&manifest.base).check(&address)?;
    if is_told_by_server && is_private_host(&address) && !is_same_machine(&address, &manifest.base)
    {
        return Err(unsafe_metadata(
            &format!(
                "it names {}, on a private host that you did not type",
                shown(&address)
            ),
            "Write a manifest that names this address, if you trust it.",
        ));
    }
    Ok(address)
}

fn bounded(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(120)
        .collect()
}

fn unsafe_metadata(why: &str, hint: &str) -> Refusal {
    Refusal::new(
        Code::ProviderUnsafe,
        format!("The provider's description of itself cannot be trusted: {why}."),
        hint,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base: &str, metadata: Metadata) -> Result<Provider, Refusal> {
        Provider::resolve(&Manifest::fastio()?.at_base(base)?, Some(metadata))
    }

    #[test]
    fn the_built_in_manifest_moves_as_a_whole() {
        for base in [
            "http://127.0.0.1:9",
            "http://127.0.0.1:9/",
            "http://127.0.0.1:9/current",
            "http://127.0.0.1:9/current/",
        ] {
            let provider = at(base, Metadata::default()).unwrap();
            assert_eq!(
                provider.token_endpoint.as_str(),
                "http://127.0.0.1:9/current/oauth/token/"
            );
            assert_eq!(provider.issuer, "http://127.0.0.1:9");
            assert_eq!(
                provider.api.unwrap().as_str(),
                "http://127.0.0.1:9/current/"
            );
        }
        let public = Provider::resolve(&Manifest::fastio().unwrap(), None).unwrap();
        assert_eq!(public.addresses, AddressRule::Public);
        assert_eq!(public.issuer, "https://api.fast.io");
    }

    #[test]
    fn hostile_metadata_is_refused() {
        let public = "https://api.example.com";
        for hostile in [
            "http://api.example.com/authorize",
            "https://127.0.0.1/authorize",
            "https://[::1]/authorize",
            "https://[::ffff:10.0.0.1]/authorize",
            "https://192.168.1.1/",
            "https://localhost/",
            "https://intranet/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://user@api.example.com/",
        ] {
            let metadata = Metadata {
                authorization_endpoint: Some(hostile.to_owned()),
                ..Metadata::default()
            };
            assert_eq!(
                at(public, metadata).unwrap_err().code,
                Code::ProviderUnsafe,
                "{hostile}"
            );
        }
        let other_issuer = Metadata {
            issuer: Some("https://evil.example".to_owned()),
            ..Metadata::default()
        };
        assert_eq!(
            at(public, other_issuer).unwrap_err().code,
            Code::ProviderUnsafe
        );
        let plain = Metadata {
            code_challenge_methods_supported: Some(vec!["plain".to_owned()]),
            ..Metadata::default()
        };
        assert_eq!(at(public, plain).unwrap_err().code, Code::ProviderUnsafe);
    }

    #[test]
    fn a_typed_address_needs_https_unless_it_is_private() {
        for good in [
            "https://a.example",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost:1",
            "http://10.1.2.3",
        ] {
            assert!(parse_base(good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.example",
            "ftp://a.example",
            "a.example",
            "https://u:p@a.example",
            "https://a.example/?x=1",
        ] {
            assert!(parse_base(bad).is_err(), "{bad}");
        }
    }
}
