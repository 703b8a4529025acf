//! The two windows: the main one, and the small one that shows an approval request or a call that waits for a person.
//!
//! A window that is closed is gone, and with it the memory of its page; the tray and the broker stay.

use tauri::webview::WebviewWindowBuilder;
use tauri::{AppHandle, Emitter as _, Manager as _, Runtime, Url, WebviewUrl, WebviewWindow};

use crate::goto::{Goto, Waiting};

/// The label of the main window.
pub(crate) const MAIN: &str = "main";
/// The label of the approval window.
pub(crate) const APPROVAL: &str = "approval";
/// Tells a page where to go.
pub(crate) const GOTO: &str = "goto";
/// Tells a page that something has changed.
pub(crate) const CHANGED: &str = "changed";

/// Brings the main window forward, on a page if one is meant.
pub(crate) fn open_main<R: Runtime>(app: &AppHandle<R>, goto: Option<Goto>) {
    if let Some(goto) = &goto {
        // A page that is still loading does not hear the event: it is told when it asks.
        app.state::<Waiting>().put(MAIN, goto.clone());
    }
    let Some(window) = app.get_webview_window(MAIN) else {
        let window = WebviewWindowBuilder::new(app, MAIN, WebviewUrl::App("index.html".into()))
            .title("Doorward")
            .inner_size(1000.0, 720.0)
            .min_inner_size(400.0, 480.0)
            .on_navigation(is_own_page)
            .build();
        return made(window);
    };
    if let Some(goto) = goto {
        told(window.emit_to(MAIN, GOTO, goto));
    }
    bring_forward(&window);
}

/// Brings the approval window forward, on a request or a question if one is meant.
pub(crate) fn open_approval<R: Runtime>(app: &AppHandle<R>, request: Option<&str>) {
    let Some(window) = app.get_webview_window(APPROVAL) else {
        let page = request.map_or_else(
            || "approval.html".to_owned(),
            |request| format!("approval.html?request={request}"),
        );
        let window = WebviewWindowBuilder::new(app, APPROVAL, WebviewUrl::App(page.into()))
            .title("Doorward – approval")
            .inner_size(560.0, 720.0)
            .min_inner_size(400.0, 480.0)
            .center()
            .on_navigation(is_own_page)
            .build();
        return made(window);
    };
    if let Some(request) = request {
        told(window.emit_to(APPROVAL, GOTO, Goto::request(request)));
    }
    bring_forward(&window);
}

/// Our own pages alone: a window that could be led elsewhere would lend a stranger its looks.
fn is_own_page(url: &Url) -> bool {
    url.scheme() == "tauri" || (cfg!(windows) && url.host_str() == Some("tauri.localhost"))
}

fn bring_forward<R: Runtime>(window: &WebviewWindow<R>) {
    told(window.unminimize());
    told(window.show());
    told(window.set_focus());
}

fn made<R: Runtime>(window: tauri::Result<WebviewWindow<R>>) {
    if let Err(error) = window {
        tracing::error!(%error, "a window cannot be made");
    }
}

fn told(said: tauri::Result<()>) {
    if let Err(error) = said {
        tracing::warn!(%error, "a window cannot be reached");
    }
}
