//! Addresses of providers: which may be used at all.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::problem::{Code, Refusal};

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

pub(super) fn shown(address: &Url) -> String {
    let text: String = address
        .as_str()
        .chars()
        .filter(|letter| !letter.is_control())
        .take(120)
        .collect();
    format!("{text:?}")
}

pub(super) fn is_private_host(address: &Url) -> bool {
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
pub(super) fn is_same_machine(one: &Url, other: &Url) -> bool {
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
