//! An agent asks, a person answers, the agent fetches its key.

use std::time::Duration;

use doorward_core::agent::{CLIENT_LIFE, MOST_CLIENTS};
use doorward_core::connection::Standing;
use doorward_core::decide::pairing::{self, Polled};
use doorward_core::decide::{revoking, serving};
use doorward_core::grant::{Door, Lifetime, Policy, Rights};
use doorward_core::ids::AgentId;
use doorward_core::key::{ENDED_KEY_LIFE, KeyHash};
use doorward_core::name::ClaimedName;
use doorward_core::pairing::{MOST_WAITING, POLL_INTERVAL, REQUEST_LIFE, Verdict};
use doorward_core::problem::Code;
use doorward_core::time::Timestamp;

use crate::world::{HOUR, SECOND, World, approval, name, outline};

fn polls(
    world: &mut World,
    client: AgentId,
    device_code: &KeyHash,
    polled_at: Option<Timestamp>,
) -> String {
    let key = world.new_key();
    match pairing::poll(&world.book, world.now, client, device_code, polled_at, key) {
        Polled::Pending => "pending".to_owned(),
        Polled::SlowDown => "slow down".to_owned(),
        Polled::Denied => "denied".to_owned(),
        Polled::Expired => "expired".to_owned(),
        Polled::Unknown => "unknown".to_owned(),
        Polled::Issued { plan, scope, .. } => {
            let told = outline(&plan).join("; ");
            world.carry_out(plan);
            let caller = serving::authenticate(&world.book, world.now, &key.1, None);
            assert!(caller.is_ok(), "the key opens once the plan is written");
            format!("{scope}: {told}")
        }
    }
}

#[test]
fn a_program_becomes_an_agent_when_a_person_says_so() {
    let mut world = World::new();
    let fastio = world.connection("fastio", "ours");
    let client = world.client("Coder");
    let asked = world.asked(client, "fastio:token fastio:proxy");
    let device_code = asked.device_code;
    let plan = pairing::ask(&world.book, world.now, asked).expect("a request");
    assert_eq!(
        outline(&plan),
        ["request Waiting", "log pairing.asked", "tell ApprovalAsked"]
    );
    world.carry_out(plan);
    assert_eq!(polls(&mut world, client, &device_code, None), "pending");
    assert!(world.book.agent(client).is_none());

    let request = world.book.requests().next().expect("a request").clone();
    let as_asked = pairing::as_asked(&world.book, &request, Lifetime::UntilRevoked).expect("given");
    assert_eq!(
        as_asked.grants.len(),
        1,
        "two doors of one connection are one grant"
    );
    let plan = world.approved(&request, as_asked).expect("approved");
    assert_eq!(
        outline(&plan),
        [
            "client forgotten",
            "agent",
            "grant",
            "request Approved",
            "log pairing.approved"
        ]
    );
    world.carry_out(plan);
    assert_eq!(
        world.book.agent(client).map(|agent| agent.tenant),
        Some(world.row(fastio).tenant)
    );
    assert_eq!(
        polls(&mut world, client, &device_code, None),
        "fastio:token fastio:proxy: key; request Fetched; log key.issued"
    );
    assert_eq!(
        polls(&mut world, client, &device_code, None),
        "unknown",
        "a code works once"
    );
    assert_eq!(world.book.keys().count(), 1);
}

#[test]
fn only_the_client_that_asked_is_told_anything() {
    let mut world = World::new();
    world.connection("fastio", "ours");
    let (client, other) = (world.client("Coder"), world.client("Other"));
    let (_, device_code) = world.request(client, "fastio:proxy");
    assert_eq!(polls(&mut world, other, &device_code, None), "unknown");
    assert_eq!(
        polls(&mut world, client, &KeyHash::of("guess"), None),
        "unknown"
    );
}

