//! Connections that break, and what an agent is told of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastio_sim::{Fault, Kind};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::server::{document, events, open_events, with_header, with_status};
use super::{Stage, call, text_result};
use crate::ask::Ask;

async fn ended() -> Stage {
    let stage = Stage::new(|seen| {
        let answer =
            json!({ "jsonrpc": "2.0", "id": 1, "result": { "protocolVersion": "2025-11-25" } });
        if seen.body.contains("\"initialize\"") {
            with_header("mcp-session-id", "s1", document(answer))
        } else {
            document(text_result("done"))
        }
    })
    .await;
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "clientInfo": { "name": "x", "version": "1" },
        "capabilities": { "elicitation": { "url": {} } },
    } });
    assert_eq!(stage.post(&initialize).await.status, 200);
    let refused = Fault::on(Kind::TokenRefresh).status(400);
    let refused = refused.body(json!({ "error": "invalid_grant" }));
    stage.world.sim.queue_fault(refused.times(9));
    stage.world.advance(Duration::from_hours(2));
    stage
}

#[tokio::test]
async fn a_broken_connection_is_an_error_with_its_code_and_never_a_401() {
    let stage = ended().await;
    let got = stage.post(&call("find", &json!({}))).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("www-authenticate"), None);
    let error = &got.json()["error"];
    assert!((-32019..=-32000).contains(&error["code"].as_i64().unwrap()));
    assert_eq!(error["data"]["code"], "reconnect_required");
    let stream = stage
        .world
        .send(&Ask::get("/mcp/served").key(&stage.key))
        .await;
    assert_eq!(
        (stream.status, stream.code().as_str()),
        (424, "reconnect_required")
    );
    let notification = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(stage.post(&notification).await.status, 424);
}

#[tokio::test]
async fn a_client_that_opens_addresses_is_given_one_that_says_nothing() {
    let stage = ended().await;
    let headers = [
        ("mcp-session-id", "s1"),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    let error = stage
        .post_with(&call("find", &json!({})), &headers)
        .await
        .json();
    assert_eq!(
        (error["id"].as_i64(), error["error"]["code"].as_i64()),
        (Some(7), Some(-32042))
    );
    let elicitation = &error["error"]["data"]["elicitations"][0];
    assert_eq!(elicitation["mode"], "url");
    let url = elicitation["url"].as_str().unwrap();
    let id = elicitation["elicitationId"].as_str().unwrap();
    let own = format!("http://127.0.0.1:{}", stage.world.port);
    assert_eq!(url, format!("{own}/reconnect/{id}"));

    let page = stage
        .world
        .send(&Ask::get(&format!("/reconnect/{id}")))
        .await;
    let unknown = stage.world.send(&Ask::get("/reconnect/nothing")).await;
    assert_eq!((page.status, &page.body), (200, &unknown.body));
    assert!(!page.body.contains("served"));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );

    let other = [
        ("mcp-session-id", "s2"),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    let plain = stage
        .post_with(&call("find", &json!({})), &other)
        .await
        .json();
    assert_eq!(
        plain["error"]["data"]["code"], "reconnect_required",
        "another session declared nothing"
    );
}

fn stateless(extra: &Value) -> Value {
    let mut message = call("find", &json!({}));
    message["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "x", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "url": {} } },
    });
    for (name, value) in extra.as_object().unwrap() {
        message["params"][name] = value.clone();
    }
    message
}

#[tokio::test]
async fn the_newest_protocol_is_asked_by_a_result_and_goes_on_once_a_person_has_answered() {
    let stage = ended().await;
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "find"),
    ];
    let asked = stage
        .post_with(&stateless(&json!({})), &headers)
        .await
        .json();
    let result = &asked["result"];
    assert_eq!(result["resultType"], "input_required");
    let question = &result["inputRequests"]["doorward_reconnect"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["mode"], "url");

    let answered =
        stateless(&json!({ "inputResponses": { "doorward_reconnect": { "action": "accept" } } }));
    let impatient = [headers.as_slice(), &[("prefer", "wait=1")]].concat();
    let again = stage.post_with(&answered, &impatient).await.json();
    assert_eq!(
        again["error"]["data"]["code"], "reconnect_required",
        "it is not asked in a circle"
    );

    let waiting = stage.post_with(&answered, &headers);
    let person = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stage.world.sim.clear_faults();
        stage.world.connect_again("served").await;
    };
    let (done, ()) = tokio::join!(waiting, person);
    assert_eq!(
        done.json()["result"]["content"][0]["text"],
        "done",
        "{}",
        done.body
    );
    let seen = stage.server.seen();
    let last = seen.last().unwrap();
    assert!(
        !last.body.contains("doorward_reconnect"),
        "our question is no business of the server"
    );
}

