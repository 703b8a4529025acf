//! A person connects, or does not.

use doorward_broker::handle::ConnectAsk;
use doorward_broker::views::ConsentStarted;
use fastio_sim::{Consent, ExpiresIn, Fault, Kind, Presence, WellKnown, demo};
use serde_json::json;
use url::Url;

use crate::world::{World, browse, code, granted, name, refused, secs, until, within};

async fn started(world: &World) -> ConsentStarted {
    granted(world.handle().connect(world.ask()).await)
}

async fn redirect(world: &World, started: &ConsentStarted) -> String {
    let everything = Consent::everything();
    world.sim.approve(&started.url, &everything).await.unwrap()
}

/// The address with one of its parameters replaced, or taken out.
fn with_parameter(address: &str, parameter: &str, value: Option<&str>) -> String {
    let mut changed = Url::parse(address).unwrap();
    let kept = changed.query_pairs().into_owned();
    let kept: Vec<_> = kept.filter(|(name, _)| name != parameter).collect();
    changed.query_pairs_mut().clear().extend_pairs(kept);
    if let Some(value) = value {
        changed.query_pairs_mut().append_pair(parameter, value);
    }
    changed.into()
}

#[tokio::test]
async fn a_declined_consent_changes_nothing() {
    let world = World::new().await;
    let started = started(&world).await;
    let declined = world.answer(&started, &Consent::decline()).await;
    assert_eq!(code(declined), "consent_declined");
    assert_eq!(world.sim.counts().of(Kind::TokenCode), 0);
    assert!(granted(world.handle().connections().await).is_empty());
    let late = world.handle().connected(started.flow).await;
    assert_eq!(
        code(late),
        "consent_declined",
        "it is still told how it ended"
    );
    world.finish().await;
}

#[tokio::test]
async fn a_consent_that_nobody_answers_ends_after_ten_minutes() {
    let world = World::new().await;
    let open = started(&world).await;
    let late = redirect(&world, &open).await;
    let handle = world.handle().clone();
    let flow = open.flow.clone();
    let waiter = tokio::spawn(async move { handle.connected(flow).await });
    world.pass(secs(599)).await;
    assert!(!waiter.is_finished());
    world.pass(secs(1)).await;
    assert_eq!(code(within(waiter).await.unwrap()), "consent_expired");
    assert_eq!(
        code(world.handle().paste(open.flow, late.clone()).await),
        "consent_unknown"
    );
    assert!(browse(&late).await.is_err(), "its port is closed");
    assert_eq!(world.sim.counts().of(Kind::TokenCode), 0);
    world.finish().await;
}

#[tokio::test]
async fn an_answer_with_another_state_is_not_believed_and_the_right_one_still_is() {
    let world = World::new().await;
    let open = started(&world).await;
    let right = redirect(&world, &open).await;
    for wrong in [Some("another"), Some(""), None] {
        let wrong = with_parameter(&right, "state", wrong);
        assert!(
            browse(&wrong)
                .await
                .unwrap_err()
                .contains("another consent")
        );
        let pasted = world.handle().paste(open.flow.clone(), wrong).await;
        assert_eq!(code(pasted), "consent_mismatch");
    }
    assert_eq!(world.sim.counts().of(Kind::TokenCode), 0);
    assert!(browse(&right).await.unwrap().contains("connected"));
    world.finish().await;
}

#[tokio::test]
async fn an_issuer_in_the_answer_must_be_the_one_that_was_asked() {
    let world = World::new().await;
    world
        .sim
        .change_knobs(|knobs| knobs.issuer_in_redirect = Presence::Present);
    let open = started(&world).await;
    let right = redirect(&world, &open).await;
    let foreign = with_parameter(&right, "iss", Some("https://other.example"));
    let pasted = world.handle().paste(open.flow.clone(), foreign).await;
    assert_eq!(code(pasted), "consent_mismatch");
    let absent = with_parameter(&right, "iss", None);
    let pasted = world.handle().paste(open.flow.clone(), absent).await;
    assert_eq!(code(pasted), "consent_mismatch", "it was promised");
    assert_eq!(world.sim.counts().of(Kind::TokenCode), 0);
    granted(world.handle().paste(open.flow, right).await);
    world.finish().await;
}

#[tokio::test]
async fn a_code_is_sent_once_however_often_its_address_is_brought() {
    let world = World::new().await;
    let open = started(&world).await;
    let address = redirect(&world, &open).await;
    let (one, two) = within(async {
        let paste = || world.handle().paste(open.flow.clone(), address.clone());
        tokio::join!(paste(), paste())
    })
    .await;
    granted(one);
    assert_eq!(code(two), "consent_mismatch");
    let later = world
        .handle()
        .paste(open.flow.clone(), address.clone())
        .await;
    assert_eq!(code(later), "consent_unknown");
    assert_eq!(world.sim.counts().of(Kind::TokenCode), 1);
    assert!(world.session().active);
    world.finish().await;
}

