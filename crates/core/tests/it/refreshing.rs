//! A refresh comes back.

use std::time::Duration;

use doorward_core::change::Change;
use doorward_core::connection::{Standing, TroubleKind};
use doorward_core::decide::refreshing::{self, Finished};
use doorward_core::decide::revoking;
use doorward_core::ids::{ConnectionId, OutboxId};
use doorward_core::plan::Plan;
use doorward_core::time::Timestamp;
use doorward_core::token_reply::TokenOutcome;

use crate::world::{HOUR, SECOND, World, begin, learned, learned_nothing, mark, outline, trouble};

fn finish(
    world: &mut World,
    connection: ConnectionId,
    generation: u64,
    outcome: TokenOutcome,
) -> Plan {
    let finished = Finished {
        connection,
        generation,
        outcome,
        jitter: 0.5,
        outbox: world.outbox_id(),
    };
    refreshing::finish(&world.book, world.now, finished)
}

fn outcomes(world: &World) -> Vec<(&'static str, TokenOutcome)> {
    let why = || "HTTP 400, error x".to_owned();
    vec![
        (
            "issued",
            TokenOutcome::Issued(world.tokens("new", Some("next"))),
        ),
        (
            "access only",
            TokenOutcome::Issued(world.tokens("new", None)),
        ),
        (
            "transient",
            TokenOutcome::Transient {
                why: why(),
                retry_at: None,
            },
        ),
        (
            "limited",
            TokenOutcome::RateLimited {
                until: world.now.plus(7 * SECOND),
            },
        ),
        ("ended", TokenOutcome::GrantEnded { why: why() }),
        (
            "client rejected",
            TokenOutcome::ClientRejected { why: why() },
        ),
        ("misconfigured", TokenOutcome::Misconfigured { why: why() }),
    ]
}

/// A connection with a refresh begun, and what each outcome does with it.
fn table(
    arrange: impl Fn(&mut World, ConnectionId),
    generation: u64,
) -> Vec<(&'static str, String)> {
    let mut base = World::new();
    let id = base.connection("fastio", "ours");
    let begun = begin(&base.row(id));
    base.carry_out(begun);
    arrange(&mut base, id);
    outcomes(&base)
        .into_iter()
        .map(|(what, outcome)| {
            let mut world = base.clone();
            let plan = finish(&mut world, id, generation, outcome);
            let told = outline(&plan).join("; ");
            // Whatever it does must be something that the store can take.
            world.carry_out(plan);
            (what, told)
        })
        .collect()
}

#[test]
fn each_outcome_for_the_stored_generation() {
    assert_eq!(
        table(|_, _| (), 1),
        [
            (
                "issued",
                "tokens of generation 2, both; row of generation 2; log connection.refreshed"
            ),
            (
                "access only",
                "tokens of generation 2, access; row of generation 2; log connection.refreshed"
            ),
            ("transient", "row of generation 1"),
            ("limited", "row of generation 1"),
            (
                "ended",
                "tokens erased; row of generation 1; log connection.ended; tell ReconnectNeeded"
            ),
            (
                "client rejected",
                "row of generation 1; tell ClientRejected"
            ),
            ("misconfigured", "row of generation 1; tell Misconfigured"),
        ]
        .map(|(what, told)| (what, told.to_owned()))
    );
}

#[test]
fn a_late_outcome_ends_and_overwrites_nothing() {
    let reconnected = |session: &'static str| {
        move |world: &mut World, _| {
            let consent = world.consent("fastio", "ours").expect("a place");
            let tokens = world.tokens("reconnected", Some("reconnected"));
            let mut what = learned("ann", session);
            what.session = Some(session.to_owned()).filter(|session| !session.is_empty());
            let _ = world.answer(&consent, tokens, what);
        }
    };
    let owed = "owe the given tokens and no session; work outbox";
    for (session, issued) in [("session-2", owed), ("", "")] {
        let told = table(reconnected(session), 1);
        for (what, told) in told {
            let expected = if matches!(what, "issued" | "access only") {
                issued
            } else {
                ""
            };
            assert_eq!(
                told, expected,
                "{what} after a reconnect with the session {session:?}"
            );
        }
    }
}

#[test]
fn a_connection_that_is_being_disconnected_ends_with_its_flight() {
    let disconnected = |world: &mut World, id| {
        let outbox = world.outbox_id();
        let plan = revoking::disconnect(&world.book, &world.row(id), world.now, true, outbox);
        world.carry_out(plan);
    };
    let end = "owe the stored tokens and session-1; connection erased";
    assert_eq!(
        table(disconnected, 1),
        [
            (
                "issued",
                "tokens of generation 2, both; row of generation 2; owe the stored tokens and session-1; connection erased; log connection.refreshed; work outbox".to_owned()
            ),
            (
                "access only",
                "tokens of generation 2, access; row of generation 2; owe the stored tokens and session-1; connection erased; log connection.refreshed; work outbox".to_owned()
            ),
            ("transient", format!("row of generation 1; {end}; work outbox")),
            ("limited", format!("row of generation 1; {end}; work outbox")),
            // The provider has ended it already: nothing is owed.
            ("ended", "connection erased; log connection.ended".to_owned()),
            ("client rejected", format!("row of generation 1; {end}; work outbox")),
            ("misconfigured", format!("row of generation 1; {end}; work outbox")),
        ]
    );
}

#[test]
fn late_tokens_of_a_connection_that_ends_are_owed_even_without_a_session() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let consent = world.consent("fastio", "ours").expect("a place");
    let tokens = world.tokens("second", Some("second"));
    let _ = world.answer(&consent, tokens, learned_nothing());
    world.alter(id, |row| row.standing = Standing::Ending);
    let late = TokenOutcome::Issued(world.tokens("late", Some("late")));
    let plan = finish(&mut world, id, 1, late);
    assert_eq!(
        outline(&plan),
        ["owe the given tokens and no session", "work outbox"]
    );
}

