use fastio_sim::Consent;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::world::{Answer, REDIRECT, VERIFIER, World, query};

async fn register(world: &World, metadata: &Value) -> Answer {
    world
        .send(
            world
                .request(Method::POST, "oauth/register/")
                .json(metadata),
        )
        .await
}

/// Connects a registered client; `authenticate` adds what it proves itself with.
async fn connect_as(
    world: &World,
    client_id: &str,
    redirect_uri: &str,
    authenticate: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
) -> Answer {
    let url = world.authorize_url(&[("client_id", client_id), ("redirect_uri", redirect_uri)]);
    let redirect = world
        .sim
        .approve(&url, &Consent::everything())
        .await
        .expect("a redirect");
    let code = query(&Url::parse(&redirect).expect("a URL"), "code").expect("a code");
    let request = world.token_request(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("code_verifier", VERIFIER),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
    ]);
    world.send(authenticate(request)).await
}

#[tokio::test]
async fn a_public_client_registers_and_connects_on_any_loopback_port() {
    let world = World::new().await;
    let answer = register(
        &world,
        &json!({ "redirect_uris": [REDIRECT], "client_name": "A door",
                 "token_endpoint_auth_method": "none", "software_id": "ignored" }),
    )
    .await
    .expect(201)
    .json();
    assert_eq!(answer["client_name"], "A door");
    assert!(answer["registration_access_token"].is_string());
    assert!(answer["client_id_issued_at"].is_i64());
    assert!(answer.get("client_secret").is_none());
    let client_id = answer["client_id"].as_str().expect("an id");
    connect_as(
        &world,
        client_id,
        "http://127.0.0.1:50999/callback",
        |request| request,
    )
    .await
    .expect(200);
}

#[tokio::test]
async fn a_confidential_client_must_show_its_secret_as_registered() {
    let world = World::new().await;
    let metadata = json!({ "redirect_uris": ["https://app.example/cb"],
                           "token_endpoint_auth_method": "client_secret_basic" });
    let answer = register(&world, &metadata).await.expect(201).json();
    let id = answer["client_id"].as_str().expect("an id");
    let secret = answer["client_secret"].as_str().expect("a secret");
    assert_eq!(answer["client_secret_expires_at"], 0);
    let redirect = "https://app.example/cb";

    let without = connect_as(&world, id, redirect, |request| request)
        .await
        .expect(401);
    assert_eq!(without.json()["error"], "invalid_client");
    assert!(without.header("www-authenticate").is_some());
    connect_as(&world, id, redirect, |request| {
        request.basic_auth(id, Some("wrong"))
    })
    .await
    .expect(401);
    connect_as(&world, id, redirect, |request| {
        request.basic_auth(id, Some(secret))
    })
    .await
    .expect(200);
}

#[tokio::test]
async fn a_client_secret_can_expire() {
    let world = World::with(|knobs| knobs.client_secret_lifetime_s = 60).await;
    let metadata = json!({ "redirect_uris": ["https://app.example/cb"],
                           "token_endpoint_auth_method": "client_secret_basic" });
    let answer = register(&world, &metadata).await.json();
    let id = answer["client_id"].as_str().expect("an id");
    let secret = answer["client_secret"].as_str().expect("a secret");
    world.sim.advance_clock(std::time::Duration::from_secs(61));
    let late = connect_as(&world, id, "https://app.example/cb", |request| {
        request.basic_auth(id, Some(secret))
    })
    .await
    .expect(401);
    assert_eq!(late.json()["error"], "invalid_client");
}

#[tokio::test]
async fn a_bad_registration_is_refused_in_the_terms_of_the_rfc() {
    let world = World::new().await;
    for (metadata, error) in [
        (json!({}), "invalid_redirect_uri"),
        (
            json!({ "redirect_uris": ["http://evil.example/cb"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": ["https://a.example/#part"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": [REDIRECT], "grant_types": ["password"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "tls" }),
            "invalid_client_metadata",
        ),
        (json!([1]), "invalid_client_metadata"),
    ] {
        let answer = register(&world, &metadata).await.expect(400).json();
        assert_eq!(answer["error"], error, "{metadata}");
    }
}

#[tokio::test]
async fn a_registration_is_updated_with_its_own_token_only() {
    let world = World::new().await;
    let answer = register(&world, &json!({ "redirect_uris": [REDIRECT] }))
        .await
        .json();
    let token = answer["registration_access_token"]
        .as_str()
        .expect("a token");
    let update = |token: &str, metadata: Value| {
        world
            .request(Method::PUT, "oauth/register/")
            .bearer_auth(token)
            .json(&metadata)
    };
    let changed = json!({ "client_id": answer["client_id"], "client_name": "Renamed",
                          "redirect_uris": ["http://localhost:1/other"] });
    let updated = world
        .send(update(token, changed.clone()))
        .await
        .expect(200)
        .json();
    assert_eq!(updated["client_name"], "Renamed");
    assert_eq!(
        updated["redirect_uris"],
        json!(["http://localhost:1/other"])
    );
    let refused = world.send(update("wrong", changed)).await.expect(401);
    assert_eq!(refused.code(), 1650);
    let other = json!({ "client_id": "fastio-cli", "redirect_uris": [REDIRECT] });
    world.send(update(token, other)).await.expect(400);
}

#[tokio::test]
async fn a_forgotten_registration_is_an_invalid_client() {
    let world = World::new().await;
    let answer = register(&world, &json!({ "redirect_uris": [REDIRECT] }))
        .await
        .json();
    let id = answer["client_id"].as_str().expect("an id");
    let tokens = connect_as(&world, id, REDIRECT, |request| request)
        .await
        .json();
    assert!(world.sim.forget_client(id));
    let refresh = tokens["refresh_token"].as_str().expect("a token");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("client_id", id),
    ];
    let refused = world.token(&form).await.expect(401).json();
    assert_eq!(refused["error"], "invalid_client");
}
