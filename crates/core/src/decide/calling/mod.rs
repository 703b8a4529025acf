//! An agent calls through the proxy door: may it?
//!
//! The order matters. What mints or manages credentials is refused first: an agent that could make itself a key would
//! hold one that outlives its grant. Then what a person denied; then the limits, of which any one means that what none
//! names is denied; last, whether a person is asked.

mod carried;
mod question;

use serde_json::{Map, Value};

use crate::api_path::ApiPath;
use crate::grant::Policy;
use crate::pattern::{CallPattern, Reading, RestPattern};
use crate::problem::{Code, Refusal};
use crate::upstream::{CodeTool, Upstream};

pub(in crate::decide) use self::carried::{carried_calls, code_tool};
pub use self::question::Question;

/// What an agent wants to do at the proxy door.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// A call of the REST API.
    Rest {
        /// The method.
        method: &'a str,
        /// The path below the API's base, or what stands for another base.
        path: &'a ApiPath,
    },
    /// A call of an MCP tool.
    Tool {
        /// The tool.
        name: &'a str,
        /// Its arguments.
        arguments: Option<&'a Map<String, Value>>,
        /// Whether the server's list of tools says that this one changes nothing.
        read_only_hint: bool,
    },
    /// Any other MCP request.
    Mcp {
        /// Its method.
        method: &'a str,
    },
    /// Bytes for a later tool call.
    Blob,
    /// A file of the MCP server.
    File {
        /// Whether a tool's result handed its address to this agent.
        handed: bool,
    },
}

/// What is decided about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on.
    Allow,
    /// A person is asked first.
    Ask,
    /// It may not.
    Deny(Refusal),
}

/// Decides about a call. This is the one place where a policy is applied.
#[must_use]
pub fn judge(policy: &Policy, upstream: &Upstream, call: &Call<'_>) -> Verdict {
    match check(policy, upstream, call) {
        Err(refusal) => Verdict::Deny(refusal),
        Ok(()) if is_asked(policy, upstream, call) => Verdict::Ask,
        Ok(()) => Verdict::Allow,
    }
}

/// Whether a tool is shown in lists: one that no arguments could make allowed is not.
#[must_use]
pub fn shows_tool(policy: &Policy, upstream: &Upstream, name: &str, read_only_hint: bool) -> bool {
    let holds_back = |pattern: &CallPattern| match pattern {
        CallPattern::Tool(tool) => tool.is_whole() && tool.names(name),
        CallPattern::Rest(_) => false,
    };
    if (!policy.may_manage_sign_in && upstream.credentials.iter().any(holds_back))
        || policy.deny.iter().any(holds_back)
    {
        return false;
    }
    let is_code = code_tool(upstream, name).is_some();
    if policy.read_only
        && !read_only_hint
        && !is_code
        && !upstream.reads.iter().any(|pattern| pattern.names(name))
    {
        return false;
    }
    match limits_of(policy) {
        Limits::None => true,
        Limits::Rest => is_code || is_named_by_ask(policy, name),
        Limits::Tools => {
            policy.tools.iter().any(|pattern| pattern.names(name)) || is_named_by_ask(policy, name)
        }
    }
}

/// Whether what becomes of a tool's call depends on its arguments.
#[must_use]
pub fn heeds_arguments(policy: &Policy, upstream: &Upstream, name: &str) -> bool {
    let heeds = |pattern: &CallPattern| match pattern {
        CallPattern::Tool(tool) => tool.heeds_arguments(name),
        CallPattern::Rest(_) => false,
    };
    let reads = policy.read_only.then_some(&upstream.reads);
    let tools = policy.tools.iter().chain(reads.into_iter().flatten());
    let holds_back = (!policy.may_manage_sign_in).then_some(&upstream.credentials);
    let rules = policy.deny.iter().chain(&policy.ask);
    code_tool(upstream, name).is_some()
        || tools.into_iter().any(|tool| tool.heeds_arguments(name))
        || rules.chain(holds_back.into_iter().flatten()).any(heeds)
        || policy.ask_each_time
}

fn is_named_by_ask(policy: &Policy, name: &str) -> bool {
    policy.ask.iter().any(|pattern| match pattern {
        CallPattern::Tool(tool) => tool.names(name),
        CallPattern::Rest(_) => false,
    })
}

/// Which rules say what is allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limits {
    /// None does: everything is.
    None,
    /// Only rules about the REST API.
    Rest,
    /// There are rules about tools; rules about the REST API may stand beside them.
    Tools,
}

fn limits_of(policy: &Policy) -> Limits {
    if !policy.tools.is_empty() {
        Limits::Tools
    } else if has_rest_rules(policy) {
        Limits::Rest
    } else {
        Limits::None
    }
}

fn has_rest_rules(policy: &Policy) -> bool {
    !policy.methods.is_empty() || !policy.path_prefixes.is_empty()
}

