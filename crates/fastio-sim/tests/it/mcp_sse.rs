//! The legacy transport.

use fastio_sim::demo;
use serde_json::{Value, json};

use crate::mcp_client::data_lines;
use crate::world::World;

/// Reads a stream until `enough` says so.
async fn read_until(response: &mut reqwest::Response, enough: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    while !enough(&text) {
        let chunk = response.chunk().await.expect("readable").expect("more");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    text
}

#[tokio::test]
async fn messages_are_posted_to_the_address_of_the_first_event_and_answered_on_the_stream() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let base = world.sim.base_url().to_owned();
    let mut stream = world
        .http
        .get(format!("{base}/sse"))
        .bearer_auth(&token)
        .send()
        .await
        .expect("a stream");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let greeting = read_until(&mut stream, |text| text.contains("\n\n")).await;
    assert!(greeting.starts_with("event: endpoint"), "{greeting}");
    let address = greeting.split("data: ").nth(1).expect("data").trim();
    let post = async |message: Value| {
        let request = world.http.post(format!("{base}{address}"));
        world
            .send(request.bearer_auth(&token).json(&message))
            .await
            .expect(202);
    };
    post(json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2024-11-05", "capabilities": {},
            "clientInfo": { "name": "a-desktop", "version": "1" },
        },
    }))
    .await;
    let begun = read_until(&mut stream, |text| text.contains("protocolVersion")).await;
    assert!(begun.contains("event: message") && begun.contains("2024-11-05"));
    post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    post(json!({
        "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {
            "name": "workspace",
            "arguments": { "action": "details", "workspace_id": demo::ARCHIVE },
        },
    }))
    .await;
    let called = read_until(&mut stream, |text| {
        text.contains("\"id\":2") && text.ends_with("\n\n")
    })
    .await;
    let result = &data_lines(&called)[0]["result"];
    assert_eq!(
        result["structuredContent"]["workspace"]["name"],
        "Photo archive"
    );

    let session = address.rsplit('=').next().expect("an id");
    let blob = world
        .http
        .post(format!("{base}/blob?transport=sse"))
        .header("mcp-session-id", session);
    world.send(blob.body("bytes")).await.expect(201);
    drop(stream);
    let late = world
        .http
        .post(format!("{base}/sse/message?sessionId=nobody"));
    world
        .send(late.bearer_auth(&token).json(&json!({})))
        .await
        .expect(404);
}

#[tokio::test]
async fn an_expired_token_is_turned_away_at_the_door() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    world.sim.advance_clock(std::time::Duration::from_hours(1));
    let url = format!("{}/sse", world.sim.base_url());
    let refused = world.send(world.http.get(url).bearer_auth(&token)).await;
    assert_eq!(
        refused
            .expect(401)
            .header("www-authenticate")
            .map(|text| text.contains("invalid_token")),
        Some(true)
    );
}
