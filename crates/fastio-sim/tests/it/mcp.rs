use std::collections::HashSet;

use fastio_sim::{Consent, Fault, Kind, McpAnonymous, McpAuthFailure, McpCatalogue, demo};
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;

use crate::mcp_client::{McpClient, names};
use crate::world::World;

#[tokio::test]
async fn the_sdk_lists_and_calls_tools_with_a_bearer() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let url = format!("{}/mcp", world.sim.base_url());
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
    let transport = StreamableHttpClientTransport::with_client(world.http.clone(), config);
    let info = ClientConfig::new(
        ClientCapabilities::default(),
        Implementation::new("a-desktop", "1"),
    );
    let client = info.serve(transport).await.expect("a session");
    let tools = client.list_all_tools().await.expect("tools");
    assert_eq!(tools.len(), 18);
    let call = CallToolRequestParams::new("storage").with_arguments(
        json!({ "action": "list", "profile_id": demo::WEBSITE, "node_id": "root" })
            .as_object()
            .cloned()
            .expect("an object"),
    );
    let result = client.call_tool(call).await.expect("a result");
    let structured = result.structured_content.expect("structured content");
    assert_eq!(structured["nodes"].as_array().map(Vec::len), Some(3));
    assert!(structured["_next"].is_array() && structured["request_id"].is_string());
    client.cancel().await.expect("it ends");
}

#[tokio::test]
async fn the_tools_follow_the_name_of_the_client() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    for name in ["claude-code", "Cursor-vscode", "gemini-cli-mcp", "codex"] {
        let client = McpClient::named(&world, &token, name).await;
        let tools = client.tools().await;
        assert_eq!(
            names(&tools),
            ["auth", "upload", "search", "execute", "how-to"],
            "{name}"
        );
    }
    for name in ["claude-desktop", "cline", "anything"] {
        let client = McpClient::named(&world, &token, name).await;
        assert_eq!(client.tools().await.len(), 18, "{name}");
    }
}

#[tokio::test]
async fn every_protocol_version_with_a_session_is_served() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut client = McpClient::new(&world, &token);
        client.version = version;
        let begun = client.begin("a-desktop", json!({})).await;
        assert_eq!(begun["protocolVersion"], version);
        assert!(client.session.is_some());
        client.done("user", json!({ "action": "me" })).await;
    }
}

#[tokio::test]
async fn the_newest_protocol_version_needs_no_session() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let mut client = McpClient::new(&world, &token);
    client.version = "2026-07-28";
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "claude-code", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let ask = |method: &'static str, params: serde_json::Value, name: Option<&'static str>| {
        let mut params = params;
        params["_meta"] = meta.clone();
        let message = json!({ "jsonrpc": "2.0", "id": 3, "method": method, "params": params });
        let mut request = client
            .request(&message)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        async { world.send(request).await.text }
    };
    let discovered = ask("server/discover", json!({}), None).await;
    assert!(discovered.contains("2026-07-28"), "{discovered}");
    let listed = ask("tools/list", json!({}), None).await;
    assert!(listed.contains("execute"), "{listed}");
    let arguments =
        json!({ "name": "execute", "arguments": { "method": "get", "path": "/orgs/list/" } });
    let called = ask("tools/call", arguments, Some("execute")).await;
    assert!(called.contains("Harbour Studio"), "{called}");
}

#[tokio::test]
async fn code_mode_finds_a_call_and_executes_it_by_the_same_rules() {
    let world = World::new().await;
    let asked = [("scope_type", "workspace")];
    let token = world
        .connect(&asked, &Consent::only([demo::LEAFLETS]))
        .await
        .access;
    let client = McpClient::named(&world, &token, "claude-code").await;
    let found = client
        .done("search", json!({ "query": "storage list" }))
        .await;
    assert!(
        found["calls"]
            .to_string()
            .contains("/storage/{node_id}/list/")
    );
    let path = format!("/workspace/{}/comments/", demo::LEAFLETS);
    let body = json!({ "text": "hello" });
    let added = client
        .done(
            "execute",
            json!({ "method": "postJson", "path": path, "body": body }),
        )
        .await;
    assert_eq!(added["record"]["text"], "hello");
    let path = format!("/workspace/{}/details/", demo::WEBSITE);
    let refused = client
        .call("execute", json!({ "method": "get", "path": path }))
        .await;
    let result = refused.result();
    assert_eq!(result["isError"], true);
    assert_eq!(result["structuredContent"]["error"]["code"], 10560);
    assert!(result["structuredContent"]["_recovery"].is_array());
    for outside in ["orgs/list/", "//elsewhere/"] {
        let refused = client
            .call("execute", json!({ "method": "get", "path": outside }))
            .await;
        assert_eq!(refused.last()["error"]["code"], -32602, "{outside}");
    }
}

