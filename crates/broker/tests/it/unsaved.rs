//! Fresh tokens that the store cannot take at the moment: kept, stored later, never forgotten.

use std::process::Command;
use std::time::Duration;

use doorward_broker::handle::Proof;
use fastio_sim::Consent;

use crate::agents::Agent;
use crate::world::{PIN, World, code, granted, name, pin, secs, until};

const HOUR: Duration = Duration::from_hours(1);

/// A connection whose token has ended, on a store that takes no newer tokens for the next two seconds.
async fn on_a_store_that_fails() -> (World, Agent) {
    let mut world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    granted(world.token(&agent).await);
    world.pass(HOUR).await;
    world.stop().await;
    let works_again = doorward_broker::Clock::now(&*world.clock)
        .plus(secs(2))
        .as_millis();
    let trigger = format!(
        "CREATE TRIGGER full BEFORE UPDATE ON connections
         WHEN NEW.generation > OLD.generation AND NEW.proven_at < {works_again}
         BEGIN SELECT RAISE(ABORT, 'as if the disk were full'); END"
    );
    let program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])";
    let database = world.config().data.join("doorward.db");
    let made = Command::new("python3")
        .args(["-c", program])
        .arg(database)
        .arg(trigger)
        .status()
        .unwrap();
    assert!(made.success());
    world.start_again().await;
    world.sim.reset_counts();
    (world, agent)
}

async fn refresh_in_vain(world: &World, agent: &Agent) {
    assert!(world.token(agent).await.is_err());
    for _ in 0..5 {
        assert_eq!(code(world.token(agent).await), "store_failed");
    }
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn a_fresh_pair_is_kept_until_the_store_takes_it_and_asked_for_once() {
    let (mut world, agent) = on_a_store_that_fails().await;
    let proof = Proof::Pin(pin(PIN));
    let added = world
        .handle()
        .add_metrics_reader("watcher", None, proof)
        .await;
    let reader = granted(world.handle().authenticate(&granted(added).key));
    let unsaved = |world: &World| granted(world.handle().metrics(&reader)).tokens_unsaved;
    // The start refreshes by itself what has ended: whether it has failed before that is not told from here.
    refresh_in_vain(&world, &agent).await;
    assert_eq!(unsaved(&world), 1);
    world.pass(secs(1)).await;
    assert_eq!(code(world.token(&agent).await), "store_failed");
    assert_eq!(world.refreshes(), 1);
    world.pass(secs(1)).await;
    let token = world.token_text(&agent).await;
    assert_eq!(unsaved(&world), 0);
    assert_eq!(world.use_token(&token).await, 200);
    assert_eq!(world.refreshes(), 1);
    world.restart().await;
    assert_eq!(world.token_text(&agent).await, token);
    world.pass(HOUR).await;
    granted(world.token(&agent).await);
    assert_eq!(world.refreshes(), 2);
    world.finish().await;
}

#[tokio::test]
async fn a_fresh_pair_that_was_never_stored_outlives_a_crash_in_the_spool() {
    let (mut world, agent) = on_a_store_that_fails().await;
    refresh_in_vain(&world, &agent).await;
    world.crash();
    world.pass_for_both(secs(2));
    world.start_again().await;
    let token = world.token_text(&agent).await;
    assert_eq!(world.use_token(&token).await, 200);
    assert_eq!(world.refreshes(), 1);
    assert_eq!(world.news(), []);
    world.finish().await;
}

#[tokio::test]
async fn disconnecting_ends_a_pair_that_was_not_stored_yet() {
    let (world, agent) = on_a_store_that_fails().await;
    refresh_in_vain(&world, &agent).await;
    let handle = world.handle().clone();
    let ending = tokio::spawn(async move { handle.disconnect(name("fastio")).await });
    until("agents see it no longer", async || {
        let caller = world.caller(&agent);
        granted(world.handle().connections_of(&caller)).is_empty()
    })
    .await;
    assert!(world.session().active);
    world.pass(secs(2)).await;
    assert!(granted(ending.await.unwrap()).confirmed);
    assert!(!world.session().active);
    for token in world.refresh_tokens() {
        assert!(!world.sim.probe_refresh_token(&token).live);
    }
    assert!(granted(world.handle().connections().await).is_empty());
    world.finish().await;
}

#[tokio::test]
async fn connecting_again_meanwhile_leaves_one_grant_and_loses_none() {
    let (world, agent) = on_a_store_that_fails().await;
    refresh_in_vain(&world, &agent).await;
    let started = granted(world.handle().connect(world.ask()).await);
    let answered = world.answer(&started, &Consent::everything()).await;
    assert!(answered.is_err());
    world.pass(secs(2)).await;
    let token = world.token_text(&agent).await;
    assert_eq!(world.use_token(&token).await, 200);
    until("the older session is ended", async || {
        let active = world
            .sim
            .sessions()
            .into_iter()
            .map(|session| session.active);
        active.collect::<Vec<_>>() == [false, true]
    })
    .await;
    assert_eq!(world.refreshes(), 1);
    world.pass(HOUR).await;
    assert_eq!(world.use_token(&world.token_text(&agent).await).await, 200);
    world.finish().await;
}
