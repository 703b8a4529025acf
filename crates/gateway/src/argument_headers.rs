//! Arguments of a tool that are repeated in headers, as MCP has it from 2026-07-28.
//!
//! A server marks a property of a tool's input with `x-mcp-header: NAME`, and whoever calls the tool over HTTP repeats
//! that argument in `Mcp-Param-NAME`, for those on the way who do not read bodies. Both ends have to mean the same
//! argument, so a mark is good only where there is one way to it, by names alone, and a tool with any other is not to
//! be called over HTTP at all.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

/// The member of a property that marks it.
pub const MARK: &str = "x-mcp-header";
/// How such headers begin.
const PREFIX: &str = "mcp-param-";
/// Members of a schema whose value is data, and no schema.
const DATA: [&str; 4] = ["const", "default", "enum", "examples"];
/// Members of a schema that hold schemas by names of their own.
const BY_NAME: [&str; 5] = [
    "properties",
    "patternProperties",
    "dependentSchemas",
    "$defs",
    "definitions",
];

/// Whether a header repeats an argument.
#[must_use]
pub fn is_one(header: &HeaderName) -> bool {
    header.as_str().starts_with(PREFIX)
}

/// The arguments of one tool that are repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeated(Vec<Marked>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Marked {
    header: HeaderName,
    /// The names that lead to the argument.
    path: Vec<String>,
}

/// Why a tool's marks cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit(&'static str);

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Repeated {
    /// Reads the marks in a tool's `inputSchema`.
    pub fn of(schema: &Value) -> Result<Self, Unfit> {
        let mut repeated = Self::default();
        if let Value::Object(schema) = schema {
            if schema.contains_key(MARK) {
                return Err(Unfit("a mark stands where there is no argument"));
            }
            repeated.collect(schema, &mut Vec::new())?;
        }
        Ok(repeated)
    }

    fn collect(
        &mut self,
        schema: &Map<String, Value>,
        path: &mut Vec<String>,
    ) -> Result<(), Unfit> {
        for (member, value) in schema {
            if let ("properties", Value::Object(properties)) = (member.as_str(), value) {
                for (name, property) in properties {
                    let Value::Object(property) = property else {
                        continue;
                    };
                    path.push(name.clone());
                    self.mark(property, path)?;
                    self.collect(property, path)?;
                    path.pop();
                }
            } else if member != MARK && holds_mark(member, value) {
                return Err(Unfit(
                    "a mark stands where more than one way leads, or none",
                ));
            }
        }
        Ok(())
    }

    fn mark(&mut self, property: &Map<String, Value>, path: &[String]) -> Result<(), Unfit> {
        let Some(mark) = property.get(MARK) else {
            return Ok(());
        };
        let name = mark.as_str().filter(|name| !name.is_empty());
        let header = name.and_then(|name| HeaderName::try_from(format!("{PREFIX}{name}")).ok());
        let header = header.ok_or(Unfit("a mark is no name of a header"))?;
        if !is_plain(property.get("type")) {
            return Err(Unfit(
                "an argument is marked that is no text, integer or boolean",
            ));
        }
        if self.0.iter().any(|marked| marked.header == header) {
            return Err(Unfit("two arguments are marked with the same name"));
        }
        let path = path.to_vec();
        self.0.push(Marked { header, path });
        Ok(())
    }

    /// The headers that repeat these arguments. One that is not there, or null, has none.
    #[must_use]
    pub fn headers(&self, arguments: Option<&Map<String, Value>>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for marked in &self.0 {
            let text = marked.find(arguments).and_then(text_of);
            if let Some(value) = text.and_then(|text| HeaderValue::try_from(&*written(&text)).ok())
            {
                headers.insert(marked.header.clone(), value);
            }
        }
        headers
    }

    /// Whether the headers that repeat these arguments say what they say: the name of one that does not.
    pub fn check(
        &self,
        headers: &HeaderMap,
        arguments: Option<&Map<String, Value>>,
    ) -> Result<(), &HeaderName> {
        let lies = |marked: &&Marked| {
            let mut stated = headers.get_all(&marked.header).iter();
            match (stated.next(), stated.next()) {
                // Whether it may be missing is the server's business.
                (None, _) => false,
                (Some(stated), None) => {
                    let stated = stated.to_str().ok().and_then(decoded);
                    let found = marked.find(arguments);
                    !stated
                        .zip(found)
                        .is_some_and(|(stated, found)| says(&stated, found))
                }
                (Some(_), Some(_)) => true,
            }
        };
        match self.0.iter().find(lies) {
            Some(marked) => Err(&marked.header),
            None => Ok(()),
        }
    }
}

