//! What a broker finds again, and what it says while it cannot open its store.

use std::time::Duration;

use doorward_broker::handle::{PauseTarget, PollAnswer, Proof, Terms};
use doorward_broker::views::StoreState;
use doorward_broker::{ApprovalRoom, StartError};
use doorward_core::key::AgentKey;
use doorward_core::problem::Refusal;
use doorward_core::secret::Passphrase;
use fastio_sim::{Consent, Fault, Hang, Kind};

use crate::agents::{Agent, named};
use crate::world::{PASSPHRASE, PIN, World, code, granted, name, pin, refused, until, within};

const HOUR: Duration = Duration::from_hours(1);

/// A refresh has been sent and its reply is held back.
pub(crate) async fn with_a_refresh_under_way(hang: Hang) -> (World, Agent) {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    world.pass(HOUR).await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(hang));
    let (handle, caller) = (world.handle().clone(), world.caller(&agent));
    // Its answer never comes: the broker ends before.
    drop(tokio::spawn(async move {
        handle.token(&caller, named("fastio")).await.is_ok()
    }));
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    (world, agent)
}

#[tokio::test]
async fn a_restart_finds_everything() {
    let mut world = World::new().await;
    world.connect().await;
    world
        .connect_as(world.ask_named("clinic", "clinic"), &Consent::everything())
        .await;
    let agent = world.pair("worker", "fastio:token").await;
    let nurse = world.pair("nurse", "clinic:token").await;
    let token = world.token_text(&agent).await;
    let asking = world.asks("waits", "fastio:token", None).await;
    let nurses = || PauseTarget::Agent("nurse".to_owned());
    granted(world.handle().set_paused(nurses(), true).await);
    let before = granted(world.handle().connections().await);
    world.restart().await;

    let after = granted(world.handle().connections().await);
    let json = |views| serde_json::to_value(views).unwrap();
    assert_eq!(json(before), json(after));
    assert_eq!(
        world.token_text(&agent).await,
        token,
        "no refresh was needed"
    );
    assert_eq!(world.refreshes(), 0);
    assert_eq!(
        code(world.token_for(&agent, "clinic").await),
        "connection_unknown"
    );
    assert_eq!(
        code(world.token_for(&nurse, "clinic").await),
        "agent_paused"
    );
    granted(world.handle().set_paused(nurses(), false).await);
    granted(world.token_for(&nurse, "clinic").await);
    granted(world.approve(&asking, Terms::default()).await);
    assert!(matches!(
        world.poll(&asking).await,
        PollAnswer::Issued { .. }
    ));
    world.pass(HOUR).await;
    granted(world.token(&agent).await);
    world.finish().await;
}

#[tokio::test]
async fn stopping_waits_for_a_refresh_under_way() {
    let (mut world, agent) = with_a_refresh_under_way(Hang::AfterWork).await;
    let handle = world.handle().clone();
    let stopping = tokio::spawn(async move { handle.stop().await });
    granted(world.handle().status().await);
    assert!(!stopping.is_finished());
    world.sim.clear_faults();
    within(stopping).await.unwrap();
    world.crash();
    world.start_again().await;
    let token = world.token_text(&agent).await;
    assert_eq!(world.use_token(&token).await, 200);
    assert_eq!(world.refreshes(), 1, "what came back was stored");
    world.finish().await;
}

#[tokio::test]
async fn a_connection_that_was_being_disconnected_in_a_crash_is_disconnected_at_the_start() {
    let (mut world, agent) = with_a_refresh_under_way(Hang::AfterWork).await;
    let handle = world.handle().clone();
    drop(tokio::spawn(async move {
        handle.disconnect(name("fastio")).await.is_ok()
    }));
    until("agents see it no longer", async || {
        let caller = world.caller(&agent);
        granted(world.handle().connections_of(&caller)).is_empty()
    })
    .await;
    world.crash_and_restart().await;
    world.sim.clear_faults();
    assert_eq!(code(world.token(&agent).await), "connection_unknown");
    until("the session is ended", async || !world.session().active).await;
    until("nothing is owed", async || {
        granted(world.handle().status().await).revocations_owed == 0
    })
    .await;
    assert!(granted(world.handle().connections().await).is_empty());
    world.finish().await;
}

