//! curl, and all that it got.

use std::path::Path;

use serde_json::Value;

use crate::peers::spawn;
use crate::process::Stdin;

/// What curl got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The last status, and those of 100 Continue before it.
    pub statuses: Vec<u16>,
    /// Headers and trailers of the last answer as they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How many bytes of a body curl has sent.
    pub uploaded: u64,
}

impl Fetched {
    /// A header, if there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Runs curl with a bearer; panics where nothing was answered at all.
pub async fn curl(url: &str, bearer: &str, flags: &[&str]) -> Fetched {
    let folder = tempfile::tempdir().expect("a folder for what it gets");
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (head, body) = (at("head"), at("body"));
    let authorization = format!("Authorization: Bearer {bearer}");
    let fixed = [
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--path-as-is",
        "--max-time",
        "20",
        "--header",
        &authorization,
        "--dump-header",
        &head,
        "--output",
        &body,
        "--write-out",
        "%{size_upload}",
        url,
    ];
    let words = [&fixed, flags].concat();
    let ran = spawn(Path::new("curl"), &words, Stdin::Empty)
        .ended()
        .await
        .done();
    let head = std::fs::read_to_string(head).expect("it writes the head it got");
    let (statuses, headers) = parse(&head);
    Fetched {
        statuses,
        headers,
        // With an empty body it writes no file.
        body: std::fs::read(body).unwrap_or_default(),
        uploaded: ran.stdout.trim().parse().expect("a number"),
    }
}

/// Heads one after the other, each begun by its status; trailers follow the last.
fn parse(text: &str) -> (Vec<u16>, Vec<(String, String)>) {
    let (mut statuses, mut headers) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("HTTP/") {
            let status = rest
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok());
            statuses.push(status.expect("a status"));
            headers.clear();
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    (statuses, headers)
}
