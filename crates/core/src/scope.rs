//! What is asked of a provider and what it granted, which may be less.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the person chose to ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The scope words, as the provider names them.
    pub scope: String,
    /// Whether only reading is asked for, where the provider can be told.
    pub read_only: bool,
    /// The name the consent page shows for who will act.
    pub agent_name: String,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The granted scopes, one each. Empty when the provider named none.
    pub scopes: Vec<String>,
    /// Whether the provider said what it granted. Where it did not, RFC 6749 §5.1 says: what was asked.
    pub stated: bool,
}

impl Granted {
    /// Reads `scopes` and `scope` of a token reply.
    ///
    /// Fast.io sends `scopes` as text that holds a JSON array, and has sent a real array too; others send RFC 6749's
    /// `scope` with spaces. The finer of the two wins where both are there.
    #[must_use]
    pub fn from_reply(scope: Option<&Value>, scopes: Option<&Value>) -> Self {
        let listed = scopes
            .and_then(list_of_scopes)
            .filter(|list| !list.is_empty());
        let words = || {
            let text = scope?.as_str()?;
            let words: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
            (!words.is_empty()).then_some(words)
        };
        match listed.or_else(words) {
            Some(scopes) => Self {
                scopes: scopes.iter().map(|scope| printable(scope)).collect(),
                stated: true,
            },
            None => Self::default(),
        }
    }

    /// The scopes as one RFC 6749 `scope` text.
    #[must_use]
    pub fn as_scope(&self) -> String {
        self.scopes.join(" ")
    }
}

/// Scopes are shown on terminals and joined with spaces: what could forge either is struck.
fn printable(scope: &str) -> String {
    scope
        .chars()
        .filter(|letter| !letter.is_control() && !letter.is_whitespace())
        .collect()
}

fn list_of_scopes(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => Some(
            items
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        ),
        Value::String(text) if text.trim_start().starts_with('[') => {
            serde_json::from_str(text).ok()
        }
        Value::String(text) => Some(text.split_ascii_whitespace().map(str::to_owned).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn granted_scopes_are_read_in_every_form_a_provider_sends() {
        let read =
            |scope: Value, scopes: Value| Granted::from_reply(Some(&scope), Some(&scopes)).scopes;
        assert_eq!(
            read(Value::Null, json!("[\"org:1:rw\",\"org:2:r\"]")),
            ["org:1:rw", "org:2:r"]
        );
        assert_eq!(
            read(json!("workspace"), json!(["workspace:7:r"])),
            ["workspace:7:r"]
        );
        assert_eq!(
            read(json!("openid offline_access"), Value::Null),
            ["openid", "offline_access"]
        );
        assert_eq!(read(json!("user"), json!(" ")), ["user"]);
        let silent = Granted::from_reply(None, Some(&json!("")));
        assert!(!silent.stated && silent.scopes.is_empty());
    }
}
