//! Many connections fail at once, and how often they did lately.

use std::time::Duration;

use doorward_core::alarm::{self, Alarm, Cause, Turn};
use doorward_core::connection::TroubleKind;
use doorward_core::ids::ConnectionId;
use doorward_core::tally::{Count, Tally};

use crate::world::{HOUR, World, trouble};

const MINUTE: Duration = Duration::from_mins(1);

fn several(count: usize) -> (World, Vec<ConnectionId>) {
    let mut world = World::new();
    let ids = (0..count)
        .map(|number| world.connection(&format!("c{number}"), "ours"))
        .collect();
    (world, ids)
}

fn fail(world: &mut World, id: ConnectionId, kind: TroubleKind, last: &str) {
    let now = world.now;
    world.alter(id, |row| {
        let mut trouble = trouble(kind, now, now.plus(MINUTE));
        trouble.failures = 2;
        last.clone_into(&mut trouble.last);
        row.trouble = Some(trouble);
    });
}

fn raised(world: &World, skew: i64) -> Option<Alarm> {
    match alarm::turn(&world.book, world.now, None, skew) {
        Some(Turn::Raised(alarm)) => Some(alarm),
        Some(Turn::Lowered(_)) | None => None,
    }
}

#[test]
fn half_of_many_is_one_alarm_and_a_few_are_none() {
    let (mut world, ids) = several(10);
    for (failing, id) in ids.iter().enumerate() {
        let expected = failing >= 5;
        assert_eq!(raised(&world, 0).is_some(), expected, "{failing} of 10");
        fail(&mut world, *id, TroubleKind::Transient, "HTTP 503");
    }
    let (mut two, ids) = several(2);
    for id in ids {
        fail(&mut two, id, TroubleKind::Transient, "HTTP 503");
    }
    assert_eq!(raised(&two, 0), None, "two are told of one by one");
}

#[test]
fn one_failure_of_each_is_chance_and_a_limit_is_no_failure() {
    let (mut world, ids) = several(4);
    for id in &ids {
        fail(&mut world, *id, TroubleKind::RateLimited, "HTTP 429");
    }
    assert_eq!(raised(&world, 0), None);
    for id in ids {
        fail(&mut world, id, TroubleKind::Transient, "HTTP 503");
        world.alter(id, |row| {
            if let Some(trouble) = &mut row.trouble {
                trouble.failures = 1;
            }
        });
    }
    assert_eq!(raised(&world, 0), None);
}

#[test]
fn the_likely_cause_is_named() {
    let unreachable = "no connection to api.fast.io";
    for (kind, last, skew, expected) in [
        (TroubleKind::Transient, "HTTP 503", 0, Cause::ProviderDown),
        (TroubleKind::Transient, unreachable, 0, Cause::NetworkDown),
        (
            TroubleKind::ClientRejected,
            "HTTP 401, error invalid_client",
            0,
            Cause::ClientRejected,
        ),
        (
            TroubleKind::Transient,
            "HTTP 400",
            -3_600_000,
            Cause::ClockWrong,
        ),
    ] {
        let (mut world, ids) = several(4);
        for id in ids {
            fail(&mut world, id, kind, last);
        }
        assert_eq!(
            raised(&world, skew).map(|alarm| alarm.cause),
            Some(expected)
        );
    }
    let (mut world, ids) = several(5);
    for id in &ids[1..] {
        fail(&mut world, *id, TroubleKind::Transient, unreachable);
    }
    let later = world.now.plus(MINUTE);
    world.alter(ids[0], |row| {
        "https://other.example".clone_into(&mut row.provider.issuer);
        row.proven_at = Some(later);
    });
    let cause = raised(&world, 0).map(|alarm| alarm.cause);
    assert_eq!(cause, Some(Cause::ProviderDown), "another provider answers");
}

#[test]
fn an_alarm_ends_once_with_success_and_not_with_a_new_start_of_the_tries() {
    let (mut world, ids) = several(8);
    for id in &ids {
        fail(&mut world, *id, TroubleKind::Transient, "HTTP 503");
    }
    let alarm = raised(&world, 0).expect("an alarm");
    assert_eq!(alarm.failing, 8);
    assert_eq!(alarm::found(&world.book, world.now, 0), Some(alarm));
    let turn = |world: &World| alarm::turn(&world.book, world.now, Some(alarm), 0);
    assert_eq!(turn(&world), None, "it is not told twice");
    for id in &ids {
        world.alter(*id, |row| {
            if let Some(trouble) = &mut row.trouble {
                trouble.failures = 0;
            }
        });
    }
    assert_eq!(turn(&world), None);
    for id in &ids[..5] {
        world.alter(*id, |row| row.trouble = None);
        assert_eq!(turn(&world), None);
    }
    world.alter(ids[5], |row| row.trouble = None);
    assert_eq!(turn(&world), Some(Turn::Lowered(alarm)));
}

#[test]
fn successes_and_failures_are_counted_over_five_minutes_an_hour_and_a_day() {
    let world = World::new();
    let mut now = world.now;
    let mut tally = Tally::default();
    tally.count(now, false);
    now = now.plus(22 * HOUR);
    tally.count(now, true);
    tally.count(now, true);
    now = now.plus(50 * MINUTE);
    tally.count(now, false);
    let count = |succeeded, failed| Count { succeeded, failed };
    let rates = tally.rates(now);
    assert_eq!(rates.five_minutes, count(0, 1));
    assert_eq!(rates.hour, count(2, 1));
    assert_eq!(rates.day, count(2, 2));
    let later = tally.rates(now.plus(24 * HOUR));
    assert_eq!(later.day, count(0, 0));
    tally.count(now.minus(48 * HOUR), true);
    assert_eq!(
        tally.rates(now).day,
        count(0, 0),
        "what a clock counted that was set back is not believed"
    );
}