#[tokio::test]
async fn the_whole_catalogue_comes_in_pages_and_says_what_only_reads() {
    let world = World::with(|knobs| knobs.mcp_catalogue = McpCatalogue::Whole).await;
    let token = world.connect_user().await.access;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    let first = client.ask("tools/list", json!({})).await;
    assert_eq!(first.result()["tools"].as_array().map(Vec::len), Some(50));
    let tools = client.tools().await;
    let distinct: HashSet<&str> = names(&tools).into_iter().collect();
    assert_eq!((tools.len(), distinct.len()), (251, 251));
    let reads = |name: &str| {
        let tool = tools.iter().find(|tool| tool["name"] == name).expect(name);
        tool["annotations"]["readOnlyHint"].clone()
    };
    assert_eq!(reads("storage_list"), true);
    assert_eq!(reads("share_storage_lock_acquire"), false);
    let stale = client
        .ask("tools/list", json!({ "cursor": "tools-9999" }))
        .await;
    assert_eq!(stale.last()["error"]["code"], -32602);
}

#[tokio::test]
async fn a_token_that_may_only_read_is_not_shown_what_writes() {
    let world = World::new().await;
    let consent = Consent::everything().read_only();
    let token = world.connect(&[], &consent).await.access;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    let tools = client.tools().await;
    let storage = tools
        .iter()
        .find(|tool| tool["name"] == "storage")
        .expect("storage");
    let actions = storage["inputSchema"]["properties"]["action"]["enum"].to_string();
    assert!(actions.contains("\"list\"") && !actions.contains("delete"));
    let call = json!({ "action": "delete", "profile_id": demo::WEBSITE, "node_id": "x" });
    let refused = client.call("storage", call).await;
    assert_eq!(refused.last()["error"]["code"], -32602);

    world
        .sim
        .change_knobs(|knobs| knobs.mcp_catalogue = McpCatalogue::Whole);
    let tools = client.tools().await;
    assert!(tools.len() < 150 && names(&tools).contains(&"storage_list"));
    assert!(!names(&tools).contains(&"comment_add"));
}

#[tokio::test]
async fn without_a_credential_the_old_door_describes_and_the_new_ones_challenge() {
    let world = World::new().await;
    let mut client = McpClient::new(&world, "");
    client.token = None;
    client.begin("a-desktop", json!({})).await;
    let described = client
        .done("storage", json!({ "action": "describe" }))
        .await;
    assert!(described["actions"].to_string().contains("lock-acquire"));
    let refused = client.call("user", json!({ "action": "me" })).await;
    assert_eq!(refused.result()["isError"], true);
    assert!(refused.text.contains("Not authenticated"));

    for path in ["/mcp/tools", "/mcp/code", "/mcp/oauth"] {
        client.path = path;
        let refused = client.ask("tools/list", json!({})).await;
        assert_eq!(refused.status, 401, "{path}");
        let challenge = refused.headers["www-authenticate"].to_str().expect("text");
        assert!(challenge.contains("/.well-known/oauth-protected-resource/"));
    }
    world
        .sim
        .change_knobs(|knobs| knobs.mcp_anonymous = McpAnonymous::Challenged);
    client.path = "/mcp";
    assert_eq!(client.ask("tools/list", json!({})).await.status, 401);
}

#[tokio::test]
async fn the_fixed_doors_have_their_mode_whatever_the_client_is_called() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    for (path, name, count) in [("/mcp/tools", "claude-code", 18), ("/mcp/code", "cline", 5)] {
        let mut client = McpClient::new(&world, &token);
        client.path = path;
        client.begin(name, json!({})).await;
        assert_eq!(client.tools().await.len(), count, "{path}");
    }
}

