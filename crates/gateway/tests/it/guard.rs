//! Who is kept out, on every route that there is.

use std::process::Stdio;

use doorward_core::grant::Door;
use doorward_gateway::routes::{Access, RouteInfo, routes};
use serde_json::json;
use tokio::process::Command;

use crate::ask::{Answer, Ask};
use crate::world::{World, unknown_key};

/// A request of the route's method to a path that fits it, with a body that it could read.
fn path_of(route: &RouteInfo) -> String {
    let path = route.path.replace("{name}", "fastio");
    path.replace("{*path}", "user/me/details/")
}

fn ask(route: &RouteInfo) -> Ask {
    let path = path_of(route);
    let ask = Ask::new(route.method.as_str(), &path);
    match (route.method.as_str(), route.path) {
        ("POST", "/v1/token/rejected") => Ask::json(
            &path,
            &json!({ "connection": "fastio", "access_token": "x" }),
        ),
        ("POST", "/oauth/register") => Ask::json(&path, &json!({})),
        ("POST", _) => Ask::form(
            &path,
            &[("token", "x"), ("client_id", "x"), ("scope", "x:proxy")],
        ),
        _ => ask,
    }
}

/// All routes, and what stands for those that are not there.
fn everything() -> Vec<Ask> {
    let there = routes().iter().map(ask);
    let nowhere = [
        "/",
        "/v1",
        "/v1/nothing",
        "/proxy/fastio",
        "/mcp/fastio",
        "/metrics/more",
        "*",
    ];
    let wrong_method = ["/v1/token", "/healthz"].map(|path| Ask::new("DELETE", path));
    there
        .chain(nowhere.map(Ask::get))
        .chain(wrong_method)
        .collect()
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, by: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{by}: {}",
        answer.body
    );
    assert!(
        answer.header("access-control-allow-origin").is_none(),
        "{by}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{by}");
    assert_eq!(
        answer.header("x-content-type-options"),
        Some("nosniff"),
        "{by}"
    );
}

#[tokio::test]
async fn every_keyed_route_wants_a_key_that_opens_something() {
    let world = World::empty().await;
    let keyed: Vec<_> = routes()
        .iter()
        .filter(|route| route.access == Access::Keyed)
        .collect();
    assert!(keyed.len() >= 5, "the table was read");
    for route in keyed {
        for ask in [
            ask(route),
            ask(route).key(&unknown_key()),
            ask(route).key("dwk_short"),
            ask(route).key(""),
            ask(route).header("authorization", &format!("Basic {}", unknown_key())),
            ask(route).header("authorization", &unknown_key()),
        ] {
            let answer = world.send(&ask).await;
            assert_refused(&answer, 401, "unauthenticated", &ask.text(0));
            let challenge = answer.header("www-authenticate").unwrap();
            // Each MCP door has metadata of its own.
            let door = if route.path.starts_with("/mcp/") {
                "/mcp/fastio"
            } else {
                ""
            };
            let own = format!(
                "Bearer resource_metadata=\"http://127.0.0.1:{}/.well-known/oauth-protected-resource{door}\"",
                world.port
            );
            assert!(challenge.starts_with(&own), "{challenge}");
        }
    }
}

