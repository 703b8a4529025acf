//! When a connection is refreshed by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use doorward_core::connection::{Connection, Standing, TroubleKind};
use doorward_core::decide::reporting::{self, Followed, Report};
use doorward_core::decide::scheduling;
use doorward_core::time::Timestamp;
use proptest::prelude::*;

use crate::world::{HOUR, SECOND, World, begin, ended, trouble};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

fn with_lifetime(lifetime: Option<Duration>) -> (World, Connection) {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let mut row = (*world.row(id)).clone();
    row.access_expires_at = lifetime.map(|lifetime| row.access_issued_at.plus(lifetime));
    (world, row)
}

fn after(row: &Connection, now: Timestamp, in_use: bool) -> Option<Duration> {
    let at = scheduling::next_refresh(row, now, in_use)?;
    Some(at.since(row.access_issued_at))
}

#[test]
fn a_token_in_use_is_renewed_shortly_before_its_end() {
    for (lifetime, early) in [
        (HOUR, 55 * MINUTE),
        (24 * HOUR, (24 * 60 - 5) * MINUTE),
        (300 * SECOND, 240 * SECOND),
        (100 * SECOND, 80 * SECOND),
    ] {
        let (world, row) = with_lifetime(Some(lifetime));
        let at = after(&row, world.now, true).expect("a moment");
        let latest = early + (lifetime.saturating_sub(early)) / 2;
        assert!(at >= early && at <= latest, "{lifetime:?}: {at:?}");
    }
}

#[test]
fn what_is_idle_or_tells_no_end_is_kept_alive_within_days() {
    for (lifetime, in_use) in [(Some(HOUR), false), (None, true), (None, false)] {
        let (world, row) = with_lifetime(lifetime);
        let at = after(&row, world.now, in_use).expect("a moment");
        assert!(at > 2 * DAY && at <= 3 * DAY, "{at:?}");
    }
}

#[test]
fn a_lifetime_of_seconds_is_never_renewed_ahead() {
    for seconds in [1, 5, 60, 74] {
        let (world, row) = with_lifetime(Some(Duration::from_secs(seconds)));
        assert!(after(&row, world.now, true).expect("a moment") > DAY);
    }
}

#[test]
fn a_token_that_has_ended_waits_for_whoever_needs_it_unless_the_machine_was_away() {
    let (world, row) = with_lifetime(Some(HOUR));
    let later = world.now.plus(2 * HOUR);
    assert!(after(&row, later, true).expect("a moment") > DAY);
    assert!(scheduling::is_due_after_absence(&row, later, true));
    assert!(!scheduling::is_due_after_absence(&row, later, false));
    assert!(!scheduling::is_due_after_absence(&row, world.now, true));
    let limited = Connection {
        trouble: Some(trouble(TroubleKind::RateLimited, later, later.plus(HOUR))),
        ..row
    };
    assert!(!scheduling::is_due_after_absence(&limited, later, true));
}

#[test]
fn trouble_brings_the_next_try_but_no_refresh_of_a_token_that_is_good() {
    let (world, mut row) = with_lifetime(Some(HOUR));
    let begin = world.now;
    let next = |row: &Connection, now| scheduling::next_refresh(row, now, true);
    row.trouble = Some(trouble(TroubleKind::Transient, begin, begin.plus(MINUTE)));
    let at = next(&row, begin.plus(MINUTE)).expect("a moment");
    assert!(at >= begin.plus(55 * MINUTE), "a check failed, say");
    let late = begin.plus(59 * MINUTE);
    row.trouble = Some(trouble(TroubleKind::Transient, late, late.plus(SECOND)));
    assert_eq!(next(&row, late), Some(late.plus(SECOND)));
    let over = begin.plus(2 * HOUR);
    row.trouble = Some(trouble(TroubleKind::Transient, late, over.plus(SECOND)));
    assert_eq!(next(&row, over), Some(over.plus(SECOND)));
}

#[test]
fn what_cannot_or_must_not_be_refreshed_never_is() {
    let alters: [fn(&mut Connection); 6] = [
        |row| row.refreshable = false,
        |row| row.paused = true,
        |row| row.standing = ended(),
        |row| row.standing = Standing::Ending,
        |row| row.standing = Standing::Unproven,
        |row| row.generation = 0,
    ];
    for alter in alters {
        let (world, mut row) = with_lifetime(Some(HOUR));
        alter(&mut row);
        let much_later = world.now.plus(400 * DAY);
        assert_eq!(scheduling::next_refresh(&row, much_later, true), None);
        assert!(!scheduling::is_due_after_absence(&row, much_later, true));
    }
}

#[test]
fn a_refresh_whose_reply_may_be_lost_is_not_repeated_while_the_token_lives() {
    let (world, row) = with_lifetime(Some(HOUR));
    let mut marked = World::new();
    let id = marked.connection("fastio", "ours");
    let begun = begin(&row);
    marked.carry_out(begun);
    let at = scheduling::next_refresh(&marked.row(id), world.now, true);
    assert!(at.is_none_or(|at| at >= row.access_expires_at.expect("an end")));
}

