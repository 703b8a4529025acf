//! Refreshes that nobody asks for, and those that have halted.

use std::time::Duration;

use doorward_broker::handle::{Proof, TokenAsk};
use doorward_broker::views::ConnectionView;
use doorward_core::health::Health;
use doorward_core::plan::Notice;
use fastio_sim::{Consent, Fault, Hang, Kind, LimitForm};
use serde_json::json;

use crate::agents::{Agent, named};
use crate::world::{PIN, World, code, granted, name, pin, refused, secs, until, within};

const HOUR: Duration = Duration::from_hours(1);
const TWO_HOURS_IN_MILLIS: i64 = 2 * 3_600_000;

async fn connected() -> (World, Agent) {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    world.sim.reset_counts();
    (world, agent)
}

/// Connections `c0`, `c1`, …, each with an agent that has used it.
async fn several(count: usize) -> (World, Vec<(Agent, String)>) {
    let world = World::new().await;
    let mut used = Vec::new();
    for number in 0..count {
        let connection = format!("c{number}");
        let ask = world.ask_named(&connection, "personal");
        world.connect_as(ask, &Consent::everything()).await;
        let agent = world.pair("worker", &format!("{connection}:token")).await;
        granted(world.token_for(&agent, &connection).await);
        used.push((agent, connection));
    }
    world.sim.reset_counts();
    (world, used)
}

async fn view(world: &World) -> ConnectionView {
    granted(world.handle().connections().await).remove(0)
}

/// Asks and fails until the tries have halted.
async fn halt(world: &World, agent: &Agent) {
    world.pass(HOUR).await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).status(503).times(5));
    for _ in 0..5 {
        assert_eq!(code(world.token(agent).await), "provider_unavailable");
        world.pass(secs(20)).await;
    }
    assert_eq!(world.refreshes(), 5);
}

#[tokio::test]
async fn a_token_in_use_is_renewed_before_it_ends_and_once() {
    let (world, agent) = connected().await;
    let old = world.token_text(&agent).await;
    let next = view(&world).await.next_refresh.expect("a moment");
    let early = next.since(world.handle().now());
    assert!(early >= secs(3300) && early < secs(3500), "{early:?}");
    world.pass(secs(3299)).await;
    assert_eq!(world.refreshes(), 0);
    world.pass(secs(200)).await;
    until("it is renewed", async || {
        world.token_text(&agent).await != old
    })
    .await;
    world.pass(secs(30)).await;
    assert_eq!(world.refreshes(), 1);
    let rates = view(&world).await.rates;
    assert_eq!((rates.hour.succeeded, rates.hour.failed), (1, 0));
    world.finish().await;
}

#[tokio::test]
async fn what_nobody_uses_is_left_alone_and_kept_alive() {
    let (world, _agent) = connected().await;
    world.pass(30 * HOUR).await;
    world.pass(secs(60)).await;
    assert_eq!(world.refreshes(), 0);
    world.pass(42 * HOUR).await;
    until("its refresh token was used", async || {
        world.refreshes() == 1
    })
    .await;
    world.pass(30 * HOUR).await;
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn many_that_are_due_together_wait_in_line() {
    let (world, used) = several(10).await;
    let hang = Fault::on(Kind::TokenRefresh).hang(Hang::BeforeWork);
    world.sim.queue_fault(hang.times(10));
    world.let_time_run().await;
    world.pass(secs(3550)).await;
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    let flying = async || {
        let views = granted(world.handle().connections().await);
        let flying = views
            .iter()
            .filter(|view| view.health == Health::Refreshing);
        flying.count()
    };
    until("as many fly as may", async || flying().await == 8).await;
    world.pass(secs(1)).await;
    assert_eq!(flying().await, 8);
    world.sim.clear_faults();
    until("all had their turn", async || {
        world.refreshes() == 10 && flying().await == 0
    })
    .await;
    for (agent, connection) in &used {
        granted(world.token_for(agent, connection).await);
    }
    assert_eq!(world.refreshes(), 10);
    world.finish().await;
}

#[tokio::test]
async fn five_failures_halt_and_a_person_sets_it_going_again() {
    let (world, agent) = connected().await;
    halt(&world, &agent).await;
    let seen = view(&world).await;
    assert!(
        matches!(seen.health, Health::Degraded { halted: true, .. }),
        "{:?}",
        seen.health
    );
    assert_eq!(granted(world.handle().status().await).halted, 1);
    assert_eq!(seen.rates.five_minutes.failed, 5);
    assert!(seen.last_error.is_some() && seen.health_since.is_some());
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).status(503));
    let still = refused(within(world.handle().retry(name("fastio"))).await);
    assert_eq!(still.code.as_str(), "provider_unavailable");
    let works = granted(within(world.handle().retry(name("fastio"))).await);
    assert_eq!(works.health, Health::Connected);
    assert_eq!(world.refreshes(), 7);
    let again = granted(within(world.handle().retry(name("fastio"))).await);
    assert_eq!(again.health, Health::Connected);
    assert_eq!(world.refreshes(), 7, "there was nothing to try");
    world.finish().await;
}

