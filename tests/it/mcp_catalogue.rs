//! Fast.io's MCP server behind the door: the whole catalogue by `rmcp`, and the transport before Streamable HTTP.

use doorward_e2e::mcp::Sdk;
use doorward_e2e::{Agent, Consent, Knobs, Served, World, eventually};
use fastio_sim::{McpCatalogue, demo};
use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt as _};
use serde_json::Value;

/// How many operations Fast.io has, each a tool of its own in the whole catalogue.
const TOOLS: usize = 251;

/// A connection to the simulator, and an agent that may do everything at its doors but manage the sign-in.
async fn connected(turn: impl FnOnce(&mut Knobs)) -> (World, Served, Agent) {
    let world = World::builder().knobs(turn).build().await;
    let served = world.serve().await;
    world.set_pin().await;
    let everything = ["--scope", "user"];
    world.connect(&everything, &Consent::everything()).await;
    let agent = world.pair("Reporter", "fastio:proxy fastio:token").await;
    (world, served, agent)
}

async fn rmcp_client(url: String, key: &str) -> RunningService<RoleClient, ClientConfig> {
    let http = reqwest::Client::builder().no_proxy();
    let http = http.build().expect("a client can be made");
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(key.to_owned());
    let transport = StreamableHttpClientTransport::with_client(http, config);
    let itself = Implementation::new("a-desktop", "1");
    let info = ClientConfig::new(ClientCapabilities::default(), itself);
    info.serve(transport).await.expect("a session")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tool_of_the_whole_catalogue_is_listed_and_does_its_work() {
    let (world, served, agent) = connected(|knobs| {
        knobs.mcp_catalogue = McpCatalogue::Whole;
        knobs.mcp_page_size = 100;
    })
    .await;
    let url = format!("{}/mcp/fastio", served.url);
    let trusted = trusted(&world).await;
    let client = rmcp_client(url.clone(), &trusted.key).await;
    let names = names(&client).await;
    assert_eq!(names.len(), TOOLS, "{names:?}");
    // Those that change how the session is signed in come last.
    let (signing, others): (Vec<_>, Vec<_>) =
        names.iter().partition(|name| name.starts_with("auth_"));
    let mut failed = Vec::new();
    for name in others.into_iter().chain(signing) {
        // One needs a sign-in that a person has answered in a browser.
        let Some(arguments) = world.sim.example_arguments(name) else {
            assert_eq!(name, "auth_pkce_complete");
            continue;
        };
        let call = CallToolRequestParams::new(name.clone()).with_arguments(arguments);
        match client.call_tool(call).await {
            Ok(result) if result.is_error != Some(true) => {}
            answer => failed.push(format!("{name}: {answer:?}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    client.cancel().await.expect("it ends");

    // Who may not manage sign-in sees none of those tools, and calls them in vain.
    let client = rmcp_client(url, &agent.key).await;
    let seen = self::names(&client).await;
    let signs = |name: &String| {
        [
            "auth_key",
            "auth_session",
            "auth_pkce",
            "auth_set",
            "auth_sign",
            "auth_two",
        ]
        .iter()
        .any(|beginning| name.starts_with(beginning))
    };
    assert!(!seen.iter().any(signs), "{seen:?}");
    let hidden: Vec<_> = names.iter().filter(|name| signs(name)).collect();
    assert_eq!(seen.len() + hidden.len(), TOOLS);
    for name in hidden {
        let arguments = world.sim.example_arguments(name).unwrap_or_default();
        let call = CallToolRequestParams::new(name.clone()).with_arguments(arguments);
        let refused = client.call_tool(call).await.expect_err("it is refused");
        assert!(
            refused.to_string().contains("credentials"),
            "{name}: {refused}"
        );
    }
    client.cancel().await.expect("it ends");
    served.stop().await.done();
}

async fn names(client: &RunningService<RoleClient, ClientConfig>) -> Vec<String> {
    let tools = client.list_all_tools().await.expect("a list");
    tools.iter().map(|tool| tool.name.to_string()).collect()
}

/// An agent that may manage sign-in too.
async fn trusted(world: &World) -> Agent {
    let stranger = world.stranger();
    let asked = stranger.ask("Trusted", "fastio:proxy").await;
    let flags = ["--may-manage-sign-in"];
    world.approve(&asked.user_code, &flags).await.done();
    world.fetch_key(&stranger, &asked).await
}

async fn sees_the_same_over_sse(sdk: Sdk) {
    let (world, served, agent) = connected(|knobs| knobs.mcp_page_size = 5).await;
    let list = format!(
        "storage {{\"action\":\"list\",\"profile_id\":\"{}\",\"node_id\":\"root\"}}",
        demo::WEBSITE
    );
    let flags = ["--transport", "sse", "--list", "--pages", "--call", &list];
    let behind = sdk
        .sees(&format!("{}/sse/fastio", served.url), &agent.key, &flags)
        .await;
    let token = agent.access_token("fastio").await;
    let alone = sdk
        .sees(&format!("{}/sse", world.sim.base_url()), &token, &flags)
        .await;
    assert_eq!(alone["calls"][0]["failed"], false, "{alone}");
    assert_eq!(without_ids(behind), without_ids(alone));
    served.stop().await.done();
}

/// What was said, without the number and the time of day that each answer has.
fn without_ids(mut saw: Value) -> Value {
    let text = saw["calls"][0]["text"].as_str().unwrap_or_default();
    let of_its_own = |line: &str| line.contains("request_id") || line.contains("server_date");
    let lines = text.lines().filter(|line| !of_its_own(line));
    saw["calls"][0]["text"] = lines.collect::<Vec<_>>().join("\n").into();
    saw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_of_the_node_sdk_may_speak_the_older_transport() {
    sees_the_same_over_sse(Sdk::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_of_the_python_sdk_may_speak_the_older_transport() {
    sees_the_same_over_sse(Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_an_agent_took_over_the_older_transport_goes_with_the_agent() {
    let (world, served, agent) = connected(|_| ()).await;
    let list = format!(
        "/proxy/fastio/workspace/{}/storage/root/list/",
        demo::WEBSITE
    );
    let listed = agent.get(&list).await.expect(200).json();
    let mut nodes = listed["nodes"].as_array().expect("a list").iter();
    let file = nodes.find(|node| node["type"] == "file").expect("a file");
    let acquire = format!(
        "storage {{\"action\":\"lock-acquire\",\"profile_id\":\"{}\",\"node_id\":{}}}",
        demo::WEBSITE,
        file["id"]
    );
    let url = format!("{}/sse/fastio", served.url);
    let flags = ["--transport", "sse", "--call", &acquire];
    let saw = Sdk::Node.sees(&url, &agent.key, &flags).await;
    assert_eq!(saw["calls"][0]["failed"], false, "{saw}");
    assert_eq!(world.sim.locks().len(), 1);
    let told = world.run(&["agents"]).await.done().stdout;
    assert!(told.contains("/storage/"), "{told}");
    world.run(&["revoke", "Reporter"]).await.done();
    eventually("the lock is given back", async || {
        world.sim.locks().is_empty()
    })
    .await;
    served.stop().await.done();
}
