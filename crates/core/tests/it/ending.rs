//! What has ended because nothing renews it is told, once, and nothing is lost over it.

use std::time::Duration;

use doorward_core::connection::{Connection, Standing};
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::decide::{connecting, ending, scheduling};
use doorward_core::health::Health;
use doorward_core::ids::ConnectionId;

use crate::world::{HOUR, SECOND, World, ended, learned, outline};

const TOLD: [&str; 3] = [
    "row of generation 1",
    "log connection.ended",
    "tell ReconnectNeeded",
];

/// A connection whose provider gave no refresh token; its access token lives for an hour.
fn without_renewal(world: &mut World) -> ConnectionId {
    let consent = world.consent("fastio", "ours").expect("a place");
    let tokens = world.tokens("access", None);
    let (_, refusal) = world.answer(&consent, tokens, learned("ann", "session-1"));
    assert_eq!(refusal, None);
    consent.connection
}

/// What a person is told now. It is carried out.
fn tell(world: &mut World) -> Vec<String> {
    let plan = ending::tell(&world.book, world.now);
    let told = outline(&plan);
    world.carry_out(plan);
    told
}

fn pass(world: &mut World, time: Duration) {
    world.now = world.now.plus(time);
}

#[test]
fn it_is_told_at_the_moment_of_the_end_and_once() {
    let mut world = World::new();
    let id = without_renewal(&mut world);
    let end = world.row(id).access_expires_at;
    assert_eq!(ending::tells_at(&world.row(id)), end);
    pass(&mut world, Duration::from_secs(3599));
    assert!(tell(&mut world).is_empty());
    pass(&mut world, SECOND);
    assert_eq!(tell(&mut world), TOLD);
    assert!(world.shelf.own(id).is_some(), "nothing was erased");
    assert_eq!(world.row(id).standing, Standing::Connected);
    assert_eq!(ending::tells_at(&world.row(id)), None);
    pass(&mut world, HOUR);
    assert!(tell(&mut world).is_empty());
}

#[test]
fn a_clock_that_is_set_makes_it_no_second_loss() {
    let mut world = World::new();
    without_renewal(&mut world);
    pass(&mut world, HOUR);
    assert_eq!(tell(&mut world), TOLD);
    for millis in [-7_200_000, 7_200_000, 14_400_000] {
        let plan = scheduling::clock_was_set(&world.book, millis);
        world.carry_out(plan);
        world.now = world.now.shifted(millis);
        assert!(tell(&mut world).is_empty(), "set by {millis}");
    }
}

#[test]
fn a_clock_that_was_wrong_costs_no_grant() {
    let mut world = World::new();
    let id = without_renewal(&mut world);
    let right = world.now;
    pass(&mut world, 24 * HOUR);
    assert_eq!(tell(&mut world), TOLD);
    world.now = right;
    let row = world.row(id);
    assert_eq!(
        serving::token_state(&row, right, None),
        TokenState::Fresh,
        "the token is as good as it was"
    );
    assert_eq!(Health::of(&row, false, right), Health::Connected);
}

#[test]
fn a_new_consent_is_told_as_the_recovery_and_its_own_end_is_another_one() {
    let mut world = World::new();
    let id = without_renewal(&mut world);
    pass(&mut world, HOUR);
    assert_eq!(tell(&mut world), TOLD);
    let consent = world.consent("fastio", "ours").expect("a place");
    let outbox = world.outbox_id();
    let (plan, refusal) = connecting::connected(
        &world.book,
        world.now,
        &consent,
        world.tokens("again", None),
        learned("ann", "session-2"),
        outbox,
    );
    assert_eq!(refusal, None);
    assert!(outline(&plan).contains(&"tell Recovered".to_owned()));
    world.carry_out(plan);
    assert!(tell(&mut world).is_empty());
    pass(&mut world, HOUR);
    let again = tell(&mut world);
    assert!(again.contains(&"tell ReconnectNeeded".to_owned()));
    assert_eq!(world.row(id).end_told, Some(2));
}

#[test]
fn what_is_renewed_paused_endless_or_over_is_not_told() {
    type Alter = fn(&mut Connection);
    let untold: [(&str, Alter); 5] = [
        ("renewed", |row| row.refreshable = true),
        ("paused", |row| row.paused = true),
        ("endless", |row| row.access_expires_at = None),
        ("ended before", |row| row.standing = ended()),
        ("being disconnected", |row| row.standing = Standing::Ending),
    ];
    for (what, alter) in untold {
        let mut world = World::new();
        let id = without_renewal(&mut world);
        world.alter(id, alter);
        pass(&mut world, HOUR);
        assert!(tell(&mut world).is_empty(), "{what}");
        if what == "paused" {
            world.alter(id, |row| row.paused = false);
            assert_eq!(tell(&mut world), TOLD, "it goes on");
        }
    }
    let mut world = World::new();
    let id = without_renewal(&mut world);
    world.alter(id, |row| row.standing = Standing::Unproven);
    pass(&mut world, HOUR);
    assert_eq!(tell(&mut world), TOLD, "restored from a backup");
}
