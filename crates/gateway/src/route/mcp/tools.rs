//! Lists of tools, as far as a grant goes.
//!
//! A tool that no arguments could make allowed is not shown, on whichever page, in whichever answer and on whichever
//! stream its list comes: what is a list of tools is told by its form, as a resumed stream brings an answer again
//! whose request nobody remembers. Cursors stay, so a page may come out empty.

use doorward_core::decide::calling::{self, Call, Verdict};
use doorward_core::grant::Policy;
use doorward_core::upstream::Upstream;
use serde_json::{Map, Value};

use super::json::{self, Members};
use super::memory::Hint;
use crate::argument_headers::{MARK, Repeated};

/// What a grant allows.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) policy: &'a Policy,
    pub(super) upstream: &'a Upstream,
}

/// What was made of a result.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// The result, where it changed.
    pub(super) result: Option<String>,
    /// What the list says of its tools.
    pub(super) hints: Vec<(String, Hint)>,
}

/// Filters a result, if it is a list of tools.
pub(super) fn filter(rules: Rules<'_>, result: &str) -> Shown {
    let mut shown = Shown::default();
    let Some(mut members) = Members::read(result) else {
        return shown;
    };
    let Some(list) = members.get("tools").and_then(json::elements) else {
        return shown;
    };
    let mut kept: Vec<std::borrow::Cow<'_, str>> = Vec::with_capacity(list.len());
    let mut is_changed = false;
    for tool in list {
        let Some(described) = Members::read(tool) else {
            // What is no tool is nothing that could be called.
            is_changed = true;
            continue;
        };
        let Some(name) = described.text("name") else {
            is_changed = true;
            continue;
        };
        let is_reading = described
            .object("annotations")
            .is_some_and(|annotations| annotations.get("readOnlyHint") == Some("true"));
        if !calling::shows_tool(rules.policy, rules.upstream, &name, is_reading) {
            is_changed = true;
            continue;
        }
        match narrowed(rules, &name, is_reading, &described) {
            Some(tool) => {
                is_changed = true;
                kept.push(tool.into());
            }
            None => kept.push(tool.into()),
        }
        let hint = Hint {
            is_reading,
            repeated: repeated(&described),
        };
        shown.hints.push((name, hint));
    }
    if is_changed {
        let list = json::list(kept.iter().map(|tool| &**tool));
        let says_how_long = ["ttlMs", "cacheScope", "resultType"]
            .iter()
            .any(|member| members.get(member).is_some());
        members.set("tools", list);
        if says_how_long {
            // One agent's list is no other's.
            members.set("cacheScope", json::quoted("private"));
        }
        shown.result = Some(members.write());
    }
    shown
}

/// Which of a tool's arguments are repeated in headers; nothing where its schema says that wrongly.
fn repeated(tool: &Members<'_>) -> Option<Repeated> {
    // Hardly any tool has such arguments, and a schema is large.
    let schema = tool
        .get("inputSchema")
        .filter(|schema| schema.contains(MARK));
    let Some(schema) = schema else {
        return Some(Repeated::default());
    };
    let schema: Value = serde_json::from_str(schema).ok()?;
    Repeated::of(&schema).ok()
}

