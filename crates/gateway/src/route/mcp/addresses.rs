//! Addresses of the MCP server's side channels, as this door's own.
//!
//! A tool's result names `https://mcp.example/file/…` or `…/blob`, and an agent that went there would have no
//! credential. Such an address is rewritten where its origin is exactly the server's: scheme, host and port, with
//! nothing before the host. What only looks like it (another host that begins the same, a name before an `@`, an
//! address inside another address) leads elsewhere and is left alone. In JSON nothing but the text that held the
//! address changes, not even how the rest is escaped.

use std::borrow::Cow;

use url::Url;

use super::json::quoted;

/// Both ends of the rewriting.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    scheme: String,
    host: String,
    /// The port, where the scheme does not imply it.
    port: Option<u16>,
    implied_port: Option<u16>,
    /// This door: `http://127.0.0.1:13667/mcp/fastio`.
    door: String,
}

/// What rewriting found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// The text, where it changed.
    pub(super) text: Option<String>,
    /// Paths of files that were handed out: what follows `/file/`, without a query.
    pub(super) files: Vec<String>,
}

impl Addresses {
    /// From the server's endpoint to a door.
    pub(super) fn new(server: &Url, door: String) -> Self {
        Self {
            scheme: server.scheme().to_owned(),
            host: server.host_str().unwrap_or_default().to_owned(),
            port: server.port(),
            implied_port: server.port_or_known_default(),
            door,
        }
    }