#[tokio::test]
async fn open_routes_ask_no_key_and_addresses_are_told_to_nobody_without_one() {
    let (world, key) = World::with_agent().await;
    for route in routes().iter().filter(|route| route.access == Access::Open) {
        let answer = world.send(&ask(route)).await;
        assert_ne!(answer.status, 401, "{} {}", route.method, route.path);
        assert_ne!(answer.status, 404, "{} {}", route.method, route.path);
    }
    for path in [
        "/",
        "/proxy/fastio",
        "/mcp",
        "/sse/fastio/more",
        "/metrics/more",
    ] {
        let ask = Ask::get(path);
        assert_refused(&world.send(&ask).await, 401, "unauthenticated", path);
        assert_refused(
            &world.send(&ask.key(&key)).await,
            404,
            "route_unknown",
            path,
        );
    }
    for path in [
        "/.well-known/openid-configuration",
        "/oauth/authorize",
        "/oauth/nothing",
    ] {
        assert_refused(
            &world.send(&Ask::get(path)).await,
            404,
            "route_unknown",
            path,
        );
    }
    let wrong = Ask::new("DELETE", "/v1/token");
    assert_refused(&world.send(&wrong).await, 401, "unauthenticated", "DELETE");
    let answer = world.send(&wrong.key(&key)).await;
    assert_refused(&answer, 405, "method_not_allowed", "DELETE");
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    let answer = world.send(&Ask::get("/oauth/token")).await;
    assert_refused(&answer, 405, "method_not_allowed", "GET /oauth/token");
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn a_foreign_host_is_refused_on_every_route() {
    let (world, key) = World::with_agent().await;
    for ask in everything() {
        let foreign = ask.key(&key).no_host();
        let answer = world
            .send(&foreign.clone().header("Host", "evil.example"))
            .await;
        assert_refused(&answer, 421, "host_not_allowed", &foreign.text(0));
        let answer = world.send(&foreign.clone().http_10()).await;
        assert_refused(&answer, 421, "host_not_allowed", "no Host under HTTP/1.0");
        let own = format!("127.0.0.1:{}", world.port);
        let answer = world
            .send(&foreign.header("Host", &own).header("Host", &own))
            .await;
        assert_refused(&answer, 421, "host_not_allowed", "Host twice");
    }
}

#[tokio::test]
async fn every_form_of_our_own_name_is_answered_and_no_other() {
    let world = World::empty().await;
    let port = world.port;
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"] {
        let ask = Ask::get("/healthz")
            .no_host()
            .header("Host", &format!("{host}:{port}"));
        assert_eq!(world.send(&ask).await.status, 200, "{host}");
        let absolute = Ask::get(&format!("http://{host}:{port}/healthz")).no_host();
        let answer = world
            .send(&absolute.header("Host", &format!("{host}:{port}")))
            .await;
        assert_eq!(answer.status, 200, "{host} in absolute form");
        let other = Ask::get("/healthz").no_host();
        for evil in [
            host.to_owned(),
            format!("{host}:{}", port ^ 1),
            format!("{host}.:{port}"),
            format!("{host}.evil.example:{port}"),
            format!("x@{host}:{port}"),
            format!("{host}:{port}:{port}"),
            format!("{host}:0{port}"),
        ] {
            let answer = world.send(&other.clone().header("Host", &evil)).await;
            assert_refused(&answer, 421, "host_not_allowed", &evil);
        }
    }
    for evil in [
        "",
        "evil.example",
        "0.0.0.0",
        "127.0.0.2",
        "[::]",
        "[::ffff:127.0.0.1]",
        "::1",
    ] {
        let ask = Ask::get("/healthz")
            .no_host()
            .header("Host", &format!("{evil}:{port}"));
        assert_refused(&world.send(&ask).await, 421, "host_not_allowed", evil);
    }
    let disagreeing = Ask::get(&format!("http://evil.example:{port}/healthz"));
    assert_refused(
        &world.send(&disagreeing).await,
        421,
        "host_not_allowed",
        "absolute form",
    );
}

#[tokio::test]
async fn at_the_mcp_door_our_own_origin_is_no_strangers() {
    let (world, _key) = World::with_agent().await;
    let (own, other) = (
        format!("http://127.0.0.1:{}", world.port),
        format!("http://localhost:{}", world.port),
    );
    for path in ["/mcp/fastio", "/sse/fastio"] {
        let ask = Ask::new("POST", path);
        let answer = world.send(&ask.clone().header("Origin", &own)).await;
        assert_refused(
            &answer,
            401,
            "unauthenticated",
            "its key is what is missing",
        );
        // The name that was called, and once.
        for origins in [
            &[other.as_str()][..],
            &["https://evil.example"],
            &["null"],
            &[&own, &own],
        ] {
            let ask = origins
                .iter()
                .fold(ask.clone(), |ask, origin| ask.header("Origin", origin));
            let answer = world.send(&ask).await;
            assert_refused(&answer, 403, "origin_not_allowed", &format!("{origins:?}"));
        }
    }
}

#[tokio::test]
async fn a_web_page_is_refused_on_every_route() {
    let (world, key) = World::with_agent().await;
    let own = format!("http://127.0.0.1:{}", world.port);
    for ask in everything() {
        let ask = ask.key(&key);
        let ours = Some(&*own).filter(|_| !ask.is_of_mcp());
        for origin in ["https://evil.example", "null"].into_iter().chain(ours) {
            let answer = world.send(&ask.clone().header("Origin", origin)).await;
            assert_refused(&answer, 403, "origin_not_allowed", origin);
        }
        for site in ["cross-site", "same-site"] {
            let answer = world
                .send(&ask.clone().header("Sec-Fetch-Site", site))
                .await;
            assert_refused(&answer, 403, "origin_not_allowed", site);
        }
    }
    let preflight = Ask::new("OPTIONS", "/v1/token")
        .header("Origin", "https://evil.example")
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization")
        .header("Access-Control-Request-Private-Network", "true");
    let answer = world.send(&preflight).await;
    assert_refused(&answer, 403, "origin_not_allowed", "preflight");
    assert!(
        !answer.head.to_ascii_lowercase().contains("access-control"),
        "{}",
        answer.head
    );
    let typed = Ask::get("/oauth/device").header("Sec-Fetch-Site", "none");
    assert_eq!(
        world.send(&typed).await.status,
        200,
        "a person may open our page"
    );
}

