//! An agent listens to the health of its connections.

use std::time::Duration;

use doorward_broker::handle::PauseTarget;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ask::Ask;
use crate::world::{World, name};

/// A stream of events that is read as it comes.
struct Listening {
    stream: TcpStream,
    heard: String,
}

impl Listening {
    async fn start(world: &World, key: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
        let ask = Ask::get("/v1/events").key(key).text(world.port);
        stream.write_all(ask.as_bytes()).await.unwrap();
        Self {
            stream,
            heard: String::new(),
        }
    }

    /// Waits until this was heard, and forgets what came before it.
    async fn hears(&mut self, text: &str) {
        let reading = async {
            while !self.heard.contains(text) {
                assert!(self.read().await > 0, "it ended: {}", self.heard);
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(10), reading).await;
        assert!(heard.is_ok(), "not heard: {text} in {}", self.heard);
        let end = self.heard.find(text).unwrap() + text.len();
        self.heard.drain(..end);
    }

    async fn ends(mut self) {
        let reading = async { while self.read().await > 0 {} };
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .expect("an end");
    }

    async fn read(&mut self) -> usize {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes).await.unwrap_or(0);
        self.heard
            .push_str(&String::from_utf8_lossy(&bytes[..count]));
        count
    }
}

#[tokio::test]
async fn changes_of_health_are_told_as_they_happen_and_nothing_else_is() {
    let (world, key) = World::with_agent().await;
    world.connect("other", "personal").await;
    let mut listening = Listening::start(&world, &key).await;
    listening.hears("200 OK").await;
    listening.hears("text/event-stream").await;
    listening
        .hears("event: health\ndata: {\"name\":\"fastio\",")
        .await;
    listening.hears("\"health\":\"connected\"").await;
    for (paused, health) in [(true, "paused"), (false, "connected")] {
        let other = PauseTarget::Connection(name("other"));
        world.handle.set_paused(other, paused).await.unwrap();
        let target = PauseTarget::Connection(name("fastio"));
        world.handle.set_paused(target, paused).await.unwrap();
        listening.hears(&format!("\"health\":\"{health}\"")).await;
    }
    assert!(!listening.heard.contains("other"), "another's connection");
    world.handle.disconnect(name("fastio")).await.unwrap();
    listening
        .hears("event: gone\ndata: {\"name\":\"fastio\"}")
        .await;
}

#[tokio::test]
async fn a_stream_ends_with_its_agent() {
    let (world, key) = World::with_agent().await;
    let mut listening = Listening::start(&world, &key).await;
    listening.hears("\"health\":\"connected\"").await;
    world.handle.revoke_agent("agent".to_owned()).await.unwrap();
    listening
        .hears("event: ended\ndata: {\"code\":\"unauthenticated\"}")
        .await;
    listening.ends().await;
    let again = world.send(&Ask::get("/v1/events").key(&key)).await;
    assert_eq!(again.status, 401);
}

#[tokio::test]
async fn a_stream_ends_while_its_agent_is_paused() {
    let (world, key) = World::with_agent().await;
    let mut listening = Listening::start(&world, &key).await;
    listening.hears("\"health\":\"connected\"").await;
    let agent = PauseTarget::Agent("agent".to_owned());
    world.handle.set_paused(agent, true).await.unwrap();
    listening
        .hears("event: ended\ndata: {\"code\":\"agent_paused\"}")
        .await;
    listening.ends().await;
    let refused = world.send(&Ask::get("/v1/events").key(&key)).await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn a_gateway_that_stops_ends_its_streams() {
    let (mut world, key) = World::with_agent().await;
    let mut listening = Listening::start(&world, &key).await;
    listening.hears("\"health\":\"connected\"").await;
    let stopped = tokio::time::timeout(Duration::from_secs(4), world.stop_gateway()).await;
    assert!(stopped.is_ok(), "nobody waits for a stream");
    listening.ends().await;
}
