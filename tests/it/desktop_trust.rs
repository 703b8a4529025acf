//! What nobody but a person at the window can do, and what a page in the window cannot do either.

use doorward_e2e::desktop::Window;
use doorward_e2e::{Asked, PIN, World};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::desktop::{ask, connected};

/// Asks the control socket as any program of this person can.
async fn control(world: &World, question: &Value) -> Value {
    let socket = UnixStream::connect(world.data().join("control.sock")).await;
    let mut socket = BufReader::new(socket.expect("the application listens"));
    let question = format!("{question}\n");
    socket
        .get_mut()
        .write_all(question.as_bytes())
        .await
        .expect("it listens");
    let mut answer = String::new();
    socket.read_line(&mut answer).await.expect("it answers");
    serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no answer: {answer:?}"))
}

/// The code of a refusal over the control socket.
fn refusal(answer: &Value) -> &str {
    answer["Err"]["code"]
        .as_str()
        .unwrap_or_else(|| panic!("not refused: {answer}"))
}

/// What a program can send that knows the code.
fn over_http(asked: &Asked) -> Vec<(String, Vec<(&str, &str)>)> {
    let code = asked.user_code.as_str();
    let client = asked.client.as_str();
    let told = vec![
        ("user_code", code),
        ("code", code),
        ("client_id", client),
        ("action", "approve"),
        ("approve", "true"),
        ("pin", PIN),
    ];
    let paths = [
        "/oauth/device",
        "/oauth/device_authorization",
        "/oauth/token",
        "/oauth/authorize",
        "/oauth/approve",
        "/oauth/revoke",
        "/v1/requests",
        "/v1/approve",
        "/v1/connections",
    ];
    let mut sent: Vec<_> = paths.map(|path| (path.to_owned(), told.clone())).into();
    sent.push((format!("/v1/requests/{code}/approve"), told.clone()));
    sent.push((
        format!("/oauth/device?user_code={code}&action=approve"),
        told,
    ));
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_given_in_the_window_and_nowhere_else() {
    let (desktop, app, _main) = connected().await;
    let world = &desktop.world;
    let (stranger, asked, approval) = ask(&desktop, &app, "Reporter", "fastio:token").await;
    let terms = json!({});

    // Over the control socket: with any PIN, also one that was set just before.
    let approve = |pin: &str| json!({ "ask": "approve", "code": asked.user_code, "terms": terms, "pin": pin });
    for pin in ["", "0000", PIN] {
        assert_eq!(
            refusal(&control(world, &approve(pin)).await),
            "needs_window"
        );
    }
    let set = json!({ "ask": "set_pin", "before": null, "pin": PIN });
    let _whatever = control(world, &set).await;
    assert_eq!(
        refusal(&control(world, &approve(PIN)).await),
        "needs_window"
    );
    let add = json!({ "ask": "add_agent", "name": "Sly", "terms": { "connection": "fastio" }, "pin": PIN });
    assert_eq!(refusal(&control(world, &add).await), "needs_window");
    let typed = world.approve(&asked.user_code, &[]).await;
    assert_eq!(typed.refused(4).json()["error"]["code"], "needs_window");

    // Over HTTP.
    for (path, fields) in over_http(&asked) {
        let answer = stranger.form(&path, &fields).await;
        assert!(
            answer.text("access_token").is_empty(),
            "{path}: {}",
            answer.body
        );
        stranger.get(&path).await;
    }

    // By a notification: its own action only opens the window, and words made up by others do nothing.
    let notification = desktop
        .notifications()
        .about("Reporter asks for approval")
        .await;
    for key in ["approve", "Approve", "allow", "yes", "open", "default"] {
        desktop
            .notifications()
            .forge_choice(notification.id, key)
            .await;
    }
    for (key, _) in &notification.actions {
        desktop.notifications().choose(&notification, key).await;
    }

    let pending = stranger.poll(&asked).await.expect(400);
    assert_eq!(pending.text("error"), "authorization_pending");
    assert_eq!(world.ask(&["agents"]).await, json!([]));
    assert_eq!(world.ask(&["requests"]).await[0]["code"], asked.user_code);
    approval.press("Deny").await;
    approval.says("Denied.").await;
}

/// Commands of Tauri and its plugins with which a page could leave its window.
const OF_THE_SHELL: [&str; 12] = [
    "plugin:app|version",
    "plugin:event|emit",
    "plugin:event|emit_to",
    "plugin:opener|open_url",
    "plugin:opener|open_path",
    "plugin:autostart|enable",
    "plugin:window-state|save_window_state",
    "plugin:window|create",
    "plugin:window|set_title",
    "plugin:webview|create_webview_window",
    "plugin:path|resolve_directory",
    "plugin:tray|new",
];

/// What the program offers to its main window, as the build declares it; but for quitting, which would end the test.
fn of_doorward() -> Vec<&'static str> {
    let (_, list) = include_str!("../../src-tauri/build.rs")
        .split_once("&[\n")
        .expect("the list of commands");
    let (list, _) = list.split_once(']').expect("its end");
    let all = list.split('"').skip(1).step_by(2);
    all.filter(|command| *command != "quit").collect()
}

