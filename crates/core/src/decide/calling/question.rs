//! What a person is asked about a single call, and what makes two calls the same one.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::name::is_invisible;
use crate::pairing::Program;

/// What a person is asked about a single call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is called: a method and a path, or a tool.
    pub what: String,
    /// With what: the body or the arguments, bounded.
    pub arguments: String,
    /// How many characters the bounds left out: what is not shown may be what matters.
    pub unshown: usize,
    /// The program that calls, where it is known.
    pub program: Option<Program>,
    /// What makes two calls the same one.
    pub digest: [u8; 32],
}

/// More than this nobody reads before answering.
const MOST_SHOWN: usize = 8 * 1024;

impl Question {
    /// About a call of the REST API. The path has its query.
    #[must_use]
    pub fn rest(method: &str, path_and_query: &str, body: &[u8]) -> Self {
        let what = format!("{method} /{}", path_and_query.trim_start_matches('/'));
        Self::shown(
            &what,
            &String::from_utf8_lossy(body),
            digest(&[b"rest", method.as_bytes(), path_and_query.as_bytes(), body]),
        )
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
        Self::shown(
            name,
            &pretty.unwrap_or_default(),
            digest(&[b"mcp", name.as_bytes(), canonical.as_bytes()]),
        )
    }

    /// The same, by a program that the operating system knows.
    #[must_use]
    pub fn by(mut self, program: Option<Program>) -> Self {
        self.program = program;
        self
    }

    /// What is called, without the query of a path: that is for the person who answers, and no log's business.
    #[must_use]
    pub fn title(&self) -> String {
        match self.what.split_once('?') {
            Some((before, _)) => format!("{before}?…"),
            None => self.what.clone(),
        }
    }

    fn shown(what: &str, arguments: &str, digest: [u8; 32]) -> Self {
        let (what, left) = shown(what, MOST_TITLE, &[]);
        let (arguments, left_too) = shown(arguments, MOST_SHOWN, &['\n', '\t']);
        Self {
            what,
            arguments,
            unshown: left + left_too,
            program: None,
            digest,
        }
    }
}

/// More than this is no title.
const MOST_TITLE: usize = 1024;

/// A text as a person sees it, and how much of it was left out. Letters that cannot be seen are spelled out, so that
/// no text looks like another one.
fn shown(text: &str, most: usize, plain: &[char]) -> (String, usize) {
    let mut kept = String::new();
    let mut letters = text.chars();
    for letter in letters.by_ref().take(most) {
        if (letter.is_control() || is_invisible(letter)) && !plain.contains(&letter) {
            kept.extend(letter.escape_unicode());
        } else {
            kept.push(letter);
        }
    }
    (kept, letters.count())
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
