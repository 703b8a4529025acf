//! The tools as a client is shown them: their names, what they are for, and the schemas of their
//! arguments.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use crate::mcp::menu::Executes;
use crate::mcp::operations::{Argument, Operation, Variant, placeholders};

/// A tool of the whole catalogue.
pub(crate) fn whole_tool(variant: &Variant) -> Tool {
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
}

/// A named tool that only writes.
pub(crate) fn managing_tool(name: &str, about: &str, actions: &[&Operation]) -> Tool {
    let mut tool = named_tool(name, about, actions);
    tool.annotations = tool
        .annotations
        .map(|annotations| annotations.destructive(true));
    tool
}

/// A tool that routes by `action`.
pub(crate) fn named_tool(name: &str, about: &str, actions: &[&Operation]) -> Tool {
    let mut properties = Map::new();
    let mut names: Vec<&str> = actions.iter().map(|operation| operation.action).collect();
    names.push("describe");
    properties.insert(
        "action".to_owned(),
        json!({ "type": "string", "enum": names, "description": "What to do." }),
    );
    for operation in actions {
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

/// Code mode's way to find calls of the API.
pub(crate) fn search_tool() -> Tool {
    tool(
        "search",
        "Finds the calls of the API that match some words.",
        schema([("query", true)].into_iter()),
        true,
    )
}

/// Code mode's way to make them.
pub(crate) fn execute_tool(name: &str, executes: Executes) -> Tool {
    let writes = [
        "post",
        "postJson",
        "put",
        "putJson",
        "patch",
        "patchJson",
        "delete",
    ];
    let mut methods = Vec::new();
    if executes != Executes::Writes {
        methods.push("get");
    }
    if executes != Executes::Reads {
        methods.extend(writes);
    }
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
    let only_reads = executes == Executes::Reads;
    tool(name, "Calls the API.", object(schema), only_reads)
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
