//! What every request has to pass before a route sees it.
//!
//! A loopback port is open to every web page in a browser of this machine (a name that is rebound
//! to 127.0.0.1 makes it same-origin even) and to every user of it. So, in this order: the other
//! end's socket is ours; `Host` names us, exactly once and in full, as a rebound page cannot send
//! that; no browser page asks, told by `Origin` or by `Sec-Fetch-Site`; no secret stands where it
//! gets logged; and, unless the route is open, an agent key opens it.
//!
//! There are no CORS headers anywhere: a preflight is refused like what it announces.

use doorward_broker::Handle;
use doorward_core::decide::serving::{Caller, unauthenticated};
use doorward_core::key::AgentKey;
use doorward_core::problem::{Code, Refusal};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

/// The largest body of any route: none carries more than a few short texts.
pub(crate) const MOST_BODY: usize = 64 * 1024;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names under which this gateway may be called.
pub(crate) struct Names(Vec<String>);

impl Names {
    pub(crate) fn of_port(port: u16) -> Self {
        let hosts = ["127.0.0.1", "localhost", "[::1]"];
        let mut names: Vec<String> = hosts.iter().map(|host| format!("{host}:{port}")).collect();
        if port == 80 {
            // The one port that a legal `Host` leaves out.
            names.extend(hosts.map(str::to_owned));
        }
        Self(names)
    }

    fn include(&self, text: &str) -> bool {
        self.0.iter().any(|name| name.eq_ignore_ascii_case(text))
    }

    /// Checks a request's head, all but its key.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = self.check_host(uri, headers)?;
        check_no_page(uri.path(), host, headers)?;
        check_form(headers)?;
        if passes_through(uri.path()) {
            return check_carries_no_key(uri, headers);
        }
        check_length(headers)?;
        check_query(uri.query())
    }

    /// Gives the name by which we were called.
    fn check_host<'h>(&self, uri: &Uri, headers: &'h HeaderMap) -> Result<&'h str, Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next().map(HeaderValue::to_str), hosts.next()) {
            (Some(Ok(host)), None) if self.include(host) => host,
            _ => return Err(self.host_not_allowed()),
        };
        // A target in absolute form names a host too, and must name the same.
        let agrees = match (uri.authority(), uri.scheme_str()) {
            (None, _) => true,
            (Some(authority), None | Some("http")) => authority.as_str().eq_ignore_ascii_case(host),
            (Some(_), Some(_)) => false,
        };
        if agrees {
            Ok(host)
        } else {
            Err(self.host_not_allowed())
        }
    }

    fn host_not_allowed(&self) -> Refusal {
        let own = self.0.first().map_or("", String::as_str);
        Refusal::new(
            Code::HostNotAllowed,
            "The request does not name Doorward in exactly one `Host` header.",
            format!("Call it as `http://{own}`; it answers to its loopback names and no other."),
        )
    }
}

/// Pages may not call. What a person types into the address bar is `none`, and our own pages are
/// `same-origin`; a page of another port of this machine is `same-site`, and a stranger.
///
/// MCP has its clients and servers agree on `Origin` as on `Host`, and its test of rebinding sends our own. At that door
/// it is let in: who has it is a page of ours, which holds no key, or a program, which may say what it likes.
fn check_no_page(path: &str, host: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let sites = headers.get_all(SEC_FETCH_SITE);
    let is_strange = |site: &HeaderValue| site != "none" && site != "same-origin";
    let mut origins = headers.get_all(ORIGIN).iter();
    let comes_from_elsewhere = match (origins.next(), origins.next()) {
        (None, _) => false,
        (Some(origin), None) if is_mcp(path) => {
            let own = format!("http://{host}");
            !origin.as_bytes().eq_ignore_ascii_case(own.as_bytes())
        }
        _ => true,
    };
    if comes_from_elsewhere || sites.iter().any(is_strange) {
        return Err(Refusal::new(
            Code::OriginNotAllowed,
            "A web page sent this request.",
            "Call Doorward from a program, without an `Origin` header; pages in a browser may not.",
        ));
    }
    Ok(())
}

fn is_mcp(path: &str) -> bool {
    path.starts_with("/mcp/") || path.starts_with("/sse/")
}

/// Whether requests to a path go on to a provider: what is in them is its business.
pub(crate) fn passes_through(path: &str) -> bool {
    ["/proxy/", "/mcp/", "/sse/"]
        .iter()
        .any(|door| path.starts_with(door))
}

