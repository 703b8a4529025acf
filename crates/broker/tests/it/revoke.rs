//! What a person ends or pauses is ended or paused for the next request.

use doorward_broker::handle::PauseTarget;
use doorward_core::plan::Notice;
use fastio_sim::{Fault, Hang, Kind, RevokedAccessToken};

use crate::agents::{Agent, named};
use crate::world::{World, code, granted, name, refused, secs, until, within};

async fn connected() -> (World, Agent) {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    granted(world.token(&agent).await);
    (world, agent)
}

async fn owed(world: &World) -> usize {
    granted(world.handle().status().await).revocations_owed
}

#[tokio::test]
async fn a_revoked_agent_is_refused_even_with_a_request_that_is_under_way() {
    let (world, agent) = connected().await;
    let other = world.pair("other", "fastio:token").await;
    world.pass(secs(3600)).await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(Hang::AfterWork));
    let (handle, caller) = (world.handle().clone(), world.caller(&agent));
    let waits = tokio::spawn(async move { handle.token(&caller, named("fastio")).await });
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    // Authenticated before, asked for after.
    let caller = world.caller(&agent);
    granted(world.handle().revoke_agent("worker".to_owned()).await);
    world.sim.clear_faults();
    assert_eq!(code(within(waits).await.unwrap()), "unauthenticated");
    let late = world.handle().token(&caller, named("fastio")).await;
    assert!(["unauthenticated", "grant_missing"].contains(&code(late)));
    assert_eq!(code(world.token(&agent).await), "unauthenticated");
    granted(world.token(&other).await);
    assert_eq!(world.audited("agent.revoked").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn revoking_an_agent_tells_which_tokens_it_still_holds() {
    let (world, agent) = connected().await;
    let until = granted(world.handle().connections().await)
        .remove(0)
        .access_expires_at;
    let short = agent.id.to_string()[..8].to_owned();
    let revoked = granted(world.handle().revoke_agent(short).await);
    assert_eq!(revoked.handed_out, [(name("fastio"), until)]);
    assert!(granted(world.handle().agents().await).is_empty());
    assert_eq!(
        code(world.handle().revoke_agent("worker".to_owned()).await),
        "agent_unknown"
    );
    world.finish().await;
}

#[tokio::test]
async fn an_agent_ends_its_own_key_and_no_other() {
    let (world, agent) = connected().await;
    let other = world.pair("other", "fastio:token").await;
    let caller = world.caller(&agent);
    granted(world.handle().revoke_key(&caller, &other.key).await);
    granted(world.token(&other).await);
    assert!(world.handle().introspect(&caller, &other.key).is_none());
    let own = world
        .handle()
        .introspect(&caller, &agent.key)
        .expect("its own");
    assert_eq!(
        (own.client_id, own.scope.as_str()),
        (agent.id, "fastio:token")
    );
    granted(world.handle().revoke_key(&caller, &agent.key).await);
    assert!(world.handle().introspect(&caller, &agent.key).is_none());
    assert_eq!(code(world.token(&agent).await), "unauthenticated");
    world.finish().await;
}

#[tokio::test]
async fn pausing_holds_back_an_agent_a_connection_or_everyone_until_resumed() {
    let (world, agent) = connected().await;
    let other = world.pair("other", "fastio:token").await;
    let handle = world.handle();
    let worker = || PauseTarget::Agent("worker".to_owned());
    let fastio = || PauseTarget::Connection(name("fastio"));

    assert_eq!(granted(handle.set_paused(worker(), true).await), 1);
    assert_eq!(granted(handle.set_paused(worker(), true).await), 0);
    assert_eq!(code(world.token(&agent).await), "agent_paused");
    granted(world.token(&other).await);
    assert_eq!(granted(handle.set_paused(worker(), false).await), 1);
    granted(world.token(&agent).await);

    assert_eq!(granted(handle.set_paused(fastio(), true).await), 1);
    assert_eq!(code(world.token(&agent).await), "connection_paused");
    let health = granted(handle.connections().await).remove(0).health;
    assert_eq!(health.as_str(), "paused");
    assert_eq!(granted(handle.set_paused(fastio(), false).await), 1);
    granted(world.token(&agent).await);

    assert_eq!(
        granted(handle.set_paused(PauseTarget::AllAgents, true).await),
        2
    );
    for agent in [&agent, &other] {
        assert_eq!(code(world.token(agent).await), "agent_paused");
    }
    assert_eq!(
        granted(handle.set_paused(PauseTarget::AllAgents, false).await),
        2
    );
    granted(world.token(&agent).await);
    assert_eq!(world.audited("agent.paused").await, 3);
    world.finish().await;
}

#[tokio::test]
async fn a_connection_paused_in_a_refresh_stays_paused_and_keeps_the_fresh_tokens() {
    let (world, agent) = connected().await;
    world.pass(secs(3600)).await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(Hang::AfterWork));
    let (handle, caller) = (world.handle().clone(), world.caller(&agent));
    let waits = tokio::spawn(async move { handle.token(&caller, named("fastio")).await });
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    let fastio = || PauseTarget::Connection(name("fastio"));
    granted(world.handle().set_paused(fastio(), true).await);
    world.sim.clear_faults();
    assert_eq!(code(within(waits).await.unwrap()), "connection_paused");
    assert_eq!(code(world.token(&agent).await), "connection_paused");
    granted(world.handle().set_paused(fastio(), false).await);
    granted(world.token(&agent).await);
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_provider_that_is_down_is_revoked_at_as_soon_as_it_answers() {
    let (mut world, agent) = connected().await;
    world.sim.go_down().await;
    let ended = granted(world.handle().disconnect(name("fastio")).await);
    assert!(!ended.confirmed);
    assert!(ended.handed_out_until.is_some());
    assert_eq!(code(world.token(&agent).await), "connection_unknown");
    assert_eq!(owed(&world).await, 1);
    world.restart().await;
    assert_eq!(owed(&world).await, 1, "a restart forgets nothing");
    assert!(world.session().active);
    world.sim.come_back().await.unwrap();
    until("the revocation is confirmed", async || {
        world.pass(secs(3600)).await;
        owed(&world).await == 0
    })
    .await;
    assert!(!world.session().active);
    for token in world.refresh_tokens() {
        assert!(!world.sim.probe_refresh_token(&token).live);
    }
    assert_eq!(world.audited("revocation.confirmed").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn the_name_of_a_disconnected_connection_is_free_while_its_end_is_still_owed() {
    let (world, agent) = connected().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::SessionDelete).status(503));
    world.sim.queue_fault(Fault::on(Kind::Revoke).status(503));
    assert!(!granted(world.handle().disconnect(name("fastio")).await).confirmed);
    world.connect().await;
    assert_eq!(
        code(world.token(&agent).await),
        "grant_missing",
        "grants do not come back"
    );
    world.pass(secs(60)).await;
    until("nothing is owed", async || owed(&world).await == 0).await;
    let active = world
        .sim
        .sessions()
        .into_iter()
        .map(|session| session.active);
    assert_eq!(active.collect::<Vec<_>>(), [false, true]);
    world.finish().await;
}

#[tokio::test]
async fn a_grant_that_is_gone_already_counts_as_ended() {
    let (world, _agent) = connected().await;
    world
        .sim
        .revoke_session_as_person(&world.session().session_id);
    assert!(granted(world.handle().disconnect(name("fastio")).await).confirmed);
    assert_eq!(owed(&world).await, 0);
    world.finish().await;
}

#[tokio::test]
async fn a_connection_whose_grant_had_ended_owes_nothing() {
    let (world, agent) = connected().await;
    world
        .sim
        .revoke_session_as_person(&world.session().session_id);
    world.pass(secs(3600)).await;
    assert_eq!(code(world.token(&agent).await), "reconnect_required");
    world.sim.reset_counts();
    assert!(granted(world.handle().disconnect(name("fastio")).await).confirmed);
    assert_eq!(world.sim.counts().of(Kind::Revoke), 0);
    world.finish().await;
}

#[tokio::test]
async fn disconnecting_says_until_when_a_token_in_hand_still_works() {
    let (world, agent) = connected().await;
    let dies_late = RevokedAccessToken::ValidUntilExpiry;
    world
        .sim
        .change_knobs(|knobs| knobs.revoked_access_token = dies_late);
    let token = world.token_text(&agent).await;
    let expires = granted(world.handle().connections().await)
        .remove(0)
        .access_expires_at;
    let ended = granted(world.handle().disconnect(name("fastio")).await);
    assert!(ended.confirmed);
    assert_eq!(ended.handed_out_until, expires);
    assert_eq!(
        world.use_token(&token).await,
        200,
        "the provider lets it live"
    );
    let refused = refused(world.handle().disconnect(name("fastio")).await);
    assert_eq!(refused.code.as_str(), "connection_unknown");
    world.finish().await;
}

#[tokio::test]
async fn a_revocation_that_never_succeeds_is_given_up_aloud() {
    let (world, _agent) = connected().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::SessionDelete).status(500).times(1000));
    world
        .sim
        .queue_fault(Fault::on(Kind::Revoke).status(500).times(1000));
    granted(world.handle().disconnect(name("fastio")).await);
    until("it is given up", async || {
        world.pass(secs(24 * 3600)).await;
        owed(&world).await == 0
    })
    .await;
    let given_up = Notice::RevocationGivenUp {
        name: "fastio".to_owned(),
    };
    assert_eq!(world.news(), [given_up]);
    assert_eq!(world.audited("revocation.given_up").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn what_is_due_is_done_with_nobody_asking() {
    let (world, _agent) = connected().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::SessionDelete).status(503));
    world.sim.queue_fault(Fault::on(Kind::Revoke).status(503));
    assert!(!granted(world.handle().disconnect(name("fastio")).await).confirmed);
    world.let_time_run().await;
    within(
        world
            .sim
            .wait_until(|sim| sim.sessions().iter().all(|session| !session.active)),
    )
    .await;
    until("it is written down", async || owed(&world).await == 0).await;
    world.finish().await;
}