#[tokio::test]
async fn while_the_store_is_locked_every_call_says_so_and_how_to_unlock_it() {
    let mut world = World::locked(ApprovalRoom::Terminal).await;
    let handle = world.handle().clone();
    let some_key = AgentKey::from_random([7; 32]);
    let client = doorward_core::ids::AgentId::from_random([7; 16]);
    let answers: Vec<(&str, Refusal)> = vec![
        (
            "authenticate",
            refused(handle.authenticate(some_key.expose())),
        ),
        ("check_unlocked", refused(handle.check_unlocked())),
        (
            "register",
            refused(handle.register_client("worker", Vec::new()).await),
        ),
        (
            "ask",
            refused(handle.ask_approval(client, Vec::new(), None).await),
        ),
        ("poll", refused(handle.poll(client, "a code").await)),
        ("connections", refused(handle.connections().await)),
        ("connect", refused(handle.connect(world.ask()).await)),
        (
            "disconnect",
            refused(handle.disconnect(name("fastio")).await),
        ),
        ("agents", refused(handle.agents().await)),
        ("requests", refused(handle.requests().await)),
        (
            "approve",
            refused(
                handle
                    .approve(
                        "BCDF-GHJK".to_owned(),
                        Terms::default(),
                        Proof::Pin(pin(PIN)),
                    )
                    .await,
            ),
        ),
        (
            "add_agent",
            refused(
                handle
                    .add_agent("x", Terms::default(), Proof::Pin(pin(PIN)))
                    .await,
            ),
        ),
        (
            "add_metrics_reader",
            refused(
                handle
                    .add_metrics_reader("x", None, Proof::Pin(pin(PIN)))
                    .await,
            ),
        ),
        ("deny", refused(handle.deny("BCDF-GHJK".to_owned()).await)),
        (
            "revoke",
            refused(handle.revoke_agent("worker".to_owned()).await),
        ),
        (
            "pause",
            refused(handle.set_paused(PauseTarget::AllAgents, true).await),
        ),
        ("pin", refused(handle.set_pin(None, pin(PIN)).await)),
        ("verify", refused(handle.verify_audit().await)),
        ("audit", refused(handle.audit(10).await)),
        ("rotate", refused(handle.rotate_keys(None).await)),
    ];
    for (call, refusal) in answers {
        assert_eq!(refusal.code.as_str(), "store_locked", "{call}");
        assert!(
            refusal.hint.contains("doorward unlock"),
            "{call}: {}",
            refusal.hint
        );
    }
    let status = granted(handle.status().await);
    assert_eq!(status.store, StoreState::Locked);
    assert_eq!(status.locked_because.unwrap().code.as_str(), "store_locked");
    assert_eq!(world.sim.counts().of(Kind::Discovery), 0);

    let passphrase = |text: &str| Some(Passphrase::new(text.to_owned()));
    let wrong = refused(handle.unlock(passphrase("another passphrase")).await);
    assert_eq!(wrong.code.as_str(), "passphrase_wrong");
    assert_eq!(code(handle.unlock(None).await), "passphrase_required");
    assert!(handle.check_unlocked().is_err());
    granted(handle.unlock(passphrase(PASSPHRASE)).await);
    granted(handle.unlock(None).await);
    assert_eq!(granted(handle.status().await).store, StoreState::Unlocked);
    assert_eq!(
        code(handle.authenticate(some_key.expose())),
        "unauthenticated"
    );
    world.restart().await;
    world.finish().await;
}

#[tokio::test]
async fn a_new_store_is_sealed_under_the_passphrase_that_a_person_chooses() {
    let mut world = World::fresh().await;
    assert_eq!(
        granted(world.handle().status().await).store,
        StoreState::New
    );
    assert_eq!(code(world.handle().connections().await), "store_locked");
    world.unlock().await;
    let status = granted(world.handle().status().await);
    assert_eq!(
        (status.keys.as_deref(), status.pin_set),
        (Some("passphrase"), Some(false))
    );
    let asking = world.asks("worker", "fastio", None).await;
    world.connect().await;
    assert_eq!(
        code(world.approve(&asking, Terms::default()).await),
        "pin_missing"
    );
    assert_eq!(world.audited("store.created").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn a_second_broker_on_a_folder_is_told_who_holds_it() {
    let world = World::new().await;
    let second = world.another(world.runtime()).await;
    let Err(StartError::Open(error)) = second else {
        panic!("two brokers on one folder")
    };
    let refusal = error.refusal();
    assert!(
        refusal.detail.contains(&std::process::id().to_string()),
        "{}",
        refusal.detail
    );
    assert!(
        refusal.detail.contains("doorward serve"),
        "{}",
        refusal.detail
    );
    world.finish().await;
}

#[tokio::test]
async fn new_keys_open_what_the_old_ones_sealed() {
    let mut world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    let passphrase = || Some(Passphrase::new(PASSPHRASE.to_owned()));
    let wrapped = granted(world.handle().rotate_keys(passphrase()).await);
    assert!(wrapped >= 2, "a connection's and a registration's");
    assert_eq!(world.audited("keys.rotated").await, 1);
    world.restart().await;
    world.pass(HOUR).await;
    granted(world.token(&agent).await);
    world.finish().await;
}

#[tokio::test]
async fn a_stopped_broker_answers_that_it_is_stopping() {
    let mut world = World::new().await;
    let handle = world.handle().clone();
    world.stop().await;
    let refusal = refused(handle.status().await);
    assert!(refusal.hint.contains("doorward serve"));
    handle.stop().await;
    let caller = handle.authenticate(AgentKey::from_random([7; 32]).expose());
    assert_eq!(code(caller), "unauthenticated");
    world.finish().await;
}
