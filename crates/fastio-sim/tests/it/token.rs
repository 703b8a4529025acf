use std::time::Duration;

use fastio_sim::{
    AccessTokenForm, Consent, DeadToken, EndedBy, ExpiresIn, ResourceValues, ScopesEncoding,
    TokenErrorShape, demo,
};
use serde_json::json;

use crate::world::{REDIRECT, VERIFIER, World};

#[tokio::test]
async fn a_code_opens_a_session_and_the_reply_is_bare_json() {
    let world = World::new().await;
    let code = world
        .code(&[("agent_name", "Night run")], &Consent::everything())
        .await;
    let answer = world.redeem(&code).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert!(body.get("result").is_none());
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3600);
    assert_eq!(body["agent_name"], "Night run");
    let access = body["access_token"].as_str().expect("a token");
    assert_eq!(access.split('.').count(), 3);
    let session = world.last_session();
    assert_eq!(session.device_name.as_deref(), Some("a-device"));
    assert_eq!(session.device_type.as_deref(), Some("desktop"));
    assert_eq!(session.agent_name.as_deref(), Some("Night run"));
    assert_eq!(session.live_refresh_tokens.len(), 1);
}

#[tokio::test]
async fn a_code_must_come_with_its_verifier_its_redirect_uri_and_its_client() {
    let world = World::new().await;
    let right = [
        ("grant_type", "authorization_code"),
        ("code_verifier", VERIFIER),
        ("client_id", "fastio-cli"),
        ("redirect_uri", REDIRECT),
    ];
    for (wrong, value, error) in [
        (
            "code_verifier",
            "another-verifier-of-43-characters-0123456789",
            "invalid_grant",
        ),
        (
            "redirect_uri",
            "http://127.0.0.1:49153/callback",
            "invalid_grant",
        ),
        ("client_id", "unknown", "invalid_client"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("code_verifier", "", "invalid_request"),
    ] {
        let code = world.code(&[], &Consent::everything()).await;
        let mut form: Vec<(&str, &str)> = vec![("code", &code)];
        form.extend(
            right
                .iter()
                .map(|(name, own)| (*name, if *name == wrong { value } else { own })),
        );
        let answer = world.token(&form).await;
        assert!(matches!(answer.status, 400 | 401), "{wrong}");
        assert_eq!(answer.json()["error"], error, "{wrong}");
    }
    assert!(world.sim.sessions().is_empty());
}

#[tokio::test]
async fn a_code_sent_twice_ends_the_session_that_it_opened() {
    let world = World::new().await;
    let code = world.code(&[], &Consent::everything()).await;
    let body = world.redeem(&code).await.expect(200).json();
    let again = world.redeem(&code).await.expect(400).json();
    assert_eq!(again["error"], "invalid_grant");
    assert_eq!(world.last_session().ended_by, Some(EndedBy::CodeReplay));
    let probe = world
        .sim
        .probe_refresh_token(body["refresh_token"].as_str().expect("a token"));
    assert_eq!(probe.why, Some(DeadToken::SessionEnded));
}

#[tokio::test]
async fn a_code_lives_five_minutes() {
    let world = World::new().await;
    let code = world.code(&[], &Consent::everything()).await;
    world.sim.advance_clock(Duration::from_mins(5));
    assert_eq!(
        world.redeem(&code).await.expect(400).json()["error"],
        "invalid_grant"
    );
}

#[tokio::test]
async fn scopes_come_as_a_string_an_array_or_not_at_all() {
    let world = World::new().await;
    let consent = Consent::only([demo::STUDIO]).read_only();
    let asked = [("scope_type", "org")];
    let scope = format!("org:{}:r", demo::STUDIO);
    let tokens = world.connect(&asked, &consent).await;
    assert_eq!(tokens.body["scopes"], format!("[\"{scope}\"]"));
    world
        .sim
        .change_knobs(|knobs| knobs.scopes_encoding = ScopesEncoding::Array);
    assert_eq!(
        world.connect(&asked, &consent).await.body["scopes"],
        json!([scope])
    );
    world
        .sim
        .change_knobs(|knobs| knobs.scopes_encoding = ScopesEncoding::Absent);
    assert!(
        world
            .connect(&asked, &consent)
            .await
            .body
            .get("scopes")
            .is_none()
    );
}

#[tokio::test]
async fn the_reply_can_be_as_odd_as_the_rfc_allows() {
    let world = World::with(|knobs| {
        knobs.expires_in = ExpiresIn::Absent;
        knobs.token_type = "bearer".to_owned();
        knobs.access_token_form = AccessTokenForm::Opaque;
    })
    .await;
    let tokens = world.connect_user().await;
    assert!(tokens.body.get("expires_in").is_none());
    assert_eq!(tokens.body["token_type"], "bearer");
    assert!(!tokens.access.contains('.'));
    world
        .get("user/auth/check/", &tokens.access)
        .await
        .expect(200);
}

#[tokio::test]
async fn errors_can_come_in_the_envelope() {
    let world = World::with(|knobs| knobs.token_error_shape = TokenErrorShape::Envelope).await;
    assert_eq!(world.redeem("unknown").await.expect(401).code(), 1650);
    assert_eq!(world.refresh("unknown").await.expect(401).code(), 1650);
}

#[tokio::test]
async fn an_access_token_dies_at_its_time() {
    let world = World::with(|knobs| knobs.access_token_lifetime_s = 1).await;
    let tokens = world.connect_user().await;
    assert_eq!(tokens.body["expires_in"], 1);
    world
        .get("user/auth/check/", &tokens.access)
        .await
        .expect(200);
    world.sim.advance_clock(Duration::from_secs(1));
    assert_eq!(
        world
            .get("user/auth/check/", &tokens.access)
            .await
            .expect(401)
            .code(),
        1650
    );
    assert_eq!(
        world.sim.probe_access_token(&tokens.access).why,
        Some(DeadToken::Expired)
    );
}

#[tokio::test]
async fn a_token_for_another_resource_does_not_open_the_api() {
    let world = World::new().await;
    let own = world
        .connect(
            &[("resource", &world.sim.api_base())],
            &Consent::everything(),
        )
        .await;
    world.get("user/auth/check/", &own.access).await.expect(200);
    let mcp = format!("{}/mcp", world.sim.base_url());
    let other = world
        .connect(&[("resource", &mcp)], &Consent::everything())
        .await;
    assert_eq!(
        world
            .get("user/auth/check/", &other.access)
            .await
            .expect(401)
            .code(),
        1650
    );
}

#[tokio::test]
async fn resource_can_be_refused_at_the_token_endpoint() {
    let world = World::with(|knobs| knobs.resource = ResourceValues::Refused).await;
    let tokens = world.connect_user().await;
    let api = world.sim.api_base();
    let mut form = World::refresh_form(&tokens.refresh).to_vec();
    form.push(("resource", &api));
    assert_eq!(
        world.token(&form).await.expect(400).json()["error"],
        "invalid_target"
    );
    assert!(world.sim.probe_refresh_token(&tokens.refresh).live);
}