/// Those of the commands that are closed to a window. What is open may still refuse what it is given: here nothing.
async fn closed_to(window: &Window, commands: &[&'static str]) -> Vec<&'static str> {
    let mut closed = Vec::new();
    for command in commands {
        let answer = window.command(command, &json!({})).await;
        let error = answer.err().unwrap_or_default();
        let text = error.as_str().unwrap_or_default();
        if text.contains("not allowed") || text.contains("not found") {
            closed.push(*command);
        }
    }
    closed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_can_call_what_its_window_is_for_and_no_more() {
    let (desktop, app, main) = connected().await;
    let (_, _, approval) = ask(&desktop, &app, "Reporter", "fastio:token").await;
    assert_eq!(closed_to(&main, &OF_THE_SHELL).await, OF_THE_SHELL);
    assert_eq!(closed_to(&approval, &OF_THE_SHELL).await, OF_THE_SHELL);
    assert_eq!(closed_to(&main, &of_doorward()).await, [""; 0]);
    let for_approving = [
        "snapshot",
        "approve",
        "deny",
        "allow_call",
        "deny_call",
        "check_limits",
    ];
    let not_for_approving = of_doorward()
        .into_iter()
        .chain(["quit"])
        .filter(|command| !for_approving.contains(command))
        .collect::<Vec<_>>();
    let closed = closed_to(&approval, &[of_doorward().as_slice(), &["quit"]].concat()).await;
    assert_eq!(closed, not_for_approving);
    let globals = "return [window.__TAURI__ === undefined, Object.isFrozen(Object.prototype)]";
    assert_eq!(
        main.evaluate(globals, &json!([])).await,
        json!([true, true])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_got_into_a_page_reaches_nothing_outside() {
    let (desktop, app, main) = connected().await;
    let (_, _, approval) = ask(&desktop, &app, "Reporter", "fastio:token").await;
    desktop.world.sim.reset_counts();
    let outside = format!("{}/stolen", desktop.world.sim.base_url());
    for window in [&main, &approval] {
        let here = window.evaluate("return location.href", &json!([])).await;
        let fetched =
            "return fetch(arguments[0], { mode: 'no-cors' }).then(() => 'went', () => 'kept')";
        assert_eq!(window.evaluate(fetched, &json!([outside])).await, "kept");
        let shown = "return new Promise((done) => {
            const image = new Image();
            image.onload = () => done('went');
            image.onerror = () => done('kept');
            image.src = arguments[0];
        })";
        assert_eq!(window.evaluate(shown, &json!([outside])).await, "kept");
        let opened = "return window.open(arguments[0]) === null ? 'kept' : 'went'";
        assert_eq!(window.evaluate(opened, &json!([outside])).await, "kept");
        window
            .evaluate("location.href = arguments[0]", &json!([outside]))
            .await;
        window.says("fastio").await;
        assert_eq!(
            window.evaluate("return location.href", &json!([])).await,
            here
        );
    }
    let reached = desktop.world.sim.requests();
    assert!(
        !reached
            .iter()
            .any(|request| format!("{request:?}").contains("stolen")),
        "{reached:?}"
    );
    assert_eq!(desktop.browser.opened().len(), 1, "the consent alone");
}
