//! Who calls, what it may use, and whether that can be served.

use std::time::Duration;

use doorward_core::change::Change;
use doorward_core::connection::{Connection, Standing, TroubleKind};
use doorward_core::decide::serving::{self, Caller, TokenState};
use doorward_core::grant::{Door, Grant, Lifetime};
use doorward_core::ids::ConnectionId;
use doorward_core::plan::Plan;
use doorward_core::problem::{Code, Refusal};

use crate::world::{HOUR, SECOND, World, ended, name, trouble};

/// An agent of tenant `ours` with the token door of `mine`; `other` is ours too, `theirs` is another tenant's.
fn world() -> (World, Caller, ConnectionId) {
    let mut world = World::new();
    let mine = world.connection("mine", "ours");
    world.connection("other", "ours");
    world.connection("theirs", "strangers");
    let caller = world.agent("agent", mine, &[Door::Token]);
    (world, caller, mine)
}

fn asks(world: &World, caller: &Caller, connection: Option<&str>, door: Door) -> String {
    let connection = connection.map(name);
    match serving::access(&world.book, world.now, caller, connection.as_ref(), door) {
        Ok(access) => access.connection.name.to_string(),
        Err(refusal) => refusal.code.to_string(),
    }
}

fn refusal(world: &World, caller: &Caller, connection: &str) -> Refusal {
    let connection = name(connection);
    serving::access(
        &world.book,
        world.now,
        caller,
        Some(&connection),
        Door::Token,
    )
    .err()
    .expect("a refusal")
}

fn alter_grant(world: &mut World, caller: &Caller, alter: impl FnOnce(&mut Grant)) {
    let known = world
        .book
        .grants_of(caller.agent.id)
        .next()
        .expect("a grant");
    let mut grant = (**known).clone();
    alter(&mut grant);
    let tenant = caller.agent.tenant;
    world.carry_out(Plan::nothing().change(Change::GrantPut { tenant, grant }));
}

#[test]
fn an_agent_gets_what_it_was_given_and_nothing_else() {
    let (world, caller, _) = world();
    for (connection, door, expected) in [
        (Some("mine"), Door::Token, "mine"),
        (None, Door::Token, "mine"),
        (Some("mine"), Door::Proxy, "grant_missing"),
        (None, Door::Proxy, "grant_missing"),
        (Some("other"), Door::Token, "grant_missing"),
        (Some("other"), Door::Proxy, "grant_missing"),
        (Some("theirs"), Door::Token, "connection_unknown"),
        (Some("theirs"), Door::Proxy, "connection_unknown"),
        (Some("nowhere"), Door::Token, "connection_unknown"),
    ] {
        assert_eq!(
            asks(&world, &caller, connection, door),
            expected,
            "{connection:?} {door}"
        );
    }
}

#[test]
fn another_tenants_connection_is_refused_with_the_bytes_of_one_that_does_not_exist() {
    let (mut world, caller, _) = world();
    let before = refusal(&world, &caller, "later");
    let later = world.connection("later", "strangers");
    let bytes = |refusal: &Refusal| serde_json::to_string(refusal).expect("JSON");
    assert_eq!(
        bytes(&before),
        bytes(&refusal(&world, &caller, "later")),
        "whether another tenant has it makes no difference"
    );
    for state in [ended(), Standing::Unproven, Standing::Ending] {
        world.alter(later, |row| {
            row.standing = state;
            row.paused = true;
        });
        assert_eq!(bytes(&before), bytes(&refusal(&world, &caller, "later")));
    }
    let unknown = serving::unknown("later");
    assert_eq!(
        bytes(&before),
        bytes(&unknown),
        "a text that is no name is answered alike"
    );
}

#[test]
fn a_pause_holds_whatever_else_is_true() {
    let (mut world, caller, mine) = world();
    world.alter(mine, |row| row.paused = true);
    assert_eq!(
        asks(&world, &caller, Some("mine"), Door::Token),
        "connection_paused"
    );
    assert_eq!(
        asks(&world, &caller, None, Door::Token),
        "connection_paused"
    );
    assert_eq!(
        asks(&world, &caller, Some("mine"), Door::Proxy),
        "grant_missing",
        "who has no grant is not told that it is paused"
    );
    let paused = world.pause_agent(&caller);
    for connection in [None, Some("mine"), Some("theirs"), Some("nowhere")] {
        assert_eq!(
            asks(&world, &paused, connection, Door::Token),
            "agent_paused"
        );
    }
}

