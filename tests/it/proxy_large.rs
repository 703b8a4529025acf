//! Bodies of a gigabyte through the proxy door: they are carried, not kept.

use std::time::Duration;

use doorward_e2e::{Agent, World, kernel};
use futures_util::StreamExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const GIBIBYTE: u64 = 1024 * 1024 * 1024;
const PIECE: usize = 256 * 1024;
/// The whole process may grow by less than this, whatever the size of what it carries.
const MOST_GROWTH: u64 = 16 * 1024 * 1024;
/// A debug build on a busy machine, and then some.
const PATIENCE: Duration = Duration::from_mins(5);

/// An API that takes and gives a gigabyte, and keeps none of it.
async fn api() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // The other end closes when it likes.
                let _ended = converse(stream).await;
            });
        }
    });
    port
}

async fn converse(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::with_capacity(PIECE, stream);
    loop {
        let (mut is_upload, mut length, mut is_first) = (false, 0, true);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if is_first {
                is_upload = line.starts_with("PUT ");
                is_first = false;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        if is_upload {
            let mut body = (&mut stream).take(length);
            let taken =
                tokio::io::copy_buf(&mut BufReader::new(&mut body), &mut tokio::io::sink()).await?;
            let text = taken.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            stream.get_mut().write_all(head.as_bytes()).await?;
        } else {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {GIBIBYTE}\r\n\r\n");
            stream.get_mut().write_all(head.as_bytes()).await?;
            let piece = vec![b'x'; PIECE];
            for _ in 0..GIBIBYTE / PIECE as u64 {
                stream.get_mut().write_all(&piece).await?;
            }
        }
    }
}

async fn download(url: &str, agent: &Agent) -> u64 {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let answer = http
        .get(url)
        .bearer_auth(&agent.key)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let mut pieces = answer.bytes_stream();
    let mut length = 0;
    while let Some(piece) = pieces.next().await {
        length += piece.expect("it goes on").len() as u64;
    }
    length
}

async fn upload(url: &str, agent: &Agent, length: u64) -> String {
    let piece = bytes(PIECE);
    let pieces = futures_util::stream::iter(0..length / PIECE as u64)
        .map(move |_| Ok::<_, std::io::Error>(piece.clone()));
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let asking = http
        .put(url)
        .bearer_auth(&agent.key)
        .header("content-length", length)
        .body(reqwest::Body::wrap_stream(pieces));
    let answer = asking.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.text().await.expect("a text")
}

fn bytes(length: usize) -> Vec<u8> {
    vec![b'y'; length]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_goes_up_and_down_and_the_process_does_not_grow_with_it() {
    let world = World::new().await;
    let served = world.serve().await;
    world.set_pin().await;
    let api = api().await;
    world.connect_own(&format!("http://127.0.0.1:{api}/")).await;
    let agent = world.pair("Carrier", "own:proxy").await;
    let url = format!("{}/proxy/own/big", served.url.trim_end_matches('/'));
    let pid = served.process.pid().expect("it runs");
    // The first call makes what every call needs.
    assert_eq!(upload(&url, &agent, PIECE as u64).await, PIECE.to_string());
    let before = kernel::resident(pid);
    let carried = async {
        let down = download(&url, &agent).await;
        let between = kernel::resident(pid);
        let up = upload(&url, &agent, GIBIBYTE).await;
        (down, between, up)
    };
    let (down, between, up) = tokio::time::timeout(PATIENCE, carried)
        .await
        .expect("in time");
    let after = kernel::resident(pid);
    assert_eq!((down, up), (GIBIBYTE, GIBIBYTE.to_string()));
    let grown = between.max(after).saturating_sub(before);
    eprintln!("grown by {} KiB from {} KiB", grown / 1024, before / 1024);
    assert!(
        grown < MOST_GROWTH,
        "it grew by {grown} bytes from {before}"
    );
}
