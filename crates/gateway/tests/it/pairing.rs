//! Registering and pairing, as an agent's OAuth library does it.

use std::process::Stdio;

use doorward_broker::handle::{Proof, Terms};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::ask::{Answer, Ask};
use crate::world::World;

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn fetch(world: &World, client_id: &str, device_code: &str) -> Answer {
    let fields = [
        ("grant_type", DEVICE_CODE),
        ("client_id", client_id),
        ("device_code", device_code),
    ];
    world.send(&Ask::form("/oauth/token", &fields)).await
}

#[tokio::test]
async fn an_agent_registers_asks_waits_and_fetches_its_key_once() {
    let (world, _) = World::with_agent().await;
    let client = world.register("Example <agent>").await;
    let asked = world.ask_approval(&client, "fastio:token").await;
    let page = format!("http://127.0.0.1:{}/oauth/device", world.port);
    let (device_code, user_code) = (
        asked["device_code"].as_str().unwrap(),
        asked["user_code"].as_str().unwrap(),
    );
    assert_eq!(
        asked,
        json!({
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={user_code}"),
            "expires_in": 600,
            "interval": asked["interval"].as_u64().unwrap(),
        })
    );
    let pending = fetch(&world, &client, device_code).await;
    assert_eq!(
        (pending.status, &pending.json()["error"]),
        (400, &json!("authorization_pending"))
    );
    let hasty = fetch(&world, &client, device_code).await;
    assert_eq!(
        (hasty.status, &hasty.json()["error"]),
        (400, &json!("slow_down"))
    );

    let request = world.handle.requests().await.unwrap().remove(0);
    assert_eq!(
        (request.name.as_str(), request.code.as_str()),
        ("Example agent", user_code)
    );
    let program = request.program.unwrap();
    assert_eq!(
        program.id.pid,
        std::process::id(),
        "the program behind the socket is told"
    );
    world
        .handle
        .approve(user_code.to_owned(), Terms::default(), Proof::Window)
        .await
        .unwrap();

    let stranger = world.register("another").await;
    let stolen = fetch(&world, &stranger, device_code).await;
    assert_eq!(stolen.json()["error"], "invalid_grant");
    let issued = fetch(&world, &client, device_code).await;
    assert_eq!(issued.status, 200);
    assert_eq!(issued.header("cache-control"), Some("no-store"));
    assert_eq!(issued.header("pragma"), Some("no-cache"));
    let issued = issued.json();
    let key = issued["access_token"].as_str().unwrap();
    let scope = "fastio:token";
    assert_eq!(
        issued,
        json!({ "access_token": key, "token_type": "Bearer", "scope": scope })
    );
    assert_eq!(
        world.send(&Ask::get("/v1/token").key(key)).await.status,
        200
    );
    let again = fetch(&world, &client, device_code).await;
    assert_eq!(
        again.json()["error"],
        "invalid_grant",
        "a device code works once"
    );
}

#[tokio::test]
async fn a_person_can_say_no() {
    let (world, _) = World::with_agent().await;
    let client = world.register("agent").await;
    let asked = world.ask_approval(&client, "fastio:proxy").await;
    world
        .handle
        .deny(asked["user_code"].as_str().unwrap().to_owned())
        .await
        .unwrap();
    let answer = fetch(&world, &client, asked["device_code"].as_str().unwrap()).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (400, &json!("access_denied"))
    );
}

#[tokio::test]
async fn requests_that_are_wrong_are_told_in_the_words_of_oauth() {
    let world = World::empty().await;
    let client = world.register("agent").await;
    let stranger = "00000000-0000-4000-8000-000000000000";
    for (path, fields, error) in [
        ("token", vec![], "invalid_request"),
        ("token", vec![("grant_type", "")], "invalid_request"),
        (
            "token",
            vec![("grant_type", "password")],
            "unsupported_grant_type",
        ),
        (
            "token",
            vec![("grant_type", "authorization_code")],
            "unsupported_grant_type",
        ),
        (
            "token",
            vec![("grant_type", DEVICE_CODE)],
            "invalid_request",
        ),
        (
            "token",
            vec![("grant_type", DEVICE_CODE), ("client_id", "x")],
            "invalid_client",
        ),
        (
            "token",
            vec![("grant_type", DEVICE_CODE), ("client_id", &client)],
            "invalid_request",
        ),
        (
            "token",
            vec![
                ("grant_type", DEVICE_CODE),
                ("client_id", &client),
                ("device_code", "x"),
            ],
            "invalid_grant",
        ),
        (
            "token",
            vec![("grant_type", DEVICE_CODE), ("grant_type", "x")],
            "invalid_request",
        ),
        ("device_authorization", vec![], "invalid_request"),
        (
            "device_authorization",
            vec![("client_id", &client)],
            "invalid_request",
        ),
        (
            "device_authorization",
            vec![("client_id", "x"), ("scope", "a:proxy")],
            "invalid_client",
        ),
        (
            "device_authorization",
            vec![("client_id", stranger), ("scope", "a:proxy")],
            "invalid_client",
        ),
        (
            "device_authorization",
            vec![("client_id", &client), ("scope", "a:b")],
            "invalid_scope",
        ),
    ] {
        let answer = world
            .send(&Ask::form(&format!("/oauth/{path}"), &fields))
            .await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!(error)),
            "{fields:?}"
        );
        assert_description(&answer.json());
    }
    let as_json = world
        .send(&Ask::json("/oauth/token", &json!({ "grant_type": "x" })))
        .await;
    assert_eq!(
        (as_json.status, &as_json.json()["error"]),
        (400, &json!("invalid_request"))
    );
    // A parameter that is not known is ignored (RFC 6749 §3.2).
    let fields = [
        ("client_id", client.as_str()),
        ("scope", "a:proxy"),
        ("audience", "x"),
    ];
    assert_eq!(
        world
            .send(&Ask::form("/oauth/device_authorization", &fields))
            .await
            .status,
        200
    );
}

