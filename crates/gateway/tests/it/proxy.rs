//! The proxy door: what goes through it, and what does not.

use std::time::Duration;

use doorward_broker::handle::{LifetimeAsk, PauseTarget, Proof, Terms};
use doorward_core::grant::{Door, Policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ask::{Answer, Ask};
use crate::upstream::Api;
use crate::world::{World, name, unknown_key};

async fn world() -> (Api, World, String) {
    let api = Api::start().await;
    let (world, key) = World::with_api(&api.base()).await;
    (api, world, key)
}

/// Sends text as it is and reads until the other end closes.
async fn raw(world: &World, text: &str) -> String {
    let mut stream = open(world, text).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn open(world: &World, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Reads until some text has come.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = String::new();
    let mut bytes = [0; 4096];
    while !read.contains(text) {
        let count = stream.read(&mut bytes).await.unwrap();
        assert_ne!(count, 0, "it ended before {text:?}: {read}");
        read.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    read
}

/// Waits until the other end has closed or broken off, and fails if that takes more than a second.
async fn ends_within_a_second(stream: &mut TcpStream) {
    let rest = async {
        let mut bytes = [0; 4096];
        while let Ok(1..) = stream.read(&mut bytes).await {}
    };
    tokio::time::timeout(Duration::from_secs(1), rest)
        .await
        .expect("it goes on");
}

#[tokio::test]
async fn a_call_goes_on_as_it_was_sent_with_the_credential_instead_of_the_key() {
    let (api, world, key) = world().await;
    let target = "/proxy/own/a%20b/c;v=1/d/?output=terse&x=%2F..%2f&empty=&token=t|t";
    let ask = Ask::new("PATCH", target)
        .key(&key)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-Own", "one")
        .header("X-Own", "two")
        .header("Cookie", "a=b")
        .header("X-Forwarded-For", "10.0.0.1")
        .header("Forwarded", "for=10.0.0.1")
        .header("Prefer", "return=minimal, wait=20")
        .body("lock_token=LT");
    let answer = world.send(&ask).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "plain"));
    let seen = api.last();
    assert_eq!(seen.method, "PATCH");
    assert_eq!(
        seen.target,
        "/base/a%20b/c;v=1/d/?output=terse&x=%2F..%2f&empty=&token=t|t"
    );
    assert_eq!(seen.body, "lock_token=LT");
    assert_eq!(seen.headers.get_all("x-own").iter().count(), 2);
    assert_eq!(seen.header("content-length"), Some("13"));
    assert_eq!(
        seen.header("host"),
        Some(&*format!("127.0.0.1:{}", api.port))
    );
    assert_eq!(seen.header("prefer"), Some("return=minimal"));
    for name in ["cookie", "x-forwarded-for", "forwarded", "connection"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    let authorization = seen.header("authorization").unwrap();
    assert!(authorization.starts_with("Bearer ") && !authorization.contains("dwk_"));
}

#[tokio::test]
async fn every_method_passes_and_an_empty_body_stays_as_it_is() {
    let (api, world, key) = world().await;
    for method in [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND",
    ] {
        let answer = world
            .send(&Ask::new(method, "/proxy/own/x/").key(&key))
            .await;
        assert_eq!(answer.status, 200, "{method}");
        let seen = api.last();
        assert_eq!(seen.method, method);
        assert_eq!(seen.header("content-length"), None, "{method}");
        assert_eq!(seen.header("transfer-encoding"), None, "{method}");
    }
    world
        .send(&Ask::new("POST", "/proxy/own/x/").key(&key).body(""))
        .await;
    assert_eq!(api.last().header("content-length"), Some("0"));
    let head = world
        .send(&Ask::new("HEAD", "/proxy/own/x/").key(&key))
        .await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(
        head.header("content-length"),
        Some("5"),
        "as a GET would be"
    );
    for code in [204, 304] {
        let ask = Ask::get(&format!("/proxy/own/status/{code}/")).key(&key);
        let answer = world.send(&ask).await;
        assert_eq!((answer.status, answer.body.as_str()), (code, ""));
    }
}

#[tokio::test]
async fn the_base_itself_can_be_called() {
    let (api, world, key) = world().await;
    let answer = world.send(&Ask::get("/proxy/own/?a=1").key(&key)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(api.last().target, "/base/?a=1");
}

#[tokio::test]
async fn what_is_about_the_connection_stays_on_its_side() {
    let (api, world, key) = world().await;
    let text = format!(
        "GET /proxy/own/rude/ HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {key}\r\n\
         Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nTE: trailers, gzip\r\n\
         Proxy-Authorization: Basic x\r\nProxy-Connection: close\r\nUpgrade: h2c\r\n\r\n",
        world.port
    );
    let answer = Answer::parse(&raw(&world, &text).await);
    assert_eq!((answer.status, answer.body.as_str()), (200, "rude"));
    let seen = api.last();
    for name in [
        "x-hop",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "upgrade",
    ] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("te"), Some("trailers"));
    for name in [
        "set-cookie",
        "www-authenticate",
        "alt-svc",
        "strict-transport-security",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "keep-alive",
        "x-secret-hop",
    ] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    for (name, value) in [
        ("x-ve-reqid", "r1"),
        ("etag", "\"e\""),
        ("cache-control", "max-age=60"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (api, world, key) = world().await;
    let text = format!(
        "POST /proxy/own/trailers/ HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {key}\r\n\
         Connection: close, te\r\nTE: trailers\r\nTrailer: x-check\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\none\r\n0\r\nx-check: 7\r\n\r\n",
        world.port
    );
    let answer = raw(&world, &text).await;
    assert!(
        answer.contains("4\r\nbody\r\n0\r\nx-sum: 42\r\n"),
        "{answer}"
    );
    let seen = api.last();
    assert_eq!(seen.body, "one");
    assert_eq!(seen.trailers.unwrap()["x-check"], "7");
}

#[tokio::test]
async fn an_agent_that_waits_to_be_told_is_told_to_go_on() {
    let (api, world, key) = world().await;
    let head = format!(
        "PUT /proxy/own/x/ HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {key}\r\n\
         Connection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        world.port
    );
    let mut stream = open(&world, &head).await;
    read_until(&mut stream, "100 Continue\r\n\r\n").await;
    stream.write_all(b"body").await.unwrap();
    read_until(&mut stream, "plain").await;
    assert_eq!(api.last().body, "body");
}

#[tokio::test]
async fn a_redirect_is_passed_back_and_never_followed() {
    let (api, world, key) = world().await;
    let door = format!("http://127.0.0.1:{}/proxy/own/", world.port);
    let (base, port) = (api.base(), api.port);
    for (location, passed) in [
        (format!("{base}other/?x=1"), format!("{door}other/?x=1")),
        ("/base/other/".to_owned(), format!("{door}other/")),
        ("next".to_owned(), format!("{door}redirect/next")),
        (
            "/v1/token".to_owned(),
            format!("http://127.0.0.1:{port}/v1/token"),
        ),
        (
            "../../v1/token".to_owned(),
            format!("http://127.0.0.1:{port}/v1/token"),
        ),
        (
            "//evil.example/base/".to_owned(),
            "http://evil.example/base/".to_owned(),
        ),
        (
            "https://evil.example/base/x".to_owned(),
            "https://evil.example/base/x".to_owned(),
        ),
        (
            format!("https://127.0.0.1:{port}/base/x"),
            format!("https://127.0.0.1:{port}/base/x"),
        ),
        (
            format!("http://127.0.0.1:{port}/bases/x"),
            format!("http://127.0.0.1:{port}/bases/x"),
        ),
    ] {
        let ask = Ask::get(&format!("/proxy/own/redirect/?{location}")).key(&key);
        let answer = world.send(&ask).await;
        assert_eq!(answer.status, 302, "{location}");
        assert_eq!(answer.header("location"), Some(&*passed), "{location}");
    }
    assert!(
        api.seen()
            .iter()
            .all(|seen| seen.target.starts_with("/base/redirect/"))
    );
}

#[tokio::test]
async fn a_path_that_could_leave_the_base_is_refused_and_sent_nowhere() {
    let (api, world, key) = world().await;
    for path in [
        "..",
        "../x",
        "a/../../x",
        "%2e%2e/x",
        "a/%2E%2E/x",
        ".",
        "a//b",
        "/evil.example/x",
        "a%2fb",
        "a%5cb",
        "a\\b",
        "..%5cx",
        "%252e%252e/x",
        "a%00",
        "a%0d%0aX: y",
        "a%",
    ] {
        let ask = Ask::get(&format!("/proxy/own/{path}")).key(&key);
        let answer = world.send(&ask).await;
        assert_eq!(answer.status, 400, "{path}");
        // A target that is no HTTP is answered by an empty 400 before anybody reads it.
        assert!(
            answer.body.is_empty() || answer.code() == "bad_request",
            "{path}"
        );
    }
    for path in [".well-known/oauth-authorization-server", "x/.Well-Known/y"] {
        let answer = world
            .send(&Ask::get(&format!("/proxy/own/{path}")).key(&key))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "route_unknown"),
            "{path}"
        );
    }
    assert!(api.seen().is_empty(), "{:?}", api.seen());
}

#[tokio::test]
async fn a_request_whose_end_is_in_doubt_is_refused_and_sent_nowhere() {
    let (api, world, key) = world().await;
    let host = format!("Host: 127.0.0.1:{}\r\n", world.port);
    let key = format!("Authorization: Bearer {key}\r\n");
    for (what, headers) in [
        (
            "two lengths",
            "Content-Length: 4\r\nContent-Length: 5\r\n".to_owned(),
        ),
        (
            "an unknown coding",
            "Transfer-Encoding: gzip, chunked\r\n".to_owned(),
        ),
        (
            "chunks twice",
            "Transfer-Encoding: chunked, chunked\r\n".to_owned(),
        ),
        (
            "chunks in two lines",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        ),
        (
            "a coding that is none",
            "Transfer-Encoding: xchunked\r\n".to_owned(),
        ),
        ("a signed length", "Content-Length: +4\r\n".to_owned()),
        ("two hosts", host.clone()),
        ("another key", key.clone()),
        ("a folded line", "X-A: b\r\n c\r\n".to_owned()),
        (
            "a space before the colon",
            "Transfer-Encoding : chunked\r\n".to_owned(),
        ),
    ] {
        let text = format!(
            "POST /proxy/own/x/ HTTP/1.1\r\n{host}{key}{headers}Connection: close\r\n\r\n0\r\n\r\nGET /proxy/own/y/ HTTP/1.1\r\n{host}{key}\r\n"
        );
        let answer = Answer::parse(&raw(&world, &text).await);
        assert!(
            (400..=421).contains(&answer.status),
            "{what}: {}",
            answer.head
        );
        assert!(api.seen().is_empty(), "{what}: {:?}", api.seen());
    }
    let strange = Ask::get(&format!("http://127.0.0.1:{}/proxy/own/x/", api.port));
    let answer = world.send(&strange.header("X", "y")).await;
    assert_eq!(
        answer.status, 421,
        "a target in absolute form names this door or none"
    );
    assert!(api.seen().is_empty());
}

#[tokio::test]
async fn a_length_beside_chunks_is_dropped_and_what_goes_on_is_framed_once() {
    let (api, world, key) = world().await;
    for headers in [
        "Content-Length: 99\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
    ] {
        let text = format!(
            "POST /proxy/own/x/ HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {key}\r\n\
             Connection: close\r\n{headers}\r\n\r\n3\r\none\r\n0\r\n\r\n",
            world.port
        );
        let answer = Answer::parse(&raw(&world, &text).await);
        assert_eq!(answer.status, 200, "{headers}");
        let seen = api.last();
        assert_eq!(seen.body, "one", "{headers}");
        assert_eq!(seen.header("content-length"), None, "{headers}");
    }
}

#[tokio::test]
async fn an_agent_key_never_goes_on() {
    let (api, world, key) = world().await;
    for ask in [
        Ask::get(&format!("/proxy/own/x/?k={key}")).key(&key),
        Ask::get(&format!("/proxy/own/{key}/")).key(&key),
        Ask::get(&format!("/proxy/own/%64wk_{}/", &key[4..])).key(&key),
        Ask::get("/proxy/own/x/")
            .key(&key)
            .header("X-Api-Key", &key),
    ] {
        let answer = world.send(&ask).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "bad_request")
        );
        assert!(!answer.body.contains(&key));
    }
    for ask in [
        Ask::get("/proxy/own/x/"),
        Ask::get("/proxy/own/x/").key(&unknown_key()),
        Ask::get("/proxy/own/x/?token=guessed"),
        Ask::get("/proxy/own/file/1/read/?token=guessed"),
    ] {
        let answer = world.send(&ask).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "unauthenticated")
        );
    }
    assert!(api.seen().is_empty(), "{:?}", api.seen());
}

