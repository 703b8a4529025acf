//! From a tool's arguments to a request of the API.

use axum::http::Method;
use rmcp::ErrorData;
use rmcp::model::JsonObject;
use serde_json::{Map, Value};

use crate::mcp::inside::{Ask, Payload};
use crate::mcp::operations::{Operation, Verb, placeholders};

/// The largest time limit of `execute`, in milliseconds.
const LONGEST_MS: u64 = 60_000;

/// The request that an operation is, on the path of one kind of entity.
pub(crate) fn ask(
    operation: &Operation,
    path: &str,
    arguments: &JsonObject,
) -> Result<Ask, ErrorData> {
    let path = filled(path, arguments)?;
    let mut given = Vec::new();
    for argument in &operation.arguments {
        match arguments.get(argument.name) {
            Some(Value::Null) | None if argument.needed => return Err(missing(argument.name)),
            Some(Value::Null) | None => {}
            Some(value) => given.push((argument.name.to_owned(), value.clone())),
        }
    }
    let (method, body) = match operation.verb {
        Verb::Get | Verb::Here | Verb::HereWriting => {
            return Ok(Ask::get(with_query(&path, &given)));
        }
        Verb::Post => (Method::POST, form(given)),
        Verb::Patch => (Method::PATCH, form(given)),
        Verb::Delete => (Method::DELETE, form(given)),
        Verb::PostJson => (Method::POST, Payload::Json(given.into_iter().collect())),
    };
    Ok(Ask { method, path, body })
}

/// The request that code mode's `execute` is told to make.
pub(crate) fn executed(arguments: &JsonObject) -> Result<Ask, ErrorData> {
    let text = |name: &'static str| {
        arguments
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| missing(name))
    };
    let path = text("path")?;
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(invalid("path must begin with one slash"));
    }
    let limit = arguments.get("timeout_ms").and_then(Value::as_u64);
    if limit.is_some_and(|limit| limit > LONGEST_MS) {
        return Err(invalid("timeout_ms must be at most 60000"));
    }
    let body = match arguments.get("body") {
        Some(Value::Object(body)) => body.clone(),
        Some(Value::Null) | None => Map::new(),
        Some(_) => return Err(invalid("body must be an object")),
    };
    let fields = || body.clone().into_iter().collect();
    let (method, body) = match text("method")? {
        "get" => (Method::GET, Payload::None),
        "post" => (Method::POST, form(fields())),
        "put" => (Method::PUT, form(fields())),
        "patch" => (Method::PATCH, form(fields())),
        "delete" => (Method::DELETE, form(fields())),
        "postJson" => (Method::POST, Payload::Json(body)),
        "putJson" => (Method::PUT, Payload::Json(body)),
        "patchJson" => (Method::PATCH, Payload::Json(body)),
        _ => return Err(invalid("method is none of those in the schema")),
    };
    let query: Vec<(String, Value)> = match arguments.get("params") {
        Some(Value::Object(params)) => params.clone().into_iter().collect(),
        _ => Vec::new(),
    };
    Ok(Ask {
        method,
        path: with_query(path, &query),
        body,
    })
}

/// The value of an argument as text.
pub(crate) fn text(arguments: &JsonObject, name: &str) -> Option<String> {
    match arguments.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Some(other.to_string())
        }
    }
}

/// The same for one that is needed.
pub(crate) fn needed(arguments: &JsonObject, name: &str) -> Result<String, ErrorData> {
    text(arguments, name).ok_or_else(|| missing(name))
}

pub(crate) fn missing(name: &str) -> ErrorData {
    invalid(format!("{name} is required"))
}

pub(crate) fn invalid(message: impl Into<String>) -> ErrorData {
    ErrorData::invalid_params(message.into(), None)
}

fn filled(path: &str, arguments: &JsonObject) -> Result<String, ErrorData> {
    let mut filled = path.to_owned();
    for name in placeholders(path) {
        let value = needed(arguments, name)?;
        let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        filled = filled.replace(&format!("{{{name}}}"), &encoded.replace('+', "%20"));
    }
    Ok(filled)
}

fn with_query(path: &str, fields: &[(String, Value)]) -> String {
    if fields.is_empty() {
        return path.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields.iter().map(|(name, value)| (name, as_text(value))))
        .finish();
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}{query}")
}

fn form(fields: Vec<(String, Value)>) -> Payload {
    Payload::Form(
        fields
            .into_iter()
            .map(|(name, value)| (name, as_text(&value)))
            .collect(),
    )
}

fn as_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
