//! Agents ask, a person answers, and only a person.

use std::process::{Child, Command};

use doorward_broker::ApprovalRoom;
use doorward_broker::handle::{LifetimeAsk, Proof, Terms};
use doorward_core::grant::{Door, Policy, ProgramId};
use doorward_core::pairing::{Program, Wanted};
use doorward_core::plan::Notice;
use fastio_sim::Consent;

use crate::agents::{Agent, Asking, polled};
use crate::world::{PIN, World, code, granted, name, pin, refused, secs, until};

/// A program that runs until it is told otherwise.
struct Running(Child);

impl Running {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn program(&self) -> Program {
        let pid = self.0.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let started = fields
            .split_ascii_whitespace()
            .nth(19)
            .unwrap()
            .parse()
            .unwrap();
        Program {
            id: ProgramId { pid, started },
            uid: 0,
            executable: "/usr/bin/sleep".to_owned(),
            script: None,
            folder: "/".to_owned(),
            parent: None,
        }
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have been ended by the test already.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

async fn let_in(world: &World, asking: &Asking, terms: Terms) -> Agent {
    let scope = granted(world.approve(asking, terms).await);
    Agent {
        id: asking.client,
        key: world.fetch(asking).await,
        scope,
    }
}

fn lasting(lifetime: LifetimeAsk) -> Terms {
    Terms {
        lifetime: Some(lifetime),
        ..Terms::default()
    }
}

#[tokio::test]
async fn in_the_window_no_pin_approves_and_at_the_terminal_nothing_else_does() {
    for (room, right, wrong, expected) in [
        (
            ApprovalRoom::Window,
            Proof::Window,
            Proof::Pin(pin(PIN)),
            "needs_window",
        ),
        (
            ApprovalRoom::Terminal,
            Proof::Pin(pin(PIN)),
            Proof::Window,
            "pin_required",
        ),
    ] {
        let world = World::in_room(room).await;
        world.connect().await;
        let asking = world.asks("worker", "fastio:token", None).await;
        let approve = |proof| {
            let handle = world.handle();
            handle.approve(asking.user_code.clone(), Terms::default(), proof)
        };
        assert_eq!(code(approve(wrong).await), expected);
        assert_eq!(polled(&world.poll(&asking).await), "pending");
        granted(approve(right).await);
        assert_eq!(polled(&world.poll(&asking).await), "issued");
        world.finish().await;
    }
}

#[tokio::test]
async fn an_agent_added_by_hand_needs_a_person_too() {
    let world = World::new().await;
    world.connect().await;
    let terms = || Terms {
        connection: Some(name("fastio")),
        doors: Some(vec![Door::Token]),
        ..Terms::default()
    };
    let add = |terms, proof| world.handle().add_agent("by hand", terms, proof);
    assert_eq!(code(add(terms(), Proof::Window).await), "pin_required");
    assert_eq!(
        code(add(terms(), Proof::Pin(pin("000000"))).await),
        "pin_wrong"
    );
    assert_eq!(
        code(add(Terms::default(), Proof::Pin(pin(PIN))).await),
        "bad_request"
    );
    let added = granted(add(terms(), Proof::Pin(pin(PIN))).await);
    let agent = Agent {
        id: added.id.parse().unwrap(),
        key: added.key,
        scope: added.scope,
    };
    assert_eq!(agent.scope, "fastio:token");
    granted(world.token(&agent).await);
    assert_eq!(code(add(terms(), Proof::Pin(pin(PIN))).await), "name_taken");
    world.finish().await;
}

#[tokio::test]
async fn a_reader_of_the_metrics_needs_a_person_and_outlives_a_restart() {
    let mut world = World::new().await;
    let add = |proof| world.handle().add_metrics_reader("watcher", None, proof);
    assert_eq!(code(add(Proof::Window).await), "pin_required");
    assert_eq!(code(add(Proof::Pin(pin("000000"))).await), "pin_wrong");
    let added = granted(add(Proof::Pin(pin(PIN))).await);
    assert_eq!(code(add(Proof::Pin(pin(PIN))).await), "name_taken");
    let running = world.handle().add_metrics_reader(
        "another",
        Some(LifetimeAsk::WhileRunning),
        Proof::Pin(pin(PIN)),
    );
    assert_eq!(code(running.await), "rights_invalid");
    world.restart().await;
    let caller = granted(world.handle().authenticate(&added.key));
    let metrics = granted(world.handle().metrics(&caller));
    assert_eq!((metrics.agents, metrics.tokens_unsaved), (1, 0));
    assert_eq!(
        code(world.handle().connections_of(&caller)),
        "grant_missing"
    );
    world.finish().await;
}

#[tokio::test]
async fn five_wrong_pins_close_the_door_for_a_while_even_to_the_right_one() {
    let world = World::new().await;
    world.connect().await;
    let asking = world.asks("worker", "fastio:token", None).await;
    let try_pin = |text: &str| {
        let proof = Proof::Pin(pin(text));
        world
            .handle()
            .approve(asking.user_code.clone(), Terms::default(), proof)
    };
    for left in (1..5).rev() {
        let wrong = refused(try_pin("000000").await);
        assert_eq!(wrong.code.as_str(), "pin_wrong");
        assert!(wrong.detail.contains(&left.to_string()), "{}", wrong.detail);
    }
    let blocked = refused(try_pin("000000").await);
    assert_eq!(blocked.code.as_str(), "pin_blocked");
    assert_eq!(blocked.retry_after_seconds, Some(60));
    assert_eq!(code(try_pin(PIN).await), "pin_blocked");
    assert_eq!(world.audited("pin.refused").await, 5);
    world.pass(secs(61)).await;
    granted(try_pin(PIN).await);
    world.finish().await;
}

#[tokio::test]
async fn a_pin_is_long_enough_and_changes_only_with_the_one_before() {
    let world = World::new().await;
    let set = |before: Option<&str>, new: &str| world.handle().set_pin(before.map(pin), pin(new));
    assert_eq!(code(set(Some(PIN), "12345").await), "pin_too_short");
    assert_eq!(code(set(None, "314159").await), "pin_required");
    assert_eq!(code(set(Some("000000"), "314159").await), "pin_wrong");
    granted(set(Some(PIN), "314159").await);
    assert_eq!(code(set(Some(PIN), "271828").await), "pin_wrong");
    assert_eq!(world.audited("pin.set").await, 2);
    world.finish().await;
}

#[tokio::test]
async fn a_person_gives_less_than_was_asked_or_something_else() {
    let world = World::new().await;
    world.connect().await;
    let work = world.ask_named("work", "personal");
    world.connect_as(work, &Consent::everything()).await;

    let asking = world.asks("other connection", "fastio:token", None).await;
    let elsewhere = Terms {
        connection: Some(name("work")),
        ..Terms::default()
    };
    let agent = let_in(&world, &asking, elsewhere).await;
    assert_eq!(agent.scope, "work:token");
    granted(world.token_for(&agent, "work").await);
    assert_eq!(
        code(world.token_for(&agent, "fastio").await),
        "grant_missing"
    );

    let asking = world.asks("other door", "fastio:token", None).await;
    let limited = Terms {
        doors: Some(vec![Door::Proxy]),
        policy: Policy {
            read_only: true,
            path_prefixes: vec!["/workspace/".to_owned()],
            ..Policy::default()
        },
        ..Terms::default()
    };
    let agent = let_in(&world, &asking, limited.clone()).await;
    assert_eq!(agent.scope, "fastio:proxy");
    let missing = refused(world.token(&agent).await);
    assert_eq!(missing.code.as_str(), "grant_missing");
    assert!(missing.detail.contains("door"), "{}", missing.detail);
    let views = granted(world.handle().agents().await);
    let view = views.iter().find(|view| view.name == "other door").unwrap();
    assert_eq!(view.grants[0].policy, limited.policy);
    world.finish().await;
}

#[tokio::test]
async fn a_limit_never_stands_beside_the_token_door() {
    let world = World::new().await;
    world.connect().await;
    let asking = world.asks("worker", "fastio:token", None).await;
    for policy in [
        Policy {
            read_only: true,
            ..Policy::default()
        },
        Policy {
            ask_each_time: true,
            ..Policy::default()
        },
        Policy {
            methods: vec!["GET".to_owned()],
            ..Policy::default()
        },
    ] {
        let terms = Terms {
            policy,
            ..Terms::default()
        };
        assert_eq!(code(world.approve(&asking, terms).await), "rights_invalid");
    }
    assert_eq!(polled(&world.poll(&asking).await), "pending");
    world.finish().await;
}

#[tokio::test]
async fn one_agent_never_has_connections_of_two_tenants() {
    let world = World::new().await;
    world.connect().await;
    world
        .connect_as(world.ask_named("clinic", "clinic"), &Consent::everything())
        .await;
    let both = world.asks("both", "fastio:token clinic:token", None).await;
    assert_eq!(
        code(world.approve(&both, Terms::default()).await),
        "rights_invalid"
    );
    let agent = world.pair("worker", "fastio:token").await;
    let wanted = granted(Wanted::parse_scope("clinic:token"));
    let more = granted(world.handle().ask_approval(agent.id, wanted, None).await);
    let approved = world
        .handle()
        .approve(more.user_code, Terms::default(), Proof::Pin(pin(PIN)));
    assert_eq!(code(approved.await), "rights_invalid");
    world.finish().await;
}

#[tokio::test]
async fn a_grant_for_as_long_as_a_program_runs_ends_with_the_program() {
    let mut world = World::new().await;
    world.connect().await;
    let mut first = Running::start();
    let asking = world
        .asks("worker", "fastio:token", Some(first.program()))
        .await;
    let agent = let_in(&world, &asking, lasting(LifetimeAsk::WhileRunning)).await;
    granted(world.token(&agent).await);
    first.end();
    until("the grant is gone", async || {
        world.token(&agent).await.is_err()
    })
    .await;
    assert_eq!(code(world.token(&agent).await), "grant_missing");

    // A program that ends while Doorward does not run is noticed at the next start.
    let mut second = Running::start();
    let asking = world
        .asks("other", "fastio:token", Some(second.program()))
        .await;
    let other = let_in(&world, &asking, lasting(LifetimeAsk::WhileRunning)).await;
    world.restart().await;
    granted(world.token(&other).await);
    world.stop().await;
    second.end();
    world.start_again().await;
    until("the grant is gone", async || {
        world.token(&other).await.is_err()
    })
    .await;
    assert_eq!(world.audited("grant.expired").await, 2);
    world.finish().await;
}

#[tokio::test]
async fn a_program_that_is_not_known_cannot_be_watched() {
    let world = World::new().await;
    world.connect().await;
    let asking = world.asks("worker", "fastio:token", None).await;
    let answer = world
        .approve(&asking, lasting(LifetimeAsk::WhileRunning))
        .await;
    assert_eq!(code(answer), "rights_invalid");
    world.finish().await;
}

#[tokio::test]
async fn a_grant_for_an_hour_or_for_today_ends_by_the_clock() {
    let world = World::new().await;
    world.connect().await;
    let asking = world.asks("hour", "fastio:token", None).await;
    let hour = let_in(&world, &asking, lasting(LifetimeAsk::Hour)).await;
    let asking = world.asks("today", "fastio:token", None).await;
    let today = let_in(&world, &asking, lasting(LifetimeAsk::Today)).await;
    let caller = world.caller(&hour);
    let introspection = world.handle().introspect(&caller, &hour.key).unwrap();
    assert_eq!(
        introspection.expires_at,
        Some(world.handle().now().plus(secs(3600)))
    );
    granted(world.token(&hour).await);
    world.pass(secs(3600)).await;
    assert_eq!(code(world.token(&hour).await), "unauthenticated");
    world.pass(secs(24 * 3600)).await;
    assert_eq!(code(world.token(&today).await), "unauthenticated");
    assert_eq!(world.audited("grant.expired").await, 2);
    world.finish().await;
}

#[tokio::test]
async fn a_device_code_is_polled_in_its_pace_and_opens_once() {
    let world = World::new().await;
    world.connect().await;
    let asking = world.asks("worker", "fastio:token", None).await;
    assert_eq!(polled(&world.poll(&asking).await), "pending");
    assert_eq!(polled(&world.poll(&asking).await), "slow_down");
    world.pass(secs(2)).await;
    assert_eq!(polled(&world.poll(&asking).await), "pending");
    let stranger = granted(world.handle().register_client("stranger", Vec::new()).await);
    let stolen = world.handle().poll(stranger.id, &asking.device_code).await;
    assert_eq!(polled(&granted(stolen)), "unknown");
    granted(world.approve(&asking, Terms::default()).await);
    assert_eq!(polled(&world.poll(&asking).await), "issued");
    assert_eq!(polled(&world.poll(&asking).await), "unknown");
    assert_eq!(
        code(world.approve(&asking, Terms::default()).await),
        "request_unknown"
    );
    world.finish().await;
}

#[tokio::test]
async fn no_answer_and_a_no_are_told_apart() {
    let world = World::new().await;
    world.connect().await;
    let denied = world.asks("denied", "fastio:token", None).await;
    let expired = world.asks("expired", "fastio:token", None).await;
    let typed = denied.user_code.to_lowercase().replace('-', " ");
    granted(world.handle().deny(typed).await);
    assert_eq!(polled(&world.poll(&denied).await), "denied");
    world.pass(secs(600)).await;
    assert_eq!(polled(&world.poll(&expired).await), "expired");
    assert_eq!(
        code(world.approve(&expired, Terms::default()).await),
        "request_unknown"
    );
    assert!(granted(world.handle().requests().await).is_empty());
    assert_eq!(world.audited("pairing.denied").await, 2);
    world.finish().await;
}

#[tokio::test]
async fn a_person_sees_who_asks_and_is_told() {
    let world = World::new().await;
    world.connect().await;
    let program = Running::start();
    let asking = world
        .asks("Nice <b>agent", "fastio", Some(program.program()))
        .await;
    let requests = granted(world.handle().requests().await);
    let [request] = requests.as_slice() else {
        panic!("one request: {requests:?}")
    };
    assert_eq!(request.name, "Nice bagent");
    assert_eq!(request.wanted, ["fastio:proxy"]);
    assert_eq!(request.code, asking.user_code);
    assert_eq!(request.program, Some(program.program()));
    assert!(matches!(
        world.notices().as_slice(),
        [Notice::ApprovalAsked(_)]
    ));
    world.finish().await;
}

#[tokio::test]
async fn clients_without_rights_and_waiting_questions_are_bounded() {
    let world = World::new().await;
    world.connect().await;
    let mut asking = Vec::new();
    for turn in 0..20 {
        asking.push(world.asks(&format!("agent {turn}"), "fastio", None).await);
    }
    let late = granted(world.handle().register_client("late", Vec::new()).await);
    let wanted = || granted(Wanted::parse_scope("fastio"));
    let full = world
        .handle()
        .ask_approval(late.id, wanted(), None)
        .await
        .err()
        .unwrap();
    assert_eq!(full.code.as_str(), "rate_limited");
    assert!(full.retry_after_seconds.is_some());
    // A newer question of the same agent takes the place of its older one.
    granted(
        world
            .handle()
            .ask_approval(asking[0].client, wanted(), None)
            .await,
    );
    assert_eq!(
        code(world.approve(&asking[0], Terms::default()).await),
        "request_unknown"
    );
    granted(world.handle().deny(asking[1].user_code.clone()).await);
    granted(world.handle().ask_approval(late.id, wanted(), None).await);

    for turn in 0..200 {
        world.pass_here(secs(1)).await;
        let name = format!("flood {turn}");
        granted(world.handle().register_client(&name, Vec::new()).await);
    }
    granted(world.approve(&asking[19], Terms::default()).await);
    let unknown = granted(world.handle().register_client("newest", Vec::new()).await);
    granted(world.handle().deny(asking[2].user_code.clone()).await);
    granted(
        world
            .handle()
            .ask_approval(unknown.id, wanted(), None)
            .await,
    );
    world.finish().await;
}
