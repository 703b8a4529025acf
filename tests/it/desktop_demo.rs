//! What `make demo` plays on a desktop, with somebody who does what it says.

use doorward_e2e::desktop::{App, Desktop, Window};
use doorward_e2e::{World, doorward, eventually, repository};

use crate::desktop::choose_passphrase;

/// Waits until the demo says what to do next.
async fn told(demo: &App, what: &str) {
    eventually(&format!("the demo says {what:?}"), async || {
        demo.said().contains(what)
    })
    .await;
}

/// The approval window, by the notification's button.
async fn review(desktop: &Desktop, demo: &App, about: &str) -> Window {
    let notification = desktop.notifications().about(about).await;
    desktop.notifications().choose(&notification, "open").await;
    demo.approval().await
}

/// Connects the simulated Fast.io and picks one workspace.
async fn connect(desktop: &Desktop, demo: &App, main: &Window) {
    told(demo, "press “Review”, then “Open the browser”").await;
    main.press("Connect…").await;
    main.choose("Simulated Fast.io").await;
    main.press("Review").await;
    main.press("Open the browser").await;
    let address = desktop.browser.address(0).await;
    desktop.browser.consent(&address, &["Website=rw"]).await;
    main.press("Done").await;
}

/// Lets the agent in, with the limits that the demo says to type.
async fn let_in(desktop: &Desktop, demo: &App) {
    told(demo, "Press “Approve”").await;
    let approval = review(desktop, demo, "File watcher asks for approval").await;
    approval.press("More limits").await;
    for (said, label) in [
        ("storage(action=list)", "Only these MCP tools"),
        ("GET", "Only these HTTP methods"),
        ("POST /workspace/", "Ask me before these calls"),
    ] {
        told(demo, &format!("{said}  into “{label}”")).await;
        approval.fill(label, said).await;
    }
    approval.press("Approve").await;
    approval.says("Approved. File watcher may use").await;
    approval.press("Close").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_at_the_window_holds_for_who_does_what_it_says() {
    let desktop = Desktop::of(World::builder()).await;
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let place = scratch.path().to_string_lossy();
    let programs = doorward();
    let programs = programs.parent().expect("in a folder").to_string_lossy();
    let more = [("TMPDIR", &*place), ("DOORWARD_PROGRAMS", &*programs)];
    let demo = desktop.start_by(&repository().join("scripts/demo"), &[], &more);

    let main = demo.main().await;
    choose_passphrase(&main).await;
    connect(&desktop, &demo, &main).await;
    let_in(&desktop, &demo).await;
    told(&demo, "Press “Allow once”").await;
    let approval = review(&desktop, &demo, "File watcher asks to call POST").await;
    approval.says("With this body name=Reviewed").await;
    approval.press("Allow once").await;
    approval.press("Close").await;
    told(&demo, "press “Revoke…”").await;
    main.press("Agents").await;
    main.press("Revoke…").await;
    main.press("Revoke").await;
    told(&demo, "press “Disconnect…”").await;
    main.press("Connections").await;
    main.press("Disconnect…").await;
    main.press("Disconnect").await;
    told(&demo, "Press “Quit…”").await;
    main.press("Quit…").await;
    main.press("Quit").await;

    let ran = demo.ended().await.done();
    assert!(ran.stdout.contains("Everything held."), "{ran}");
    let left = std::fs::read_dir(scratch.path()).expect("it is there");
    assert_eq!(left.count(), 0, "nothing is left behind");
}