#[test]
fn who_polls_too_often_is_told_so_and_loses_nothing() {
    let mut world = World::new();
    let fastio = world.connection("fastio", "ours");
    let client = world.client("Coder");
    let (request, device_code) = world.request(client, "fastio:proxy");
    let now = world.now;
    for (polled_at, expected) in [
        (None, "pending"),
        (Some(now), "slow down"),
        (
            Some(now.minus(POLL_INTERVAL / 2).plus(SECOND / 1000)),
            "slow down",
        ),
        (Some(now.minus(POLL_INTERVAL / 2)), "pending"),
        (Some(now.minus(POLL_INTERVAL)), "pending"),
    ] {
        assert_eq!(polls(&mut world, client, &device_code, polled_at), expected);
    }
    let plan = world
        .approved(
            &request,
            approval(&[(fastio, &[Door::Proxy])], Policy::default()),
        )
        .expect("approved");
    world.carry_out(plan);
    assert!(polls(&mut world, client, &device_code, Some(now)).starts_with("fastio:proxy"));
}

#[test]
fn a_no_is_a_no_and_no_answer_is_an_end() {
    let mut world = World::new();
    world.connection("fastio", "ours");
    let (client, other) = (world.client("Coder"), world.client("Other"));
    let (denied, denied_code) = world.request(client, "fastio:proxy");
    let (_, unanswered) = world.request(other, "fastio:proxy");
    let plan = pairing::deny(&denied, "a person said no");
    assert_eq!(outline(&plan), ["request Denied", "log pairing.denied"]);
    world.carry_out(plan);
    assert_eq!(polls(&mut world, client, &denied_code, None), "denied");
    world.now = world.now.plus(REQUEST_LIFE);
    assert_eq!(polls(&mut world, other, &unanswered, None), "expired");
    let swept = pairing::sweep(&world.book, world.now);
    assert_eq!(outline(&swept), ["request Denied", "log pairing.denied"]);
    world.carry_out(swept);
    assert_eq!(
        polls(&mut world, other, &unanswered, None),
        "expired",
        "as RFC 8628 has it"
    );
}

#[test]
fn an_answer_in_the_last_second_can_still_be_fetched() {
    let mut world = World::new();
    let fastio = world.connection("fastio", "ours");
    let client = world.client("Coder");
    let (request, device_code) = world.request(client, "fastio:proxy");
    world.now = request.expires_at.minus(SECOND);
    let given = approval(&[(fastio, &[Door::Proxy])], Policy::default());
    let plan = world.approved(&request, given.clone()).expect("approved");
    world.carry_out(plan);
    world.now = world.now.plus(30 * SECOND);
    assert!(polls(&mut world, client, &device_code, None).starts_with("fastio:proxy"));

    let (late, _) = world.request(client, "fastio:proxy");
    world.now = late.expires_at;
    let refusal = world.approved(&late, given).err().expect("a refusal");
    assert_eq!(refusal.code, Code::RequestUnknown);
}

#[test]
fn a_request_is_answered_once() {
    let mut world = World::new();
    let fastio = world.connection("fastio", "ours");
    let client = world.client("Coder");
    let (request, _) = world.request(client, "fastio:proxy");
    let given = approval(&[(fastio, &[Door::Proxy])], Policy::default());
    for verdict in [
        Verdict::Denied,
        Verdict::Fetched,
        Verdict::Approved {
            key_expires_at: None,
            scope: String::new(),
        },
    ] {
        let mut answered = request.clone();
        answered.verdict = verdict;
        let refusal = world
            .approved(&answered, given.clone())
            .err()
            .expect("a refusal");
        assert_eq!(refusal.code, Code::RequestUnknown);
    }
}

