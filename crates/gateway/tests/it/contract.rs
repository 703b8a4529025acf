//! The errors as agents see them, and the page that describes all of it.

use std::fmt::Write as _;
use std::time::Duration;

use doorward_broker::handle::PauseTarget;
use doorward_core::grant::Door;
use doorward_core::problem::Code;
use doorward_gateway::routes::routes;
use serde_json::json;

use crate::ask::Ask;
use crate::world::{World, name, unknown_key};

/// Answers one after the other, without what differs from run to run.
async fn shown(world: &World, asks: &[(&str, Ask)]) -> String {
    let mut shown = String::new();
    for (title, ask) in asks {
        let answer = world.send(ask).await;
        writeln!(shown, "# {title}\n{}\n", answer.shown()).unwrap();
    }
    shown.replace(&world.port.to_string(), "PORT")
}

#[tokio::test]
async fn problems_of_the_guard() {
    let (world, key) = World::with_agent().await;
    let shown = shown(
        &world,
        &[
            ("no key", Ask::get("/v1/token")),
            (
                "a key that opens nothing",
                Ask::get("/v1/token").key(&unknown_key()),
            ),
            (
                "a foreign host",
                Ask::get("/v1/token")
                    .no_host()
                    .header("Host", "evil.example"),
            ),
            (
                "a web page",
                Ask::get("/v1/token").header("Origin", "https://evil.example"),
            ),
            ("a key in the address", Ask::get("/v1/token?key=x")),
            ("nothing there", Ask::get("/v1/nothing").key(&key)),
            ("another method", Ask::new("PUT", "/v1/token").key(&key)),
            (
                "too large",
                Ask::new("POST", "/v1/token/rejected").header("Content-Length", "70000"),
            ),
        ],
    )
    .await;
    insta::assert_snapshot!(shown, @r#"
    # no key
    401
    content-type: application/problem+json
    www-authenticate: Bearer resource_metadata="http://127.0.0.1:PORT/.well-known/oauth-protected-resource"
    {
      "code": "unauthenticated",
      "detail": "The request shows no agent key.",
      "hint": "Send `Authorization: Bearer dwk_…`. Pair with `doorward pair NAME --scope CONNECTION:proxy` to get a key.",
      "status": 401,
      "title": "An agent key is needed",
      "type": "urn:doorward:problem:unauthenticated"
    }

    # a key that opens nothing
    401
    content-type: application/problem+json
    www-authenticate: Bearer resource_metadata="http://127.0.0.1:PORT/.well-known/oauth-protected-resource", error="invalid_token"
    {
      "code": "unauthenticated",
      "detail": "This agent key opens nothing here.",
      "hint": "Send `Authorization: Bearer dwk_…`. Pair with `doorward pair NAME --scope CONNECTION:proxy` to get a key.",
      "status": 401,
      "title": "An agent key is needed",
      "type": "urn:doorward:problem:unauthenticated"
    }

    # a foreign host
    421
    content-type: application/problem+json
    {
      "code": "host_not_allowed",
      "detail": "The request does not name Doorward in exactly one `Host` header.",
      "hint": "Call it as `http://127.0.0.1:PORT`; it answers to its loopback names and no other.",
      "status": 421,
      "title": "This host name is not Doorward's",
      "type": "urn:doorward:problem:host_not_allowed"
    }

    # a web page
    403
    content-type: application/problem+json
    {
      "code": "origin_not_allowed",
      "detail": "A web page sent this request.",
      "hint": "Call Doorward from a program, without an `Origin` header; pages in a browser may not.",
      "status": 403,
      "title": "Web pages may not call Doorward",
      "type": "urn:doorward:problem:origin_not_allowed"
    }

    # a key in the address
    400
    content-type: application/problem+json
    {
      "code": "bad_request",
      "detail": "A key or token stands in the address.",
      "hint": "Send the agent key in the header `Authorization: Bearer dwk_…` alone; one that stood in an address should be revoked.",
      "status": 400,
      "title": "The request cannot be understood",
      "type": "urn:doorward:problem:bad_request"
    }

    # nothing there
    404
    content-type: application/problem+json
    {
      "code": "route_unknown",
      "detail": "There is nothing at this address.",
      "hint": "docs/AGENTS-API.md lists the routes. Check the path, and the version of Doorward.",
      "status": 404,
      "title": "There is nothing at this address",
      "type": "urn:doorward:problem:route_unknown"
    }

    # another method
    405
    content-type: application/problem+json
    allow: GET,HEAD
    {
      "code": "method_not_allowed",
      "detail": "This address does not take that method.",
      "hint": "Use GET.",
      "status": 405,
      "title": "This address does not take that method",
      "type": "urn:doorward:problem:method_not_allowed"
    }

    # too large
    413
    content-type: application/problem+json
    {
      "code": "payload_too_large",
      "detail": "The body is larger than 65536 bytes.",
      "hint": "Send only what the route takes.",
      "status": 413,
      "title": "The request is too large",
      "type": "urn:doorward:problem:payload_too_large"
    }
    "#);
}

#[tokio::test]
async fn problems_of_the_token_door() {
    let (world, key) = World::with_agent().await;
    world.connect("second", "personal").await;
    world.connect("other", "acme").await;
    let proxy = world.agent("proxy agent", "fastio", &[Door::Proxy]).await;
    let paused = world.agent("paused agent", "fastio", &[Door::Token]).await;
    world
        .handle
        .set_paused(PauseTarget::Agent("paused agent".into()), true)
        .await
        .unwrap();
    let held = world.agent("held agent", "second", &[Door::Token]).await;
    world
        .handle
        .set_paused(PauseTarget::Connection(name("second")), true)
        .await
        .unwrap();
    let token = Ask::get("/v1/token");
    let named = |connection: &str| Ask::get(&format!("/v1/token?connection={connection}"));
    let shown = shown(
        &world,
        &[
            (
                "a parameter that is not known",
                Ask::get("/v1/token?conection=fastio").key(&key),
            ),
            ("a connection of another tenant", named("other").key(&key)),
            ("another door", named("fastio").key(&proxy)),
            ("no connection with that door", token.clone().key(&proxy)),
            ("a connection that was not given", named("second").key(&key)),
            ("a paused agent", token.clone().key(&paused)),
            ("a paused connection", token.clone().key(&held)),
        ],
    )
    .await;
    insta::assert_snapshot!(shown, @r#"
    # a parameter that is not known
    400
    content-type: application/problem+json
    {
      "code": "bad_request",
      "detail": "There is no parameter `conection` here.",
      "hint": "This route takes: connection, resource, min_valid.",
      "status": 400,
      "title": "The request cannot be understood",
      "type": "urn:doorward:problem:bad_request"
    }

    # a connection of another tenant
    404
    content-type: application/problem+json
    {
      "code": "connection_unknown",
      "detail": "There is no connection `other`.",
      "hint": "Ask `GET /v1/connections` for the names you may use.",
      "status": 404,
      "title": "There is no such connection",
      "type": "urn:doorward:problem:connection_unknown"
    }

    # another door
    403
    content-type: application/problem+json
    {
      "code": "grant_missing",
      "detail": "This agent was not given the door `token` of `fastio`.",
      "hint": "Ask a person for it: `doorward pair NAME --scope fastio:token`.",
      "status": 403,
      "title": "This agent was not given this",
      "type": "urn:doorward:problem:grant_missing"
    }

    # no connection with that door
    403
    content-type: application/problem+json
    {
      "code": "grant_missing",
      "detail": "This agent was given no connection with the door `token`.",
      "hint": "Ask a person for one: `doorward pair NAME --scope CONNECTION:token`.",
      "status": 403,
      "title": "This agent was not given this",
      "type": "urn:doorward:problem:grant_missing"
    }

    # a connection that was not given
    403
    content-type: application/problem+json
    {
      "code": "grant_missing",
      "detail": "This agent was not given the connection `second`.",
      "hint": "Ask a person for it: `doorward pair NAME --scope second:token`.",
      "status": 403,
      "title": "This agent was not given this",
      "type": "urn:doorward:problem:grant_missing"
    }

    # a paused agent
    403
    content-type: application/problem+json
    {
      "code": "agent_paused",
      "detail": "A person paused this agent.",
      "hint": "Wait until it is resumed in Doorward (`doorward resume`).",
      "status": 403,
      "title": "This agent is paused",
      "type": "urn:doorward:problem:agent_paused"
    }

    # a paused connection
    403
    content-type: application/problem+json
    {
      "code": "connection_paused",
      "detail": "A person paused the connection `second`.",
      "hint": "Wait until it is resumed in Doorward (`doorward resume`).",
      "status": 403,
      "title": "This connection is paused",
      "type": "urn:doorward:problem:connection_paused"
    }
    "#);
}

#[tokio::test]
async fn problems_of_the_provider() {
    let (world, key) = World::with_agent().await;
    let token = Ask::get("/v1/token").key(&key);
    let first = world.send(&token).await.json();
    let rejected = json!({
        "connection": "fastio",
        "access_token": first["access_token"],
        "status": 401,
    });
    world.advance(Duration::from_mins(1));
    let session = world.sim.sessions().remove(0);
    assert!(world.sim.revoke_session_as_person(&session.session_id));
    let report = Ask::json("/v1/token/rejected", &rejected).key(&key);
    let shown = shown(
        &world,
        &[
            ("the token that was refused", report),
            ("after that", token),
        ],
    )
    .await;
    insta::assert_snapshot!(shown, @r#"
    # the token that was refused
    424
    content-type: application/problem+json
    {
      "code": "reconnect_required",
      "detail": "The connection `fastio` has ended: the provider refused to renew it (HTTP 400, error invalid_grant).",
      "hint": "A person has to connect again: `doorward connect --name fastio`, or in the Doorward window.",
      "status": 424,
      "title": "A person has to connect again",
      "type": "urn:doorward:problem:reconnect_required"
    }

    # after that
    424
    content-type: application/problem+json
    {
      "code": "reconnect_required",
      "detail": "The connection `fastio` has ended: the provider refused to renew it (HTTP 400, error invalid_grant).",
      "hint": "A person has to connect again: `doorward connect --name fastio`, or in the Doorward window.",
      "status": 424,
      "title": "A person has to connect again",
      "type": "urn:doorward:problem:reconnect_required"
    }
    "#);
}

#[tokio::test]
async fn problems_of_a_locked_store() {
    let world = World::locked().await;
    let client = [
        ("client_id", "00000000-0000-4000-8000-000000000000"),
        ("scope", "a:proxy"),
    ];
    let shown = shown(
        &world,
        &[
            ("a keyed route", Ask::get("/v1/token").key(&unknown_key())),
            ("registering", Ask::json("/oauth/register", &json!({}))),
            ("asking", Ask::form("/oauth/device_authorization", &client)),
            ("polling", Ask::form("/oauth/token", &[("grant_type", "x")])),
        ],
    )
    .await;
    insta::assert_snapshot!(shown, @r#"
    # a keyed route
    503
    content-type: application/problem+json
    {
      "code": "store_locked",
      "detail": "This store is new and is to be sealed under a passphrase that nobody has chosen yet.",
      "hint": "Choose one with `doorward unlock`.",
      "status": 503,
      "title": "Doorward is locked",
      "type": "urn:doorward:problem:store_locked"
    }

    # registering
    503
    content-type: application/json
    {
      "code": "store_locked",
      "error": "temporarily_unavailable",
      "error_description": "This store is new and is to be sealed under a passphrase that nobody has chosen yet. Choose one with `doorward unlock`."
    }

    # asking
    503
    content-type: application/json
    {
      "code": "store_locked",
      "error": "temporarily_unavailable",
      "error_description": "This store is new and is to be sealed under a passphrase that nobody has chosen yet. Choose one with `doorward unlock`."
    }

    # polling
    503
    content-type: application/json
    {
      "code": "store_locked",
      "error": "temporarily_unavailable",
      "error_description": "This store is new and is to be sealed under a passphrase that nobody has chosen yet. Choose one with `doorward unlock`."
    }
    "#);
}

#[tokio::test]
async fn problems_below_oauth_are_said_in_oauths_words() {
    let (world, key) = World::with_agent().await;
    let host = Ask::json("/oauth/register", &json!({}))
        .no_host()
        .header("Host", "evil.example");
    let shown = shown(
        &world,
        &[
            ("a foreign host", host),
            ("no key", Ask::form("/oauth/revoke", &[("token", "x")])),
            ("nothing there", Ask::get("/oauth/authorize")),
            (
                "a field is missing",
                Ask::form("/oauth/introspect", &[]).key(&key),
            ),
        ],
    )
    .await;
    insta::assert_snapshot!(shown, @r#"
    # a foreign host
    421
    content-type: application/json
    {
      "code": "host_not_allowed",
      "error": "invalid_request",
      "error_description": "The request does not name Doorward in exactly one `Host` header. Call it as `http://127.0.0.1:PORT`; it answers to its loopback names and no other."
    }

    # no key
    401
    content-type: application/json
    www-authenticate: Bearer resource_metadata="http://127.0.0.1:PORT/.well-known/oauth-protected-resource"
    {
      "code": "unauthenticated",
      "error": "invalid_token",
      "error_description": "The request shows no agent key. Send `Authorization: Bearer dwk_...`. Pair with `doorward pair NAME --scope CONNECTION:proxy` to get a key."
    }

    # nothing there
    404
    content-type: application/json
    {
      "code": "route_unknown",
      "error": "invalid_request",
      "error_description": "There is nothing at this address. docs/AGENTS-API.md lists the routes. Check the path, and the version of Doorward."
    }

    # a field is missing
    400
    content-type: application/json
    {
      "error": "invalid_request",
      "error_description": "`token` is missing."
    }
    "#);
}

const AGENTS_API: &str = include_str!("../../../../docs/AGENTS-API.md");

#[test]
fn the_page_for_agents_names_every_route() {
    for route in routes() {
        if route.path.ends_with("{name}/") {
            // The same page tells of what is below it.
            continue;
        }
        let path = route
            .path
            .replace("{name}", "NAME")
            .replace("{*path}", "PATH");
        let path = path.replace("{id}", "ID");
        let method = if route.any_method {
            "any"
        } else {
            route.method.as_str()
        };
        let heading = format!("`{method} {path}`");
        assert!(
            AGENTS_API.contains(&heading),
            "docs/AGENTS-API.md does not describe {heading}"
        );
    }
}

#[test]
fn the_page_for_agents_names_every_code_with_its_status() {
    let for_people = Code::ALL
        .iter()
        .position(|code| *code == Code::ConsentDeclined)
        .unwrap();
    for code in &Code::ALL[..for_people] {
        let row = format!("| `{code}` | {} |", code.status());
        assert!(
            AGENTS_API.contains(&row),
            "docs/AGENTS-API.md has no row {row}"
        );
    }
}
