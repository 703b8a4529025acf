//! The numbers that a watcher reads, and what its key does not open.

use std::collections::BTreeSet;
use std::time::Duration;

use doorward_broker::handle::PauseTarget;
use doorward_core::grant::Door;
use fastio_sim::{Fault, Kind};

use crate::ask::{Answer, Ask};
use crate::world::{World, name};

const HOUR: Duration = Duration::from_hours(1);

async fn scrape(world: &World, key: &str) -> Answer {
    let answer = world.send(&Ask::get("/metrics").key(key)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

/// Reads the page until it holds a line: what is counted is counted right after the answer that it is about.
async fn reads(world: &World, key: &str, line: &str) {
    let reading = async {
        while !scrape(world, key).await.body.lines().any(|own| own == line) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(10), reading).await;
    let page = scrape(world, key).await.body;
    assert!(read.is_ok(), "there is no line {line} in\n{page}");
}

#[tokio::test]
async fn the_page_holds_what_is_so_in_the_format_of_prometheus() {
    let (world, _) = World::with_agent().await;
    world.connect("other", "acme").await;
    let other = PauseTarget::Connection(name("other"));
    world.handle.set_paused(other, true).await.unwrap();
    let key = world.reader("prometheus").await;
    let client = world.register("asks").await;
    world.ask_approval(&client, "fastio:token").await;
    assert_eq!(world.send(&Ask::get("/v1/token")).await.status, 401);
    let answer = scrape(&world, &key).await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let shown = answer.body.replace(&version, "version=\"VERSION\"");
    insta::assert_snapshot!(shown, @r#"
    # HELP doorward_build_info Always 1; which Doorward this is.
    # TYPE doorward_build_info gauge
    doorward_build_info{version="VERSION"} 1
    # HELP doorward_store_unlocked 1 while the store is open; while it is locked this page is answered 503 instead.
    # TYPE doorward_store_unlocked gauge
    doorward_store_unlocked 1
    # HELP doorward_connections Connections by health, without those that are being disconnected.
    # TYPE doorward_connections gauge
    doorward_connections{health="connected"} 1
    doorward_connections{health="refreshing"} 0
    doorward_connections{health="degraded"} 0
    doorward_connections{health="rate_limited"} 0
    doorward_connections{health="client_rejected"} 0
    doorward_connections{health="misconfigured"} 0
    doorward_connections{health="reconnect_required"} 0
    doorward_connections{health="unproven"} 0
    doorward_connections{health="paused"} 1
    # HELP doorward_connection_refreshes_total Refreshes since Doorward started, by connection and by whether they brought tokens.
    # TYPE doorward_connection_refreshes_total counter
    doorward_connection_refreshes_total{connection="fastio",result="succeeded"} 0
    doorward_connection_refreshes_total{connection="fastio",result="failed"} 0
    doorward_connection_refreshes_total{connection="other",result="succeeded"} 0
    doorward_connection_refreshes_total{connection="other",result="failed"} 0
    # HELP doorward_proxied_calls_total Calls through the proxy door since Doorward started, by connection and class of the status; none is a call without an answer of the provider.
    # TYPE doorward_proxied_calls_total counter
    doorward_proxied_calls_total{connection="fastio",status="none"} 0
    doorward_proxied_calls_total{connection="fastio",status="1xx"} 0
    doorward_proxied_calls_total{connection="fastio",status="2xx"} 0
    doorward_proxied_calls_total{connection="fastio",status="3xx"} 0
    doorward_proxied_calls_total{connection="fastio",status="4xx"} 0
    doorward_proxied_calls_total{connection="fastio",status="5xx"} 0
    doorward_proxied_calls_total{connection="other",status="none"} 0
    doorward_proxied_calls_total{connection="other",status="1xx"} 0
    doorward_proxied_calls_total{connection="other",status="2xx"} 0
    doorward_proxied_calls_total{connection="other",status="3xx"} 0
    doorward_proxied_calls_total{connection="other",status="4xx"} 0
    doorward_proxied_calls_total{connection="other",status="5xx"} 0
    # HELP doorward_proxied_bytes_total Bytes of bodies through the proxy door since Doorward started: out to the agent, in from it.
    # TYPE doorward_proxied_bytes_total counter
    doorward_proxied_bytes_total{connection="fastio",direction="in"} 0
    doorward_proxied_bytes_total{connection="fastio",direction="out"} 0
    doorward_proxied_bytes_total{connection="other",direction="in"} 0
    doorward_proxied_bytes_total{connection="other",direction="out"} 0
    # HELP doorward_proxied_retries_total How often calls through the proxy door were sent again since Doorward started.
    # TYPE doorward_proxied_retries_total counter
    doorward_proxied_retries_total{connection="fastio"} 0
    doorward_proxied_retries_total{connection="other"} 0
    # HELP doorward_locks_held Locks that agents hold at providers.
    # TYPE doorward_locks_held gauge
    doorward_locks_held 0
    # HELP doorward_agents Agents.
    # TYPE doorward_agents gauge
    doorward_agents 2
    # HELP doorward_approval_requests Approval requests that wait for a person.
    # TYPE doorward_approval_requests gauge
    doorward_approval_requests 1
    # HELP doorward_revocations_owed Revocations that providers have not confirmed yet.
    # TYPE doorward_revocations_owed gauge
    doorward_revocations_owed 0
    # HELP doorward_tokens_unsaved Connections whose fresh tokens the store could not take yet.
    # TYPE doorward_tokens_unsaved gauge
    doorward_tokens_unsaved 0
    # HELP doorward_refused_requests_total Requests refused since Doorward started, before a route or on one that needs a key, by error code.
    # TYPE doorward_refused_requests_total counter
    doorward_refused_requests_total{code="unauthenticated"} 1
    "#);
}

#[tokio::test]
async fn every_sample_belongs_to_a_family_that_is_described_once_above_it() {
    let (world, _) = World::with_agent().await;
    let key = world.reader("prometheus").await;
    let page = scrape(&world, &key).await.body;
    assert!(page.ends_with('\n'));
    let (mut known, mut family) = (BTreeSet::new(), "");
    for line in page.lines() {
        if let Some(head) = line.strip_prefix("# HELP ") {
            family = head.split(' ').next().unwrap();
            assert!(known.insert(family), "{family} is there twice");
        } else if let Some(head) = line.strip_prefix("# TYPE ") {
            let kind = if family.ends_with("_total") {
                "counter"
            } else {
                "gauge"
            };
            assert_eq!(head, format!("{family} {kind}"));
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(series.split('{').next(), Some(family), "{line}");
            value.parse::<u64>().unwrap();
        }
    }
    assert!(known.len() >= 9, "{known:?}");
}

#[tokio::test]
async fn refreshes_are_counted_as_they_went_and_counts_never_fall() {
    let (world, agent) = World::with_agent().await;
    let key = world.reader("prometheus").await;
    let count = |result: &str, count: u32| {
        format!(
            "doorward_connection_refreshes_total{{connection=\"fastio\",result=\"{result}\"}} {count}"
        )
    };
    reads(&world, &key, &count("succeeded", 0)).await;
    for round in 1..=2 {
        world.advance(HOUR);
        let fault = Fault::on(Kind::TokenRefresh).status(503);
        world.sim.queue_fault(fault);
        let ask = Ask::get("/v1/token").key(&agent);
        assert_eq!(world.send(&ask).await.status, 503);
        reads(&world, &key, &count("failed", round)).await;
        reads(&world, &key, "doorward_connections{health=\"degraded\"} 1").await;
        world.advance(Duration::from_mins(2));
        assert_eq!(world.send(&ask).await.status, 200);
        reads(&world, &key, &count("succeeded", round)).await;
        reads(&world, &key, &count("failed", round)).await;
        reads(&world, &key, "doorward_connections{health=\"connected\"} 1").await;
    }
    let refused = "doorward_refused_requests_total{code=\"provider_unavailable\"} 2";
    reads(&world, &key, refused).await;
    // The audit log takes its own counts once a minute; these stay.
    world.handle.audit(1).await.unwrap();
    reads(&world, &key, refused).await;
}

#[tokio::test]
async fn a_key_without_the_right_is_told_who_gives_it() {
    let (world, key) = World::with_agent().await;
    let refused = world.send(&Ask::get("/metrics").key(&key)).await;
    assert_eq!(
        (refused.status, refused.code()),
        (403, "grant_missing".to_owned())
    );
    let hint = refused.json()["hint"].as_str().unwrap().to_owned();
    assert!(
        hint.contains("doorward agents add NAME --metrics"),
        "{hint}"
    );
}

#[tokio::test]
async fn a_reader_opens_the_metrics_and_its_own_key_and_nothing_else() {
    let (world, _) = World::with_agent().await;
    let key = world.reader("prometheus").await;
    for path in [
        "/v1/connections",
        "/v1/events",
        "/v1/token",
        "/v1/token?connection=fastio",
    ] {
        let refused = world.send(&Ask::get(path).key(&key)).await;
        assert_eq!(
            (refused.status, refused.code()),
            (403, "grant_missing".to_owned()),
            "{path}"
        );
    }
    let body = serde_json::json!({ "connection": "fastio", "access_token": "x" });
    let rejected = world
        .send(&Ask::json("/v1/token/rejected", &body).key(&key))
        .await;
    assert_eq!(rejected.code(), "grant_missing");
    let own = [("token", key.as_str())];
    let told = world
        .send(&Ask::form("/oauth/introspect", &own).key(&key))
        .await;
    assert_eq!(told.json()["scope"], "metrics");
    let more = world.send(&Ask::get("/metrics?name=x").key(&key)).await;
    assert_eq!(more.code(), "bad_request");

    let reader = || PauseTarget::Agent("prometheus".to_owned());
    world.handle.set_paused(reader(), true).await.unwrap();
    let paused = world.send(&Ask::get("/metrics").key(&key)).await;
    assert_eq!(paused.code(), "agent_paused");
    world.handle.set_paused(reader(), false).await.unwrap();
    scrape(&world, &key).await;
    let ended = world
        .send(&Ask::form("/oauth/revoke", &own).key(&key))
        .await;
    assert_eq!(ended.status, 200);
    let over = world.send(&Ask::get("/metrics").key(&key)).await;
    assert_eq!(over.code(), "unauthenticated");
}

#[tokio::test]
async fn the_page_names_connections_and_no_account_agent_or_secret() {
    let (world, agent) = World::with_agent().await;
    let key = world.reader("prometheus").await;
    let door = world.agent("secretive", "fastio", &[Door::Token]).await;
    assert_eq!(
        world.send(&Ask::get("/v1/token").key(&agent)).await.status,
        200
    );
    let page = scrape(&world, &key).await.body;
    assert!(page.contains("connection=\"fastio\""));
    let view = world.handle.connections().await.unwrap().remove(0);
    let account = view.account.expect("an account");
    let mut hidden = vec![
        account,
        "secretive".to_owned(),
        "prometheus".to_owned(),
        "dwk_".to_owned(),
    ];
    hidden.extend([agent, key, door]);
    hidden.extend(
        world
            .sim
            .issued_secrets()
            .into_iter()
            .map(|secret| secret.value),
    );
    for text in hidden {
        assert!(!page.contains(&text), "{text} is on the page");
    }
}

#[tokio::test]
async fn a_locked_store_is_told_by_the_status() {
    let world = World::locked().await;
    let refused = world
        .send(&Ask::get("/metrics").key(&crate::world::unknown_key()))
        .await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, "store_locked".to_owned())
    );
}
