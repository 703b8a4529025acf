//! The proxy door before an API behind TLS: HTTP/2 where it has it, few connections for all agents, and nothing at all
//! for who does not prove to be it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorward_e2e::secure::{Authority, Framed, Mood, Proof, SecureApi};
use doorward_e2e::{Agent, Answer, PATIENCE, Served, World, eventually, kernel};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use reqwest::{Client, Method, RequestBuilder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::failures::{problem, said, shown};

const MIB: u64 = 1024 * 1024;
const LARGE: u64 = 64 * MIB;
const PIECE: usize = 64 * 1024;
/// The whole process may grow by less than this, whatever goes through it.
const MOST_GROWTH: u64 = 16 * MIB;
/// What the kernel keeps of a stream on both its ways, and what HTTP/2 lets be under way.
const MOST_AHEAD: u64 = 32 * MIB;
/// What most servers have on offer.
const BOTH: &[&str] = &["h2", "http/1.1"];
const ON_THIS_MACHINE: &[&str] = &["127.0.0.1"];

/// A Doorward that trusts the authority and is connected to the API, and an agent at its proxy door.
struct Scene {
    world: World,
    served: Served,
    agent: Agent,
}

impl Scene {
    async fn set(authority: &Authority, api: &str) -> Self {
        let world = World::new().await;
        let file = world.folder().join("aside/authority.pem");
        authority.write_to(&file);
        let trusts = [("SSL_CERT_FILE", file.to_str().expect("a path of letters"))];
        let served = world.serve_within(&[], &trusts).await;
        world.set_pin().await;
        world.connect_own(api).await;
        let agent = world.pair("Caller", "own:proxy").await;
        Self {
            world,
            served,
            agent,
        }
    }

    fn host(&self) -> &str {
        let url = self.served.url.trim_start_matches("http://");
        url.trim_end_matches('/')
    }

    fn request(&self, agent: &Agent, method: Method, path: &str) -> RequestBuilder {
        let client = Client::builder().no_proxy().build().expect("a client");
        let url = format!("http://{}/proxy/own/{path}", self.host());
        client.request(method, url).bearer_auth(&agent.key)
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(&self.agent, Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: &'static str) -> Answer {
        let request = self.request(&self.agent, Method::POST, path);
        Answer::to(request.body(body)).await
    }

    /// Opens a connection and writes a request's head, with more headers.
    async fn open(&self, agent: &Agent, line: &str, headers: &str) -> Wire {
        let stream = TcpStream::connect(self.host()).await.expect("it listens");
        let mut wire = Wire(stream);
        let (host, key) = (self.host(), &agent.key);
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n{headers}\r\n"
        );
        wire.write(head.as_bytes()).await;
        wire
    }

    fn resident(&self) -> u64 {
        kernel::resident(self.served.process.pid().expect("it runs"))
    }
}

async fn scene() -> (SecureApi, Scene) {
    scene_with(BOTH).await
}

async fn scene_with(protocols: &[&str]) -> (SecureApi, Scene) {
    let authority = Authority::new("known");
    let api = SecureApi::start(&authority.vouch_for(ON_THIS_MACHINE), protocols).await;
    let scene = Scene::set(&authority, &api.base()).await;
    (api, scene)
}

/// A connection that is read as slowly as a test likes.
struct Wire(TcpStream);

impl Wire {
    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("it is read");
    }

    /// Reads until some text has come.
    async fn read_until(&mut self, text: &str) -> String {
        let mut read = String::new();
        let mut bytes = [0; 4096];
        while !read.contains(text) {
            let reading = tokio::time::timeout(PATIENCE, self.0.read(&mut bytes)).await;
            let count = reading.expect("it comes in time").expect("it goes on");
            assert_ne!(count, 0, "it ended before {text:?}: {read}");
            read.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        read
    }

    /// Reads until the other end has closed or broken off; how many bytes came.
    async fn read_to_end(&mut self) -> u64 {
        let mut bytes = vec![0; PIECE];
        let mut length = 0;
        while let Ok(count @ 1..) = self.0.read(&mut bytes).await {
            length += count as u64;
        }
        length
    }

    async fn ends_within_a_second(&mut self) {
        tokio::time::timeout(Duration::from_secs(1), self.read_to_end())
            .await
            .expect("it goes on");
    }
}

/// The threads of the gateway, each of which has connections of its own.
fn threads() -> usize {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(4)
}

/// Waits until a number has stood still for a while, and gives it.
async fn stands(what: &str, number: impl Fn() -> u64) -> u64 {
    let stood = tokio::time::timeout(PATIENCE, async {
        let mut last = number();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let next = number();
            if next == last {
                return next;
            }
            last = next;
        }
    });
    stood.await.unwrap_or_else(|_| panic!("it goes on: {what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_share_a_connection_of_http_2() {
    let (api, scene) = scene().await;
    scene.get("first").await.expect(200);
    let calls = (0..64).map(|number| scene.post(if number % 2 == 0 { "a" } else { "b" }, "12345"));
    for answer in join_all(calls).await {
        assert_eq!(answer.expect(200).body, "5");
    }
    let seen = api.seen();
    assert_eq!(seen.len(), 65);
    for call in &seen {
        assert_eq!(call.version, http::Version::HTTP_2, "{}", call.path);
        let credential = call.header("authorization");
        assert!(credential.starts_with("Bearer ") && !credential.contains(&scene.agent.key));
    }
    assert!(api.connections() <= threads(), "{}", api.connections());
    let wide = scene.get("wide/40000").await.expect(200);
    assert_eq!(wide.headers["x-wide"].len(), 40_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_without_http_2_is_called_over_tls_all_the_same() {
    for protocols in [&["http/1.1"][..], &[]] {
        let (api, scene) = scene_with(protocols).await;
        scene.get("first").await.expect(200);
        assert_eq!(scene.post("echo", "12345").await.expect(200).body, "5");
        let versions: Vec<_> = api.seen().into_iter().map(|call| call.version).collect();
        assert_eq!(versions, [http::Version::HTTP_11; 2], "{protocols:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_both_ways_over_http_2() {
    let (api, scene) = scene().await;
    let headers = "Connection: close, te\r\nTE: trailers\r\nTrailer: x-check\r\nTransfer-Encoding: chunked\r\n";
    let mut wire = scene
        .open(&scene.agent, "POST /proxy/own/trailers", headers)
        .await;
    wire.write(b"3\r\none\r\n0\r\nx-check: 7\r\n\r\n").await;
    let answer = wire.read_until("x-sum: 42").await;
    assert!(answer.contains("1\r\n7\r\n0\r\nx-sum: 42"), "{answer}");
    let call = api.last();
    assert_eq!(call.version, http::Version::HTTP_2);
    assert_eq!(
        (call.header("te"), call.header("connection")),
        ("trailers", "")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_go_both_ways_at_once_and_the_process_does_not_grow_with_them() {
    let (api, scene) = scene().await;
    let upload = async |bytes: u64| {
        let piece = vec![b'y'; PIECE];
        let pieces = stream::iter(0..bytes / PIECE as u64)
            .map(move |_| Ok::<_, std::io::Error>(piece.clone()));
        let request = scene.request(&scene.agent, Method::PUT, "echo");
        let body = reqwest::Body::wrap_stream(pieces);
        let request = request.header("content-length", bytes).body(body);
        Answer::to(request).await.expect(200).body
    };
    let download = async || {
        let path = format!("large/{LARGE}");
        let request = scene.request(&scene.agent, Method::GET, &path);
        let answer = request.send().await.expect("an answer");
        let mut pieces = answer.bytes_stream();
        let mut length = 0;
        while let Some(piece) = pieces.next().await {
            length += piece.expect("it goes on").len() as u64;
        }
        length
    };
    // The first calls make what every call needs.
    upload(2 * MIB).await;
    let before = scene.resident();
    let (up, down) = tokio::join!(upload(LARGE), download());
    assert_eq!((up, down), (LARGE.to_string(), LARGE));
    let grown = scene.resident().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "it grew by {grown} from {before}");
    assert!(api.connections() <= threads(), "{}", api.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_on_is_not_read_ahead_for() {
    let (api, scene) = scene().await;
    scene.get("first").await.expect(200);
    let before = scene.resident();
    let line = format!("GET /proxy/own/large/{LARGE}");
    let mut reader = scene
        .open(&scene.agent, &line, "Connection: close\r\n")
        .await;
    reader.read_until("\r\n\r\n").await;
    let given = stands("the download", || api.given()).await;
    assert!(given < MOST_AHEAD, "{given} bytes were given away");

    let length = format!("Connection: close\r\nContent-Length: {LARGE}\r\n");
    let writer = scene
        .open(&scene.agent, "PUT /proxy/own/slow", &length)
        .await;
    let (mut answer, mut body) = writer.0.into_split();
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        let piece = vec![b'y'; PIECE];
        for _ in 0..LARGE / PIECE as u64 {
            body.write_all(&piece).await.expect("it is read");
            counted.fetch_add(PIECE as u64, Ordering::SeqCst);
        }
        // Whoever closes it wants no answer.
        body
    });
    let sent = || sent.load(Ordering::SeqCst);
    let taken = stands("the upload", sent).await;
    assert!(taken < MOST_AHEAD, "{taken} bytes were taken");
    let grown = scene.resident().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "it grew by {grown} from {before}");

    // Whoever reads on gets all of it.
    api.read_on();
    let _open = sending.await.expect("all of it is sent");
    let mut told = String::new();
    answer.read_to_string(&mut told).await.expect("an answer");
    assert!(told.ends_with(&LARGE.to_string()), "{told}");
    assert!(reader.read_to_end().await > LARGE - MIB);
    assert_eq!(api.given(), LARGE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_do_not_read_on_hold_up_nobody_else() {
    let (api, scene) = scene().await;
    scene.get("first").await.expect(200);
    let other = scene.world.pair("Other", "own:proxy").await;
    let line = format!("GET /proxy/own/large/{LARGE}");
    let mut stalled = Vec::new();
    for _ in 0..8 * threads() {
        let mut reader = scene
            .open(&scene.agent, &line, "Connection: close\r\n")
            .await;
        reader.read_until("\r\n\r\n").await;
        stalled.push(reader);
    }
    stands("the downloads", || api.given()).await;
    let call = scene.request(&other, Method::POST, "echo").body("12345");
    let answered = tokio::time::timeout(PATIENCE, Answer::to(call)).await;
    assert_eq!(answered.expect("it is not held up").expect(200).body, "5");
    assert!(api.connections() <= threads(), "{}", api.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_connection_has_no_room_for_goes_over_another_one() {
    let (api, scene) = scene().await;
    scene.get("first").await.expect(200);
    // More than one connection for each thread carries, and than the API answers at once on it; none of them ever ends.
    let mut silent = Vec::new();
    for _ in 0..=100 * threads() {
        let mut wire = scene.open(&scene.agent, "GET /proxy/own/silent", "").await;
        wire.read_until("hello").await;
        silent.push(wire);
    }
    let answered = tokio::time::timeout(PATIENCE, scene.get("quick")).await;
    answered.expect("it does not wait for them").expect(200);
    let connections = api.connections();
    assert!(connections > threads(), "{connections}");
    for number in 0..connections {
        let seen = api.seen().into_iter();
        let own = seen.filter(|call| call.connection == number && call.path == "silent");
        assert!(own.count() <= 100, "on {number}");
    }
    drop(silent);
    eventually("they are given up", async || api.under_way() == 0).await;
    scene.get("again").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_a_revoked_agent_has_under_way_ends_and_nothing_of_another() {
    let (api, scene) = scene().await;
    scene.get("first").await.expect(200);
    let other = scene.world.pair("Other", "own:proxy").await;
    let mut kept = scene.open(&other, "GET /proxy/own/ticks", "").await;
    kept.read_until("tick").await;

    let mut ending = Vec::new();
    let kinds = [
        ("GET /proxy/own/ticks", "", "", "tick"),
        ("GET /proxy/own/silent", "", "", "hello"),
        // These have no answer yet.
        ("GET /proxy/own/waits", "Connection: close\r\n", "", ""),
        (
            "PUT /proxy/own/slow",
            "Connection: close\r\nContent-Length: 9\r\n",
            "half",
            "",
        ),
    ];
    // So many that some go over the same connection as the other agent's.
    for (line, headers, body, sign) in kinds.repeat(threads()) {
        let mut wire = scene.open(&scene.agent, line, headers).await;
        wire.write(body.as_bytes()).await;
        wire.read_until(sign).await;
        ending.push(wire);
    }
    let all = 1 + ending.len();
    eventually("all are there", async || api.under_way() == all).await;
    assert!(api.connections() <= threads(), "{}", api.connections());
    scene.world.run(&["revoke", "Caller"]).await.done();
    for wire in &mut ending {
        wire.ends_within_a_second().await;
    }
    eventually("they are given up", async || api.under_way() == 1).await;
    kept.read_until("tick").await;
    let call = scene.request(&other, Method::POST, "echo").body("12345");
    Answer::to(call).await.expect(200);
    assert!(api.connections() <= threads(), "{}", api.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_goes_over_tls() {
    let (api, scene) = scene().await;
    let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut wire = scene.open(&scene.agent, "GET /proxy/own/ws", headers).await;
    let head = wire.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    for word in ["one", "two"] {
        wire.write(word.as_bytes()).await;
        wire.read_until(word).await;
    }
    let call = api.last();
    assert_eq!(call.version, http::Version::HTTP_11);
    assert!(call.header("authorization").starts_with("Bearer "));
    scene.world.run(&["pause", "Caller"]).await.done();
    wire.ends_within_a_second().await;
}

/// Calls at once after a first one, before an API in a mood. What became of each.
async fn calls_in(mood: Mood, calls: usize, method: &Method) -> (Framed, Scene, Vec<Answer>) {
    let authority = Authority::new("known");
    let api = Framed::start(&authority.vouch_for(ON_THIS_MACHINE), mood).await;
    let scene = Scene::set(&authority, &api.base()).await;
    scene.get("first").await.expect(200);
    let asked = (0..calls).map(|_| {
        let request = scene.request(&scene.agent, method.clone(), "call");
        Answer::to(match *method {
            Method::GET => request,
            _ => request.body("a=b"),
        })
    });
    let answers = join_all(asked).await;
    (api, scene, answers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_provider_did_not_take_is_sent_again_whatever_it_is() {
    for method in [Method::GET, Method::POST] {
        for mood in [Mood::Refuses { calls: 6 }, Mood::Leaves { calls: 6 }] {
            let (api, scene, answers) = calls_in(mood, 6, &method).await;
            for answer in answers {
                assert_eq!(answer.status, 200, "{method} {mood:?}: {}", answer.body);
            }
            assert_eq!(api.answered(), 7, "{method} {mood:?}: each of them once");
            scene.post("after", "a=b").await.expect(200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_connection_takes_with_it_is_sent_again_where_that_changes_nothing() {
    let mood = Mood::Vanishes { calls: 6 };
    let (api, _scene, answers) = calls_in(mood, 6, &Method::GET).await;
    for answer in answers {
        answer.expect(200);
    }
    assert_eq!((api.came(), api.answered()), (13, 7));

    let (api, scene, answers) = calls_in(mood, 6, &Method::POST).await;
    for answer in answers {
        assert_eq!(answer.expect(503).json()["outcome"], "unknown");
    }
    assert_eq!(api.came(), 7, "none was sent again");
    scene.post("after", "a=b").await.expect(200);
}

/// What an agent is told where the API shows this. Nothing of what it asked comes to the API.
async fn told_by(authority: &Authority, proof: &Proof) -> String {
    let api = SecureApi::start(proof, BOTH).await;
    let scene = Scene::set(authority, &api.base()).await;
    let told = problem(&scene.get("x").await);
    assert_eq!(problem(&scene.post("x", "a=b").await), told);
    let mut wire = scene
        .open(
            &scene.agent,
            "GET /proxy/own/ws",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        )
        .await;
    wire.read_until("provider_rejected").await;
    assert!(api.seen().is_empty(), "{:?}", api.seen());
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_prove_to_be_the_provider_is_sent_nothing_and_that_is_told() {
    let authority = Authority::new("known");
    let stranger = Authority::new("stranger");
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]");
    let _here = settings.bind_to_scope();
    let told = told_by(&authority, &stranger.vouch_for(ON_THIS_MACHINE)).await;
    insta::assert_snapshot!(told, @r"
    502 provider_rejected
    127.0.0.1:[PORT] shows a certificate that is signed by nobody this machine trusts, so it may not be Own; nothing was sent.
      → Tell a person, and do not reach it by another way. They look at this machine's clock and network (a page to sign in at, a program that looks into TLS). An authority of their own belongs in the system's store of certificates; Doorward reads that when it starts.
    ");
    let first = |told: String| told.lines().nth(1).unwrap_or_default().to_owned();
    let told = told_by(&authority, &authority.vouch_for(&["localhost"])).await;
    insta::assert_snapshot!(first(told), @"127.0.0.1:[PORT] shows a certificate that is for another name, so it may not be Own; nothing was sent.");
    let told = told_by(&authority, &authority.vouched_for(ON_THIS_MACHINE)).await;
    insta::assert_snapshot!(first(told), @"127.0.0.1:[PORT] shows a certificate that has ended, so it may not be Own; nothing was sent.");

    let (origin, heard) = plain().await;
    let scene = Scene::set(&authority, &origin).await;
    let told = problem(&scene.get("x").await);
    insta::assert_snapshot!(first(told), @"127.0.0.1:[PORT] does not speak TLS as it should (received corrupt message of type InvalidContentType), so it may not be Own; nothing was sent.");
    let heard = heard.await.expect("it heard something");
    assert!(heard.starts_with(&[0x16]), "the beginning of a handshake");
    assert!(!heard.windows(7).any(|bytes| bytes == b"Bearer "));
}

/// A server that speaks no TLS; what it hears.
async fn plain() -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let hearing = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut heard = vec![0; PIECE];
        let count = stream.read(&mut heard).await.expect("something");
        heard.truncate(count);
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("it is read");
        stream.read_to_end(&mut heard).await.ok();
        heard
    });
    (format!("https://127.0.0.1:{port}/"), hearing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_signed_in_at_who_does_not_prove_to_be_the_provider() {
    let stranger = Authority::new("stranger");
    let api = SecureApi::start(&stranger.vouch_for(ON_THIS_MACHINE), BOTH).await;
    let world = World::new().await;
    let _here = shown(&world);
    let served = world.serve().await;
    let ran = world.run(&["connect", &api.base(), "--no-browser"]).await;
    insta::assert_snapshot!(said(&ran), @r"
    [6]
    error: The provider cannot be reached: 127.0.0.1:[PORT] shows a certificate that is signed by nobody this machine trusts.
      → Check the address and the network, then try again; nothing was changed.
    ");
    assert!(api.seen().is_empty());
    served.stop().await.done();
}