/// RFC 6749 §5.2.
fn assert_description(body: &Value) {
    let text = body["error_description"].as_str().unwrap();
    let allowed = |letter: char| matches!(letter, ' '..='~') && letter != '"' && letter != '\\';
    assert!(!text.is_empty() && text.chars().all(allowed), "{text}");
}

#[tokio::test]
async fn a_registration_is_answered_as_rfc_7591_writes_it() {
    let world = World::empty().await;
    let wanted = json!({
        "client_name": "Example",
        "redirect_uris": ["http://127.0.0.1:4711/callback"],
        "grant_types": ["authorization_code", DEVICE_CODE],
        "token_endpoint_auth_method": "none",
        "logo_uri": "https://ignored.example/logo.png",
    });
    let answer = world.send(&Ask::json("/oauth/register", &wanted)).await;
    assert_eq!(answer.status, 201);
    let body = answer.json();
    assert_eq!(
        body,
        json!({
            "client_id": body["client_id"].as_str().unwrap(),
            "client_id_issued_at": body["client_id_issued_at"].as_i64().unwrap(),
            "client_name": "Example",
            "redirect_uris": ["http://127.0.0.1:4711/callback"],
            "grant_types": [DEVICE_CODE],
            "response_types": [],
            "token_endpoint_auth_method": "none",
        })
    );
    for (wrong, error) in [
        (
            json!({ "redirect_uris": ["https://evil.example/"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": ["http://127.0.0.1/#x"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": vec!["http://127.0.0.1/"; 9] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": "http://127.0.0.1/" }),
            "invalid_client_metadata",
        ),
        (json!({ "client_name": 7 }), "invalid_client_metadata"),
        (
            json!({ "client_name": "x".repeat(2000) }),
            "invalid_client_metadata",
        ),
        (
            json!({ "grant_types": ["implicit"] }),
            "invalid_client_metadata",
        ),
        (json!({ "grant_types": [] }), "invalid_client_metadata"),
        (
            json!({ "token_endpoint_auth_method": "client_secret_basic" }),
            "invalid_client_metadata",
        ),
        (json!([]), "invalid_client_metadata"),
    ] {
        let answer = world.send(&Ask::json("/oauth/register", &wrong)).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!(error)),
            "{wrong}"
        );
        assert_description(&answer.json());
    }
}

#[tokio::test]
async fn the_page_says_where_the_answer_is_given_and_nothing_else() {
    let (world, _) = World::with_agent().await;
    let client = world.register("Secretive agent").await;
    let asked = world.ask_approval(&client, "fastio:token").await;
    let complete = url::Url::parse(asked["verification_uri_complete"].as_str().unwrap()).unwrap();
    let target = format!("{}?{}", complete.path(), complete.query().unwrap());
    let there = world.send(&Ask::get(&target)).await;
    let not_there = world
        .send(&Ask::get("/oauth/device?user_code=ZZZZ-ZZZZ"))
        .await;
    let code = asked["user_code"].as_str().unwrap();
    assert!(there.body.contains(code));
    assert_eq!(
        there.body.replace(code, "ZZZZ-ZZZZ"),
        not_there.body,
        "it does not tell which is real"
    );
    assert!(!there.body.contains("Secretive") && !there.body.contains("fastio"));
    assert_eq!(
        there.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = there.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(policy.contains("form-action 'none'") && policy.contains("frame-ancestors 'none'"));
    let evil = world
        .send(&Ask::get(
            "/oauth/device?user_code=%3Cscript%3Ealert(1)%3C/script%3E",
        ))
        .await;
    assert!(evil.status == 200 && !evil.body.contains("script"));
    let pending = fetch(&world, &client, asked["device_code"].as_str().unwrap()).await;
    assert_eq!(
        pending.json()["error"],
        "authorization_pending",
        "looking approves nothing"
    );
}

#[tokio::test]
async fn the_script_of_an_agent_is_told_to_the_person() {
    let (world, _) = World::with_agent().await;
    let client = world.register("script").await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("agent.sh");
    let fields = [("client_id", client.as_str()), ("scope", "fastio:proxy")];
    let request = Ask::form("/oauth/device_authorization", &fields).text(world.port);
    std::fs::write(
        &script,
        r#"exec 3<>"/dev/tcp/127.0.0.1/$1"; printf %s "$2" >&3; while read -r line <&3; do :; done"#,
    )
    .unwrap();
    let ended = Command::new("bash")
        .arg("--norc")
        .arg(&script)
        .args([&world.port.to_string(), &request])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(ended.success());
    let program = world
        .handle
        .requests()
        .await
        .unwrap()
        .remove(0)
        .program
        .unwrap();
    assert!(program.executable.ends_with("bash"), "{program:?}");
    assert_eq!(program.script.as_deref(), Some(script.to_str().unwrap()));
    assert_eq!(
        program.folder,
        folder.path().canonicalize().unwrap().to_string_lossy()
    );
    let parent = std::env::current_exe().unwrap();
    assert_eq!(program.parent.as_deref(), parent.to_str());
}
