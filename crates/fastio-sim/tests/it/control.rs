use fastio_sim::{Kind, RefreshRotation, SecretKind};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, World};

async fn control(world: &World, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = world
        .http
        .request(method, format!("{}{path}", world.sim.control_url()));
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    world.send(request).await
}

#[tokio::test]
async fn knobs_are_read_turned_and_set() {
    let world = World::new().await;
    let knobs = control(&world, Method::GET, "/knobs", None)
        .await
        .expect(200)
        .json();
    assert_eq!(knobs["refresh_rotation"], "rotate");
    assert_eq!(knobs["access_token_lifetime_s"], 3600);
    let turned = json!({ "refresh_rotation": "keep", "access_token_lifetime_s": 1 });
    control(&world, Method::PATCH, "/knobs", Some(turned))
        .await
        .expect(200);
    assert_eq!(world.sim.knobs().refresh_rotation, RefreshRotation::Keep);
    let set = json!({ "scopes_encoding": "array" });
    control(&world, Method::PUT, "/knobs", Some(set))
        .await
        .expect(200);
    assert_eq!(world.sim.knobs().refresh_rotation, RefreshRotation::Rotate);
    let unknown = json!({ "no_such_knob": 1 });
    let refused = control(&world, Method::PATCH, "/knobs", Some(unknown))
        .await
        .expect(400);
    assert!(
        refused.json()["error"]
            .as_str()
            .is_some_and(|text| text.contains("no_such_knob"))
    );
}

#[tokio::test]
async fn faults_are_queued_listed_and_forgotten() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    let faults = json!([
        { "kind": "token_refresh", "count": 2, "drop_response_after_commit": true },
        { "kind": "sessions", "status": 500 },
        { "kind": "any", "rate_limit": { "window_s": 7, "header": "retry_after_date" } },
        { "kind": "check", "hang": "after_work", "delay_ms": 5, "body": { "a": 1 } },
    ]);
    let queued = control(&world, Method::POST, "/faults", Some(faults))
        .await
        .expect(200)
        .json();
    assert_eq!(queued["faults"].as_array().map(Vec::len), Some(4));
    world
        .get("oauth/sessions/", &tokens.access)
        .await
        .expect(500);
    control(&world, Method::DELETE, "/faults", None)
        .await
        .expect(204);
    world
        .get("oauth/sessions/", &tokens.access)
        .await
        .expect(200);
    for bad in [
        json!({ "kind": "nothing" }),
        json!({ "kind": "any", "explode": true }),
    ] {
        control(&world, Method::POST, "/faults", Some(bad))
            .await
            .expect(400);
    }
}

#[tokio::test]
async fn the_clock_is_told_and_moved() {
    let world = World::new().await;
    let before = control(&world, Method::GET, "/clock", None).await.json();
    let moved = json!({ "advance_s": 3600 });
    let after = control(&world, Method::POST, "/clock", Some(moved))
        .await
        .expect(200)
        .json();
    let passed = after["unix"].as_i64().unwrap_or(0) - before["unix"].as_i64().unwrap_or(0);
    assert!((3600..3660).contains(&passed), "{passed}");
}

#[tokio::test]
async fn requests_are_counted_by_kind_and_logged_without_secrets() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    world.refresh(&tokens.refresh).await.expect(200);
    world
        .get("user/auth/check/", &tokens.access)
        .await
        .expect(200);
    let counts = control(&world, Method::GET, "/counts", None)
        .await
        .expect(200)
        .json();
    for kind in ["token_code", "token_refresh", "check", "authorize"] {
        assert_eq!(counts["kinds"][kind], 1, "{kind}");
    }
    assert_eq!(counts["kinds"]["revoke"], 0);
    assert_eq!(world.sim.counts().of(fastio_sim::Group::Token), 2);

    let log = control(&world, Method::GET, "/requests", None)
        .await
        .expect(200);
    let refresh = log.json()["requests"]
        .as_array()
        .and_then(|all| {
            all.iter()
                .find(|entry| entry["kind"] == "token_refresh")
                .cloned()
        })
        .expect("a refresh");
    assert_eq!(
        refresh["parameters"],
        json!(["client_id", "grant_type", "refresh_token"])
    );
    assert_eq!(
        (&refresh["status"], &refresh["progress"]),
        (&json!(200), &json!("answered"))
    );
    for secret in world.sim.issued_secrets() {
        assert!(!log.text.contains(&secret.value), "{:?}", secret.kind);
    }
    control(&world, Method::POST, "/counts/reset", None)
        .await
        .expect(204);
    assert_eq!(world.sim.counts().of(Kind::TokenRefresh), 0);
}