#[tokio::test]
async fn a_session_signs_in_by_the_auth_tool() {
    let world = World::new().await;
    let mut client = McpClient::new(&world, "");
    client.token = None;
    client.begin("a-desktop", json!({})).await;
    let status = client.done("auth", json!({ "action": "status" })).await;
    assert_eq!(status["signed_in"], false);
    let begun = client.done("auth", json!({ "action": "pkce-login" })).await;
    let url = begun["login_url"].as_str().expect("an address");
    let code = world
        .sim
        .approve(url, &Consent::everything())
        .await
        .expect("a code");
    client
        .done("auth", json!({ "action": "pkce-complete", "code": code }))
        .await;
    let status = client.done("auth", json!({ "action": "status" })).await;
    assert_eq!(status["auth_method"], "oauth");
    let end = status["expiry"].as_str().expect("an end").to_owned();
    let me = client.done("user", json!({ "action": "me" })).await;
    assert_eq!(me["user"]["email_address"], demo::EMAIL);

    // Its token is renewed five minutes before it ends, or when it has ended.
    for minutes in [56, 70] {
        world
            .sim
            .advance_clock(std::time::Duration::from_mins(minutes));
        client.done("user", json!({ "action": "me" })).await;
    }
    let status = client.done("auth", json!({ "action": "status" })).await;
    assert_ne!(status["expiry"], end);
    assert_eq!(world.sim.sessions().len(), 1);

    let session = world.last_session().session_id;
    assert!(world.sim.revoke_session_as_person(&session));
    let status = client.done("auth", json!({ "action": "status" })).await;
    assert_eq!(status["session_expired"], true);
    assert_eq!(status["expired_reason"], "refresh_expired");
    let refused = client.call("user", json!({ "action": "me" })).await;
    assert!(refused.text.contains("Session expired"));
}

#[tokio::test]
async fn a_sign_in_by_the_auth_tool_asks_for_what_it_was_told() {
    let world = World::new().await;
    let mut client = McpClient::new(&world, "");
    client.token = None;
    client.begin("a-desktop", json!({})).await;
    let asked = json!({
        "action": "pkce-login", "scope_type": "org", "agent_name": "Night run",
        "email": "someone@example.com", "admin": true, "account_settings": true,
    });
    let begun = client.done("auth", asked).await;
    let url = begun["login_url"].as_str().expect("an address");
    let id = url.split(['=', '&']).nth(1).expect("an id");
    let info = format!(
        "{}oauth/authorize/info/?auth_request_id={id}",
        world.sim.api_base()
    );
    let info = world.visit(&info).await.expect(200).json();
    for (name, value) in [
        ("scope_type", json!("org")),
        ("agent_name", json!("Night run")),
        ("login_hint", json!("someone@example.com")),
        ("access_mode", json!("rwa")),
        ("account_settings", json!(true)),
    ] {
        assert_eq!(info[name], value, "{name}");
    }
}

#[tokio::test]
async fn the_door_for_keys_takes_api_keys_and_knows_nothing_of_oauth() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let create = world.request(reqwest::Method::POST, "user/auth/key/");
    let made = world
        .send(create.bearer_auth(&token))
        .await
        .expect(200)
        .json();
    let key = made["api_key"].as_str().expect("a key");
    let mut client = McpClient::new(&world, key);
    client.path = "/mcp/key";
    client.begin("a-desktop", json!({})).await;
    let status = client.done("auth", json!({ "action": "status" })).await;
    assert_eq!(status["auth_method"], "api_key");
    assert!(status["expiry"].is_null());
    for credential in [None, Some(token)] {
        client.token = credential;
        let refused = client.ask("tools/list", json!({})).await;
        assert_eq!(refused.status, 401);
        let challenge = refused.headers["www-authenticate"].to_str().expect("text");
        assert!(!challenge.contains("resource_metadata"), "{challenge}");
    }
}

#[tokio::test]
async fn an_expired_token_is_told_in_the_way_that_the_knob_says() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    world.sim.advance_clock(std::time::Duration::from_hours(1));
    let me = || json!({ "action": "me" });
    assert_eq!(client.call("user", me()).await.status, 401);
    let turn = |how| world.sim.change_knobs(|knobs| knobs.mcp_auth_failure = how);
    turn(McpAuthFailure::JsonRpc);
    let told = client.call("user", me()).await;
    assert_eq!(
        (told.status, &told.last()["error"]["code"]),
        (200, &json!(-32001))
    );
    assert_eq!(told.last()["error"]["data"]["code"], 1650);
    let told = client.ask("tools/list", json!({})).await;
    assert_eq!(told.last()["error"]["message"], "Session expired");
    turn(McpAuthFailure::ToolResult);
    let told = client.call("user", me()).await;
    assert_eq!(told.result()["isError"], true);
    assert_eq!(told.result()["structuredContent"]["error"]["status"], 401);
}

