//! A consent's place, and what its answer makes of it.

use doorward_core::connection::Standing;
use doorward_core::consent::PendingConsent;
use doorward_core::decide::connecting::{self, Learned};
use doorward_core::decide::revoking;
use doorward_core::grant::Door;
use doorward_core::plan::Plan;
use doorward_core::problem::Code;
use doorward_core::scope::Granted;
use doorward_core::token_reply::TokenSet;

use crate::world::{HOUR, World, ended, learned, learned_nothing, mark, name, outline};

fn decided(
    world: &mut World,
    consent: &PendingConsent,
    tokens: TokenSet,
    learned: Learned,
) -> (Vec<String>, Option<Code>) {
    let outbox = world.outbox_id();
    let (plan, refusal) =
        connecting::connected(&world.book, world.now, consent, tokens, learned, outbox);
    let told = outline(&plan);
    world.carry_out(plan);
    (told, refusal.map(|refusal| refusal.code))
}

#[test]
fn a_new_name_is_a_new_connection_and_a_known_one_is_connected_again() {
    let mut world = World::new();
    let first = world.consent("fastio", "ours").expect("a place");
    assert!(!first.reconnects);
    let id = world.connection("fastio", "ours");
    for tenant in [None, Some(name("ours"))] {
        let place = connecting::place(
            &world.book,
            world.now,
            &name("fastio"),
            tenant.as_ref(),
            &mut || panic!("nothing new is made"),
        )
        .expect("a place");
        assert!(place.reconnects);
        assert_eq!((place.connection, place.tenant), (id, world.row(id).tenant));
        assert!(outline(&place.plan).is_empty());
    }
}

#[test]
fn a_tenant_is_made_once_and_a_person_who_names_none_gets_the_default() {
    let mut world = World::new();
    let mut fresh = world.fresh.clone();
    let mut bytes = || fresh.bytes();
    let place =
        connecting::place(&world.book, world.now, &name("a"), None, &mut bytes).expect("a place");
    assert_eq!(outline(&place.plan), ["tenant personal"]);
    let tenant = place.tenant;
    world.carry_out(place.plan);
    let place =
        connecting::place(&world.book, world.now, &name("b"), None, &mut bytes).expect("a place");
    assert!(outline(&place.plan).is_empty());
    assert_eq!(place.tenant, tenant);
}

#[test]
fn a_name_that_belongs_elsewhere_or_is_ending_is_taken() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    for tenant in ["strangers", "nobody-yet"] {
        let refusal = world.consent("fastio", tenant).expect_err("a refusal");
        assert_eq!(
            refusal.code,
            Code::NameTaken,
            "a connection never changes its tenant"
        );
    }
    world.alter(id, |row| row.standing = Standing::Ending);
    let refusal = world.consent("fastio", "ours").expect_err("a refusal");
    assert_eq!(refusal.code, Code::NameTaken);
}

#[test]
fn a_first_consent_makes_the_row_before_the_tokens_are_sealed_under_its_key() {
    let mut world = World::new();
    let consent = world.consent("fastio", "ours").expect("a place");
    let tokens = world.tokens("a", Some("r"));
    let (told, refusal) = decided(&mut world, &consent, tokens, learned("ann", "s"));
    assert_eq!(refusal, None);
    assert_eq!(
        told,
        [
            "row of generation 1",
            "tokens of generation 1, both",
            "log connection.connected"
        ]
    );
    let row = world.row(consent.connection);
    assert_eq!(
        row.granted.scopes,
        ["org", "workspace"],
        "RFC 6749: as asked"
    );
    assert!(!row.granted.stated && row.refreshable && row.proven_at.is_some());
}

#[test]
fn what_came_back_is_what_is_kept_even_if_it_is_less() {
    let mut world = World::new();
    let consent = world.consent("fastio", "ours").expect("a place");
    let mut tokens = world.tokens("a", None);
    tokens.granted = Granted {
        scopes: vec!["workspace:7:r".to_owned()],
        stated: true,
    };
    let mut unproven = learned("ann", "s");
    unproven.proven = false;
    let _ = decided(&mut world, &consent, tokens, unproven);
    let row = world.row(consent.connection);
    assert_eq!(row.granted.scopes, ["workspace:7:r"]);
    assert_eq!(row.ask.scope, "org workspace");
    assert!(!row.refreshable);
    assert_eq!(
        row.proven_at, None,
        "a check that did not answer proves nothing"
    );
}

/// What a reconnect does, by the session of before and after, and by whether a refresh token came.
#[test]
fn a_reconnect_ends_the_old_grant_only_where_that_cannot_end_the_new_one() {
    let owe = "owe the stored tokens and session-1";
    let done = [
        "row of generation 2",
        "tokens of generation 2, both",
        "log connection.reconnected",
    ];
    for (session, refresh, first) in [
        (Some("session-2"), true, &[owe][..]),
        (None, true, &[owe][..]),
        (Some("session-1"), true, &[][..]),
        (Some("session-1"), false, &["tokens erased"][..]),
        (Some("session-2"), false, &[owe, "tokens erased"][..]),
    ] {
        let mut world = World::new();
        let id = world.connection("fastio", "ours");
        let consent = world.consent("fastio", "ours").expect("a place");
        let tokens = world.tokens("second", refresh.then_some("second"));
        let mut what = learned("ann", "");
        what.session = session.map(str::to_owned);
        let (told, refusal) = decided(&mut world, &consent, tokens, what);
        assert_eq!(refusal, None);
        let mut expected: Vec<_> = first.to_vec();
        expected.push(done[0]);
        expected.push(if refresh {
            done[1]
        } else {
            "tokens of generation 2, access"
        });
        expected.push(done[2]);
        if first.contains(&owe) {
            expected.push("work outbox");
        }
        assert_eq!(told, expected, "{session:?} {refresh}");
        let held = world.shelf.own(id).expect("tokens");
        assert_eq!(
            held.refresh.as_deref(),
            refresh.then_some("second"),
            "never the refresh token of the grant before"
        );
        assert_eq!(world.row(id).refreshable, refresh);
    }
}

