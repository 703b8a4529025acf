//! Providers: an OAuth authorization server and the API it protects.
//!
//! A provider comes from a manifest (Fast.io is one, built in) or from discovery at an address that a person typed.
//! What discovery answers is an attacker's input: [`Provider::resolve`] takes from it only addresses that pass
//! [`AddressRule`], and only where the issuer is the one that was asked.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::problem::{Code, Refusal};

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
        }
    }

    /// The same provider at another address. A path of `/current` at its end, which Fast.io's own tools ask for, is
    /// taken off, as the manifest's paths bring it.
    pub fn at_base(mut self, base: &str) -> Result<Self, Refusal> {
        let mut base = parse_base(base)?;
        let path = base.path().trim_end_matches('/').to_owned();
        let api = self.api.as_deref().unwrap_or("/").trim_end_matches('/');
        base.set_path(path.strip_suffix(api).unwrap_or(&path));
        self.base = base;
        Ok(self)
    }
}

/// Reads an address that a person typed as a provider's base.
pub fn parse_base(text: &str) -> Result<Url, Refusal> {
    let wrong = |why: &str| {
        Refusal::new(
            Code::BadRequest,
            format!("{text:?} cannot be a provider's address: {why}."),
            "Give an address such as https://api.example.com, with no user, query or fragment.",
        )
    };
    let base = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(wrong("only https and http can be used"));
    }
    if base.host().is_none() || !base.username().is_empty() || base.password().is_some() {
        return Err(wrong("it needs a host and no user"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(wrong("it has a query or a fragment"));
    }
    AddressRule::for_typed(&base)
        .check(&base)
        .map_err(|refusal| {
            let detail = refusal.detail.trim_end_matches('.');
            // The address was named already.
            let why = detail
                .split_once(" cannot be used: ")
                .map_or(detail, |(_, why)| why);
            wrong(why)
        })?;
    Ok(base)
}

/// Which addresses a provider may send us to.
///
/// Everything a server says of itself is an attacker's input, and the worst it can do is to point Doorward, or the
/// person's browser, at something on the person's own machine or network (CVE-2025-6514 came that way).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressRule {
    /// https, and no private or loopback address.
    Public,
    /// The person typed a private or loopback address or plain http to one: that is allowed, on that host.
    Typed,
}

impl AddressRule {
    /// The rule that follows from what a person typed.
    #[must_use]
    pub fn for_typed(base: &Url) -> Self {
        if is_private_host(base) {
            Self::Typed
        } else {
            Self::Public
        }
    }

    /// Whether an address may be used. Names are checked again when they are resolved.
    pub fn check(self, address: &Url) -> Result<(), Refusal> {
        let private = is_private_host(address);
        let reason = match (address.scheme(), self) {
            ("https", Self::Public) if private => Some("it points into a private network"),
            ("https", Self::Typed | Self::Public) => None,
            ("http", Self::Typed) if private => None,
            ("http", _) => Some(
                "plain http is allowed only to an address on this machine or network that you typed",
            ),
            _ => Some("only https can be used"),
        };
        let reason = reason.or_else(|| {
            (!address.username().is_empty() || address.password().is_some())
                .then_some("it carries a user name")
        });
        match reason {
            None => Ok(()),
            Some(reason) => Err(Refusal::new(
                Code::ProviderUnsafe,
                format!("The address {} cannot be used: {reason}.", shown(address)),
                "Ask the provider for its right address; do not connect to it as it is.",
            )),
        }
    }
}

fn shown(address: &Url) -> String {
    let text: String = address
        .as_str()
        .chars()
        .filter(|letter| !letter.is_control())
        .take(120)
        .collect();
    format!("{text:?}")
}

fn is_private_host(address: &Url) -> bool {
    match address.host() {
        Some(Host::Ipv4(ip)) => is_private_ip(ip.into()),
        Some(Host::Ipv6(ip)) => is_private_ip(ip.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            match name.rsplit_once('.') {
                None => true,
                Some((_, last)) => matches!(last, "localhost" | "local" | "internal"),
            }
        }
        None => true,
    }
}

/// Whether two private addresses name the same host; loopback has several names.
fn is_same_machine(one: &Url, other: &Url) -> bool {
    let is_loopback = |address: &Url| match address.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name.trim_end_matches('.') == "localhost",
        None => false,
    };
    one.host() == other.host() || (is_loopback(one) && is_loopback(other))
}

/// Whether an address is on this machine, in a private network, or nowhere a public provider can be.
#[must_use]
pub fn is_private_ip(ip: std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(ip) => {
            let [first, second, third, _] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || first == 0
                || first >= 240
                || (first == 100 && (64..128).contains(&second))
                || (first == 198 && (second == 18 || second == 19))
                || (first == 192 && second == 0 && third == 0)
        }
        std::net::IpAddr::V6(ip) => {
            if let Some(mapped) = ip.to_ipv4_mapped() {
                return is_private_ip(mapped.into());
            }
            let [first, second, ..] = ip.segments();
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || (first & 0xfe00) == 0xfc00
                || (first & 0xff80) == 0xfe80
                // NAT64, 6to4, Teredo and the older way to write an IPv4 address carry one that could be anything.
                || first == 0x2002
                || (first == 0x0064 && second == 0xff9b)
                || (first == 0x2001 && second == 0)
                || ip.segments()[..6] == [0; 6]
        }
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
        let pick =
            |found: Option<&String>, fallback: Option<&String>| -> Result<Option<Url>, Refusal> {
                let Some(text) = found.or(fallback) else {
                    return Ok(None);
                };
                let told_by_server = found.is_some();
                let address = manifest.base.join(text).map_err(|error| {
                    unsafe_metadata(
                        &format!("it names {:?}: {error}", bounded(text)),
                        "Ask the provider to mend it.",
                    )
                })?;
                addresses.check(&address)?;
                if told_by_server
                    && is_private_host(&address)
                    && !is_same_machine(&address, &manifest.base)
                {
                    return Err(unsafe_metadata(
                        &format!(
                            "it names {}, on a private host that you did not type",
                            shown(&address)
                        ),
                        "Write a manifest that names this address, if you trust it.",
                    ));
                }
                Ok(Some(address))
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
            issuer,
        })
    }
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
