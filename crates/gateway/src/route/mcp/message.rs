//! What an agent posts: one JSON-RPC message, or several where the protocol has batches (2025-03-26).
//!
//! Read strictly. Whatever a lenient parser at the provider could take for another call than the one judged here
//! (a name twice, or in other letters) is refused, and what is accepted goes out byte for byte.

use serde_json::{Map, Value};

use super::json::{self, Members};

/// The members of a message, and of the parameters of a tool call, that decide what it does.
const DECIDING: [&str; 8] = [
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "name",
    "arguments",
];

/// What was posted.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Posted {
    /// One message.
    One(Message),
    /// A batch.
    Batch(Vec<Message>),
}

impl Posted {
    /// Its messages.
    pub(super) fn messages(&self) -> &[Message] {
        match self {
            Self::One(message) => std::slice::from_ref(message),
            Self::Batch(messages) => messages,
        }
    }
}

/// A message of an agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    /// It wants an answer.
    Request(Request),
    /// It wants none.
    Notification {
        /// The identifier of the request that it takes back, as JSON.
        cancels: Option<String>,
    },
    /// It answers a request of the server.
    Response,
}

/// A request, as far as it is judged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    /// Its identifier, as it was written.
    pub(super) id: String,
    /// Its method.
    pub(super) method: String,
    /// Its parameters.
    pub(super) params: Map<String, Value>,
}

impl Request {
    /// The tool that it calls.
    pub(super) fn tool(&self) -> Option<&str> {
        (self.method == "tools/call").then(|| self.named())?
    }

    fn named(&self) -> Option<&str> {
        self.params.get("name").and_then(Value::as_str)
    }

    /// The arguments of the tool.
    pub(super) fn arguments(&self) -> Option<&Map<String, Value>> {
        self.params.get("arguments").and_then(Value::as_object)
    }

    /// The name that the header `Mcp-Name` repeats.
    pub(super) fn name_in_header(&self) -> Option<&str> {
        let member = match self.method.as_str() {
            "tools/call" | "prompts/get" => "name",
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => "uri",
            "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
            _ => return None,
        };
        self.params.get(member).and_then(Value::as_str)
    }
}

/// Why what was posted is not a message: the code of JSON-RPC and a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    /// -32700 or -32600.
    pub(super) code: i32,
    /// What is wrong.
    pub(super) why: &'static str,
}

const fn invalid(why: &'static str) -> Unread {
    Unread { code: -32600, why }
}

/// Reads what was posted.
pub(super) fn read(body: &[u8]) -> Result<Posted, Unread> {
    let unread = Unread {
        code: -32700,
        why: "The body is not JSON, or a name stands twice in one of its objects.",
    };
    let value = json::strict(body).map_err(|_| unread)?;
    let text = std::str::from_utf8(body).map_err(|_| unread)?;
    match value {
        Value::Object(object) => message(object, text).map(Posted::One),
        Value::Array(values) => {
            let texts = json::elements(text).unwrap_or_default();
            if values.is_empty() || values.len() != texts.len() {
                return Err(invalid("The batch is empty."));
            }
            let messages = values.iter().zip(texts).map(|(value, text)| {
                let object = value.as_object().cloned();
                message(
                    object.ok_or(invalid("The batch holds something that is no message."))?,
                    text,
                )
            });
            messages.collect::<Result<_, _>>().map(Posted::Batch)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(invalid("The body is no JSON-RPC message."))
        }
    }
}

fn message(mut object: Map<String, Value>, text: &str) -> Result<Message, Unread> {
    check_names(&object)?;
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid("`jsonrpc` must be \"2.0\"."));
    }
    let answers = object.contains_key("result") || object.contains_key("error");
    let id = Members::read(text).and_then(|members| members.get("id").map(str::to_owned));
    let is_id = |id: &Value| id.is_string() || id.is_number();
    if object.get("id").is_some_and(|id| !is_id(id)) {
        return Err(invalid("`id` must be text or a number."));
    }
    let method = match object.remove("method") {
        None if answers && id.is_some() => return Ok(Message::Response),
        None => return Err(invalid("The message has neither a method nor a result.")),
        Some(_) if answers => return Err(invalid("The message is a request and an answer.")),
        Some(Value::String(method)) => method,
        Some(_) => return Err(invalid("`method` must be text.")),
    };
    let params = match object.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(invalid("`params` must be an object.")),
    };
    let Some(id) = id else {
        let cancels = (method == "notifications/cancelled").then(|| params.get("requestId"));
        return Ok(Message::Notification {
            cancels: cancels.flatten().map(Value::to_string),
        });
    };
    if method == "tools/call" {
        check_tool_call(&params)?;
    }
    Ok(Message::Request(Request { id, method, params }))
}

fn check_tool_call(params: &Map<String, Value>) -> Result<(), Unread> {
    check_names(params)?;
    if !params.get("name").is_some_and(Value::is_string) {
        return Err(invalid("A tool call names its tool in `name`."));
    }
    match params.get("arguments") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(arguments)) => check_apart(arguments),
        Some(_) => Err(invalid("`arguments` must be an object.")),
    }
}

/// No name that only looks like one that decides: a server that ignores the case of letters would believe it.
fn check_names(object: &Map<String, Value>) -> Result<(), Unread> {
    let is_like = |name: &String| {
        DECIDING
            .iter()
            .any(|own| own.eq_ignore_ascii_case(name) && own != name)
    };
    if object.keys().any(is_like) {
        return Err(invalid(
            "A member is written in other letters than the protocol has.",
        ));
    }
    Ok(())
}

/// No two arguments that only the case of letters keeps apart.
fn check_apart(arguments: &Map<String, Value>) -> Result<(), Unread> {
    let mut names: Vec<String> = arguments
        .keys()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(invalid(
            "Two arguments have the same name but for capitals.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Message, Unread> {
        read(text.as_bytes()).map(|posted| match posted {
            Posted::One(message) => message,
            Posted::Batch(_) => panic!("{text} is no batch"),
        })
    }

    #[test]
    fn an_identifier_is_kept_as_it_was_written() {
        for id in ["1", "1.0", "\"\\u0061\"", "123456789012345678901234567890"] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            match one(&text) {
                Ok(Message::Request(request)) => assert_eq!(request.id, id),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn each_kind_of_message_is_told_from_the_others() {
        assert_eq!(
            one(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            Ok(Message::Notification { cancels: None })
        );
        assert_eq!(
            one(
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#
            ),
            Ok(Message::Notification {
                cancels: Some("\"a\"".to_owned())
            })
        );
        assert_eq!(
            one(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            Ok(Message::Response)
        );
        let batch = br#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"n"}]"#;
        assert_eq!(read(batch).map(|posted| posted.messages().len()), Ok(2));
        assert_eq!(read(b"[]").map_err(|unread| unread.code), Err(-32600));
        assert_eq!(read(b"{").map_err(|unread| unread.code), Err(-32700));
    }

    #[test]
    fn what_another_parser_could_take_for_another_call_is_refused() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"Method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","METHOD":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":["tools/call"]}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["auth"]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"action":"list","Action":"delete"}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":{"y":1,"y":2}}}}"#,
            "\"text\"",
            "[1]",
        ] {
            assert!(one(text).is_err(), "{text}");
        }
        assert!(read(b"\xff\xfe{\x00}\x00").is_err(), "another encoding");
    }
}