#[tokio::test]
async fn what_a_person_pastes_must_be_the_address_of_an_answer() {
    let world = World::new().await;
    let open = started(&world).await;
    for wrong in ["", "not an address", "https://example.com/", &open.url] {
        let pasted = world
            .handle()
            .paste(open.flow.clone(), wrong.to_owned())
            .await;
        assert_eq!(code(pasted), "bad_request", "{wrong}");
    }
    let address = redirect(&world, &open).await;
    let pasted = format!("  {address}\n");
    granted(world.handle().paste(open.flow, pasted).await);
    world.finish().await;
}

#[tokio::test]
async fn a_newer_consent_takes_the_place_of_one_that_nobody_answered() {
    let world = World::new().await;
    let older = started(&world).await;
    let old_answer = redirect(&world, &older).await;
    let handle = world.handle().clone();
    let flow = older.flow.clone();
    let waiter = tokio::spawn(async move { handle.connected(flow).await });
    let newer = started(&world).await;
    assert_eq!(code(within(waiter).await.unwrap()), "consent_unknown");
    let pasted = world.handle().paste(older.flow, old_answer).await;
    assert_eq!(code(pasted), "consent_unknown");
    assert_eq!(world.sim.counts().of(Kind::TokenCode), 0);
    granted(world.answer(&newer, &Consent::everything()).await);
    assert_eq!(granted(world.handle().connections().await).len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn two_consents_begun_at_once_for_one_name_make_one_connection() {
    let world = World::new().await;
    let (one, two) = within(async {
        let connect = || world.handle().connect(world.ask_named("work", "office"));
        tokio::join!(connect(), connect())
    })
    .await;
    let (one, two) = (granted(one), granted(two));
    let answers = [redirect(&world, &one).await, redirect(&world, &two).await];
    let mut connected = 0;
    for (open, address) in [one, two].into_iter().zip(answers) {
        let pasted = world.handle().paste(open.flow, address).await;
        connected += usize::from(pasted.is_ok());
    }
    assert_eq!(connected, 1);
    assert_eq!(granted(world.handle().connections().await).len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_consent_that_was_given_up_is_over() {
    let world = World::new().await;
    let open = started(&world).await;
    let address = redirect(&world, &open).await;
    granted(world.handle().cancel(open.flow.clone()).await);
    assert_eq!(
        code(world.handle().cancel(open.flow.clone()).await),
        "consent_unknown"
    );
    assert_eq!(
        code(world.handle().paste(open.flow, address).await),
        "consent_unknown"
    );
    assert_eq!(world.sim.counts().of(Kind::TokenCode), 0);
    world.finish().await;
}

#[tokio::test]
async fn what_was_granted_is_what_is_shown_even_where_less_than_asked() {
    let world = World::new().await;
    let ask = ConnectAsk {
        scope: Some("workspace".to_owned()),
        agent_name: Some("Night shift".to_owned()),
        ..world.ask()
    };
    let narrow = Consent::only([demo::WEBSITE]).read_only();
    let view = world.connect_as(ask, &narrow).await;
    assert_eq!(view.granted, [format!("workspace:{}:r", demo::WEBSITE)]);
    assert!(view.granted_stated && !view.read_only);
    assert_eq!(view.asked, "workspace");
    assert_eq!(world.session().agent_name.as_deref(), Some("Night shift"));
    assert!(
        world
            .session()
            .device_name
            .unwrap()
            .starts_with("doorward-")
    );
    let stored = granted(world.handle().connections().await).remove(0);
    assert_eq!(stored.granted, view.granted);
    let agent = world.pair("reader", "fastio:token").await;
    let token = granted(world.token(&agent).await);
    assert_eq!(*token.scope, *view.granted.join(" "));
    world.finish().await;
}

#[tokio::test]
async fn a_person_who_asks_for_reading_is_granted_no_more() {
    let world = World::new().await;
    let ask = ConnectAsk {
        read_only: true,
        ..world.ask()
    };
    let view = world.connect_as(ask, &Consent::everything()).await;
    assert!(view.read_only);
    assert!(!view.granted.is_empty());
    assert!(
        view.granted.iter().all(|scope| scope.ends_with(":r")),
        "{:?}",
        view.granted
    );
    world.finish().await;
}

#[tokio::test]
async fn a_scope_that_the_provider_does_not_have_is_refused_before_anything_is_sent() {
    let world = World::new().await;
    for scope in ["workspaces", "workspace everything", "work\nspace"] {
        let ask = ConnectAsk {
            scope: Some(scope.to_owned()),
            ..world.ask()
        };
        assert_eq!(
            code(world.handle().connect(ask).await),
            "bad_request",
            "{scope:?}"
        );
    }
    assert_eq!(world.sim.counts().of(Kind::Discovery), 0);
    world.finish().await;
}

#[tokio::test]
async fn discovery_works_where_it_only_answers_with_a_slash() {
    let world = World::new().await;
    world.sim.change_knobs(|knobs| {
        knobs.well_known = WellKnown::SlashOnly;
        knobs.issuer_slash = Presence::Present;
    });
    world.connect().await;
    world.finish().await;
}

#[tokio::test]
async fn a_provider_that_is_down_is_told_and_nothing_is_left_behind() {
    let world = World::new().await;
    world.sim.go_down().await;
    let failed = refused(world.handle().connect(world.ask()).await);
    assert_eq!(failed.code.as_str(), "provider_unavailable");
    world.sim.come_back().await.unwrap();
    world.connect().await;
    world.finish().await;
}

#[tokio::test]
async fn a_consent_that_fails_at_the_exchange_is_told_and_can_be_begun_again() {
    let world = World::new().await;
    for (fault, expected) in [
        (
            Fault::on(Kind::TokenCode).status(500),
            "provider_unavailable",
        ),
        (
            Fault::on(Kind::TokenCode).close_socket(),
            "provider_unavailable",
        ),
        (
            Fault::on(Kind::TokenCode)
                .status(400)
                .body(json!({"error": "invalid_grant"})),
            "provider_rejected",
        ),
        (
            Fault::on(Kind::TokenCode)
                .status(429)
                .header("retry-after", "7"),
            "rate_limited",
        ),
    ] {
        world.sim.queue_fault(fault);
        let open = started(&world).await;
        assert_eq!(
            code(world.answer(&open, &Consent::everything()).await),
            expected
        );
    }
    assert!(granted(world.handle().connections().await).is_empty());
    world.connect().await;
    world.finish().await;
}

#[tokio::test]
async fn a_token_without_a_stated_end_is_served_until_it_is_refused() {
    let world = World::new().await;
    world
        .sim
        .change_knobs(|knobs| knobs.expires_in = ExpiresIn::Absent);
    let view = world.connect().await;
    assert_eq!(view.access_expires_at, None);
    let agent = world.pair("patient", "fastio:token").await;
    world.pass(secs(3000)).await;
    let token = granted(world.token(&agent).await);
    assert_eq!(token.expires_in, None);
    assert_eq!(world.refreshes(), 0);
    world.pass(secs(3000)).await;
    let next = granted(world.reject(&agent, token.access.expose()).await);
    assert_eq!(world.use_token(next.access.expose()).await, 200);
    assert_eq!(world.refreshes(), 1);
    world.finish().await;
}

#[tokio::test]
async fn connecting_again_replaces_the_grant_and_ends_the_older_one() {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    let before = world.token_text(&agent).await;
    let again = ConnectAsk {
        provider: None,
        base: None,
        name: Some(name("fastio")),
        ..world.ask()
    };
    world.connect_as(again, &Consent::everything()).await;
    let after = world.token_text(&agent).await;
    assert_ne!(before, after);
    until("the older session is ended", async || {
        let active = world
            .sim
            .sessions()
            .into_iter()
            .map(|session| session.active);
        active.collect::<Vec<_>>() == [false, true]
    })
    .await;
    assert_eq!(world.use_token(&after).await, 200);
    assert_eq!(world.audited("connection.reconnected").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn another_account_on_connecting_again_is_refused_and_its_grant_given_back() {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:token").await;
    let before = world.token_text(&agent).await;
    let other = json!({"result": true, "response": {"user": {
        "id": "4100000000000000099", "email_address": "kim@example.com",
    }}});
    let details = Fault::on(Kind::Api).path_contains("user/me/details");
    world.sim.queue_fault(details.status(200).body(other));
    let open = started(&world).await;
    let differs = refused(world.answer(&open, &Consent::everything()).await);
    assert_eq!(differs.code.as_str(), "account_differs");
    assert!(differs.detail.contains("robin@example.com") && differs.detail.contains("kim@"));
    until("the unwanted session is ended", async || {
        !world.session().active
    })
    .await;
    assert_eq!(world.token_text(&agent).await, before);
    assert_eq!(world.use_token(&before).await, 200);
    world.finish().await;
}

#[tokio::test]
async fn a_name_that_another_tenant_or_another_issuer_holds_is_taken() {
    let world = World::new().await;
    world.connect().await;
    let other_tenant = world.ask_named("fastio", "office");
    assert_eq!(
        code(world.handle().connect(other_tenant).await),
        "name_taken"
    );
    let elsewhere = fastio_sim::Sim::builder().start().await.unwrap();
    let other_issuer = ConnectAsk {
        base: Some(elsewhere.base_url().to_owned()),
        ..world.ask()
    };
    assert_eq!(
        code(world.handle().connect(other_issuer).await),
        "name_taken"
    );
    world.finish().await;
}

#[tokio::test]
async fn a_connection_that_is_ended_while_its_new_consent_is_exchanged_stays_ended() {
    let world = World::new().await;
    world.connect().await;
    let open = started(&world).await;
    let address = redirect(&world, &open).await;
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenCode).hang(fastio_sim::Hang::AfterWork));
    let handle = world.handle().clone();
    let flow = open.flow.clone();
    let paste = tokio::spawn(async move { handle.paste(flow, address).await });
    within(world.sim.wait_until_hanging(Kind::TokenCode)).await;
    granted(world.handle().disconnect(name("fastio")).await);
    world.sim.clear_faults();
    assert_eq!(code(within(paste).await.unwrap()), "consent_unknown");
    assert!(granted(world.handle().connections().await).is_empty());
    until("both sessions are ended", async || {
        world.sim.sessions().iter().all(|session| !session.active)
    })
    .await;
    world.finish().await;
}
