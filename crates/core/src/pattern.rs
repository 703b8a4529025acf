//! Patterns of calls, as people and manifests write them.
//!
//! ```text
//! POST /workspace/            that path and everything below it, by that method
//! GET,HEAD /a/*/b/            several methods; a star stands for one segment
//! * /user/auth/$              every method; the dollar sign means: this path and nothing below it
//! tool storage                every call of an MCP tool
//! tool storage(action=list|details)      only with these values of an argument
//! tool auth(action!=status)              with any other value, or none
//! tool auth_*                 every tool whose name begins so
//! ```
//!
//! What a pattern allows has to be told exactly; what it holds back is taken broadly, in any case and with any form
//! that a server may be lenient enough to understand. [`Reading`] says which.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api_path::ApiPath;
use crate::problem::{Code, Refusal};

/// How a pattern is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// To allow: letter by letter.
    Exact,
    /// To hold back: whatever a lenient server might take for it.
    Broad,
}

/// A pattern of calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CallPattern {
    /// Calls of the REST API.
    Rest(RestPattern),
    /// Calls of an MCP tool.
    Tool(ToolPattern),
}

impl FromStr for CallPattern {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text.trim().strip_prefix("tool ") {
            Some(tool) => tool.parse().map(Self::Tool),
            None => text.parse().map(Self::Rest),
        }
    }
}

impl TryFrom<String> for CallPattern {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<CallPattern> for String {
    fn from(pattern: CallPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for CallPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rest(pattern) => pattern.fmt(f),
            Self::Tool(pattern) => write!(f, "tool {pattern}"),
        }
    }
}

/// Methods and a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RestPattern {
    /// In capitals; none stands for every one.
    methods: Vec<String>,
    segments: Vec<Segment>,
    is_whole: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Any,
    Named(String),
}

impl RestPattern {
    /// Everything below a path, by every method.
    pub fn below(path: &str) -> Result<Self, Refusal> {
        format!("* {path}").parse()
    }

    /// Whether a call is meant.
    #[must_use]
    pub fn matches(&self, method: &str, path: &ApiPath, reading: Reading) -> bool {
        let by_method = self.methods.is_empty() || self.methods.iter().any(|own| own == method);
        by_method && self.is_at(path, reading)
    }

    /// Whether calls of a path are meant, by whatever method.
    #[must_use]
    pub fn is_at(&self, path: &ApiPath, reading: Reading) -> bool {
        let segments = path.segments();
        let is_long_enough = if self.is_whole {
            segments.len() == self.segments.len()
        } else {
            segments.len() >= self.segments.len()
        };
        let mut pairs = self.segments.iter().zip(segments);
        is_long_enough
            && pairs.all(|(own, found)| match (own, reading) {
                (Segment::Any, _) => true,
                (Segment::Named(own), Reading::Exact) => own == found,
                (Segment::Named(own), Reading::Broad) => {
                    let found = found.split(';').next().unwrap_or_default().trim();
                    own.eq_ignore_ascii_case(found)
                }
            })
    }
}

impl FromStr for RestPattern {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (methods, path) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(|| wrong(text, "it needs a method, or `*`, and a path"))?;
        let path = path.trim();
        let path = path
            .strip_prefix('/')
            .ok_or_else(|| wrong(text, "its path does not begin with a slash"))?;
        let (path, is_whole) = match path.strip_suffix('$') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let methods = match methods {
            "*" => Vec::new(),
            list => list.split(',').map(str::to_owned).collect(),
        };
        let is_method = |method: &String| {
            !method.is_empty()
                && method
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
        };
        if !methods.iter().all(is_method) {
            return Err(wrong(
                text,
                "methods stand in capitals, with commas between them",
            ));
        }
        let path = ApiPath::parse(path).map_err(|refusal| wrong(text, &refusal.detail))?;
        let segments = path
            .segments()
            .iter()
            .map(|segment| match segment.as_str() {
                "*" => Segment::Any,
                name => Segment::Named(name.to_owned()),
            });
        Ok(Self {
            methods,
            segments: segments.collect(),
            is_whole,
        })
    }
}

impl fmt::Display for RestPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.methods.as_slice() {
            [] => f.write_str("* /")?,
            methods => write!(f, "{} /", methods.join(","))?,
        }
        for segment in &self.segments {
            match segment {
                Segment::Any => f.write_str("*/")?,
                Segment::Named(name) => {
                    let encoded = percent_encoding::utf8_percent_encode(
                        name,
                        percent_encoding::NON_ALPHANUMERIC,
                    );
                    if name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
                    {
                        write!(f, "{name}/")?;
                    } else {
                        write!(f, "{encoded}/")?;
                    }
                }
            }
        }
        if self.is_whole {
            f.write_str("$")
        } else {
            Ok(())
        }
    }
}