fn check(policy: &Policy, upstream: &Upstream, call: &Call<'_>) -> Result<(), Refusal> {
    match call {
        Call::Rest { method, path } => {
            check_credentials(policy, upstream, call)?;
            check_denied(policy, call)?;
            check_rest(policy, method, path, is_asked_by_rule(policy, call))
        }
        Call::Tool {
            name,
            arguments,
            read_only_hint,
        } => {
            check_credentials(policy, upstream, call)?;
            check_denied(policy, call)?;
            match code_tool(upstream, name) {
                Some(code) => check_code(policy, upstream, code, call),
                None => check_tool(policy, upstream, (name, *arguments), *read_only_hint),
            }
        }
        Call::Mcp { method } => check_mcp(policy, method),
        Call::Blob if policy.read_only => Err(denied("an upload", "`read_only`")),
        Call::Blob | Call::File { handed: true } => Ok(()),
        Call::File { handed: false } if limits_of(policy) == Limits::None => Ok(()),
        Call::File { handed: false } => Err(denied(
            "a file that no result of a tool handed to this agent",
            "the limits of the grant",
        )),
    }
}

fn is_meant(pattern: &CallPattern, call: &Call<'_>, reading: Reading) -> bool {
    match (pattern, call) {
        (CallPattern::Rest(pattern), Call::Rest { method, path }) => {
            pattern.matches(method, path, reading)
        }
        (
            CallPattern::Tool(pattern),
            Call::Tool {
                name, arguments, ..
            },
        ) => pattern.matches(name, *arguments, reading),
        (CallPattern::Rest(_) | CallPattern::Tool(_), _) => false,
    }
}

fn check_credentials(policy: &Policy, upstream: &Upstream, call: &Call<'_>) -> Result<(), Refusal> {
    if policy.may_manage_sign_in {
        return Ok(());
    }
    let found = upstream
        .credentials
        .iter()
        .find(|pattern| is_meant(pattern, call, Reading::Broad));
    match found {
        None => Ok(()),
        Some(pattern) => Err(Refusal::new(
            Code::PolicyDenied,
            format!(
                "{} mints or manages credentials (`{pattern}`), and this grant does not include that.",
                said(call)
            ),
            "Work with the access you have: Doorward keeps it alive. A person can add `may manage sign-in` to the grant.",
        )),
    }
}

fn check_denied(policy: &Policy, call: &Call<'_>) -> Result<(), Refusal> {
    let found = policy
        .deny
        .iter()
        .find(|pattern| is_meant(pattern, call, Reading::Broad));
    found.map_or(Ok(()), |pattern| {
        Err(denied(&said(call), &format!("`deny {pattern}`")))
    })
}

fn is_asked_by_rule(policy: &Policy, call: &Call<'_>) -> bool {
    policy
        .ask
        .iter()
        .any(|pattern| is_meant(pattern, call, Reading::Broad))
}

fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

fn check_rest(
    policy: &Policy,
    method: &str,
    path: &ApiPath,
    is_asked: bool,
) -> Result<(), Refusal> {
    let call = Call::Rest { method, path };
    if policy.read_only && !is_safe(method) {
        return Err(denied(&said(&call), "`read_only`"));
    }
    if is_asked {
        return Ok(());
    }
    if limits_of(policy) == Limits::Tools && !has_rest_rules(policy) {
        return Err(denied(&said(&call), "`tools`, which names tools alone"));
    }
    if !policy.methods.is_empty() && !policy.methods.iter().any(|own| own == method) {
        return Err(denied(
            &said(&call),
            &format!("`methods {}`", policy.methods.join(", ")),
        ));
    }
    let is_below = |prefix: &String| {
        // A prefix that is no path allows nothing.
        RestPattern::below(&with_slash(prefix))
            .is_ok_and(|pattern| pattern.matches(method, path, Reading::Exact))
    };
    if !policy.path_prefixes.is_empty() && !policy.path_prefixes.iter().any(is_below) {
        return Err(denied(
            &said(&call),
            &format!("`paths {}`", policy.path_prefixes.join(", ")),
        ));
    }
    Ok(())
}

fn with_slash(prefix: &str) -> String {
    format!("/{}", prefix.trim_start_matches('/'))
}

fn check_tool(
    policy: &Policy,
    upstream: &Upstream,
    (name, arguments): (&str, Option<&Map<String, Value>>),
    read_only_hint: bool,
) -> Result<(), Refusal> {
    let call = Call::Tool {
        name,
        arguments,
        read_only_hint,
    };
    let means =
        |pattern: &crate::pattern::ToolPattern| pattern.matches(name, arguments, Reading::Exact);
    if policy.read_only && !read_only_hint && !upstream.reads.iter().any(means) {
        return Err(denied(&said(&call), "`read_only`"));
    }
    if is_asked_by_rule(policy, &call) {
        return Ok(());
    }
    match limits_of(policy) {
        Limits::None => Ok(()),
        Limits::Tools if policy.tools.iter().any(means) => Ok(()),
        Limits::Tools => {
            let rules: Vec<_> = policy.tools.iter().map(ToString::to_string).collect();
            Err(denied(
                &said(&call),
                &format!("`tools {}`", rules.join(", ")),
            ))
        }
        Limits::Rest => Err(denied(
            &said(&call),
            "`paths` and `methods`, which name no tools",
        )),
    }
}

