//! A client of the protocol's own SDK, through the door to Fast.io.

use doorward_core::grant::{Door, Policy};
use fastio_sim::demo;
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn the_sdk_lists_and_calls_tools_without_a_token_and_only_those_of_the_grant() {
    let world = World::empty().await;
    world.connect("fastio", "personal").await;
    let everything = world.agent("all", "fastio", &[Door::Proxy]).await;
    let policy = Policy {
        tools: vec!["storage(action=list)".parse().unwrap()],
        ..Policy::default()
    };
    let held_back = world.limited("held", "fastio", policy).await;
    for (key, is_limited) in [(everything, false), (held_back, true)] {
        let url = format!("http://127.0.0.1:{}/mcp/fastio", world.port);
        let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(key);
        let transport = StreamableHttpClientTransport::from_config(config);
        let name = Implementation::new("a-desktop", "1");
        let client = ClientConfig::new(ClientCapabilities::default(), name)
            .serve(transport)
            .await
            .unwrap();
        let tools = client.list_all_tools().await.unwrap();
        let names: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
        if is_limited {
            assert_eq!(names, ["storage"]);
        } else {
            assert!(names.len() > 10 && names.contains(&"storage"), "{names:?}");
        }
        let call = |action: &str| {
            let arguments =
                json!({ "action": action, "profile_id": demo::WEBSITE, "node_id": "root" });
            CallToolRequestParams::new("storage")
                .with_arguments(arguments.as_object().cloned().unwrap())
        };
        let listed = client.call_tool(call("list")).await.unwrap();
        assert!(listed.structured_content.unwrap()["nodes"].is_array());
        if is_limited {
            let refused = client.call_tool(call("details")).await.unwrap_err();
            assert!(refused.to_string().contains("storage"), "{refused}");
        }
        client.cancel().await.unwrap();
    }
}