#[tokio::test]
async fn a_secret_in_the_address_is_refused_on_every_route() {
    let (world, key) = World::with_agent().await;
    for route in routes() {
        let path = path_of(route);
        let doors = ["/proxy/", "/mcp/", "/sse/"];
        let passes_through = doors.iter().any(|door| route.path.starts_with(door));
        let secrets = [
            format!("connection={key}"),
            "access_token=x".into(),
            "key=x".into(),
        ];
        // What other secrets are called is the provider's business there; an agent key is never.
        let count = if passes_through { 1 } else { secrets.len() };
        for query in &secrets[..count] {
            let ask = Ask::new(route.method.as_str(), &format!("{path}?{query}")).key(&key);
            let answer = world.send(&ask).await;
            assert_refused(&answer, 400, "bad_request", query);
            assert!(!answer.body.contains(&key), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn headers_that_decide_may_stand_once() {
    let (world, key) = World::with_agent().await;
    let twice = Ask::get("/v1/token").key(&key).key(&unknown_key());
    assert_refused(&world.send(&twice).await, 400, "bad_request", "two keys");
    let lengths = Ask::form("/oauth/revoke", &[("token", "x")]).key(&key);
    let answer = world.send(&lengths.header("Content-Length", "8")).await;
    assert_eq!(answer.status, 400, "two lengths that differ");
    for scheme in ["bearer", "BEARER", "Bearer "] {
        let ask = Ask::get("/v1/connections").header("Authorization", &format!("{scheme} {key}"));
        assert_eq!(world.send(&ask).await.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn another_tenants_connection_is_the_same_bytes_as_none() {
    let (world, key) = World::with_agent().await;
    world.connect("other", "acme").await;
    let theirs = world.agent("their agent", "other", &[Door::Token]).await;
    let rejected = |connection: &str| {
        let body = json!({ "connection": connection, "access_token": "x" });
        Ask::json("/v1/token/rejected", &body)
    };
    let token = |connection: &str| Ask::get(&format!("/v1/token?connection={connection}"));
    for ask in [rejected, token] as [fn(&str) -> Ask; 2] {
        let not_ours = world.send(&ask("other").key(&key)).await;
        assert_refused(&not_ours, 404, "connection_unknown", "another tenant's");
        let none = world.send(&ask("there").key(&key)).await;
        let without_date = |answer: &Answer| {
            let lines = answer
                .head
                .lines()
                .filter(|line| !line.starts_with("date:"));
            lines.collect::<Vec<_>>().join("\n") + &answer.body
        };
        assert_eq!(
            without_date(&not_ours).replace("other", "there"),
            without_date(&none)
        );
    }
    let listed = world.send(&Ask::get("/v1/connections").key(&key)).await;
    assert!(!listed.body.contains("other"), "{}", listed.body);

    // Routes about keys do nothing to a key of another tenant, and tell nothing of it.
    let answer = world
        .send(&Ask::form("/oauth/introspect", &[("token", &theirs)]).key(&key))
        .await;
    assert_eq!(answer.body, r#"{"active":false}"#);
    let answer = world
        .send(&Ask::form("/oauth/revoke", &[("token", &theirs)]).key(&key))
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(
        world.send(&Ask::get("/v1/token").key(&theirs)).await.status,
        200
    );
}

#[tokio::test]
async fn another_user_of_the_machine_is_refused_on_every_route() {
    if rustix::process::geteuid().as_raw() != 0 {
        // Only root can become somebody else. CI runs this as root.
        println!("not run: this needs root");
        return;
    }
    let (world, key) = World::with_agent().await;
    for ask in everything() {
        let ask = ask.key(&key);
        let answer = as_nobody(&ask.text(world.port), world.port).await;
        assert_refused(&answer, 403, "peer_not_allowed", &ask.text(0));
    }
    assert_eq!(
        world.send(&Ask::get("/v1/token").key(&key)).await.status,
        200,
        "the key was good"
    );
}

/// Sends a request as another user.
async fn as_nobody(request: &str, port: u16) -> Answer {
    const SCRIPT: &str = r#"exec 3<>"/dev/tcp/127.0.0.1/$1" && printf %s "$2" >&3 && cat <&3"#;
    let output = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "bash",
            "-c",
            SCRIPT,
            "bash",
        ])
        .args([&port.to_string(), request])
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Answer::parse(&String::from_utf8(output.stdout).unwrap())
}
