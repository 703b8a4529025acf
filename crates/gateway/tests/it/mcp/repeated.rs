//! Headers that repeat a tool's arguments.

use doorward_core::grant::Policy;
use serde_json::{Value, json};

use super::server::document;
use super::{Stage, call, text_result};
use crate::ask::{Answer, Ask};

/// A server whose tool `storage` has its action repeated in a header.
async fn stage() -> Stage {
    Stage::new(|seen| {
        if !seen.body.contains("tools/list") {
            return document(text_result("done"));
        }
        let action =
            json!({ "type": "string", "enum": ["list", "delete"], "x-mcp-header": "Action" });
        let storage = json!({ "name": "storage", "inputSchema": { "type": "object", "properties": {
            "action": action, "query": { "type": "string" },
        } } });
        document(json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [storage] } }))
    })
    .await
}

async fn limited(stage: &Stage) -> String {
    let policy = Policy {
        tools: vec!["storage(action=list)".parse().unwrap()],
        ..Policy::default()
    };
    stage.world.limited("held", "served", policy).await
}

async fn send(stage: &Stage, key: &str, message: &Value, action: &str) -> Answer {
    let ask = Ask::json("/mcp/served", message).key(key);
    stage
        .world
        .send(&ask.header("Mcp-Param-Action", action))
        .await
}

fn list_tools() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })
}

fn listing() -> Value {
    call("storage", &json!({ "action": "list", "query": "delete" }))
}

fn is_mismatch(answer: &Answer) -> bool {
    answer.status == 400 && answer.json()["error"]["code"] == -32020 && answer.json()["id"] == 7
}

#[tokio::test]
async fn a_header_cannot_say_another_call_than_the_one_that_was_judged() {
    let stage = stage().await;
    let key = limited(&stage).await;
    stage
        .world
        .send(&Ask::json("/mcp/served", &list_tools()).key(&key))
        .await;
    let agrees = send(&stage, &key, &listing(), "list").await;
    assert_eq!(agrees.json()["result"]["content"][0]["text"], "done");
    let encoded = send(&stage, &key, &listing(), "=?base64?bGlzdA==?=").await;
    assert_eq!(encoded.status, 200);
    for lying in ["delete", "=?base64?ZGVsZXRl?=", "=?base64?!?=", ""] {
        let refused = send(&stage, &key, &listing(), lying).await;
        assert!(is_mismatch(&refused), "{lying}: {}", refused.body);
    }
    let twice = Ask::json("/mcp/served", &listing())
        .key(&key)
        .header("Mcp-Param-Action", "list")
        .header("Mcp-Param-Action", "delete");
    assert!(is_mismatch(&stage.world.send(&twice).await));
    // It is the body that is judged, whatever the header says.
    let deleting = call("storage", &json!({ "action": "delete" }));
    for said in ["list", "delete"] {
        let refused = send(&stage, &key, &deleting, said).await.json();
        let code = refused["error"]["data"]["code"].as_str();
        let is_denied = code == Some("policy_denied");
        assert!(is_denied || refused["error"]["code"] == -32020, "{refused}");
    }
    let seen = stage.server.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[1].header("mcp-param-action"), Some("list"));
    assert_eq!(
        seen[2].header("mcp-param-action"),
        Some("=?base64?bGlzdA==?="),
        "as it came"
    );
}

#[tokio::test]
async fn where_arguments_matter_a_header_needs_a_list_that_says_what_it_repeats() {
    let stage = stage().await;
    let key = limited(&stage).await;
    let refused = send(&stage, &key, &listing(), "list").await;
    assert!(is_mismatch(&refused), "{}", refused.body);
    assert!(refused.body.contains("tools/list"), "{}", refused.body);
    assert!(stage.server.seen().is_empty());
    stage
        .world
        .send(&Ask::json("/mcp/served", &list_tools()).key(&key))
        .await;
    assert_eq!(send(&stage, &key, &listing(), "list").await.status, 200);
}

#[tokio::test]
async fn where_they_do_not_the_header_is_the_servers_business() {
    let stage = stage().await;
    let passed = send(&stage, &stage.key, &listing(), "anything").await;
    assert_eq!(passed.status, 200, "{}", passed.body);
    assert_eq!(
        stage.server.seen()[0].header("mcp-param-action"),
        Some("anything")
    );
}
