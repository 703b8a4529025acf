//! What a window may ask. Each command asks the broker and maps; which window may call which is in `capabilities/`.

use doorward_broker::control::{Connect, TermsAsk};
use doorward_broker::handle::{PauseTarget, Proof};
use doorward_broker::views::{AgentRevoked, ConnectionView, ConsentStarted, Disconnected};
use doorward_core::name::Name;
use doorward_core::secret::Passphrase;
use tauri::ipc::Invoke;
use tauri::{Emitter as _, Runtime, State, WebviewWindow};

use crate::consents::Consents;
use crate::goto::Waiting;
use crate::keeper::Keeper;
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
        approve,
        deny,
        revoke_agent,
        set_paused,
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
async fn approve(keeper: State<'_, Keeper>, code: String, terms: TermsAsk) -> Answer<String> {
    let handle = keeper.handle().await?;
    Ok(handle.approve(code, terms.into(), Proof::Window).await?)
}

#[tauri::command]
async fn deny(keeper: State<'_, Keeper>, code: String) -> Answer<()> {
    Ok(keeper.handle().await?.deny(code).await?)
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
