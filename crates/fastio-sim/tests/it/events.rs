//! The event log and its filters.

use fastio_sim::demo;
use reqwest::Method;
use serde_json::Value;

use crate::exercises::Cli;

/// The objects of the events that a search finds, newest first.
async fn found(cli: &Cli, query: &str) -> Vec<String> {
    let path = format!("events/search/?{query}");
    let body = cli.get(&path).await.expect(200).json();
    let events = body["events"].as_array().expect("events").iter();
    events
        .map(|event| event["object_id"].as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn folder(cli: &Cli, name: &str) -> String {
    let path = format!("workspace/{}/storage/root/createfolder/", demo::WEBSITE);
    let made = cli.form(Method::POST, &path, &[("name", name)]).await;
    made.expect(200).json()["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

#[tokio::test]
async fn events_are_found_by_object_by_time_by_caller_and_by_what_was_seen() {
    let cli = Cli::new().await;
    let whose = format!("workspace_id={}", demo::WEBSITE);
    let first = folder(&cli, "First").await;
    cli.sim().advance_clock(std::time::Duration::from_mins(1));
    let second = folder(&cli, "Second").await;
    assert_eq!(found(&cli, &whose).await, [second.as_str(), first.as_str()]);
    let by_object = format!("{whose}&object_id={first}");
    assert_eq!(found(&cli, &by_object).await, [first.as_str()]);

    let all = cli.get(&format!("events/search/?{whose}")).await.json();
    let moment = |index: usize| all["events"][index]["created"].as_str().expect("a date");
    let since = format!("{whose}&created-min={}", moment(0).replace(' ', "%20"));
    assert_eq!(found(&cli, &since).await, [second.as_str()]);
    let rfc3339 = moment(1).replace(' ', "T").replace("TUTC", "Z");
    let until = format!("{whose}&created-max={rfc3339}");
    assert_eq!(found(&cli, &until).await, [first.as_str()]);
    cli.get(&format!("events/search/?{whose}&created-min=soon"))
        .await
        .expect(400);

    let event = all["events"][1]["event_id"].as_str().expect("an id");
    let seen = format!("event/{event}/ack/");
    cli.form(Method::POST, &seen, &[]).await.expect(200);
    let by_seen = |seen: bool| format!("{whose}&acknowledged={seen}");
    assert_eq!(found(&cli, &by_seen(true)).await, [first.as_str()]);
    assert_eq!(found(&cli, &by_seen(false)).await, [second.as_str()]);
    let by_me = format!("{whose}&calling_user_id={}", demo::PERSON_ID);
    assert_eq!(found(&cli, &by_me).await.len(), 2);
    let by_other = format!("{whose}&calling_user_id=1");
    assert!(found(&cli, &by_other).await.is_empty());
    assert!(
        found(&cli, &format!("parent_event_id={event}"))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_search_names_just_one_scope() {
    let cli = Cli::new().await;
    let mixed = format!("workspace_id={}&org_id={}", demo::WEBSITE, demo::STUDIO);
    for query in ["limit=5", mixed.as_str()] {
        let refused = cli.get(&format!("events/search/?{query}")).await;
        assert_eq!(refused.expect(400).code(), 10262, "{query}");
    }
    let unknown: Value = cli
        .get("events/search/?parent_event_id=nothing")
        .await
        .expect(404)
        .json();
    assert_eq!(unknown["error"]["code"], 1609);
}