#[test]
fn a_key_with_an_audience_opens_one_connection_alone() {
    let (mut world, caller, mine) = world();
    let other = world
        .book
        .connection_named(&name("other"))
        .expect("other")
        .id;
    world.give(&caller.agent, other, &[Door::Token]);
    assert_eq!(
        asks(&world, &caller, None, Door::Token),
        "connection_ambiguous"
    );
    for (audience, connection, expected) in [
        (mine, None, "mine"),
        (mine, Some("mine"), "mine"),
        (mine, Some("other"), "grant_missing"),
        (other, None, "other"),
        (other, Some("mine"), "grant_missing"),
        (other, Some("theirs"), "connection_unknown"),
    ] {
        let bound = world.alter_key(&caller, |key| key.audience = Some(audience));
        assert_eq!(asks(&world, &bound, connection, Door::Token), expected);
    }
}

#[test]
fn several_connections_are_told_by_name_and_one_that_does_not_count_is_left_out() {
    let (mut world, caller, mine) = world();
    let other = world
        .book
        .connection_named(&name("other"))
        .expect("other")
        .id;
    world.give(&caller.agent, other, &[Door::Token, Door::Proxy]);
    assert_eq!(asks(&world, &caller, None, Door::Proxy), "other");
    let ambiguous = serving::access(&world.book, world.now, &caller, None, Door::Token)
        .err()
        .expect("a refusal");
    assert_eq!(ambiguous.code, Code::ConnectionAmbiguous);
    assert!(ambiguous.detail.contains("mine, other") || ambiguous.detail.contains("other, mine"));
    world.alter(mine, |row| row.standing = Standing::Ending);
    assert_eq!(asks(&world, &caller, None, Door::Token), "other");
    assert_eq!(
        asks(&world, &caller, Some("mine"), Door::Token),
        "connection_unknown"
    );
}

#[test]
fn a_grant_ends_at_its_moment() {
    let (mut world, caller, _) = world();
    let end = world.now.plus(HOUR);
    alter_grant(&mut world, &caller, |grant| {
        grant.lifetime = Lifetime::Until(end);
    });
    assert_eq!(asks(&world, &caller, None, Door::Token), "mine");
    world.now = end;
    assert_eq!(asks(&world, &caller, None, Door::Token), "grant_missing");
    assert_eq!(
        asks(&world, &caller, Some("mine"), Door::Token),
        "grant_missing"
    );
}

#[test]
fn a_grant_that_should_not_exist_opens_nothing() {
    let (mut world, caller, mine) = world();
    let theirs = world.row(
        world
            .book
            .connection_named(&name("theirs"))
            .expect("theirs")
            .id,
    );
    let known = world
        .book
        .grants_of(caller.agent.id)
        .next()
        .expect("a grant");
    let forged = Grant {
        connection: theirs.id,
        ..(**known).clone()
    };
    // Not by way of the shelf, which refuses it as the store's tables do.
    world.book.apply(&Change::GrantPut {
        tenant: theirs.tenant,
        grant: forged,
    });
    assert_eq!(asks(&world, &caller, None, Door::Token), "grant_missing");
    assert_eq!(
        asks(&world, &caller, Some("theirs"), Door::Token),
        "connection_unknown"
    );
    assert_eq!(world.book.grant(caller.agent.id, mine), None);
}

