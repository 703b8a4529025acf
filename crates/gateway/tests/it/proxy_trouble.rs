//! The proxy door when the provider refuses, limits, fails or is not there.

use std::time::Duration;

use doorward_core::grant::Door;
use futures_util::future::join_all;

use crate::ask::Ask;
use crate::upstream::Api;
use crate::world::World;

async fn world() -> (Api, World, String) {
    let api = Api::start().await;
    let (world, key) = World::with_api(&api.base()).await;
    (api, world, key)
}

/// The credential that is sent now.
async fn credential(api: &Api, world: &World, key: &str) -> String {
    assert_eq!(
        world.send(&Ask::get("/proxy/own/x/").key(key)).await.status,
        200
    );
    api.last().header("authorization").unwrap().to_owned()
}

#[tokio::test]
async fn an_ended_token_is_renewed_once_for_everybody_who_calls() {
    let (api, world, key) = world().await;
    let before = credential(&api, &world, &key).await;
    world.advance(Duration::from_hours(2));
    let ask = Ask::get("/proxy/own/x/").key(&key);
    let answers = join_all((0..20).map(|_| world.send(&ask))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let mut sent: Vec<_> = api.seen()[1..]
        .iter()
        .map(|seen| seen.header("authorization").unwrap().to_owned())
        .collect();
    sent.dedup();
    assert_eq!(sent.len(), 1, "one new token");
    assert_ne!(sent[0], before);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_calls_are_sent_again() {
    let (api, world, key) = world().await;
    let before = credential(&api, &world, &key).await;
    api.refuse(&before);
    let asks: Vec<_> = (0..6)
        .map(|number| {
            Ask::new("POST", &format!("/proxy/own/x/{number}/"))
                .key(&key)
                .body("a=b")
        })
        .collect();
    let answers = join_all(asks.iter().map(|ask| world.send(ask))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let mut good: Vec<_> = api
        .seen()
        .into_iter()
        .filter(|seen| seen.method == "POST")
        .map(|seen| (seen.header("authorization").unwrap().to_owned(), seen.body))
        .filter(|(sent, _)| *sent != before)
        .collect();
    assert_eq!(good.len(), 6, "each call was carried out once");
    assert!(good.iter().all(|(_, body)| body == "a=b"));
    good.dedup_by(|one, other| one.0 == other.0);
    assert_eq!(good.len(), 1, "with one new token");
}

#[tokio::test]
async fn a_second_refusal_is_passed_on_without_its_challenge() {
    let (api, world, key) = world().await;
    let answer = world
        .send(&Ask::get("/proxy/own/status/401/1650/").key(&key))
        .await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["error"]["code"], 1650);
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(api.seen().len(), 2, "sent again once");
}

#[tokio::test]
async fn a_401_that_is_not_about_the_token_passes_untouched() {
    let (api, world, key) = world().await;
    for code in ["10545", "115069"] {
        let ask = Ask::get(&format!("/proxy/own/status/401/{code}/")).key(&key);
        let answer = world.send(&ask).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].to_string()),
            (401, code.to_owned())
        );
    }
    let link = Ask::get("/proxy/own/status/401/1650/")
        .key(&key)
        .header("x-ve-password", "wrong");
    assert_eq!(world.send(&link).await.status, 401);
    assert_eq!(api.seen().len(), 3, "none was sent again");
}

#[tokio::test]
async fn an_upload_that_is_refused_is_told_to_come_again_with_the_new_token() {
    let (api, world, key) = world().await;
    let before = credential(&api, &world, &key).await;
    api.refuse(&before);
    let large = "x".repeat(3 * 1024 * 1024);
    let ask = Ask::new("POST", "/proxy/own/x/").key(&key).body(&large);
    let answer = world.send(&ask).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "provider_unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(world.send(&ask).await.status, 200);
    assert_eq!(api.last().body.len(), large.len());
}

#[tokio::test]
async fn an_ended_grant_is_told_as_such() {
    let (api, world, key) = world().await;
    let before = credential(&api, &world, &key).await;
    api.refuse(&before);
    let session = world.sim.sessions().remove(0);
    assert!(world.sim.revoke_session_as_person(&session.session_id));
    let answer = world.send(&Ask::get("/proxy/own/x/").key(&key)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (424, "reconnect_required")
    );
}

#[tokio::test]
async fn a_limit_is_waited_out_where_the_caller_waits_and_told_where_not() {
    let (api, world, key) = world().await;
    let ask = Ask::new("POST", "/proxy/own/limited/1/")
        .key(&key)
        .body("a=b");
    let answer = world.send(&ask.clone().header("Prefer", "wait=5")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "plain"));
    let bodies: Vec<_> = api.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, ["a=b", "a=b"]);

    let ask = Ask::get("/proxy/own/limited/7/")
        .key(&key)
        .header("Prefer", "wait=1");
    let answer = world.send(&ask).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "rate_limited")
    );
    let left: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((6..=7).contains(&left), "{left}");
    let before = api.seen().len();
    let other = Ask::get("/proxy/own/x/")
        .key(&key)
        .header("Prefer", "wait=0");
    assert_eq!(world.send(&other).await.code(), "rate_limited");
    assert_eq!(
        api.seen().len(),
        before,
        "nothing reaches a provider that wants no calls"
    );
}

