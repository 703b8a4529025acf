//! What the MCP server sends besides answers: progress, questions, changes; and streams that break.

use fastio_sim::demo;
use serde_json::json;

use crate::mcp_client::McpClient;
use crate::world::World;

#[tokio::test]
async fn an_import_reports_its_progress_and_stops_when_it_is_cancelled() {
    let world = World::with(|knobs| knobs.web_upload_step_ms = 50).await;
    let token = world.connect_user().await.access;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    let import = |id: u64, name: &str| {
        json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {
                "name": "upload",
                "arguments": {
                    "action": "web-import", "profile_id": demo::WEBSITE, "wait": "true",
                    "source_url": "https://example.com/report.txt", "file_name": name,
                },
                "_meta": { "progressToken": "p" },
            },
        })
    };
    let imported = client.post(&import(11, "first.txt")).await;
    let progress: Vec<f64> = imported
        .all
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .filter_map(|message| message["params"]["progress"].as_f64())
        .collect();
    assert!(progress.len() >= 3, "{}", imported.text);
    assert!(progress.is_sorted());
    let upload = &imported.result()["structuredContent"]["web_upload"];
    assert_eq!(upload["status"], "complete");
    let made = format!("node created: {}/root/first.txt", demo::WEBSITE);
    assert_eq!(world.sim.effects().get(&made), Some(&1));

    world
        .sim
        .change_knobs(|knobs| knobs.web_upload_step_ms = 60_000);
    let message = import(12, "second.txt");
    let waiting = client.post(&message);
    let cancel = async {
        world
            .sim
            .wait_until(|sim| {
                sim.requests().iter().any(|request| {
                    request.rpc.as_deref() == Some("tools/call upload") && request.sequence > 3
                })
            })
            .await;
        loop {
            let params = json!({ "requestId": 12, "reason": "enough" });
            let cancelled = json!({
                "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params,
            });
            client.post(&cancelled).await;
            if world
                .sim
                .effects()
                .keys()
                .any(|deed| deed.starts_with("import canceled"))
            {
                break;
            }
        }
    };
    tokio::pin!(waiting);
    tokio::select! {
        _ = &mut waiting => {}
        () = cancel => {}
    }
    let canceled = world.sim.effects();
    assert!(
        canceled
            .keys()
            .any(|deed| deed.starts_with("import canceled"))
    );
}

#[tokio::test]
async fn the_server_asks_the_person_before_it_deletes_if_a_knob_says_so() {
    let world =
        World::with(|knobs| knobs.mcp_asks_before_deleting = fastio_sim::Presence::Present).await;
    let token = world.connect_user().await.access;
    let mut client = McpClient::new(&world, &token);
    client.version = "2025-11-25";
    client
        .begin("a-desktop", json!({ "elicitation": {} }))
        .await;
    let node = world.sim.example_arguments("storage_delete").expect("one")["node_id"].clone();
    let call = json!({
        "jsonrpc": "2.0", "id": 21, "method": "tools/call",
        "params": { "name": "storage", "arguments": {
            "action": "delete", "profile_id": demo::WEBSITE, "node_id": node,
        }},
    });
    let mut stream = client.request(&call).send().await.expect("a stream");
    let mut text = String::new();
    while !text.contains("elicitation/create") {
        let chunk = stream.chunk().await.expect("readable").expect("more");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    let asked = crate::mcp_client::data_lines(&text)
        .into_iter()
        .find(|message| message["method"] == "elicitation/create")
        .expect("a question");
    let answer = json!({
        "jsonrpc": "2.0", "id": asked["id"],
        "result": { "action": "accept", "content": { "sure": true } },
    });
    assert_eq!(client.post(&answer).await.status, 202);
    let rest = stream.text().await.expect("the end");
    assert!(rest.contains("\"trashed\":true"), "{rest}");
}

#[tokio::test]
async fn in_the_newest_version_the_question_comes_as_an_answer() {
    let world =
        World::with(|knobs| knobs.mcp_asks_before_deleting = fastio_sim::Presence::Present).await;
    let token = world.connect_user().await.access;
    let node = world.sim.example_arguments("storage_delete").expect("one")["node_id"].clone();
    let mut client = McpClient::new(&world, &token);
    client.version = "2026-07-28";
    let call = async |responses: Option<serde_json::Value>| {
        let mut params = json!({
            "name": "storage",
            "arguments": { "action": "delete", "profile_id": demo::WEBSITE, "node_id": node },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "a-desktop", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
            },
        });
        if let Some(responses) = responses {
            params["inputResponses"] = responses;
        }
        let message =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let request = client
            .request(&message)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "storage");
        world.send(request).await.text
    };
    let asked = call(None).await;
    assert!(
        asked.contains("input_required") && asked.contains("confirm"),
        "{asked}"
    );
    let refused = call(Some(json!({ "confirm": { "action": "decline" } }))).await;
    assert!(refused.contains("did not confirm"), "{refused}");
    let done = call(Some(
        json!({ "confirm": { "action": "accept", "content": { "sure": true } } }),
    ))
    .await;
    assert!(done.contains("\"trashed\":true"), "{done}");
}