#[test]
fn every_state_of_a_key_is_told_apart_and_only_a_live_one_opens() {
    let (mut world, caller, _) = world();
    let now = world.now;
    let told = |world: &World, at, used| {
        serving::authenticate(&world.book, at, &caller.key.hash, used)
            .err()
            .map_or("live".to_owned(), |refusal| {
                assert_eq!(refusal.code, Code::Unauthenticated);
                refusal.detail
            })
    };
    assert_eq!(told(&world, now, None), "live");
    world.alter_key(&caller, |key| key.expires_at = Some(now.plus(HOUR)));
    assert_eq!(told(&world, now, None), "live");
    assert_eq!(
        told(&world, now.plus(HOUR), None),
        "This agent key has ended."
    );
    world.alter_key(&caller, |key| key.idle_seconds = Some(60));
    assert_eq!(told(&world, now.plus(59 * SECOND), None), "live");
    assert_eq!(
        told(&world, now.plus(60 * SECOND), None),
        "This agent key was not used for too long and has ended."
    );
    assert_eq!(
        told(&world, now.plus(60 * SECOND), Some(now.plus(SECOND))),
        "live",
        "a use that is not written down yet counts"
    );
    world.alter_key(&caller, |key| {
        key.idle_seconds = Some(60);
        key.last_used_at = Some(now.plus(30 * SECOND));
    });
    assert_eq!(told(&world, now.plus(60 * SECOND), None), "live");
    world.alter_key(&caller, |key| key.revoked_at = Some(now));
    assert_eq!(told(&world, now, None), "This agent key was revoked.");
    let tenant = caller.agent.tenant;
    world.alter_key(&caller, |key| key.revoked_at = None);
    world.carry_out(Plan::nothing().change(Change::AgentErased {
        tenant,
        agent: caller.agent.id,
    }));
    assert_eq!(
        told(&world, now, None),
        "The agent of this key is not known any longer."
    );
}

/// A word for each state, and the code where it is refused.
fn state(row: &Connection, world: &World, min_valid: Option<Duration>) -> String {
    match serving::token_state(row, world.now, min_valid) {
        TokenState::Fresh => "fresh".to_owned(),
        TokenState::DueButLive => "due but live".to_owned(),
        TokenState::Due => "due".to_owned(),
        TokenState::Refused(refusal) => refusal.code.to_string(),
    }
}

type Alter<'a> = &'a dyn Fn(&mut Connection);

