//! What a grant holds back.

use doorward_core::grant::Policy;
use serde_json::json;

use super::server::{Seen, document, events};
use super::{Stage, call, text_result};
use crate::ask::{Answer, Ask};

fn catalogue(seen: &Seen) -> axum::response::Response {
    let message = seen.message();
    if message["method"] != "tools/list" {
        return document(text_result("done"));
    }
    let is_first = message["params"]["cursor"].is_null();
    let tools = if is_first {
        json!([
            { "name": "auth", "inputSchema": { "type": "object", "properties": { "action": { "enum": ["status", "api-key-create"] } } } },
            { "name": "find", "annotations": { "readOnlyHint": true } },
        ])
    } else {
        json!([{ "name": "storage", "inputSchema": { "type": "object", "properties": { "action": { "enum": ["list", "delete"] } } } }])
    };
    let result = json!({ "tools": tools, "nextCursor": if is_first { "2" } else { "3" }, "ttlMs": 1000, "cacheScope": "public" });
    let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    if is_first {
        document(answer)
    } else {
        events(format!("data: {answer}\n\n"))
    }
}

fn list(cursor: Option<&str>) -> serde_json::Value {
    let params = cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params })
}

async fn as_held_back(stage: &Stage, key: &str, message: serde_json::Value) -> Answer {
    let ask = Ask::json("/mcp/served", &message).key(key);
    stage.world.send(&ask).await
}

fn only(tools: &[&str]) -> Policy {
    Policy {
        tools: tools.iter().map(|tool| tool.parse().unwrap()).collect(),
        ..Policy::default()
    }
}

#[tokio::test]
async fn a_hidden_tool_is_on_no_page_and_is_refused_by_the_rule_that_hides_it() {
    let stage = Stage::new(catalogue).await;
    let policy = only(&["storage(action=list)"]);
    let key = stage.world.limited("held", "served", policy).await;
    let send = |message| as_held_back(&stage, &key, message);

    let first = send(list(None)).await.json();
    assert_eq!(
        first["result"]["tools"],
        json!([]),
        "a page may come out empty"
    );
    assert_eq!(first["result"]["nextCursor"], "2");
    assert_eq!(first["result"]["cacheScope"], "private");
    let second = send(list(Some("2"))).await;
    let event = super::door::unchunked(&second.body);
    assert!(
        event.contains(r#""enum":["list"]"#) && event.contains(r#""nextCursor":"3""#),
        "{event}"
    );

    let refused = send(call("find", &json!({}))).await;
    assert_eq!(refused.status, 200);
    let refused = refused.json();
    assert_eq!(refused["id"], 7);
    assert_eq!(refused["error"]["data"]["code"], "policy_denied");
    assert!(refused["error"]["data"]["hint"].is_string());
    let denied = send(call("storage", &json!({ "action": "delete" })))
        .await
        .json();
    assert_eq!(denied["error"]["data"]["code"], "policy_denied");
    let done = send(call("storage", &json!({ "action": "list" })))
        .await
        .json();
    assert_eq!(done["result"]["content"][0]["text"], "done");
    assert_eq!(stage.server.seen().len(), 3, "what is refused goes nowhere");
}

#[tokio::test]
async fn an_agent_cannot_mint_a_credential_and_does_not_see_how_it_would() {
    let stage = Stage::new(catalogue).await;
    let listed = stage.post(&list(None)).await.json();
    assert_eq!(
        listed["result"]["tools"][0]["inputSchema"]["properties"]["action"]["enum"],
        json!(["status"])
    );
    let minted = stage
        .post(&call("auth", &json!({ "action": "api-key-create" })))
        .await
        .json();
    assert_eq!(minted["error"]["data"]["code"], "policy_denied");
    let status = stage
        .post(&call("auth", &json!({ "action": "status" })))
        .await
        .json();
    assert!(status["result"].is_object());
    // In code mode the same call would be one of the REST API.
    let carried = json!({ "method": "post", "path": "/user/auth/key/", "body": {} });
    let carried = stage.post(&call("execute", &carried)).await.json();
    assert_eq!(carried["error"]["data"]["code"], "policy_denied");
}

#[tokio::test]
async fn what_a_list_said_changes_nothing_may_be_called_by_who_may_only_read() {
    let stage = Stage::new(catalogue).await;
    let policy = Policy {
        read_only: true,
        ..Policy::default()
    };
    let key = stage.world.limited("reader", "served", policy).await;
    let send = |message| as_held_back(&stage, &key, message);
    send(list(None)).await;
    assert!(send(call("find", &json!({}))).await.json()["result"].is_object());
    let written = send(call("storage", &json!({ "action": "delete" })))
        .await
        .json();
    assert_eq!(written["error"]["data"]["code"], "policy_denied");
}

#[tokio::test]
async fn a_batch_goes_whole_or_not_at_all() {
    let stage = Stage::new(|_| document("[]")).await;
    let batch = json!([
        call("find", &json!({})),
        call("auth", &json!({ "action": "api-key-create" }))
    ]);
    let refused = stage.post(&batch).await.json();
    assert_eq!(refused.as_array().unwrap().len(), 2);
    assert!(stage.server.seen().is_empty());
    let passed = stage.post(&json!([call("find", &json!({}))])).await;
    assert_eq!((passed.status, passed.body.as_str()), (200, "[]"));
}
