use std::time::Duration;

use fastio_sim::{Consent, DeadToken, EndedBy, RefreshReuse, RefreshRotation, demo};
use reqwest::Method;

use crate::world::{Tokens, World};

#[tokio::test]
async fn a_refresh_rotates_and_reuse_ends_the_family() {
    let world = World::new().await;
    let first = world.connect_user().await;
    let second = Tokens::of(world.refresh(&first.refresh).await.expect(200).json());
    assert_ne!(first.refresh, second.refresh);
    assert_ne!(first.access, second.access);
    world
        .get("user/auth/check/", &first.access)
        .await
        .expect(200);

    let reused = world.refresh(&first.refresh).await.expect(400).json();
    assert_eq!(reused["error"], "invalid_grant");
    assert_eq!(world.last_session().ended_by, Some(EndedBy::RefreshReuse));
    world.refresh(&second.refresh).await.expect(400);
    world
        .get("user/auth/check/", &second.access)
        .await
        .expect(401);
}

#[tokio::test]
async fn reuse_can_be_merely_refused() {
    let world = World::with(|knobs| knobs.refresh_reuse = RefreshReuse::RejectOnly).await;
    let first = world.connect_user().await;
    let second = Tokens::of(world.refresh(&first.refresh).await.expect(200).json());
    world.refresh(&first.refresh).await.expect(400);
    world.refresh(&second.refresh).await.expect(200);
}

#[tokio::test]
async fn a_spent_token_is_honoured_within_the_grace_and_its_successor_stays_good() {
    let world = World::with(|knobs| knobs.refresh_replay_grace_s = 60).await;
    let first = world.connect_user().await;
    let lost = Tokens::of(world.refresh(&first.refresh).await.expect(200).json());
    world.sim.advance_clock(Duration::from_secs(59));
    world.refresh(&first.refresh).await.expect(200);
    assert!(world.sim.probe_refresh_token(&lost.refresh).live);
    assert_eq!(world.last_session().live_refresh_tokens.len(), 2);
    world.sim.advance_clock(Duration::from_secs(1));
    world.refresh(&first.refresh).await.expect(400);
    assert_eq!(world.last_session().ended_by, Some(EndedBy::RefreshReuse));
}

#[tokio::test]
async fn without_rotation_the_token_is_repeated_or_left_out() {
    let world = World::with(|knobs| knobs.refresh_rotation = RefreshRotation::Keep).await;
    let first = world.connect_user().await;
    let second = Tokens::of(world.refresh(&first.refresh).await.expect(200).json());
    assert_eq!(second.refresh, first.refresh);
    world
        .sim
        .change_knobs(|knobs| knobs.refresh_rotation = RefreshRotation::KeepAndOmit);
    let third = world.refresh(&first.refresh).await.expect(200).json();
    assert!(third.get("refresh_token").is_none());
    world.refresh(&first.refresh).await.expect(200);
}

#[tokio::test]
async fn a_refresh_token_outlives_its_month_only_if_it_is_used() {
    let world = World::new().await;
    let first = world.connect_user().await;
    world.sim.advance_clock(Duration::from_hours(29 * 24));
    let second = Tokens::of(world.refresh(&first.refresh).await.expect(200).json());
    world.sim.advance_clock(Duration::from_hours(30 * 24));
    world.refresh(&second.refresh).await.expect(400);
    assert_eq!(
        world.sim.probe_refresh_token(&second.refresh).why,
        Some(DeadToken::Expired)
    );
}

#[tokio::test]
async fn a_refresh_token_belongs_to_its_client() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    let metadata = serde_json::json!({ "redirect_uris": ["https://other.example/cb"] });
    let register = world
        .request(Method::POST, "oauth/register/")
        .json(&metadata);
    let other = world.send(register).await.json()["client_id"].clone();
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &tokens.refresh),
        ("client_id", other.as_str().expect("an id")),
    ];
    assert_eq!(
        world.token(&form).await.expect(400).json()["error"],
        "invalid_grant"
    );
    world.refresh(&tokens.refresh).await.expect(200);
}

#[tokio::test]
async fn narrowing_shows_at_the_next_refresh() {
    let world = World::new().await;
    let asked = [("scope_type", "org")];
    let wide = world.connect(&asked, &Consent::only([demo::STUDIO])).await;
    let session = world.last_session().session_id;
    let scope = format!("workspace:{}:r", demo::WEBSITE);
    let narrow = world
        .request(Method::PATCH, &format!("oauth/sessions/{session}/"))
        .bearer_auth(&wide.access)
        .form(&[("scopes", format!("[\"{scope}\"]"))]);
    world.send(narrow).await.expect(200);

    let archive = format!("workspace/{}/details/", demo::ARCHIVE);
    world.get(&archive, &wide.access).await.expect(200);
    let narrowed = Tokens::of(world.refresh(&wide.refresh).await.expect(200).json());
    assert_eq!(narrowed.body["scopes"], format!("[\"{scope}\"]"));
    world.get(&archive, &narrowed.access).await.expect(403);
    world
        .get(
            &format!("workspace/{}/details/", demo::WEBSITE),
            &narrowed.access,
        )
        .await
        .expect(200);
}
