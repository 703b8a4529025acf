//! What a policy lets through the proxy door.

use doorward_core::api_path::ApiPath;
use doorward_core::decide::calling::{Call, Question, Verdict, heeds_arguments, judge, shows_tool};
use doorward_core::grant::Policy;
use doorward_core::problem::Code;
use doorward_core::upstream::Upstream;
use serde_json::{Map, Value, json};

use crate::world::fastio;

fn upstream() -> Upstream {
    fastio().with_rules_of_today().upstream
}

fn policy(json: Value) -> Policy {
    serde_json::from_value(json).expect("a policy")
}

fn rest(policy: &Policy, method: &str, path: &str) -> Verdict {
    let path = ApiPath::parse(path).expect("a path");
    let call = Call::Rest {
        method,
        path: &path,
    };
    judge(policy, &upstream(), &call)
}

fn tool(policy: &Policy, name: &str, arguments: Value) -> Verdict {
    let arguments: Map<String, Value> = serde_json::from_value(arguments).expect("an object");
    let call = Call::Tool {
        name,
        arguments: Some(&arguments),
        read_only_hint: false,
    };
    judge(policy, &upstream(), &call)
}

fn is_denied(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Deny(refusal) if refusal.code == Code::PolicyDenied)
}

fn why(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny(refusal) => refusal.detail,
        Verdict::Allow | Verdict::Ask => String::new(),
    }
}

#[test]
fn without_a_rule_everything_is_allowed_but_what_makes_credentials() {
    let open = Policy::default();
    for (method, path) in [
        ("GET", "user/me/details/"),
        ("DELETE", "workspace/1/storage/n/"),
        ("GET", "user/auth/check/"),
        ("GET", "auth/scopes/"),
        ("GET", "websocket/auth/99"),
        ("POST", "org/55/transfer/token/create/"),
    ] {
        assert_eq!(rest(&open, method, path), Verdict::Allow, "{method} {path}");
    }
    for (method, path) in [
        ("POST", "user/auth/key/"),
        ("GET", "user/auth/keys/"),
        ("DELETE", "user/auth/key/7/"),
        ("POST", "USER/Auth/Key"),
        ("POST", "user/%61uth/key/"),
        ("GET", "user/auth/"),
        ("POST", "user/auth/sign-out/"),
        ("POST", "user/auth/invalidate-all/"),
        ("GET", "user/auth/2factor/auth/123456/"),
        ("GET", "oauth/authorize/"),
        ("POST", "oauth/token/"),
        ("POST", "oauth/register/"),
        ("POST", "oauth/revoke/"),
        ("GET", "oauth/sessions/"),
        ("DELETE", "oauth/sessions/s1/"),
        ("POST", "user/"),
    ] {
        assert!(is_denied(&rest(&open, method, path)), "{method} {path}");
    }
    let wide = Policy {
        may_manage_sign_in: true,
        ..Policy::default()
    };
    assert!(!wide.is_limiting());
    assert_eq!(rest(&wide, "POST", "user/auth/key/"), Verdict::Allow);
}

#[test]
fn the_auth_tool_tells_how_things_are_and_makes_no_credentials() {
    let open = Policy::default();
    for action in ["status", "check", "scopes", "describe"] {
        assert_eq!(
            tool(&open, "auth", json!({"action": action})),
            Verdict::Allow
        );
    }
    for arguments in [
        json!({"action": "signin", "email": "a", "password": "b"}),
        json!({"action": "pkce-login"}),
        json!({"action": "api-key-create"}),
        json!({"action": ["status"]}),
        json!({"Action": "signin"}),
        json!({"action": "status ", "x": 1}),
        json!({}),
    ] {
        assert!(
            is_denied(&tool(&open, "auth", arguments.clone())),
            "{arguments}"
        );
    }
    let through_code = |path: &str| tool(&open, "execute", json!({"method": "post", "path": path}));
    assert!(is_denied(&through_code("/user/auth/key/")));
    assert!(is_denied(&through_code("user/auth/key/?output=terse")));
    assert_eq!(through_code("/workspace/1/update/"), Verdict::Allow);
    let hidden = json!({"requests": [{"method": "get", "path": "/user/auth/keys/"}]});
    assert!(is_denied(&tool(&open, "execute", hidden)));
    let traversal = json!({"method": "get", "path": "/x/../user/auth/keys/"});
    assert!(matches!(
        tool(&open, "execute", traversal),
        Verdict::Deny(_)
    ));
}