/// A tool, and what its arguments have to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToolPattern {
    name: String,
    arguments: Vec<ArgumentRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ArgumentRule {
    name: String,
    is_negated: bool,
    values: Vec<String>,
}

impl ToolPattern {
    /// Whether a tool's name is meant.
    #[must_use]
    pub fn names(&self, tool: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(beginning) => tool.starts_with(beginning),
            None => self.name == tool,
        }
    }

    /// Whether every call of the tool is meant, whatever its arguments.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.arguments.is_empty()
    }

    /// Whether a call is meant.
    #[must_use]
    pub fn matches(
        &self,
        tool: &str,
        arguments: Option<&Map<String, Value>>,
        reading: Reading,
    ) -> bool {
        let is_named = match reading {
            Reading::Exact => self.names(tool),
            Reading::Broad => self.may_name(tool),
        };
        is_named
            && self
                .arguments
                .iter()
                .all(|rule| rule.holds(arguments, reading))
    }

    /// Whether which calls of a tool are meant depends on their arguments.
    #[must_use]
    pub fn heeds_arguments(&self, tool: &str) -> bool {
        !self.is_whole() && self.may_name(tool)
    }

    fn may_name(&self, tool: &str) -> bool {
        let own = self.name.to_ascii_lowercase();
        let found = tool.trim().to_ascii_lowercase();
        match own.strip_suffix('*') {
            Some(beginning) => found.starts_with(beginning),
            None => own == found,
        }
    }
}

impl ArgumentRule {
    fn holds(&self, arguments: Option<&Map<String, Value>>, reading: Reading) -> bool {
        let found = arguments.and_then(|arguments| match reading {
            Reading::Exact => arguments.get(&self.name),
            // A name in another case is another argument, or the same one to a lenient server.
            Reading::Broad => arguments.get(&self.name).or_else(|| {
                let mut pairs = arguments.iter();
                pairs
                    .find(|(name, _)| name.trim().eq_ignore_ascii_case(&self.name))
                    .map(|(_, value)| value)
            }),
        });
        match (self.is_negated, reading) {
            (false, _) => found.is_some_and(|value| self.lists(value, reading)),
            // "Anything but these" holds something back where it is read broadly: only a letter-perfect value escapes.
            (true, Reading::Broad) => !found.is_some_and(|value| self.lists(value, Reading::Exact)),
            (true, Reading::Exact) => !found.is_some_and(|value| self.lists(value, Reading::Broad)),
        }
    }

    fn lists(&self, value: &Value, reading: Reading) -> bool {
        let is = |text: &str| match reading {
            Reading::Exact => self.values.iter().any(|own| own == text),
            Reading::Broad => {
                let text = text.trim().replace('_', "-");
                let mut own = self.values.iter().map(|own| own.replace('_', "-"));
                own.any(|own| own.eq_ignore_ascii_case(&text))
            }
        };
        match value {
            Value::String(text) => is(text),
            Value::Bool(_) | Value::Number(_) => is(&value.to_string()),
            Value::Array(items) => {
                reading == Reading::Broad && items.iter().any(|item| self.lists(item, reading))
            }
            Value::Null | Value::Object(_) => false,
        }
    }
}

impl FromStr for ToolPattern {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        let (name, arguments) = match text.split_once('(') {
            None => (text, Vec::new()),
            Some((name, rest)) => {
                let list = rest
                    .strip_suffix(')')
                    .ok_or_else(|| wrong(text, "its bracket is not closed"))?;
                let rules = list.split(',').map(|rule| argument(text, rule));
                (name.trim_end(), rules.collect::<Result<_, _>>()?)
            }
        };
        let is_name =
            |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != ')';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(wrong(text, "it needs a tool's name"));
        }
        Ok(Self {
            name: name.to_owned(),
            arguments,
        })
    }
}

fn argument(whole: &str, rule: &str) -> Result<ArgumentRule, Refusal> {
    let (name, values) = rule
        .split_once('=')
        .ok_or_else(|| wrong(whole, "an argument stands as `name=value`"))?;
    let (name, is_negated) = match name.strip_suffix('!') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let values: Vec<_> = values
        .split('|')
        .map(|value| value.trim().to_owned())
        .collect();
    let name = name.trim();
    if name.is_empty() || values.iter().any(String::is_empty) {
        return Err(wrong(whole, "an argument needs a name and values"));
    }
    Ok(ArgumentRule {
        name: name.to_owned(),
        is_negated,
        values,
    })
}

