//! The tray icon on the screen. A task of its own puts there what is decided, where the desktop has a place for it.

use doorward_broker::handle::PauseTarget;
use tauri::image::Image;
use tauri::menu::{IsMenuItem, Menu, MenuEvent, MenuItem, PredefinedMenuItem};
use tauri::tray::{MouseButton, MouseButtonState, TrayIcon, TrayIconBuilder, TrayIconEvent};
use tauri::{AppHandle, Manager as _, Wry};
use tokio::sync::watch;

use super::{Act, Line, Mark, Shown, View};
use crate::goto::Goto;
use crate::keeper::Keeper;
use crate::windows;

/// The way to the task.
pub(crate) struct Tray(watch::Sender<Option<Shown>>);

impl Tray {
    /// Starts the task. It ends with this.
    pub(crate) fn new(app: AppHandle) -> Self {
        let (wanted, heard) = watch::channel(None);
        tauri::async_runtime::spawn(run(app, heard));
        Self(wanted)
    }

    /// Has the tray show this.
    pub(crate) fn show(&self, view: &View) {
        let shown = Shown::of(view);
        self.0.send_if_modified(|wanted| {
            let differs = wanted.as_ref() != Some(&shown);
            if differs {
                *wanted = Some(shown);
            }
            differs
        });
    }
}

async fn run(app: AppHandle, mut wanted: watch::Receiver<Option<Shown>>) {
    let mut icon: Option<TrayIcon> = None;
    loop {
        let shown = wanted.borrow_and_update().clone();
        if let Some(shown) = shown {
            let done = match &icon {
                None => put(&app, &shown).map(|made| icon = Some(made)),
                Some(icon) => change(&app, icon, &shown),
            };
            if let Err(error) = done {
                // The window and the command do everything.
                tracing::info!(%error, "the tray icon cannot be shown");
            }
        }
        let changed = if icon.is_none() {
            tokio::select! {
                changed = wanted.changed() => changed,
                () = super::place::appears() => Ok(()),
            }
        } else {
            wanted.changed().await
        };
        if changed.is_err() {
            return;
        }
    }
}

fn put(app: &AppHandle, shown: &Shown) -> tauri::Result<TrayIcon> {
    TrayIconBuilder::with_id("doorward")
        .icon(image(shown.mark))
        .title("Doorward")
        .tooltip(&shown.tooltip)
        .menu(&menu(app, &shown.lines)?)
        .show_menu_on_left_click(false)
        .on_menu_event(|app, event| chosen(app, &event))
        .on_tray_icon_event(|tray, event| {
            if let TrayIconEvent::Click {
                button: MouseButton::Left,
                button_state: MouseButtonState::Up,
                ..
            } = event
            {
                windows::open_main(tray.app_handle(), None);
            }
        })
        .build(app)
}

fn change(app: &AppHandle, icon: &TrayIcon, shown: &Shown) -> tauri::Result<()> {
    icon.set_menu(Some(menu(app, &shown.lines)?))?;
    icon.set_icon(Some(image(shown.mark)))?;
    icon.set_tooltip(Some(&shown.tooltip))
}

fn menu(app: &AppHandle, lines: &[Line]) -> tauri::Result<Menu<Wry>> {
    let menu = Menu::new(app)?;
    for line in lines {
        let item: Box<dyn IsMenuItem<Wry>> = match line {
            Line::Item(text, act) => Box::new(MenuItem::with_id(
                app,
                act.id(),
                literal(text),
                true,
                None::<&str>,
            )?),
            Line::Text(text) => Box::new(MenuItem::new(app, literal(text), false, None::<&str>)?),
            Line::Rule => Box::new(PredefinedMenuItem::separator(app)?),
        };
        menu.append(item.as_ref())?;
    }
    Ok(menu)
}

/// In a menu `&` marks the letter to press.
fn literal(text: &str) -> String {
    text.replace('&', "&&")
}

fn chosen(app: &AppHandle, event: &MenuEvent) {
    match Act::from_id(&event.id().0) {
        Some(Act::Open) => windows::open_main(app, None),
        Some(Act::Connection(name)) => windows::open_main(app, Some(Goto::connection(name))),
        Some(Act::Approvals) => windows::open_approval(app, None),
        Some(Act::PauseAll(paused)) => pause_all(app, paused),
        Some(Act::Quit) => {
            let keeper = app.state::<Keeper>().inner().clone();
            tauri::async_runtime::spawn(async move { keeper.quit().await });
        }
        None => {}
    }
}

fn pause_all(app: &AppHandle, paused: bool) {
    let keeper = app.state::<Keeper>().inner().clone();
    tauri::async_runtime::spawn(async move {
        let Ok(handle) = keeper.handle().await else {
            return;
        };
        if let Err(refusal) = handle.set_paused(PauseTarget::AllAgents, paused).await {
            tracing::error!(%refusal, paused, "the agents could not be paused or resumed");
        }
    });
}

fn image(mark: Mark) -> Image<'static> {
    match mark {
        Mark::Well => tauri::include_image!("../icons/tray/well.png"),
        Mark::Attention => tauri::include_image!("../icons/tray/attention.png"),
        Mark::NeedsYou => tauri::include_image!("../icons/tray/needs-you.png"),
        Mark::Paused => tauri::include_image!("../icons/tray/paused.png"),
    }
}
