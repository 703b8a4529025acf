//! Which era of the protocol a request speaks, and what its headers may say.
//!
//! Through 2025-11-25 a client says at `initialize` what it can do, and a session remembers it. From 2026-07-28 each
//! request says so itself, and repeats its method and name in headers for those on the way that do not read bodies.
//! A provider that went by such a header while this door goes by the body would do what nobody judged, so the two
//! must agree in every era.

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use super::errors::Asking;
use super::message::Request;
use crate::argument_headers::decoded;

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The first version without sessions.
const STATELESS: &str = "2026-07-28";
/// The one version that has both sessions and addresses to open.
const LAST_WITH_SESSIONS: &str = "2025-11-25";

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The session that a request belongs to.
pub(super) fn session(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION)?.to_str().ok()
}

fn version(headers: &HeaderMap) -> Option<&str> {
    headers.get(VERSION)?.to_str().ok()
}

fn meta(request: &Request) -> Option<&Map<String, Value>> {
    request.params.get("_meta")?.as_object()
}

/// Whether a request speaks 2026-07-28 or later. Versions are dates, which sort as text.
pub(super) fn is_stateless(headers: &HeaderMap, request: &Request) -> bool {
    let stated = meta(request).and_then(|meta| meta.get(META_VERSION)?.as_str());
    stated
        .or_else(|| version(headers))
        .is_some_and(|version| version >= STATELESS)
}

/// Whether what a client declares includes opening addresses.
fn opens_addresses(capabilities: Option<&Value>) -> bool {
    capabilities
        .and_then(|capabilities| capabilities.get("elicitation")?.get("url"))
        .is_some_and(|url| !url.is_null())
}

/// Whether a client that initializes says that it opens addresses.
pub(super) fn initializes_with_addresses(request: &Request) -> bool {
    request.method == "initialize" && opens_addresses(request.params.get("capabilities"))
}

/// How the client behind a request can be asked to let a person act.
pub(super) fn asking(headers: &HeaderMap, request: &Request, was_declared: bool) -> Asking {
    if is_stateless(headers, request) {
        let declared = meta(request).and_then(|meta| meta.get(META_CAPABILITIES));
        let takes_questions = matches!(
            request.method.as_str(),
            "tools/call" | "prompts/get" | "resources/read"
        );
        return if takes_questions && opens_addresses(declared) {
            Asking::ByResult
        } else {
            Asking::Nohow
        };
    }
    if was_declared && version(headers) == Some(LAST_WITH_SESSIONS) {
        Asking::ByError
    } else {
        Asking::Nohow
    }
}

/// Checks the headers that repeat what the body says: why they do not agree.
pub(super) fn check_headers(headers: &HeaderMap, request: &Request) -> Result<(), String> {
    for name in [METHOD, NAME, VERSION, SESSION] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return Err(format!(
                "The header `{name}` stands in the request more than once."
            ));
        }
    }
    if let Some(stated) = headers.get(METHOD)
        && stated.as_bytes() != request.method.as_bytes()
    {
        return Err("The header `Mcp-Method` names another method than the body.".to_owned());
    }
    if let Some(stated) = headers.get(NAME) {
        let stated = stated.to_str().ok().and_then(decoded);
        if stated.as_deref() != request.name_in_header() {
            return Err("The header `Mcp-Name` names something else than the body.".to_owned());
        }
    }
    let in_body = meta(request).and_then(|meta| meta.get(META_VERSION)?.as_str());
    if let (Some(in_header), Some(in_body)) = (version(headers), in_body)
        && in_header != in_body
    {
        return Err(
            "The header `MCP-Protocol-Version` names another version than the body.".to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn request(method: &str, params: &Value) -> Request {
        Request {
            id: "1".to_owned(),
            method: method.to_owned(),
            params: params.as_object().cloned().unwrap(),
        }
    }

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn a_header_that_names_another_call_than_the_body_is_refused() {
        let call = request("tools/call", &json!({ "name": "find" }));
        for agreeing in [
            vec![],
            vec![(METHOD, "tools/call"), (NAME, "find")],
            vec![(NAME, "=?base64?ZmluZA==?=")],
        ] {
            assert_eq!(
                check_headers(&headers(&agreeing), &call),
                Ok(()),
                "{agreeing:?}"
            );
        }
        for lying in [
            vec![(METHOD, "tools/list")],
            vec![(METHOD, "tools/call"), (METHOD, "tools/call")],
            vec![(NAME, "auth")],
            vec![(NAME, "=?base64?YXV0aA==?=")],
            vec![(NAME, "=?base64?!?=")],
            vec![(NAME, "find"), (NAME, "auth")],
        ] {
            assert!(check_headers(&headers(&lying), &call).is_err(), "{lying:?}");
        }
        let dated = request("ping", &json!({ "_meta": { META_VERSION: "2026-07-28" } }));
        assert!(check_headers(&headers(&[(VERSION, "2025-11-25")]), &dated).is_err());
        assert!(check_headers(&headers(&[(NAME, "x")]), &dated).is_err());
    }

    #[test]
    fn a_client_is_asked_only_as_it_has_declared() {
        let old = headers(&[(VERSION, "2025-11-25")]);
        let call = request("tools/call", &json!({ "name": "find" }));
        assert_eq!(asking(&old, &call, true), Asking::ByError);
        assert_eq!(asking(&old, &call, false), Asking::Nohow);
        let older = headers(&[(VERSION, "2025-06-18")]);
        assert_eq!(asking(&older, &call, true), Asking::Nohow);

        let declared = json!({ "name": "find", "_meta": {
            META_VERSION: "2026-07-28", META_CAPABILITIES: { "elicitation": { "url": {} } },
        } });
        let new = headers(&[(VERSION, "2026-07-28")]);
        assert_eq!(
            asking(&new, &request("tools/call", &declared), false),
            Asking::ByResult
        );
        assert_eq!(
            asking(&new, &request("tools/list", &declared), false),
            Asking::Nohow
        );
        assert_eq!(
            asking(&new, &call, true),
            Asking::Nohow,
            "nothing is declared in the request"
        );
    }
}
