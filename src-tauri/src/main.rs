//! Doorward's desktop application: it holds the broker in its own process and is the person's side of it.
//!
//! One task holds the broker (`keeper`). Windows reach it through `commands`; what changes is shown again by `live`,
//! in the windows as events and in the tray; what a person has to know comes from the broker's `Shell` as a notice
//! and becomes a notification (`telling`). What a menu, a notification and a snapshot say is decided as plain data and
//! tested without a display.

#[cfg(test)]
mod bindings;
mod commands;
mod consents;
mod goto;
mod keeper;
mod limits;
mod live;
mod problem;
#[cfg(test)]
mod samples;
mod snapshot;
mod telling;
mod tray;
mod windows;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use doorward_broker::Keys;
use doorward_host::{Folders, Settings, hardening, logs};
use tauri::{App, AppHandle, RunEvent, Wry};
use tokio::sync::mpsc;

use crate::keeper::{Keeper, Post};
use crate::telling::DesktopShell;

/// Doorward in the tray: which agents may use your accounts, and what they do.
#[derive(Parser)]
#[command(name = "doorward-desktop", version)]
struct Arguments {
    /// Begin with the tray icon alone, without the window
    #[arg(long)]
    hidden: bool,
    /// Keep Doorward's data in DIR
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    hardening::apply();
    let arguments = Arguments::parse();
    if let Err(reason) = refuse_to_be_driven() {
        return failed(&reason);
    }
    let post = match post(&arguments) {
        Ok(post) => post,
        Err(reason) => return failed(&reason),
    };
    logs::to_file(&post.folders.log(), logs::OF_DESKTOP);
    hardening::forbid_looking_in();
    let app = tauri::Builder::default()
        // First, so that a second start touches nothing else.
        .plugin(
            tauri_plugin_single_instance::Builder::new()
                .dbus_id(instance(&post.folders))
                .callback(|app, arguments, _| {
                    if !arguments.iter().any(|argument| argument == "--hidden") {
                        windows::open_main(app, None);
                    }
                })
                .build(),
        )
        .plugin(
            tauri_plugin_window_state::Builder::new()
                .with_denylist(&[windows::APPROVAL])
                .build(),
        )
        .invoke_handler(commands::handler())
        .setup(move |app| {
            set_up(app, post, !arguments.hidden);
            Ok(())
        })
        .build(context());
    match app {
        Ok(app) => ExitCode::from(u8::try_from(app.run_return(on_event)).unwrap_or(1)),
        Err(error) => failed(&format!(
            "The window cannot be made: {error}.\n  → Start it in a desktop session, or use `doorward serve` on a machine without one."
        )),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "generated: it ends where the program's own parts are broken"
)]
fn context<R: tauri::Runtime>() -> tauri::Context<R> {
    tauri::generate_context!()
}

/// The name that tells a second start from the first: one for each data folder.
fn instance(folders: &Folders) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    folders.data.hash(&mut hasher);
    format!("org.doorward.Doorward.d{:016x}", hasher.finish())
}

fn post(arguments: &Arguments) -> Result<Post, String> {
    let folders = Folders::find(arguments.data_dir.as_deref())
        .map_err(|error| format!("{error}\n  → {}", doorward_host::NoFolder::HINT))?;
    let settings =
        Settings::read(&folders.config).map_err(|error| format!("{error}\n  → {}", error.hint))?;
    Ok(Post {
        folders,
        port: settings.port.unwrap_or(doorward_gateway::DEFAULT_PORT),
        keys: settings.keys.unwrap_or(Keys::Keyring),
    })
}

/// A window that another program can press buttons in is no proof of a person. What lets `WebKit` be driven or looked
/// into is for tests, which run a debug build.
fn refuse_to_be_driven() -> Result<(), String> {
    const DRIVING: [&str; 3] = [
        "TAURI_WEBVIEW_AUTOMATION",
        "WEBKIT_INSPECTOR_SERVER",
        "WEBKIT_INSPECTOR_HTTP_SERVER",
    ];
    if cfg!(debug_assertions) {
        return Ok(());
    }
    match DRIVING
        .into_iter()
        .find(|name| std::env::var_os(name).is_some())
    {
        Some(name) => Err(format!(
            "{name} is set, and with it another program could answer in Doorward's window.\n  → Unset it, then start Doorward again."
        )),
        None => Ok(()),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "before there is a window, a terminal is all there is to say it on"
)]
fn failed(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::FAILURE
}

fn set_up(app: &mut App, post: Post, shown: bool) {
    use tauri::Manager as _;
    let app: AppHandle = app.handle().clone();
    let (notices, heard) = mpsc::unbounded_channel();
    let (keeper, keeping) = Keeper::new(post, Arc::new(DesktopShell::new(notices)));
    app.manage(keeper.clone());
    app.manage(consents::Consents::default());
    app.manage(goto::Waiting::default());
    tauri::async_runtime::spawn({
        let app = app.clone();
        async move {
            keeping.await;
            app.exit(0);
        }
    });
    tauri::async_runtime::spawn(telling::listen(app.clone(), keeper.clone(), heard));
    tauri::async_runtime::spawn(live::follow(app.clone(), keeper));
    if shown {
        windows::open_main(&app, None);
    }
}

fn on_event(_: &AppHandle<Wry>, event: RunEvent) {
    // Closing the last window keeps the tray, the broker and the gateway. Only quitting has a code.
    if let RunEvent::ExitRequested {
        code: None, api, ..
    } = event
    {
        api.prevent_exit();
    }
}
