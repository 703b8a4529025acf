//! Something ends or pauses.

use std::sync::Arc;

use doorward_core::agent::Agent;
use doorward_core::change::Change;
use doorward_core::decide::revoking::{self, RevocationOutcome};
use doorward_core::decide::serving;
use doorward_core::grant::Door;
use doorward_core::ids::ConnectionId;
use doorward_core::name::ClaimedName;
use doorward_core::outbox::{GIVE_UP_AFTER, OutboxItem};
use doorward_core::plan::Plan;
use doorward_core::problem::Code;
use doorward_core::time::Timestamp;

use crate::world::{HOUR, SECOND, World, ended, name, outline};

fn disconnect(world: &mut World, id: ConnectionId, in_flight: bool) -> Vec<String> {
    let outbox = world.outbox_id();
    let plan = revoking::disconnect(&world.book, &world.row(id), world.now, in_flight, outbox);
    let told = outline(&plan);
    world.carry_out(plan);
    told
}

#[test]
fn disconnecting_takes_everything_at_once_and_owes_the_rest() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let other = world.connection("other", "ours");
    let caller = world.agent("Coder", id, &[Door::Token]);
    world.give(&caller.agent, other, &[Door::Proxy]);
    assert_eq!(
        disconnect(&mut world, id, false),
        [
            "owe the stored tokens and session-1",
            "grant erased",
            "connection erased",
            "log connection.disconnected",
            "work outbox"
        ]
    );
    assert!(world.book.connection_named(&name("fastio")).is_none());
    assert_eq!(
        world.book.grants_of(caller.agent.id).count(),
        1,
        "the other one stays"
    );
    let item = world.book.outbox().next().expect("an item");
    let held = world.shelf.owed(item.id).expect("its tokens");
    assert_eq!(held.access, "access-fastio");
    assert_eq!(held.refresh.as_deref(), Some("refresh-fastio"));
    let again = world
        .consent("fastio", "strangers")
        .expect("the name is free");
    assert_ne!(again.connection, id);
}

#[test]
fn a_flight_is_waited_for_and_agents_are_blocked_meanwhile() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let caller = world.agent("Coder", id, &[Door::Token]);
    assert_eq!(
        disconnect(&mut world, id, true),
        ["row of generation 1", "log connection.disconnected"]
    );
    for asked in [Some(name("fastio")), None] {
        let access = serving::access(&world.book, world.now, &caller, asked.as_ref(), Door::Token);
        assert!(access.is_err());
    }
}

#[test]
fn what_the_provider_has_ended_is_not_owed() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let tenant = world.row(id).tenant;
    let mut row = (*world.row(id)).clone();
    row.standing = ended();
    let plan = Plan::nothing()
        .change(Change::TokensErased {
            tenant,
            connection: id,
        })
        .change(Change::ConnectionPut(Box::new(row)))
        .log(doorward_core::audit::AuditEvent::new(
            doorward_core::audit::AuditKind::GrantEnded,
        ));
    world.carry_out(plan);
    assert_eq!(
        disconnect(&mut world, id, false),
        ["connection erased", "log connection.disconnected"]
    );
}

fn owed() -> (World, Arc<OutboxItem>) {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let _ = disconnect(&mut world, id, false);
    let item = Arc::clone(world.book.outbox().next().expect("an item"));
    (world, item)
}

fn failed(retry_at: Option<Timestamp>) -> RevocationOutcome {
    RevocationOutcome::Failed {
        why: "HTTP 503".to_owned(),
        retry_at,
    }
}

#[test]
fn a_revocation_is_tried_until_confirmed_or_given_up_aloud() {
    let (world, item) = owed();
    let soon = world.now.plus(SECOND);
    let late = world.now.plus(GIVE_UP_AFTER);
    for (outcome, at, expected) in [
        (
            RevocationOutcome::Confirmed,
            soon,
            &["owed no longer", "log revocation.confirmed"][..],
        ),
        (failed(None), soon, &["owed still, after 1 tries"][..]),
        (
            failed(None),
            late.minus(SECOND),
            &["owed still, after 1 tries"][..],
        ),
        (
            failed(None),
            late,
            &[
                "owed no longer",
                "log revocation.given_up",
                "tell RevocationGivenUp",
            ][..],
        ),
        (
            RevocationOutcome::Confirmed,
            late,
            &["owed no longer", "log revocation.confirmed"][..],
        ),
        (
            RevocationOutcome::Impossible,
            soon,
            &[
                "owed no longer",
                "log revocation.given_up",
                "tell RevocationGivenUp",
            ][..],
        ),
    ] {
        let mut world = world.clone();
        let plan = revoking::tried(&item, at, outcome);
        assert_eq!(outline(&plan), expected);
        world.carry_out(plan);
    }
}

