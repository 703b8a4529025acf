//! Answers that say, inside HTTP 200, that the credential was not taken.
//!
//! Some MCP servers answer 200 and put "Session expired" into an error of JSON-RPC or into the text of a tool's
//! result. Such an answer is worth one renewal and one more try. But a tool may also bring back a text that speaks
//! of sessions, and trying again could do a thing twice: so only an error counts, and only one that begins by saying
//! that the caller is not signed in, which a server says before it does anything.

use serde_json::Value;

use super::json::Members;

/// How such an error begins, in small letters.
const BEGINNINGS: [&str; 8] = [
    "session expired",
    "your session has expired",
    "not authenticated",
    "authentication required",
    "token expired",
    "access token expired",
    "the access token expired",
    "invalid access token",
];

/// Whether an answer says that the caller is not signed in.
pub(super) fn says_signed_out(answer: &Members<'_>) -> bool {
    if let Some(error) = answer.object("error") {
        let status = error.object("data").and_then(|data| {
            data.get("status")
                .or_else(|| data.get("http_status"))?
                .parse()
                .ok()
        });
        return status == Some(401) || error.text("message").is_some_and(|text| begins(&text));
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
        .is_some_and(begins)
}

fn begins(text: &str) -> bool {
    let mut plain = text
        .trim_start_matches(|letter: char| !letter.is_alphanumeric())
        .to_ascii_lowercase();
    for label in ["error", "mcp error"] {
        if let Some(rest) = plain.strip_prefix(label)
            && rest.starts_with([':', '*', ' '])
        {
            plain = rest
                .trim_start_matches(|letter: char| !letter.is_alphanumeric())
                .to_owned();
        }
    }
    BEGINNINGS
        .iter()
        .any(|beginning| plain.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> bool {
        says_signed_out(&Members::read(text).unwrap())
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
