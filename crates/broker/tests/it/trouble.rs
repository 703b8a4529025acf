//! Refreshes that fail: what passes keeps the grant, what has ended is said once, and nobody storms.

use std::time::Duration;

use doorward_core::plan::Notice;
use doorward_core::problem::Refusal;
use fastio_sim::{Fault, Kind, LimitForm, TokenErrorShape};
use futures_util::future::join_all;
use serde_json::json;

use crate::agents::{Agent, named};
use crate::world::{World, code, granted, refused, secs, within};

const HOUR: Duration = Duration::from_hours(1);

async fn at_the_end_of_a_token() -> (World, Agent) {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    granted(world.token(&agent).await);
    world.pass(HOUR).await;
    world.sim.reset_counts();
    (world, agent)
}

async fn fifty(world: &World, agent: &Agent) -> Vec<Refusal> {
    let caller = world.caller(agent);
    let asks = (0..50).map(|_| world.handle().token(&caller, named("fastio")));
    within(join_all(asks))
        .await
        .into_iter()
        .map(refused)
        .collect()
}

#[tokio::test]
async fn what_may_pass_keeps_the_grant_and_says_when_to_ask_again() {
    let unavailable = || Fault::on(Kind::TokenRefresh).status(503);
    for (fault, expected) in [
        (
            Fault::on(Kind::TokenRefresh).status(500),
            "provider_unavailable",
        ),
        (
            unavailable().header("retry-after", "20"),
            "provider_unavailable",
        ),
        (
            unavailable().body("<html>maintenance</html>"),
            "provider_unavailable",
        ),
        (
            Fault::on(Kind::TokenRefresh).status(401).body("proxy"),
            "provider_unavailable",
        ),
        (
            Fault::on(Kind::TokenRefresh).close_socket(),
            "provider_unavailable",
        ),
        (
            Fault::on(Kind::TokenRefresh).rate_limit(20, LimitForm::Datetime),
            "rate_limited",
        ),
        (
            Fault::on(Kind::TokenRefresh).rate_limit(20, LimitForm::Epoch),
            "rate_limited",
        ),
        (
            Fault::on(Kind::TokenRefresh).rate_limit(20, LimitForm::Delta),
            "rate_limited",
        ),
        (
            Fault::on(Kind::TokenRefresh).rate_limit(20, LimitForm::RetryAfterDate),
            "rate_limited",
        ),
        (
            Fault::on(Kind::TokenRefresh).rate_limit(20, LimitForm::RetryAfterSeconds),
            "rate_limited",
        ),
    ] {
        let what = format!("{fault:?}");
        let (world, agent) = at_the_end_of_a_token().await;
        let says_when = fault.rate_limit.is_some() || !fault.headers.is_empty();
        world.sim.queue_fault(fault);
        let told = fifty(&world, &agent).await;
        for refusal in &told {
            assert_eq!(refusal.code.as_str(), expected, "{what}");
        }
        let wait = told[0].retry_after_seconds.expect("a time");
        if says_when {
            assert!((20..=25).contains(&wait), "{what}: {wait} s");
        } else {
            assert_eq!(wait, 1, "{what}");
        }
        fifty(&world, &agent).await;
        assert_eq!(world.refreshes(), 1, "nobody storms: {what}");
        world.pass(secs(26)).await;
        let token = world.token_text(&agent).await;
        assert_eq!(world.use_token(&token).await, 200, "{what}");
        assert_eq!(world.refreshes(), 2, "{what}");
        world.finish().await;
    }
}

#[tokio::test]
async fn waits_between_failures_grow_and_the_health_tells_of_them() {
    let (world, agent) = at_the_end_of_a_token().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).status(500).times(8));
    let mut longest = 0;
    for failures in 1..=8 {
        let refusal = refused(world.token(&agent).await);
        longest = longest.max(refusal.retry_after_seconds.expect("a time"));
        assert!(longest <= 60);
        assert_eq!(world.refreshes(), failures);
        let health = granted(world.handle().connections().await).remove(0).health;
        assert_eq!(health.as_str(), "degraded");
        world.pass(secs(60)).await;
    }
    assert!(longest > 1, "by chance once in many millions");
    granted(world.token(&agent).await);
    let health = granted(world.handle().connections().await).remove(0).health;
    assert_eq!(health.as_str(), "connected");
    world.finish().await;
}