#[test]
fn once_there_is_a_rule_what_none_names_is_denied() {
    let paths = policy(json!({"path_prefixes": ["/workspace/12/"]}));
    assert_eq!(
        rest(&paths, "POST", "workspace/12/storage/"),
        Verdict::Allow
    );
    assert_eq!(rest(&paths, "GET", "workspace/12"), Verdict::Allow);
    for path in [
        "workspace/123/",
        "Workspace/12/",
        "workspace/",
        "user/me/details/",
    ] {
        assert!(is_denied(&rest(&paths, "GET", path)), "{path}");
    }
    assert!(is_denied(&tool(
        &paths,
        "storage",
        json!({"action": "list"})
    )));
    let reads = Call::Mcp {
        method: "resources/read",
    };
    assert!(is_denied(&judge(&paths, &upstream(), &reads)));
    let lists = Call::Mcp {
        method: "tools/list",
    };
    assert_eq!(judge(&paths, &upstream(), &lists), Verdict::Allow);

    let tools = policy(json!({"tools": ["storage(action=list|details)", "find"]}));
    assert_eq!(
        tool(&tools, "storage", json!({"action": "list"})),
        Verdict::Allow
    );
    assert_eq!(tool(&tools, "find", json!({})), Verdict::Allow);
    assert!(is_denied(&tool(
        &tools,
        "storage",
        json!({"action": "delete"})
    )));
    assert!(is_denied(&tool(&tools, "storage", json!({}))));
    assert!(is_denied(&tool(
        &tools,
        "workspace",
        json!({"action": "list"})
    )));
    assert!(is_denied(&tool(
        &tools,
        "execute",
        json!({"method": "get", "path": "/a/"})
    )));
    assert!(is_denied(&rest(&tools, "GET", "workspace/12/")));

    let methods = policy(json!({"methods": ["GET", "PATCH"]}));
    assert_eq!(rest(&methods, "PATCH", "a/"), Verdict::Allow);
    assert!(is_denied(&rest(&methods, "DELETE", "a/")));
}

#[test]
fn read_only_lets_nothing_change() {
    let reads = policy(json!({"read_only": true}));
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(rest(&reads, method, "workspace/1/"), Verdict::Allow);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "get", "FOO"] {
        assert!(is_denied(&rest(&reads, method, "workspace/1/")), "{method}");
    }
    assert_eq!(
        tool(&reads, "storage", json!({"action": "list"})),
        Verdict::Allow
    );
    assert!(is_denied(&tool(
        &reads,
        "storage",
        json!({"action": "delete"})
    )));
    assert!(is_denied(&tool(
        &reads,
        "storage",
        json!({"action": ["list", "delete"]})
    )));
    let execute = |method: &str| {
        tool(
            &reads,
            "execute",
            json!({"method": method, "path": "/workspace/1/"}),
        )
    };
    assert_eq!(execute("get"), Verdict::Allow);
    assert!(is_denied(&execute("postJson")));
    assert!(is_denied(&execute("delete")));
    assert!(is_denied(&judge(&reads, &upstream(), &Call::Blob)));
    let hinted = Call::Tool {
        name: "weather",
        arguments: None,
        read_only_hint: true,
    };
    assert_eq!(judge(&reads, &upstream(), &hinted), Verdict::Allow);
}

#[test]
fn code_mode_goes_through_the_same_rules_as_the_api() {
    let paths = policy(json!({"path_prefixes": ["/workspace/12/"], "methods": ["GET"]}));
    let execute = |arguments: Value| tool(&paths, "execute", arguments);
    assert_eq!(
        execute(json!({"method": "get", "path": "/workspace/12/details/"})),
        Verdict::Allow
    );
    assert!(is_denied(&execute(
        json!({"method": "get", "path": "/workspace/13/details/"})
    )));
    assert!(is_denied(&execute(
        json!({"method": "postJson", "path": "/workspace/12/"})
    )));
    assert!(is_denied(&execute(json!({"code": "fetch('/user/me/')"}))));
    let one_of_two = json!({"batch": [{"path": "/workspace/12/"}, {"path": "/org/1/"}]});
    assert!(is_denied(&execute(one_of_two)));
}

