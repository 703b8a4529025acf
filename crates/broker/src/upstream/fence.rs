//! Where a call goes, and whether the credential goes with it.
//!
//! The scheme, the host and the beginning of the path are the connection's own, stored when the person connected.
//! Nothing of a request can change them: what the agent sends is appended to the path byte for byte, and the result is
//! compared with where it should have gone.

use std::borrow::Cow;

use bytes::Bytes;
use doorward_core::connection::Connection;
use doorward_core::problem::{Code, Refusal};
use http::Uri;
use url::{Position, Url};

use super::Base;

/// A call's address.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) uri: Uri,
    /// Whether the credential is sent there.
    pub(super) keyed: bool,
}

/// The address of a call. This is the one place where an address is made that the credential may go to.
pub(super) fn target(
    connection: &Connection,
    base: Base,
    path_and_query: &str,
) -> Result<Target, Refusal> {
    let (address, keyed) = address(connection, base).ok_or_else(|| no_such_base(connection))?;
    let uri = joined(&address, path_and_query).ok_or_else(|| {
        Refusal::new(
            Code::BadRequest,
            "The path cannot be joined to the API's address.",
            "Send the path of the API below its base, each segment encoded once (RFC 3986 §3.3).",
        )
    })?;
    Ok(Target { uri, keyed })
}

/// The stored address of a base, and whether the credential is sent there.
pub(crate) fn address(connection: &Connection, base: Base) -> Option<(Cow<'_, Url>, bool)> {
    let provider = &connection.provider;
    let upstream = &provider.upstream;
    match base {
        Base::Api => Some((Cow::Borrowed(provider.api.as_ref()?), true)),
        Base::Mcp => Some((Cow::Borrowed(upstream.mcp.as_ref()?), true)),
        Base::Sse => Some((Cow::Borrowed(upstream.sse.as_ref()?), true)),
        Base::BesideMcp => Some((Cow::Owned(root(upstream.mcp.as_ref()?)), true)),
        Base::BesideSse => Some((Cow::Owned(root(upstream.sse.as_ref()?)), true)),
        Base::Other(place) => {
            let other = upstream.bases.get(place)?;
            Some((Cow::Borrowed(&other.address), other.keyed))
        }
    }
}

/// The root of an address's origin.
fn root(address: &Url) -> Url {
    let mut root = address.clone();
    root.set_path("/");
    root.set_query(None);
    root
}

fn no_such_base(connection: &Connection) -> Refusal {
    Refusal::new(
        Code::RouteUnknown,
        format!(
            "The manifest of {} names no such address.",
            connection.provider.title
        ),
        "A person adds it to the provider's manifest (`api`, or `mcp` and `sse` in its table `[door]`), and connects again.",
    )
}

fn joined(base: &Url, rest: &str) -> Option<Uri> {
    let (scheme, own) = (base.scheme(), base.path());
    if !matches!(scheme, "https" | "http") {
        return None;
    }
    let mut text = String::with_capacity(base.as_str().len() + rest.len() + 1);
    text.push_str(scheme);
    text.push_str("://");
    text.push_str(&base[Position::BeforeHost..Position::AfterPort]);
    text.push_str(own);
    // An address without a slash at its end is a place and not a folder; what is appended to it still is below it.
    if !rest.is_empty() && !rest.starts_with('?') && !own.ends_with('/') {
        text.push('/');
    }
    text.push_str(rest.strip_prefix('/').unwrap_or(rest));
    let uri = Uri::from_maybe_shared(Bytes::from(text)).ok()?;
    let is_below = uri.path_and_query()?.as_str().get(..own.len()) == Some(own);
    let is_there = uri.scheme_str() == Some(scheme)
        && uri.host() == base.host_str()
        && uri.port_u16() == base.port();
    (is_below && is_there).then_some(uri)
}