impl Marked {
    fn find<'a>(&self, arguments: Option<&'a Map<String, Value>>) -> Option<&'a Value> {
        let (last, before) = self.path.split_last()?;
        let mut object = arguments?;
        for name in before {
            object = object.get(name)?.as_object()?;
        }
        object.get(last)
    }
}

/// Whether a schema below this member holds a mark.
fn holds_mark(member: &str, value: &Value) -> bool {
    if DATA.contains(&member) {
        return false;
    }
    match value.as_object() {
        Some(schemas) if BY_NAME.contains(&member) => schemas.values().any(is_marked),
        Some(_) | None => is_marked(value),
    }
}

fn is_marked(schema: &Value) -> bool {
    match schema {
        Value::Object(schema) => schema
            .iter()
            .any(|(member, value)| member == MARK || holds_mark(member, value)),
        Value::Array(schemas) => schemas.iter().any(is_marked),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether a type has values that a header can hold: text, integers and booleans, and null beside them, which is left
/// out.
fn is_plain(kind: Option<&Value>) -> bool {
    let is_plain = |kind: &Value| matches!(kind.as_str(), Some("string" | "integer" | "boolean"));
    match kind {
        Some(Value::Array(kinds)) => {
            kinds.iter().any(is_plain) && kinds.iter().all(|kind| is_plain(kind) || kind == "null")
        }
        Some(kind) => is_plain(kind),
        None => false,
    }
}

/// Beyond it, not every reader of JSON tells two integers apart.
const MOST_EXACT: f64 = 9_007_199_254_740_991.0;

/// An argument as a header says it.
fn text_of(argument: &Value) -> Option<Cow<'_, str>> {
    match argument {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(is) => Some(Cow::Borrowed(if *is { "true" } else { "false" })),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64()?;
            let is_integer = number.fract() == 0.0 && number.abs() <= MOST_EXACT;
            is_integer.then(|| Cow::Owned(format!("{number:.0}")))
        }
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a header says what an argument says. Integers are compared as numbers.
fn says(stated: &str, argument: &Value) -> bool {
    if text_of(argument).is_some_and(|text| text == stated) {
        return true;
    }
    let number = argument
        .as_f64()
        .filter(|number| number.abs() <= MOST_EXACT);
    let same = |number: f64| {
        stated
            .parse::<f64>()
            .is_ok_and(|stated| stated.total_cmp(&number).is_eq())
    };
    number.is_some_and(same)
}

/// A value as it may stand in a header: in base64 where it could not stand plainly.
#[must_use]
pub fn written(value: &str) -> Cow<'_, str> {
    let is_plain = value.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        && value.trim() == value
        && !value.starts_with(OPENS);
    if is_plain {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!("{OPENS}{}{CLOSES}", STANDARD.encode(value)))
    }
}

/// What a header's value says; nothing where it says it wrongly.
#[must_use]
pub fn decoded(value: &str) -> Option<Cow<'_, str>> {
    let wrapped = value
        .strip_prefix(OPENS)
        .and_then(|rest| rest.strip_suffix(CLOSES));
    match wrapped {
        None => Some(Cow::Borrowed(value)),
        Some(wrapped) => {
            let bytes = STANDARD.decode(wrapped).ok()?;
            String::from_utf8(bytes).ok().map(Cow::Owned)
        }
    }
}