/// Two keys in one request would leave it to chance whose it is, and a body that is framed in two ways, or in one that
/// is not undone here, where it ends. (Two lengths that differ do not get here: the HTTP library refuses them, makes one
/// of two that are the same, and drops one that stands beside chunks, as RFC 9112 §6.3 lets it.)
fn check_form(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    if !is_plain {
        return Err(Refusal::new(
            Code::BadRequest,
            "It cannot be told where the body ends.",
            "Send `Content-Length`, or `Transfer-Encoding: chunked` and no other coding.",
        ));
    }
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(Refusal::new(
            Code::BadRequest,
            "The header `Authorization` stands in the request more than once.",
            "Send it once.",
        ));
    }
    Ok(())
}

/// What goes on to a provider must not hold what opens this door.
fn check_carries_no_key(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let is_in_target = holds_key(target)
        || (target.contains('%') && holds_key(&percent_decode_str(target).decode_utf8_lossy()));
    let is_in_header = headers
        .iter()
        .filter(|(name, _)| *name != AUTHORIZATION)
        .any(|(_, value)| value.to_str().is_ok_and(holds_key));
    if is_in_target || is_in_header {
        return Err(Refusal::new(
            Code::BadRequest,
            "An agent key stands in the request, outside of its `Authorization` header.",
            "Send the agent key in the header `Authorization: Bearer dwk_…` alone; it is not for the provider.",
        ));
    }
    Ok(())
}

fn check_length(headers: &HeaderMap) -> Result<(), Refusal> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    if length
        .and_then(|length| length.parse::<u64>().ok())
        .is_some_and(|length| length > MOST)
    {
        return Err(payload_too_large(MOST_BODY));
    }
    Ok(())
}

const MOST: u64 = MOST_BODY as u64;

/// The refusal of a body that is too large.
pub(crate) fn payload_too_large(most: usize) -> Refusal {
    Refusal::new(
        Code::PayloadTooLarge,
        format!("The body is larger than {most} bytes."),
        "Send only what the route takes.",
    )
}

/// Addresses end up in logs and histories; keys and tokens do not belong there.
fn check_query(query: Option<&str>) -> Result<(), Refusal> {
    let Some(query) = query else { return Ok(()) };
    let is_secret = |name: &str| {
        ["access_token", "key"]
            .iter()
            .any(|secret| name.eq_ignore_ascii_case(secret))
    };
    let gives_away = form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| is_secret(&name) || holds_key(&name) || holds_key(&value));
    if gives_away {
        return Err(Refusal::new(
            Code::BadRequest,
            "A key or token stands in the address.",
            "Send the agent key in the header `Authorization: Bearer dwk_…` alone; \
             one that stood in an address should be revoked.",
        ));
    }
    Ok(())
}

/// `dwk_` and 43 characters.
const KEY_LENGTH: usize = 47;

fn holds_key(text: &str) -> bool {
    text.match_indices("dwk_")
        .filter_map(|(at, _)| text.get(at..at + KEY_LENGTH))
        .any(AgentKey::is_well_formed)
}

/// Who calls, by the key in the request.
pub(crate) fn caller(handle: &Handle, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(unauthenticated("The request shows no agent key."));
    };
    match bearer(value) {
        Some(key) => handle.authenticate(key),
        None => Err(unauthenticated(
            "The `Authorization` header is not `Bearer` and an agent key.",
        )),
    }
}

