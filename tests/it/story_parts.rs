//! Each part of the story alone, and what it holds against.

use doorward_e2e::{Agent, Answer, Consent, PATIENCE, PIN, World, demo, eventually};
use serde_json::Value;

/// A served world with a PIN.
async fn served() -> (World, doorward_e2e::Served) {
    let world = World::new().await;
    let served = world.serve().await;
    world.set_pin().await;
    (world, served)
}

/// The same with a connection `fastio`.
async fn connected() -> (World, doorward_e2e::Served) {
    let (world, served) = served().await;
    world.connect(&[], &Consent::everything()).await;
    (world, served)
}

/// What an agent can tell apart of an answer: all but the moment.
fn bytes_of(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
    let headers = headers
        .map(|(name, value)| (name.to_string(), format!("{value:?}")))
        .collect();
    (answer.status, headers, answer.body.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_granted_is_shown_and_stored_and_not_what_was_asked() {
    let (world, served) = served().await;
    let only = Consent::only([demo::WEBSITE, demo::ARCHIVE]).read_only();
    let told = world.connect(&["--scope", "workspace"], &only).await;
    let granted: Vec<String> = [demo::WEBSITE, demo::ARCHIVE]
        .map(|id| format!("workspace:{id}:r"))
        .into();
    assert_eq!(told["asked"], "workspace");
    assert_eq!(told["read_only"], false);
    assert_eq!(told["granted"], serde_json::json!(granted));
    served.stop().await.done();

    let _served = world.serve().await;
    let [stored] = &world.connections().await[..] else {
        panic!("one connection")
    };
    assert_eq!(stored["granted"], told["granted"]);
    assert_eq!(world.sim.sessions()[0].scopes, granted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_reading_only_asks_the_provider_for_no_more() {
    let (world, _served) = served().await;
    let connection = world
        .connect(&["--read-only"], &Consent::everything())
        .await;
    assert_eq!(connection["read_only"], true);
    let granted = connection["granted"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    assert_eq!(granted.len(), 4, "all workspaces");
    assert!(
        granted
            .iter()
            .all(|scope| scope.as_str().is_some_and(|scope| scope.ends_with(":r"))),
        "{granted:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_another_tenant_answers_as_one_that_does_not_exist() {
    let (world, _served) = connected().await;
    let agent = world.pair("Reporter", "fastio:token").await;
    let asks = [
        "/v1/token?connection=clinic",
        "/v1/token?connection=clinic&min_valid=60",
        "/v1/connections",
    ];
    let mut before = Vec::new();
    for ask in asks {
        before.push(bytes_of(&agent.get(ask).await));
    }
    let rejected = serde_json::json!({ "connection": "clinic", "access_token": "x".repeat(40) });
    let rejected_before = bytes_of(&agent.post("/v1/token/rejected", &rejected).await);

    world
        .connect(
            &["--tenant", "clinic", "--name", "clinic"],
            &Consent::everything(),
        )
        .await;

    for (ask, before) in asks.iter().zip(before) {
        assert_eq!(bytes_of(&agent.get(ask).await), before, "{ask}");
    }
    assert_eq!(
        bytes_of(&agent.post("/v1/token/rejected", &rejected).await),
        rejected_before
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approving_takes_the_right_pin_on_a_terminal_and_nothing_else() {
    let (world, _served) = connected().await;
    let stranger = world.stranger();
    let asked = stranger.ask("Reporter", "fastio:token").await;
    let code = asked.user_code.as_str();

    let without_terminal = world.run(&["--json", "approve", code]).await.refused(4);
    assert_eq!(without_terminal.json()["error"]["code"], "no_terminal");
    let wrong = world
        .at_terminal(
            &["--json", "approve", code],
            &["not this", "nor this", "nor that"],
        )
        .await;
    assert_eq!(wrong.refused(4).json()["error"]["code"], "pin_wrong");
    assert_eq!(
        world.ask(&["requests"]).await[0]["code"],
        code,
        "it still waits"
    );

    let shown = world.approve(code, &[]).await.done().terminal;
    assert!(
        shown.contains("Reporter") && shown.contains(code),
        "{shown}"
    );
    assert!(!shown.contains(PIN), "what is typed is not shown: {shown}");
    let agent = world.fetch_key(&stranger, &asked).await;
    agent.token("fastio").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_denied_is_told_so_and_gets_nothing() {
    let (world, _served) = connected().await;
    let stranger = world.stranger();
    let asked = stranger.ask("Reporter", "fastio:token").await;
    world.run(&["deny", &asked.user_code]).await.done();
    assert_eq!(
        stranger.poll(&asked).await.expect(400).text("error"),
        "access_denied"
    );
    assert_eq!(world.ask(&["requests"]).await, serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_may_give_another_connection_and_another_door_than_was_asked() {
    let (world, _served) = connected().await;
    world
        .connect(&["--name", "photos"], &Consent::only([demo::ARCHIVE]))
        .await;
    let stranger = world.stranger();
    let asked = stranger.ask("Reporter", "fastio:token").await;
    let approved = world
        .approve(
            &asked.user_code,
            &["--connection", "photos", "--door", "proxy"],
        )
        .await
        .done();
    assert_eq!(approved.json()["scope"], "photos:proxy");
    let agent = world.fetch_key(&stranger, &asked).await;
    assert_eq!(
        agent.token("photos").await.expect(403).code(),
        "grant_missing"
    );
    assert_eq!(
        agent.token("fastio").await.expect(403).code(),
        "grant_missing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_commands_pair_and_fetch_tokens_as_any_agent_does() {
    let (world, _served) = connected().await;
    let pairing = world.start(&["pair", "My agent", "--scope", "fastio:token"]);
    pairing.complains("doorward approve").await;
    let code = world.ask(&["requests"]).await[0]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(pairing.said().contains(&code), "{}", pairing.said());
    world.approve(&code, &[]).await.done();
    let key = pairing.ended().await.done().stdout.trim().to_owned();
    assert!(
        key.starts_with("dwk_") && key.len() == 47,
        "only the key: {key}"
    );

    let command = ["token", "--connection", "fastio"];
    let token = world
        .start_with(&command, &[("DOORWARD_KEY", &key)])
        .ended()
        .await
        .done();
    assert!(world.sim.probe_access_token(token.stdout.trim()).live);
    let wrong = format!("dwk_{}", "A".repeat(43));
    world
        .start_with(&command, &[("DOORWARD_KEY", &wrong)])
        .ended()
        .await
        .refused(5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_added_by_hand_works_until_it_is_revoked() {
    let (world, _served) = connected().await;
    let add = [
        "--json",
        "agents",
        "add",
        "By hand",
        "--connection",
        "fastio",
        "--door",
        "token",
    ];
    world.run(&add).await.refused(4);
    let added = world.at_terminal(&add, &[PIN]).await.done().json();
    let agent = world
        .stranger()
        .with_key(added["key"].as_str().unwrap_or_default());
    agent.token("fastio").await.expect(200);

    world.run(&["revoke", "By hand"]).await.done();
    assert_eq!(
        agent.token("fastio").await.expect(401).code(),
        "unauthenticated"
    );
    assert!(
        world.sim.sessions()[0].active,
        "the connection itself goes on"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_paused_is_refused_and_goes_on_when_it_is_resumed() {
    let (world, _served) = connected().await;
    let agent = world.pair("Reporter", "fastio:token").await;
    let paused = async |what: &[&str]| {
        world.run(&[&["pause"], what].concat()).await.done();
        let code = agent.token("fastio").await.expect(403).code();
        world.run(&[&["resume"], what].concat()).await.done();
        agent.token("fastio").await.expect(200);
        code
    };
    assert_eq!(paused(&["--all"]).await, "agent_paused");
    assert_eq!(paused(&["Reporter"]).await, "agent_paused");
    assert_eq!(
        paused(&["--connection", "fastio"]).await,
        "connection_paused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_after_a_restart() {
    let (world, served) = connected().await;
    let agent = world.pair("Reporter", "fastio:token").await;
    let waiting = world.stranger();
    let asked = waiting.ask("Later", "fastio:token").await;
    let before = agent.access_token("fastio").await;
    let ended = served.stop().await.done();
    assert!(
        !world.folder().join("run/doorward/endpoint.json").exists(),
        "{ended}"
    );

    let _served = world.serve().await;
    assert_eq!(
        agent.access_token("fastio").await,
        before,
        "the token that is still good"
    );
    world.approve(&asked.user_code, &[]).await.done();
    let later = world.fetch_key(&waiting, &asked).await;
    later.token("fastio").await.expect(200);
    assert_eq!(world.sim.counts().of(doorward_e2e::Kind::TokenRefresh), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stores_key_can_be_replaced_and_the_old_one_opens_nothing() {
    let (world, served) = connected().await;
    let agent = world.pair("Reporter", "fastio:token").await;
    let new = world.folder().join("aside/new-passphrase");
    std::fs::write(&new, "another kettle, of copper this time").expect("it can be written");
    let new = new.to_string_lossy().into_owned();
    world
        .run(&["keys", "rotate", "--new-passphrase-file", &new])
        .await
        .done();
    agent.token("fastio").await.expect(200);
    served.stop().await.done();

    let served = world.serve().await;
    assert_eq!(
        agent.token("fastio").await.expect(503).code(),
        "store_locked"
    );
    served.stop().await.done();
    std::fs::rename(new, world.folder().join("aside/passphrase")).expect("it can be moved");
    let _served = world.serve().await;
    agent.token("fastio").await.expect(200);
    world.verify_audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyrings_key_can_be_replaced_while_agents_go_on() {
    let world = World::builder().keyring().build().await;
    let served = world.serve().await;
    world.set_pin().await;
    world.connect(&[], &Consent::everything()).await;
    let agent = world.pair("Reporter", "fastio:token").await;
    world.run(&["keys", "rotate"]).await.done();
    agent.token("fastio").await.expect(200);
    served.stop().await.done();
    let _served = world.serve().await;
    agent.token("fastio").await.expect(200);
    world.verify_audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_broker_on_the_folder_is_told_who_holds_it() {
    let (world, first) = connected().await;
    let second = world
        .run(&["--json", "serve", "--port", "0", "--keys", "passphrase"])
        .await
        .refused(1);
    let error = &second.json()["error"];
    let pid = first.process.pid().expect("it runs").to_string();
    let detail = error["detail"].as_str().unwrap_or_default();
    assert_eq!(error["code"], "held");
    assert!(
        detail.contains("doorward serve") && detail.contains(&pid),
        "{detail}"
    );
    assert!(
        error["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains(&pid)),
        "{error}"
    );
    assert_eq!(
        world.connections().await.len(),
        1,
        "the first is not disturbed"
    );

    let mut first = first;
    first.process.kill().await;
    let _third = world.serve().await;
    assert_eq!(
        world.connections().await.len(),
        1,
        "a lock of one that is gone holds nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_renewed_once_for_all_who_ask() {
    let world = World::builder()
        .knobs(|knobs| knobs.access_token_lifetime_s = 3)
        .build()
        .await;
    let _served = world.serve().await;
    world.set_pin().await;
    world.connect(&[], &Consent::everything()).await;
    let agent = world.pair("Reporter", "fastio:token").await;
    let first = agent.access_token("fastio").await;
    eventually("the token ends", async || {
        !world.sim.probe_access_token(&first).live
    })
    .await;
    world
        .sim
        .change_knobs(|knobs| knobs.access_token_lifetime_s = 3600);
    let before = world.sim.counts().of(doorward_e2e::Kind::TokenRefresh);

    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let agent: Agent = agent.clone();
        callers.spawn(async move { agent.access_token("fastio").await });
    }
    let tokens = tokio::time::timeout(PATIENCE, callers.join_all())
        .await
        .expect("all are answered");
    assert!(
        tokens.iter().all(|token| *token == tokens[0]),
        "one token for all"
    );
    assert!(world.sim.probe_access_token(&tokens[0]).live);
    assert_eq!(
        world.sim.counts().of(doorward_e2e::Kind::TokenRefresh),
        before + 1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_on_record() {
    let (world, _served) = connected().await;
    let agent = world.pair("Reporter", "fastio:token").await;
    agent.token("fastio").await.expect(200);
    world.run(&["revoke", "Reporter"]).await.done();
    world.run(&["disconnect", "fastio"]).await.done();
    world.verify_audit().await;
    let exported = world.run(&["audit", "export"]).await.done();
    let rows: Vec<Value> = exported
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();
    let kinds: Vec<&str> = rows.iter().filter_map(|row| row["kind"].as_str()).collect();
    insta::assert_snapshot!(kinds.join("\n"), @r"
    store.created
    pin.set
    connection.connected
    pairing.asked
    pairing.approved
    key.issued
    token.handed_out
    agent.revoked
    connection.disconnected
    revocation.confirmed
    ");
}