#[tokio::test]
async fn a_provider_that_limits_and_states_no_wait_is_not_hammered() {
    let (api, world, key) = world().await;
    let ask = Ask::get("/proxy/own/limited/0/")
        .key(&key)
        .header("Prefer", "wait=3");
    let answer = world.send(&ask).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "rate_limited")
    );
    let asked = api.seen().len();
    assert!((2..=4).contains(&asked), "{asked}");
}

#[tokio::test]
async fn callers_of_a_limited_connection_go_one_after_the_other_and_the_agents_in_turn() {
    let (api, world, key) = world().await;
    let second = world.agent("second", "own", &[Door::Proxy]).await;
    let limit = Ask::get("/proxy/own/limited/2/")
        .key(&key)
        .header("Prefer", "wait=0");
    assert_eq!(world.send(&limit).await.status, 429);
    let before = api.seen().len();
    let ask = |agent: &str, number: u32, key: &str| {
        Ask::get(&format!("/proxy/own/x/{agent}/{number}/"))
            .key(key)
            .header("Prefer", "wait=20")
    };
    let asks: Vec<_> = (0..4)
        .map(|number| ask("first", number, &key))
        .chain((0..2).map(|number| ask("second", number, &second)))
        .collect();
    // They join in this order, as each has joined before the next one is sent.
    let mut waiting = Vec::new();
    for ask in asks {
        let port = world.port;
        waiting.push(tokio::spawn(async move { ask.send(port).await }));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(api.seen().len(), before, "all of them wait");
    for answer in join_all(waiting).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    let order: Vec<_> = api.seen()[before..]
        .iter()
        .map(|seen| seen.target.split('/').nth(3).unwrap().to_owned())
        .collect();
    assert_eq!(
        order,
        ["first", "second", "first", "second", "first", "first"]
    );
}

#[tokio::test]
async fn what_may_be_repeated_is_until_it_works() {
    let (api, world, key) = world().await;
    for how in ["503", "502", "504", "drop"] {
        let ask = Ask::get(&format!("/proxy/own/flaky/{how}/2/")).key(&key);
        let answer = world.send(&ask).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "at last"),
            "{how}"
        );
    }
    assert_eq!(api.seen().len(), 12);
    let ask = Ask::new("PUT", "/proxy/own/flaky/drop/1/")
        .key(&key)
        .body("whole");
    assert_eq!(world.send(&ask).await.status, 200);
    assert_eq!(api.last().body, "whole");
}

#[tokio::test]
async fn an_unknown_outcome_is_told_as_one_and_not_repeated() {
    let (api, world, key) = world().await;
    let ask = Ask::new("POST", "/proxy/own/flaky/drop/9/")
        .key(&key)
        .body("a=b");
    let answer = world.send(&ask).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "provider_unavailable")
    );
    assert_eq!(answer.json()["outcome"], "unknown");
    assert_eq!(
        answer.header("retry-after"),
        None,
        "a client must not repeat it by itself"
    );
    assert_eq!(api.seen().len(), 1);
    let ask = Ask::new("POST", "/proxy/own/flaky/503/9/")
        .key(&key)
        .body("a=b");
    assert_eq!(world.send(&ask).await.status, 503, "an answer is passed on");
    assert_eq!(api.seen().len(), 2);
}

#[tokio::test]
async fn a_task_that_fails_five_times_in_a_row_is_halted_until_something_works() {
    let (api, world, key) = world().await;
    let other = world.agent("other", "own", &[Door::Proxy]).await;
    let ask = |key: &str| {
        Ask::new("POST", "/proxy/own/flaky/drop/5/")
            .key(key)
            .body("a=b")
    };
    for _ in 0..5 {
        assert_eq!(world.send(&ask(&key)).await.json()["outcome"], "unknown");
    }
    let answer = world.send(&ask(&key)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "provider_unavailable")
    );
    let left: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&left), "{left}");
    assert_eq!(api.seen().len(), 5, "it was not sent");
    assert_eq!(
        world.send(&ask(&other)).await.status,
        200,
        "another agent goes on"
    );
    assert_eq!(
        world.send(&ask(&key)).await.status,
        200,
        "and so does everybody then"
    );
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_told_as_such() {
    let (api, world, key) = world().await;
    drop(api);
    let ask = Ask::new("POST", "/proxy/own/x/")
        .key(&key)
        .header("Prefer", "wait=0")
        .body("a");
    let mut answer = world.send(&ask).await;
    // A connection that was kept may have gone at the same moment.
    if answer.json()["outcome"] == "unknown" {
        answer = world.send(&ask).await;
    }
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "provider_unavailable")
    );
    assert!(answer.body.contains("nothing was sent"), "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
}