#[test]
fn what_a_person_denied_stays_denied_and_what_is_asked_is_asked() {
    let careful = policy(json!({
        "ask": ["DELETE /", "tool storage(action=delete)"],
        "deny": ["* /org/", "tool share"],
    }));
    assert_eq!(rest(&careful, "GET", "workspace/1/"), Verdict::Allow);
    assert_eq!(rest(&careful, "DELETE", "workspace/1/"), Verdict::Ask);
    assert_eq!(
        tool(&careful, "storage", json!({"action": "Delete"})),
        Verdict::Ask
    );
    let through_code = json!({"method": "delete", "path": "/workspace/1/"});
    assert_eq!(tool(&careful, "execute", through_code), Verdict::Ask);
    assert!(is_denied(&rest(&careful, "GET", "ORG/1/")));
    assert!(is_denied(&tool(
        &careful,
        "share",
        json!({"action": "list"})
    )));
    let each = policy(json!({"ask_each_time": true}));
    assert_eq!(rest(&each, "GET", "workspace/1/"), Verdict::Ask);
    assert_eq!(tool(&each, "find", json!({})), Verdict::Ask);
    let both = policy(json!({"tools": ["find"], "ask": ["tool storage(action=delete)"]}));
    assert_eq!(
        tool(&both, "storage", json!({"action": "delete"})),
        Verdict::Ask
    );
    assert!(is_denied(&tool(
        &both,
        "storage",
        json!({"action": "list"})
    )));
}

#[test]
fn a_refusal_names_the_rule() {
    let paths = policy(json!({"path_prefixes": ["/workspace/12/"]}));
    insta::assert_snapshot!(why(rest(&paths, "GET", "org/1/")), @"`GET /org/1/` is not allowed by this grant: `paths /workspace/12/` holds it back.");
    let tools = policy(json!({"tools": ["storage(action=list)"]}));
    let refused = tool(&tools, "storage", json!({"action": "delete"}));
    insta::assert_snapshot!(why(refused), @"The tool `storage` with `action=delete` is not allowed by this grant: `tools storage(action=list)` holds it back.");
    let key = rest(&Policy::default(), "POST", "user/auth/key/");
    insta::assert_snapshot!(why(key), @"`POST /user/auth/key/` mints or manages credentials (`* /user/auth/key/`), and this grant does not include that.");
}

#[test]
fn a_tool_that_nothing_could_allow_is_not_listed() {
    let shows = |policy: &Policy, name: &str| shows_tool(policy, &upstream(), name, false);
    let open = Policy::default();
    assert!(shows(&open, "storage") && shows(&open, "auth"));
    let tools = policy(json!({"tools": ["storage(action=list)"], "ask": ["tool share"]}));
    assert!(shows(&tools, "storage") && shows(&tools, "share") && !shows(&tools, "workspace"));
    let paths = policy(json!({"path_prefixes": ["/workspace/12/"]}));
    assert!(shows(&paths, "execute") && !shows(&paths, "storage"));
    let denies = policy(json!({"deny": ["tool share", "tool storage(action=delete)"]}));
    assert!(!shows(&denies, "share") && shows(&denies, "storage"));
}

#[test]
fn two_spellings_of_one_call_are_one_question() {
    let parse = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
    let one = parse(r#"{"a": 1, "b": {"c": [1, 2], "d": null}}"#);
    let same = parse(r#"{"b": {"d": null, "c": [1, 2]}, "a": 1}"#);
    let other = parse(r#"{"b": {"d": null, "c": [2, 1]}, "a": 1}"#);
    let digest = |arguments| Question::mcp("storage", Some(arguments)).digest;
    assert_eq!(digest(&one), digest(&same));
    assert_ne!(digest(&one), digest(&other));
    assert_ne!(
        Question::rest("POST", "a/b", b"c").digest,
        Question::rest("POST", "a/", b"bc").digest
    );
}

#[test]
fn arguments_matter_where_a_rule_names_them_for_the_tool() {
    let upstream = upstream();
    let heeds = |rules: Value, tool: &str| heeds_arguments(&policy(rules), &upstream, tool);
    assert!(!heeds(json!({}), "storage"));
    assert!(!heeds(json!({ "tools": ["storage"] }), "storage"));
    assert!(heeds(
        json!({ "tools": ["storage(action=list)"] }),
        "storage"
    ));
    assert!(!heeds(json!({ "tools": ["storage(action=list)"] }), "find"));
    for rules in [
        json!({ "deny": ["tool storage(action=delete)"] }),
        json!({ "ask": ["tool stor*(action=delete)"] }),
        json!({ "ask_each_time": true }),
        json!({ "read_only": true }),
    ] {
        assert!(heeds(rules.clone(), "Storage"), "{rules}");
    }
    assert!(heeds(json!({}), "auth"), "it may mint credentials");
    assert!(!heeds(json!({ "may_manage_sign_in": true }), "auth"));
    assert!(heeds(json!({}), "execute"), "it carries calls of the API");
}
