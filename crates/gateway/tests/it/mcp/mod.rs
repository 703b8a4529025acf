//! The MCP door, before a server that a test plays.

mod door;
mod ending;
mod hiding;
mod older;
mod older_answers;
mod repeated;
mod sdk;
mod server;
mod side;

use serde_json::{Value, json};

use self::server::{Seen, Server};
use crate::ask::{Answer, Ask};
use crate::world::World;

/// A gateway with the connection `served`, its MCP server, and an agent with nothing held back.
struct Stage {
    world: World,
    server: Server,
    key: String,
}

impl Stage {
    async fn new(
        script: impl Fn(&Seen) -> axum::response::Response + Send + Sync + 'static,
    ) -> Self {
        let server = Server::start(script).await;
        let world = World::empty().await;
        world
            .connect_served(&server.url("/mcp"), &server.url("/sse"))
            .await;
        let key = world
            .agent("agent", "served", &[doorward_core::grant::Door::Proxy])
            .await;
        Self { world, server, key }
    }

    async fn post(&self, message: &Value) -> Answer {
        self.post_with(message, &[]).await
    }

    async fn post_with(&self, message: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut ask = Ask::json("/mcp/served", message).key(&self.key);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        self.world.send(&ask).await
    }
}

fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments } })
}

fn text_result(text: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "result": { "content": [{ "type": "text", "text": text }] } })
}
