//! Where a call goes, and whether the credential goes with it.
//!
//! The scheme, the host and the beginning of the path are the connection's own, stored when the person connected.
//! Nothing of a request can change them: what the agent sends is appended to the path byte for byte, and the result is
//! compared with where it should have gone.

use std::borrow::Cow;

use doorward_core::connection::Connection;
use doorward_core::problem::{Code, Refusal};
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use url::Url;

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
    let own = base.path();
    let mut path = String::with_capacity(own.len() + rest.len() + 1);
    path.push_str(own);
    // An address without a slash at its end is a place and not a folder; what is appended to it still is below it.
    if !rest.is_empty() && !rest.starts_with('?') && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(rest.strip_prefix('/').unwrap_or(rest));
    let end = own.len();
    let path = PathAndQuery::try_from(path).ok()?;
    let is_below = path.as_str().get(..end) == Some(own);
    let scheme = match base.scheme() {
        "https" => Scheme::HTTPS,
        "http" => Scheme::HTTP,
        _ => return None,
    };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority(base)?)
        .path_and_query(path)
        .build()
        .ok()?;
    let is_there = uri.host() == base.host_str() && uri.port_u16() == base.port();
    (is_below && is_there).then_some(uri)
}

/// Host and port of a base, as they stand in `Host`.
fn authority(base: &Url) -> Option<Authority> {
    let host = base.host_str()?;
    match base.port() {
        Some(port) => Authority::try_from(format!("{host}:{port}")).ok(),
        None => Authority::try_from(host).ok(),
    }
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
        let after = &to[url::Position::BeforePath..];
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