#[test]
fn a_thousand_connections_that_began_together_do_not_fall_together() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let row = world.row(id);
    let seconds: Vec<u64> = (0..1000)
        .map(|_| {
            let row = Connection {
                id: doorward_core::ids::ConnectionId::from_random(world.fresh.bytes()),
                ..(*row).clone()
            };
            after(&row, world.now, true).expect("a moment").as_secs()
        })
        .collect();
    let different: BTreeSet<_> = seconds.iter().collect();
    assert!(different.len() > 100, "{}", different.len());
    let most = different
        .iter()
        .map(|second| seconds.iter().filter(|other| other == second).count())
        .max();
    assert!(most < Some(30), "in one second: {most:?}");
}

#[test]
fn setting_the_clock_changes_no_length_of_time() {
    for hours in [-2_i64, 2] {
        let mut world = World::new();
        let id = world.connection("fastio", "ours");
        world.now = world.now.plus(40 * MINUTE);
        let since = world.now.minus(MINUTE);
        let retry = world.now.plus(MINUTE);
        world.alter(id, |row| {
            row.trouble = Some(trouble(TroubleKind::Transient, since, retry));
        });
        let before = world.row(id);
        let by = hours * 3_600_000;
        let plan = scheduling::clock_was_set(&world.book, by);
        world.carry_out(plan);
        let (was, is) = (world.now, world.now.shifted(by));
        let row = world.row(id);
        assert_eq!(row.validity(is), before.validity(was));
        assert_eq!(row.validity(is), Some(20 * MINUTE));
        assert!(row.access_is_live(is));
        assert!(
            !row.access_is_live(is.plus(21 * MINUTE)),
            "not used past its end"
        );
        let wait =
            |row: &Connection, now| row.trouble.as_ref().expect("trouble").retry_at.since(now);
        assert_eq!(wait(&row, is), wait(&before, was));
    }
}

#[test]
fn a_report_is_believed_only_about_the_current_token_and_only_as_a_401() {
    let (world, row) = with_lifetime(Some(HOUR));
    let believed = |row: &Connection, age: Duration, report| {
        reporting::is_believed(row, world.now.plus(age), report)
    };
    let plain = Report {
        is_current: true,
        status: Some(401),
        code: None,
    };
    assert!(believed(&row, 5 * SECOND, plain));
    assert!(!believed(&row, 4 * SECOND, plain), "too young");
    let others = [
        Report {
            is_current: false,
            ..plain
        },
        Report {
            status: Some(403),
            ..plain
        },
        Report {
            code: Some("10545"),
            ..plain
        },
        Report {
            code: Some("115069"),
            ..plain
        },
    ];
    for other in others {
        assert!(!believed(&row, MINUTE, other), "{other:?}");
    }
    let unsaid = Report {
        status: None,
        ..plain
    };
    assert!(
        believed(&row, MINUTE, unsaid),
        "the provider's check decides"
    );
    let mut unchecked = row;
    unchecked.provider.check = None;
    assert!(!believed(&unchecked, MINUTE, unsaid));
    assert!(believed(&unchecked, MINUTE, plain));
}

proptest! {
    /// Whatever lifetimes a provider gives and however busy an agent is: an hour brings no more refreshes than minutes.
    #[test]
    fn no_lifetime_makes_a_loop(seconds in 1_u64..100_000, steps in prop::collection::vec(1_u64..120, 1..200)) {
        let (world, mut row) = with_lifetime(Some(Duration::from_secs(seconds)));
        let mut now = world.now;
        let mut refreshes = 0;
        for step in &steps {
            now = now.plus(Duration::from_secs(*step));
            if scheduling::next_refresh(&row, now, true).is_some_and(|at| at <= now) {
                refreshes += 1;
                row.generation += 1;
                row.access_issued_at = now;
                row.access_expires_at = Some(now.plus(Duration::from_secs(seconds)));
            }
        }
        let passed = now.since(world.now).as_secs();
        prop_assert!(refreshes <= passed / 60, "{refreshes} in {passed} s");
    }

    /// However an agent reports, provider calls become rare.
    #[test]
    fn reports_are_no_lever(gaps in prop::collection::vec(0_u64..30, 1..400)) {
        let mut now = Timestamp::from_secs(1_800_000_000);
        let begin = now;
        let mut followed: Option<Followed> = None;
        let mut calls = 0;
        for gap in gaps {
            now = now.plus(Duration::from_secs(gap));
            if !followed.is_some_and(|followed| followed.holds_at(now)) {
                followed = Some(Followed::after(followed, now));
                calls += 1;
            }
        }
        let bound = 8 + now.since(begin).as_secs() / 500;
        prop_assert!(calls <= bound, "{calls} calls");
    }
}