    /// Rewrites every text in JSON; names of members are no results.
    pub(super) fn rewrite_json(&self, json: &str) -> Rewritten {
        let mut found = Rewritten::default();
        let mut written = String::new();
        let mut copied = 0;
        let mut at = 0;
        while let Some((from, to)) = next_string(json, at) {
            at = to;
            let inner = &json[from + 1..to - 1];
            if is_name(&json[to..]) || !may_hold_address(inner) {
                continue;
            }
            let text: Cow<'_, str> = if inner.contains('\\') {
                match serde_json::from_str::<String>(&json[from..to]) {
                    Ok(text) => Cow::Owned(text),
                    Err(_) => continue,
                }
            } else {
                Cow::Borrowed(inner)
            };
            if let Some(changed) = self.rewrite_text(&text, &mut found.files) {
                written.push_str(&json[copied..from]);
                written.push_str(&quoted(&changed));
                copied = to;
            }
        }
        if copied > 0 {
            written.push_str(&json[copied..]);
            found.text = Some(written);
        }
        found
    }

    /// Rewrites the addresses in a text; nothing where there is none.
    fn rewrite_text(&self, text: &str, files: &mut Vec<String>) -> Option<String> {
        let mut written = String::new();
        let mut copied = 0;
        let mut from = 0;
        while let Some(found) = text[from..].find("://") {
            let mark = from + found;
            let start = scheme_start(text, mark);
            let end = mark + 3 + address_length(&text[mark + 3..]);
            from = end;
            if !text[start..mark].eq_ignore_ascii_case(&self.scheme) {
                continue;
            }
            let Some(path) = self.path_of(&text[mark + 3..end]) else {
                continue;
            };
            if let Some(file) = path.strip_prefix("/file/") {
                let file = file.split(['?', '#']).next().unwrap_or_default();
                // A full stop that ends a sentence is no part of an address.
                files.push(file.trim_end_matches(['.', ',', ';', ':', '!']).to_owned());
            }
            written.push_str(&text[copied..start]);
            written.push_str(&self.door);
            copied = end - path.len();
        }
        (!written.is_empty()).then(|| {
            written.push_str(&text[copied..]);
            written
        })
    }

    /// The path of an address behind its `://`, where it is one of a side channel of the server.
    fn path_of<'a>(&self, address: &'a str) -> Option<&'a str> {
        let slash = address.find(['/', '?', '#', '\\'])?;
        let (authority, path) = address.split_at(slash);
        let (host, port) = match authority.strip_prefix('[') {
            // The brackets of IPv6 belong to the host.
            Some(rest) => {
                let close = rest.find(']')? + 2;
                (&authority[..close], authority[close..].strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let is_port = match port {
            None => self.port.is_none(),
            Some(port) => port.parse() == Ok(self.implied_port?) && !port.starts_with(['+', '0']),
        };
        let is_whole = authority.len() == host.len() + port.map_or(0, |port| port.len() + 1);
        if !(host.eq_ignore_ascii_case(&self.host) && is_port && is_whole) {
            return None;
        }
        let after_blob = path.strip_prefix("/blob").map(|rest| rest.chars().next());
        let is_blob = matches!(
            after_blob,
            Some(None | Some('?' | '#' | '.' | ',' | ';' | ':'))
        );
        (is_blob || path.starts_with("/file/")).then_some(path)
    }
}

/// Text without either cannot hold an address of any server.
fn may_hold_address(inner: &str) -> bool {
    inner.contains("://") || inner.contains('\\')
}

/// Where the next string literal begins and ends, its quotes included.
fn next_string(json: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = json.as_bytes();
    let from = at + json[at..].find('"')?;
    let mut end = from + 1;
    loop {
        match bytes.get(end)? {
            b'"' => return Some((from, end + 1)),
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
}

/// Whether a string before this rest names a member.
fn is_name(rest: &str) -> bool {
    rest.trim_start_matches([' ', '\t', '\n', '\r'])
        .starts_with(':')
}

fn scheme_start(text: &str, mark: usize) -> usize {
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let length = text.as_bytes()[..mark]
        .iter()
        .rev()
        .take_while(|byte| is_scheme(byte))
        .count();
    mark - length
}

/// How long an address is in running text: it ends where writing puts a mark that no address holds unencoded.
fn address_length(text: &str) -> usize {
    let ends = |letter: char| {
        letter.is_whitespace() || letter.is_control() || "\"'`<>()[]{}|".contains(letter)
    };
    if text.starts_with('[') {
        // IPv6.
        let inner = text.find(']').map_or(0, |close| close + 1);
        return inner + text[inner..].find(ends).unwrap_or(text.len() - inner);
    }
    text.find(ends).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let server = Url::parse("https://mcp.fast.io/mcp").unwrap();
        Addresses::new(&server, "http://127.0.0.1:13667/mcp/fastio".to_owned())
    }

    fn text(text: &str) -> Option<String> {
        addresses().rewrite_text(text, &mut Vec::new())
    }

    #[test]
    fn the_side_channels_of_the_server_lead_to_this_door() {
        for (from, to) in [
            (
                "https://mcp.fast.io/file/workspace/1/n",
                "http://127.0.0.1:13667/mcp/fastio/file/workspace/1/n",
            ),
            (
                "HTTPS://MCP.fast.io/file/a",
                "http://127.0.0.1:13667/mcp/fastio/file/a",
            ),
            (
                "https://mcp.fast.io:443/file/a?x=1",
                "http://127.0.0.1:13667/mcp/fastio/file/a?x=1",
            ),
            (
                "POST it to https://mcp.fast.io/blob.",
                "POST it to http://127.0.0.1:13667/mcp/fastio/blob.",
            ),
            (
                "[a](https://mcp.fast.io/file/a) and <https://mcp.fast.io/blob?transport=sse>",
                "[a](http://127.0.0.1:13667/mcp/fastio/file/a) and <http://127.0.0.1:13667/mcp/fastio/blob?transport=sse>",
            ),
            (
                "curl -o x 'https://mcp.fast.io/file/a'",
                "curl -o x 'http://127.0.0.1:13667/mcp/fastio/file/a'",
            ),
        ] {
            assert_eq!(text(from).as_deref(), Some(to), "{from}");
        }
    }

    #[test]
    fn what_only_looks_like_the_server_is_left_alone() {
        for other in [
            "https://mcp.fast.io.evil.example/file/a",
            "https://mcp.fast.io@evil.example/file/a",
            "https://user@mcp.fast.io/file/a",
            "https://mcp.fast.io:443@evil.example/file/a",
            "https://mcp.fast.io:8443/file/a",
            "https://mcp.fast.io:0443/file/a",
            "https://mcp.fast.io:/file/a",
            "http://mcp.fast.io/file/a",
            "xhttps://mcp.fast.io/file/a",
            "https://evil-mcp.fast.io/file/a",
            "https://mcp.fast.io\\file/a",
            "https://mcp.fast.io\\@evil.example/file/a",
            "https://mcp.fast.io./file/a",
            "https://mcp.fast.io%2f@evil.example/file/a",
            "https://evil.example/?u=https://mcp.fast.io/file/a",
            "https://evil.example/https://mcp.fast.io/blob",
            "//mcp.fast.io/file/a",
            "https://mcp.fast.io/mcp",
            "https://mcp.fast.io/blobs",
            "https://mcp.fast.io/files/a",
            "https://mcp.fast.io/x/file/a",
            "https://mcp.fast.io",
            "https://[::1]/file/a",
        ] {
            assert_eq!(text(other), None, "{other}");
        }
    }

    #[test]
    fn a_server_with_a_port_of_its_own_is_known_by_it() {
        let server = Url::parse("http://[::1]:9000/mcp").unwrap();
        let addresses = Addresses::new(&server, "http://localhost:1/mcp/x".to_owned());
        let text = |text: &str| addresses.rewrite_text(text, &mut Vec::new());
        assert_eq!(
            text("http://[::1]:9000/blob").as_deref(),
            Some("http://localhost:1/mcp/x/blob")
        );
        assert_eq!(text("http://[::1]/blob"), None);
        assert_eq!(text("http://[::1]:9001/blob"), None);
    }

    #[test]
    fn only_the_text_that_held_an_address_changes() {
        let json = "{\"a\" : 1.0,\"t\":\"caf\\u00e9 \\/ x\",\"u\":\"see https:\\/\\/mcp.fast.io\\/file\\/share\\/1\\/n?x=1\", \
                    \"https://mcp.fast.io/file/b\":\"y\",\"deep\":[{\"z\":\"https://mcp.fast.io/blob\"}]}";
        let found = addresses().rewrite_json(json);
        assert_eq!(
            found.text.as_deref(),
            Some(
                "{\"a\" : 1.0,\"t\":\"caf\\u00e9 \\/ x\",\"u\":\"see http://127.0.0.1:13667/mcp/fastio/file/share/1/n?x=1\", \
                 \"https://mcp.fast.io/file/b\":\"y\",\"deep\":[{\"z\":\"http://127.0.0.1:13667/mcp/fastio/blob\"}]}"
            )
        );
        assert_eq!(found.files, ["share/1/n"]);
        let untouched = addresses().rewrite_json("{\"t\":\"https://evil.example/file/a\\n\"}");
        assert_eq!(untouched, Rewritten::default());
    }
}