#[tokio::test]
async fn a_provider_that_is_back_is_noticed_though_nobody_asks() {
    let (world, agent) = connected().await;
    granted(world.token(&agent).await);
    halt(&world, &agent).await;
    until("it is connected again", async || {
        world.pass(secs(10)).await;
        view(&world).await.health == Health::Connected
    })
    .await;
    assert_eq!(world.refreshes(), 6, "one probe");
    world.finish().await;
}

#[tokio::test]
async fn a_start_tries_again_what_had_halted() {
    let (mut world, agent) = connected().await;
    granted(world.token(&agent).await);
    halt(&world, &agent).await;
    world.restart().await;
    until("it is connected again", async || {
        world.pass(secs(1)).await;
        view(&world).await.health == Health::Connected
    })
    .await;
    assert_eq!(world.refreshes(), 6);
    world.finish().await;
}

#[tokio::test]
async fn a_person_cannot_shorten_what_the_provider_asked_for() {
    let (world, agent) = connected().await;
    world.pass(HOUR).await;
    let limit = Fault::on(Kind::TokenRefresh).rate_limit(300, LimitForm::Datetime);
    world.sim.queue_fault(limit);
    assert_eq!(code(world.token(&agent).await), "rate_limited");
    for _ in 0..5 {
        world.pass(secs(50)).await;
        let told = world.handle().retry(name("fastio"));
        assert_eq!(code(within(told).await), "rate_limited");
        assert_eq!(code(world.token(&agent).await), "rate_limited");
    }
    assert_eq!(world.refreshes(), 1, "none in the window");
    world.pass(secs(60)).await;
    granted(world.token(&agent).await);
    world.finish().await;
}

#[tokio::test]
async fn a_rejected_client_erases_nothing_is_told_once_and_its_end_is_told() {
    let (mut world, agent) = connected().await;
    world.pass(HOUR).await;
    let rejected = Fault::on(Kind::TokenRefresh).status(401);
    let rejected = rejected.body(json!({"error": "invalid_client"}));
    world.sim.queue_fault(rejected.times(3));
    let told = refused(world.token(&agent).await);
    assert_eq!(told.code.as_str(), "provider_rejected");
    assert!(told.hint.contains("client secret"), "{}", told.hint);
    assert_eq!(granted(world.handle().status().await).need_look, 1);
    world.restart().await;
    for _ in 0..2 {
        let told = world.handle().retry(name("fastio"));
        assert_eq!(code(within(told).await), "provider_rejected");
    }
    granted(within(world.handle().retry(name("fastio"))).await);
    assert_eq!(world.use_token(&world.token_text(&agent).await).await, 200);
    let news = world.news();
    assert!(
        matches!(
            news.as_slice(),
            [Notice::ClientRejected(_), Notice::Recovered(_)]
        ),
        "{news:?}"
    );
    world.finish().await;
}

/// Connects to a provider that gives no refresh token.
async fn connect_without_renewal(world: &World) {
    let reply =
        json!({"access_token": "lives for an hour", "token_type": "Bearer", "expires_in": 3600});
    let exchange = Fault::on(Kind::TokenCode).status(200).body(reply);
    world.sim.queue_fault(exchange);
    world.connect().await;
}

#[tokio::test]
async fn what_ends_because_nothing_renews_it_is_told_once_and_so_is_its_recovery() {
    let mut world = World::new().await;
    connect_without_renewal(&world).await;
    world.pass(secs(3599)).await;
    assert_eq!(world.news(), []);
    world.pass(secs(1)).await;
    let is_one = |news: &[Notice]| matches!(news, [Notice::ReconnectNeeded(_)]);
    assert!(is_one(&world.news()), "{:?}", world.news());
    let seen = view(&world).await.health;
    assert!(matches!(seen, Health::ReconnectRequired { .. }), "{seen:?}");
    let status = granted(world.handle().status().await);
    assert_eq!((status.need_reconnect, status.need_look), (1, 0));
    world.restart().await;
    world.pass(HOUR).await;
    assert!(is_one(&world.news()), "a restart tells it no second time");
    assert_eq!(world.audited("connection.ended").await, 1);
    world.connect().await;
    assert!(
        matches!(
            world.news().as_slice(),
            [Notice::ReconnectNeeded(_), Notice::Recovered(_)]
        ),
        "{:?}",
        world.news()
    );
    assert_eq!(world.refreshes(), 0);
    world.finish().await;
}

