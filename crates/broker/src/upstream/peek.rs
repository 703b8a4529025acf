//! Answers that are looked into on their way: the beginning is read, the rest stays where it is.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde_json::Value;

use super::client::Arriving;

/// Nothing that is looked for here is longer.
pub(super) const MOST_PEEKED: usize = 64 * 1024;
/// An error or a token comes in one go; a body that takes longer is passed on as it comes.
const PEEK_TIME: Duration = Duration::from_secs(5);

/// A body of which the beginning was read.
pub(super) struct Peeked {
    pub(super) first: Bytes,
    /// What follows; nothing where the body was read to its end and had no trailers.
    pub(super) rest: Option<Arriving>,
    /// Whether the beginning is all of it.
    pub(super) is_whole: bool,
}

/// Reads the beginning of a body, and all of it where it is short.
pub(super) async fn peek(mut body: Arriving) -> Peeked {
    let is_short = body
        .size_hint()
        .upper()
        .is_none_or(|upper| upper <= MOST_PEEKED as u64);
    let mut first = BytesMut::new();
    let mut is_whole = body.is_end_stream();
    if is_short && !is_whole {
        let reading = read(&mut body, &mut first);
        is_whole = tokio::time::timeout(PEEK_TIME, reading)
            .await
            .unwrap_or(false);
    }
    let is_over = body.is_end_stream();
    Peeked {
        first: first.freeze(),
        rest: (!is_over).then_some(body),
        is_whole,
    }
}

async fn read(body: &mut Arriving, into: &mut BytesMut) -> bool {
    while into.len() <= MOST_PEEKED {
        match body.frame().await {
            None => return true,
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else {
                    // Trailers say that the data is complete; none is expected behind what is looked for here.
                    return true;
                };
                into.extend_from_slice(&data);
            }
            Some(Err(_)) => return false,
        }
    }
    false
}

/// The code of an error, in the forms that Fast.io and others write it: a number or a text.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let error = value.get("error").unwrap_or(&value);
    let found = ["code", "error_code", "error_id"]
        .iter()
        .find_map(|name| error.get(name).or_else(|| value.get(name)))?;
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A text member of a JSON answer, at its root or in the `response` that Fast.io puts some answers into.
pub(super) fn text_member(body: &[u8], name: &str) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let found = value
        .get(name)
        .or_else(|| value.get("response")?.get(name))?;
    found.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_in_every_form() {
        for (body, code) in [
            (
                r#"{"result":false,"error":{"code":10545,"text":"no"}}"#,
                "10545",
            ),
            (r#"{"error":{"error_code":"1650"}}"#, "1650"),
            (r#"{"error_message":"no","error_id":115069}"#, "115069"),
            (r#"{"error":"invalid_token","code":"x"}"#, "x"),
        ] {
            assert_eq!(error_code(body.as_bytes()).as_deref(), Some(code), "{body}");
        }
        for body in ["", "<html>", r#"{"error":"no"}"#, "[]", "7"] {
            assert_eq!(error_code(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_member_is_found_at_the_root_and_in_the_response() {
        let root = br#"{"result":true,"token":"abc"}"#;
        let nested = br#"{"result":true,"response":{"token":"abc"}}"#;
        assert_eq!(text_member(root, "token").as_deref(), Some("abc"));
        assert_eq!(text_member(nested, "token").as_deref(), Some("abc"));
        assert_eq!(text_member(br#"{"token":7}"#, "token"), None);
    }
}