#[tokio::test]
async fn an_answer_that_says_inside_200_that_nobody_is_signed_in_is_tried_once_more() {
    for streamed in [false, true] {
        let count = AtomicUsize::new(0);
        let stage = Stage::new(move |seen| {
            let signed_out = json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32001, "message": "Session expired" } });
            let answer = if count.fetch_add(1, Ordering::Relaxed) == 0 || seen.body.contains("never") {
                signed_out
            } else {
                text_result("done")
            };
            if streamed { events(format!("data: {answer}\n\n")) } else { document(answer) }
        })
        .await;
        // A token that was just made is not doubted, and any other only if the API agrees.
        stage.world.advance(Duration::from_mins(1));
        let refused = Fault::on(Kind::Check).status(401);
        stage.world.sim.queue_fault(refused.times(1));
        let got = stage.post(&call("find", &json!({}))).await;
        assert!(
            got.body.contains("done") && !got.body.contains("expired"),
            "{}",
            got.body
        );
        let tokens: Vec<String> = stage
            .server
            .seen()
            .iter()
            .map(|seen| seen.header("authorization").unwrap().to_owned())
            .collect();
        assert_eq!(tokens.len(), 2);
        assert_ne!(
            tokens[0], tokens[1],
            "the credential was renewed in between"
        );

        let never = stage.post(&call("never", &json!({}))).await;
        assert!(never.body.contains("Session expired"));
        assert_eq!(stage.server.seen().len(), 4, "once, and not in a circle");
    }
}

#[tokio::test]
async fn a_401_of_the_server_never_reaches_the_agent() {
    let stage = Stage::new(|_| {
        let refused = with_status(401, document(r#"{"error":"invalid_token"}"#));
        with_header(
            "www-authenticate",
            "Bearer resource_metadata=\"https://elsewhere.example\"",
            refused,
        )
    })
    .await;
    let got = stage.post(&call("find", &json!({}))).await;
    assert_eq!((got.status, got.header("www-authenticate")), (200, None));
    assert_eq!(got.json()["error"]["data"]["code"], "provider_rejected");
    let stream = stage
        .world
        .send(&Ask::get("/mcp/served").key(&stage.key))
        .await;
    assert_eq!(stream.status, 502);
}

#[tokio::test]
async fn a_write_whose_answer_breaks_off_is_told_as_unknown_and_sent_once() {
    let stage = Stage::new(|_| {
        use futures_util::stream;
        let first = stream::once(std::future::ready(Ok("data: {\"half\":")));
        let broken = stream::once(async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(std::io::Error::other("gone"))
        });
        let pieces = futures_util::StreamExt::chain(first, broken);
        let response = axum::response::Response::new(axum::body::Body::from_stream(pieces));
        with_header("content-type", "text/event-stream", response)
    })
    .await;
    let got = stage
        .post(&call("storage", &json!({ "action": "delete" })))
        .await;
    let event = super::door::unchunked(&got.body);
    let error: Value = serde_json::from_str(
        event
            .lines()
            .find_map(|line| line.strip_prefix("data: "))
            .unwrap(),
    )
    .unwrap();
    assert_eq!(error["id"], 7);
    assert_eq!(error["error"]["data"]["code"], "provider_unavailable");
    assert_eq!(error["error"]["data"]["outcome"], "unknown");
    assert_eq!(stage.server.seen().len(), 1);
}

#[tokio::test]
async fn a_stream_ends_within_a_second_of_the_agents_end() {
    let stage = Stage::new(|_| {
        open_events("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n")
    })
    .await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", stage.world.port))
        .await
        .unwrap();
    let ask = Ask::get("/mcp/served")
        .key(&stage.key)
        .text(stage.world.port);
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains("notifications/x") {
        assert!(stream.read_buf(&mut got).await.unwrap() > 0);
    }
    stage
        .world
        .handle
        .revoke_agent("agent".to_owned())
        .await
        .unwrap();
    let rest = tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut got)).await;
    assert!(rest.is_ok(), "the stream is cut");
    assert!(
        !got.ends_with(b"0\r\n\r\n"),
        "and not ended as if it were whole"
    );
}
