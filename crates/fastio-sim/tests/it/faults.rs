use std::time::Duration;

use fastio_sim::{DeadToken, Fault, Group, Hang, Kind, Progress};
use serde_json::json;

use crate::world::{Tokens, World};

#[tokio::test]
async fn a_dropped_response_has_changed_everything_and_told_nobody() {
    let world = World::new().await;
    let first = world.connect_user().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).drop_response_after_commit());
    let lost = world
        .try_send(world.token_request(&World::refresh_form(&first.refresh)))
        .await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(
        world.sim.probe_refresh_token(&first.refresh).why,
        Some(DeadToken::Spent)
    );
    assert_eq!(world.last_session().live_refresh_tokens.len(), 1);
    let entry = world.sim.requests().pop().expect("a request");
    assert_eq!(
        (entry.progress, entry.status),
        (Progress::DroppedAfterWork, Some(200))
    );
}

#[tokio::test]
async fn a_closed_socket_has_changed_nothing() {
    let world = World::new().await;
    let first = world.connect_user().await;
    world
        .sim
        .queue_fault(Fault::on(Group::Token).close_socket());
    let lost = world
        .try_send(world.token_request(&World::refresh_form(&first.refresh)))
        .await;
    assert!(lost.is_err(), "{lost:?}");
    assert!(world.sim.probe_refresh_token(&first.refresh).live);
    world.refresh(&first.refresh).await.expect(200);
}

#[tokio::test]
async fn a_status_is_answered_instead_of_the_work() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    let check = "user/auth/check/";
    world.sim.queue_fault(
        Fault::on(Kind::Check)
            .status(503)
            .times(2)
            .header("retry-after", "3"),
    );
    for _ in 0..2 {
        let answer = world.get(check, &tokens.access).await.expect(503);
        assert_eq!(
            (answer.code(), answer.header("retry-after")),
            (1654, Some("3"))
        );
    }
    world.get(check, &tokens.access).await.expect(200);

    world
        .sim
        .queue_fault(Fault::on(Kind::Check).status(502).body("<html>Bad gateway"));
    assert_eq!(
        world.get(check, &tokens.access).await.expect(502).text,
        "<html>Bad gateway"
    );
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).status(400));
    let refused = world.refresh(&tokens.refresh).await.expect(400).json();
    assert_eq!(refused["error"], "invalid_grant");
    world.sim.queue_fault(
        Fault::on(Kind::TokenRefresh)
            .status(400)
            .body(json!({ "error": "server_error" })),
    );
    let refused = world.refresh(&tokens.refresh).await.expect(400).json();
    assert_eq!(refused["error"], "server_error");
    world.refresh(&tokens.refresh).await.expect(200);
}

#[tokio::test]
async fn a_fault_strikes_only_what_it_names() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::Api).path_contains("/orgs/").status(500));
    world
        .get("user/me/details/", &tokens.access)
        .await
        .expect(200);
    world
        .get("user/auth/check/", &tokens.access)
        .await
        .expect(200);
    world.get("orgs/list/", &tokens.access).await.expect(500);
    world.get("orgs/list/", &tokens.access).await.expect(200);
}

#[tokio::test]
async fn a_hanging_request_goes_on_when_the_faults_are_cleared() {
    let world = World::new().await;
    let first = world.connect_user().await;
    for hang in [Hang::BeforeWork, Hang::AfterWork] {
        let token = Tokens::of(world.refresh(&first.refresh).await.json());
        let token = if token.refresh.is_empty() {
            world.connect_user().await
        } else {
            token
        };
        world
            .sim
            .queue_fault(Fault::on(Kind::TokenRefresh).hang(hang));
        let form = World::refresh_form(&token.refresh).map(|(k, v)| (k, v.to_owned()));
        let request = world
            .request(reqwest::Method::POST, "oauth/token/")
            .form(&form);
        let hanging = tokio::spawn(request.send());
        world.sim.wait_until_hanging(Kind::TokenRefresh).await;
        let untouched = world.sim.probe_refresh_token(&token.refresh).live;
        assert_eq!(untouched, hang == Hang::BeforeWork);
        world.sim.clear_faults();
        let answer = hanging.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status().as_u16(), 200);
    }
}

#[tokio::test]
async fn the_work_is_done_even_if_the_client_is_gone() {
    let world = World::new().await;
    let first = world.connect_user().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(Hang::BeforeWork));
    let form = World::refresh_form(&first.refresh).map(|(k, v)| (k, v.to_owned()));
    let request = world
        .request(reqwest::Method::POST, "oauth/token/")
        .form(&form);
    let client = tokio::spawn(request.send());
    world.sim.wait_until_hanging(Kind::TokenRefresh).await;
    client.abort();
    assert!(client.await.is_err());
    world.sim.clear_faults();
    world
        .sim
        .wait_until(|sim| !sim.probe_refresh_token(&first.refresh).live)
        .await;
}

#[tokio::test]
async fn a_delay_comes_before_or_after_the_work() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::Check).delay(Duration::from_millis(20)));
    world
        .sim
        .queue_fault(Fault::on(Kind::Check).delay_response(Duration::from_millis(20)));
    for _ in 0..2 {
        world
            .get("user/auth/check/", &tokens.access)
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn nothing_listens_once_the_simulator_is_dropped() {
    let World { sim, http } = World::new().await;
    let ping = format!("{}ping/", sim.api_base());
    let knobs = format!("{}/knobs", sim.control_url());
    for url in [&ping, &knobs] {
        http.get(url).send().await.expect("an answer");
    }
    drop(sim);
    // The listener goes when the runtime next runs its task; each attempt gives it a turn.
    while http.get(&ping).send().await.is_ok() {}
    assert!(
        http.get(&ping)
            .send()
            .await
            .is_err_and(|error| error.is_connect())
    );
}

#[tokio::test]
async fn requests_can_be_waited_for() {
    let world = World::new().await;
    let ping = world.http.get(format!("{}ping/", world.sim.api_base()));
    let both = tokio::spawn(async move {
        for _ in 0..2 {
            ping.try_clone()
                .expect("no body")
                .send()
                .await
                .expect("an answer");
        }
    });
    world.sim.wait_for_requests(Kind::Api, 2).await;
    both.await.expect("no panic");
    assert_eq!(world.sim.counts().of(Group::Any), 2);
}

#[tokio::test]
async fn an_outage_ends_where_it_began() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    world.sim.go_down().await;
    let request = world.token_request(&World::refresh_form(&tokens.refresh));
    let refused = world.try_send(request).await;
    assert!(refused.is_err_and(|error| error.is_connect()));
    world.sim.come_back().await.expect("the same port");
    world.refresh(&tokens.refresh).await.expect(200);
}
