//! An API behind TLS that does what its paths say.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Proof;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What RFC 9113 wants a server to let through at once, at the least.
const CALLS_AT_ONCE: u32 = 100;
const PIECE: usize = 64 * 1024;

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which of the connections it came on, in the order in which they spoke.
    pub connection: usize,
    /// Over which HTTP.
    pub version: Version,
    /// Its method.
    pub method: String,
    /// Its path below the API's base.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Call {
    /// A header; empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

struct Shared {
    seen: Mutex<Vec<Call>>,
    /// Connections on which a call came.
    connections: AtomicUsize,
    under_way: AtomicUsize,
    /// How much of large answers was given away.
    given: AtomicU64,
    /// Whether slow calls are read on.
    reads_on: watch::Sender<bool>,
}

/// A server that ends with this.
///
/// What it does is in the path: `large/BYTES`, `wide/BYTES` (a header), `ticks` and `silent` (which never end),
/// `waits` (which has no answer), `slow` (which does not read before it is told to), `trailers`, `ws`. Everything else
/// is answered by how many bytes came.
pub struct SecureApi {
    port: u16,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for SecureApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl SecureApi {
    /// Starts one that speaks what the client chooses of these protocols.
    pub async fn start(proof: &Proof, protocols: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            given: AtomicU64::new(0),
            reads_on: watch::Sender::new(false),
        });
        let acceptor = proof.acceptor(protocols);
        let serving = tokio::spawn(serve(listener, acceptor, Arc::clone(&shared)));
        Self {
            port,
            shared,
            serving,
        }
    }

    /// Its base.
    pub fn base(&self) -> String {
        format!("https://127.0.0.1:{}/", self.port)
    }

    /// Every call so far.
    pub fn seen(&self) -> Vec<Call> {
        self.shared.seen.lock().expect("nobody panics here").clone()
    }

    /// The last call.
    pub fn last(&self) -> Call {
        self.seen().pop().expect("a call came")
    }

    /// How many connections calls came on.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many calls have neither been answered to the end nor been given up by the other side.
    pub fn under_way(&self) -> usize {
        self.shared.under_way.load(Ordering::SeqCst)
    }

    /// How much of large answers was given away so far.
    pub fn given(&self) -> u64 {
        self.shared.given.load(Ordering::SeqCst)
    }

    /// From here on slow calls are read to their end.
    pub fn read_on(&self) {
        self.shared.reads_on.send_replace(true);
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            // Whoever does not trust it goes away here.
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(stream, shared).await;
            }
        });
    }
}

async fn converse(stream: TlsStream<TcpStream>, shared: Arc<Shared>) {
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(&b"h2"[..]);
    // Numbered when its first call comes: a connection that is made and given up again carried nothing.
    let number = OnceLock::new();
    let service = service_fn(move |request: Request<Incoming>| {
        let connection = *number.get_or_init(|| shared.connections.fetch_add(1, Ordering::SeqCst));
        answer(Arc::clone(&shared), connection, request)
    });
    let io = TokioIo::new(stream);
    // The other side ends it when it likes.
    if is_h2 {
        let mut server = http2::Builder::new(TokioExecutor::new());
        server.max_concurrent_streams(CALLS_AT_ONCE);
        let _ended = server.serve_connection(io, service).await;
    } else {
        let server = http1::Builder::new();
        let _ended = server.serve_connection(io, service).with_upgrades().await;
    }
}

/// A call is under way for as long as its answer is made, or its body is there.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.under_way.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Counted {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn answer(
    shared: Arc<Shared>,
    connection: usize,
    mut request: Request<Incoming>,
) -> Result<Response<Counted>, hyper::Error> {
    let under_way = UnderWay::begin(&shared);
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_start_matches('/').to_owned();
    let call = Call {
        connection,
        version: head.version,
        method: head.method.to_string(),
        path: path.clone(),
        headers: head.headers,
    };
    let is_upgrade = call.header("upgrade") == "websocket";
    shared.seen.lock().expect("nobody panics here").push(call);
    let mut parts = path.split('/');
    let what = parts.next().unwrap_or_default();
    let number = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let response = match what {
        "large" => Response::new(large(Arc::clone(&shared), number)),
        "wide" => wide(number),
        "ticks" => Response::new(ticks()),
        "silent" => Response::new(silent()),
        "waits" => std::future::pending().await,
        "trailers" => with_trailers(body).await?,
        "ws" if is_upgrade => web_socket(upgrade),
        _ => {
            if what == "slow" {
                let mut reads_on = shared.reads_on.subscribe();
                let _gone = reads_on.wait_for(|reads_on| *reads_on).await;
            }
            Response::new(text(length(body).await?.to_string()))
        }
    };
    Ok(response.map(|body| Counted {
        body,
        _under_way: under_way,
    }))
}

async fn length(mut body: Incoming) -> Result<u64, hyper::Error> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(length)
}

fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

fn large(shared: Arc<Shared>, bytes: u64) -> Body {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::unfold(bytes, move |left| {
        let next = left.min(PIECE as u64);
        let piece = piece.slice(..usize::try_from(next).unwrap_or(PIECE));
        shared.given.fetch_add(next, Ordering::SeqCst);
        async move { (next > 0).then(|| (Ok(Frame::data(piece)), left - next)) }
    });
    StreamBody::new(pieces).boxed_unsync()
}

fn wide(bytes: u64) -> Response<Body> {
    let mut response = Response::new(text("wide"));
    let value = "w".repeat(usize::try_from(bytes).expect("it fits"));
    let value = HeaderValue::try_from(value).expect("letters");
    response.headers_mut().insert("x-wide", value);
    response
}

fn ticks() -> Body {
    let ticks = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok(Frame::data(Bytes::from_static(b"tick\n"))), ()))
    });
    StreamBody::new(ticks).boxed_unsync()
}

fn silent() -> Body {
    let first = stream::once(async { Ok(Frame::data(Bytes::from_static(b"hello\n"))) });
    StreamBody::new(first.chain(stream::pending())).boxed_unsync()
}

/// Answers a body by its trailer, and with one.
async fn with_trailers(body: Incoming) -> Result<Response<Body>, hyper::Error> {
    let trailers = body.collect().await?.trailers().cloned();
    let told = trailers.unwrap_or_default().remove("x-check");
    let told = told.map_or_else(Bytes::new, |value| Bytes::copy_from_slice(value.as_bytes()));
    let mut own = HeaderMap::new();
    own.insert("x-sum", HeaderValue::from_static("42"));
    let frames = [Ok(Frame::data(told)), Ok(Frame::trailers(own))];
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync());
    let named = HeaderValue::from_static("x-sum");
    response.headers_mut().insert("trailer", named);
    Ok(response)
}

/// Agrees to a WebSocket and sends back what comes, byte for byte.
fn web_socket(upgrade: OnUpgrade) -> Response<Body> {
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let (mut reading, mut writing) = tokio::io::split(TokioIo::new(upgraded));
        // It ends when the other side does.
        let _ended = tokio::io::copy(&mut reading, &mut writing).await;
    });
    let mut response = Response::new(text(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
