//! A line of the client: one JSON-RPC message, as far as the bridge has to know it.

use doorward_gateway::argument_headers::written;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// Our error among the server's own, as the gateway has it.
const DOORWARD: i32 = -32010;
/// 2026-07-28: a header says something else than the body, or is missing.
const HEADER_MISMATCH: i32 = -32020;
const META: &str = "io.modelcontextprotocol/";
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// A message of the client.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// As it came.
    pub(super) text: String,
    /// Its identifier as JSON, if it wants an answer.
    pub(super) request: Option<String>,
    message: Value,
}

impl Line {
    /// Reads a line; the answer to it where it is no message.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let message: Value = serde_json::from_str(text).map_err(|_| {
            let error = json!({ "code": -32700, "message": "The line is not JSON." });
            json!({ "jsonrpc": "2.0", "id": null, "error": error }).to_string()
        })?;
        let is_request = message.get("method").is_some();
        let id = message.get("id").filter(|_| is_request);
        Ok(Self {
            text: text.to_owned(),
            request: id.map(Value::to_string),
            message,
        })
    }

    pub(super) fn method(&self) -> Option<&str> {
        self.message.get("method")?.as_str()
    }

    fn parameter(&self, name: &str) -> Option<&Value> {
        self.message.get("params")?.get(name)
    }

    /// Which request a cancellation is about, as JSON.
    pub(super) fn cancels(&self) -> Option<String> {
        if self.method()? != "notifications/cancelled" {
            return None;
        }
        self.parameter("requestId").map(Value::to_string)
    }

    /// The version that a request without a session names itself.
    pub(super) fn own_version(&self) -> Option<&str> {
        self.parameter("_meta")?.get(META_VERSION)?.as_str()
    }

    /// The headers that repeat what a message says, where the protocol has them.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some(version) = self.own_version() else {
            return headers;
        };
        let name = match self.method() {
            Some("tools/call" | "prompts/get") => self.parameter("name"),
            Some("resources/read" | "resources/subscribe" | "resources/unsubscribe") => {
                self.parameter("uri")
            }
            Some("tasks/get" | "tasks/update" | "tasks/cancel") => self.parameter("taskId"),
            _ => None,
        };
        let pairs = [
            (VERSION, Some(version)),
            (HeaderName::from_static("mcp-method"), self.method()),
            (
                HeaderName::from_static("mcp-name"),
                name.and_then(Value::as_str),
            ),
        ];
        for (header, value) in pairs {
            let value = value.and_then(|value| HeaderValue::try_from(&*written(value)).ok());
            if let Some(value) = value {
                headers.insert(header, value);
            }
        }
        headers
    }

    /// The tool that it calls, with what arguments, where the protocol has some of them repeated in headers.
    pub(super) fn tool_call(&self) -> Option<(&str, Option<&Map<String, Value>>)> {
        self.own_version()?;
        let name = self
            .parameter("name")
            .filter(|_| self.method() == Some("tools/call"))?;
        let arguments = self.parameter("arguments").and_then(Value::as_object);
        Some((name.as_str()?, arguments))
    }

    /// Whether its answer is a list that says which those are.
    pub(super) fn lists_tools(&self) -> bool {
        self.own_version().is_some() && self.method() == Some("tools/list")
    }

    /// A request of the bridge's own for a page of that list, in the name of the client that sent this one.
    pub(super) fn listing(&self, cursor: Option<&str>) -> Self {
        let mut params = Map::new();
        if let Some(Value::Object(meta)) = self.parameter("_meta") {
            let who = meta.iter().filter(|(name, _)| name.starts_with(META));
            let who: Map<_, _> = who
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            params.insert("_meta".to_owned(), Value::Object(who));
        }
        if let Some(cursor) = cursor {
            params.insert("cursor".to_owned(), cursor.into());
        }
        let id = "doorward-tools";
        let message =
            json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list", "params": params });
        Self {
            text: message.to_string(),
            request: Some(json!(id).to_string()),
            message,
        }
    }
}

/// Whether an answer refuses a call for its headers.
pub(super) fn is_mismatch(answer: &str) -> bool {
    let message: Option<Value> = serde_json::from_str(answer).ok();
    message.is_some_and(|message| message["error"]["code"] == HEADER_MISMATCH)
}

