//! A client of the MCP server that shows every byte: JSON-RPC over plain HTTP.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::world::World;

pub(crate) struct McpClient<'a> {
    pub(crate) world: &'a World,
    pub(crate) path: &'static str,
    pub(crate) token: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) version: &'static str,
}

/// An answer, with the messages that came in it.
#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) all: Vec<Value>,
    pub(crate) text: String,
}

impl Messages {
    /// The answer to the request, as opposed to what came before it.
    pub(crate) fn last(&self) -> &Value {
        self.all
            .last()
            .unwrap_or_else(|| panic!("no message in {} {}", self.status, self.text))
    }

    pub(crate) fn result(&self) -> &Value {
        let result = &self.last()["result"];
        assert!(result.is_object(), "{}", self.text);
        result
    }
}

impl<'a> McpClient<'a> {
    pub(crate) fn new(world: &'a World, token: &str) -> Self {
        Self {
            world,
            path: "/mcp",
            token: Some(token.to_owned()),
            session: None,
            version: "2025-06-18",
        }
    }

    /// A client that has begun a session under this name.
    pub(crate) async fn named(world: &'a World, token: &str, name: &str) -> Self {
        let mut client = Self::new(world, token);
        client.begin(name, json!({})).await;
        client
    }

    pub(crate) async fn begin(&mut self, name: &str, capabilities: Value) -> Value {
        let answer = self
            .post(&json!({
                "jsonrpc": "2.0", "id": 1, "method": "initialize",
                "params": {
                    "protocolVersion": self.version,
                    "capabilities": capabilities,
                    "clientInfo": { "name": name, "version": "1" },
                },
            }))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.session = answer
            .headers
            .get("mcp-session-id")
            .and_then(|id| id.to_str().ok())
            .map(str::to_owned);
        let begun = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(self.post(&begun).await.status, 202);
        answer.result().clone()
    }

    pub(crate) fn request(&self, message: &Value) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.world.sim.base_url(), self.path);
        let mut request = self
            .world
            .http
            .post(url)
            .header("accept", "application/json, text/event-stream")
            .json(message);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(session) = &self.session {
            request = request
                .header("mcp-session-id", session)
                .header("mcp-protocol-version", self.version);
        }
        request
    }

    pub(crate) async fn post(&self, message: &Value) -> Messages {
        let answer = self.world.send(self.request(message)).await;
        let all = if answer.text.starts_with('{') {
            vec![answer.json()]
        } else {
            data_lines(&answer.text)
        };
        Messages {
            status: answer.status,
            headers: answer.headers,
            all,
            text: answer.text,
        }
    }

    pub(crate) async fn ask(&self, method: &str, params: Value) -> Messages {
        self.post(&json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }))
            .await
    }

    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Messages {
        self.ask(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
        .await
    }

    /// The structured content of a call that must work.
    pub(crate) async fn done(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments).await;
        let result = answer.result();
        assert_ne!(result["isError"], true, "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// The names of all tools, page after page.
    pub(crate) async fn tools(&self) -> Vec<Value> {
        let mut tools = Vec::new();
        let mut params = json!({});
        loop {
            let answer = self.ask("tools/list", params).await;
            let result = answer.result();
            tools.extend(result["tools"].as_array().cloned().unwrap_or_default());
            match result["nextCursor"].as_str() {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => return tools,
            }
        }
    }
}

/// The JSON of the events in a stream.
pub(crate) fn data_lines(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .filter_map(|data| serde_json::from_str(data.trim()).ok())
        .collect()
}

pub(crate) fn names(tools: &[Value]) -> Vec<&str> {
    tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect()
}