impl TryFrom<String> for ToolPattern {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<ToolPattern> for String {
    fn from(pattern: ToolPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for ToolPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.arguments.is_empty() {
            return Ok(());
        }
        let rules = self.arguments.iter().map(|rule| {
            let sign = if rule.is_negated { "!=" } else { "=" };
            format!("{}{sign}{}", rule.name, rule.values.join("|"))
        });
        write!(f, "({})", rules.collect::<Vec<_>>().join(", "))
    }
}

fn wrong(text: &str, why: &str) -> Refusal {
    let text: String = text
        .chars()
        .filter(|letter| !letter.is_control())
        .take(80)
        .collect();
    Refusal::new(
        Code::RightsInvalid,
        format!(
            "{text:?} is no pattern of calls: {}.",
            why.trim_end_matches('.')
        ),
        "Write `METHOD /path/`, such as `POST /workspace/`, or `tool NAME(argument=value)`, such as `tool storage(action=delete)`.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(pattern: &str, method: &str, path: &str) -> (bool, bool) {
        let pattern: RestPattern = pattern.parse().unwrap();
        let path = ApiPath::parse(path).unwrap();
        (
            pattern.matches(method, &path, Reading::Exact),
            pattern.matches(method, &path, Reading::Broad),
        )
    }

    fn tool(pattern: &str, name: &str, arguments: &str) -> (bool, bool) {
        let pattern: ToolPattern = pattern.parse().unwrap();
        let arguments: Map<String, Value> = serde_json::from_str(arguments).unwrap();
        (
            pattern.matches(name, Some(&arguments), Reading::Exact),
            pattern.matches(name, Some(&arguments), Reading::Broad),
        )
    }

    #[test]
    fn a_path_stands_for_itself_and_what_is_below_it() {
        let both = (true, true);
        let neither = (false, false);
        assert_eq!(rest("POST /workspace/", "POST", "workspace/1/x/"), both);
        assert_eq!(rest("POST /workspace/", "POST", "workspace"), both);
        assert_eq!(rest("POST /workspace/", "GET", "workspace/1/"), neither);
        assert_eq!(rest("* /workspace/12", "GET", "workspace/123/"), neither);
        assert_eq!(rest("* /", "PATCH", "anything/at/all"), both);
        assert_eq!(rest("* /user/auth/$", "GET", "user/auth/"), both);
        assert_eq!(rest("* /user/auth/$", "GET", "user/auth/check/"), neither);
        assert_eq!(
            rest(
                "GET,HEAD /*/*/storage/*/read/$",
                "HEAD",
                "share/1/storage/n/read/"
            ),
            both
        );
    }

    #[test]
    fn what_is_held_back_is_held_back_in_every_spelling() {
        assert_eq!(
            rest("* /user/auth/key/", "POST", "User/AUTH/key"),
            (false, true)
        );
        assert_eq!(
            rest("* /user/auth/key/", "POST", "user/auth/key;x=1/"),
            (false, true)
        );
        assert_eq!(
            rest("* /user/auth/key/", "POST", "user/auth/%6bey/"),
            (true, true)
        );
        let deletes = "storage(action=bulk-delete)";
        assert_eq!(
            tool(deletes, "storage", r#"{"action":"bulk-delete"}"#),
            (true, true)
        );
        for lenient in [
            r#"{"action":" Bulk-Delete "}"#,
            r#"{"action":"bulk_delete"}"#,
            r#"{"Action":"bulk-delete"}"#,
            r#"{"action":["bulk-delete"]}"#,
        ] {
            assert_eq!(
                tool(deletes, "storage", lenient),
                (false, true),
                "{lenient}"
            );
        }
        assert_eq!(
            tool(deletes, "Storage", r#"{"action":"bulk-delete"}"#),
            (false, true)
        );
        let others = "auth(action!=status|check)";
        assert_eq!(
            tool(others, "auth", r#"{"action":"status"}"#),
            (false, false)
        );
        assert_eq!(tool(others, "auth", r#"{"action":"signin"}"#), (true, true));
        assert_eq!(
            tool(others, "auth", r#"{"action":"Status"}"#),
            (false, true)
        );
        assert_eq!(tool(others, "auth", "{}"), (true, true));
    }

    #[test]
    fn patterns_are_written_as_they_are_read() {
        for text in [
            "POST /workspace/",
            "GET,HEAD /a/*/b/",
            "* /user/auth/$",
            "* /",
            "* /a%20b/",
            "tool storage",
            "tool storage(action=list|details)",
            "tool auth(action!=status, mode=a)",
            "tool auth_*",
        ] {
            let pattern: CallPattern = text.parse().unwrap();
            assert_eq!(pattern.to_string(), text);
            let json = serde_json::to_string(&pattern).unwrap();
            assert_eq!(serde_json::from_str::<CallPattern>(&json).unwrap(), pattern);
        }
        for bad in [
            "",
            "POST",
            "post /x/",
            "POST x/",
            "POST /../x",
            "tool ",
            "tool a(b",
            "tool a(b)",
            "tool a(=b)",
            "tool a(b=)",
            "tool a b",
        ] {
            assert_eq!(
                bad.parse::<CallPattern>().unwrap_err().code,
                Code::RightsInvalid,
                "{bad:?}"
            );
        }
    }
}
