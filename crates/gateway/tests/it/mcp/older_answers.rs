//! The transport before Streamable HTTP: what an answer on the stream does for the request that it answers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward_broker::views::LockView;
use doorward_core::grant::Door;
use fastio_sim::{Fault, Kind, McpAuthFailure, demo};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::older::Listening;
use super::server::{Seen, events_from, with_status};
use super::{Stage, call, text_result};
use crate::ask::Ask;
use crate::world::World;

const MESSAGES: &str = "/sse/served/message?sessionId=abc";

/// A server that takes each message with a status, after it has put the answers on its stream.
async fn stage(
    script: impl Fn(&Seen) -> (u16, Vec<Value>) + Send + Sync + 'static,
) -> (Stage, Listening) {
    let (say, coming) = mpsc::unbounded_channel();
    say.send("event: endpoint\ndata: /messages?sessionId=abc\n\n".to_owned())
        .unwrap();
    let coming = Mutex::new(Some(coming));
    let stage = Stage::new(move |seen| {
        if seen.method == "GET" {
            return events_from(coming.lock().unwrap().take().unwrap());
        }
        let (status, answers) = script(seen);
        for answer in answers {
            say.send(format!("data: {answer}\n\n")).unwrap();
        }
        with_status(status, axum::response::Response::default())
    })
    .await;
    let mut listening = Listening::at(&stage.world, "/sse/served", &stage.key).await;
    listening.until(MESSAGES).await;
    // A token that was just made is not doubted, and any other only if the API agrees.
    stage.world.advance(Duration::from_mins(1));
    let refused = Fault::on(Kind::Check).status(401);
    stage.world.sim.queue_fault(refused.times(1));
    (stage, listening)
}

fn signed_out() -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32001, "message": "Session expired" } })
}

fn ping(id: u32) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "ping" })
}

async fn post(stage: &Stage, message: &Value) {
    let ask = Ask::json(MESSAGES, message).key(&stage.key);
    assert_eq!(stage.world.send(&ask).await.status, 202);
}

fn posts(stage: &Stage) -> Vec<Seen> {
    let mut seen = stage.server.seen();
    seen.retain(|seen| seen.method == "POST");
    seen
}

#[tokio::test]
async fn an_answer_that_says_that_nobody_is_signed_in_has_the_message_sent_once_more() {
    let count = AtomicUsize::new(0);
    let (stage, mut listening) = stage(move |seen| {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        let answer = if is_first || seen.body.contains("never") {
            signed_out()
        } else {
            text_result("done")
        };
        (202, vec![answer])
    })
    .await;
    post(&stage, &call("find", &json!({}))).await;
    listening.until("done").await;
    assert!(!listening.got.contains("expired"), "{}", listening.got);
    let posts_before = posts(&stage);
    let tokens: Vec<_> = posts_before
        .iter()
        .map(|seen| seen.header("authorization").unwrap())
        .collect();
    assert_eq!(tokens.len(), 2);
    assert_ne!(
        tokens[0], tokens[1],
        "the credential was renewed in between"
    );
    assert_eq!(posts_before[0].body, posts_before[1].body);
    assert_eq!(posts_before[1].target, "/messages?sessionId=abc");

    post(&stage, &call("never", &json!({}))).await;
    listening.until("Session expired").await;
    assert_eq!(posts(&stage).len(), 4, "once, and not in a circle");
}

#[tokio::test]
async fn a_message_that_is_not_taken_the_second_time_is_told_on_the_stream() {
    let count = AtomicUsize::new(0);
    let (stage, mut listening) = stage(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            (202, vec![signed_out()])
        } else {
            (404, Vec::new())
        }
    })
    .await;
    post(&stage, &call("find", &json!({}))).await;
    listening.until("provider_rejected").await;
    assert!(listening.got.contains("\"id\":7"), "{}", listening.got);
    assert!(!listening.got.contains("expired"), "{}", listening.got);
}

#[tokio::test]
async fn what_the_agent_has_taken_back_is_not_sent_once_more() {
    let (stage, mut listening) = stage(|seen| match seen.message() {
        message if message["method"] == "tools/call" => (202, vec![signed_out()]),
        message if message["method"] == "ping" => {
            let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": {} });
            (202, vec![answer])
        }
        _ => (202, Vec::new()),
    })
    .await;
    let slow = Fault::on(Kind::TokenRefresh).delay(Duration::from_millis(500));
    stage.world.sim.queue_fault(slow.times(1));
    let before = stage.world.sim.counts().of(Kind::TokenRefresh);
    post(&stage, &call("find", &json!({}))).await;
    stage
        .world
        .sim
        .wait_for_requests(Kind::TokenRefresh, before + 1)
        .await;
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    post(&stage, &cancelled).await;
    let renewed = async {
        let first = posts(&stage)[0].header("authorization").unwrap().to_owned();
        for id in 100.. {
            post(&stage, &ping(id)).await;
            listening.until(&format!("\"id\":{id}")).await;
            if posts(&stage).last().unwrap().header("authorization") != Some(&first) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), renewed)
        .await
        .expect("the credential is renewed");
    post(&stage, &ping(99)).await;
    listening.until("\"id\":99").await;
    let calls = posts(&stage);
    let calls = calls.iter().filter(|seen| seen.body.contains("tools/call"));
    assert_eq!(calls.count(), 1);
}

