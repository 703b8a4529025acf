//! Refreshes are carried by a process that outlives the broker. The provider of these tests rotates refresh tokens, and
//! ends the grant when one is shown twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward_broker::handle::TokenAsk;
use fastio_sim::{Fault, Hang, Kind};
use rustix::process::{Pid, Signal, kill_process};

use crate::agents::{Agent, named};
use crate::restart::with_a_refresh_under_way;
use crate::world::{World, code, courier, granted, name, refused, secs, until, within};

const HOUR: Duration = Duration::from_hours(1);
/// A moment before the end of a token that lives for an hour: a refresh is due, and the token is still served.
const NEARLY_AN_HOUR: Duration = Duration::from_secs(3597);

/// A refresh has been sent while the current token is still good, and its reply is held back.
async fn ahead_of_the_end(hang: Hang) -> (World, Agent, String) {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    world.pass(NEARLY_AN_HOUR).await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(hang));
    let token = world.token_text(&agent).await;
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    (world, agent, token)
}

/// The processes that have a file of this spool open.
fn couriers(spool: &Path) -> Vec<Pid> {
    let numbers = fs::read_dir("/proc").unwrap().flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let carries = |pid: &i32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        let mut links = files.flatten().flat_map(|file| fs::read_link(file.path()));
        links.any(|link| link.starts_with(spool))
    };
    let own = i32::try_from(std::process::id()).unwrap();
    pids.filter(|pid| *pid != own)
        .filter(carries)
        .filter_map(Pid::from_raw)
        .collect()
}

fn kill_the_courier(world: &World) {
    let found = couriers(&world.config().data.join("spool"));
    let [pid] = found.as_slice() else {
        panic!("one courier, not {found:?}")
    };
    kill_process(*pid, Signal::KILL).unwrap();
}

async fn health(world: &World) -> &'static str {
    let views = granted(world.handle().connections().await);
    views[0].health.as_str()
}

#[tokio::test]
async fn a_crash_in_a_refresh_loses_nothing_the_reply_is_adopted() {
    for hang in [Hang::BeforeWork, Hang::AfterWork] {
        let (mut world, agent) = with_a_refresh_under_way(hang).await;
        world.crash();
        world.sim.clear_faults();
        until("the reply lies in the spool", async || {
            let is_reply = |path: &PathBuf| path.extension().is_some_and(|end| end == "reply");
            world.spooled().iter().any(is_reply)
        })
        .await;
        world.start_again().await;
        let token = world.token_text(&agent).await;
        assert_eq!(world.use_token(&token).await, 200);
        assert_eq!(world.refreshes(), 1, "the reply was adopted");
        assert_eq!(world.audited("connection.refreshed").await, 1);
        world.pass(HOUR + secs(1)).await;
        let token = world.token_text(&agent).await;
        assert_eq!(world.use_token(&token).await, 200, "the next one too");
        assert_eq!(world.news(), []);
        world.finish().await;
    }
}

