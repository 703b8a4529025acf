//! What surrounds the windows: the tray, the notifications, starting again and going on unseen.

use std::net::TcpListener;

use doorward_e2e::desktop::{APPROVAL, Desktop, Item, MAIN};
use doorward_e2e::{Agent, eventually};

use crate::desktop::{connect, connected, pair};

/// Waits until the menu says exactly this.
async fn says(item: &Item, labels: &[&str]) {
    eventually(&format!("the tray's menu says {labels:?}"), async || {
        item.labels().await == labels
    })
    .await;
}

/// Waits until the icon is another one, and gives it.
async fn changed(item: &Item, before: &[u8]) -> Vec<u8> {
    eventually("the tray's icon changes", async || {
        item.icon().await != before
    })
    .await;
    item.icon().await
}

async fn is_refused(agent: &Agent, code: &str) {
    eventually(&format!("the agent is told {code}"), async || {
        agent.token("fastio").await.code() == code
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tray_tells_how_things_are_and_its_menu_acts() {
    let desktop = Desktop::new().await;
    let app = desktop.start(&[]);
    let main = app.main().await;
    let item = desktop.tray().item().await;
    assert_eq!(item.status().await, "Active");
    says(
        &item,
        &["Open Doorward", "No connections yet", "Quit Doorward"],
    )
    .await;
    connect(&desktop, &main, &[]).await;
    says(
        &item,
        &["Open Doorward", "fastio: connected", "Quit Doorward"],
    )
    .await;
    let well = item.icon().await;
    let (_, text) = item.tooltip().await;
    assert_eq!(text, "Doorward: All is well");

    let stranger = desktop.world.stranger();
    let asked = stranger.ask("Reporter", "fastio:token").await;
    item.choose("1 approval waits").await;
    let approval = app.approval().await;
    approval.says("“Reporter”").await;
    let needs_you = changed(&item, &well).await;
    approval.press("Approve").await;
    approval.says("Approved.").await;
    approval.press("Close").await;
    let agent = desktop.world.fetch_key(&stranger, &asked).await;
    agent.token("fastio").await.expect(200);
    assert!(
        changed(&item, &needs_you).await == well,
        "all is well again"
    );

    item.choose("Pause all agents").await;
    is_refused(&agent, "agent_paused").await;
    main.says("All agents are paused.").await;
    let paused = changed(&item, &well).await;
    assert!(paused != needs_you, "each state has its own icon");
    item.choose("Resume all agents").await;
    main.says_no_more("All agents are paused.").await;
    agent.token("fastio").await.expect(200);

    desktop.close(MAIN).await;
    desktop.shows(&[]).await;
    item.choose("fastio: connected").await;
    desktop.shows(&[MAIN]).await;
    desktop.close(MAIN).await;
    desktop.shows(&[]).await;
    item.click().await;
    desktop.shows(&[MAIN]).await;
    item.choose("Quit Doorward").await;
    app.ended().await.done();
    assert!(desktop.tray().is_empty().await);
    assert!(
        !desktop
            .world
            .folder()
            .join("run/doorward/endpoint.json")
            .exists()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_the_window_leaves_agents_served() {
    let (desktop, app, _main) = connected().await;
    let agent = pair(&desktop, &app, "Reporter").await;
    desktop.close(MAIN).await;
    desktop.shows(&[]).await;
    agent.token("fastio").await.expect(200);
    assert_eq!(desktop.world.ask(&["status"]).await["pid"], app.pid());

    let item = desktop.tray().item().await;
    item.choose("Open Doorward").await;
    desktop.shows(&[MAIN]).await;
    let main = app.main().await;
    main.press("Agents").await;
    main.says("Reporter").await;
    agent.token("fastio").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_start_brings_the_first_window_forward() {
    let (desktop, app, main) = connected().await;
    let stranger = desktop.world.stranger();
    stranger.ask("Reporter", "fastio:token").await;
    desktop.tray().item().await.choose("1 approval waits").await;
    desktop.shows(&[MAIN, APPROVAL]).await;
    desktop.start_again(&[]).await.done();
    desktop.shows(&[APPROVAL, MAIN]).await;
    eventually("what is typed goes to it", async || {
        desktop.has_keyboard(MAIN)
    })
    .await;
    main.says("fastio").await;

    desktop.close(MAIN).await;
    desktop.shows(&[APPROVAL]).await;
    desktop.start_again(&["--hidden"]).await.done();
    desktop.start_again(&[]).await.done();
    desktop.shows(&[APPROVAL, MAIN]).await;
    assert_eq!(
        desktop.world.ask(&["status"]).await["pid"],
        app.pid(),
        "it is the first one's"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn started_hidden_it_serves_from_the_tray_and_comes_up_when_it_is_needed() {
    let (desktop, app, main) = connected().await;
    main.press("Quit…").await;
    main.press("Quit").await;
    app.ended().await.done();

    let app = desktop.start(&["--hidden"]);
    let item = desktop.tray().item().await;
    says(
        &item,
        &["Open Doorward", "fastio: connected", "Quit Doorward"],
    )
    .await;
    assert!(desktop.shown().is_empty());
    let agent = pair(&desktop, &app, "Reporter").await;
    desktop.shows(&[]).await;
    agent.token("fastio").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_ends_it_in_good_order() {
    let (desktop, app, _main) = connected().await;
    let agent = pair(&desktop, &app, "Reporter").await;
    app.terminate();
    app.ended().await.done();
    assert!(!desktop.world.data().join("control.sock").exists());

    let _app = desktop.start(&["--hidden"]);
    eventually("the agent is served again", async || {
        desktop
            .world
            .folder()
            .join("run/doorward/endpoint.json")
            .exists()
    })
    .await;
    agent.token("fastio").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_ended_is_told_once_and_the_button_leads_to_reconnecting() {
    let (desktop, app, main) = connected().await;
    let agent = pair(&desktop, &app, "Reporter").await;
    desktop.close(MAIN).await;
    let session = desktop.world.sim.sessions()[0].session_id.clone();
    let before = agent.access_token("fastio").await;
    assert!(desktop.world.sim.revoke_session_as_person(&session));
    let rejected = serde_json::json!({ "connection": "fastio", "access_token": before });
    eventually("the agent is told that a person is needed", async || {
        agent.post("/v1/token/rejected", &rejected).await.code() == "reconnect_required"
    })
    .await;
    let item = desktop.tray().item().await;
    eventually("the tray says so", async || {
        item.labels()
            .await
            .contains(&"fastio: reconnect required".to_owned())
    })
    .await;
    let told = desktop
        .notifications()
        .about("fastio needs you to reconnect")
        .await;
    assert!(
        told.actions.contains(&("open".into(), "Reconnect".into())),
        "{told:?}"
    );
    desktop.notifications().choose(&told, "open").await;
    desktop.shows(&[MAIN]).await;
    drop(main);

    let main = app.main().await;
    main.says("robin@example.com").await;
    let opened = desktop.browser.opened().len();
    main.press("Review").await;
    main.press("Open the browser").await;
    let address = desktop.browser.address(opened).await;
    desktop.browser.consent(&address, &[]).await;
    main.says("gave its consent").await;
    let after = agent.access_token("fastio").await;
    assert_ne!(before, after, "the agent keeps its grant");
    let all = desktop.notifications().all();
    let told: Vec<_> = all
        .iter()
        .filter(|shown| shown.summary.contains("reconnect"))
        .collect();
    assert_eq!(told.len(), 1, "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_tray_or_notifications_the_windows_do_everything() {
    let mut desktop = Desktop::bare().await;
    let app = desktop.start(&[]);
    let main = app.main().await;
    connect(&desktop, &main, &[]).await;
    let stranger = desktop.world.stranger();
    let asked = stranger.ask("Reporter", "fastio:token").await;
    desktop.shows(&[MAIN, APPROVAL]).await;
    let approval = app.approval().await;
    approval.says(&asked.user_code).await;
    approval.press("Approve").await;
    approval.says("Approved.").await;
    approval.press("Close").await;
    let agent = desktop.world.fetch_key(&stranger, &asked).await;
    agent.token("fastio").await.expect(200);

    desktop.put_up_tray().await;
    let item = desktop.tray().item().await;
    item.choose("Pause all agents").await;
    is_refused(&agent, "agent_paused").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_named_in_the_window_until_it_is_free() {
    let desktop = Desktop::new().await;
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = holder.local_addr().expect("it has one").port();
    let settings = desktop.world.folder().join("config/doorward/config.toml");
    std::fs::write(settings, format!("port = {port}\n")).expect("it can be written");
    let app = desktop.start(&[]);
    let main = app.main().await;
    main.says(&format!("127.0.0.1:{port} is taken by")).await;
    let item = desktop.tray().item().await;
    assert!(item.tooltip().await.1.contains("is taken by"));
    main.press("Try again").await;
    main.says(&format!("127.0.0.1:{port} is taken by")).await;
    drop(holder);
    main.press("Try again").await;
    main.says("Welcome to Doorward").await;
    desktop.world.stranger().get("/healthz").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_elsewhere_is_seen_in_the_window() {
    let (desktop, app, main) = connected().await;
    let _agent = pair(&desktop, &app, "Reporter").await;
    main.press("Agents").await;
    main.says("Active").await;
    desktop.world.run(&["pause", "--all"]).await.done();
    main.says("All agents are paused.").await;
    desktop.world.run(&["resume", "--all"]).await.done();
    main.says_no_more("All agents are paused.").await;
    desktop.world.run(&["revoke", "Reporter"]).await.done();
    main.says("No agent yet.").await;
}