#[tokio::test]
async fn a_lost_reply_is_made_good_where_the_provider_forgives_a_repetition() {
    let (world, agent) = at_the_end_of_a_token().await;
    world
        .sim
        .change_knobs(|knobs| knobs.refresh_replay_grace_s = 60);
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).drop_response_after_commit());
    assert_eq!(code(world.token(&agent).await), "provider_unavailable");
    world.pass(secs(2)).await;
    let token = world.token_text(&agent).await;
    assert_eq!(world.use_token(&token).await, 200);
    assert_eq!(world.refreshes(), 2);
    world.finish().await;
}

#[tokio::test]
async fn a_grant_that_ended_at_the_provider_is_said_once_and_its_tokens_are_erased() {
    for shape in [TokenErrorShape::Rfc6749, TokenErrorShape::Envelope] {
        let (mut world, agent) = at_the_end_of_a_token().await;
        world
            .sim
            .change_knobs(|knobs| knobs.token_error_shape = shape);
        assert!(
            world
                .sim
                .revoke_session_as_person(&world.session().session_id)
        );
        for refusal in fifty(&world, &agent).await {
            assert_eq!(refusal.code.as_str(), "reconnect_required");
            assert!(refusal.hint.contains("doorward connect"));
        }
        fifty(&world, &agent).await;
        assert_eq!(world.refreshes(), 1);
        let news = world.news();
        assert!(
            matches!(news.as_slice(), [Notice::ReconnectNeeded(_)]),
            "{news:?}"
        );
        assert_eq!(world.audited("connection.ended").await, 1);
        assert_eq!(granted(world.handle().status().await).need_reconnect, 1);
        world.stop().await;
        assert!(!has_tokens(&world).await);
        world.finish().await;
    }
}

async fn has_tokens(world: &World) -> bool {
    let (store, left) = world.left().await;
    let mut rows = left.book.connections();
    let row = rows.next().expect("the connection stays");
    let refresh = store.refresh_token(row.tenant, row.id).await.unwrap();
    let has_any = refresh.is_some() || !left.access.is_empty();
    store.close().await;
    has_any
}

#[tokio::test]
async fn a_grant_that_ended_works_again_after_one_consent_and_with_the_same_agents() {
    let (world, agent) = at_the_end_of_a_token().await;
    world
        .sim
        .revoke_session_as_person(&world.session().session_id);
    assert_eq!(code(world.token(&agent).await), "reconnect_required");
    world.connect().await;
    assert_eq!(world.use_token(&world.token_text(&agent).await).await, 200);
    let news = world.news();
    assert!(matches!(
        news.as_slice(),
        [Notice::ReconnectNeeded(_), Notice::Recovered(_)]
    ));
    world.finish().await;
}

#[tokio::test]
async fn a_request_that_can_never_succeed_keeps_the_grant_and_is_not_repeated() {
    let (world, agent) = at_the_end_of_a_token().await;
    let never = Fault::on(Kind::TokenRefresh).status(400);
    world
        .sim
        .queue_fault(never.body(json!({"error": "invalid_scope"})));
    assert_eq!(code(world.token(&agent).await), "provider_rejected");
    world.pass(secs(200)).await;
    assert_eq!(code(world.token(&agent).await), "provider_rejected");
    assert_eq!(world.refreshes(), 1);
    world.pass(secs(200)).await;
    granted(world.token(&agent).await);
    world.finish().await;
}

#[tokio::test]
async fn a_report_cannot_shorten_the_wait_that_the_provider_asked_for() {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    let token = world.token_text(&agent).await;
    world.pass(secs(60)).await;
    world.sim.reset_counts();
    world.sim.queue_fault(Fault::on(Kind::Check).status(401));
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).rate_limit(30, LimitForm::Delta));
    for _ in 0..20 {
        let told = refused(world.reject(&agent, &token).await);
        assert_eq!(told.code.as_str(), "rate_limited");
    }
    assert_eq!(
        (world.refreshes(), world.sim.counts().of(Kind::Check)),
        (1, 1)
    );
    assert_eq!(
        code(world.token(&agent).await),
        "rate_limited",
        "it is known to be dead"
    );
    world.pass(secs(32)).await;
    assert_eq!(world.use_token(&world.token_text(&agent).await).await, 200);
    world.finish().await;
}

#[tokio::test]
async fn a_provider_that_is_down_loses_nothing() {
    let (world, agent) = at_the_end_of_a_token().await;
    world.sim.go_down().await;
    let told = refused(world.token(&agent).await);
    assert_eq!(told.code.as_str(), "provider_unavailable");
    assert!(told.retry_after_seconds.is_some());
    world.sim.come_back().await.unwrap();
    world.pass(secs(2)).await;
    granted(world.token(&agent).await);
    world.finish().await;
}