/// The tool with those values of `action` that are not denied, where its schema lists them.
fn narrowed(
    rules: Rules<'_>,
    name: &str,
    read_only_hint: bool,
    tool: &Members<'_>,
) -> Option<String> {
    if rules
        .upstream
        .code_tools
        .iter()
        .any(|code| code.tool == name)
    {
        return None;
    }
    let mut schema = tool.object("inputSchema")?;
    let mut properties = schema.object("properties")?;
    let mut action = properties.object("action")?;
    let values: Vec<Value> = serde_json::from_str(action.get("enum")?).ok()?;
    let is_open = |value: &&Value| {
        let mut arguments = Map::new();
        arguments.insert("action".to_owned(), (*value).clone());
        let call = Call::Tool {
            name,
            arguments: Some(&arguments),
            read_only_hint,
        };
        !matches!(
            calling::judge(rules.policy, rules.upstream, &call),
            Verdict::Deny(_)
        )
    };
    let open: Vec<&Value> = values.iter().filter(is_open).collect();
    // Where another argument decides, none passes by itself, and none is left out.
    if open.is_empty() || open.len() == values.len() {
        return None;
    }
    action.set("enum", json::written(&open));
    let action = action.write();
    properties.set("action", action);
    let properties = properties.write();
    schema.set("properties", properties);
    let schema = schema.write();
    let mut tool = tool.clone();
    tool.set("inputSchema", schema);
    Some(tool.write())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(tools: &[&str]) -> Policy {
        Policy {
            tools: tools.iter().map(|tool| tool.parse().unwrap()).collect(),
            ..Policy::default()
        }
    }

    fn upstream(credentials: &[&str]) -> Upstream {
        Upstream {
            credentials: credentials
                .iter()
                .map(|pattern| pattern.parse().unwrap())
                .collect(),
            ..Upstream::default()
        }
    }

    const PAGE: &str = r#"{"ttlMs":1000, "tools":[{"name":"storage","inputSchema":{"type":"object","properties":{"action":{"type":"string","enum":["list","details","delete"]},"id":{}}}},{"name":"auth","annotations":{"readOnlyHint":true}},{"name":"find","title":"é","annotations":{"readOnlyHint":true}}],"nextCursor":"c2","_meta":{"x":1}}"#;

    #[test]
    fn only_what_a_grant_could_allow_is_shown_and_the_cursor_stays() {
        let shown = filter(
            Rules {
                policy: &policy(&["find", "storage(action=list|details)"]),
                upstream: &upstream(&[]),
            },
            PAGE,
        );
        assert_eq!(
            shown.result.as_deref(),
            Some(
                r#"{"ttlMs":1000,"tools":[{"name":"storage","inputSchema":{"type":"object","properties":{"action":{"type":"string","enum":["list","details"]},"id":{}}}},{"name":"find","title":"é","annotations":{"readOnlyHint":true}}],"nextCursor":"c2","_meta":{"x":1},"cacheScope":"private"}"#
            )
        );
        let read: Vec<_> = shown
            .hints
            .iter()
            .map(|(name, hint)| (name.as_str(), hint.is_reading))
            .collect();
        assert_eq!(read, [("storage", false), ("find", true)]);
    }

    #[test]
    fn a_page_may_come_out_empty() {
        let shown = filter(
            Rules {
                policy: &policy(&["nothing"]),
                upstream: &upstream(&[]),
            },
            r#"{"tools":[{"name":"a"}],"nextCursor":"c"}"#,
        );
        assert_eq!(
            shown.result.as_deref(),
            Some(r#"{"tools":[],"nextCursor":"c"}"#)
        );
    }

    #[test]
    fn tools_that_mint_credentials_are_hidden_from_everybody() {
        let rules = upstream(&["tool auth"]);
        let shown = filter(
            Rules {
                policy: &Policy::default(),
                upstream: &rules,
            },
            PAGE,
        );
        assert!(!shown.result.unwrap().contains("\"auth\""));
        let manager = Policy {
            may_manage_sign_in: true,
            ..Policy::default()
        };
        let all = filter(
            Rules {
                policy: &manager,
                upstream: &rules,
            },
            PAGE,
        );
        assert_eq!(
            all.result, None,
            "nothing changed, so it passes byte for byte"
        );
        assert_eq!(all.hints.len(), 3);
    }

    #[test]
    fn a_list_tells_which_arguments_are_repeated_in_headers() {
        let rules = Rules {
            policy: &Policy::default(),
            upstream: &upstream(&[]),
        };
        let list = r#"{"tools":[{"name":"plain","inputSchema":{"properties":{"a":{"type":"string"}}}},{"name":"marked","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}},{"name":"unfit","inputSchema":{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}}]}"#;
        let shown = filter(rules, list);
        assert_eq!(shown.result, None, "the tools are the client's to reject");
        let marked = json!({ "properties": { "a": { "type": "string", "x-mcp-header": "A" } } });
        let told: Vec<_> = shown
            .hints
            .into_iter()
            .map(|(_, hint)| hint.repeated)
            .collect();
        assert_eq!(
            told,
            [Some(Repeated::default()), Repeated::of(&marked).ok(), None]
        );
    }

    #[test]
    fn what_is_no_list_of_tools_is_not_touched() {
        let limited = policy(&["nothing"]);
        let upstream = upstream(&[]);
        for text in [
            r#"{"content":[{"type":"text","text":"tools"}]}"#,
            r#"{"tools":{"listChanged":true}}"#,
            "[1]",
        ] {
            let rules = Rules {
                policy: &limited,
                upstream: &upstream,
            };
            assert_eq!(filter(rules, text), Shown::default(), "{text}");
        }
    }
}
