//! An HTTP server that writes down what reaches it, byte for byte, and answers what it is told to.
//!
//! It stands where a provider's API would, or where a credential must never come to. Each connection carries one
//! request: whatever follows it on the same connection was smuggled, and is written down as such.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Its first line.
    pub line: String,
    /// Its headers, as they were written.
    pub headers: Vec<(String, String)>,
    /// Its body, without the framing.
    pub body: Vec<u8>,
    /// Bytes behind its end.
    pub beyond: Vec<u8>,
}

impl Recorded {
    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let own = self.headers.iter();
        own.filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The target in its first line.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

type Answering = dyn Fn(&Recorded) -> String + Send + Sync;

/// The server, which ends with this.
pub struct Recorder {
    port: u16,
    seen: Arc<Mutex<Vec<Recorded>>>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// Starts one; `answer` writes the whole answer to a request.
    pub async fn start(answer: impl Fn(&Recorded) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen: Arc<Mutex<Vec<Recorded>>> = Arc::default();
        let answer: Arc<Answering> = Arc::new(answer);
        let into = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&into), Arc::clone(&answer)));
            }
        });
        Self { port, seen, task }
    }

    /// Its origin.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What reached it since it was asked last.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.seen.lock().expect("nobody panics here"))
    }
}

/// An answer with a body and nothing special.
pub fn answer(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn converse(mut stream: TcpStream, into: Arc<Mutex<Vec<Recorded>>>, answer: Arc<Answering>) {
    let mut bytes = Vec::new();
    let Some(mut request) = read(&mut stream, &mut bytes).await else {
        return;
    };
    // Recorded before it is answered: whoever has the answer finds the record.
    into.lock()
        .expect("nobody panics here")
        .push(request.clone());
    let text = answer(&request);
    if stream.write_all(text.as_bytes()).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = Vec::new();
    if stream.read_to_end(&mut rest).await.is_ok() && !rest.is_empty() {
        request.beyond.extend(rest);
        into.lock().expect("nobody panics here").push(request);
    }
}

async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Recorded> {
    let end = loop {
        if let Some(end) = find(bytes, b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut request = Recorded {
        line: lines.next().unwrap_or_default().to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        ..Recorded::default()
    };
    let mut rest = bytes.split_off(end + 4);
    let is_chunked = !request.header("transfer-encoding").is_empty();
    let length = request.header("content-length");
    let length: usize = length
        .first()
        .map_or(0, |text| text.parse().expect("a length"));
    loop {
        let parsed = if is_chunked {
            unchunked(&rest)
        } else {
            (rest.len() >= length).then(|| (rest[..length].to_vec(), length))
        };
        if let Some((body, used)) = parsed {
            request.body = body;
            request.beyond = rest.split_off(used);
            return Some(request);
        }
        if stream.read_buf(&mut rest).await.ok()? == 0 {
            return Some(request);
        }
    }
}

/// A chunked body that has arrived whole, and how many bytes it took.
fn unchunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        at += line + 2;
        if size == 0 {
            // Trailers end with an empty line.
            loop {
                let line = find(&bytes[at..], b"\r\n")?;
                at += line + 2;
                if line == 0 {
                    return Some((body, at));
                }
            }
        }
        body.extend(bytes.get(at..at + size)?);
        at += size + 2;
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