#[tokio::test]
async fn a_grant_decides_what_goes_through() {
    let (api, world, _) = world().await;
    let token_only = world.agent("token agent", "own", &[Door::Token]).await;
    let refused = world
        .send(&Ask::get("/proxy/own/x/").key(&token_only))
        .await;
    assert_eq!(refused.code(), "grant_missing");

    let reader = Policy {
        read_only: true,
        ..Policy::default()
    };
    let reader = world.limited("reader", "own", reader).await;
    assert_eq!(
        world
            .send(&Ask::get("/proxy/own/x/").key(&reader))
            .await
            .status,
        200
    );
    let before = api.seen().len();
    let refused = world
        .send(&Ask::new("POST", "/proxy/own/x/").key(&reader))
        .await;
    assert_eq!(refused.code(), "policy_denied");
    let refused = world
        .send(&Ask::get("/proxy/own/oauth/sessions/").key(&reader))
        .await;
    assert_eq!(refused.code(), "policy_denied");

    let asked = Policy {
        ask: vec!["POST /x/".parse().unwrap()],
        ..Policy::default()
    };
    let asked = world.limited("asked", "own", asked).await;
    let ask = Ask::new("POST", "/proxy/own/x/")
        .key(&asked)
        .header("Prefer", "wait=1");
    let large = ask.clone().body(&"x".repeat(64 * 1024 + 1));
    assert_eq!(world.send(&large).await.code(), "policy_denied");
    assert_eq!(
        world.send(&ask.body("a=b")).await.code(),
        "approval_pending"
    );
    assert_eq!(api.seen().len(), before);
    assert_eq!(
        world
            .send(&Ask::get("/proxy/other/x/").key(&asked))
            .await
            .code(),
        "connection_unknown"
    );
}

