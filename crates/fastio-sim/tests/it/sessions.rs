use fastio_sim::{Consent, EndedBy, Fault, Hang, Kind, RevokedAccessToken, demo};
use reqwest::Method;

use crate::world::World;

#[tokio::test]
async fn revoking_a_refresh_token_ends_the_session_and_always_succeeds() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    let revoke = |token: &str| {
        world.send(
            world
                .request(Method::POST, "oauth/revoke/")
                .form(&[("token", token)]),
        )
    };
    assert_eq!(revoke("unknown").await.expect(200).json()["result"], true);
    assert_eq!(
        revoke(&tokens.access).await.expect(200).json()["result"],
        true
    );
    assert!(world.sim.probe_refresh_token(&tokens.refresh).live);
    assert_eq!(
        revoke(&tokens.refresh).await.expect(200).json()["result"],
        true
    );
    assert_eq!(world.last_session().ended_by, Some(EndedBy::RevokeEndpoint));
    world.refresh(&tokens.refresh).await.expect(400);
    world
        .get("user/auth/check/", &tokens.access)
        .await
        .expect(401);
    revoke(&tokens.refresh).await.expect(200);
}

#[tokio::test]
async fn an_access_token_can_outlive_its_session() {
    let world =
        World::with(|knobs| knobs.revoked_access_token = RevokedAccessToken::ValidUntilExpiry)
            .await;
    let tokens = world.connect_user().await;
    assert!(
        world
            .sim
            .revoke_session_as_person(&world.last_session().session_id)
    );
    world.refresh(&tokens.refresh).await.expect(400);
    world
        .get("user/auth/check/", &tokens.access)
        .await
        .expect(200);
    world.sim.advance_clock(std::time::Duration::from_hours(1));
    world
        .get("user/auth/check/", &tokens.access)
        .await
        .expect(401);
}

#[tokio::test]
async fn sessions_are_listed_and_told_apart() {
    let world = World::new().await;
    let one = world
        .connect(&[("agent_name", "one")], &Consent::everything())
        .await;
    world
        .connect(&[("agent_name", "two")], &Consent::everything())
        .await;
    let body = world
        .get("oauth/sessions/", &one.access)
        .await
        .expect(200)
        .json();
    let sessions = body["response"]["sessions"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0]["current"], true);
    assert_eq!(sessions[1]["agent_name"], "two");
    let id = sessions[1]["session_id"].as_str().expect("an id");
    let details = world
        .get(&format!("oauth/sessions/{id}/"), &one.access)
        .await
        .expect(200)
        .json();
    assert_eq!(details["response"]["session"]["session_id"], id);
    world
        .get("oauth/sessions/none/", &one.access)
        .await
        .expect(404);
}

#[tokio::test]
async fn a_session_is_renamed_but_never_widened_or_emptied() {
    let world = World::new().await;
    let asked = [("scope_type", "workspace"), ("access_mode", "r")];
    let tokens = world.connect(&asked, &Consent::only([demo::WEBSITE])).await;
    let id = world.last_session().session_id;
    let patch = |form: [(&'static str, String); 1]| {
        let request = world
            .request(Method::PATCH, &format!("oauth/sessions/{id}/"))
            .bearer_auth(&tokens.access)
            .form(&form);
        world.send(request)
    };
    let renamed = patch([("agent_name", "Renamed".to_owned())])
        .await
        .expect(200)
        .json();
    assert_eq!(renamed["response"]["session"]["agent_name"], "Renamed");
    let cleared = patch([("agent_name", String::new())])
        .await
        .expect(200)
        .json();
    assert!(cleared["response"]["session"]["agent_name"].is_null());
    assert_eq!(
        patch([("agent_name", "n".repeat(129))])
            .await
            .expect(400)
            .code(),
        1605
    );

    assert_eq!(
        patch([("scopes", "[]".to_owned())])
            .await
            .expect(400)
            .code(),
        1605
    );
    for wider in [
        format!("[\"workspace:{}:rw\"]", demo::WEBSITE),
        format!("[\"workspace:{}:r\"]", demo::ARCHIVE),
        "[\"user:*:r\"]".to_owned(),
    ] {
        let refused = patch([("scopes", wider)]).await.expect(403);
        assert_eq!(
            refused.json()["error"]["params"]["reason"],
            "scope_exceeds_issuer"
        );
    }
}

#[tokio::test]
async fn a_change_that_another_one_overtook_is_a_conflict() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    let id = world.last_session().session_id;
    let rename = |name: &str| {
        world
            .request(Method::PATCH, &format!("oauth/sessions/{id}/"))
            .bearer_auth(&tokens.access)
            .form(&[("agent_name", name)])
    };
    world
        .sim
        .queue_fault(Fault::on(Kind::SessionUpdate).hang(Hang::BeforeWork));
    let slow = tokio::spawn(rename("slow").send());
    world.sim.wait_until_hanging(Kind::SessionUpdate).await;
    world.send(rename("quick")).await.expect(200);
    world.sim.clear_faults();
    let slow = slow.await.expect("no panic").expect("an answer");
    assert_eq!(slow.status().as_u16(), 409);
    assert_eq!(world.last_session().agent_name.as_deref(), Some("quick"));
}

#[tokio::test]
async fn one_session_ends_without_the_others() {
    let world = World::new().await;
    let kept = world.connect_user().await;
    let ended = world.connect_user().await;
    let id = world.last_session().session_id;
    let delete = || {
        world
            .request(Method::DELETE, &format!("oauth/sessions/{id}/"))
            .bearer_auth(&kept.access)
    };
    world.send(delete()).await.expect(200);
    assert_eq!(world.last_session().ended_by, Some(EndedBy::SessionDelete));
    world.send(delete()).await.expect(404);
    world.refresh(&ended.refresh).await.expect(400);
    world.refresh(&kept.refresh).await.expect(200);
}

#[tokio::test]
async fn all_sessions_end_but_the_one_that_is_kept() {
    let world = World::new().await;
    let kept = world.connect_user().await;
    let id = world.last_session().session_id;
    let other = world.connect_user().await;
    let path = format!("oauth/sessions/?exclude_current=true&current_session_id={id}");
    let delete = world
        .request(Method::DELETE, &path)
        .bearer_auth(&kept.access);
    world.send(delete).await.expect(200);
    assert!(world.sim.probe_refresh_token(&kept.refresh).live);
    assert!(!world.sim.probe_refresh_token(&other.refresh).live);
    let delete = world
        .request(Method::DELETE, "oauth/sessions/")
        .bearer_auth(&kept.access);
    world.send(delete).await.expect(200);
    assert!(!world.sim.probe_refresh_token(&kept.refresh).live);
}