/// A tool that carries calls of the REST API is judged by each of them.
fn check_code(
    policy: &Policy,
    upstream: &Upstream,
    code: &CodeTool,
    call: &Call<'_>,
) -> Result<(), Refusal> {
    let Call::Tool {
        name, arguments, ..
    } = call
    else {
        return Ok(());
    };
    let named = policy
        .tools
        .iter()
        .any(|pattern| pattern.matches(name, *arguments, Reading::Exact));
    if !policy.tools.is_empty() && !named && !is_asked_by_rule(policy, call) {
        return check_tool(policy, upstream, (name, *arguments), true);
    }
    let carried = carried_calls(code, *arguments)?;
    if carried.is_empty() && policy.is_limiting() {
        return Err(Refusal::new(
            Code::PolicyDenied,
            format!(
                "{} names no path, so the limits of this grant cannot be applied.",
                said(call)
            ),
            format!("Give the arguments `{}` and `{}`.", code.method, code.path),
        ));
    }
    for (method, path) in &carried {
        let inner = Call::Rest { method, path };
        check_credentials(policy, upstream, &inner)?;
        check_denied(policy, &inner)?;
        let is_asked = is_asked_by_rule(policy, &inner);
        // A rule that names the tool names what it carries, where no rule speaks of paths.
        if named && !has_rest_rules(policy) {
            if policy.read_only && !is_safe(method) {
                return Err(denied(&said(&inner), "`read_only`"));
            }
        } else {
            check_rest(policy, method, path, is_asked)?;
        }
    }
    Ok(())
}

/// Requests that move no data of the provider's: a client needs them to speak at all.
fn is_of_the_protocol(method: &str) -> bool {
    method.starts_with("notifications/")
        || method.starts_with("tasks/")
        || method.starts_with("subscriptions/")
        || matches!(
            method,
            "initialize"
                | "ping"
                | "server/discover"
                | "logging/setLevel"
                | "tools/list"
                | "resources/list"
                | "resources/templates/list"
                | "resources/unsubscribe"
                | "prompts/list"
        )
}

fn check_mcp(policy: &Policy, method: &str) -> Result<(), Refusal> {
    let reads = matches!(
        method,
        "resources/read" | "resources/subscribe" | "prompts/get" | "completion/complete"
    );
    match limits_of(policy) {
        _ if is_of_the_protocol(method) => Ok(()),
        Limits::None if reads || !policy.read_only => Ok(()),
        Limits::None => Err(denied(&format!("`{method}`"), "`read_only`")),
        Limits::Rest | Limits::Tools => Err(denied(
            &format!("`{method}`"),
            "the limits of the grant, none of which names it",
        )),
    }
}

fn is_asked(policy: &Policy, upstream: &Upstream, call: &Call<'_>) -> bool {
    match call {
        Call::Rest { .. } => policy.ask_each_time || is_asked_by_rule(policy, call),
        Call::Tool {
            name, arguments, ..
        } => {
            let carries_one = || {
                let code = code_tool(upstream, name);
                let carried = code.map(|code| carried_calls(code, *arguments));
                // What cannot be read was refused before.
                carried.and_then(Result::ok).is_some_and(|calls| {
                    calls.iter().any(|(method, path)| {
                        is_asked_by_rule(policy, &Call::Rest { method, path })
                    })
                })
            };
            policy.ask_each_time || is_asked_by_rule(policy, call) || carries_one()
        }
        Call::Mcp { method } => policy.ask_each_time && !is_of_the_protocol(method),
        Call::Blob | Call::File { .. } => false,
    }
}

fn said(call: &Call<'_>) -> String {
    let clean = |text: &str| -> String {
        text.chars()
            .filter(|letter| !letter.is_control() && *letter != '`')
            .take(120)
            .collect()
    };
    match call {
        Call::Rest { method, path } => format!("`{} /{}`", clean(method), clean(path.as_sent())),
        Call::Tool {
            name, arguments, ..
        } => {
            let action = arguments
                .and_then(|arguments| arguments.get("action"))
                .and_then(Value::as_str);
            match action {
                Some(action) => {
                    format!("The tool `{}` with `action={}`", clean(name), clean(action))
                }
                None => format!("The tool `{}`", clean(name)),
            }
        }
        Call::Mcp { method } => format!("`{}`", clean(method)),
        Call::Blob => "An upload".to_owned(),
        Call::File { .. } => "A file".to_owned(),
    }
}

fn denied(what: &str, rule: &str) -> Refusal {
    let mut what = what.to_owned();
    if let Some(first) = what.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Refusal::new(
        Code::PolicyDenied,
        format!("{what} is not allowed by this grant: {rule} holds it back."),
        "Do without it, or ask a person to widen the grant: in the Doorward window under Agents, or with `doorward pair NAME --scope CONNECTION:proxy`.",
    )
}