#[tokio::test]
async fn a_token_for_the_mcp_server_opens_its_tools_and_not_the_api() {
    let world = World::new().await;
    let url = format!("{}/mcp", world.sim.base_url());
    let token = world
        .connect(&[("resource", &url)], &Consent::everything())
        .await
        .access;
    world.get("user/me/details/", &token).await.expect(401);
    let client = McpClient::named(&world, &token, "a-desktop").await;
    client.done("user", json!({ "action": "me" })).await;
}

#[tokio::test]
async fn a_blob_is_good_once_for_five_minutes_and_only_for_a_session() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    let url = format!("{}/blob", world.sim.base_url());
    let leave = async |session: &str| {
        let request = world.http.post(&url).header("mcp-session-id", session);
        world.send(request.body("from a blob")).await
    };
    leave("nobody").await.expect(401);
    let session = client.session.clone().expect("a session");
    let left = leave(&session).await.expect(201).json();
    assert_eq!(left["size"], 11);
    let store = |blob: &serde_json::Value| {
        json!({
            "action": "create-file", "profile_id": demo::WEBSITE,
            "filename": "blob.txt", "blob_id": blob,
        })
    };
    let stored = client.done("upload", store(&left["blob_id"])).await;
    let again = client.call("upload", store(&left["blob_id"])).await;
    assert_eq!(again.last()["error"]["code"], -32602);
    let late = leave(&session).await.expect(201).json();
    world.sim.advance_clock(std::time::Duration::from_mins(5));
    let late = client.call("upload", store(&late["blob_id"])).await;
    assert_eq!(late.last()["error"]["code"], -32602);

    let call = json!({
        "action": "file-url", "profile_id": demo::WEBSITE, "node_id": stored["new_file_id"],
    });
    let handed = client.done("download", call).await;
    let url = handed["url"].as_str().expect("an address");
    assert!(url.starts_with(&format!("{}/file/workspace/", world.sim.base_url())));
    world.visit(url).await.expect(401);
    let fetched = world.send(world.http.get(url).bearer_auth(&token)).await;
    assert_eq!(fetched.expect(200).text, "from a blob");
    let uri = handed["resource"].as_str().expect("a resource");
    let inline = client.ask("resources/read", json!({ "uri": uri })).await;
    assert_eq!(inline.result()["contents"][0]["text"], "from a blob");
}

#[tokio::test]
async fn resources_tell_the_guide_and_the_session() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    let listed = client.ask("resources/list", json!({})).await;
    assert_eq!(listed.result()["resources"][0]["uri"], "skill://guide");
    let templates = client.ask("resources/templates/list", json!({})).await;
    assert!(templates.text.contains("download://share/{id}/{node}"));
    let status = client
        .ask("resources/read", json!({ "uri": "session://status" }))
        .await;
    assert!(status.text.contains("user:*:rw"));
    let unknown = client
        .ask(
            "resources/read",
            json!({ "uri": "download://workspace/1/2" }),
        )
        .await;
    assert!(unknown.last()["error"].is_object());
}

#[tokio::test]
async fn a_fault_strikes_one_tool_and_the_log_names_it() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    let fault = Fault::on(Kind::Mcp).rpc_contains("tools/call comment");
    world.sim.queue_fault(fault.status(502));
    client.done("user", json!({ "action": "me" })).await;
    let call = || json!({ "action": "list", "profile_id": demo::WEBSITE });
    assert_eq!(client.call("comment", call()).await.status, 502);
    client.done("comment", call()).await;
    let logged = world.sim.requests().pop().expect("a request");
    assert_eq!(logged.rpc.as_deref(), Some("tools/call comment"));
    assert_eq!(logged.kind, Kind::Mcp);
}

#[tokio::test]
async fn each_of_the_251_tools_does_something_when_it_is_called() {
    let world = World::with(|knobs| {
        knobs.mcp_catalogue = McpCatalogue::Whole;
        knobs.mcp_page_size = 100;
    })
    .await;
    let token = world.connect_user().await.access;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    let tools = client.tools().await;
    let mut failures = Vec::new();
    for name in names(&tools) {
        let Some(arguments) = world.sim.example_arguments(name) else {
            assert_eq!(name, "auth_pkce_complete");
            continue;
        };
        let answer = client.call(name, json!(arguments)).await;
        let result = &answer.last()["result"];
        if !result.is_object() || result["isError"] == true {
            failures.push(format!("{name} {arguments:?}: {}", answer.last()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
