//! Agents made with the SDKs of others, at the MCP door: they see what they would see at the server itself.

use std::ffi::OsString;

use doorward_e2e::mcp::{Everything, Sdk, mcp_remote, sees_over_stdio};
use doorward_e2e::{Agent, World, doorward};
use serde_json::Value;

use crate::oidc_provider::{Connected, connected_with};

const TOKEN: &str = "a-token-of-nobody";

/// What an agent tries: lists, calls with every kind of answer, questions to the client, progress, cancelling, reading.
const TRIES: &[&str] = &[
    "--list",
    "--pages",
    "--call",
    "test_simple_text",
    "--call",
    "test_multiple_content_types",
    "--call",
    "test_error_handling",
    "--call",
    "test_tool_with_logging",
    "--call",
    "test_elicitation",
    "--call",
    "test_sampling {\"prompt\":\"How are you?\"}",
    "--call",
    "test_input_required_result_multiple_inputs",
    "--call",
    "test_input_required_result_multi_round",
    "--call",
    "test_custom_header {\"region\":\"north\"}",
    "--progress",
    "test_tool_with_progress",
    "--cancel",
    "test_slow",
    "--read",
    "test://static-text",
    "--read",
    "test://template/7/data",
    "--answer",
    "Ada",
];

async fn behind_the_door() -> (Everything, Connected, String) {
    let everything = Everything::start().await;
    let door = format!("[door]\nmcp = \"{}\"\n", everything.url);
    let connected = connected_with(&[], &door, "oidc:proxy").await;
    let url = format!("{}/mcp/oidc", connected.2.url);
    (everything, connected, url)
}

async fn sees_the_same(sdk: Sdk, revision: &str, protocol: &str) {
    let (everything, (_peer, _world, served, agent), url) = behind_the_door().await;
    let flags = [&["--revision", revision], TRIES].concat();
    let behind = sdk.sees(&url, &agent.key, &flags).await;
    let alone = sdk.sees(&everything.url, TOKEN, &flags).await;
    assert_eq!(alone["protocol"], protocol, "{alone}");
    assert_eq!(alone["cancelled"], true, "{alone}");
    assert_eq!(
        alone["progress"],
        serde_json::json!(["0/100", "50/100", "100/100"])
    );
    assert_eq!(behind, alone);
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_of_the_node_sdk_sees_what_it_would_see_directly() {
    sees_the_same(Sdk::Node, "legacy", "2025-11-25").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_of_the_node_sdk_finds_the_newest_revision_by_itself() {
    sees_the_same(Sdk::Node, "auto", "2026-07-28").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_of_the_python_sdk_sees_what_it_would_see_directly() {
    sees_the_same(Sdk::Python, "legacy", "2025-11-25").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_of_the_python_sdk_finds_the_newest_revision_by_itself() {
    sees_the_same(Sdk::Python, "auto", "2026-07-28").await;
}

/// Through a bridge an agent sees what it tries, and the one call fails that is meant to.
async fn sees_all_over_stdio(bridge: &[&str], environment: Vec<(OsString, OsString)>) {
    let saw = sees_over_stdio(bridge, environment, TRIES).await;
    assert_eq!(saw["server"], "doorward-everything", "{saw}");
    assert_eq!(saw["cancelled"], true, "{saw}");
    let failed = saw["calls"].as_array().expect("a list").iter();
    let failed: Vec<&Value> = failed.filter(|call| call["failed"] != false).collect();
    assert_eq!(failed.len(), 1, "the one that is meant to: {failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_of_others_needs_no_more_than_the_key() {
    let (_everything, (_peer, world, served, agent), url) = behind_the_door().await;
    let bridge = mcp_remote(&url, &agent.key);
    let bridge: Vec<&str> = bridge.iter().map(String::as_str).collect();
    sees_all_over_stdio(&bridge, world.environment()).await;
    served.stop().await.done();
}

/// The words that start our own bridge, and its environment.
fn own_bridge(world: &World, agent: &Agent) -> ([String; 4], Vec<(OsString, OsString)>) {
    let program = doorward();
    let words = [&*program.to_string_lossy(), "mcp", "--connection", "oidc"];
    let mut environment = world.environment();
    environment.push(("DOORWARD_KEY".into(), agent.key.clone().into()));
    (words.map(str::to_owned), environment)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_bridge_carries_what_an_agent_of_the_node_sdk_sees() {
    let (_everything, (_peer, world, served, agent), _url) = behind_the_door().await;
    let (bridge, environment) = own_bridge(&world, &agent);
    let bridge: Vec<&str> = bridge.iter().map(String::as_str).collect();
    sees_all_over_stdio(&bridge, environment).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_bridge_repeats_arguments_in_headers_for_an_agent_that_knows_of_none() {
    let (_everything, (_peer, world, served, agent), _url) = behind_the_door().await;
    let (bridge, environment) = own_bridge(&world, &agent);
    let bridge: Vec<&str> = bridge.iter().map(String::as_str).collect();
    for region in ["north", "Århus"] {
        let call = format!("test_custom_header {{\"region\":\"{region}\"}}");
        let flags = ["--revision", "2026-07-28", "--call", &call];
        let saw = sees_over_stdio(&bridge, environment.clone(), &flags).await;
        assert_eq!(saw["protocol"], "2026-07-28", "{saw}");
        assert_eq!(saw["calls"][0]["failed"], false, "{saw}");
        let text = saw["calls"][0]["text"].as_str().expect("a text");
        assert!(text.contains(region), "{saw}");
    }
    served.stop().await.done();
}
