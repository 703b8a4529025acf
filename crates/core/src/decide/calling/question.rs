//! What a person is asked about a single call, and what makes two calls the same one.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// What a person is asked about a single call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is called: a method and a path, or a tool.
    pub what: String,
    /// With what: the body or the arguments, bounded.
    pub arguments: String,
    /// What makes two calls the same one.
    pub digest: [u8; 32],
}

/// More than this nobody reads before answering.
const MOST_SHOWN: usize = 8 * 1024;

impl Question {
    /// About a call of the REST API. The path has its query.
    #[must_use]
    pub fn rest(method: &str, path_and_query: &str, body: &[u8]) -> Self {
        Self {
            what: shown(
                &format!("{method} /{}", path_and_query.trim_start_matches('/')),
                1024,
            ),
            arguments: shown(&String::from_utf8_lossy(body), MOST_SHOWN),
            digest: digest(&[b"rest", method.as_bytes(), path_and_query.as_bytes(), body]),
        }
    }

    /// About an MCP request: a tool and its arguments, or a method and its parameters.
    #[must_use]
    pub fn mcp(name: &str, arguments: Option<&Map<String, Value>>) -> Self {
        let mut canonical = String::new();
        if let Some(arguments) = arguments {
            write_object(arguments, &mut canonical);
        }
        let pretty = arguments
            .filter(|arguments| !arguments.is_empty())
            .and_then(|arguments| serde_json::to_string_pretty(arguments).ok());
        Self {
            what: shown(name, 1024),
            arguments: shown(&pretty.unwrap_or_default(), MOST_SHOWN),
            digest: digest(&[b"mcp", name.as_bytes(), canonical.as_bytes()]),
        }
    }
}

fn shown(text: &str, most: usize) -> String {
    let clean = text
        .chars()
        .filter(|letter| !letter.is_control() || *letter == '\n');
    clean.take(most).collect()
}

/// Each part goes in with its length, so that no two lists of parts are the same bytes.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// JSON with the members of each object in order, as the same call may be written in several.
fn write_object(object: &Map<String, Value>, into: &mut String) {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by_key(|(name, _)| *name);
    into.push('{');
    for (name, value) in members {
        into.push_str(&Value::from(name.as_str()).to_string());
        into.push(':');
        write_value(value, into);
        into.push(',');
    }
    into.push('}');
}

fn write_value(value: &Value, into: &mut String) {
    match value {
        Value::Object(object) => write_object(object, into),
        Value::Array(items) => {
            into.push('[');
            for item in items {
                write_value(item, into);
                into.push(',');
            }
            into.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            into.push_str(&value.to_string());
        }
    }
}
