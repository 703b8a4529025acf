//! A request written byte by byte, so that a test can say what no HTTP library would.

use std::fmt::Write as _;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A request that is not sent yet.
#[derive(Clone)]
pub(crate) struct Ask {
    method: String,
    target: String,
    version: &'static str,
    headers: Vec<(String, String)>,
    has_host: bool,
    body: Option<String>,
}

impl Ask {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "1.1",
            headers: Vec::new(),
            has_host: true,
            body: None,
        }
    }

    /// Whether it goes to the MCP door, which has a rule of its own for `Origin`.
    pub(crate) fn is_of_mcp(&self) -> bool {
        ["/mcp/", "/sse/"]
            .iter()
            .any(|door| self.target.starts_with(door))
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn form(target: &str, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        Self::new("POST", target)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(&body)
    }

    pub(crate) fn json(target: &str, body: &Value) -> Self {
        Self::new("POST", target)
            .header("content-type", "application/json")
            .body(&body.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// Without the `Host` of the gateway, which is there else.
    pub(crate) fn no_host(mut self) -> Self {
        self.has_host = false;
        self
    }

    pub(crate) fn http_10(mut self) -> Self {
        self.version = "1.0";
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// The request as it goes over the wire.
    pub(crate) fn text(&self, port: u16) -> String {
        let mut text = format!("{} {} HTTP/{}\r\n", self.method, self.target, self.version);
        if self.has_host {
            write!(text, "Host: 127.0.0.1:{port}\r\n").unwrap();
        }
        for (name, value) in &self.headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        if let Some(body) = &self.body {
            write!(text, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        write!(
            text,
            "Connection: close\r\n\r\n{}",
            self.body.as_deref().unwrap_or_default()
        )
        .unwrap();
        text
    }

    pub(crate) async fn send(&self, port: u16) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // A gateway that refuses a body may close before all of it was written.
        let _ = stream.write_all(self.text(port).as_bytes()).await;
        Answer::read(&mut stream).await
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // What was read before a reset still counts.
        let _ = stream.read_to_end(&mut bytes).await;
        Self::parse(&String::from_utf8(bytes).unwrap())
    }

    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no answer: {text:?}")),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}\n\n{}", self.head, self.body))
    }

    pub(crate) fn code(&self) -> String {
        let body = self.json();
        body["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {body}"))
            .to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Status, the headers that are part of the contract, and the body, for a snapshot.
    pub(crate) fn shown(&self) -> String {
        let mut shown = self.status.to_string();
        for name in ["content-type", "www-authenticate", "retry-after", "allow"] {
            if let Some(value) = self.header(name) {
                write!(shown, "\n{name}: {value}").unwrap();
            }
        }
        write!(
            shown,
            "\n{}",
            serde_json::to_string_pretty(&self.json()).unwrap()
        )
        .unwrap();
        shown
    }
}
