//! The desktop application as a person meets it: the main job from a first start to the end of an agent's access.

use std::time::Duration;

use doorward_e2e::desktop::{App, Desktop, MAIN, Window};
use doorward_e2e::{Agent, Asked, Consent, PASSPHRASE, Scan, World, demo, eventually};

/// What the gateway tells agents to wait between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// A person connects the provider in the main window and answers in the browser.
pub(crate) async fn connect(desktop: &Desktop, main: &Window, picks: &[&str]) {
    let opened = desktop.browser.opened().len();
    main.press("Connect…").await;
    main.press("More").await;
    main.fill("Another address of Fast.io", desktop.world.sim.base_url())
        .await;
    main.press("Review").await;
    main.press("Open the browser").await;
    let address = desktop.browser.address(opened).await;
    main.says("Answer in your browser.").await;
    desktop.browser.consent(&address, picks).await;
    main.says("gave its consent").await;
    main.press("Done").await;
    main.says("Connections").await;
}

/// The application as it runs, with the connection `fastio`.
pub(crate) async fn connected() -> (Desktop, App, Window) {
    let desktop = Desktop::new().await;
    let app = desktop.start(&[]);
    let main = app.main().await;
    connect(&desktop, &main, &[]).await;
    (desktop, app, main)
}

/// An agent asks, and the person opens the approval window by the notification's button.
pub(crate) async fn ask(
    desktop: &Desktop,
    app: &App,
    name: &str,
    scope: &str,
) -> (Agent, Asked, Window) {
    let stranger = desktop.world.stranger();
    let asked = stranger.ask(name, scope).await;
    let notification = desktop
        .notifications()
        .about(&format!("{name} asks for approval"))
        .await;
    desktop.notifications().choose(&notification, "open").await;
    let approval = app.approval().await;
    approval.says(name).await;
    approval.says(&asked.user_code).await;
    (stranger, asked, approval)
}

/// The agent fetches what it was given. One that has just polled waits as it was told.
async fn let_in(desktop: &Desktop, stranger: &Agent, asked: &Asked) -> Agent {
    tokio::time::sleep(POLL_INTERVAL).await;
    desktop.world.fetch_key(stranger, asked).await
}