#[tokio::test]
async fn a_session_is_shown_without_tokens_and_ended_by_the_person() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    let shown = control(&world, Method::GET, "/sessions", None)
        .await
        .expect(200);
    assert!(!shown.text.contains(&tokens.refresh) && !shown.text.contains(&tokens.access));
    let session = shown.json()["sessions"][0].clone();
    assert_eq!(session["active"], true);
    assert_eq!(
        session["live_refresh_tokens"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(session["live_access_tokens"], 1);

    let path = format!(
        "/sessions/{}",
        session["session_id"].as_str().unwrap_or_default()
    );
    control(&world, Method::DELETE, &path, None)
        .await
        .expect(204);
    control(&world, Method::DELETE, &path, None)
        .await
        .expect(404);
    let session = control(&world, Method::GET, "/sessions", None).await.json();
    assert_eq!(session["sessions"][0]["ended_by"], "person");
    let probe = json!({ "refresh_token": tokens.refresh });
    let probe = control(&world, Method::POST, "/tokens/probe", Some(probe))
        .await
        .expect(200);
    assert_eq!(
        probe.json(),
        json!({ "live": false, "why": "session_ended" })
    );
}

#[tokio::test]
async fn tokens_are_probed_without_being_used() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    for body in [
        json!({ "refresh_token": tokens.refresh }),
        json!({ "access_token": tokens.access }),
    ] {
        let probe = control(&world, Method::POST, "/tokens/probe", Some(body))
            .await
            .expect(200);
        assert_eq!(probe.json(), json!({ "live": true, "why": null }));
    }
    world.refresh(&tokens.refresh).await.expect(200);
    let spent = json!({ "refresh_token": tokens.refresh });
    let probe = control(&world, Method::POST, "/tokens/probe", Some(spent))
        .await
        .json();
    assert_eq!(probe["why"], "spent");
    control(&world, Method::POST, "/tokens/probe", Some(json!({})))
        .await
        .expect(400);
}

#[tokio::test]
async fn every_secret_that_was_issued_can_be_listed_for_a_scan() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    let secrets = world.sim.issued_secrets();
    let has = |kind, value: &str| {
        secrets
            .iter()
            .any(|secret| secret.kind == kind && secret.value == value)
    };
    assert!(has(SecretKind::RefreshToken, &tokens.refresh));
    assert!(has(SecretKind::AccessToken, &tokens.access));
    assert!(has(SecretKind::CodeVerifier, crate::world::VERIFIER));
    assert!(
        secrets
            .iter()
            .any(|secret| secret.kind == SecretKind::AuthorizationCode)
    );
    let listed = control(&world, Method::GET, "/secrets", None)
        .await
        .expect(200)
        .json();
    assert_eq!(
        listed["secrets"].as_array().map(Vec::len),
        Some(secrets.len())
    );
}

#[tokio::test]
async fn registrations_and_outages_are_in_the_testers_hand() {
    let world = World::new().await;
    let clients = control(&world, Method::GET, "/clients", None)
        .await
        .expect(200)
        .json();
    assert_eq!(clients["clients"][0]["client_id"], "fastio-cli");
    control(&world, Method::DELETE, "/clients/nobody", None)
        .await
        .expect(404);
    let ping = format!("{}ping/", world.sim.api_base());
    control(
        &world,
        Method::POST,
        "/outage",
        Some(json!({ "down": true })),
    )
    .await
    .expect(204);
    assert!(world.try_send(world.http.get(&ping)).await.is_err());
    control(
        &world,
        Method::POST,
        "/outage",
        Some(json!({ "down": false })),
    )
    .await
    .expect(204);
    world.visit(&ping).await.expect(200);
}

#[tokio::test]
async fn examples_locks_and_deeds_are_told_and_strays_only_where_there_is_a_second_origin() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let ask = |tool: &str| Some(json!({ "tool": tool }));
    let example = control(
        &world,
        Method::POST,
        "/examples",
        ask("storage_lock_acquire"),
    )
    .await;
    let node = example.expect(200).json()["arguments"]["node_id"].clone();
    control(&world, Method::POST, "/examples", ask("no_such_tool"))
        .await
        .expect(404);
    let path = format!(
        "workspace/{}/storage/{}/lock/",
        fastio_sim::demo::WEBSITE,
        node.as_str().expect("an id")
    );
    let lock = world.request(Method::POST, &path).bearer_auth(&token);
    let lock = world.send(lock).await.expect(200).json();
    let locks = control(&world, Method::GET, "/locks", None)
        .await
        .expect(200);
    assert_eq!(locks.json()["locks"][0]["node"], node);
    assert!(
        !locks
            .text
            .contains(lock["lock_token"].as_str().expect("a token"))
    );
    let effects = control(&world, Method::GET, "/effects", None)
        .await
        .expect(200);
    assert!(effects.text.contains("lock acquired"));
    control(&world, Method::POST, "/effects/reset", None)
        .await
        .expect(204);
    assert!(world.sim.effects().is_empty());
    assert_eq!(world.sim.stranger_url(), None);
    let strayed = control(&world, Method::GET, "/stranger/requests", None).await;
    assert_eq!(strayed.expect(200).json(), json!({ "requests": [] }));
}
