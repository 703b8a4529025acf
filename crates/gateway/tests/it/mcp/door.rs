//! What passes, and what is put in or taken out on the way.

use serde_json::{Value, json};

use super::server::{document, events, with_header, with_status};
use super::{Stage, call, text_result};
use crate::ask::Ask;

#[tokio::test]
async fn a_message_passes_byte_for_byte_with_the_credential_and_the_protocols_headers() {
    let answer = r#"{"jsonrpc":"2.0","id":"\u0061","result":{"n":1.0, "deep":{"b":[1,2]}}}"#;
    let stage = Stage::new(move |_| {
        let answer = with_header("mcp-session-id", "s1", document(answer));
        let answer = with_header("set-cookie", "a=b", answer);
        with_header("www-authenticate", "Bearer", answer)
    })
    .await;
    let sent = r#"{"jsonrpc":"2.0","id":"\u0061","method":"initialize","params":{"clientInfo":{"name":"claude-code","version":"1.0"},"x":1.0}}"#;
    let ask = Ask::new("POST", "/mcp/served?mode=code")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .header("cookie", "mine=1")
        .body(sent)
        .key(&stage.key);
    let got = stage.world.send(&ask).await;
    assert_eq!((got.status, got.body.as_str()), (200, answer));
    assert_eq!(got.header("mcp-session-id"), Some("s1"));
    assert_eq!(got.header("set-cookie"), None);
    assert_eq!(got.header("www-authenticate"), None);

    let seen = &stage.server.seen()[0];
    assert_eq!(
        (seen.body.as_str(), seen.target.as_str()),
        (sent, "/mcp?mode=code")
    );
    assert_eq!(seen.header("mcp-protocol-version"), Some("2025-11-25"));
    assert_eq!(
        seen.header("accept"),
        Some("application/json, text/event-stream")
    );
    assert_eq!(seen.header("cookie"), None);
    let credential = seen.header("authorization").unwrap();
    assert!(credential.starts_with("Bearer ") && !credential.contains(&stage.key));
    let token = credential.trim_start_matches("Bearer ");
    assert!(stage.world.sim.probe_access_token(token).live);
}

#[tokio::test]
async fn a_stream_passes_event_by_event_with_its_identifiers_and_comments() {
    let stream = ": hello\nid: 1\nretry: 500\ndata:\n\nevent: message\nid: 2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"p\",\"progress\":1}}\n\nid: 3\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"s1\",\"method\":\"sampling/createMessage\",\"params\":{}}\n\nid: 4\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n";
    let stage = Stage::new(move |_| events(stream)).await;
    let got = stage.post(&call("find", &json!({}))).await;
    assert_eq!(got.status, 200);
    assert_eq!(unchunked(&got.body), stream);

    let resumed = Ask::get("/mcp/served")
        .header("last-event-id", "3")
        .header("mcp-session-id", "s1")
        .key(&stage.key);
    assert_eq!(unchunked(&stage.world.send(&resumed).await.body), stream);
    let seen = &stage.server.seen()[1];
    assert_eq!(seen.method, "GET");
    assert_eq!(seen.header("last-event-id"), Some("3"));
    assert_eq!(seen.header("mcp-session-id"), Some("s1"));
}

#[tokio::test]
async fn answers_of_the_agent_notifications_and_the_end_of_a_session_pass() {
    let stage = Stage::new(|_| with_status(202, axum::response::Response::default())).await;
    for message in [
        json!({ "jsonrpc": "2.0", "id": "s1", "result": { "role": "assistant" } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } }),
    ] {
        assert_eq!(stage.post(&message).await.status, 202);
    }
    let end = Ask::new("DELETE", "/mcp/served")
        .header("mcp-session-id", "s1")
        .key(&stage.key);
    assert_eq!(stage.world.send(&end).await.status, 202);
    let methods: Vec<_> = stage
        .server
        .seen()
        .into_iter()
        .map(|seen| seen.method)
        .collect();
    assert_eq!(methods, ["POST", "POST", "DELETE"]);
}