async fn locks(world: &World) -> Vec<LockView> {
    world.handle.status().await.unwrap().locks
}

#[tokio::test]
async fn a_lock_is_remembered_before_its_token_arrives_whoever_is_answered_first() {
    let (stage, mut listening) = stage(|seen| {
        let message = seen.message();
        // What is asked first is answered last.
        if message["id"] == 7 {
            return (202, Vec::new());
        }
        let taken = json!({ "jsonrpc": "2.0", "id": 7, "result": { "content": [
            { "type": "text", "text": "{\"lock_token\":\"LT-1\",\"expires_in\":300}" },
        ] } });
        let other = json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "content": [
            { "type": "text", "text": "{\"lock_token\":\"LT-2\"}" },
        ] } });
        (202, vec![other, taken])
    })
    .await;
    let acquire = json!({ "action": "lock-acquire", "context_type": "workspace", "context_id": "w1", "node_id": "n1" });
    post(&stage, &call("storage", &acquire)).await;
    assert!(locks(&stage.world).await.is_empty());
    let mut find = call("find", &json!({}));
    find["id"] = 8.into();
    post(&stage, &find).await;
    listening.until("LT-1").await;
    let held = locks(&stage.world).await;
    assert_eq!(held.len(), 1, "an answer about something else is no lock");
    assert_eq!(
        (held[0].agent_name.as_str(), held[0].path.as_str()),
        ("agent", "/workspace/w1/storage/n1/lock/")
    );
}

/// An agent that speaks the older transport to Fast.io.
struct Fastio {
    world: World,
    key: String,
    listening: Listening,
    target: String,
    id: u32,
}

impl Fastio {
    async fn begin() -> Self {
        let world = World::empty().await;
        world
            .sim
            .change_knobs(|knobs| knobs.mcp_auth_failure = McpAuthFailure::JsonRpc);
        world.connect("fastio", "personal").await;
        let key = world.agent("agent", "fastio", &[Door::Proxy]).await;
        let mut listening = Listening::at(&world, "/sse/fastio", &key).await;
        listening.until("\n\n\r\n").await;
        let target = listening
            .got
            .lines()
            .find_map(|line| line.strip_prefix("data: "))
            .unwrap()
            .to_owned();
        let mut begun = Self {
            world,
            key,
            listening,
            target,
            id: 0,
        };
        let hello = json!({ "protocolVersion": "2024-11-05", "capabilities": {},
                            "clientInfo": { "name": "a-desktop", "version": "1" } });
        begun.ask("initialize", &hello).await;
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        begun.post(&ready).await;
        begun
    }

    async fn post(&self, message: &Value) {
        let ask = Ask::json(&self.target, message).key(&self.key);
        let answer = self.world.send(&ask).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
    }

    /// Asks, and waits for the answer.
    async fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.id += 1;
        let message =
            json!({ "jsonrpc": "2.0", "id": self.id, "method": method, "params": params });
        self.post(&message).await;
        loop {
            let answers = self
                .listening
                .got
                .lines()
                .filter_map(|line| line.strip_prefix("data: "));
            let mut answers = answers.filter_map(|text| serde_json::from_str::<Value>(text).ok());
            if let Some(answer) = answers.find(|answer| answer["id"] == self.id) {
                return answer;
            }
            self.listening.more().await;
        }
    }

    async fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        self.ask("tools/call", &params).await
    }
}

#[tokio::test]
async fn an_agent_of_the_older_transport_does_not_notice_that_fastio_refused_its_token() {
    let mut agent = Fastio::begin().await;
    let details = json!({ "action": "details", "workspace_id": demo::ARCHIVE });
    let before = agent.call("workspace", &details).await;
    assert_eq!(before["result"]["isError"], false, "{before}");
    // For Fast.io the token has ended, of which Doorward does not know.
    agent.world.sim.advance_clock(Duration::from_hours(1));
    agent.world.advance_here(Duration::from_secs(10));
    let after = agent.call("workspace", &details).await;
    assert_eq!(after["result"]["isError"], false, "{after}");
    let got = &agent.listening.got;
    assert!(!got.contains("expired"), "{got}");
}

#[tokio::test]
async fn a_lock_that_was_taken_over_the_older_transport_is_given_back_when_its_agent_is_revoked() {
    let mut agent = Fastio::begin().await;
    let list = format!(
        "/proxy/fastio/workspace/{}/storage/root/list/",
        demo::WEBSITE
    );
    let listed = agent
        .world
        .send(&Ask::get(&list).key(&agent.key))
        .await
        .json();
    let mut nodes = listed["nodes"].as_array().unwrap().iter();
    let file = nodes.find(|node| node["type"] == "file").unwrap();
    let acquire = json!({ "action": "lock-acquire", "profile_id": demo::WEBSITE,
                          "node_id": file["id"] });
    let taken = agent.call("storage", &acquire).await;
    assert_eq!(taken["result"]["isError"], false, "{taken}");
    assert_eq!(agent.world.sim.locks().len(), 1);
    assert_eq!(locks(&agent.world).await.len(), 1);
    let world = &agent.world;
    world.handle.revoke_agent("agent".to_owned()).await.unwrap();
    let given_back = world.sim.wait_until(|sim| sim.locks().is_empty());
    tokio::time::timeout(Duration::from_secs(10), given_back)
        .await
        .expect("the lock is given back");
}
