//! Answers that say, inside HTTP 200, that the credential was not taken.
//!
//! Some MCP servers answer 200 and put "Session expired" into an error of JSON-RPC or into the text of a tool's
//! result. Such an answer is worth one renewal and one more try. But a tool may also bring back a text that speaks
//! of sessions, and trying again could do a thing twice: so only an error counts, and only one that begins in a way
//! that the provider's manifest names, which a server says before it does anything.

use doorward_core::upstream::Upstream;
use serde_json::Value;

use super::json::Members;

/// Whether an answer says that the caller is not signed in.
pub(super) fn says_signed_out(upstream: &Upstream, answer: &Members<'_>) -> bool {
    if let Some(error) = answer.object("error") {
        let status = error.object("data").and_then(|data| {
            data.get("status")
                .or_else(|| data.get("http_status"))?
                .parse()
                .ok()
        });
        let message = error.text("message");
        return status == Some(401) || message.is_some_and(|text| upstream.says_signed_out(&text));
    }
    let Some(result) = answer.object("result") else {
        return false;
    };
    if result.get("isError") != Some("true") {
        return false;
    }
    let content = result
        .get("content")
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    content
        .as_ref()
        .and_then(|content| content.get(0)?.get("text")?.as_str())
        .is_some_and(|text| upstream.says_signed_out(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> bool {
        says_signed_out(&Upstream::default(), &Members::read(text).unwrap())
    }

    #[test]
    fn an_error_that_begins_with_it_says_so() {
        for text in [
            r#"{"id":1,"error":{"code":-32001,"message":"Session expired"}}"#,
            r#"{"id":1,"error":{"code":-32000,"message":"Error: Not authenticated. Call auth first."}}"#,
            r#"{"id":1,"error":{"code":-32000,"message":"Refused","data":{"status":401}}}"#,
            r#"{"id":1,"result":{"isError":true,"content":[{"type":"text","text":"**Error:** Token expired at 12"}]}}"#,
        ] {
            assert!(says(text), "{text}");
        }
    }

    #[test]
    fn a_manifest_says_how_it_begins() {
        let own = Upstream {
            signed_out: Some(vec!["Abgemeldet".to_owned().try_into().unwrap()]),
            ..Upstream::default()
        };
        let says = |text: &str| says_signed_out(&own, &Members::read(&error(text)).unwrap());
        assert!(says("Abgemeldet seit gestern"));
        assert!(!says("Session expired"));
    }

    fn error(message: &str) -> String {
        format!(r#"{{"id":1,"error":{{"code":-32000,"message":"{message}"}}}}"#)
    }

    #[test]
    fn a_text_that_only_speaks_of_it_does_not() {
        for text in [
            r#"{"id":1,"result":{"content":[{"type":"text","text":"Session expired"}]}}"#,
            r#"{"id":1,"result":{"isError":true,"content":[{"type":"text","text":"Import failed: Google said token expired"}]}}"#,
            r#"{"id":1,"error":{"code":-32602,"message":"Unknown tool: not authenticated"}}"#,
            r#"{"id":1,"error":{"code":-32000,"message":"Forbidden","data":{"status":403}}}"#,
            r#"{"id":1,"result":{"isError":true,"content":[]}}"#,
            r#"{"id":1,"method":"sampling/createMessage"}"#,
        ] {
            assert!(!says(text), "{text}");
        }
    }
}
