//! Which headers pass, in either direction.
//!
//! Headers about the connection (RFC 9110 §7.6.1) are between two neighbours and stay there. Beyond that an agent
//! cannot say who it is to the provider, as the door says that; and a provider cannot set cookies, start a sign-in or
//! give rules to a browser under the door's own address.

use doorward_core::secret::AccessToken;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST,
    HeaderName, ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, TE, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What is about the connection, and what RFC 9110 §7.6.1 and its forerunners name beside it.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What an agent's headers do not carry to the provider, beyond what is about the connection.
const NOT_TO_PROVIDER: [HeaderName; 15] = [
    AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("cookie2"),
    HOST,
    // Answered here: the agent is told to go on once the provider is reached.
    EXPECT,
    FORWARDED,
    // It can only be this door's.
    ORIGIN,
    HeaderName::from_static("via"),
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("proxy"),
    // They would make another call of the one that was judged.
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// What a provider's headers do not carry to the agent, beyond what is about the connection.
const NOT_TO_AGENT: [HeaderName; 10] = [
    SET_COOKIE,
    HeaderName::from_static("set-cookie2"),
    WWW_AUTHENTICATE,
    HeaderName::from_static("authentication-info"),
    HeaderName::from_static("alt-svc"),
    STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
];

/// What an agent's headers become on their way out.
pub(super) fn to_provider(headers: &mut HeaderMap, upgrades: bool) {
    let wants_trailers = names(headers, &TE).any(|name| name.eq_ignore_ascii_case("trailers"));
    without(headers, &NOT_TO_PROVIDER, "x-forwarded-");
    without_own_preferences(headers);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        // HTTP/1.1 has it named. On HTTP/2 there is no such header, and the library takes out with it what its first
        // line names: so it stands in the second.
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.append(CONNECTION, HeaderValue::from_static("te"));
    }
    if upgrades {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// What a provider's headers become on their way to the agent.
pub(super) fn to_agent(headers: &mut HeaderMap, upgrades: bool) {
    without(headers, &NOT_TO_AGENT, "access-control-");
    if upgrades {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// Puts the credential in.
pub(super) fn sign(headers: &mut HeaderMap, access: &AccessToken) -> bool {
    let mut text = zeroize::Zeroizing::new(String::with_capacity(7 + access.expose().len()));
    text.push_str("Bearer ");
    text.push_str(access.expose());
    let Ok(mut value) = HeaderValue::from_str(&text) else {
        return false;
    };
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    true
}

/// An answer that is looked into here must be readable.
pub(super) fn ask_for_plain(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Whether a request asks for a WebSocket.
#[must_use]
pub(super) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    names(headers, &UPGRADE).any(|name| name.eq_ignore_ascii_case("websocket"))
        && names(headers, &CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade"))
}

/// The names in a header that is a list.
fn names<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(|name| name.split(';').next().unwrap_or_default().trim())
}

/// Takes away what is about the connection, these, and those that begin so. One look at the few that are there is
/// quicker than to ask for each that might be.
fn without(headers: &mut HeaderMap, these: &[HeaderName], prefix: &str) {
    let about_connection: Vec<HeaderName> = names(headers, &CONNECTION)
        .filter_map(|name| name.parse().ok())
        // The length frames the body, and naming it would leave the next one to guess.
        .filter(|name| *name != CONTENT_LENGTH)
        .collect();
    let goes = |name: &&HeaderName| {
        HOP_BY_HOP.contains(name)
            || these.contains(name)
            || name.as_str().starts_with(prefix)
            || about_connection.contains(name)
    };
    let going: Vec<HeaderName> = headers.keys().filter(goes).cloned().collect();
    for name in going {
        headers.remove(name);
    }
}

/// `Prefer: wait` is a wish about this door's own waiting. Other preferences are the provider's business.
fn without_own_preferences(headers: &mut HeaderMap) {
    if !headers.contains_key(PREFER) {
        return;
    }
    let is_own = |wish: &str| {
        let name = wish.split(['=', ';']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("wait")
    };
    let others: Vec<HeaderValue> = headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| {
            let text = value.to_str().ok()?;
            let left: Vec<_> = text.split(',').filter(|wish| !is_own(wish)).collect();
            HeaderValue::from_str(left.join(",").trim())
                .ok()
                .filter(|value| !value.is_empty())
        })
        .collect();
    headers.remove(PREFER);
    for value in others {
        headers.append(PREFER, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            );
        }
        headers
    }

    fn names_of(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn an_agent_cannot_say_who_it_is_or_where_it_comes_from() {
        let mut sent = headers(&[
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("host", "127.0.0.1"),
            ("forwarded", "for=1"),
            ("x-forwarded-for", "1"),
            ("x-forwarded-host", "evil.example"),
            ("proxy-authorization", "Basic x"),
            ("connection", "close, x-hop, content-length"),
            ("x-hop", "1"),
            ("content-length", "3"),
            ("x-own", "1"),
        ]);
        to_provider(&mut sent, false);
        assert_eq!(names_of(&sent), ["content-length", "x-own"]);
    }

    #[test]
    fn trailers_are_asked_for_as_the_agent_asks_and_no_other_coding_is() {
        let mut sent = headers(&[("te", "gzip, Trailers;q=1"), ("connection", "te")]);
        to_provider(&mut sent, false);
        assert_eq!(sent["te"], "trailers");
        let mut sent = headers(&[("te", "gzip")]);
        to_provider(&mut sent, false);
        assert!(sent.is_empty());
    }

    #[test]
    fn the_wish_to_wait_is_ours_and_other_wishes_are_the_providers() {
        for (wish, passed) in [
            ("wait=10", None),
            ("Wait = 10, return=minimal", Some("return=minimal")),
            ("return=minimal;x=y, wait=3", Some("return=minimal;x=y")),
            ("waiting=1", Some("waiting=1")),
        ] {
            let mut sent = headers(&[("prefer", wish)]);
            to_provider(&mut sent, false);
            let left = sent.get("prefer").map(|value| value.to_str().unwrap());
            assert_eq!(left, passed, "{wish}");
        }
    }

    #[test]
    fn an_upgrade_passes_where_it_is_one_to_a_web_socket() {
        let asked = headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
        ]);
        assert!(asks_for_websocket(&asked));
        for other in [
            headers(&[("connection", "upgrade"), ("upgrade", "h2c")]),
            headers(&[("upgrade", "websocket")]),
            headers(&[("connection", "upgrade")]),
        ] {
            assert!(!asks_for_websocket(&other));
        }
        let mut sent = asked;
        to_provider(&mut sent, true);
        assert_eq!(
            (&sent["connection"], &sent["upgrade"]),
            (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
    }

    #[test]
    fn a_credential_in_a_header_does_not_print() {
        let mut sent = HeaderMap::new();
        assert!(sign(
            &mut sent,
            &AccessToken::new("a-secret-token".to_owned())
        ));
        assert_eq!(sent["authorization"], "Bearer a-secret-token");
        assert!(!format!("{sent:?}").contains("secret"), "{sent:?}");
        assert!(!sign(
            &mut sent,
            &AccessToken::new("line\r\nbreak".to_owned())
        ));
    }
}
