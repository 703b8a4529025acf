//! The transport before Streamable HTTP.

use std::time::Duration;

use doorward_core::grant::Policy;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::server::{open_events, with_status};
use super::{Stage, call};
use crate::ask::Ask;
use crate::world::World;

/// An agent that reads its stream.
pub(super) struct Listening {
    stream: TcpStream,
    bytes: Vec<u8>,
    pub(super) got: String,
}

impl Listening {
    async fn open(stage: &Stage, key: &str) -> Self {
        Self::at(&stage.world, "/sse/served", key).await
    }

    pub(super) async fn at(world: &World, path: &str, key: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
        let ask = Ask::get(path).key(key).text(world.port);
        stream.write_all(ask.as_bytes()).await.unwrap();
        Self {
            stream,
            bytes: Vec::new(),
            got: String::new(),
        }
    }

    /// Reads until this has come.
    pub(super) async fn until(&mut self, wanted: &str) {
        while !self.got.contains(wanted) {
            self.more().await;
        }
    }

    /// Waits for something to come.
    pub(super) async fn more(&mut self) {
        let reading = self.stream.read_buf(&mut self.bytes);
        let count = tokio::time::timeout(Duration::from_secs(5), reading)
            .await
            .unwrap_or_else(|_| panic!("nothing more came: {}", self.got))
            .unwrap();
        assert!(count > 0, "the stream ended: {}", self.got);
        // What was cut in the middle of a letter is whole the next time.
        self.got = String::from_utf8_lossy(&self.bytes).into_owned();
    }
}

#[tokio::test]
async fn messages_go_where_the_server_said_through_this_door() {
    let stage = Stage::new(|seen| match seen.method.as_str() {
        "GET" => open_events("event: endpoint\ndata: /messages?sessionId=abc\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":\"auth_manage\"},{\"name\":\"find\"}]}}\n\n"),
        _ => with_status(202, axum::response::Response::default()),
    })
    .await;
    let mut listening = Listening::open(&stage, &stage.key).await;
    listening
        .until("data: /sse/served/message?sessionId=abc\n")
        .await;
    let post = |target: &str, key: &str| Ask::json(target, &call("find", &json!({}))).key(key);
    let own = "/sse/served/message?sessionId=abc";
    assert_eq!(stage.world.send(&post(own, &stage.key)).await.status, 202);
    let seen = stage.server.seen();
    assert_eq!(
        (seen[1].method.as_str(), seen[1].target.as_str()),
        ("POST", "/messages?sessionId=abc")
    );
    assert!(seen[1].header("authorization").is_some());

    for target in ["/sse/served/message?sessionId=other", "/sse/served/message"] {
        assert_eq!(
            stage.world.send(&post(target, &stage.key)).await.status,
            404,
            "{target}"
        );
    }
    let other = stage
        .world
        .agent("other", "served", &[doorward_core::grant::Door::Proxy])
        .await;
    assert_eq!(
        stage.world.send(&post(own, &other)).await.status,
        404,
        "another agent's stream"
    );
    assert_eq!(stage.server.seen().len(), 2);
    drop(listening);
    let ended = async {
        while stage.world.send(&post(own, &stage.key)).await.status != 404 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended)
        .await
        .expect("a stream that has ended takes nothing more");
}

#[tokio::test]
async fn what_is_refused_is_answered_on_the_stream_and_hidden_tools_are_hidden_there() {
    let stage = Stage::new(|seen| match seen.method.as_str() {
        "GET" => open_events("event: endpoint\ndata: /messages/7\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":\"storage\"},{\"name\":\"find\"}]}}\n\n"),
        _ => with_status(202, axum::response::Response::default()),
    })
    .await;
    let policy = Policy {
        tools: vec!["find".parse().unwrap()],
        ..Policy::default()
    };
    let key = stage.world.limited("held", "served", policy).await;
    let mut listening = Listening::open(&stage, &key).await;
    listening.until("{\"tools\":[{\"name\":\"find\"}]}").await;
    let endpoint = listening
        .got
        .lines()
        .find_map(|line| line.strip_prefix("data: /"))
        .unwrap();
    let target = format!("/{endpoint}");
    assert!(
        target.starts_with("/sse/served/message?stream="),
        "{target}"
    );
    let refused = Ask::json(&target, &call("storage", &json!({ "action": "list" }))).key(&key);
    assert_eq!(stage.world.send(&refused).await.status, 202);
    listening.until("\"policy_denied\"").await;
    assert_eq!(stage.server.seen().len(), 1);
}

#[tokio::test]
async fn a_server_cannot_send_the_credential_elsewhere() {
    let stage = Stage::new(|_| {
        open_events("event: endpoint\ndata: http://127.0.0.1:1/messages?sessionId=abc\n\n")
    })
    .await;
    let mut listening = Listening::open(&stage, &stage.key).await;
    let mut rest = Vec::new();
    let ended = listening.stream.read_to_end(&mut rest);
    let _ended = tokio::time::timeout(Duration::from_secs(5), ended)
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("sessionId"));
}
