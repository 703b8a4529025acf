//! `GET /reconnect/ID`: the page that a person is sent to where an agent met a connection that has ended.
//!
//! It says where to answer and lets the window come forward. Any page of a browser can send a person here, so it says
//! the same, byte for byte, whether there is such a question or not, and only one that Doorward has put moves a window.

use axum::response::Response;

use super::page;
use crate::ask::Call;
use crate::failure::Failure;

const PAGE: &str = include_str!("reconnect.html");

pub(crate) async fn show(call: &mut Call) -> Result<Response, Failure> {
    let handle = &call.gate.handle;
    let question = call.head.uri.path().rsplit('/').next().unwrap_or_default();
    if let Some(connection) = call.gate.mcp.question(question, handle.now()) {
        handle.want_window(connection);
    }
    Ok(page::still(PAGE.replace("{style}", page::STYLE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_can_do_nothing() {
        for active in [
            "<form", "<script", "<button", "<input", "<a ", "src=", "href=", "http",
        ] {
            assert!(!PAGE.contains(active), "{active}");
        }
    }
}
