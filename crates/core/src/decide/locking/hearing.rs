//! What a call's answer tells of a lock.
//!
//! Providers wrap answers in envelopes, and tools write theirs as text for a model, so the token is looked for by its
//! name wherever it may stand. Taking something for a token that is none costs a release that the provider refuses;
//! missing one costs a lock that stands until it lapses.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api_path::ApiPath;
use crate::decide::calling::{Call, carried_calls, code_tool};
use crate::lock::LONGEST_LIFE;
use crate::pattern::{CallPattern, Reading};
use crate::secret::LockToken;
use crate::time::Timestamp;
use crate::upstream::{LockDeed, LockRules, Upstream};

use super::{LockNews, LockTaken};

/// A call that went well, and its answer.
#[derive(Clone, Copy)]
pub struct Heard<'a> {
    /// The call.
    pub call: Call<'a>,
    /// Its body, where it is a form and at hand: it may say for how long the lock was wanted.
    pub form: &'a [u8],
    /// The answer: of the REST API its JSON, of a tool the result.
    pub answer: &'a Value,
}

/// Whether a call is about a lock, so that its answer is worth looking into.
#[must_use]
pub fn concerns(upstream: &Upstream, call: &Call<'_>) -> bool {
    deed(upstream, call).is_some()
}

/// What a call that went well did with a lock; nothing where it did nothing.
#[must_use]
pub fn hear(upstream: &Upstream, heard: Heard<'_>, now: Timestamp) -> Option<LockNews> {
    let rules = upstream.locks.as_ref()?;
    let (deed, path) = deed(upstream, &heard.call)?;
    if heard.answer.get("isError") == Some(&Value::Bool(true)) {
        return None;
    }
    let until = || end_in(heard.answer, now, 0).or_else(|| end_asked(&heard, now));
    match deed {
        LockDeed::Take => {
            let token = token_in(heard.answer, &rules.field, 0)?;
            Some(LockNews::Taken(LockTaken {
                path,
                token: LockToken::new(token),
                until: until(),
            }))
        }
        LockDeed::Keep => Some(LockNews::Kept {
            path,
            until: until(),
        }),
        LockDeed::GiveBack => Some(LockNews::GivenBack { path }),
    }
}

fn deed(upstream: &Upstream, call: &Call<'_>) -> Option<(LockDeed, String)> {
    let rules = upstream.locks.as_ref()?;
    match call {
        Call::Rest { method, path } => rest_deed(rules, method, path),
        Call::Tool {
            name, arguments, ..
        } => {
            if let Some(code) = code_tool(upstream, name) {
                // Of several calls at once nobody could say whose token an answer holds.
                let carried = carried_calls(code, *arguments).ok()?;
                let [(method, path)] = carried.as_slice() else {
                    return None;
                };
                return rest_deed(rules, method, path);
            }
            // A tool may name a place in more than one way: the first path that the arguments fill is meant.
            let mut tools = rules.tools.iter();
            tools.find_map(|tool| {
                let is_meant = tool.tool.matches(name, *arguments, Reading::Broad);
                let path = is_meant.then(|| filled(&tool.path, (*arguments)?))??;
                Some((tool.does, path))
            })
        }
        Call::Mcp { .. } | Call::Blob | Call::File { .. } => None,
    }
}

fn rest_deed(rules: &LockRules, method: &str, path: &ApiPath) -> Option<(LockDeed, String)> {
    let is = |pattern: &CallPattern| match pattern {
        CallPattern::Rest(pattern) => pattern.matches(method, path, Reading::Broad),
        CallPattern::Tool(_) => false,
    };
    let is_there = match &rules.taken_by {
        CallPattern::Rest(pattern) => pattern.is_at(path, Reading::Broad),
        CallPattern::Tool(_) => false,
    };
    let deed = if is(&rules.taken_by) {
        LockDeed::Take
    } else if rules.kept_by.as_ref().is_some_and(is) {
        LockDeed::Keep
    } else if is_there && method == rules.released_by {
        LockDeed::GiveBack
    } else {
        return None;
    };
    Some((deed, path.as_sent().to_owned()))
}

