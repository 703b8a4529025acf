//! What a window may ask. Each command asks the broker and maps; which window may call which is in `capabilities/`.

use doorward_broker::control::{Connect, TermsAsk};
use doorward_broker::handle::{PauseTarget, Proof};
use doorward_broker::views::{
    ActivityAsk, ActivityPage, AgentRevoked, ConnectionView, ConsentStarted, Disconnected, LockView,
};
use doorward_core::name::Name;
use doorward_core::secret::Passphrase;
use tauri::ipc::Invoke;
use tauri::{Emitter as _, Runtime, State, WebviewWindow};

use crate::consents::Consents;
use crate::goto::Waiting;
use crate::keeper::Keeper;
use crate::limits::{TypedLimits, WrongLimit};
use crate::problem::Problem;
use crate::snapshot::Snapshot;

type Answer<T> = Result<T, Problem>;

/// All commands. `build.rs` names them too, and a test compares.
pub(crate) fn handler<R: Runtime>() -> impl Fn(Invoke<R>) -> bool + Send + Sync + 'static {
    tauri::generate_handler![
        snapshot,
        connect,
        open_consent,
        await_consent,
        paste_consent,
        cancel_consent,
        disconnect,
        retry,
        approve,
        deny,
        allow_call,
        deny_call,
        take_back,
        check_limits,
        revoke_agent,
        set_paused,
        activity,
        release_lock,
        unlock,
        take_over,
        quit,
    ]
}

#[tauri::command]
async fn snapshot<R: Runtime>(
    window: WebviewWindow<R>,
    keeper: State<'_, Keeper>,
    waiting: State<'_, Waiting>,
) -> Answer<Snapshot> {
    if let Some(goto) = waiting.take(window.label()) {
        window
            .emit_to(window.label(), crate::windows::GOTO, goto)
            .map_err(|error| unheard(&error))?;
    }
    let handle = keeper.handle_now().await?;
    Ok(Snapshot::of(&handle, &keeper.providers()).await?)
}

fn unheard(error: &tauri::Error) -> Problem {
    let hint = "Close the window and open it again.";
    Problem::new(
        Problem::FAILED,
        format!("The window cannot be reached: {error}."),
        hint,
    )
}

#[tauri::command]
async fn connect(
    keeper: State<'_, Keeper>,
    consents: State<'_, Consents>,
    ask: Connect,
) -> Answer<ConsentStarted> {
    let started = keeper.handle().await?.connect(ask.into()).await?;
    consents.started(&started.flow, &started.url);
    Ok(started)
}

#[tauri::command]
async fn open_consent(consents: State<'_, Consents>, flow: String) -> Answer<()> {
    let address = consents.address(&flow)?;
    tauri_plugin_opener::open_url(address, None::<&str>).map_err(|error| {
        Problem::new(
            "browser_unavailable",
            format!("No browser could be opened: {error}."),
            "Copy the address into a browser yourself.",
        )
    })
}

#[tauri::command]
async fn await_consent(
    keeper: State<'_, Keeper>,
    consents: State<'_, Consents>,
    flow: String,
) -> Answer<ConnectionView> {
    let connected = keeper.handle().await?.connected(flow.clone()).await;
    consents.ended(&flow);
    Ok(connected?)
}

#[tauri::command]
async fn paste_consent(
    keeper: State<'_, Keeper>,
    flow: String,
    address: String,
) -> Answer<ConnectionView> {
    Ok(keeper.handle().await?.paste(flow, address).await?)
}

#[tauri::command]
async fn cancel_consent(
    keeper: State<'_, Keeper>,
    consents: State<'_, Consents>,
    flow: String,
) -> Answer<()> {
    consents.ended(&flow);
    Ok(keeper.handle().await?.cancel(flow).await?)
}

#[tauri::command]
async fn disconnect(keeper: State<'_, Keeper>, name: Name) -> Answer<Disconnected> {
    Ok(keeper.handle().await?.disconnect(name).await?)
}

#[tauri::command]
async fn retry(keeper: State<'_, Keeper>, name: Name) -> Answer<ConnectionView> {
    Ok(keeper.handle().await?.retry(name).await?)
}

#[tauri::command]
async fn approve(keeper: State<'_, Keeper>, code: String, terms: TermsAsk) -> Answer<String> {
    let handle = keeper.handle().await?;
    Ok(handle.approve(code, terms.into(), Proof::Window).await?)
}

#[tauri::command]
async fn deny(keeper: State<'_, Keeper>, code: String) -> Answer<()> {
    Ok(keeper.handle().await?.deny(code).await?)
}

#[tauri::command]
async fn allow_call(keeper: State<'_, Keeper>, code: String, always: bool) -> Answer<String> {
    let handle = keeper.handle().await?;
    Ok(handle.allow_call(code, always, Proof::Window).await?)
}

#[tauri::command]
async fn deny_call(keeper: State<'_, Keeper>, code: String, always: bool) -> Answer<String> {
    Ok(keeper.handle().await?.deny_call(code, always).await?)
}

#[tauri::command]
async fn take_back(keeper: State<'_, Keeper>, answer: String) -> Answer<String> {
    Ok(keeper.handle().await?.take_back(answer).await?)
}

#[tauri::command]
fn check_limits(limits: TypedLimits) -> Vec<WrongLimit> {
    limits.wrong()
}

#[tauri::command]
async fn revoke_agent(keeper: State<'_, Keeper>, agent: String) -> Answer<AgentRevoked> {
    Ok(keeper.handle().await?.revoke_agent(agent).await?)
}

#[tauri::command]
async fn set_paused(keeper: State<'_, Keeper>, target: PauseTarget, paused: bool) -> Answer<usize> {
    Ok(keeper.handle().await?.set_paused(target, paused).await?)
}