#[test]
fn a_code_is_found_as_a_person_types_it_while_it_waits() {
    let mut world = World::new();
    world.connection("fastio", "ours");
    let client = world.client("Coder");
    let (request, _) = world.request(client, "fastio:proxy");
    let typed = request.user_code.to_lowercase().replace('-', " ");
    let found = |world: &World, typed: &str| {
        pairing::request_with_code(&world.book, world.now, typed).map(|found| found.id)
    };
    assert_eq!(found(&world, &typed), Ok(request.id));
    assert!(found(&world, "").is_err());
    world.now = request.expires_at;
    assert!(found(&world, &typed).is_err());
    world.now = request.created_at;
    world.carry_out(pairing::deny(&request, "no"));
    assert!(found(&world, &typed).is_err());
}

#[test]
fn an_agent_has_connections_of_one_tenant_for_ever() {
    let mut world = World::new();
    let ours = world.connection("ours-1", "ours");
    let theirs = world.connection("theirs-1", "theirs");
    let client = world.client("Coder");
    let (request, _) = world.request(client, "ours-1:proxy");
    let proxy: &[Door] = &[Door::Proxy];
    let code = |world: &mut World, grants: &[(_, &[Door])]| {
        let given = approval(grants, Policy::default());
        world
            .approved(&request, given)
            .err()
            .map(|refusal| refusal.code)
    };
    assert_eq!(
        code(&mut world, &[(ours, proxy), (theirs, proxy)]),
        Some(Code::RightsInvalid)
    );
    assert_eq!(code(&mut world, &[]), Some(Code::RightsInvalid));
    assert_eq!(
        code(&mut world, &[(ours, proxy), (ours, proxy)]),
        Some(Code::RightsInvalid)
    );
    let nowhere = doorward_core::ids::ConnectionId::from_random([0; 16]);
    assert_eq!(
        code(&mut world, &[(nowhere, proxy)]),
        Some(Code::ConnectionUnknown)
    );
    let given = approval(&[(ours, proxy)], Policy::default());
    let plan = world.approved(&request, given).expect("approved");
    world.carry_out(plan);
    let (again, _) = world.request(client, "theirs-1:proxy");
    let given = approval(&[(theirs, proxy)], Policy::default());
    let refusal = world.approved(&again, given).err().expect("a refusal");
    assert_eq!(
        refusal.code,
        Code::RightsInvalid,
        "an agent never changes its tenant"
    );
    world.alter(ours, |row| row.standing = Standing::Ending);
    let (last, _) = world.request(client, "ours-1:proxy");
    let given = approval(&[(ours, proxy)], Policy::default());
    assert_eq!(
        world
            .approved(&last, given)
            .err()
            .map(|refusal| refusal.code),
        Some(Code::ConnectionUnknown),
        "what is being disconnected is not given"
    );
    let as_asked = pairing::as_asked(&world.book, &last, Lifetime::UntilRevoked);
    assert_eq!(
        as_asked.err().map(|refusal| refusal.code),
        Some(Code::ConnectionUnknown)
    );
}

#[test]
fn a_newer_answer_replaces_the_grant_and_widens_nothing_else() {
    let mut world = World::new();
    let fastio = world.connection("fastio", "ours");
    let other = world.connection("other", "ours");
    let caller = world.agent("Coder", fastio, &[Door::Token]);
    world.give(&caller.agent, other, &[Door::Proxy]);
    let limited = Policy {
        read_only: true,
        ..Policy::default()
    };
    let (request, _) = world.request(caller.agent.id, "fastio:proxy");
    let given = approval(&[(fastio, &[Door::Proxy])], limited);
    let plan = world.approved(&request, given).expect("approved");
    world.carry_out(plan);
    let grants: Vec<_> = world.book.grants_of(caller.agent.id).collect();
    assert_eq!(grants.len(), 2);
    let grant = world.book.grant(caller.agent.id, fastio).expect("a grant");
    assert!(!grant.rights.opens(Door::Token) && grant.rights.policy().read_only);
}

