//! The official conformance suite of MCP, through the door: what a server does there is what it does by itself.

use doorward_e2e::mcp::{Everything, conformance};
use serde_json::{Map, Value, json};

use crate::oidc_provider::{Connected, connected_with};

/// Any access token opens the server; this one is nobody's.
const TOKEN: &str = "a-token-of-nobody";

/// Every revision that has scenarios, the newest last.
const REVISIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

/// The server behind the door of a connection, and an agent that may use that door.
async fn behind_the_door() -> (Everything, Connected) {
    let everything = Everything::start().await;
    let door = format!("[door]\nmcp = \"{}\"\n", everything.url);
    let connected = connected_with(&[], &door, "oidc:proxy").await;
    (everything, connected)
}

fn scenarios(results: &Value) -> &Map<String, Value> {
    results.as_object().expect("results by scenario")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_ends_through_the_door_as_it_ends_directly() {
    let (everything, (_peer, world, served, agent)) = behind_the_door().await;
    let flags = REVISIONS.map(|revision| ["--revision", revision]).concat();
    let through = conformance(&format!("{}/mcp/oidc", served.url), &agent.key, &flags).await;
    only_tokens_came(&everything).await;
    let directly = conformance(&everything.url, TOKEN, &flags).await;
    let mut wrong = Vec::new();
    for revision in REVISIONS {
        for (scenario, alone) in scenarios(&directly[revision]) {
            assert_eq!(alone["passed"], true, "{revision} {scenario}: {alone}");
            let behind = &through[revision][scenario];
            if behind["checks"] != alone["checks"] {
                wrong.push(format!("{revision} {scenario}: {behind}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let counts = REVISIONS.map(|revision| scenarios(&directly[revision]).len());
    assert_eq!(counts, [1, 27, 33, 40], "as many as the suite has");
    world.verify_audit().await;
    served.stop().await.done();
}

/// No agent key has come to the server, nothing without an access token, and nobody's `Host` or `Origin` but its own.
async fn only_tokens_came(everything: &Everything) {
    let seen = everything.seen().await;
    assert!(seen["requests"].as_u64() > Some(0), "{seen}");
    assert_eq!(seen["refused"], 0, "{seen}");
    let authority = everything.url["http://".len()..].trim_end_matches("/mcp");
    assert_eq!(seen["hosts"], json!([authority]));
    let strange = seen["origins"].as_array().expect("a list").iter();
    let strange: Vec<_> = strange
        .filter(|origin| **origin != json!(format!("http://{authority}")))
        .collect();
    assert_eq!(strange, Vec::<&Value>::new(), "{seen}");
}
