//! The tools of October 2026, whose writing is in tools of their own; and the two doors that serve no
//! credentials and no billing.

use fastio_sim::{Consent, Presence, demo};
use serde_json::json;

use crate::mcp_client::{McpClient, names};
use crate::world::World;

async fn split() -> (World, String) {
    let world = World::with(|knobs| knobs.mcp_manage_tools = Presence::Present).await;
    let token = world.connect_user().await.access;
    (world, token)
}

#[tokio::test]
async fn reading_and_writing_are_two_tools_and_each_says_which_it_is() {
    let (world, token) = split().await;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    let tools = client.tools().await;
    for (name, reads) in [("storage", true), ("storage_manage", false), ("find", true)] {
        let tool = tools.iter().find(|tool| tool["name"] == name).expect(name);
        assert_eq!(tool["annotations"]["readOnlyHint"], reads, "{name}");
        let actions = tool["inputSchema"]["properties"]["action"]["enum"].to_string();
        assert_eq!(actions.contains("\"list\""), name == "storage", "{name}");
        assert_eq!(
            actions.contains("\"delete\""),
            name == "storage_manage",
            "{name}"
        );
    }
    let managing = tools
        .iter()
        .find(|tool| tool["name"] == "storage_manage")
        .expect("storage_manage");
    assert_eq!(managing["annotations"]["destructiveHint"], true);
    for single in ["find_manage", "download_manage", "how-to_manage"] {
        assert!(!names(&tools).contains(&single), "{single}");
    }
    let described = client
        .done("storage_manage", json!({ "action": "describe" }))
        .await;
    let actions = described["actions"].to_string();
    assert!(actions.contains("lock-acquire") && !actions.contains("lock-status"));

    let folder = json!({
        "action": "create-folder", "profile_id": demo::WEBSITE, "node_id": "root", "name": "New",
    });
    client.done("storage_manage", folder).await;
    let made = format!("node created: {}/root/New", demo::WEBSITE);
    assert_eq!(world.sim.effects()[&made], 1);
}

#[tokio::test]
async fn the_older_doors_take_earlier_names_and_the_newer_ones_name_the_tool_that_would_do_it() {
    let (world, token) = split().await;
    let folder = |name: &str| {
        json!({
            "action": "create-folder", "profile_id": demo::WEBSITE, "node_id": "root", "name": name,
        })
    };
    let client = McpClient::named(&world, &token, "a-desktop").await;
    client.done("storage", folder("Earlier")).await;
    let mut client = McpClient::new(&world, &token);
    client.path = "/mcp/tools";
    client.begin("claude-code", json!({})).await;
    let refused = client.call("storage", folder("Later")).await;
    let error = &refused.last()["error"];
    assert_eq!(error["code"], -32602);
    assert!(error["message"].to_string().contains("storage_manage"));
    client.done("storage_manage", folder("Later")).await;
}

#[tokio::test]
async fn code_mode_reads_with_one_tool_and_writes_with_another() {
    let (world, token) = split().await;
    let mut client = McpClient::new(&world, &token);
    client.path = "/mcp/code";
    client.begin("anything", json!({})).await;
    let tools = client.tools().await;
    assert_eq!(
        names(&tools),
        [
            "auth",
            "auth_manage",
            "upload",
            "upload_manage",
            "search",
            "execute",
            "execute_manage",
            "how-to"
        ]
    );
    let comments = format!("/workspace/{}/comments/", demo::WEBSITE);
    let write = json!({ "method": "postJson", "path": comments, "body": { "text": "hello" } });
    let read = json!({ "method": "get", "path": format!("{comments}list/") });
    for (tool, ask) in [("execute", &write), ("execute_manage", &read)] {
        let refused = client.call(tool, ask.clone()).await;
        assert_eq!(refused.last()["error"]["code"], -32602, "{tool}");
    }
    client.done("execute_manage", write).await;
    let listed = client.done("execute", read).await;
    assert_eq!(listed["comments"][0]["text"], "hello");
}

#[tokio::test]
async fn the_newer_doors_serve_no_credentials_and_no_billing() {
    for manage in [Presence::Absent, Presence::Present] {
        let world = World::with(|knobs| knobs.mcp_manage_tools = manage).await;
        let token = world.connect_user().await.access;
        let mut client = McpClient::new(&world, &token);
        client.path = "/mcp/tools";
        client.begin("a-desktop", json!({})).await;
        let listed = json!(client.tools().await).to_string();
        for action in ["key-create", "key-list", "set-api-key", "billing"] {
            assert!(!listed.contains(&format!("\"{action}\"")), "{action}");
        }
        assert!(listed.contains("\"pkce-login\""));

        client.path = "/mcp/code";
        client.session = None;
        client.begin("a-desktop", json!({})).await;
        let found = client.done("search", json!({ "query": "key" })).await;
        assert!(!found.to_string().contains("/user/auth/key/"), "{found}");
        for path in [
            "/user/auth/keys/",
            "/org/3800000000000000101/billing/details/",
        ] {
            let call = json!({ "method": "get", "path": path });
            let refused = client.call("execute", call).await;
            assert_eq!(refused.last()["error"]["code"], -32602, "{path}");
        }
        client.path = "/mcp";
        client.session = None;
        client.begin("claude-code", json!({})).await;
        let call = json!({ "method": "get", "path": "/user/auth/keys/" });
        client.done("execute", call).await;
    }
}

#[tokio::test]
async fn a_token_that_may_only_read_keeps_no_writing_tool_but_that_for_signing_in() {
    let world = World::with(|knobs| knobs.mcp_manage_tools = Presence::Present).await;
    let consent = Consent::everything().read_only();
    let token = world.connect(&[], &consent).await.access;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    let tools = client.tools().await;
    let writing: Vec<&str> = names(&tools)
        .into_iter()
        .filter(|name| name.ends_with("_manage"))
        .collect();
    assert_eq!(writing, ["auth_manage"]);
    let call = json!({ "action": "delete", "profile_id": demo::WEBSITE, "node_id": "x" });
    let refused = client.call("storage_manage", call).await;
    assert_eq!(refused.last()["error"]["code"], -32602);
}