#[test]
fn a_limited_lifetime_ends_the_grant_and_the_key_together() {
    let mut world = World::new();
    let fastio = world.connection("fastio", "ours");
    let client = world.client("Coder");
    let (request, device_code) = world.request(client, "fastio:proxy");
    let end = world.now.plus(HOUR);
    let mut given = approval(&[(fastio, &[Door::Proxy])], Policy::default());
    given.lifetime = Lifetime::Until(end);
    let plan = world.approved(&request, given).expect("approved");
    world.carry_out(plan);
    let _ = polls(&mut world, client, &device_code, None);
    let key = world.book.keys().next().expect("a key");
    assert_eq!(key.expires_at, Some(end));
    world.now = end;
    let swept = pairing::sweep(&world.book, world.now);
    assert_eq!(
        outline(&swept),
        ["request forgotten", "grant erased", "log grant.expired"]
    );
    world.carry_out(swept);
    assert_eq!(world.book.grants().count(), 0);
}

#[test]
fn an_agent_added_by_hand_has_a_name_of_its_own() {
    let mut world = World::new();
    let fastio = world.connection("fastio", "ours");
    let caller = world.agent("Coder", fastio, &[Door::Proxy]);
    let given = approval(&[(fastio, &[Door::Proxy])], Policy::default());
    let key = world.new_key();
    let mut fresh = world.fresh.clone();
    let taken = pairing::add(
        &world.book,
        world.now,
        &ClaimedName::clean("Coder"),
        given,
        key,
        &mut || fresh.bytes(),
    );
    assert_eq!(
        taken.err().map(|refusal| refusal.code),
        Some(Code::NameTaken)
    );
    assert_eq!(caller.agent.name.as_str(), "Coder");
    assert_eq!(caller.key.expires_at, None);
}

#[test]
fn a_reader_of_the_metrics_needs_no_connection_and_gets_none() {
    let mut world = World::new();
    for (claimed, expected) in [
        (
            "prometheus",
            &["tenant personal", "agent", "key", "log agent.added"][..],
        ),
        ("another", &["agent", "key", "log agent.added"]),
    ] {
        let key = world.new_key();
        let plan = pairing::add_metrics_reader(
            &world.book,
            world.now,
            &ClaimedName::clean(claimed),
            key,
            Lifetime::Until(world.now.plus(HOUR)),
            &mut || world.fresh.bytes(),
        )
        .expect("a reader");
        assert_eq!(outline(&plan), expected);
        world.carry_out(plan);
        let key = world.book.key(&key.1).expect("its key");
        assert!(key.metrics);
        assert_eq!(key.expires_at, Some(world.now.plus(HOUR)));
        assert_eq!(world.book.grants_of(key.agent).count(), 0);
    }
    let key = world.new_key();
    let taken = pairing::add_metrics_reader(
        &world.book,
        world.now,
        &ClaimedName::clean("prometheus"),
        key,
        Lifetime::UntilRevoked,
        &mut || [0; 16],
    );
    assert_eq!(
        taken.err().map(|refusal| refusal.code),
        Some(Code::NameTaken)
    );
}

