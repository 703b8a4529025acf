//! The tools that a client is shown.
//!
//! Which ones depends on the client's name, as at Fast.io: programs that write code get five tools and
//! find the rest by searching, others get eighteen that route by `action`. A knob shows every
//! operation as a tool of its own. Whoever may only read is not shown what writes.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use crate::mcp::operations::{self, Argument, Operation, placeholders};

/// Which tools a session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Eighteen tools that route by `action`.
    Named,
    /// Five tools for programs that write code.
    Code,
    /// Each operation is a tool.
    Whole,
}

/// Parts of the names of the programs that write code.
const CODING: [&str; 9] = [
    "claude-code",
    "cursor",
    "continue",
    "cowork",
    "codex",
    "antigravity",
    "gemini-cli",
    "grok-cli",
    "opencode",
];

/// The named tools of July 2026.
const NAMED: [(&str, &str); 18] = [
    ("auth", "Signs in and tells who is signed in."),
    ("user", "The person."),
    ("org", "Organizations."),
    ("workspace", "Workspaces."),
    ("share", "Shares."),
    ("fileshare", "Links to single files."),
    ("storage", "Files and folders."),
    ("metadata", "What is known about files."),
    ("find", "Finds files anywhere."),
    ("upload", "Puts files in."),
    ("download", "Gets files out."),
    ("ai", "Answers questions about files."),
    ("comment", "Comments."),
    ("event", "What happened."),
    ("member", "Members."),
    ("invitation", "Invitations."),
    ("asset", "Logos and the like."),
    ("how-to", "Guides."),
];

/// The tools of code mode.
const CODE: [&str; 5] = ["auth", "upload", "search", "execute", "how-to"];

impl Shape {
    pub(crate) fn for_client(name: &str) -> Self {
        let name = name.to_lowercase();
        if CODING.iter().any(|part| name.contains(part)) {
            Self::Code
        } else {
            Self::Named
        }
    }

    /// The tools, in an order that does not change.
    pub(crate) fn tools(self, read_only: bool) -> Vec<Tool> {
        match self {
            Self::Named => NAMED
                .iter()
                .map(|(name, about)| named_tool(name, about, read_only))
                .collect(),
            Self::Code => CODE
                .iter()
                .map(|name| match *name {
                    "search" => search_tool(),
                    "execute" => execute_tool(read_only),
                    name => named_tool(name, "", read_only),
                })
                .collect(),
            Self::Whole => operations::variants()
                .iter()
                .filter(|variant| shown(variant.operation, read_only))
                .map(|variant| {
                    let operation = variant.operation;
                    let arguments = placeholders(&variant.path)
                        .map(|name| (name, true))
                        .chain(operation.arguments.iter().map(|own| (own.name, own.needed)));
                    tool(
                        &variant.name,
                        operation.about,
                        schema(arguments),
                        operation.only_reads(),
                    )
                })
                .collect(),
        }
    }
}

/// Whether whoever may only read is shown an operation. Signing in writes nothing of the account.
fn shown(operation: &Operation, read_only: bool) -> bool {
    let signs_in = matches!(
        operation.action,
        "pkce-login" | "pkce-complete" | "set-api-key"
    );
    !read_only || operation.only_reads() || signs_in
}

/// The actions of a named tool.
pub(crate) fn actions(tool: &str, read_only: bool) -> Vec<&'static Operation> {
    operations::all()
        .iter()
        .filter(|operation| operation.tool == tool && shown(operation, read_only))
        .collect()
}

fn named_tool(name: &str, about: &str, read_only: bool) -> Tool {
    let actions = actions(name, read_only);
    let mut properties = Map::new();
    let mut names: Vec<&str> = actions.iter().map(|operation| operation.action).collect();
    names.push("describe");
    properties.insert(
        "action".to_owned(),
        json!({ "type": "string", "enum": names, "description": "What to do." }),
    );
    for operation in &actions {
        let kinds = operation.kinds();
        if let Some(first) = kinds.first() {
            let first = if kinds.contains(&"workspace") {
                "workspace"
            } else {
                first
            };
            properties.insert(
                "profile_type".to_owned(),
                described(Argument {
                    name: "profile_type",
                    needed: false,
                }),
            );
            properties.insert(
                "profile_id".to_owned(),
                described(Argument {
                    name: "profile_id",
                    needed: false,
                }),
            );
            for name in placeholders(&operation.path_for(first)).skip(1) {
                properties.insert(name.to_owned(), json!({ "type": "string" }));
            }
        } else {
            for name in placeholders(&operation.path_for("")) {
                properties.insert(name.to_owned(), json!({ "type": "string" }));
            }
        }
        for argument in &operation.arguments {
            properties.insert(argument.name.to_owned(), described(*argument));
        }
    }
    let schema = json!({ "type": "object", "properties": properties, "required": ["action"] });
    let only_reads = actions.iter().all(|operation| operation.only_reads());
    tool(name, about, object(schema), only_reads)
}

fn search_tool() -> Tool {
    tool(
        "search",
        "Finds the calls of the API that match some words.",
        schema([("query", true)].into_iter()),
        true,
    )
}

fn execute_tool(read_only: bool) -> Tool {
    let methods: &[&str] = if read_only {
        &["get"]
    } else {
        &[
            "get",
            "post",
            "postJson",
            "put",
            "putJson",
            "patch",
            "patchJson",
            "delete",
        ]
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "method": { "type": "string", "enum": methods },
            "path": { "type": "string", "description": "Below the API base, such as /orgs/list/." },
            "body": { "type": "object" },
            "params": { "type": "object", "description": "The query." },
            "timeout_ms": { "type": "integer", "default": 30000, "maximum": 60000 },
        },
        "required": ["method", "path"],
    });
    tool("execute", "Calls the API.", object(schema), read_only)
}

fn tool(name: &str, about: &str, schema: JsonObject, only_reads: bool) -> Tool {
    let annotations = ToolAnnotations::new()
        .read_only(only_reads)
        .open_world(false);
    Tool::new(name.to_owned(), about.to_owned(), Arc::new(schema)).with_annotations(annotations)
}

fn schema<'a>(arguments: impl Iterator<Item = (&'a str, bool)>) -> JsonObject {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, needed) in arguments {
        properties.insert(name.to_owned(), json!({ "type": kind_of(name) }));
        if needed {
            required.push(name);
        }
    }
    object(json!({ "type": "object", "properties": properties, "required": required }))
}

fn described(argument: Argument) -> Value {
    json!({ "type": kind_of(argument.name) })
}

/// The JSON type of an argument, by its name.
fn kind_of(name: &str) -> &'static str {
    match name {
        "limit" | "offset" | "page_size" | "size" | "duration" | "order" | "sync_interval" => {
            "integer"
        }
        "values" => "object",
        "intelligence" => "boolean",
        _ => "string",
    }
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            JsonObject::new()
        }
    }
}
