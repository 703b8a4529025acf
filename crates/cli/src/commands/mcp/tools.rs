//! What the server's lists say of its tools, as far as a client over HTTP has to know it.
//!
//! The client on standard input need not know of headers, and the server wants some arguments repeated in them. Which,
//! its lists say. So the bridge reads the lists that pass; and where a server refuses a call for its headers, it asks
//! for the list itself and sends the call once more, as one that was refused for them did nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_gateway::argument_headers::{Repeated, Unfit};
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::Value;

use super::bridge::{Bridge, read_all};
use super::line::Line;

/// More pages than any catalogue has.
const MOST_PAGES: u32 = 100;

/// The arguments that are repeated, by tool.
#[derive(Default)]
pub(super) struct Tools(Mutex<HashMap<String, Repeated>>);

/// A tool that is not to be called over HTTP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    tool: String,
    why: Unfit,
}

impl Tools {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Repeated>> {
        // Nothing between two changes of it can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a list, and takes out of it what is not to be called; nothing where it is no list.
    pub(super) fn read(&self, message: &mut Value) -> Option<Vec<LeftOut>> {
        let tools = message.pointer_mut("/result/tools")?.as_array_mut()?;
        let mut left_out = Vec::new();
        let mut known = self.known();
        tools.retain(|tool| {
            let Some(name) = tool.get("name").and_then(Value::as_str) else {
                return true;
            };
            let schema = tool.get("inputSchema").unwrap_or(&Value::Null);
            match Repeated::of(schema) {
                Ok(repeated) => {
                    known.insert(name.to_owned(), repeated);
                    true
                }
                Err(why) => {
                    known.remove(name);
                    let tool = name.to_owned();
                    left_out.push(LeftOut { tool, why });
                    false
                }
            }
        });
        Some(left_out)
    }

    /// The headers that repeat a call's arguments; none, where no list has told of the tool.
    pub(super) fn headers(&self, line: &Line) -> HeaderMap {
        let Some((tool, arguments)) = line.tool_call() else {
            return HeaderMap::new();
        };
        let known = self.known();
        known
            .get(tool)
            .map(|repeated| repeated.headers(arguments))
            .unwrap_or_default()
    }
}

impl Bridge {
    /// The headers that repeat what a message says, where the protocol has them.
    pub(super) fn headers_of(&self, line: &Line) -> HeaderMap {
        let mut headers = line.headers();
        headers.extend(self.tools.headers(line));
        headers
    }

    /// A list of tools as the client gets it, where that is not as it came.
    pub(super) fn shown(&self, list: &str) -> Option<String> {
        let mut message = serde_json::from_str(list).ok()?;
        let left_out = self.tools.read(&mut message)?;
        for LeftOut { tool, why } in &left_out {
            self.note(&format!(
                "The tool `{tool}` is left out of the list: {why}."
            ));
        }
        (!left_out.is_empty()).then(|| message.to_string())
    }

    /// A call was refused for its headers: learns which they have to be, and sends it once more where they are others.
    pub(super) async fn correct(
        self: &Arc<Self>,
        line: &Line,
        sent: &HeaderMap,
    ) -> Option<Response> {
        let (tool, _) = line.tool_call()?;
        let mut cursor = None;
        for _page in 0..MOST_PAGES {
            let mut page = self.page(&line.listing(cursor.as_deref())).await?;
            self.tools.read(&mut page);
            let is_there = page["result"]["tools"]
                .as_array()
                .is_some_and(|tools| tools.iter().any(|own| own["name"] == tool));
            cursor = page["result"]["nextCursor"].as_str().map(str::to_owned);
            if is_there || cursor.is_none() {
                break;
            }
        }
        let headers = self.headers_of(line);
        if headers == *sent {
            return None;
        }
        self.post(line, headers).await.ok()
    }

    /// A page of the list, as the bridge itself asks for it.
    async fn page(&self, listing: &Line) -> Option<Value> {
        let body = Some(listing.text.as_str());
        let response = self.send(Method::POST, listing.headers(), body).await;
        let answers = read_all(response.ok()?).await;
        let mut answers = answers
            .iter()
            .filter_map(|answer| serde_json::from_str::<Value>(answer).ok());
        answers.find(|answer| answer.get("result").is_some())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(arguments: &Value) -> Line {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "run", "arguments": arguments,
            "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28" },
        } });
        Line::read(&message.to_string()).unwrap()
    }

    fn list(schema: &Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [
            { "name": "run", "inputSchema": { "properties": { "region": schema } } },
            { "name": "plain" },
        ] } })
    }

    #[test]
    fn a_call_repeats_what_the_last_list_said() {
        let tools = Tools::default();
        let line = call(&json!({ "region": "é" }));
        assert!(tools.headers(&line).is_empty(), "no list has told of it");
        let mut marked = list(&json!({ "type": "string", "x-mcp-header": "Region" }));
        let unchanged = marked.clone();
        assert_eq!(tools.read(&mut marked), Some(Vec::new()));
        assert_eq!(marked, unchanged);
        assert_eq!(tools.headers(&line)["mcp-param-region"], "=?base64?w6k=?=");
        tools.read(&mut list(&json!({ "type": "string" })));
        assert!(tools.headers(&line).is_empty());
    }

    #[test]
    fn a_tool_whose_marks_cannot_be_followed_is_left_out() {
        let tools = Tools::default();
        let mut unfit = list(&json!({ "type": "number", "x-mcp-header": "Region" }));
        let left_out = tools.read(&mut unfit).unwrap();
        assert_eq!(left_out.len(), 1);
        assert_eq!(left_out[0].tool, "run");
        assert_eq!(unfit["result"]["tools"], json!([{ "name": "plain" }]));
        assert_eq!(tools.read(&mut json!({ "result": {} })), None);
    }
}