#[test]
fn waits_for_a_revocation_double_to_an_hour_and_never_vanish() {
    let (world, item) = owed();
    let mut item = (*item).clone();
    let mut waits = Vec::new();
    for _ in 0..14 {
        item = item.after_failure(world.now, "HTTP 503".to_owned(), None);
        waits.push(
            item.next_try
                .expect("a next try")
                .since(world.now)
                .as_secs(),
        );
    }
    assert_eq!(
        waits,
        [
            2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600
        ]
    );
    let now = world.now;
    let next = |stated| {
        let tried = item.clone().after_failure(now, String::new(), stated);
        tried.next_try.expect("a next try").since(now)
    };
    assert_eq!(
        next(Some(now.plus(5 * SECOND))),
        5 * SECOND,
        "what the provider states wins"
    );
    assert_eq!(next(Some(now)), HOUR, "at once is not believed");
    assert_eq!(next(Some(now.minus(HOUR))), HOUR);
}

#[test]
fn a_revoked_agent_has_no_key_no_grant_and_no_question() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let caller = world.agent("Coder", id, &[Door::Token]);
    let other = world.agent("Other", id, &[Door::Token]);
    let _ = world.request(caller.agent.id, "fastio:token");
    let plan = revoking::revoke_agent(&world.book, &caller.agent, world.now);
    assert_eq!(
        outline(&plan),
        [
            "key revoked",
            "grant erased",
            "request forgotten",
            "agent erased",
            "log agent.revoked"
        ]
    );
    world.carry_out(plan);
    let told = |caller: &serving::Caller| {
        serving::authenticate(&world.book, world.now, &caller.key.hash, None).is_ok()
    };
    assert!(!told(&caller) && told(&other));
    assert_eq!(world.book.grants_for(id).count(), 1);
    let again = revoking::revoke_agent(&world.book, &caller.agent, world.now);
    assert!(
        !outline(&again).contains(&"key revoked".to_owned()),
        "its first end is kept"
    );
}

#[test]
fn an_agent_ends_its_own_key_and_no_other() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let caller = world.agent("Coder", id, &[Door::Token]);
    let other = world.agent("Other", id, &[Door::Token]);
    let nobody = doorward_core::key::KeyHash::of("dwk_nobody");
    for hash in [other.key.hash, nobody] {
        let plan = revoking::revoke_key(&world.book, &caller.agent, &hash, world.now);
        assert!(outline(&plan).is_empty(), "answered alike, changes nothing");
    }
    let plan = revoking::revoke_key(&world.book, &caller.agent, &caller.key.hash, world.now);
    assert_eq!(outline(&plan), ["key revoked", "log key.revoked"]);
    world.carry_out(plan);
    let plan = revoking::revoke_key(&world.book, &caller.agent, &caller.key.hash, world.now);
    assert!(outline(&plan).is_empty());
}

#[test]
fn a_pause_is_logged_once() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let caller = world.agent("Coder", id, &[Door::Token]);
    let row = world.row(id);
    assert_eq!(
        outline(&revoking::set_connection_paused(&row, true)),
        ["row of generation 1", "log connection.paused"]
    );
    assert!(outline(&revoking::set_connection_paused(&row, false)).is_empty());
    assert_eq!(
        outline(&revoking::set_agent_paused(&caller.agent, true)),
        ["agent, paused", "log agent.paused"]
    );
    assert!(outline(&revoking::set_agent_paused(&caller.agent, false)).is_empty());
}

#[test]
fn the_agent_that_is_meant_is_never_a_guess() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let coder = world.agent("Coder", id, &[Door::Token]).agent;
    let client = world.client("Coder");
    let namesake = Agent {
        id: client,
        ..(*coder).clone()
    };
    let meant = |world: &World, text: &str| {
        revoking::agent_meant(&world.book, text)
            .map(|agent| agent.id)
            .map_err(|refusal| refusal.code)
    };
    let full = coder.id.to_string();
    assert_eq!(meant(&world, "Coder"), Ok(coder.id));
    assert_eq!(meant(&world, &full[..4]), Ok(coder.id));
    assert_eq!(meant(&world, &full), Ok(coder.id));
    for nobody in ["", "coder", &full[..3], "ffff"] {
        assert_eq!(meant(&world, nobody), Err(Code::AgentUnknown), "{nobody:?}");
    }
    world.carry_out(Plan::nothing().change(Change::AgentPut(namesake.clone())));
    assert_eq!(
        meant(&world, "Coder"),
        Err(Code::AgentUnknown),
        "two of one name"
    );
    assert_eq!(meant(&world, &full[..8]), Ok(coder.id));
    // One agent calls itself by the beginning of the other's identifier.
    let impostor = Agent {
        name: ClaimedName::clean(&full[..8]),
        ..namesake
    };
    world.carry_out(Plan::nothing().change(Change::AgentPut(impostor)));
    assert_eq!(meant(&world, &full[..8]), Err(Code::AgentUnknown));
    let impostor = Agent {
        id: client,
        name: ClaimedName::clean(&full),
        ..(*coder).clone()
    };
    world.carry_out(Plan::nothing().change(Change::AgentPut(impostor)));
    assert_eq!(
        meant(&world, &full),
        Ok(coder.id),
        "a whole identifier is that agent's"
    );
}
