//! The token door.

use std::time::Duration;

use doorward_broker::handle::PauseTarget;
use doorward_core::grant::Door;
use fastio_sim::{Fault, Hang, Kind, LimitForm};
use serde_json::json;

use crate::ask::Ask;
use crate::world::{World, name};

#[tokio::test]
async fn a_token_is_handed_out_as_rfc_6749_writes_it() {
    let (world, key) = World::with_agent().await;
    let answer = world
        .send(&Ask::get("/v1/token?connection=fastio").key(&key))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    let body = answer.json();
    let mut members: Vec<_> = body
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "access_token",
            "connection",
            "expires_in",
            "scope",
            "token_type"
        ]
    );
    assert_eq!(body["connection"], "fastio");
    assert!(
        body["token_type"]
            .as_str()
            .unwrap()
            .eq_ignore_ascii_case("bearer")
    );
    assert!(body["expires_in"].as_u64().unwrap() > 0);
    assert!(
        world
            .sim
            .probe_access_token(body["access_token"].as_str().unwrap())
            .live
    );

    // The only connection need not be named, and a warm token is the same one.
    let again = world.send(&Ask::get("/v1/token").key(&key)).await.json();
    assert_eq!(again["access_token"], body["access_token"]);
    let head = world.send(&Ask::new("HEAD", "/v1/token").key(&key)).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn what_is_not_understood_is_named_and_not_ignored() {
    let (world, key) = World::with_agent().await;
    for (query, named) in [
        ("conection=fastio", "`conection`"),
        ("connection=fastio&connection=fastio", "`connection`"),
        ("connection=fastio&x", "`x`"),
        ("min_valid=soon", "`min_valid`"),
        ("min_valid=-1", "`min_valid`"),
        ("min_valid=", "`min_valid`"),
    ] {
        let answer = world
            .send(&Ask::get(&format!("/v1/token?{query}")).key(&key))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "bad_request"),
            "{query}"
        );
        let problem = answer.json();
        assert!(
            problem["detail"].as_str().unwrap().contains(named),
            "{query}: {problem}"
        );
    }
    let unknown = world
        .send(&Ask::get("/v1/token?connection=No%20Name").key(&key))
        .await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "connection_unknown")
    );
    for (kind, body) in [
        ("application/json", r#"{"connection":"fastio"}"#),
        (
            "application/json",
            r#"{"connection":"fastio","access_token":"s3cret","more":1}"#,
        ),
        (
            "application/json",
            r#"{"connection":"fastio","access_token":"t","status":"s3cret"}"#,
        ),
        ("application/json", ""),
        (
            "text/plain",
            r#"{"connection":"fastio","access_token":"s3cret"}"#,
        ),
    ] {
        let ask = Ask::new("POST", "/v1/token/rejected")
            .header("Content-Type", kind)
            .body(body);
        let answer = world.send(&ask.key(&key)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "bad_request"),
            "{body}"
        );
        assert!(
            !answer.body.contains("s3cret"),
            "no value is repeated: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn a_caller_waits_no_longer_than_it_wants() {
    let (world, key) = World::with_agent().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(Hang::BeforeWork));
    world.advance(Duration::from_hours(2));
    let token = Ask::get("/v1/token").key(&key);
    let answer = world
        .send(&token.clone().header("Prefer", "respond-async, wait=1"))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "provider_unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    world.sim.clear_faults();
    assert_eq!(
        world.send(&token).await.status,
        200,
        "what was asked goes on by itself"
    );
}

#[tokio::test]
async fn a_providers_limit_is_told_with_its_end() {
    let (world, key) = World::with_agent().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).rate_limit(90, LimitForm::Datetime));
    world.advance(Duration::from_hours(2));
    let answer = world.send(&Ask::get("/v1/token").key(&key)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "rate_limited")
    );
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((80..=91).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once() {
    let (world, key) = World::with_agent().await;
    let token = Ask::get("/v1/token").key(&key);
    let first = world.send(&token).await.json();
    let body =
        json!({ "connection": "fastio", "access_token": first["access_token"], "status": 401 });
    world.advance(Duration::from_mins(1));
    let answer = world
        .send(&Ask::json("/v1/token/rejected", &body).key(&key))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    assert_eq!(answer.json()["connection"], "fastio");
}

#[tokio::test]
async fn connections_are_listed_with_their_health() {
    let (world, key) = World::with_agent().await;
    let answer = world.send(&Ask::get("/v1/connections").key(&key)).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    let connection = &body["connections"][0];
    assert_eq!(connection["name"], "fastio");
    assert_eq!(connection["provider"], "fastio");
    assert_eq!(connection["doors"], json!(["token"]));
    assert!(connection["scopes"].is_array());
    assert!(connection["health"].is_string());
    assert_eq!(body["connections"].as_array().unwrap().len(), 1);

    world
        .handle
        .set_paused(PauseTarget::Connection(name("fastio")), true)
        .await
        .unwrap();
    let paused = world
        .send(&Ask::get("/v1/connections").key(&key))
        .await
        .json();
    assert_eq!(paused["connections"][0]["health"], "paused");
}

#[tokio::test]
async fn a_key_ends_and_is_read_by_its_own_agent() {
    let (world, key) = World::with_agent().await;
    let own = Ask::form("/oauth/introspect", &[("token", &key)]).key(&key);
    let told = world.send(&own).await.json();
    assert_eq!(told["active"], true);
    assert_eq!(told["scope"], "fastio:token");
    assert_eq!(told["token_type"], "Bearer");
    assert_eq!(told["client_name"], "agent");
    assert!(told["iat"].as_i64().unwrap() > 1_700_000_000 && told.get("exp").is_none());
    let other = world.agent("second", "fastio", &[Door::Token]).await;
    let foreign = Ask::form("/oauth/introspect", &[("token", &other)]).key(&key);
    assert_eq!(world.send(&foreign).await.body, r#"{"active":false}"#);
    let nonsense = Ask::form("/oauth/introspect", &[("token", "nonsense")]).key(&key);
    assert_eq!(world.send(&nonsense).await.body, r#"{"active":false}"#);
    let missing = world.send(&Ask::form("/oauth/revoke", &[]).key(&key)).await;
    assert_eq!(missing.json()["error"], "invalid_request");

    let revoke = Ask::form(
        "/oauth/revoke",
        &[("token", &key), ("token_type_hint", "x")],
    )
    .key(&key);
    let revoked = world.send(&revoke).await;
    assert_eq!((revoked.status, revoked.body.as_str()), (200, ""));
    let after = world.send(&Ask::get("/v1/token").key(&key)).await;
    assert_eq!(
        (after.status, after.code().as_str()),
        (401, "unauthenticated")
    );
    assert_eq!(
        world.send(&Ask::get("/v1/token").key(&other)).await.status,
        200
    );
}
