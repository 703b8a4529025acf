//! The floor that the desktop application is measured against: a window of the same Tauri with a page that needs
//! nothing. `scripts/bench-desktop` starts it.

use tauri::WebviewUrl;
use tauri::http::Response;
use tauri::webview::WebviewWindowBuilder;

const PAGE: &[u8] = b"<!doctype html><meta charset=utf-8><title>Bare</title>\
    <body style='margin:40px;background:#fff;color:#123'><h1>Bare</h1><p>A window with a page, and nothing else.</p>";

#[expect(
    clippy::disallowed_methods,
    reason = "generated: it ends where the program's own parts are broken"
)]
fn main() {
    tauri::Builder::default()
        .register_uri_scheme_protocol("bare", |_, _| {
            Response::builder()
                .header("content-type", "text/html")
                .body(PAGE)
                .expect("a page")
        })
        .setup(|app| {
            let page = "bare://localhost/".parse().expect("an address");
            WebviewWindowBuilder::new(app, "bare", WebviewUrl::CustomProtocol(page))
                .title("Bare")
                .inner_size(1000.0, 720.0)
                .build()?;
            Ok(())
        })
        .run(tauri::generate_context!())
        .expect("a window");
}
