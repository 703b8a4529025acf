//! Doorward's own registration at a provider.

use fastio_sim::{Consent, Kind, Registration};
use tokio::net::TcpListener;
use url::Url;

use crate::world::{World, code, granted, name, secs};

fn registrations(world: &World) -> u64 {
    world.sim.counts().of(Kind::Register)
}

fn parameter(address: &str, wanted: &str) -> String {
    let address = Url::parse(address).unwrap();
    let mut pairs = address.query_pairs();
    let found = pairs.find(|(name, _)| name == wanted);
    found.expect("the parameter is there").1.into_owned()
}

#[tokio::test]
async fn a_registration_is_used_again_with_its_own_port_even_after_a_restart() {
    let mut world = World::new().await;
    let first = granted(world.handle().connect(world.ask()).await);
    granted(world.answer(&first, &Consent::everything()).await);
    world.restart().await;
    let second = granted(world.handle().connect(world.ask()).await);
    for kept in ["client_id", "redirect_uri"] {
        assert_eq!(parameter(&first.url, kept), parameter(&second.url, kept));
    }
    granted(world.answer(&second, &Consent::everything()).await);
    assert_eq!(registrations(&world), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_registration_whose_port_is_taken_is_replaced() {
    let world = World::new().await;
    let first = granted(world.handle().connect(world.ask()).await);
    granted(world.answer(&first, &Consent::everything()).await);
    let redirect = Url::parse(&parameter(&first.url, "redirect_uri")).unwrap();
    let port = redirect.port().unwrap();
    let _squatter = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let second = granted(world.handle().connect(world.ask()).await);
    assert_ne!(
        parameter(&first.url, "redirect_uri"),
        parameter(&second.url, "redirect_uri")
    );
    granted(world.answer(&second, &Consent::everything()).await);
    assert_eq!(registrations(&world), 2);
    world.finish().await;
}

#[tokio::test]
async fn consents_for_two_connections_can_be_open_at_once() {
    let world = World::new().await;
    let one = granted(world.handle().connect(world.ask_named("one", "a")).await);
    let two = granted(world.handle().connect(world.ask_named("two", "b")).await);
    granted(world.answer(&two, &Consent::everything()).await);
    granted(world.answer(&one, &Consent::everything()).await);
    world.finish().await;
}

#[tokio::test]
async fn a_registration_that_the_provider_has_forgotten_is_made_again() {
    let world = World::new().await;
    let first = granted(world.handle().connect(world.ask()).await);
    granted(world.answer(&first, &Consent::everything()).await);
    assert!(world.sim.forget_client(&parameter(&first.url, "client_id")));
    world.pass(secs(1)).await;
    let second = granted(world.handle().connect(world.ask()).await);
    assert_ne!(
        parameter(&first.url, "client_id"),
        parameter(&second.url, "client_id")
    );
    granted(world.answer(&second, &Consent::everything()).await);
    world.pass(secs(1)).await;
    world.connect().await;
    assert_eq!(registrations(&world), 2, "the newer one is kept");
    world.finish().await;
}

#[tokio::test]
async fn a_refresh_by_a_forgotten_client_keeps_the_grant_and_says_what_to_do() {
    let world = World::new().await;
    let first = granted(world.handle().connect(world.ask()).await);
    granted(world.answer(&first, &Consent::everything()).await);
    let agent = world.pair("worker", "fastio:token").await;
    assert!(world.sim.forget_client(&parameter(&first.url, "client_id")));
    world.pass(secs(3700)).await;
    let refused = world.token(&agent).await.err().expect("a refusal");
    assert_eq!(refused.code.as_str(), "provider_rejected");
    assert!(
        refused.hint.contains("doorward connect"),
        "{}",
        refused.hint
    );
    let view = granted(world.handle().connections().await).remove(0);
    assert_eq!(view.health.as_str(), "client_rejected");
    assert!(view.health.needs_a_person());
    let again = granted(world.handle().connect(world.ask()).await);
    granted(world.answer(&again, &Consent::everything()).await);
    assert_eq!(world.use_token(&world.token_text(&agent).await).await, 200);
    world.finish().await;
}

#[tokio::test]
async fn a_provider_that_takes_no_registrations_is_told_of_as_such() {
    let world = World::new().await;
    world
        .sim
        .change_knobs(|knobs| knobs.registration = Registration::Closed);
    let failed = world.handle().connect(world.ask()).await;
    assert!(["provider_unknown", "provider_rejected"].contains(&code(failed)));
    assert!(granted(world.handle().connections().await).is_empty());
    assert_eq!(
        code(world.handle().disconnect(name("fastio")).await),
        "connection_unknown"
    );
    world.finish().await;
}