/// What a redirect's `Location` becomes for the agent: the path at the door where it stays below the base that was
/// called; the whole address where it leaves it in a relative form, which would mean something else at the door;
/// nothing where it is passed on as it is.
#[must_use]
pub fn door_path(base: &Url, requested: &str, location: &str) -> Option<DoorPath> {
    // Joined as it was sent: a first segment with a colon is no scheme.
    let requested = Url::parse(&format!("{base}{requested}")).ok()?;
    let is_relative = Url::parse(location).is_err();
    let to = requested.join(location).ok()?;
    let is_own = to.scheme() == base.scheme()
        && to.host() == base.host()
        && to.port() == base.port()
        && to.username().is_empty();
    let own = base.path();
    let path = to.path();
    if is_own && own.ends_with('/') && path.starts_with(own) {
        let after = &to[Position::BeforePath..];
        return Some(DoorPath::Inside(after[own.len()..].to_owned()));
    }
    is_relative.then(|| DoorPath::Outside(to.into()))
}

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoorPath {
    /// Below the base: what follows it.
    Inside(String),
    /// Elsewhere: the whole address.
    Outside(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(base: &str, rest: &str) -> Option<String> {
        joined(&Url::parse(base).unwrap(), rest).map(|uri| uri.to_string())
    }

    #[test]
    fn what_is_sent_is_appended_byte_for_byte() {
        let base = "https://api.example.com/current/";
        for rest in [
            "",
            "?a=1",
            "user/me/details/",
            "a%20b/c;v=1?x=%2f..%2F&y=a|b&z",
            "a:b/c@d",
            "x?next=https://evil.example/",
        ] {
            assert_eq!(sent(base, rest), Some(format!("{base}{rest}")), "{rest}");
        }
        assert_eq!(
            sent(base, "/a").as_deref(),
            Some("https://api.example.com/current/a")
        );
        let place = "https://mcp.example.com:8443/mcp";
        assert_eq!(sent(place, "").as_deref(), Some(place));
        assert_eq!(sent(place, "?x=1"), Some(format!("{place}?x=1")));
        assert_eq!(sent(place, "blob"), Some(format!("{place}/blob")));
        let six = "http://[::1]:9000/api/";
        assert_eq!(sent(six, "x"), Some(format!("{six}x")));
    }

    #[test]
    fn nothing_that_is_sent_leads_to_another_host() {
        let base = Url::parse("https://api.example.com/current/").unwrap();
        for rest in [
            "//evil.example/x",
            "@evil.example/",
            "/..//evil.example",
            "http://evil.example/",
            "\\\\evil.example",
            ".evil.example/",
            ":443@evil.example/",
            "x y",
            "x\r\nHost: evil.example",
            "#@evil.example",
        ] {
            if let Some(uri) = joined(&base, rest) {
                assert_eq!(uri.host(), Some("api.example.com"), "{rest}");
                assert_eq!(uri.port_u16(), None, "{rest}");
                assert!(uri.path().starts_with("/current/"), "{rest}: {uri}");
            }
        }
    }

    #[test]
    fn a_redirect_is_the_doors_only_below_the_base_that_was_called() {
        let base = Url::parse("https://api.example.com/current/").unwrap();
        let inside = |path: &str| Some(DoorPath::Inside(path.to_owned()));
        let outside = |address: &str| Some(DoorPath::Outside(address.to_owned()));
        for (location, leads) in [
            ("https://api.example.com/current/a/?b#c", inside("a/?b#c")),
            ("https://API.example.com:443/current/a", inside("a")),
            ("/current/a", inside("a")),
            ("b", inside("x/b")),
            ("?page=2", inside("x/y?page=2")),
            ("/other/", outside("https://api.example.com/other/")),
            ("../../../other", outside("https://api.example.com/other")),
            (
                "//evil.example/current/",
                outside("https://evil.example/current/"),
            ),
            ("https://api.example.com/currently/", None),
            ("http://api.example.com/current/", None),
            ("https://api.example.com:444/current/", None),
            ("https://u@api.example.com/current/", None),
            ("https://evil.example/current/", None),
        ] {
            assert_eq!(door_path(&base, "x/y", location), leads, "{location}");
        }
    }
}