#[test]
fn a_reconnect_without_sessions_replaces_the_tokens_and_owes_nothing() {
    let mut world = World::new();
    let consent = world.consent("other", "ours").expect("a place");
    let tokens = world.tokens("a", Some("r"));
    let _ = decided(&mut world, &consent, tokens, learned_nothing());
    let again = world.consent("other", "ours").expect("a place");
    let tokens = world.tokens("b", Some("s"));
    let (told, _) = decided(&mut world, &again, tokens, learned_nothing());
    assert_eq!(
        told,
        [
            "row of generation 2",
            "tokens of generation 2, both",
            "log connection.reconnected"
        ]
    );
}

#[test]
fn a_connection_that_had_ended_recovers_and_keeps_what_a_person_set() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let caller = world.agent("agent", id, &[Door::Proxy]);
    let created_at = world.row(id).created_at;
    world.alter(id, |row| {
        row.standing = ended();
        row.paused = true;
        row.refreshing = Some(mark(1));
    });
    world.now = world.now.plus(HOUR);
    let consent = world.consent("fastio", "ours").expect("a place");
    let tokens = world.tokens("b", Some("s"));
    let (told, _) = decided(&mut world, &consent, tokens, learned("ann", "session-2"));
    assert!(told.contains(&"tell Recovered".to_owned()));
    assert!(
        !told.iter().any(|line| line.starts_with("owe")),
        "what has ended is not owed"
    );
    let row = world.row(id);
    assert_eq!(row.standing, Standing::Connected);
    assert_eq!((row.created_at, row.connected_at), (created_at, world.now));
    assert!(row.paused, "a person paused it, a person resumes it");
    assert_eq!(row.refreshing, None);
    assert!(
        world.book.grant(caller.agent.id, id).is_some(),
        "its agents go on"
    );
}

/// Consents whose answer does not fit any longer: the new tokens are given back and nothing else changes.
#[test]
fn what_does_not_fit_is_given_back() {
    type Arrange = fn(&mut World, &mut PendingConsent);
    let other_account: Arrange = |world, consent| {
        world.connection("fastio", "ours");
        *consent = world.consent("fastio", "ours").expect("a place");
    };
    let gone: Arrange = |world, consent| {
        let id = world.connection("fastio", "ours");
        *consent = world.consent("fastio", "ours").expect("a place");
        let outbox = world.outbox_id();
        let plan = revoking::disconnect(&world.book, &world.row(id), world.now, false, outbox);
        world.carry_out(plan);
    };
    let ending: Arrange = |world, consent| {
        let id = world.connection("fastio", "ours");
        *consent = world.consent("fastio", "ours").expect("a place");
        world.alter(id, |row| row.standing = Standing::Ending);
    };
    let name_taken: Arrange = |world, _| {
        // Two consents for one new name; the other was answered first.
        world.connection("fastio", "ours");
    };
    let other_issuer: Arrange = |world, consent| {
        world.connection("fastio", "ours");
        *consent = world.consent("fastio", "ours").expect("a place");
        consent.provider.issuer = "https://other.example".to_owned();
    };
    for (arrange, account, code) in [
        (other_account, "bob", Code::AccountDiffers),
        (gone, "ann", Code::ConsentUnknown),
        (ending, "ann", Code::ConsentUnknown),
        (name_taken, "ann", Code::NameTaken),
        (other_issuer, "ann", Code::NameTaken),
    ] {
        let mut world = World::new();
        let mut consent = world.consent("fastio", "ours").expect("a place");
        arrange(&mut world, &mut consent);
        let rows = world.book.connections().count();
        let tokens = world.tokens("unwanted", Some("unwanted"));
        let (told, refusal) = decided(&mut world, &consent, tokens, learned(account, "new"));
        assert_eq!(refusal, Some(code));
        assert_eq!(
            told,
            ["owe the given tokens and new", "work outbox"],
            "{code}"
        );
        assert_eq!(world.book.connections().count(), rows);
        assert!(world.shelf.ever_owed().contains("unwanted"));
    }
}

#[test]
fn an_account_that_is_not_told_is_no_other_account() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let consent = world.consent("fastio", "ours").expect("a place");
    let tokens = world.tokens("b", Some("s"));
    let (_, refusal) = decided(&mut world, &consent, tokens, learned_nothing());
    assert_eq!(refusal, None);
    let account = world.row(id).account.clone().expect("still known");
    assert_eq!(account.id, "ann");
}

#[test]
fn a_connection_stays_with_its_issuer() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let mut provider = crate::world::fastio();
    assert!(connecting::stays_with_issuer(&world.book, id, &provider).is_ok());
    provider.issuer.push('/');
    assert!(connecting::stays_with_issuer(&world.book, id, &provider).is_ok());
    provider.issuer = "https://other.example".to_owned();
    assert!(connecting::stays_with_issuer(&world.book, id, &provider).is_err());
    world.carry_out(Plan::nothing());
}