const OPENS: &str = "=?base64?";
const CLOSES: &str = "?=";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Option<&Map<String, Value>> {
        value.as_object()
    }

    fn pairs(headers: &HeaderMap) -> Vec<(&str, &str)> {
        let pairs = headers.iter();
        let mut pairs: Vec<_> = pairs
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        pairs.sort_unstable();
        pairs
    }

    fn schema() -> Value {
        json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "limit": { "type": ["integer", "null"], "x-mcp-header": "Limit" },
            "options": { "type": "object", "properties": {
                "dry": { "type": "boolean", "x-mcp-header": "Dry-Run" },
            } },
            "x-mcp-header": { "type": "string", "default": { "x-mcp-header": 1 } },
            "query": { "type": "string" },
        } })
    }

    #[test]
    fn marked_arguments_are_repeated_where_they_have_a_value() {
        let repeated = Repeated::of(&schema()).unwrap();
        let arguments =
            json!({ "region": "us-west1", "limit": -7, "options": { "dry": false }, "query": "x" });
        assert_eq!(
            pairs(&repeated.headers(object(&arguments))),
            [
                ("mcp-param-dry-run", "false"),
                ("mcp-param-limit", "-7"),
                ("mcp-param-region", "us-west1")
            ]
        );
        let few = json!({ "region": null, "limit": 42.0, "options": "none", "dry": true });
        assert_eq!(
            pairs(&repeated.headers(object(&few))),
            [("mcp-param-limit", "42")]
        );
        let none = json!({ "region": ["a"], "limit": 1.5 });
        assert!(repeated.headers(object(&none)).is_empty());
        assert!(repeated.headers(None).is_empty());
    }

    #[test]
    fn what_cannot_stand_in_a_header_stands_there_in_base64() {
        for (value, expected) in [
            ("us-west1", "us-west1"),
            ("a b", "a b"),
            ("", ""),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(written(value), expected, "{value:?}");
            assert_eq!(decoded(expected).as_deref(), Some(value));
        }
        assert_eq!(decoded("=?base64?!?="), None);
        assert_eq!(
            decoded("=?BASE64?YQ==?=").as_deref(),
            Some("=?BASE64?YQ==?=")
        );
    }

    #[test]
    fn a_mark_that_two_could_follow_differently_is_unfit() {
        let marked = json!({ "type": "string", "x-mcp-header": "A" });
        for schema in [
            json!({ "x-mcp-header": "A" }),
            json!({ "properties": { "a": { "type": "string", "x-mcp-header": "" } } }),
            json!({ "properties": { "a": { "type": "string", "x-mcp-header": 1 } } }),
            json!({ "properties": { "a": { "type": "string", "x-mcp-header": "a b" } } }),
            json!({ "properties": { "a": { "type": "string", "x-mcp-header": "a\r\nb" } } }),
            json!({ "properties": { "a": { "type": "string", "x-mcp-header": "é" } } }),
            json!({ "properties": { "a": { "type": "number", "x-mcp-header": "A" } } }),
            json!({ "properties": { "a": { "type": "object", "x-mcp-header": "A" } } }),
            json!({ "properties": { "a": { "type": "null", "x-mcp-header": "A" } } }),
            json!({ "properties": { "a": { "type": ["string", "array"], "x-mcp-header": "A" } } }),
            json!({ "properties": { "a": { "$ref": "#/$defs/a", "x-mcp-header": "A" } } }),
            json!({ "properties": { "a": marked, "b": { "type": "string", "x-mcp-header": "a" } } }),
            json!({ "properties": { "a": { "type": "array", "items": marked } } }),
            json!({ "properties": { "a": { "anyOf": [marked] } } }),
            json!({ "oneOf": [{ "properties": { "a": marked } }] }),
            json!({ "if": { "properties": { "a": marked } } }),
            json!({ "$defs": { "a": marked } }),
            json!({ "patternProperties": { "^a": marked } }),
        ] {
            assert!(Repeated::of(&schema).is_err(), "{schema}");
        }
        assert_eq!(
            Repeated::of(&json!({ "type": "object" })),
            Ok(Repeated::default())
        );
        assert_eq!(Repeated::of(&Value::Null), Ok(Repeated::default()));
    }

    #[test]
    fn a_header_that_says_something_else_than_its_argument_is_found() {
        let repeated = Repeated::of(&schema()).unwrap();
        let arguments = json!({ "region": "é", "limit": 42, "query": "north", "options": {} });
        let check = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            repeated
                .check(&headers, object(&arguments))
                .map_err(ToString::to_string)
        };
        for agreeing in [
            &[][..],
            &[("mcp-param-region", "=?base64?w6k=?=")],
            &[("mcp-param-limit", "42")],
            &[("mcp-param-limit", "42.0")],
            &[("mcp-param-unknown", "x"), ("mcp-param-unknown", "y")],
        ] {
            assert_eq!(check(agreeing), Ok(()), "{agreeing:?}");
        }
        for lying in [
            &[("mcp-param-region", "north")][..],
            &[("mcp-param-region", "=?base64?!?=")],
            &[
                ("mcp-param-region", "=?base64?w6k=?="),
                ("mcp-param-region", "=?base64?w6k=?="),
            ],
            &[("mcp-param-limit", "43")],
            &[("mcp-param-limit", "NaN")],
            &[("mcp-param-dry-run", "true")],
        ] {
            assert!(check(lying).is_err(), "{lying:?}");
        }
    }
}
