//! The side channels: `/blob` and `/file/…`.

use doorward_core::grant::Policy;
use serde_json::json;

use super::server::{document, with_status};
use super::{Stage, call, text_result};
use crate::ask::Ask;

#[tokio::test]
async fn bytes_go_to_the_root_of_the_server_with_the_session_and_the_credential() {
    let stage = Stage::new(|seen| {
        let told = json!({ "blob_id": "b1", "size": seen.body.len() });
        with_status(201, document(told))
    })
    .await;
    let bytes = "x".repeat(300_000);
    let ask = Ask::new("POST", "/mcp/served/blob?transport=sse")
        .header("mcp-session-id", "s1")
        .header("content-type", "application/octet-stream")
        .body(&bytes)
        .key(&stage.key);
    let got = stage.world.send(&ask).await;
    assert_eq!(got.status, 201);
    assert_eq!(got.json()["size"], 300_000);
    let seen = &stage.server.seen()[0];
    assert_eq!(seen.target, "/blob?transport=sse");
    assert_eq!(seen.header("mcp-session-id"), Some("s1"));
    assert!(
        seen.header("authorization")
            .is_some_and(|credential| !credential.contains(&stage.key))
    );

    let reader = Policy {
        read_only: true,
        ..Policy::default()
    };
    let key = stage.world.limited("reader", "served", reader).await;
    let refused = stage
        .world
        .send(&Ask::new("POST", "/mcp/served/blob").body("x").key(&key))
        .await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "policy_denied")
    );
}

#[tokio::test]
async fn a_held_back_agent_gets_the_files_that_it_was_handed_and_no_others() {
    let stage = Stage::new(|seen| {
        if seen.method == "POST" {
            let host = seen.header("host").unwrap();
            return document(text_result(&format!(
                "It is at http://{host}/file/workspace/1/n."
            )));
        }
        document("\"the file\"")
    })
    .await;
    let policy = Policy {
        tools: vec!["find".parse().unwrap()],
        ..Policy::default()
    };
    let key = stage.world.limited("held", "served", policy).await;
    let get = |path: &str| Ask::get(&format!("/mcp/served/file/{path}")).key(&key);
    assert_eq!(
        stage.world.send(&get("workspace/1/n")).await.code(),
        "policy_denied"
    );
    let found = stage
        .world
        .send(&Ask::json("/mcp/served", &call("find", &json!({}))).key(&key))
        .await;
    assert!(
        found.body.contains("/mcp/served/file/workspace/1/n."),
        "{}",
        found.body
    );
    let file = stage.world.send(&get("workspace/1/n")).await;
    assert_eq!((file.status, file.body.as_str()), (200, "\"the file\""));
    assert_eq!(
        stage.world.send(&get("workspace/1/m")).await.code(),
        "policy_denied"
    );
    assert_eq!(stage.server.seen().len(), 2);
}

#[tokio::test]
async fn a_path_that_servers_read_differently_is_refused() {
    let stage = Stage::new(|_| document("1")).await;
    for path in [
        "../mcp",
        "a/../../mcp",
        "%2e%2e/mcp",
        "a%2f..%2fmcp",
        "a//b",
        "a\\b",
        "%252e%252e/x",
    ] {
        let got = stage
            .world
            .send(&Ask::get(&format!("/mcp/served/file/{path}")).key(&stage.key))
            .await;
        assert_eq!(got.status, 400, "{path}");
    }
    assert!(stage.server.seen().is_empty());
}
