use std::time::Duration;

use fastio_sim::{ExpiresHeader, Fault, Kind, LimitForm, LimitHeaderNames, Presence};

use crate::world::World;

#[tokio::test]
async fn every_api_reply_tells_what_is_left() {
    let world = World::with(|knobs| knobs.api_limit_per_minute = 60).await;
    let ping = format!("{}ping/", world.sim.api_base());
    let answer = world.visit(&ping).await.expect(200);
    assert_eq!(answer.header("x-ve-limit-avail"), Some("59"));
    assert_eq!(answer.header("x-ve-limit-max"), Some("60"));
    let expires = answer.header("x-ve-limit-expires").expect("an end");
    assert!(
        expires.ends_with(" UTC") && expires.len() == 23,
        "{expires}"
    );

    world
        .sim
        .change_knobs(|knobs| knobs.expires_header = ExpiresHeader::Epoch);
    let answer = world.visit(&ping).await;
    let expires: u64 = answer
        .header("x-ve-limit-expires")
        .expect("an end")
        .parse()
        .expect("epoch");
    assert!(expires > 1_700_000_000);

    world
        .sim
        .change_knobs(|knobs| knobs.expires_header = ExpiresHeader::Absent);
    assert_eq!(world.visit(&ping).await.header("x-ve-limit-expires"), None);

    world.sim.change_knobs(|knobs| {
        knobs.expires_header = ExpiresHeader::Datetime;
        knobs.limit_header_names = LimitHeaderNames::Legacy;
    });
    let answer = world.visit(&ping).await;
    assert_eq!(answer.header("x-rate-limit-available"), Some("56"));
    assert!(answer.header("x-rate-limit-expiry").is_some());
    assert_eq!(answer.header("x-ve-limit-avail"), None);
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_to_calm_down_until_the_window_ends() {
    let world = World::with(|knobs| knobs.api_limit_per_minute = 2).await;
    let ping = format!("{}ping/", world.sim.api_base());
    world.visit(&ping).await.expect(200);
    world.visit(&ping).await.expect(200);
    let refused = world.visit(&ping).await.expect(429);
    assert_eq!(
        (refused.code(), refused.header("x-ve-limit-avail")),
        (1671, Some("0"))
    );
    world.sim.advance_clock(Duration::from_mins(1));
    world.visit(&ping).await.expect(200);
}

#[tokio::test]
async fn discovery_has_a_limit_of_its_own() {
    let world = World::with(|knobs| knobs.discovery_limit_per_minute = 1).await;
    let url = format!(
        "{}/.well-known/oauth-authorization-server",
        world.sim.base_url()
    );
    world.visit(&url).await.expect(200);
    world.visit(&url).await.expect(429);
    world
        .visit(&format!("{}ping/", world.sim.api_base()))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_window_can_be_opened_and_told_in_every_form() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    for (form, header) in [
        (LimitForm::Datetime, Some("x-ve-limit-expires")),
        (LimitForm::Epoch, Some("x-ve-limit-expires")),
        (LimitForm::Delta, Some("x-ve-limit-expires")),
        (LimitForm::RetryAfterSeconds, Some("retry-after")),
        (LimitForm::RetryAfterDate, Some("retry-after")),
        (LimitForm::RateLimitReset, Some("ratelimit-reset")),
        (LimitForm::None, None),
    ] {
        world
            .sim
            .queue_fault(Fault::on(Kind::Check).rate_limit(7, form));
        let first = world
            .get("user/auth/check/", &tokens.access)
            .await
            .expect(429);
        let second = world
            .get("user/auth/check/", &tokens.access)
            .await
            .expect(429);
        for name in ["x-ve-limit-expires", "retry-after", "ratelimit-reset"] {
            assert_eq!(
                first.header(name).is_some(),
                header == Some(name),
                "{form:?} {name}"
            );
        }
        let is_in_seconds = matches!(
            form,
            LimitForm::Delta | LimitForm::RetryAfterSeconds | LimitForm::RateLimitReset
        );
        if is_in_seconds {
            let left: u64 = header
                .and_then(|name| second.header(name))
                .expect("seconds")
                .parse()
                .expect("a number");
            assert!((6..=8).contains(&left), "{left}");
        }
        world
            .get("user/me/details/", &tokens.access)
            .await
            .expect(200);
        world.sim.advance_clock(Duration::from_secs(8));
        world
            .get("user/auth/check/", &tokens.access)
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn the_published_limits_of_single_endpoints_hold_where_they_are_turned_on() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    let workspace = format!("workspace_id={}", fastio_sim::demo::WEBSITE);
    let search = format!("events/search/?{workspace}");
    let summarize = format!("events/search/summarize/?{workspace}");
    for _ in 0..6 {
        world.get(&search, &tokens.access).await.expect(200);
    }
    world
        .sim
        .change_knobs(|knobs| knobs.published_limits = Presence::Present);
    // Both searches draw from one bucket.
    for path in [&search, &summarize, &search, &summarize, &search] {
        world.get(path, &tokens.access).await.expect(200);
    }
    let refused = world.get(&summarize, &tokens.access).await.expect(429);
    assert_eq!(
        (refused.code(), refused.header("x-ve-limit-max")),
        (1671, Some("5"))
    );
    world.get("orgs/list/", &tokens.access).await.expect(200);

    let note = format!(
        "workspace/{}/storage/nowhere/updatenote/",
        fastio_sim::demo::WEBSITE
    );
    let update = || {
        let request = world.request(reqwest::Method::POST, &note);
        world.send(
            request
                .bearer_auth(&tokens.access)
                .form(&[("content", "x")]),
        )
    };
    update().await.expect(404);
    update().await.expect(404);
    assert_eq!(
        update().await.expect(429).header("x-ve-limit-max"),
        Some("2")
    );
}

#[tokio::test]
async fn discovery_has_a_limit_for_the_hour_too() {
    let world = World::with(|knobs| knobs.discovery_limit_per_hour = 2).await;
    let url = format!(
        "{}/.well-known/oauth-protected-resource/",
        world.sim.base_url()
    );
    world.visit(&url).await.expect(200);
    world.visit(&url).await.expect(200);
    world.sim.advance_clock(Duration::from_mins(2));
    let refused = world.visit(&url).await.expect(429);
    assert_eq!(refused.header("x-ve-limit-max"), Some("2"));
    world.sim.advance_clock(Duration::from_mins(58));
    world.visit(&url).await.expect(200);
}