#[tokio::test]
async fn a_courier_that_still_flies_at_the_start_is_waited_for_and_nobody_hangs() {
    let (mut world, agent) = with_a_refresh_under_way(Hang::AfterWork).await;
    // However often that happens.
    world.crash_and_restart().await;
    world.crash_and_restart().await;
    assert_eq!(health(&world).await, "refreshing");
    let impatient = TokenAsk {
        patience: Some(Duration::from_millis(100)),
        ..named("fastio")
    };
    let caller = world.caller(&agent);
    let told = refused(within(world.handle().token(&caller, impatient)).await);
    assert_eq!(told.code.as_str(), "provider_unavailable");
    assert!(told.retry_after_seconds.is_some());
    let (handle, caller) = (world.handle().clone(), world.caller(&agent));
    let waits = tokio::spawn(async move { handle.token(&caller, named("fastio")).await });
    world.sim.clear_faults();
    let token = granted(within(waits).await.unwrap());
    assert_eq!(world.use_token(token.access.expose()).await, 200);
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_valid_token_is_served_while_a_courier_is_waited_for() {
    let (mut world, agent, token) = ahead_of_the_end(Hang::AfterWork).await;
    world.crash_and_restart().await;
    assert_eq!(world.token_text(&agent).await, token);
    world.sim.clear_faults();
    until("the successor is adopted", async || {
        world.token_text(&agent).await != token
    })
    .await;
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

/// The two sides of a lost reply look alike from here: what the provider did decides, and is asked once.
#[tokio::test]
async fn after_a_lost_reply_the_token_is_served_to_its_end_and_the_old_one_tried_once() {
    let refresh = || Fault::on(Kind::TokenRefresh);
    for (fault, kills, is_lost) in [
        (refresh().close_socket(), false, false),
        (refresh().drop_response_after_commit(), false, true),
        (refresh().hang(Hang::AfterWork), true, true),
    ] {
        let world = World::new().await;
        world.connect().await;
        let agent = world.pair("worker", "fastio:token").await;
        let token = world.token_text(&agent).await;
        world.pass(secs(1800)).await;
        world.sim.queue_fault(fault);
        let (handle, caller) = (world.handle().clone(), world.caller(&agent));
        let wants_a_longer_one = || TokenAsk {
            min_valid: Some(HOUR),
            ..named("fastio")
        };
        let ask = wants_a_longer_one();
        let asks = tokio::spawn(async move { handle.token(&caller, ask).await });
        if kills {
            within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
            kill_the_courier(&world);
        }
        let served = granted(within(asks).await.unwrap());
        assert_eq!(served.access.expose(), token);
        world.sim.clear_faults();
        assert_eq!(health(&world).await, "degraded");
        world.pass(secs(1790)).await;
        let caller = world.caller(&agent);
        let served = within(world.handle().token(&caller, wants_a_longer_one())).await;
        assert_eq!(granted(served).access.expose(), token);
        assert_eq!(world.refreshes(), 1, "not before the token ends");
        world.pass(secs(10)).await;
        if is_lost {
            assert_eq!(code(world.token(&agent).await), "reconnect_required");
            assert_eq!(code(world.token(&agent).await), "reconnect_required");
            assert_eq!(world.news().len(), 1);
        } else {
            let next = world.token_text(&agent).await;
            assert_eq!(world.use_token(&next).await, 200);
            assert_eq!(world.news(), []);
        }
        assert_eq!(world.refreshes(), 2);
        world.finish().await;
    }
}

#[tokio::test]
async fn after_both_were_killed_the_mark_says_that_a_reply_was_lost() {
    let (mut world, agent) = with_a_refresh_under_way(Hang::AfterWork).await;
    world
        .sim
        .change_knobs(|knobs| knobs.refresh_replay_grace_s = 60);
    world.crash();
    kill_the_courier(&world);
    world.sim.clear_faults();
    world.start_again().await;
    until("the mark is looked at", async || {
        health(&world).await == "degraded"
    })
    .await;
    world.pass(secs(2)).await;
    let token = world.token_text(&agent).await;
    assert_eq!(world.use_token(&token).await, 200, "a grace is made use of");
    assert_eq!(world.refreshes(), 2);
    world.finish().await;
}

#[tokio::test]
async fn a_lost_reply_whose_access_token_is_refused_too_is_not_waited_out() {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    let token = world.token_text(&agent).await;
    world.pass(secs(60)).await;
    world.sim.queue_fault(Fault::on(Kind::Check).status(401));
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).close_socket());
    let told = refused(world.reject(&agent, &token).await);
    assert_eq!(told.code.as_str(), "provider_unavailable");
    assert!(told.retry_after_seconds.is_some_and(|wait| wait <= 1));
    for _ in 0..5 {
        assert!(world.reject(&agent, &token).await.is_err());
    }
    assert_eq!(world.refreshes(), 1, "and nobody storms");
    world.pass(secs(2)).await;
    let next = world.token_text(&agent).await;
    assert_eq!(world.use_token(&next).await, 200);
    world.finish().await;
}

