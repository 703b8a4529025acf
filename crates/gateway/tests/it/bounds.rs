//! What a client can hold up, and for how long.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ask::{Answer, Ask};
use crate::world::World;

async fn open(world: &World) -> TcpStream {
    TcpStream::connect(("127.0.0.1", world.port)).await.unwrap()
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_and_while_it_is_read() {
    let (world, key) = World::with_agent().await;
    let large = "x".repeat(64 * 1024 + 1);
    let stated = Ask::new("POST", "/oauth/revoke")
        .key(&key)
        .header("Content-Length", "65537");
    let answer = world.send(&stated).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "payload_too_large")
    );

    let chunked = Ask::new("POST", "/v1/token/rejected")
        .key(&key)
        .header("Content-Type", "application/json")
        .header("Transfer-Encoding", "chunked");
    let text = format!(
        "{}{:x}\r\n{large}\r\n0\r\n\r\n",
        chunked.text(world.port),
        large.len()
    );
    let mut stream = open(&world).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let answer = Answer::read(&mut stream).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "payload_too_large")
    );
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let world = World::empty().await;
    let long = Ask::get("/healthz").header("x-long", &"x".repeat(20_000));
    assert_eq!(world.send(&long).await.status, 431);
    let many = (0..70).fold(Ask::get("/healthz"), |ask, n| {
        ask.header(&format!("x-{n}"), "y")
    });
    assert_eq!(world.send(&many).await.status, 431);
}

#[tokio::test]
async fn a_slow_body_is_answered_408() {
    let (world, key) = World::with_agent().await;
    let slow = Ask::new("POST", "/v1/token/rejected")
        .key(&key)
        .header("Content-Type", "application/json")
        .header("Content-Length", "100");
    let mut stream = open(&world).await;
    stream
        .write_all(slow.text(world.port).as_bytes())
        .await
        .unwrap();
    stream.write_all(b"{\"conn").await.unwrap();
    tokio::time::pause();
    let answer = Answer::read(&mut stream).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (408, "request_timeout")
    );
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_slow_head_is_cut_off_and_takes_nobody_with_it() {
    let (world, key) = World::with_agent().await;
    let mut silent = open(&world).await;
    let mut slow = open(&world).await;
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127")
        .await
        .unwrap();
    let mut stream = open(&world).await;
    stream
        .write_all(Ask::get("/v1/token").key(&key).text(world.port).as_bytes())
        .await
        .unwrap();
    assert_eq!(Answer::read(&mut stream).await.status, 200);
    tokio::time::pause();
    let mut nothing = String::new();
    // A cut connection ends or is reset.
    let _ = slow.read_to_string(&mut nothing).await;
    let _ = silent.read_to_string(&mut nothing).await;
    assert_eq!(nothing, "");
}

#[tokio::test]
async fn a_connection_is_kept_for_further_requests() {
    let (world, key) = World::with_agent().await;
    let mut stream = open(&world).await;
    let ask = Ask::get("/v1/token").key(&key).text(world.port);
    let kept = ask.replace("Connection: close\r\n", "");
    for _ in 0..3 {
        stream.write_all(kept.as_bytes()).await.unwrap();
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).await.unwrap();
        assert!(bytes[..length].starts_with(b"HTTP/1.1 200"));
    }
    stream.write_all(ask.as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&mut stream).await.status, 200);
}

#[tokio::test]
async fn stopping_ends_resting_connections_and_frees_the_port() {
    let (mut world, key) = World::with_agent().await;
    let mut resting = open(&world).await;
    let kept = Ask::get("/v1/token")
        .key(&key)
        .text(world.port)
        .replace("Connection: close\r\n", "");
    resting.write_all(kept.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 4096];
    assert!(resting.read(&mut bytes).await.unwrap() > 0);
    world.stop_gateway().await;
    assert_eq!(resting.read(&mut bytes).await.unwrap(), 0);
    doorward_gateway::Gateway::bind(world.port).unwrap();
}
