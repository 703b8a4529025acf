//! How results read: Markdown for people, and the same with hints as structured content.

use std::fmt::Write as _;

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};

use crate::mcp::inside::Outcome;
use crate::secret::random_node_id;

/// What a tool answers, under the title of what was done.
pub(crate) fn answer(title: &str, outcome: &Outcome) -> CallToolResult {
    if outcome.is_success() {
        success(title, members(&outcome.body))
    } else {
        failure(title, outcome)
    }
}

/// A success with these fields.
pub(crate) fn success(title: &str, mut fields: Map<String, Value>) -> CallToolResult {
    let next = next_steps(title);
    fields.insert("_next".to_owned(), json!(next));
    fields.insert("request_id".to_owned(), random_node_id().into());
    let mut text = format!("## {title}\n");
    table(&mut text, &fields);
    text.push_str("\n**Next:** ");
    text.push_str(&next.join(" "));
    result(text, fields, false)
}

/// A refusal that tells how to get on.
pub(crate) fn refusal(title: &str, error: &Value, recovery: &str) -> CallToolResult {
    let text = error["text"].as_str().unwrap_or("It did not work.");
    let mut fields = Map::new();
    fields.insert("error".to_owned(), error.clone());
    fields.insert("_recovery".to_owned(), json!([recovery]));
    fields.insert("request_id".to_owned(), random_node_id().into());
    let text = format!(
        "## {title}\n\n**Error {}:** {text}\n\n**Recovery:** {recovery}\n",
        error["code"]
    );
    result(text, fields, true)
}

fn failure(title: &str, outcome: &Outcome) -> CallToolResult {
    let mut error = outcome.body["error"].clone();
    if error.is_object() {
        error["status"] = outcome.status.as_u16().into();
    } else {
        error = json!({ "status": outcome.status.as_u16(), "code": 1605, "text": outcome.body.to_string() });
    }
    let recovery = match outcome.status.as_u16() {
        401 => "Sign in again with the auth tool.",
        403 => "Ask the person for a wider scope.",
        404 => "List what there is and use an id from there.",
        423 => "Wait until the lock ends.",
        429 => "Wait until the limit ends.",
        _ => "Check the arguments with action describe.",
    };
    refusal(title, &error, recovery)
}

fn result(text: String, fields: Map<String, Value>, is_error: bool) -> CallToolResult {
    let content = vec![ContentBlock::text(text)];
    let mut result = if is_error {
        CallToolResult::error(content)
    } else {
        CallToolResult::success(content)
    };
    result.structured_content = Some(Value::Object(fields));
    result
}

fn next_steps(title: &str) -> [&'static str; 1] {
    if title.starts_with("storage list") {
        ["Use storage details with an id of this list."]
    } else if title.starts_with("upload") {
        ["Use storage list to see the file."]
    } else {
        ["Use action describe to see what else there is."]
    }
}

/// Lists of things as tables, everything else as a line of its own. Writing to a string cannot fail.
fn table(text: &mut String, fields: &Map<String, Value>) {
    for (name, value) in fields {
        if name.starts_with('_') {
            continue;
        }
        if let Some(rows) = value
            .as_array()
            .filter(|rows| rows.iter().any(Value::is_object))
        {
            let _ = write!(text, "\n### {name}\n\n| id | name |\n|---|---|\n");
            for row in rows {
                let cell = |key: &str| row[key].as_str().unwrap_or("").replace('|', "\\|");
                let _ = writeln!(text, "| {} | {} |", cell("id"), cell("name"));
            }
        } else if let Some(value) = value.as_str() {
            let _ = write!(text, "\n- **{name}**: {value}");
        } else {
            let _ = write!(text, "\n- **{name}**: `{value}`");
        }
    }
}

/// The fields of a reply without those of the envelope.
fn members(body: &Value) -> Map<String, Value> {
    let Value::Object(body) = body else {
        return Map::from_iter([("value".to_owned(), body.clone())]);
    };
    body.iter()
        .filter(|(name, _)| !matches!(name.as_str(), "result" | "status" | "current_api_version"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