#[tokio::test]
async fn an_ended_session_is_told_as_the_server_tells_it() {
    let stage = Stage::new(|_| with_status(404, document(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#))).await;
    let got = stage
        .post_with(&call("find", &json!({})), &[("mcp-session-id", "old")])
        .await;
    assert_eq!(got.status, 404);
    assert!(got.body.contains("Session not found"));
}

#[tokio::test]
async fn addresses_of_the_server_lead_to_this_door_in_documents_and_streams() {
    let stage = Stage::new(|seen| {
        let origin = format!("http://{}", seen.header("host").unwrap());
        let text = format!(
            "[a]({origin}/file/workspace/1/n?x=1) http://127.0.0.1.evil.example/file/a http://u@{}/file/b",
            seen.header("host").unwrap()
        );
        let answer = text_result(&text).to_string();
        if seen.body.contains("streamed") {
            events(format!("id: 9\ndata: {answer}\n\n"))
        } else {
            document(answer)
        }
    })
    .await;
    for tool in ["find", "streamed"] {
        let got = stage.post(&call(tool, &json!({}))).await;
        let own = format!(
            "http://127.0.0.1:{}/mcp/served/file/workspace/1/n?x=1",
            stage.world.port
        );
        assert!(got.body.contains(&format!("[a]({own})")), "{}", got.body);
        assert!(
            got.body.contains("http://127.0.0.1.evil.example/file/a"),
            "{}",
            got.body
        );
        assert!(got.body.contains("http://u@127.0.0.1:"), "{}", got.body);
    }
}

#[tokio::test]
async fn a_body_that_is_no_message_is_told_so_and_goes_nowhere() {
    let stage = Stage::new(|_| document("{}")).await;
    for (body, code) in [
        ("{", -32700),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}"#,
            -32700,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","Params":{"name":"auth"}}"#,
            -32600,
        ),
        ("[]", -32600),
    ] {
        let ask = Ask::new("POST", "/mcp/served").header("content-type", "application/json");
        let got = stage.world.send(&ask.body(body).key(&stage.key)).await;
        assert_eq!(
            (got.status, got.json()["error"]["code"].as_i64()),
            (400, Some(code)),
            "{body}"
        );
    }
    assert!(stage.server.seen().is_empty());
}

#[tokio::test]
async fn a_message_that_is_too_large_is_told_so_in_the_protocols_words() {
    let stage = Stage::new(|_| document("{}")).await;
    let large = call("find", &json!({ "text": "x".repeat(9 * 1024 * 1024) }));
    for version in ["2025-11-25", "2026-07-28"] {
        let got = stage
            .post_with(&large, &[("mcp-protocol-version", version)])
            .await;
        assert_eq!(
            (got.status, got.header("content-type")),
            (413, Some("application/json")),
            "{version}"
        );
        let told = got.json();
        assert_eq!(
            (&told["jsonrpc"], &told["id"]),
            (&json!("2.0"), &Value::Null)
        );
        assert_eq!(told["error"]["code"], -32010);
        assert_eq!(told["error"]["data"]["code"], "payload_too_large");
        assert!(
            told["error"]["data"]["hint"]
                .as_str()
                .unwrap()
                .contains("/blob")
        );
    }
    assert!(stage.server.seen().is_empty());
}

#[tokio::test]
async fn a_header_that_names_another_call_is_refused_as_the_protocol_says() {
    let stage = Stage::new(|_| document(text_result("ok"))).await;
    let message = call("find", &json!({}));
    for (headers, passes) in [
        (
            vec![("mcp-method", "tools/call"), ("mcp-name", "find")],
            true,
        ),
        (
            vec![
                ("mcp-method", "tools/call"),
                ("mcp-name", "=?base64?ZmluZA==?="),
            ],
            true,
        ),
        (vec![("mcp-method", "tools/list")], false),
        (vec![("mcp-name", "auth")], false),
    ] {
        let got = stage.post_with(&message, &headers).await;
        if passes {
            assert_eq!(got.status, 200, "{headers:?}");
        } else {
            assert_eq!(
                (got.status, got.json()["error"]["code"].as_i64()),
                (400, Some(-32020))
            );
            assert_eq!(got.json()["id"], 7);
        }
    }
    assert_eq!(stage.server.seen().len(), 2);
}

#[tokio::test]
async fn pages_may_not_call_and_a_key_that_opens_nothing_is_sent_to_this_doors_metadata() {
    let stage = Stage::new(|_| document(text_result("ok"))).await;
    let ask = Ask::json("/mcp/served", &call("find", &json!({})));
    let page = stage
        .world
        .send(
            &ask.clone()
                .header("origin", "http://evil.example")
                .key(&stage.key),
        )
        .await;
    assert_eq!(page.status, 403);
    let stranger = stage
        .world
        .send(&ask.key(&crate::world::unknown_key()))
        .await;
    assert_eq!(stranger.status, 401);
    let own = format!(
        "Bearer resource_metadata=\"http://127.0.0.1:{}/.well-known/oauth-protected-resource/mcp/served\"",
        stage.world.port
    );
    assert!(
        stranger
            .header("www-authenticate")
            .unwrap()
            .starts_with(&own)
    );
    assert!(stage.server.seen().is_empty());
}

#[tokio::test]
async fn an_agent_without_the_proxy_door_and_a_name_that_is_not_there_are_told_over_http() {
    let stage = Stage::new(|_| document(text_result("ok"))).await;
    let other = stage
        .world
        .agent("other", "served", &[doorward_core::grant::Door::Token])
        .await;
    let message = call("find", &json!({}));
    let refused = stage
        .world
        .send(&Ask::json("/mcp/served", &message).key(&other))
        .await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "grant_missing")
    );
    let unknown = stage
        .world
        .send(&Ask::json("/mcp/nothing", &message).key(&stage.key))
        .await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "connection_unknown")
    );
}

/// A chunked body as the text that it carries.
pub(super) fn unchunked(body: &str) -> String {
    let mut rest = body;
    let mut text = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let Ok(length) = usize::from_str_radix(length, 16) else {
            break;
        };
        let Some(chunk) = after.get(..length) else {
            break;
        };
        text.push_str(chunk);
        rest = after.get(length + 2..).unwrap_or_default();
    }
    text
}