#[tokio::test]
async fn a_courier_that_cannot_be_started_is_said_and_tried_again_and_nothing_is_sent() {
    let missing = PathBuf::from("/nowhere/doorward");
    // One that is not there, one that ends at once, one that says something else.
    for program in [missing, "/bin/true".into(), "/bin/pwd".into()] {
        let mut world = World::new().await;
        world.connect().await;
        let agent = world.pair("worker", "fastio:token").await;
        world.pass(HOUR).await;
        world.restart_with_courier(program.clone()).await;
        for _ in 0..3 {
            let told = refused(world.token(&agent).await);
            assert_eq!(told.code.as_str(), "provider_unavailable");
            assert!(told.detail.contains("courier"), "{}", told.detail);
            assert!(told.detail.contains(program.to_str().unwrap()));
            assert!(told.retry_after_seconds.is_some());
        }
        assert_eq!(health(&world).await, "degraded");
        assert_eq!(world.refreshes(), 0, "never from within");
        world.restart_with_courier(courier()).await;
        world.pass(secs(2)).await;
        let token = world.token_text(&agent).await;
        assert_eq!(world.use_token(&token).await, 200);
        assert_eq!(health(&world).await, "connected");
        assert_eq!(world.refreshes(), 1);
        world.finish().await;
    }
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_is_said_and_nothing_is_sent() {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    world.pass(HOUR).await;
    let spool = world.config().data.join("spool");
    fs::write(&spool, "in the way").unwrap();
    let told = refused(world.token(&agent).await);
    assert_eq!(told.code.as_str(), "store_failed");
    assert_eq!(world.refreshes(), 0);
    fs::remove_file(&spool).unwrap();
    granted(world.token(&agent).await);
    world.finish().await;
}

#[tokio::test]
async fn a_reply_that_was_tampered_with_is_no_reply() {
    let (mut world, agent) = with_a_refresh_under_way(Hang::AfterWork).await;
    world
        .sim
        .change_knobs(|knobs| knobs.refresh_replay_grace_s = 60);
    world.crash();
    world.sim.clear_faults();
    let reply = || {
        let is_reply = |path: &PathBuf| path.extension().is_some_and(|end| end == "reply");
        world.spooled().into_iter().find(is_reply)
    };
    until("the reply is there", async || reply().is_some()).await;
    let path = reply().unwrap();
    let mut sealed = fs::read(&path).unwrap();
    let token = world.refresh_tokens().pop().unwrap();
    let token = token.as_bytes();
    assert!(!sealed.windows(token.len()).any(|part| part == token));
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    fs::write(&path, sealed).unwrap();
    world.start_again().await;
    until("it is noticed", async || health(&world).await == "degraded").await;
    world.pass(secs(2)).await;
    granted(world.token(&agent).await);
    world.finish().await;
}

#[tokio::test]
async fn what_was_left_in_the_spool_without_a_mark_is_erased_at_the_start() {
    let mut world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    world.pass(HOUR).await;
    granted(world.token(&agent).await);
    until("a stored reply is erased", async || {
        world.spooled().is_empty()
    })
    .await;
    let left = world.config().data.join("spool");
    let name = "7e0fb1a4-3b1c-4a55-9d4e-1f1c9a6cf001.reply";
    fs::write(left.join(name), "of nobody").unwrap();
    world.restart().await;
    assert!(world.spooled().is_empty());
    world.finish().await;
}

#[tokio::test]
async fn a_reply_about_an_older_grant_is_not_adopted_over_a_newer_one() {
    let (mut world, agent) = with_a_refresh_under_way(Hang::AfterWork).await;
    world.connect().await;
    let newer = world.token_text(&agent).await;
    world.crash();
    world.sim.clear_faults();
    world.start_again().await;
    assert_eq!(world.token_text(&agent).await, newer);
    assert_eq!(world.use_token(&newer).await, 200);
    world.pass(HOUR + secs(1)).await;
    let next = world.token_text(&agent).await;
    assert_eq!(world.use_token(&next).await, 200);
    assert_eq!(world.news(), []);
    // The courier of the older one may end a moment later, and leaves nothing.
    let spool = world.config().data.join("spool");
    until("no courier flies", async || couriers(&spool).is_empty()).await;
    world.finish().await;
}

#[tokio::test]
async fn disconnecting_joins_a_flight_that_was_adopted() {
    let (mut world, agent) = with_a_refresh_under_way(Hang::AfterWork).await;
    world.crash_and_restart().await;
    let handle = world.handle().clone();
    let ending = tokio::spawn(async move { handle.disconnect(name("fastio")).await });
    until("agents see it no longer", async || {
        let caller = world.caller(&agent);
        granted(world.handle().connections_of(&caller)).is_empty()
    })
    .await;
    assert!(world.session().active, "the flight is waited for");
    world.sim.clear_faults();
    assert!(granted(within(ending).await.unwrap()).confirmed);
    assert!(!world.session().active);
    for token in world.refresh_tokens() {
        assert!(!world.sim.probe_refresh_token(&token).live);
    }
    world.finish().await;
}