/// An error that names nobody, where a request waits for an answer, named to that: what could not be read is refused
/// without an identifier, and a client would wait for ever.
pub(super) fn addressed(answer: &str, id: &str) -> Option<String> {
    let mut message: Value = serde_json::from_str(answer).ok()?;
    let object = message.as_object_mut()?;
    let is_nobodys = object.get("id").is_none_or(Value::is_null);
    if !is_nobodys || !object.contains_key("error") {
        return None;
    }
    object.insert("id".to_owned(), serde_json::from_str(id).ok()?);
    Some(message.to_string())
}

/// The answer to a request that did not reach the server, or not back.
pub(super) fn refused(id: &str, failure: &Failure, is_unknown: bool) -> String {
    let mut data = json!({ "code": failure.code, "hint": failure.hint });
    if let Some(data) = data.as_object_mut() {
        if let Some(seconds) = failure.retry_after_seconds {
            data.insert("retry_after_seconds".to_owned(), seconds.into());
        }
        if is_unknown {
            data.insert("outcome".to_owned(), "unknown".into());
        }
    }
    let said = format!("{} {}", failure.detail, failure.hint);
    let error = json!({ "code": DOORWARD, "message": said.trim(), "data": data });
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}")
}

/// A document as one line: outside of its texts, where no line break can stand, every break is as good as a space.
pub(super) fn on_one_line(document: &str) -> String {
    document.trim().replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_protocol_repeats_itself_in_headers() {
        let old =
            Line::read(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#);
        assert!(old.unwrap().headers().is_empty());
        let new = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"é","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let headers = Line::read(new).unwrap().headers();
        assert_eq!(headers["mcp-protocol-version"], "2026-07-28");
        assert_eq!(headers["mcp-method"], "tools/call");
        assert_eq!(headers["mcp-name"], "=?base64?w6k=?=");
    }

    #[test]
    fn a_list_is_asked_for_in_the_name_of_the_client_and_without_its_progress() {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1},"_meta":{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let call = Line::read(call).unwrap();
        assert!(!call.lists_tools());
        assert_eq!(call.tool_call().map(|(name, _)| name), Some("a"));
        let listing = call.listing(Some("c2"));
        assert!(listing.lists_tools());
        assert_eq!(listing.headers()["mcp-method"], "tools/list");
        let sent = Line::read(&listing.text).unwrap();
        let params = sent.message["params"].as_object().unwrap();
        assert_eq!(params["cursor"], "c2");
        assert_eq!(
            params["_meta"],
            json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" })
        );
    }

    #[test]
    fn an_error_that_names_nobody_answers_the_request_that_waits() {
        let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}"#;
        let named = addressed(error, "\"a\"").unwrap();
        let named: Value = serde_json::from_str(&named).unwrap();
        assert_eq!(
            (named["id"].as_str(), named["error"]["code"].as_i64()),
            (Some("a"), Some(-32700))
        );
        for other in [
            r#"{"id":1,"error":{}}"#,
            r#"{"id":null,"result":{}}"#,
            r#"{"method":"notifications/x"}"#,
            "[]",
        ] {
            assert_eq!(addressed(other, "1"), None, "{other}");
        }
        assert!(is_mismatch(r#"{"id":1,"error":{"code":-32020}}"#));
        assert!(!is_mismatch(error));
    }

    #[test]
    fn a_request_is_told_from_a_notification_and_from_an_answer() {
        let request = |text: &str| Line::read(text).unwrap().request;
        assert_eq!(
            request(r#"{"id":"a","method":"ping"}"#).as_deref(),
            Some("\"a\"")
        );
        assert_eq!(request(r#"{"method":"notifications/initialized"}"#), None);
        assert_eq!(request(r#"{"id":1,"result":{}}"#), None);
        let cancelled = r#"{"method":"notifications/cancelled","params":{"requestId":7}}"#;
        assert_eq!(
            Line::read(cancelled).unwrap().cancels().as_deref(),
            Some("7")
        );
        assert!(Line::read("{").unwrap_err().contains("-32700"));
    }
}