#[tauri::command]
async fn activity(keeper: State<'_, Keeper>, ask: ActivityAsk) -> Answer<ActivityPage> {
    Ok(keeper.handle().await?.activity(ask).await?)
}

#[tauri::command]
async fn release_lock(keeper: State<'_, Keeper>, lock: String) -> Answer<LockView> {
    Ok(keeper.handle().await?.release_lock(lock).await?)
}

#[tauri::command]
async fn unlock(keeper: State<'_, Keeper>, passphrase: Option<String>) -> Answer<()> {
    let passphrase = passphrase.map(Passphrase::new);
    Ok(keeper.handle().await?.unlock(passphrase).await?)
}

#[tauri::command]
async fn take_over(keeper: State<'_, Keeper>) -> Answer<()> {
    keeper.take_over().await
}

#[tauri::command]
async fn quit(keeper: State<'_, Keeper>) -> Answer<()> {
    keeper.quit().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use doorward_broker::Keys;
    use doorward_broker::shell::Headless;
    use doorward_host::Folders;
    use tauri::ipc::{CallbackFn, InvokeBody};
    use tauri::test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder};
    use tauri::webview::InvokeRequest;
    use tauri::{App, Manager as _, WebviewUrl, WebviewWindowBuilder};

    use super::*;
    use crate::keeper::Post;
    use crate::windows::{APPROVAL, MAIN};

    /// Every command there is, as the build declares them.
    fn every_command() -> Vec<&'static str> {
        let (_, list) = include_str!("../build.rs").split_once("&[\n").unwrap();
        let (list, _) = list.split_once(']').unwrap();
        list.split('"').skip(1).step_by(2).collect()
    }

    /// What Tauri and its plugins offer to pages that may have it.
    const FOREIGN: [&str; 12] = [
        "plugin:app|version",
        "plugin:event|emit",
        "plugin:fs|read_text_file",
        "plugin:image|from_path",
        "plugin:menu|new",
        "plugin:opener|open_url",
        "plugin:path|resolve_directory",
        "plugin:resources|close",
        "plugin:tray|new",
        "plugin:webview|create_webview_window",
        "plugin:window-state|save_window_state",
        "plugin:window|set_title",
    ];

    /// The application without a display, and without a broker: what is let through fails, for the keeper is gone.
    fn app() -> App<MockRuntime> {
        let folder = std::env::temp_dir().join("doorward-without-a-broker");
        let post = Post {
            folders: Folders::find(Some(&folder)).unwrap(),
            port: 0,
            keys: Keys::Keyring,
        };
        let (keeper, keeping) = Keeper::new(post, Arc::new(Headless));
        drop(keeping);
        let app = mock_builder()
            .invoke_handler(handler())
            .build(crate::context())
            .unwrap();
        app.manage(keeper);
        app.manage(Consents::default());
        app.manage(Waiting::default());
        app
    }

    fn window(app: &App<MockRuntime>, label: &str) -> WebviewWindow<MockRuntime> {
        WebviewWindowBuilder::new(app, label, WebviewUrl::default())
            .build()
            .unwrap()
    }

    fn is_let_through(window: &WebviewWindow<MockRuntime>, command: &str, from: &str) -> bool {
        let request = InvokeRequest {
            cmd: command.to_owned(),
            callback: CallbackFn(0),
            error: CallbackFn(1),
            url: from.parse().unwrap(),
            body: InvokeBody::default(),
            headers: tauri::http::HeaderMap::new(),
            invoke_key: INVOKE_KEY.to_owned(),
        };
        match get_ipc_response(window, request) {
            Ok(_) => true,
            Err(error) => {
                let text = error.to_string();
                !(text.contains("not allowed") || text.contains("not found"))
            }
        }
    }

    fn let_through(window: &WebviewWindow<MockRuntime>, from: &str) -> BTreeSet<&'static str> {
        every_command()
            .into_iter()
            .chain(FOREIGN)
            .chain(["plugin:window|close"])
            .filter(|command| is_let_through(window, command, from))
            .collect()
    }

    #[test]
    fn a_window_can_call_what_its_capability_names_and_nothing_else() {
        const OWN: &str = "tauri://localhost";
        let app = app();
        let main = window(&app, MAIN);
        let approval = window(&app, APPROVAL);
        let stranger = window(&app, "stranger");

        let all = every_command();
        assert!(all.contains(&"approve") && all.contains(&"quit"));
        assert_eq!(let_through(&main, OWN), all.into_iter().collect());
        assert_eq!(
            let_through(&approval, OWN),
            BTreeSet::from([
                "snapshot",
                "approve",
                "deny",
                "allow_call",
                "deny_call",
                "check_limits",
                "plugin:window|close",
            ])
        );
        assert_eq!(let_through(&stranger, OWN), BTreeSet::new());
        for window in [&main, &approval] {
            assert_eq!(
                let_through(window, "https://evil.example"),
                BTreeSet::new(),
                "a page from elsewhere"
            );
        }
    }

    #[test]
    fn a_failure_says_what_happened_and_what_to_do_next() {
        let app = app();
        let request = InvokeRequest {
            cmd: "snapshot".to_owned(),
            callback: CallbackFn(0),
            error: CallbackFn(1),
            url: "tauri://localhost".parse().unwrap(),
            body: InvokeBody::default(),
            headers: tauri::http::HeaderMap::new(),
            invoke_key: INVOKE_KEY.to_owned(),
        };
        let error = get_ipc_response(&window(&app, MAIN), request).unwrap_err();
        assert_eq!(
            error,
            serde_json::json!({
                "code": "failed",
                "message": "Doorward is ending.",
                "hint": "Start it again to go on.",
            })
        );
    }
}