/// The token of RFC 6750 §2.1. The scheme is compared in any case (RFC 9110 §11.1).
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && AgentKey::is_well_formed(token)).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(target: &str, headers: &[(&str, &str)]) -> Result<(), Code> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let uri = target.parse().unwrap();
        Names::of_port(13667)
            .check(&uri, &map)
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn every_legal_form_of_our_name_passes_and_no_other() {
        let legal = [
            "127.0.0.1:13667",
            "localhost:13667",
            "LocalHost:13667",
            "[::1]:13667",
        ];
        for host in legal {
            assert_eq!(checked("/", &[("host", host)]), Ok(()), "{host}");
            let absolute = format!("http://{host}/healthz");
            assert_eq!(checked(&absolute, &[("host", host)]), Ok(()), "{absolute}");
        }
        let evil = [
            "",
            "127.0.0.1",
            "localhost",
            "[::1]",
            "::1",
            "::1:13667",
            "127.0.0.1:13668",
            "127.0.0.1:013667",
            "127.0.0.1:13667:13667",
            "127.0.0.1.:13667",
            "localhost.:13667",
            "localhost.evil.example:13667",
            "evil.example",
            "evil.example:13667",
            "user@127.0.0.1:13667",
            "127.0.0.2:13667",
            "0.0.0.0:13667",
            "127.1:13667",
            "2130706433:13667",
            "[::]:13667",
            "[::ffff:127.0.0.1]:13667",
            "[0:0:0:0:0:0:0:1]:13667",
            "[::1%lo]:13667",
            "127.0.0.1:13667, evil.example",
            "127.0.0.1:13667 evil.example",
            "http://127.0.0.1:13667",
            "127.0.0.1:13667/",
            "lócalhost:13667",
        ];
        for host in evil {
            assert_eq!(
                checked("/", &[("host", host)]),
                Err(Code::HostNotAllowed),
                "{host}"
            );
        }
        assert_eq!(
            checked("/", &[]),
            Err(Code::HostNotAllowed),
            "no Host at all"
        );
        let twice = [("host", "127.0.0.1:13667"), ("host", "127.0.0.1:13667")];
        assert_eq!(checked("/", &twice), Err(Code::HostNotAllowed));
    }

    #[test]
    fn a_target_in_absolute_form_must_name_the_same_host() {
        let host = [("host", "127.0.0.1:13667")];
        for target in [
            "http://evil.example/healthz",
            "http://127.0.0.1/healthz",
            "http://localhost:13667/healthz",
            "http://user@127.0.0.1:13667/healthz",
            "https://127.0.0.1:13667/healthz",
        ] {
            assert_eq!(
                checked(target, &host),
                Err(Code::HostNotAllowed),
                "{target}"
            );
        }
    }

    #[test]
    fn the_port_may_be_left_out_where_http_leaves_it_out() {
        assert!(Names::of_port(80).include("localhost"));
        assert!(Names::of_port(80).include("[::1]:80"));
        assert!(!Names::of_port(8080).include("localhost"));
    }

    #[test]
    fn pages_are_told_by_origin_and_by_fetch_metadata() {
        let host = ("host", "127.0.0.1:13667");
        for origin in ["http://127.0.0.1:13667", "https://evil.example", "null", ""] {
            let refused = checked("/", &[host, ("origin", origin)]);
            assert_eq!(refused, Err(Code::OriginNotAllowed), "{origin}");
        }
        for (site, passes) in [
            ("none", true),
            ("same-origin", true),
            ("same-site", false),
            ("cross-site", false),
        ] {
            assert_eq!(
                checked("/", &[host, ("sec-fetch-site", site)]).is_ok(),
                passes,
                "{site}"
            );
        }
    }

    #[test]
    fn a_secret_in_the_address_is_refused_however_it_is_written() {
        let host = [("host", "127.0.0.1:13667")];
        let key = AgentKey::from_random([7; 32]);
        let key = key.expose();
        for query in [
            format!("connection=fastio&x={key}"),
            key.to_owned(),
            format!("a=Bearer%20%64wk_{}", &key[4..]),
            "access_token=abc".to_owned(),
            "Access_Token=abc".to_owned(),
            "a=b&key=".to_owned(),
        ] {
            let target = format!("/v1/token?{query}");
            assert_eq!(checked(&target, &host), Err(Code::BadRequest), "{query}");
        }
        for query in [
            "connection=dwk_short",
            "connection=keys",
            "resource=https://x/?key",
        ] {
            assert_eq!(
                checked(&format!("/v1/token?{query}"), &host),
                Ok(()),
                "{query}"
            );
        }
    }

    #[test]
    fn a_key_is_read_from_a_bearer_header_of_any_case() {
        let key = AgentKey::from_random([7; 32]);
        let key = key.expose();
        for good in [
            format!("Bearer {key}"),
            format!("bearer {key}"),
            format!("BEARER  {key}"),
        ] {
            assert_eq!(bearer(&HeaderValue::try_from(good).unwrap()), Some(key));
        }
        for bad in [
            key.to_owned(),
            format!("Basic {key}"),
            format!("Bearer {key} x"),
            "Bearer ".into(),
        ] {
            assert_eq!(
                bearer(&HeaderValue::try_from(bad.clone()).unwrap()),
                None,
                "{bad}"
            );
        }
    }
}
