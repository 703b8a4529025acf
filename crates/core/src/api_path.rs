//! A path below a provider's base, as an agent sends it.
//!
//! What is judged must be what arrives. Servers on the way differ in how they read `..`, `%2f`, `//` or `\`, so a path
//! that any of them could read in another way than we do is refused, and one that is accepted goes out byte for byte.

use percent_encoding::percent_decode_str;

use crate::problem::{Code, Refusal};

/// More than any API needs, and little enough to be looked at for every call.
const LONGEST: usize = 8 * 1024;

/// A path without a leading slash that means one thing to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiPath {
    sent: String,
    segments: Vec<String>,
}

impl ApiPath {
    /// Reads a path, with or without the slash before it, as it stood in the request: encoded.
    pub fn parse(raw: &str) -> Result<Self, Refusal> {
        let sent = raw.strip_prefix('/').unwrap_or(raw);
        if sent.len() > LONGEST {
            return Err(refused("it is longer than 8 KiB"));
        }
        if !sent.bytes().all(|byte| is_plain(byte) || byte == b'/') {
            return Err(refused("it holds a character that has to be encoded"));
        }
        let body = sent.strip_suffix('/').unwrap_or(sent);
        let segments = if sent.is_empty() {
            Vec::new()
        } else {
            body.split('/').map(segment).collect::<Result<_, _>>()?
        };
        Ok(Self {
            sent: sent.to_owned(),
            segments,
        })
    }

    /// The path as it was sent, without the slash before it.
    #[must_use]
    pub fn as_sent(&self) -> &str {
        &self.sent
    }

    /// Its segments, decoded. A slash at the end makes none.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.segments
    }
}

/// What RFC 3986 lets stand in a path, and the sign of what is encoded.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&byte)
}

fn segment(raw: &str) -> Result<String, Refusal> {
    if raw.is_empty() {
        return Err(refused("it holds an empty segment"));
    }
    let once = decoded(raw)?;
    check_segment(&once)?;
    // A server behind another may decode once more. A lone percent sign in a name is no encoding.
    if let Ok(twice) = decoded(&once)
        && twice != once
    {
        check_segment(&twice)?;
    }
    Ok(once)
}

fn check_segment(text: &str) -> Result<(), Refusal> {
    if text.contains(['/', '\\']) {
        return Err(refused("it holds an encoded slash or a backslash"));
    }
    if text.chars().any(char::is_control) {
        return Err(refused("it holds a control character"));
    }
    // Some servers take what follows a semicolon for parameters of the segment, and then see dots alone.
    let name = text.split(';').next().unwrap_or_default().trim();
    if !name.is_empty() && name.bytes().all(|byte| byte == b'.') {
        return Err(refused("it holds a segment of dots"));
    }
    Ok(())
}

fn decoded(raw: &str) -> Result<String, Refusal> {
    let bytes = raw.as_bytes();
    let is_encoding = |at: usize| {
        let digits = bytes.get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let mut signs = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    if !signs.all(|(at, _)| is_encoding(at)) {
        return Err(refused("it holds a percent sign that encodes nothing"));
    }
    percent_decode_str(raw)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| refused("it decodes to something that is no text"))
}

fn refused(why: &str) -> Refusal {
    Refusal::new(
        Code::BadRequest,
        format!("The path cannot be used: {why}."),
        "Send the path of the API below its base, each segment encoded once (RFC 3986 §3.3).",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_path_goes_out_as_it_came_in() {
        for (raw, segments) in [
            ("", vec![]),
            ("user/me/details/", vec!["user", "me", "details"]),
            ("/user/me/details/", vec!["user", "me", "details"]),
            ("websocket/auth/99", vec!["websocket", "auth", "99"]),
            ("a/b%20c/d%C3%A9+e", vec!["a", "b c", "dé+e"]),
            ("files/100%25.txt", vec!["files", "100%.txt"]),
            ("a/.hidden/x..y/...z", vec!["a", ".hidden", "x..y", "...z"]),
            ("a/b;v=1/c", vec!["a", "b;v=1", "c"]),
        ] {
            let path = ApiPath::parse(raw).unwrap();
            assert_eq!(path.as_sent(), raw.trim_start_matches('/'));
            assert_eq!(path.segments(), segments, "{raw}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for raw in [
            "..",
            "a/../b",
            "a/./b",
            "a/%2e%2e/b",
            "a/%2E./b",
            "a/.%2e",
            "a/..;/b",
            "a/..;x=1/b",
            "a/%2e%2e%3bx/b",
            "a/%252e%252e/b",
            "a/..%20/b",
            "a//b",
            "//evil.example/",
            "///",
            "a/%2f/b",
            "a/b%2Fc",
            "a/b%252fc",
            "a\\b",
            "a/%5c/b",
            "a/%255c..%255c",
            "a/%00",
            "a/%0d%0aX:1",
            "a/%250d%250a",
            "a/%",
            "a/%2",
            "a/%zz",
            "a/%u002e",
            "a/%ff%fe",
            "a/%c0%ae%c0%ae/b",
            "a b",
            "a/é",
            "a?b",
            "a#b",
            "a/\u{7f}",
            "a/\t",
            "a/<b>",
        ] {
            let refused = ApiPath::parse(raw).unwrap_err();
            assert_eq!(refused.code, Code::BadRequest, "{raw}");
        }
        assert!(ApiPath::parse(&"a".repeat(LONGEST + 1)).is_err());
    }

    proptest! {
        #[test]
        fn an_accepted_path_cannot_leave_its_base(raw in "[a-z./%\\\\;:0-9eE5fF2]{0,24}") {
            if let Ok(path) = ApiPath::parse(&raw) {
                let base = url::Url::parse("https://api.example.com/current/").unwrap();
                let joined = url::Url::parse(&format!("{base}{}", path.as_sent())).unwrap();
                prop_assert_eq!(joined.host_str(), base.host_str());
                prop_assert!(joined.path().starts_with("/current/"));
                // A parser that normalises finds nothing to normalise.
                prop_assert_eq!(joined.path(), format!("/current/{}", path.as_sent()));
            }
        }
    }
}
