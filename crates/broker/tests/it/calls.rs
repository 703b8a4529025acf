//! Agents that never ask for a token: what their calls at the proxy door do for the connection, and cost the provider.

use std::time::Duration;

use bytes::Bytes;
use doorward_broker::upstream::{
    Base, CallFailure, CutBody, Label, Outgoing, OutgoingBody, SignedWith,
};
use doorward_core::api_path::ApiPath;
use fastio_sim::{Fault, Hang, Kind};
use http::{HeaderMap, Method, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

use crate::agents::Agent;
use crate::world::{World, granted, name, secs, until, within};

const HOUR: Duration = Duration::from_hours(1);
const PATH: &str = "/user/me/details/";

/// A connection and an agent that may call through it and no more.
async fn connected() -> (World, Agent) {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("caller", "fastio:proxy").await;
    world.sim.reset_counts();
    (world, agent)
}

async fn send(
    world: &World,
    agent: &Agent,
    method: Method,
    body: OutgoingBody,
) -> Result<Response<CutBody>, CallFailure> {
    let caller = world.caller(agent);
    let entry = granted(world.handle().enter(&caller, &name("fastio")));
    let outgoing = Outgoing {
        base: Base::Api,
        path_and_query: PATH.to_owned(),
        path: Some(granted(ApiPath::parse(PATH))),
        method,
        headers: HeaderMap::new(),
        body,
        patience: None,
        safe_to_repeat: None,
        label: Label::Path,
    };
    within(entry.send(outgoing)).await
}

/// Calls, and expects an answer of this status: what it was signed with, and what it says.
async fn call(world: &World, agent: &Agent, status: u16) -> (SignedWith, Value) {
    let answer = send(world, agent, Method::GET, OutgoingBody::Empty).await;
    let answer = answer.unwrap_or_else(|failure| panic!("no answer: {failure:?}"));
    assert_eq!(answer.status(), status);
    let signed_with = *answer.extensions().get().expect("it was signed");
    let body = within(answer.into_body().collect()).await.unwrap();
    (
        signed_with,
        serde_json::from_slice(&body.to_bytes()).unwrap(),
    )
}

fn refused_call() -> Fault {
    Fault::on(Kind::Api)
        .path_contains("details")
        .token_refused()
}

/// What calls have cost the provider: calls, checks of the token, refreshes.
fn costs(world: &World) -> [u64; 3] {
    let counts = world.sim.counts();
    [Kind::Api, Kind::Check, Kind::TokenRefresh].map(|kind| counts.of(kind))
}

#[tokio::test]
async fn an_agent_that_only_calls_has_the_token_renewed_before_its_end_and_waits_for_none() {
    let (world, agent) = connected().await;
    let (first, _) = call(&world, &agent, 200).await;
    let hang = Fault::on(Kind::TokenRefresh).hang(Hang::BeforeWork);
    world.sim.queue_fault(hang);
    world.pass(secs(3299)).await;
    assert_eq!(world.audited("connection.refreshed").await, 0);
    world.pass(secs(200)).await;
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    for _ in 0..3 {
        assert_eq!(
            call(&world, &agent, 200).await.0,
            first,
            "none waits for it"
        );
    }
    world.sim.clear_faults();
    until("it is renewed", async || {
        world.audited("connection.refreshed").await == 1
    })
    .await;
    // The first token would have ended by now.
    world.pass(secs(200)).await;
    let (second, _) = call(&world, &agent, 200).await;
    assert_ne!(second, first);
    assert_eq!(world.refreshes(), 1);

    // That one was used as well; the next one is not.
    world.pass(secs(3299)).await;
    until("it is renewed again", async || {
        world.audited("connection.refreshed").await == 2
    })
    .await;
    world.pass(2 * HOUR).await;
    assert_eq!(world.refreshes(), 2);
    world.finish().await;
}

#[tokio::test]
async fn a_call_in_the_last_moments_of_a_token_begins_its_renewal_and_goes_on() {
    let (world, agent) = connected().await;
    let hang = Fault::on(Kind::TokenRefresh).hang(Hang::BeforeWork);
    world.sim.queue_fault(hang);
    // Nobody has used it, so that it is not renewed ahead.
    world.pass_here(secs(3596)).await;
    assert_eq!(world.refreshes(), 0);
    let (first, _) = call(&world, &agent, 200).await;
    within(world.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    assert_eq!(call(&world, &agent, 200).await.0, first);
    world.sim.clear_faults();
    until("it is renewed", async || {
        world.audited("connection.refreshed").await == 1
    })
    .await;
    assert_ne!(call(&world, &agent, 200).await.0, first);
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_401_about_a_token_that_the_provider_calls_good_costs_one_check_and_no_renewal() {
    let (world, agent) = connected().await;
    let (first, _) = call(&world, &agent, 200).await;
    world.sim.reset_counts();
    world.sim.queue_fault(refused_call().always());
    let (signed_with, told) = call(&world, &agent, 401).await;
    assert_eq!((signed_with, &told["error"]["code"]), (first, &1650.into()));
    assert_eq!(
        costs(&world),
        [2, 1, 0],
        "the token is good: it is sent again once, and nothing is renewed"
    );
    for _ in 0..5 {
        assert_eq!(call(&world, &agent, 401).await.1, told);
    }
    assert_eq!(
        costs(&world),
        [12, 1, 0],
        "the provider was asked a moment ago"
    );

    // What is too large to be kept is not told to come again, as it would fare no better.
    let large = Full::new(Bytes::from(vec![b'x'; 2 * 1024 * 1024]));
    let large = large.map_err(|never| match never {}).boxed_unsync();
    let answer = send(&world, &agent, Method::POST, OutgoingBody::Stream(large)).await;
    assert_eq!(
        answer.map(|answer| answer.status().as_u16()).ok(),
        Some(401)
    );
    assert_eq!(costs(&world), [13, 1, 0]);

    world.pass(secs(10)).await;
    call(&world, &agent, 401).await;
    assert_eq!(costs(&world), [15, 2, 0], "after a while it is asked again");
    world.sim.clear_faults();
    call(&world, &agent, 200).await;
    world.finish().await;
}

#[tokio::test]
async fn a_401_about_a_token_that_the_provider_refuses_too_is_never_seen() {
    let (world, agent) = connected().await;
    let (first, _) = call(&world, &agent, 200).await;
    world.sim.reset_counts();
    world.sim.queue_fault(refused_call());
    world.sim.queue_fault(Fault::on(Kind::Check).status(401));
    assert_ne!(call(&world, &agent, 200).await.0, first);
    assert_eq!(costs(&world), [2, 1, 1]);
    world.finish().await;
}