/// Asks, is approved as it asked, and fetches its key.
pub(crate) async fn pair(desktop: &Desktop, app: &App, name: &str) -> Agent {
    let (stranger, asked, approval) = ask(desktop, app, name, "fastio:token").await;
    approval.press("Approve").await;
    approval.says("Approved.").await;
    approval.press("Close").await;
    desktop.world.fetch_key(&stranger, &asked).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_holds_in_the_window() {
    let desktop = Desktop::new().await;
    let app = desktop.start(&[]);
    let main = app.main().await;
    main.says("Welcome to Doorward").await;
    connect(&desktop, &main, &[]).await;
    main.says(demo::EMAIL).await;

    let stranger = desktop.world.stranger();
    let asked = stranger.ask("Reporter", "fastio:proxy fastio:token").await;
    let pending = stranger.poll(&asked).await.expect(400);
    assert_eq!(pending.text("error"), "authorization_pending");
    let notification = desktop
        .notifications()
        .about("Reporter asks for approval")
        .await;
    assert_eq!(notification.application, "Doorward");
    assert!(
        notification
            .actions
            .contains(&("open".into(), "Review".into())),
        "{notification:?}"
    );
    desktop.notifications().choose(&notification, "open").await;
    let approval = app.approval().await;
    approval.says("“Reporter”").await;
    approval.says(&asked.user_code).await;
    approval.choose("Token").await;
    approval.choose("For an hour").await;
    approval.press("Approve").await;
    approval
        .says("Approved. Reporter may use fastio through the token door.")
        .await;
    let agent = let_in(&desktop, &stranger, &asked).await;
    let token = agent.access_token("fastio").await;
    desktop
        .world
        .list_files(demo::WEBSITE, &token)
        .await
        .expect(200);
    let [given] = desktop.world.ask(&["agents"]).await[0]["grants"]
        .as_array()
        .cloned()
        .unwrap_or_default()
        .try_into()
        .expect("one grant");
    assert_eq!(given["doors"], serde_json::json!(["token"]));
    assert!(given["lifetime"]["until"].is_number(), "{given}");
    approval.press("Close").await;
    desktop.shows(&[MAIN]).await;

    main.press("Agents").await;
    main.press("Revoke…").await;
    main.press("Revoke").await;
    main.says("Revoked Reporter.").await;
    assert_eq!(
        agent.token("fastio").await.expect(401).code(),
        "unauthenticated"
    );
    desktop.world.verify_audit().await;
    nothing_can_be_read(&desktop, &app, &[&agent.key, &asked.device_code]);
}

/// No secret of the story is in any file or in what was said; the web view's own files are looked at, too.
fn nothing_can_be_read(desktop: &Desktop, app: &App, secrets: &[&str]) {
    let mut scan = Scan::new().with_all_of(&desktop.world.sim);
    for secret in secrets {
        scan = scan.with("what the agent was given", secret);
    }
    let (files, bytes) = scan.nothing_in(&desktop.world.kept(), &[&app.said()]);
    assert!(
        files >= 4 && bytes > 20_000,
        "database, logs, lock, endpoint: {files} files, {bytes} bytes"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_person_picked_in_the_browser_is_what_the_window_shows() {
    let desktop = Desktop::new().await;
    let app = desktop.start(&[]);
    let main = app.main().await;
    connect(&desktop, &main, &["Website=r"]).await;
    let granted = &desktop.world.connections().await[0]["granted"];
    assert_eq!(
        *granted,
        serde_json::json!([format!("workspace:{}:r", demo::WEBSITE)])
    );
    main.says(&format!("Workspace {}", demo::WEBSITE)).await;
    assert!(!main.text().await.contains(demo::LEAFLETS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_finds_everything() {
    let (desktop, app, main) = connected().await;
    let agent = pair(&desktop, &app, "Reporter").await;
    let before = agent.access_token("fastio").await;
    let waiting = desktop.world.stranger();
    let asked = waiting.ask("Later", "fastio:token").await;
    main.press("Quit…").await;
    main.press("Quit").await;
    app.ended().await.done();
    assert!(desktop.tray().is_empty().await);
    assert!(
        !desktop
            .world
            .folder()
            .join("run/doorward/endpoint.json")
            .exists()
    );

    let app = desktop.start(&[]);
    let main = app.main().await;
    main.says(demo::EMAIL).await;
    assert_eq!(
        agent.access_token("fastio").await,
        before,
        "the token that is still good"
    );
    main.press("Agents").await;
    main.says("Reporter").await;
    main.press("Approvals").await;
    main.says("Later").await;
    main.press("Approve").await;
    main.says("Approved.").await;
    let later = let_in(&desktop, &waiting, &asked).await;
    later.token("fastio").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_serves_is_taken_over_when_the_person_agrees() {
    let desktop = Desktop::new().await;
    let served = desktop.world.serve().await;
    desktop.world.set_pin().await;
    desktop.world.connect(&[], &Consent::everything()).await;
    let agent = desktop.world.pair("Reporter", "fastio:token").await;
    let pid = served.process.pid().expect("it runs").to_string();

    let app = desktop.start(&[]);
    let main = app.main().await;
    main.says("Doorward runs already").await;
    main.says(&pid).await;
    agent.token("fastio").await.expect(200);
    assert_eq!(
        desktop.world.ask(&["status"]).await["pid"],
        served.process.pid().unwrap_or_default()
    );

    main.press("Take over").await;
    served.process.ended().await.done();
    main.says(demo::EMAIL).await;
    agent.token("fastio").await.expect(200);
    eventually("the command sees the application", async || {
        desktop.world.ask(&["status"]).await["pid"] == app.pid()
    })
    .await;
    desktop.shows(&[MAIN]).await;
}

/// The person chooses the passphrase of a new store.
pub(crate) async fn choose_passphrase(main: &Window) {
    main.says("Choose a passphrase").await;
    main.fill("Passphrase", PASSPHRASE).await;
    main.fill("The same once more", PASSPHRASE).await;
    main.press("Use this passphrase").await;
    main.says("Welcome to Doorward").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passphrase_is_chosen_in_the_window_and_opens_it_after_a_restart() {
    let desktop = Desktop::of(World::builder()).await;
    let app = desktop.start(&[]);
    let main = app.main().await;
    choose_passphrase(&main).await;
    connect(&desktop, &main, &[]).await;
    let agent = pair(&desktop, &app, "Reporter").await;
    app.terminate();
    app.ended().await.done();

    let app = desktop.start(&[]);
    let main = app.main().await;
    main.says("Doorward is locked").await;
    assert_eq!(
        agent.token("fastio").await.expect(503).code(),
        "store_locked"
    );
    main.fill("Passphrase", "a kettle of tin").await;
    main.press("Unlock").await;
    main.says("not the store's passphrase").await;
    main.fill("Passphrase", PASSPHRASE).await;
    main.press("Unlock").await;
    main.says(demo::EMAIL).await;
    agent.token("fastio").await.expect(200);
}
