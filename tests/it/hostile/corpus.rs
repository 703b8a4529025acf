//! How a request of the corpus is written down.

/// What has to become of a request.
pub(crate) enum Expected {
    /// It is answered with one of these and this code (any, where it is empty), and the provider never sees it. A
    /// status of 0 stands for a connection that was closed without an answer.
    Refused(Vec<u16>, &'static str),
    /// It reaches the provider once, without these headers.
    Passed {
        statuses: Vec<u16>,
        without: Vec<&'static str>,
    },
}

/// One request, and what has to become of it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) request: Vec<u8>,
    pub(crate) expected: Expected,
}

impl Case {
    /// A request that is refused.
    pub(crate) fn refused(
        name: impl Into<String>,
        request: impl AsRef<[u8]>,
        statuses: &[u16],
        code: &'static str,
    ) -> Self {
        Self {
            name: name.into(),
            request: request.as_ref().to_vec(),
            expected: Expected::Refused(statuses.to_vec(), code),
        }
    }

    /// A request that passes, without some of its headers.
    pub(crate) fn passed(
        name: impl Into<String>,
        request: impl AsRef<[u8]>,
        statuses: &[u16],
        without: &[&'static str],
    ) -> Self {
        Self {
            name: name.into(),
            request: request.as_ref().to_vec(),
            expected: Expected::Passed {
                statuses: statuses.to_vec(),
                without: without.to_vec(),
            },
        }
    }
}

/// A request with a key, `more` headers (each with its line end), and no body.
pub(crate) fn keyed(method: &str, target: &str, more: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {{key}}\r\n{more}\r\n"
    )
}

/// The same with a JSON body and its length.
pub(crate) fn posted(target: &str, more: &str, body: &str) -> String {
    let length = body.len();
    let headers = format!(
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{more}Content-Length: {length}\r\n"
    );
    keyed("POST", target, &headers) + body
}