#[test]
fn whether_a_token_is_served_follows_from_standing_freshness_trouble_and_refreshability() {
    let (mut world, _, mine) = world();
    let base = world.row(mine);
    // An hour's token, issued before.
    world.now = world.now.plus(HOUR / 2);
    let now = world.now;
    let limited = trouble(TroubleKind::RateLimited, now, now.plus(SECOND));
    let down = trouble(TroubleKind::Transient, now, now.plus(SECOND));
    let rejected = trouble(TroubleKind::ClientRejected, now, now.plus(SECOND));
    let wrong = trouble(TroubleKind::Misconfigured, now, now.plus(SECOND));
    let over = trouble(TroubleKind::Transient, now.minus(HOUR), now);
    let fresh = |row: &mut Connection| row.access_expires_at = Some(now.plus(HOUR / 2));
    let ending = |row: &mut Connection| row.access_expires_at = Some(now.plus(2 * SECOND));
    let dead = |row: &mut Connection| row.access_expires_at = Some(now);
    let endless = |row: &mut Connection| row.access_expires_at = None;
    let alive: [(Alter<'_>, &str); 4] = [
        (&fresh, "fresh"),
        (&ending, "ending"),
        (&dead, "dead"),
        (&endless, "endless"),
    ];
    // Per trouble and refreshability: what fresh, ending, dead and endless tokens lead to.
    let table = [
        (None, true, ["fresh", "due but live", "due", "fresh"]),
        (Some(&over), true, ["fresh", "due but live", "due", "fresh"]),
        (
            Some(&down),
            true,
            ["fresh", "fresh", "provider_unavailable", "fresh"],
        ),
        (
            Some(&limited),
            true,
            ["fresh", "fresh", "rate_limited", "fresh"],
        ),
        (
            Some(&rejected),
            true,
            ["fresh", "fresh", "provider_rejected", "fresh"],
        ),
        (
            Some(&wrong),
            true,
            ["fresh", "fresh", "provider_rejected", "fresh"],
        ),
        (
            None,
            false,
            ["fresh", "fresh", "reconnect_required", "fresh"],
        ),
        (
            Some(&over),
            false,
            ["fresh", "fresh", "reconnect_required", "fresh"],
        ),
        (
            Some(&down),
            false,
            ["fresh", "fresh", "reconnect_required", "fresh"],
        ),
    ];
    for (trouble, refreshable, expected) in &table {
        for ((alter, what), expected) in alive.iter().zip(expected) {
            let mut row = (*base).clone();
            alter(&mut row);
            row.trouble = trouble.cloned();
            row.refreshable = *refreshable;
            let case = format!("{what} {trouble:?} {refreshable}");
            assert_eq!(state(&row, &world, None), *expected, "{case}");
            row.standing = Standing::Unproven;
            let unproven = match *expected {
                // A refresh is never sent for a restored connection: what is good is served as long as it is.
                "due but live" | "fresh" => "fresh",
                _ => "reconnect_required",
            };
            assert_eq!(state(&row, &world, None), unproven, "unproven {case}");
            row.standing = ended();
            assert_eq!(
                state(&row, &world, None),
                "reconnect_required",
                "ended {case}"
            );
            row.standing = Standing::Ending;
            assert_eq!(
                state(&row, &world, None),
                "connection_unknown",
                "ending {case}"
            );
        }
    }
}

#[test]
fn a_longer_validity_is_asked_for_in_vain_where_no_refresh_can_give_it() {
    let (mut world, _, mine) = world();
    let base = world.row(mine);
    let day = Some(24 * HOUR);
    assert_eq!(
        state(&base, &world, day),
        "fresh",
        "issued now: it is as good as it gets"
    );
    world.now = world.now.plus(11 * SECOND);
    assert_eq!(state(&base, &world, day), "due but live");
    assert_eq!(state(&base, &world, Some(HOUR / 2)), "fresh");
    assert_eq!(state(&base, &world, Some(Duration::MAX)), "due but live");
    let now = world.now;
    let mut row = (*base).clone();
    row.trouble = Some(trouble(TroubleKind::Transient, now, now.plus(SECOND)));
    assert_eq!(state(&row, &world, day), "fresh");
}

#[test]
fn a_clock_that_was_wrong_costs_a_refresh_and_not_an_outage() {
    let (mut world, _, mine) = world();
    let right = world.now;
    // Tokens and trouble of an hour ahead, then the clock is set right.
    let ahead = right.plus(HOUR);
    let row = world.alter(mine, |row| {
        row.access_issued_at = ahead;
        row.access_expires_at = Some(ahead.plus(HOUR));
        row.trouble = Some(trouble(
            TroubleKind::Transient,
            ahead,
            ahead.plus(60 * SECOND),
        ));
    });
    assert_eq!(state(&row, &world, None), "due");
    // A minute's difference is no wrong clock.
    world.now = ahead.minus(60 * SECOND);
    assert_eq!(state(&row, &world, None), "fresh");
    // Set ahead: what is believed to have ended is renewed.
    world.now = ahead.plus(3 * HOUR);
    assert_eq!(state(&row, &world, None), "due");
}

#[test]
fn a_key_reads_the_metrics_or_uses_connections_and_never_both() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let user = world.agent("worker", id, &[Door::Token]);
    let refused = serving::check_reads_metrics(&user).expect_err("no right");
    assert_eq!(refused.code, Code::GrantMissing);
    assert!(refused.hint.contains("doorward agents add NAME --metrics"));
    assert!(serving::check_uses_connections(&user).is_ok());
    // Even where its agent was given the connection.
    let reader = world.alter_key(&user, |key| key.metrics = true);
    assert!(serving::check_reads_metrics(&reader).is_ok());
    let refused = serving::check_uses_connections(&reader).expect_err("no connections");
    assert_eq!(refused.code, Code::GrantMissing);
    for door in [Door::Token, Door::Proxy] {
        let asked = Some(name("fastio"));
        let opened = serving::access(&world.book, world.now, &reader, asked.as_ref(), door);
        assert_eq!(
            opened.err().map(|refusal| refusal.code),
            Some(Code::GrantMissing)
        );
    }
    let paused = world.pause_agent(&reader);
    let refused = serving::check_reads_metrics(&paused).expect_err("paused");
    assert_eq!(refused.code, Code::AgentPaused);
}
