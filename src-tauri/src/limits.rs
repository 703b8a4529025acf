//! Limits as a person types them, before they are given: which of them cannot be read, and why.

use doorward_core::pattern::{CallPattern, RestPattern, ToolPattern};
use doorward_core::problem::Refusal;
use serde::{Deserialize, Serialize};

/// What was typed, one list for each field.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct TypedLimits {
    /// Only paths below these.
    paths: Vec<String>,
    /// Only these HTTP methods.
    methods: Vec<String>,
    /// Only these tools.
    tools: Vec<String>,
    /// A person is asked for these calls.
    ask: Vec<String>,
    /// These calls are denied.
    deny: Vec<String>,
}

/// A field of which something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct WrongLimit {
    /// The field, by its name in [`TypedLimits`].
    field: &'static str,
    /// What is the matter with the first such line of it.
    message: String,
}

impl TypedLimits {
    /// What is wrong, at most once for each field.
    pub(crate) fn wrong(self) -> Vec<WrongLimit> {
        let path = |text: &str| RestPattern::below(text).map(drop);
        let method = |text: &str| format!("{text} /").parse::<RestPattern>().map(drop);
        let tool = |text: &str| text.parse::<ToolPattern>().map(drop);
        let call = |text: &str| text.parse::<CallPattern>().map(drop);
        [
            first_wrong("paths", &self.paths, path),
            first_wrong("methods", &self.methods, method),
            first_wrong("tools", &self.tools, tool),
            first_wrong("ask", &self.ask, call),
            first_wrong("deny", &self.deny, call),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn first_wrong(
    field: &'static str,
    typed: &[String],
    read: impl Fn(&str) -> Result<(), Refusal>,
) -> Option<WrongLimit> {
    let mut refusals = typed.iter().filter_map(|text| read(text).err());
    refusals.next().map(|refusal| WrongLimit {
        field,
        message: refusal.detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(field: &str, text: &str) -> TypedLimits {
        let mut json =
            serde_json::json!({"paths": [], "methods": [], "tools": [], "ask": [], "deny": []});
        json[field] = serde_json::json!([text]);
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_can_be_read_is_not_complained_about() {
        for (field, text) in [
            ("paths", "/workspace/7/"),
            ("methods", "GET"),
            ("tools", "storage(action=list|details)"),
            ("ask", "POST,PUT /workspace/"),
            ("deny", "tool storage(action=delete)"),
        ] {
            assert_eq!(typed(field, text).wrong(), [], "{text}");
        }
        assert_eq!(TypedLimits::default().wrong(), []);
    }

    #[test]
    fn what_cannot_be_read_is_said_in_the_patterns_own_words() {
        for (field, text, why) in [
            ("paths", "workspace", "its path does not begin with a slash"),
            ("methods", "get", "methods stand in capitals"),
            ("tools", "storage(action", "its bracket is not closed"),
            ("ask", "POST", "it needs a method, or `*`, and a path"),
            ("deny", "tool ", "it needs a"),
        ] {
            let wrong = typed(field, text).wrong();
            let [wrong] = wrong.as_slice() else {
                panic!("{text}: {wrong:?}")
            };
            assert_eq!(wrong.field, field);
            assert!(wrong.message.contains(why), "{}", wrong.message);
        }
    }
}
