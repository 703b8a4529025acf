//! A row of failures halts, says so once, and goes on when there is reason to.

use doorward_core::change::Change;
use doorward_core::connection::{Trouble, TroubleKind};
use doorward_core::decide::refreshing::{self, Finished};
use doorward_core::decide::scheduling;
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::health::Health;
use doorward_core::ids::ConnectionId;
use doorward_core::token_reply::TokenOutcome;

use crate::world::{HOUR, SECOND, World, name, outline};

fn transient() -> TokenOutcome {
    TokenOutcome::Transient {
        why: "no connection to api.fast.io".to_owned(),
        retry_at: None,
    }
}

fn rejected() -> TokenOutcome {
    TokenOutcome::ClientRejected {
        why: "HTTP 401, error invalid_client".to_owned(),
    }
}

/// A refresh fails, or succeeds. What it does in words.
fn land(world: &mut World, id: ConnectionId, outcome: TokenOutcome) -> Vec<String> {
    let finished = Finished {
        connection: id,
        generation: world.row(id).generation,
        outcome,
        jitter: 0.5,
        outbox: world.outbox_id(),
    };
    let plan = refreshing::finish(&world.book, world.now, finished);
    let told = outline(&plan);
    world.carry_out(plan);
    told
}

fn health(world: &World, id: ConnectionId) -> Health {
    Health::of(&world.row(id), false, world.now)
}

#[test]
fn the_fifth_failure_in_a_row_halts_and_is_logged_once() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let logged: Vec<bool> = (0..8)
        .map(|_| {
            let told = land(&mut world, id, transient());
            told.contains(&"log that the tries halt".to_owned())
        })
        .collect();
    assert_eq!(
        logged,
        [false, false, false, false, true, false, false, false]
    );
    assert!(matches!(
        health(&world, id),
        Health::Degraded { halted: true, .. }
    ));
    // Halted is no end: what was down is asked now and then.
    let row = world.row(id);
    let next = row.trouble.as_ref().and_then(Trouble::next_try);
    let wait = next.expect("a probe").since(world.now);
    assert!(wait >= 30 * SECOND && wait <= 60 * SECOND, "{wait:?}");
    assert!(world.shelf.own(id).is_some());
}

#[test]
fn a_rejected_client_keeps_its_grant_is_told_once_and_waits_for_a_person() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let second = world.connection("work", "ours");
    let is_told = |told: &[String]| told.contains(&"tell ClientRejected".to_owned());
    assert!(is_told(&land(&mut world, id, rejected())));
    assert!(
        !is_told(&land(&mut world, second, rejected())),
        "the same registration stands behind both"
    );
    let Health::ClientRejected { next_try, .. } = health(&world, id) else {
        panic!("{:?}", health(&world, id));
    };
    assert!(next_try.is_some(), "it may be mended at the provider");
    for _ in 0..4 {
        assert!(!is_told(&land(&mut world, id, rejected())));
    }
    assert!(matches!(
        health(&world, id),
        Health::ClientRejected { next_try: None, .. }
    ));
    assert!(world.shelf.own(id).is_some(), "nothing is erased");
    world.now = world.now.plus(40 * 24 * HOUR);
    let state = serving::token_state(&world.row(id), world.now, None);
    let TokenState::Refused(refusal) = state else {
        panic!("{state:?}");
    };
    assert_eq!(refusal.retry_after_seconds, None, "no time makes it better");
    assert!(refusal.hint.contains("doorward retry fastio"));
    assert_eq!(
        scheduling::next_refresh(&world.row(id), world.now, true),
        None
    );
}

#[test]
fn a_person_a_start_and_a_wake_set_what_has_halted_going_again() {
    for by_person in [true, false] {
        let mut world = World::new();
        let id = world.connection("fastio", "ours");
        for _ in 0..6 {
            land(&mut world, id, rejected());
        }
        let plan = if by_person {
            scheduling::retry(&world.row(id), world.now)
        } else {
            scheduling::resume_all(&world.book, world.now, 0.0)
        };
        world.carry_out(plan);
        let row = world.row(id);
        let trouble = row.trouble.as_ref().expect("trouble, until it works");
        assert!(!trouble.is_halted() && !trouble.holds_at(world.now));
        // What was told is not told again, and its end is.
        assert!(!land(&mut world, id, rejected()).contains(&"tell ClientRejected".to_owned()));
        let tokens = world.tokens("new", Some("new"));
        let told = land(&mut world, id, TokenOutcome::Issued(tokens));
        assert!(told.contains(&"tell Recovered".to_owned()), "{told:?}");
        assert_eq!(health(&world, id), Health::Connected);
    }
}

#[test]
fn nobody_shortens_what_the_provider_asked_for() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let until = world.now.plus(HOUR);
    for _ in 0..7 {
        land(&mut world, id, TokenOutcome::RateLimited { until });
    }
    let before = world.row(id);
    assert!(scheduling::is_limited(&before, world.now));
    assert!(outline(&scheduling::retry(&before, world.now)).is_empty());
    assert!(outline(&scheduling::resume_all(&world.book, world.now, 0.5)).is_empty());
    let retry_at = before.trouble.as_ref().map(|trouble| trouble.retry_at);
    assert_eq!(retry_at, Some(until), "exactly, however often");
}

#[test]
fn a_provider_that_is_back_wakes_its_own_connections_one_after_the_other() {
    let mut world = World::new();
    let ids: Vec<_> = (0..20)
        .map(|number| world.connection(&format!("c{number}"), "ours"))
        .collect();
    for id in &ids {
        for _ in 0..5 {
            land(&mut world, *id, transient());
        }
    }
    world.alter(ids[1], |row| {
        "https://other.example".clone_into(&mut row.provider.issuer);
    });
    let stuck = ids[2];
    land(&mut world, stuck, rejected());
    let answered = world.row(ids[0]);
    let plan = scheduling::origin_is_back(&world.book, &answered, world.now, 0.5);
    let woken: Vec<_> = plan
        .changes
        .iter()
        .map(|change| {
            let Change::ConnectionPut(row) = change else {
                panic!("only rows");
            };
            row.clone()
        })
        .collect();
    assert_eq!(
        woken.len(),
        17,
        "not itself, not another's, not what a person mends"
    );
    let mut moments: Vec<_> = woken
        .iter()
        .map(|row| row.trouble.as_ref().expect("trouble").retry_at)
        .collect();
    moments.sort_unstable();
    moments.dedup();
    assert_eq!(moments.len(), 17, "no two at once");
    assert!(moments.iter().all(|at| at.since(world.now) <= 31 * SECOND));
}

#[test]
fn a_limit_does_not_halt_and_a_success_ends_the_row() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    for _ in 0..4 {
        land(&mut world, id, transient());
    }
    let tokens = world.tokens("new", Some("new"));
    land(&mut world, id, TokenOutcome::Issued(tokens));
    let told = land(&mut world, id, transient());
    assert_eq!(told, ["row of generation 2"]);
    let trouble = world.row(id).trouble.clone().expect("trouble");
    assert_eq!(
        (trouble.failures, trouble.kind),
        (1, TroubleKind::Transient)
    );
    assert_eq!(world.row(id).name, name("fastio"));
}
