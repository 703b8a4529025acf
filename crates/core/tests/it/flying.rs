//! A refresh that is marked, and one that comes back without a reply.

use doorward_core::connection::{Standing, TroubleKind};
use doorward_core::decide::flying::{self, CameEmpty, Empty};
use doorward_core::decide::refreshing::{self, Finished};
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::ids::ConnectionId;
use doorward_core::plan::Plan;
use doorward_core::token_reply::TokenOutcome;

use crate::world::{HOUR, SECOND, World, begin, mark, outline};

fn lost() -> Empty {
    Empty::ReplyLost {
        why: "no reply".to_owned(),
    }
}

fn failed() -> Empty {
    Empty::CourierFailed {
        why: "it is not there".to_owned(),
    }
}

fn came_empty(world: &mut World, connection: ConnectionId, end: Empty) -> Plan {
    let flight = CameEmpty {
        connection,
        generation: 1,
        end,
        jitter: 0.5,
        outbox: world.outbox_id(),
    };
    flying::came_empty(&world.book, world.now, flight)
}

fn marked() -> (World, ConnectionId) {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let begun = begin(&world.row(id));
    world.carry_out(begun);
    (world, id)
}

fn refresh_again(world: &mut World, id: ConnectionId, outcome: TokenOutcome) {
    let begun = begin(&world.row(id));
    world.carry_out(begun);
    let finished = Finished {
        connection: id,
        generation: 1,
        outcome,
        jitter: 0.5,
        outbox: world.outbox_id(),
    };
    let plan = refreshing::finish(&world.book, world.now, finished);
    world.carry_out(plan);
}

#[test]
fn a_refresh_is_marked_with_its_flight_and_the_flights_key() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let begun = begin(&world.row(id));
    assert_eq!(
        outline(&begun),
        ["row of generation 1", "flight key of generation 1"]
    );
    world.carry_out(begun);
    let left: Vec<_> = flying::left_marks(&world.book)
        .map(|(row, mark)| (row.id, mark))
        .collect();
    assert_eq!(left, [(id, mark(1))]);
}

#[test]
fn whatever_a_flight_brings_ends_its_mark_and_no_empty_one_ends_a_grant() {
    for end in [lost(), failed(), Empty::NeverSent] {
        let (mut world, id) = marked();
        let plan = came_empty(&mut world, id, end);
        assert_eq!(outline(&plan), ["row of generation 1"]);
        world.carry_out(plan);
        let row = world.row(id);
        assert_eq!((row.refreshing, row.refreshable), (None, true));
        assert_eq!(row.standing, Standing::Connected);
    }
    let why = String::new;
    for outcome in [
        TokenOutcome::Transient {
            why: why(),
            retry_at: None,
        },
        TokenOutcome::ClientRejected { why: why() },
        TokenOutcome::GrantEnded { why: why() },
    ] {
        let (mut world, id) = marked();
        refresh_again(&mut world, id, outcome);
        assert_eq!(world.row(id).refreshing, None);
    }
}

#[test]
fn after_a_lost_reply_the_token_is_served_to_its_end_and_only_then_is_the_old_one_tried() {
    let (mut world, id) = marked();
    let lost = came_empty(&mut world, id, lost());
    world.carry_out(lost);
    let row = world.row(id);
    let served_until = row.last_served_at().expect("its end is known");
    let retry_at = row.trouble.as_ref().expect("trouble").retry_at;
    assert_eq!(retry_at, served_until);
    assert_eq!(row.access_expires_at, Some(served_until.plus(5 * SECOND)));
    for min_valid in [None, Some(HOUR)] {
        let state = serving::token_state(&row, served_until.minus(SECOND), min_valid);
        assert_eq!(state, TokenState::Fresh, "served, and nothing is sent");
    }
    let state = serving::token_state(&row, served_until.plus(SECOND), None);
    assert_eq!(state, TokenState::DueButLive);
    // Proof that the token is dead before its end is no reason to wait for that end.
    assert!(flying::waits_for_the_token_to_end(&row, world.now));
    let dead = refreshing::access_is_dead(&row, world.now);
    world.carry_out(dead);
    assert!(!flying::waits_for_the_token_to_end(
        &world.row(id),
        world.now
    ));
}

#[test]
fn a_token_that_has_ended_or_whose_end_nobody_knows_gives_no_reason_to_wait() {
    for ends_at in [Some(-1), None] {
        let (mut world, id) = marked();
        let now = world.now;
        world.alter(id, |row| {
            row.access_expires_at = ends_at.map(|_| now.minus(SECOND));
        });
        let lost = came_empty(&mut world, id, lost());
        world.carry_out(lost);
        let trouble = world.row(id).trouble.clone().expect("trouble");
        assert_eq!(trouble.kind, TroubleKind::ReplyLost);
        assert!(trouble.retry_at > now && trouble.retry_at <= now.plus(SECOND));
    }
}

#[test]
fn what_the_second_try_says_decides() {
    let (mut world, id) = marked();
    let lost = came_empty(&mut world, id, lost());
    world.carry_out(lost);
    let mut refused = world.clone();
    let tokens = world.tokens("next", Some("next"));
    refresh_again(&mut world, id, TokenOutcome::Issued(tokens));
    let row = world.row(id);
    assert_eq!((row.generation, row.trouble.clone()), (2, None));

    let why = "HTTP 400, error invalid_grant".to_owned();
    refresh_again(&mut refused, id, TokenOutcome::GrantEnded { why });
    let standing = &refused.row(id).standing;
    assert!(matches!(standing, Standing::ReconnectRequired { .. }));
}

#[test]
fn a_courier_that_cannot_be_started_is_tried_again_with_growing_waits_and_said() {
    let (mut world, id) = marked();
    let mut longest = SECOND / 2;
    for failures in 1..=4 {
        let plan = came_empty(&mut world, id, failed());
        world.carry_out(plan);
        let row = world.row(id);
        let trouble = row.trouble.as_ref().expect("trouble");
        assert_eq!(
            (trouble.kind, trouble.failures),
            (TroubleKind::CourierFailed, failures)
        );
        assert_eq!(trouble.retry_at, world.now.plus(longest));
        longest *= 2;
        let told = serving::in_trouble(&row, trouble.kind, trouble.retry_at, world.now);
        assert!(told.detail.contains("courier"), "{}", told.detail);
        assert!(told.hint.contains("Nothing was sent"), "{}", told.hint);
        let begun = begin(&row);
        world.carry_out(begun);
    }
}

#[test]
fn an_empty_flight_of_an_older_generation_changes_nothing() {
    let (mut world, id) = marked();
    let tokens = world.tokens("next", Some("next"));
    refresh_again(&mut world, id, TokenOutcome::Issued(tokens));
    for end in [lost(), failed(), Empty::NeverSent] {
        assert!(outline(&came_empty(&mut world, id, end)).is_empty());
    }
}

#[test]
fn a_connection_that_waited_for_an_empty_flight_to_be_disconnected_ends_then() {
    for end in [lost(), failed(), Empty::NeverSent] {
        let (mut world, id) = marked();
        world.alter(id, |row| row.standing = Standing::Ending);
        let plan = came_empty(&mut world, id, end);
        let told = outline(&plan);
        assert!(told.contains(&"connection erased".to_owned()), "{told:?}");
        assert!(told.iter().any(|line| line.starts_with("owe the stored")));
        world.carry_out(plan);
        assert!(world.book.connection(id).is_none());
    }
}