#[tokio::test]
async fn a_lost_stream_is_taken_up_again_by_its_last_event() {
    let world = World::with(|knobs| knobs.web_upload_step_ms = 100).await;
    let token = world.connect_user().await.access;
    let mut client = McpClient::new(&world, &token);
    client.version = "2025-11-25";
    client.begin("a-desktop", json!({})).await;
    let call = json!({
        "jsonrpc": "2.0", "id": 31, "method": "tools/call",
        "params": {
            "name": "upload",
            "arguments": {
                "action": "web-import", "profile_id": demo::WEBSITE, "wait": "true",
                "source_url": "https://example.com/lost.txt",
            },
            "_meta": { "progressToken": "p" },
        },
    });
    let mut stream = client.request(&call).send().await.expect("a stream");
    let mut text = String::new();
    while !text.contains("notifications/progress") {
        let chunk = stream.chunk().await.expect("readable").expect("more");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    drop(stream);
    let last = text
        .lines()
        .filter_map(|line| line.strip_prefix("id:"))
        .next_back()
        .expect("an event id")
        .trim()
        .to_owned();
    let mut stream = world
        .http
        .get(format!("{}/mcp", world.sim.base_url()))
        .bearer_auth(&token)
        .header("accept", "text/event-stream")
        .header("mcp-session-id", client.session.clone().expect("a session"))
        .header("mcp-protocol-version", "2025-11-25")
        .header("last-event-id", last)
        .send()
        .await
        .expect("a stream");
    let mut rest = String::new();
    while !rest.contains("\"id\":31") {
        let chunk = stream.chunk().await.expect("readable").expect("more");
        rest.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(rest.contains("\"status\":\"complete\""), "{rest}");
}

/// Makes a folder, which everyone who watches is told.
async fn change(world: &World, token: &str) {
    let path = format!("workspace/{}/storage/root/createfolder/", demo::WEBSITE);
    let request = world
        .request(reqwest::Method::POST, &path)
        .bearer_auth(token);
    let made = request.form(&[("name", "New")]);
    world.send(made).await.expect(200);
}

async fn read_until(stream: &mut reqwest::Response, part: &str) -> String {
    let mut text = String::new();
    while !text.contains(part) {
        let chunk = stream.chunk().await.expect("readable").expect("more");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    text
}

#[tokio::test]
async fn a_session_is_told_of_changes_on_its_own_stream_if_a_knob_says_so() {
    let world = World::with(|knobs| knobs.mcp_tells_changes = fastio_sim::Presence::Present).await;
    let token = world.connect_user().await.access;
    let client = McpClient::named(&world, &token, "a-desktop").await;
    let mut stream = world
        .http
        .get(world.sim.mcp_url())
        .bearer_auth(&token)
        .header("accept", "text/event-stream")
        .header("mcp-session-id", client.session.clone().expect("one"))
        .send()
        .await
        .expect("a stream");
    change(&world, &token).await;
    read_until(&mut stream, "notifications/resources/list_changed").await;
}

#[tokio::test]
async fn in_the_newest_version_a_client_subscribes_to_changes() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let client = McpClient::new(&world, &token);
    let message = json!({
        "jsonrpc": "2.0", "id": 5, "method": "subscriptions/listen",
        "params": {
            "notifications": { "resourcesListChanged": true },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "a-desktop", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    });
    let request = client
        .request(&message)
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "subscriptions/listen");
    let mut stream = request.send().await.expect("a stream");
    read_until(&mut stream, "acknowledged").await;
    change(&world, &token).await;
    read_until(&mut stream, "notifications/resources/list_changed").await;
}
