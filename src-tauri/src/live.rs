//! What changed, shown again: in the windows as an event with everything in it, and in the tray. Nothing is asked for
//! on a timer; a broker that does nothing costs nothing.

use std::time::Duration;

use doorward_broker::Handle;
use tauri::{AppHandle, Emitter as _, Wry};

use crate::keeper::{Holding, Keeper};
use crate::snapshot::Snapshot;
use crate::tray::{Tray, View};
use crate::windows;

/// A burst of changes is shown once. Shorter than a person sees.
const BURST: Duration = Duration::from_millis(60);

/// Follows what is held, and all of its changes, until the program ends.
pub(crate) async fn follow(app: AppHandle, keeper: Keeper) {
    let tray = Tray::new(app.clone());
    let mut holding = keeper.holding();
    loop {
        let held = holding.borrow_and_update().clone();
        match held {
            Holding::Here(handle) => {
                tokio::select! {
                    () = follow_broker(&app, &keeper, &handle, &tray) => {}
                    changed = holding.changed() => if changed.is_err() { return },
                }
                continue;
            }
            Holding::Starting => {}
            Holding::Elsewhere(problem) | Holding::Failed(problem) => {
                tray.show(&View::Missing(problem));
            }
            Holding::Over => return,
        }
        if holding.changed().await.is_err() {
            return;
        }
    }
}

/// Until the broker stops.
async fn follow_broker(app: &AppHandle<Wry>, keeper: &Keeper, handle: &Handle, tray: &Tray) {
    let mut changes = handle.changes();
    loop {
        changes.borrow_and_update();
        match Snapshot::of(handle, &keeper.providers()).await {
            Ok(snapshot) => {
                if let Err(error) = app.emit(windows::CHANGED, &snapshot) {
                    tracing::warn!(%error, "the windows cannot be reached");
                }
                tray.show(&View::Held(Box::new(snapshot)));
            }
            Err(refusal) => tracing::debug!(%refusal, "no snapshot"),
        }
        if changes.changed().await.is_err() {
            // The broker is gone; what holds it says so next.
            return std::future::pending().await;
        }
        tokio::time::sleep(BURST).await;
    }
}