#[test]
fn questions_and_clients_are_bounded() {
    let mut world = World::new();
    world.connection("fastio", "ours");
    let clients: Vec<_> = (0..=MOST_WAITING)
        .map(|number| world.client(&format!("agent {number}")))
        .collect();
    let (first, last) = (clients[0], clients[MOST_WAITING]);
    for client in &clients[..MOST_WAITING] {
        let _ = world.request(*client, "fastio:proxy");
    }
    let asked = world.asked(last, "fastio:proxy");
    let refusal = pairing::ask(&world.book, world.now, asked)
        .err()
        .expect("a refusal");
    assert_eq!(refusal.code, Code::RateLimited);
    assert!(refusal.retry_after_seconds.is_some());
    // A client's newer question replaces its older one, so that one program cannot fill the list.
    let asked = world.asked(first, "fastio:token");
    let plan = pairing::ask(&world.book, world.now, asked).expect("a request");
    assert_eq!(
        outline(&plan)[..2],
        ["request forgotten", "request Waiting"]
    );
    world.carry_out(plan);
    assert_eq!(world.book.requests().count(), MOST_WAITING);

    for number in 0..MOST_CLIENTS * 2 {
        world.now = world.now.plus(SECOND / 100);
        world.client(&format!("flood {number}"));
        assert!(world.book.clients().count() <= MOST_CLIENTS);
    }
    assert!(
        world.book.client(first).is_some(),
        "whoever waits for a person is not pushed out"
    );
    assert!(world.book.client(last).is_none(), "the oldest makes room");
    let stranger = world.asked(AgentId::from_random([7; 16]), "fastio:proxy");
    let refusal = pairing::ask(&world.book, world.now, stranger)
        .err()
        .expect("a refusal");
    assert_eq!(refusal.code, Code::Unauthenticated);
}

#[test]
fn what_is_old_is_swept_and_what_waits_is_kept() {
    let mut world = World::new();
    world.connection("fastio", "ours");
    let (idle, asking) = (world.client("Idle"), world.client("Asking"));
    world.now = world.now.plus(CLIENT_LIFE);
    let (_, _) = world.request(asking, "fastio:proxy");
    let swept = pairing::sweep(&world.book, world.now);
    assert!(outline(&swept).is_empty(), "not a moment too early");
    world.now = world.now.plus(SECOND);
    let swept = pairing::sweep(&world.book, world.now);
    assert_eq!(outline(&swept), ["client forgotten"]);
    world.carry_out(swept);
    assert!(world.book.client(idle).is_none() && world.book.client(asking).is_some());
    // Unanswered, then denied, then forgotten with its client.
    for _ in 0..3 {
        world.now = world.now.plus(REQUEST_LIFE + SECOND);
        let swept = pairing::sweep(&world.book, world.now);
        world.carry_out(swept);
    }
    assert_eq!(world.book.requests().count(), 0);
    assert_eq!(world.book.clients().count(), 0);
    let swept = pairing::sweep(&world.book, world.now.plus(Duration::from_hours(9999)));
    assert!(outline(&swept).is_empty());
}

#[test]
fn what_is_asked_as_it_was_asked_is_never_more() {
    let mut world = World::new();
    world.connection("fastio", "ours");
    world.connection("other", "ours");
    let client = world.client("Coder");
    let (request, _) = world.request(client, "fastio:token other fastio:proxy");
    let given = pairing::as_asked(&world.book, &request, Lifetime::UntilRevoked).expect("given");
    let told: Vec<_> = given
        .grants
        .iter()
        .map(|(id, rights)| (world.row(*id).name.to_string(), rights.doors().to_vec()))
        .collect();
    assert_eq!(
        told,
        [
            ("fastio".to_owned(), vec![Door::Token, Door::Proxy]),
            ("other".to_owned(), vec![Door::Proxy])
        ]
    );
    assert_eq!(name("other").as_str(), "other");
    assert!(Rights::new(vec![], Policy::default()).is_err());
}

#[test]
fn a_key_that_ended_is_remembered_for_a_month_and_then_forgotten() {
    let mut world = World::new();
    let connection = world.connection("fastio", "ours");
    let caller = world.agent("bot", connection, &[Door::Proxy]);
    let hash = caller.key.hash;
    let plan = revoking::revoke_key(&world.book, &caller.agent, &hash, world.now);
    world.carry_out(plan);
    world.now = world.now.plus(ENDED_KEY_LIFE);
    assert!(pairing::sweep(&world.book, world.now).changes.is_empty());
    world.now = world.now.plus(SECOND);
    let plan = pairing::sweep(&world.book, world.now);
    assert_eq!(outline(&plan), ["key forgotten"]);
    world.carry_out(plan);
    assert!(world.book.key(&hash).is_none());
}