#[tokio::test]
async fn a_call_waits_for_a_person_who_sees_what_it_is_and_which_program_makes_it() {
    let (api, world, _) = world().await;
    let policy = Policy {
        ask_each_time: true,
        ..Policy::default()
    };
    let key = world.limited("Coder", "own", policy).await;
    let ask = Ask::new("POST", "/proxy/own/x/?y=1").key(&key).body("a=b");
    let waiting = world.send(&ask);
    let person = async {
        let mut changes = world.handle.changes();
        loop {
            let mut questions = world.handle.questions().await.unwrap();
            if let Some(asked) = questions.pop() {
                break asked;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::pin!(waiting);
    let asked = tokio::select! {
        asked = person => asked,
        answer = &mut waiting => panic!("it did not wait: {}", answer.status),
    };
    assert_eq!(
        (
            asked.agent.as_str(),
            asked.what.as_str(),
            asked.arguments.as_str()
        ),
        ("Coder", "POST /x/?y=1", "a=b")
    );
    assert_eq!(asked.program.unwrap().id.pid, std::process::id());
    assert!(api.seen().is_empty(), "nothing is sent before the answer");
    let allowed = world.handle.allow_call(asked.code, true, Proof::Window);
    assert_eq!(allowed.await.unwrap(), "POST /x/?…");
    assert_eq!(waiting.await.status, 200);
    // What was allowed for good goes on at once; another body is another call.
    assert_eq!(world.send(&ask).await.status, 200);
    let other = ask.clone().body("a=c").header("Prefer", "wait=0");
    assert_eq!(world.send(&other).await.code(), "approval_pending");
    let asked = world.handle.questions().await.unwrap().remove(0);
    world.handle.deny_call(asked.code, false).await.unwrap();
    let denied = world.send(&other).await;
    assert_eq!(denied.code(), "policy_denied");
    assert_eq!(api.seen().len(), 2);
}

#[tokio::test]
async fn a_one_time_token_opens_its_call_without_a_key_and_nothing_else() {
    let (api, world, key) = world().await;
    let minted = world
        .send(&Ask::get("/proxy/own/file/1/requestread/").key(&key))
        .await;
    assert_eq!(minted.json()["token"], "one-time");
    assert_eq!(api.last().header("accept-encoding"), Some("identity"));
    let read = Ask::get("/proxy/own/file/1/read/?token=one-time");
    let answer = world.send(&read).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "plain"));
    assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
    let seen = api.last();
    assert_eq!(seen.target, "/base/file/1/read/?token=one-time");
    assert_eq!(seen.header("authorization"), None);
    world.send(&read.clone().key(&key)).await;
    assert_eq!(
        api.last().header("authorization"),
        None,
        "nothing goes beside such a token"
    );

    let before = api.seen().len();
    for other in [
        Ask::get("/proxy/own/file/1/requestread/?token=one-time"),
        Ask::get("/proxy/own/x/?token=one-time"),
        Ask::new("DELETE", "/proxy/own/file/1/read/?token=one-time"),
        Ask::get("/proxy/own/file/1/read/?token=other"),
        Ask::get("/proxy/own/file/1/read/?token=one-time&token=one-time"),
        Ask::get("/v1/connections?token=one-time"),
    ] {
        assert_eq!(world.send(&other).await.status, 401);
    }
    world
        .handle
        .set_paused(PauseTarget::Agent("agent".into()), true)
        .await
        .unwrap();
    assert_eq!(world.send(&read).await.code(), "agent_paused");
    world
        .handle
        .set_paused(PauseTarget::Agent("agent".into()), false)
        .await
        .unwrap();
    world.advance(Duration::from_mins(5));
    assert_eq!(world.send(&read).await.status, 401, "its time is over");
    assert_eq!(api.seen().len(), before);
}

#[tokio::test]
async fn streams_of_an_agent_that_is_paused_or_revoked_end_within_a_second() {
    let (_api, world, key) = world().await;
    let ask = |path: &str, key: &str| {
        Ask::get(&format!("/proxy/own/{path}/"))
            .key(key)
            .text(world.port)
    };
    let other = world.agent("other", "own", &[Door::Proxy]).await;
    let mut kept = open(&world, &ask("stream", &other)).await;
    read_until(&mut kept, "tick").await;

    for (path, sign) in [("stream", "tick"), ("silent", "hello")] {
        let mut stream = open(&world, &ask(path, &key)).await;
        read_until(&mut stream, sign).await;
        let agent = || PauseTarget::Agent("agent".into());
        world.handle.set_paused(agent(), true).await.unwrap();
        ends_within_a_second(&mut stream).await;
        world.handle.set_paused(agent(), false).await.unwrap();
        read_until(&mut kept, "tick").await;
    }
    let mut streams = Vec::new();
    for (path, sign) in [("stream", "tick"), ("silent", "hello")] {
        let mut stream = open(&world, &ask(path, &key)).await;
        read_until(&mut stream, sign).await;
        streams.push(stream);
    }
    world.handle.revoke_agent("agent".into()).await.unwrap();
    for stream in &mut streams {
        ends_within_a_second(stream).await;
    }
    read_until(&mut kept, "tick").await;
    let connection = PauseTarget::Connection(name("own"));
    world.handle.set_paused(connection, true).await.unwrap();
    ends_within_a_second(&mut kept).await;
}

#[tokio::test]
async fn calls_without_an_answer_yet_end_with_their_agent_too() {
    let (api, world, key) = world().await;
    let head = format!(
        "Host: 127.0.0.1:{}\r\nAuthorization: Bearer {key}\r\n",
        world.port
    );
    let poll = format!("GET /proxy/own/waits/ HTTP/1.1\r\n{head}\r\n");
    let mut polling = open(&world, &poll).await;
    // The API reads on until the rest of it comes.
    let upload = format!("PUT /proxy/own/x/ HTTP/1.1\r\n{head}Content-Length: 9\r\n\r\nhalf");
    let mut uploading = open(&world, &upload).await;
    let both = async {
        while api.asked() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), both)
        .await
        .expect("both reach the API");
    world.handle.revoke_agent("agent".into()).await.unwrap();
    for stream in [&mut polling, &mut uploading] {
        let told = tokio::time::timeout(Duration::from_secs(1), read_until(stream, "\r\n\r\n"));
        let told = told.await.expect("it goes on");
        assert!(told.starts_with("HTTP/1.1 401"), "{told}");
    }
    assert_eq!(api.seen().len(), 1, "the upload never became whole");
}