#[test]
fn a_reply_for_a_connection_that_is_gone_changes_nothing() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    world.carry_out(revoking::end(
        &world.book,
        &world.row(id),
        world.now,
        OutboxId::from_random([9; 16]),
    ));
    for (_, outcome) in outcomes(&world) {
        assert!(outline(&finish(&mut world, id, 1, outcome)).is_empty());
    }
}

#[test]
fn new_tokens_carry_their_own_times_and_keep_what_they_do_not_say() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    world.alter(id, |row| {
        row.trouble = Some(trouble(
            TroubleKind::Transient,
            row.created_at,
            row.created_at,
        ));
        row.refreshing = Some(mark(1));
    });
    let before = world.row(id);
    world.now = world.now.plus(HOUR);
    let tokens = world.tokens("new", None);
    let plan = finish(&mut world, id, 1, TokenOutcome::Issued(tokens));
    // Nobody was told of the trouble, so nobody is told that it is over.
    assert!(!outline(&plan).contains(&"tell Recovered".to_owned()));
    world.carry_out(plan);
    let row = world.row(id);
    assert_eq!(row.generation, 2);
    assert_eq!(row.refreshing, None);
    assert_eq!(row.trouble, None);
    assert_eq!(row.access_issued_at, world.now);
    assert_eq!(row.access_expires_at, Some(world.now.plus(HOUR)));
    assert_eq!(
        row.granted, before.granted,
        "a reply that names no scope changes none"
    );
    assert!(
        row.refreshable,
        "a reply without a refresh token keeps the old one"
    );
    let held = world.shelf.own(id).expect("tokens");
    assert_eq!(held.refresh.as_deref(), Some("refresh-fastio"));
    assert_eq!(held.generation, 2);
}

#[test]
fn an_ended_grant_needs_a_person_and_leaves_nothing_to_serve() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let plan = finish(
        &mut world,
        id,
        1,
        TokenOutcome::GrantEnded {
            why: "x".to_owned(),
        },
    );
    world.carry_out(plan);
    let row = world.row(id);
    assert!(matches!(row.standing, Standing::ReconnectRequired { .. }));
    assert!(!row.access_is_live(world.now) && !row.refreshable);
    assert_eq!(world.shelf.own(id), None);
}

fn retry_after(world: &mut World, id: ConnectionId, outcome: TokenOutcome) -> Duration {
    let generation = world.row(id).generation;
    let plan = finish(world, id, generation, outcome);
    world.carry_out(plan);
    let row = world.row(id);
    row.trouble
        .as_ref()
        .expect("trouble")
        .retry_at
        .since(world.now)
}

#[test]
fn waits_double_to_a_minute_and_what_the_provider_states_wins() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let transient = |retry_at: Option<Timestamp>| TokenOutcome::Transient {
        why: "HTTP 503".to_owned(),
        retry_at,
    };
    let waits: Vec<_> = (0..9)
        .map(|_| retry_after(&mut world, id, transient(None)).as_millis())
        .collect();
    assert_eq!(
        waits,
        [500, 1000, 2000, 4000, 45000, 45000, 45000, 45000, 45000],
        "with a jitter of one half; the fifth halts, and from then on it is only probed"
    );
    assert_eq!(
        world
            .row(id)
            .trouble
            .as_ref()
            .map(|trouble| trouble.failures),
        Some(9)
    );
    let now = world.now;
    assert_eq!(
        retry_after(&mut world, id, transient(Some(now.plus(3 * HOUR)))),
        3 * HOUR
    );
    for said in [now, now.minus(HOUR)] {
        // "At once" from an overloaded provider would make every caller's ask one more request.
        assert!(retry_after(&mut world, id, transient(Some(said))) >= SECOND);
        let limited = TokenOutcome::RateLimited { until: said };
        assert!(retry_after(&mut world, id, limited) >= SECOND);
    }
    let limited = TokenOutcome::RateLimited {
        until: now.plus(7 * SECOND),
    };
    assert_eq!(retry_after(&mut world, id, limited), 7 * SECOND);
}

#[test]
fn the_least_wait_is_not_none() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    for jitter in [0.0, -1.0, f64::MIN_POSITIVE] {
        let finished = Finished {
            connection: id,
            generation: 1,
            outcome: TokenOutcome::Transient {
                why: String::new(),
                retry_at: None,
            },
            jitter,
            outbox: world.outbox_id(),
        };
        let plan = refreshing::finish(&world.book, world.now, finished);
        let [Change::ConnectionPut(row)] = plan.changes.as_slice() else {
            panic!("one row");
        };
        let trouble = row.trouble.as_ref().expect("trouble");
        assert!(trouble.retry_at > world.now);
    }
}

#[test]
fn the_check_of_a_refused_token_is_believed_either_way() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let dead = refreshing::access_is_dead(&world.row(id), world.now);
    let mut other = world.clone();
    other.carry_out(dead);
    assert!(!other.row(id).access_is_live(other.now));
    let begun = begin(&world.row(id));
    world.carry_out(begun);
    assert_eq!(world.row(id).refreshing, Some(mark(1)));
    world.now = world.now.plus(SECOND);
    let good = refreshing::access_is_good(&world.row(id), world.now);
    world.carry_out(good);
    let row = world.row(id);
    assert_eq!((row.refreshing, row.proven_at), (None, Some(world.now)));
    assert!(row.access_is_live(world.now));
}
