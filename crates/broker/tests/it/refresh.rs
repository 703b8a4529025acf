//! One refresh for all who wait, and nobody waits who need not.

use std::time::Duration;

use doorward_broker::handle::{Rejection, TokenAsk};
use doorward_broker::views::TokenAnswer;
use doorward_core::problem::Refusal;
use fastio_sim::{Fault, Hang, Kind, RefreshRotation};
use futures_util::future::join_all;

use crate::agents::{Agent, named, rejection};
use crate::world::{World, code, granted, name, refused, secs, until, within};

const HOUR: Duration = Duration::from_hours(1);

async fn connected() -> (World, Agent) {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    world.sim.reset_counts();
    (world, agent)
}

/// Everyone's answer, which must be one and the same token.
fn the_one(answers: Vec<Result<TokenAnswer, Refusal>>) -> String {
    let mut tokens: Vec<_> = answers
        .into_iter()
        .map(|answer| granted(answer).access.expose().to_owned())
        .collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "everyone was answered alike");
    tokens.remove(0)
}

#[tokio::test]
async fn two_hundred_callers_at_the_end_of_a_token_cost_one_refresh() {
    let (world, agent) = connected().await;
    let other = world.pair("other", "fastio:token").await;
    let old = world.token_text(&agent).await;
    world.pass(HOUR).await;
    let callers = [world.caller(&agent), world.caller(&other)];
    let asks = (0..200).map(|turn| world.handle().token(&callers[turn % 2], named("fastio")));
    let token = the_one(within(join_all(asks)).await);
    assert_ne!(token, old);
    assert_eq!(world.use_token(&token).await, 200);
    assert_eq!(world.refreshes(), 1);
    // Once for each agent and generation: one agent had the first token, both have the second.
    assert_eq!(world.audited("token.handed_out").await, 3);
    assert_eq!(world.audited("connection.refreshed").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn two_hundred_callers_refused_before_the_end_cost_one_check_and_one_refresh() {
    let (world, agent) = connected().await;
    let old = world.token_text(&agent).await;
    world.pass(secs(60)).await;
    world.sim.queue_fault(Fault::on(Kind::Check).status(401));
    let caller = world.caller(&agent);
    let reports = (0..200).map(|_| world.handle().token_rejected(&caller, rejection(&old)));
    let token = the_one(within(join_all(reports)).await);
    assert_ne!(token, old);
    assert_eq!(world.refreshes(), 1);
    assert_eq!(world.sim.counts().of(Kind::Check), 1);
    assert_eq!(world.use_token(&token).await, 200);
    assert_eq!(world.audited("token.rejected").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn a_report_that_the_provider_does_not_confirm_costs_no_refresh() {
    let (world, agent) = connected().await;
    let old = world.token_text(&agent).await;
    world.pass(secs(60)).await;
    let answer = granted(world.reject(&agent, &old).await);
    assert_eq!(answer.access.expose(), old);
    assert_eq!(world.refreshes(), 0);
    assert_eq!(world.sim.counts().of(Kind::Check), 1);
    // Asking again at once is no lever: the provider has just been asked.
    assert_eq!(
        granted(world.reject(&agent, &old).await).access.expose(),
        old
    );
    assert_eq!(world.sim.counts().of(Kind::Check), 1);
    world.pass(secs(10)).await;
    world.sim.queue_fault(Fault::on(Kind::Check).status(500));
    let unsure = refused(world.reject(&agent, &old).await);
    assert_eq!(unsure.code.as_str(), "provider_unavailable");
    assert_eq!(world.refreshes(), 0, "no word is no proof");
    // The token itself is as good as before, and after the wait the provider is asked again.
    assert_eq!(world.token_text(&agent).await, old);
    world.pass(secs(60)).await;
    assert_eq!(
        granted(world.reject(&agent, &old).await).access.expose(),
        old
    );
    world.finish().await;
}

#[tokio::test]
async fn a_report_that_cannot_be_about_the_current_token_costs_nothing() {
    let (world, agent) = connected().await;
    let first = world.token_text(&agent).await;
    world.pass(secs(4)).await;
    let young = granted(world.reject(&agent, &first).await);
    assert_eq!(
        young.access.expose(),
        first,
        "it is younger than five seconds"
    );
    world.pass(secs(60)).await;
    for about_something_else in [
        Rejection {
            code: Some("10545".to_owned()),
            ..rejection(&first)
        },
        Rejection {
            code: Some("115069".to_owned()),
            ..rejection(&first)
        },
        Rejection {
            status: Some(403),
            ..rejection(&first)
        },
        rejection("a token that never was"),
    ] {
        let caller = world.caller(&agent);
        let report = world.handle().token_rejected(&caller, about_something_else);
        assert_eq!(granted(within(report).await).access.expose(), first);
    }
    assert_eq!(world.sim.counts().of(Kind::Check), 0);
    world.pass(HOUR).await;
    let second = world.token_text(&agent).await;
    world.pass(secs(60)).await;
    let stale = granted(world.reject(&agent, &first).await);
    assert_eq!(
        stale.access.expose(),
        second,
        "an older token says nothing about the newer"
    );
    assert_eq!(world.sim.counts().of(Kind::Check), 0);
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_the_refresh_with_it() {
    let (world, agent) = connected().await;
    world.pass(HOUR).await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(Hang::AfterWork));
    let (handle, caller) = (world.handle().clone(), world.caller(&agent));
    let gone = tokio::spawn(async move { handle.token(&caller, named("fastio")).await.is_ok() });
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    gone.abort();
    assert!(gone.await.is_err());
    let (handle, caller) = (world.handle().clone(), world.caller(&agent));
    let stays = tokio::spawn(async move { handle.token(&caller, named("fastio")).await });
    world.sim.clear_faults();
    granted(within(stays).await.unwrap());
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_token_that_is_still_good_is_served_while_its_successor_is_fetched() {
    let (world, agent) = connected().await;
    let old = world.token_text(&agent).await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(Hang::BeforeWork));
    world.pass(secs(3597)).await;
    assert_eq!(
        world.token_text(&agent).await,
        old,
        "nobody waits for a refresh ahead of time"
    );
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    let caller = world.caller(&agent);
    let asks = (0..50).map(|_| world.handle().token(&caller, named("fastio")));
    assert_eq!(the_one(within(join_all(asks)).await), old);
    let health = granted(world.handle().connections().await).remove(0).health;
    assert_eq!(health.as_str(), "refreshing");
    world.sim.clear_faults();
    until("the successor is there", async || {
        world.token_text(&agent).await != old
    })
    .await;
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_caller_whose_patience_ends_gets_what_there_is() {
    let (world, agent) = connected().await;
    let old = world.token_text(&agent).await;
    world.sim.queue_fault(
        Fault::on(Kind::TokenRefresh)
            .hang(Hang::BeforeWork)
            .times(2),
    );
    world.pass(secs(3540)).await;
    let impatient = TokenAsk {
        min_valid: Some(secs(600)),
        patience: Some(Duration::from_millis(100)),
        ..named("fastio")
    };
    let caller = world.caller(&agent);
    let answer = granted(world.handle().token(&caller, impatient.clone()).await);
    assert_eq!(answer.access.expose(), old);
    assert_eq!(answer.expires_in, Some(60));
    world.pass(secs(61)).await;
    let caller = world.caller(&agent);
    let told = refused(world.handle().token(&caller, impatient).await);
    assert_eq!(told.code.as_str(), "provider_unavailable");
    assert!(told.retry_after_seconds.is_some());
    world.sim.clear_faults();
    granted(world.token(&agent).await);
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_caller_that_wants_a_longer_token_gets_a_fresh_one_and_no_loop() {
    let (world, agent) = connected().await;
    let old = world.token_text(&agent).await;
    world.pass(secs(1800)).await;
    let greedy = || TokenAsk {
        min_valid: Some(secs(1_000_000)),
        ..named("fastio")
    };
    let caller = world.caller(&agent);
    let fresh = granted(within(world.handle().token(&caller, greedy())).await);
    assert_ne!(fresh.access.expose(), old);
    for _ in 0..10 {
        granted(within(world.handle().token(&caller, greedy())).await);
    }
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn lifetimes_of_a_second_do_not_make_a_loop() {
    let (world, agent) = connected().await;
    world
        .sim
        .change_knobs(|knobs| knobs.access_token_lifetime_s = 1);
    for turn in 1..=3 {
        world.pass(HOUR).await;
        let caller = world.caller(&agent);
        let asks = (0..20).map(|_| world.handle().token(&caller, named("fastio")));
        the_one(within(join_all(asks)).await);
        assert_eq!(world.refreshes(), turn);
    }
    world.finish().await;
}

#[tokio::test]
async fn a_reply_without_a_refresh_token_keeps_the_old_one() {
    let (mut world, agent) = connected().await;
    world
        .sim
        .change_knobs(|knobs| knobs.refresh_rotation = RefreshRotation::KeepAndOmit);
    // A reply takes a moment of the real time, and its token ends that much later.
    let past_its_end = HOUR + secs(1);
    for _ in 0..2 {
        world.pass(past_its_end).await;
        granted(world.token(&agent).await);
    }
    world.restart().await;
    world.pass(past_its_end).await;
    granted(world.token(&agent).await);
    assert_eq!(world.refreshes(), 3);
    world.finish().await;
}

#[tokio::test]
async fn a_late_reply_about_an_older_grant_neither_overwrites_the_newer_nor_is_lost() {
    let (world, agent) = connected().await;
    world.pass(HOUR).await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(Hang::AfterWork));
    let (handle, caller) = (world.handle().clone(), world.caller(&agent));
    let waits = tokio::spawn(async move { handle.token(&caller, named("fastio")).await });
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    world.connect().await;
    let newer = world.token_text(&agent).await;
    let late = world.refresh_tokens();
    world.sim.clear_faults();
    let answer = granted(within(waits).await.unwrap());
    assert_eq!(
        answer.access.expose(),
        newer,
        "a waiter gets what is stored by then"
    );
    until("what came late is ended at the provider", async || {
        let active = world
            .sim
            .sessions()
            .into_iter()
            .map(|session| session.active);
        active.collect::<Vec<_>>() == [false, true]
    })
    .await;
    let live = late
        .iter()
        .filter(|token| world.sim.probe_refresh_token(token).live);
    assert_eq!(live.count(), 1, "the newer grant's own");
    until("nothing is owed", async || {
        granted(world.handle().status().await).revocations_owed == 0
    })
    .await;
    assert_eq!(world.audited("revocation.confirmed").await, 2);
    assert_eq!(world.token_text(&agent).await, newer);
    assert_eq!(world.use_token(&newer).await, 200);
    world.finish().await;
}

#[tokio::test]
async fn disconnecting_in_a_refresh_waits_for_it_and_ends_the_new_tokens_too() {
    let (world, agent) = connected().await;
    world.pass(HOUR).await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(Hang::AfterWork));
    let (handle, caller) = (world.handle().clone(), world.caller(&agent));
    let waits = tokio::spawn(async move { handle.token(&caller, named("fastio")).await });
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    let handle = world.handle().clone();
    let ending = tokio::spawn(async move { handle.disconnect(name("fastio")).await });
    until("agents see it no longer", async || {
        let caller = world.caller(&agent);
        granted(world.handle().connections_of(&caller)).is_empty()
    })
    .await;
    assert_eq!(code(world.token(&agent).await), "connection_unknown");
    assert!(world.session().active, "the flight is waited for");
    world.sim.clear_faults();
    assert!(granted(within(ending).await.unwrap()).confirmed);
    assert_eq!(code(within(waits).await.unwrap()), "connection_unknown");
    assert!(!world.session().active);
    for token in world.refresh_tokens() {
        assert!(!world.sim.probe_refresh_token(&token).live);
    }
    assert!(granted(world.handle().connections().await).is_empty());
    world.finish().await;
}