#[tokio::test]
async fn a_web_socket_goes_both_ways_until_the_agent_is_paused() {
    let (api, world, key) = world().await;
    let hello = |target: &str, authorization: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{authorization}Connection: keep-alive, Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            world.port
        )
    };
    let keyed = format!("Authorization: Bearer {key}\r\n");
    let minted = world.send(&Ask::get("/proxy/own/socket/").key(&key)).await;
    assert_eq!(minted.status, 200);
    for (target, authorization, is_signed) in [
        ("/proxy/own/ws/", keyed.as_str(), true),
        ("/proxy/own/api/websocket/?token=one-time", "", false),
        ("/proxy/own/api/websocket/?token=own", keyed.as_str(), false),
    ] {
        let mut socket = open(&world, &hello(target, authorization)).await;
        let head = read_until(&mut socket, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(
            head.to_ascii_lowercase()
                .contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=")
        );
        assert_eq!(
            api.last().header("authorization").is_some(),
            is_signed,
            "{target}"
        );
        assert_eq!(api.last().header("sec-websocket-version"), Some("13"));
        for word in ["one", "two"] {
            socket.write_all(word.as_bytes()).await.unwrap();
            read_until(&mut socket, word).await;
        }
        let agent = || PauseTarget::Agent("agent".into());
        world.handle.set_paused(agent(), true).await.unwrap();
        ends_within_a_second(&mut socket).await;
        world.handle.set_paused(agent(), false).await.unwrap();
    }
    let guessed = hello("/proxy/own/api/websocket/?token=guessed", "");
    let mut refused = open(&world, &guessed).await;
    let head = read_until(&mut refused, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
}

#[tokio::test]
async fn calls_are_counted_by_the_minute_without_queries_and_bodies() {
    let (_api, world, key) = world().await;
    let ask = Ask::new("POST", "/proxy/own/x/?q=hidden")
        .key(&key)
        .body("hidden");
    for _ in 0..3 {
        assert_eq!(world.send(&ask).await.status, 200);
    }
    let missing = Ask::get("/proxy/own/status/404/").key(&key);
    assert_eq!(world.send(&missing).await.status, 404);
    world.advance(Duration::from_mins(2));
    // Whoever asks anything of the owner of the state makes it look at the time.
    let rows = async {
        loop {
            let rows = world.handle.audit(50).await.unwrap();
            let used = rows.into_iter().filter(|row| row.kind == "agent.used");
            let calls: Vec<_> = used.filter(|row| row.detail.contains_key("call")).collect();
            if calls.len() >= 2 {
                return calls;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let rows = tokio::time::timeout(Duration::from_secs(10), rows)
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    let posted = rows
        .iter()
        .find(|row| row.detail["status"] == "200")
        .unwrap();
    for (name, value) in [
        ("call", "POST /x/"),
        ("count", "3"),
        ("bytes_in", "18"),
        ("bytes_out", "15"),
    ] {
        assert_eq!(posted.detail[name], value, "{name}");
    }
    assert!(!format!("{rows:?}").contains("hidden"));
}

#[tokio::test]
async fn a_stream_ends_with_the_lifetime_of_its_grant() {
    let (_api, world, _) = world().await;
    let terms = Terms {
        connection: Some(name("own")),
        doors: Some(vec![Door::Proxy]),
        lifetime: Some(LifetimeAsk::Hour),
        ..Terms::default()
    };
    let added = world.handle.add_agent("brief", terms, Proof::Window).await;
    let key = added.unwrap().key;
    let ask = Ask::get("/proxy/own/stream/").key(&key).text(world.port);
    let mut stream = open(&world, &ask).await;
    read_until(&mut stream, "tick").await;
    world.advance(Duration::from_mins(61));
    ends_within_a_second(&mut stream).await;
}