/// A path with the arguments of a call in their places, each as one segment; nothing where one is missing.
fn filled(template: &str, arguments: &Map<String, Value>) -> Option<String> {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        let value = match arguments.get(name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        path.push_str(before);
        path.extend(utf8_percent_encode(&value, PLAIN));
        rest = after;
    }
    path.push_str(rest);
    ApiPath::parse(&path)
        .ok()
        .map(|path| path.as_sent().to_owned())
}

/// What identifiers are made of stays readable.
const PLAIN: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Answers are not deeper; what is would be there to keep us busy.
const DEEPEST: usize = 8;
/// Shorter is a word of the text around it, longer is no token.
const TOKEN_LENGTHS: std::ops::RangeInclusive<usize> = 4..=4096;

fn token_in(value: &Value, field: &str, depth: usize) -> Option<String> {
    if depth == DEEPEST {
        return None;
    }
    match value {
        Value::Object(object) => {
            let own = object.get(field).and_then(Value::as_str);
            let own = own.filter(|text| TOKEN_LENGTHS.contains(&text.len()));
            own.map(str::to_owned).or_else(|| {
                let mut inner = object.values();
                inner.find_map(|inner| token_in(inner, field, depth + 1))
            })
        }
        Value::Array(items) => {
            let mut items = items.iter();
            items.find_map(|item| token_in(item, field, depth + 1))
        }
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => token_in(&inner, field, depth + 1),
            _ => token_in_text(text, field),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The word that stands behind the field's name, over whatever marks it up.
fn token_in_text(text: &str, field: &str) -> Option<String> {
    let mut parts = text.match_indices(field);
    parts.find_map(|(at, _)| {
        let behind = text.get(at + field.len()..)?;
        let marks = |letter: char| " \t\"'`*_:=|>".contains(letter);
        let word = behind.trim_start_matches(marks);
        // A name that goes on is another name, and one that a sentence speaks of has nothing but a space behind it.
        let between = &behind[..behind.len() - word.len()];
        if between.trim().is_empty() {
            return None;
        }
        let is_of_tokens =
            |letter: char| letter.is_ascii_alphanumeric() || "-._~+/=".contains(letter);
        let end = word.find(|letter| !is_of_tokens(letter));
        let word = &word[..end.unwrap_or(word.len())];
        TOKEN_LENGTHS
            .contains(&word.len())
            .then(|| word.trim_end_matches('.').to_owned())
    })
}

/// When a lock ends, as an answer says it in one of the usual ways.
fn end_in(value: &Value, now: Timestamp, depth: usize) -> Option<Timestamp> {
    if depth == DEEPEST {
        return None;
    }
    let object = match value {
        Value::Object(object) => object,
        Value::String(text) => {
            let inner: Value = serde_json::from_str(text).ok()?;
            return inner.is_object().then(|| end_in(&inner, now, depth + 1))?;
        }
        Value::Array(items) => {
            let mut items = items.iter();
            return items.find_map(|item| end_in(item, now, depth + 1));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
    };
    let after = |name: &str| seconds(object.get(name)?).and_then(|length| plausible(now, length));
    let at = |name: &str| moment(object.get(name)?, now);
    after("expires_in")
        .or_else(|| after("duration"))
        .or_else(|| at("expires_at"))
        .or_else(|| at("expires"))
        .or_else(|| {
            let mut inner = object.values();
            inner.find_map(|inner| end_in(inner, now, depth + 1))
        })
}

/// For how long the call itself wanted the lock.
fn end_asked(heard: &Heard<'_>, now: Timestamp) -> Option<Timestamp> {
    let by_form = url::form_urlencoded::parse(heard.form)
        .find(|(name, _)| name == "duration")
        .and_then(|(_, value)| value.parse().ok());
    let length = match heard.call {
        Call::Tool { arguments, .. } => {
            let arguments = arguments?;
            let inside = || arguments.get("body")?.get("duration");
            seconds(arguments.get("duration").or_else(inside)?)
        }
        Call::Rest { .. } | Call::Mcp { .. } | Call::Blob | Call::File { .. } => by_form,
    };
    plausible(now, length?)
}

fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Nothing that is asked for here lives longer than a day; a number beyond that means something else.
const LONGEST_SAID: Duration = LONGEST_LIFE.saturating_mul(24);

fn plausible(now: Timestamp, seconds: u64) -> Option<Timestamp> {
    let length = Duration::from_secs(seconds);
    (!length.is_zero() && length <= LONGEST_SAID).then(|| now.plus(length))
}

fn moment(value: &Value, now: Timestamp) -> Option<Timestamp> {
    let at = match value {
        Value::Number(number) => Timestamp::from_secs(number.as_i64()?),
        Value::String(text) => {
            let text = text.trim().trim_end_matches(" UTC").replacen(' ', "T", 1);
            let zoned = if text.ends_with('Z') || text.contains('+') {
                text
            } else {
                format!("{text}Z")
            };
            let at = OffsetDateTime::parse(&zoned, &Rfc3339).ok()?;
            Timestamp::from_secs(at.unix_timestamp())
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (at > now && at.since(now) <= LONGEST_SAID).then_some(at)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::{Manifest, Provider};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn upstream() -> Upstream {
        let manifest = Manifest::fastio().unwrap();
        Provider::resolve(&manifest, None).unwrap().upstream
    }

    fn told(news: Option<LockNews>) -> String {
        let end = |until: Option<Timestamp>| {
            until.map_or_else(
                || "?".to_owned(),
                |until| until.since(NOW).as_secs().to_string(),
            )
        };
        match news {
            None => "nothing".to_owned(),
            Some(LockNews::Taken(taken)) => {
                format!(
                    "took {} by {} for {}",
                    taken.path,
                    taken.token.expose(),
                    end(taken.until)
                )
            }
            Some(LockNews::Kept { path, until }) => format!("kept {path} for {}", end(until)),
            Some(LockNews::GivenBack { path }) => format!("gave back {path}"),
        }
    }

    fn rest(method: &str, path: &str, form: &str, answer: &Value) -> String {
        let path = ApiPath::parse(path).unwrap();
        let call = Call::Rest {
            method,
            path: &path,
        };
        let form = form.as_bytes();
        told(hear(&upstream(), Heard { call, form, answer }, NOW))
    }

    fn tool(name: &str, arguments: &Value, answer: &Value) -> String {
        let call = Call::Tool {
            name,
            arguments: arguments.as_object(),
            read_only_hint: false,
        };
        let heard = Heard {
            call,
            form: &[],
            answer,
        };
        told(hear(&upstream(), heard, NOW))
    }

    const PATH: &str = "workspace/12/storage/n1-a/lock/";

    #[test]
    fn a_call_that_takes_keeps_or_gives_back_a_lock_is_understood() {
        let answer = json!({"result": true, "response": {"lock_token": "LT-1234"}});
        assert_eq!(
            rest("POST", PATH, "duration=300&client_info=%7B%7D", &answer),
            "took workspace/12/storage/n1-a/lock/ by LT-1234 for 300"
        );
        assert_eq!(
            rest(
                "POST",
                PATH,
                "",
                &json!({"lock": {"lock_token": "LT-1234", "expires_in": 60}})
            ),
            "took workspace/12/storage/n1-a/lock/ by LT-1234 for 60"
        );
        assert_eq!(
            rest(
                "POST",
                &format!("{PATH}heartbeat/"),
                "lock_token=LT-1234",
                &json!({"result": true})
            ),
            "kept workspace/12/storage/n1-a/lock/heartbeat/ for ?"
        );
        assert_eq!(
            rest("DELETE", PATH, "", &json!({"result": true})),
            "gave back workspace/12/storage/n1-a/lock/"
        );
        assert_eq!(rest("GET", PATH, "", &answer), "nothing");
        assert_eq!(rest("POST", "workspace/12/update/", "", &answer), "nothing");
        assert_eq!(rest("POST", PATH, "", &json!({"result": true})), "nothing");
    }

    #[test]
    fn a_tool_that_takes_a_lock_is_understood_in_every_form_of_its_result() {
        let arguments = json!({
            "action": "lock-acquire", "context_type": "workspace", "context_id": "12", "node_id": "n1-a",
            "duration": 90,
        });
        let took = "took workspace/12/storage/n1-a/lock/ by LT-1234 for 90";
        for result in [
            json!({"structuredContent": {"lock_token": "LT-1234"}}),
            json!({"content": [{"type": "text", "text": "{\"lock_token\":\"LT-1234\"}"}]}),
            json!({"content": [{"type": "text", "text": "# Locked\n- **lock_token**: `LT-1234`\n\nKeep it."}]}),
            json!({"content": [{"type": "text", "text": "| lock_token | LT-1234 |"}]}),
            json!({"content": [{"type": "text", "text": "The lock_token is kept.\nlock_token=LT-1234."}]}),
        ] {
            assert_eq!(tool("storage", &arguments, &result), took, "{result}");
        }
        let failed =
            json!({"isError": true, "content": [{"type": "text", "text": "lock_token: LT-1234"}]});
        assert_eq!(tool("storage", &arguments, &failed), "nothing");
        let other = json!({"action": "list", "context_type": "workspace", "context_id": "12"});
        assert_eq!(
            tool("storage", &other, &json!({"lock_token": "LT-1234"})),
            "nothing"
        );
        let release = json!({
            "action": "lock-release", "context_type": "workspace", "context_id": "12", "node_id": "n1-a",
        });
        assert_eq!(
            tool("storage", &release, &json!({"content": []})),
            "gave back workspace/12/storage/n1-a/lock/"
        );
    }

    #[test]
    fn a_tool_that_carries_a_call_is_understood_by_what_it_carries() {
        let arguments =
            json!({"method": "post", "path": format!("/{PATH}"), "body": {"duration": 120}});
        let result = json!({"content": [{"type": "text", "text": "{\"lock_token\":\"LT-1234\"}"}]});
        assert_eq!(
            tool("execute", &arguments, &result),
            "took workspace/12/storage/n1-a/lock/ by LT-1234 for 120"
        );
        let several = json!({"calls": [arguments, arguments]});
        assert_eq!(tool("execute", &several, &result), "nothing");
    }

    #[test]
    fn an_argument_cannot_lead_the_return_to_another_path() {
        for node in ["../../org/1", "a/b", "a?b", "a%2fb"] {
            let arguments = json!({
                "action": "lock-acquire", "context_type": "workspace", "context_id": "12", "node_id": node,
            });
            let heard = tool("storage", &arguments, &json!({"lock_token": "LT-1234"}));
            assert!(
                heard == "nothing" || heard.starts_with("took workspace/12/storage/a%"),
                "{node}: {heard}"
            );
        }
    }

    #[test]
    fn an_end_is_read_as_providers_write_it() {
        let at = NOW.plus(Duration::from_mins(5));
        let utc = at.to_rfc3339();
        for (said, until) in [
            (json!({"expires": utc}), Some(at)),
            (
                json!({"expires": utc.replace('T', " ").replace('Z', " UTC")}),
                Some(at),
            ),
            (json!({"expires_at": at.as_secs()}), Some(at)),
            (json!({"lock": {"expires_in": "300"}}), Some(at)),
            (json!({"expires": "soon"}), None),
            (json!({"expires_at": 12}), None),
            (json!({"expires_in": 400_000_000}), None),
        ] {
            assert_eq!(end_in(&said, NOW, 0), until, "{said}");
        }
    }
}
