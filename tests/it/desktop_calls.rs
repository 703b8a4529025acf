//! A person at the window is asked about single calls of an agent, and answers them.

use doorward_e2e::desktop::{App, Desktop, MAIN, Window};
use doorward_e2e::{Agent, Answer, demo};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::desktop::{ask, connected};

/// An agent that may call what it wants, each new call once its person has allowed it.
async fn asked_each_time(desktop: &Desktop, app: &App) -> Agent {
    let (stranger, asked, approval) = ask(desktop, app, "Tidy", "fastio:proxy").await;
    approval.choose("Ask me before each new call").await;
    approval.press("Approve").await;
    approval.says("With limits: asking you each time.").await;
    approval.press("Close").await;
    desktop.shows(&[MAIN]).await;
    desktop.world.fetch_key(&stranger, &asked).await
}

fn creating() -> String {
    format!("/workspace/{}/storage/root/createfolder/", demo::WEBSITE)
}

/// Makes a folder through the proxy door.
async fn create(agent: &Agent, folder: &str) -> Answer {
    let path = format!("/proxy/fastio{}", creating());
    agent.form(&path, &[("name", folder)]).await
}

/// The same, while the test goes on.
fn begin_to_create(agent: &Agent, folder: &'static str) -> JoinHandle<Answer> {
    let agent = agent.clone();
    tokio::spawn(async move { create(&agent, folder).await })
}

/// The approval window with the call that is waited for, as the notification's button opens it.
async fn shown_call(desktop: &Desktop, app: &App, folder: &str) -> Window {
    let notification = desktop
        .notifications()
        .about("Tidy asks to call POST /workspace/")
        .await;
    assert!(
        !notification.body.contains(folder),
        "what is sent may be private: {notification:?}"
    );
    desktop.notifications().choose(&notification, "open").await;
    let approval = app.approval().await;
    approval.says("“Tidy” asks to make a call").await;
    approval.says(&format!("POST {}", creating())).await;
    approval
        .says(&format!("With this body name={folder}"))
        .await;
    approval
}

/// How often a folder was to be made at the provider.
fn reached(desktop: &Desktop) -> usize {
    let requests = desktop.world.sim.requests();
    let meant = |path: &str| path.ends_with("/createfolder/");
    requests
        .iter()
        .filter(|request| meant(&request.path))
        .count()
}

fn told(desktop: &Desktop) -> usize {
    desktop.notifications().all().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_until_the_person_allows_it_and_then_goes_through() {
    let (desktop, app, _main) = connected().await;
    let agent = asked_each_time(&desktop, &app).await;
    let waiting = begin_to_create(&agent, "Reviewed");
    let approval = shown_call(&desktop, &app, "Reviewed").await;
    assert!(!waiting.is_finished());
    assert_eq!(reached(&desktop), 0, "nothing is sent before the answer");

    approval.press("Allow once").await;
    approval
        .says(&format!("Allowed once: Tidy may call POST {}", creating()))
        .await;
    let made = waiting.await.expect("it does not panic").expect(200);
    assert_eq!(made.json()["node"]["name"], "Reviewed");
    assert_eq!(reached(&desktop), 1);
    assert_eq!(desktop.world.ask(&["answers"]).await, json!([]));
    approval.press("Close").await;
    desktop.shows(&[MAIN]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_denied_for_good_is_refused_without_asking_until_that_is_taken_back() {
    let (desktop, app, main) = connected().await;
    let agent = asked_each_time(&desktop, &app).await;
    let waiting = begin_to_create(&agent, "Junk");
    let approval = shown_call(&desktop, &app, "Junk").await;
    approval.press("Always deny").await;
    approval
        .says(&format!(
            "Denied always: Tidy may not call POST {}",
            creating()
        ))
        .await;
    approval.press("Close").await;
    let denied = waiting.await.expect("it does not panic").expect(403);
    assert_eq!(denied.code(), "policy_denied");

    let before = told(&desktop);
    let again = create(&agent, "Junk").await.expect(403);
    assert_eq!(again.code(), "policy_denied");
    assert!(again.text("detail").contains("for good"), "{}", again.body);
    assert_eq!(desktop.world.ask(&["requests"]).await, json!([]));
    assert_eq!(told(&desktop), before, "nobody is asked");
    assert_eq!(reached(&desktop), 0);

    // It is in the window, with its agent, and is taken back there.
    let answers = desktop.world.ask(&["answers"]).await;
    assert_eq!(answers[0]["says"], "deny", "{answers}");
    main.press("Agents").await;
    main.press("1 lasting answer about single calls").await;
    main.says(&format!("Always denied: POST {}", creating()))
        .await;
    main.press("Take back").await;
    main.says_no_more("lasting answer").await;
    assert_eq!(desktop.world.ask(&["answers"]).await, json!([]));
    let asking = begin_to_create(&agent, "Junk");
    main.press("Approvals").await;
    main.says("“Tidy” asks to make a call").await;
    main.press("Deny").await;
    let denied: Value = asking.await.expect("it does not panic").expect(403).json();
    assert_eq!(denied["code"], "policy_denied");
    desktop.world.verify_audit().await;
}
