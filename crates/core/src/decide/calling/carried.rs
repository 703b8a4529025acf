//! Tools that carry calls of the REST API: which calls are in their arguments?

use serde_json::{Map, Value};

use crate::api_path::ApiPath;
use crate::problem::Refusal;
use crate::upstream::{CodeTool, Upstream};

pub(in crate::decide) fn code_tool<'a>(upstream: &'a Upstream, name: &str) -> Option<&'a CodeTool> {
    let mut tools = upstream.code_tools.iter();
    tools.find(|code| code.tool.eq_ignore_ascii_case(name.trim()))
}

/// Every call that a code tool's arguments hold, however deep: some tools take several at once.
pub(in crate::decide) fn carried_calls(
    code: &CodeTool,
    arguments: Option<&Map<String, Value>>,
) -> Result<Vec<(String, ApiPath)>, Refusal> {
    let mut calls = Vec::new();
    if let Some(arguments) = arguments {
        collect(code, arguments, 0, &mut calls)?;
    }
    Ok(calls)
}

/// Calls stand in lists of objects at most; more depth is no call.
const DEEPEST: usize = 4;

fn collect(
    code: &CodeTool,
    object: &Map<String, Value>,
    depth: usize,
    calls: &mut Vec<(String, ApiPath)>,
) -> Result<(), Refusal> {
    let member = |name: &str| {
        let mut pairs = object.iter();
        pairs
            .find(|(own, _)| own.trim().eq_ignore_ascii_case(name))
            .and_then(|(_, value)| value.as_str())
    };
    if let Some(path) = member(&code.path) {
        let path = path.split(['?', '#']).next().unwrap_or_default().trim();
        let method = member(&code.method).unwrap_or("get").trim();
        let plain = ["Json", "json", "Form", "form"];
        let method = plain
            .iter()
            .find_map(|suffix| method.strip_suffix(suffix))
            .unwrap_or(method);
        calls.push((method.to_ascii_uppercase(), ApiPath::parse(path)?));
    }
    if depth == DEEPEST {
        return Ok(());
    }
    // The body of a call is data of its own; a path in it is no call.
    let inner = object
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "body" | "params"));
    for (_, value) in inner {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            Value::Object(_) => std::slice::from_ref(value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => &[],
        };
        for item in items.iter().filter_map(Value::as_object) {
            collect(code, item, depth + 1, calls)?;
        }
    }
    Ok(())
}
