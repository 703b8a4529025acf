//! Messages at `/mcp` and `/sse`.

use super::corpus::{Case, keyed, posted};

const DOOR: &str = "/mcp/recorded";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    calls(&mut cases);
    messages(&mut cases);
    addresses(&mut cases);
    callers(&mut cases);
    cases
}

fn call(tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

/// Calls that would make a credential, in every disguise.
fn calls(cases: &mut Vec<Case>) {
    for (tool, arguments) in [
        ("auth", r#"{"action":"signin","email":"a","password":"b"}"#),
        ("auth", r#"{"action":"pkce-login"}"#),
        ("auth", r#"{"action":"STATUS"}"#),
        ("auth", r#"{"action":["status"]}"#),
        ("auth", r#"{"Action":"signin"}"#),
        ("auth", "{}"),
        ("AUTH", r#"{"action":"signin"}"#),
        (" auth", r#"{"action":"signin"}"#),
        ("\\u0061uth", r#"{"action":"signin"}"#),
        ("execute", r#"{"method":"post","path":"/user/auth/key/"}"#),
        ("execute", r#"{"method":"postJson","path":"user/auth/key"}"#),
        (
            "execute",
            r#"{"method":"get","path":"/user/auth/keys/?x=1"}"#,
        ),
        ("execute", r#"{"method":"post","path":"/USER/auth/key/"}"#),
        (
            "execute",
            r#"{"method":"post","path":"/a/../user/auth/key/"}"#,
        ),
        ("execute", r#"{"method":"post","path":"/user/%61uth/key/"}"#),
        ("execute", r#"{"Method":"post","Path":"/user/auth/key/"}"#),
        (
            "execute",
            r#"{"batch":[{"method":"get","path":"/a/"},{"method":"get","path":"/oauth/sessions/"}]}"#,
        ),
        ("Execute", r#"{"method":"post","path":"/user/auth/key/"}"#),
    ] {
        let name = format!("call {tool} {arguments}");
        let request = posted(DOOR, "", &call(tool, arguments));
        cases.push(Case::refused(name, request, &[200, 400, 403], ""));
    }
    // Which of two members of one name counts is left to chance: none does.
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"auth","arguments":{"action":"signin","action":"status"}}}"#;
    cases.push(Case::refused(
        "an argument twice",
        posted(DOOR, "", twice),
        &[200, 400, 403],
        "",
    ));
    let method = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{"name":"auth","arguments":{"action":"signin"}}}"#;
    cases.push(Case::refused(
        "a method twice",
        posted(DOOR, "", method),
        &[200, 400, 403],
        "",
    ));
    let name = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"auth","name":"find","arguments":{"action":"signin"}}}"#;
    cases.push(Case::refused(
        "a name twice",
        posted(DOOR, "", name),
        &[200, 400, 403],
        "",
    ));
    let batch = format!(
        "[{},{}]",
        call("find", "{}"),
        call("auth", r#"{"action":"signin"}"#)
    );
    cases.push(Case::refused(
        "a call in a batch",
        posted(DOOR, "", &batch),
        &[200, 400, 403],
        "",
    ));
}

fn messages(cases: &mut Vec<Case>) {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (name, body) in [
        ("nothing", ""),
        ("no JSON", "hello"),
        ("JSON that breaks off", "{\"jsonrpc\":\"2.0\""),
        (
            "two values",
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}{}",
        ),
        ("a number", "7"),
        ("an empty batch", "[]"),
        ("great depth", deep.as_str()),
        (
            "text that is no UTF-8 escape",
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\\ud800\"}",
        ),
    ] {
        let name = format!("message {name}");
        cases.push(Case::refused(
            name,
            posted(DOOR, "", body),
            &[200, 400, 413],
            "",
        ));
    }
}

fn addresses(cases: &mut Vec<Case>) {
    for (method, path) in [
        ("POST", "/mcp/"),
        ("POST", "/mcp/nobody"),
        ("POST", "/mcp/recorded/../v1/token"),
        ("POST", "/mcp/recorded/oauth"),
        ("GET", "/mcp/recorded/file/../oauth/token"),
        ("GET", "/mcp/recorded/file/%2e%2e/x"),
        ("GET", "/mcp/recorded/file//evil.example/"),
        ("GET", "/mcp/recorded/file/a%2f..%2fb"),
        ("GET", "/mcp/recorded/.well-known/oauth-protected-resource"),
        ("GET", "/mcp/recorded/%2e%2e/"),
        ("POST", "/sse/recorded/message?url=http://evil.example/"),
        ("PUT", "/mcp/recorded"),
    ] {
        let request = keyed(method, path, "Content-Length: 0\r\n");
        let name = format!("address {method} {path}");
        cases.push(Case::refused(name, request, &[200, 400, 404, 405], ""));
    }
}

fn callers(cases: &mut Vec<Case>) {
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (name, headers) in [
        ("a page", "Origin: http://evil.example\r\n"),
        (
            "a page that tells by fetch metadata",
            "Sec-Fetch-Site: cross-site\r\n",
        ),
    ] {
        let request = posted(DOOR, headers, ping);
        cases.push(Case::refused(format!("caller {name}"), request, &[403], ""));
    }
    let bare = format!(
        "POST {DOOR} HTTP/1.1\r\nHost: {{host}}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ping}",
        ping.len()
    );
    cases.push(Case::refused("caller without a key", bare, &[401], ""));
    let rebound = format!(
        "POST {DOOR} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {{key}}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ping}",
        ping.len()
    );
    cases.push(Case::refused(
        "caller under another name",
        rebound,
        &[421],
        "",
    ));
    let mismatch =
        "Mcp-Method: tools/list\r\nMcp-Name: find\r\nMCP-Protocol-Version: 2026-07-28\r\n";
    let request = posted(DOOR, mismatch, &call("storage", "{}"));
    cases.push(Case::refused(
        "headers that say another call",
        request,
        &[200, 400, 403],
        "",
    ));
    // Only a page of ours can send this, and it needs a key still.
    cases.push(Case::passed(
        "a ping of our own origin",
        posted(DOOR, "Origin: http://{host}\r\n", ping),
        &[200],
        &["origin"],
    ));
    cases.push(Case::passed(
        "a ping",
        posted(DOOR, "", ping),
        &[200],
        &["cookie"],
    ));
}
