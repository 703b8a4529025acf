//! A line of the client: one JSON-RPC message, as far as the bridge has to know it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::failure::Failure;

/// Our error among the server's own, as the gateway has it.
const DOORWARD: i32 = -32010;
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
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(written(value)).ok())
            {
                headers.insert(header, value);
            }
        }
        headers
    }
}

/// A value as it may stand in a header: in base64 where it could not stand plainly.
fn written(value: &str) -> String {
    let is_plain = value.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        && value.trim() == value
        && !value.starts_with("=?base64?");
    if is_plain {
        value.to_owned()
    } else {
        format!("=?base64?{}?=", STANDARD.encode(value))
    }
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