#[tokio::test]
async fn what_ended_while_nothing_ran_is_told_by_the_next_start() {
    let mut world = World::new().await;
    connect_without_renewal(&world).await;
    world.stop().await;
    world.pass_for_both(2 * HOUR);
    world.start_again().await;
    until("it is told", async || {
        world.pass(secs(1)).await;
        matches!(world.news().as_slice(), [Notice::ReconnectNeeded(_)])
    })
    .await;
    world.finish().await;
}

#[tokio::test]
async fn refreshes_are_counted_for_whoever_watches() {
    let (world, agent) = connected().await;
    let pin = Proof::Pin(pin(PIN));
    let added = granted(
        world
            .handle()
            .add_metrics_reader("watcher", None, pin)
            .await,
    );
    let reader = granted(world.handle().authenticate(&added.key));
    halt(&world, &agent).await;
    granted(within(world.handle().retry(name("fastio"))).await);
    let metrics = granted(world.handle().metrics(&reader));
    let totals = &metrics.refreshes[0];
    assert_eq!((totals.succeeded, totals.failed), (1, 5));
    assert_eq!(metrics.agents, 2);
    world.finish().await;
}

#[tokio::test]
async fn many_failures_at_once_are_one_alarm_and_its_end_is_told() {
    let (mut world, used) = several(4).await;
    world.pass(HOUR).await;
    world.sim.go_down().await;
    for _ in 0..3 {
        for (agent, connection) in &used {
            assert_eq!(
                code(world.token_for(agent, connection).await),
                "provider_unavailable"
            );
        }
        world.pass(secs(10)).await;
    }
    let is_one = |news: &[Notice]| matches!(news, [Notice::ManyFail(_)]);
    assert!(is_one(&world.news()), "{:?}", world.news());
    world.restart().await;
    world.pass(secs(60)).await;
    assert!(is_one(&world.news()), "a restart tells it no second time");
    world.sim.come_back().await.unwrap();
    until("its end is told", async || {
        world.pass(secs(20)).await;
        world.news().len() == 2
    })
    .await;
    assert!(matches!(world.news()[1], Notice::ManyRecovered(_)));
    world.finish().await;
}

#[tokio::test]
async fn setting_the_clock_neither_storms_nor_lengthens_a_life() {
    for by in [TWO_HOURS_IN_MILLIS, -TWO_HOURS_IN_MILLIS] {
        let (world, agent) = connected().await;
        let old = world.token_text(&agent).await;
        world.pass(secs(2000)).await;
        let before = world.handle().now();
        world.clock.set_wall(by);
        world.pass(secs(60)).await;
        assert_eq!(
            world.handle().now(),
            before.plus(secs(60)).shifted(by),
            "the new time is followed"
        );
        let answer = granted(world.token(&agent).await);
        assert_eq!(answer.access.expose(), old);
        assert_eq!(answer.expires_in, Some(1540), "set by {by}");
        assert_eq!(world.refreshes(), 0);
        world.pass(secs(1541)).await;
        let new = world.token_text(&agent).await;
        assert_ne!(new, old, "it has ended");
        assert_eq!(world.use_token(&new).await, 200);
        assert_eq!(world.refreshes(), 1);
        world.finish().await;
    }
}

#[tokio::test]
async fn what_ended_while_the_machine_slept_is_renewed_when_it_wakes() {
    let (world, agent) = connected().await;
    let old = world.token_text(&agent).await;
    world.sim.advance_clock(5 * HOUR);
    world.clock.sleep(5 * HOUR);
    // The kernel tells of a wake at once; here the minute's look around notices it.
    world.pass_here(secs(60)).await;
    until("it is renewed though nobody asks", async || {
        world.refreshes() == 1
    })
    .await;
    let ask = TokenAsk {
        patience: Some(secs(20)),
        ..named("fastio")
    };
    let caller = world.caller(&agent);
    let answer = granted(within(world.handle().token(&caller, ask)).await);
    assert_ne!(answer.access.expose(), old);
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn what_cannot_be_tried_says_why() {
    let (world, agent) = connected().await;
    assert_eq!(
        code(world.handle().retry(name("nowhere")).await),
        "connection_unknown"
    );
    world.pass(HOUR).await;
    world
        .sim
        .revoke_session_as_person(&world.session().session_id);
    assert_eq!(code(world.token(&agent).await), "reconnect_required");
    let told = world.handle().retry(name("fastio")).await;
    assert_eq!(code(told), "reconnect_required");
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}
