//! Where a window is to go: from the tray, from a notification's button.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// A page of the main window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Page {
    /// Connections and their health.
    Connections,
    /// A consent ready to start: for the connection that is named, again.
    Connect,
    /// Agents and what they may do.
    #[expect(
        dead_code,
        reason = "a page of the window, to which nothing sends a person yet"
    )]
    Agents,
    /// Approval requests.
    Approvals,
    /// What happened.
    #[expect(
        dead_code,
        reason = "a page of the window, to which nothing sends a person yet"
    )]
    Activity,
}

/// A page, and what on it is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct Goto {
    /// The page.
    pub(crate) page: Page,
    /// The name of a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub(crate) connection: Option<String>,
    /// The identifier of an approval request, or of a question about a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub(crate) request: Option<String>,
}

impl Goto {
    pub(crate) const fn page(page: Page) -> Self {
        Self {
            page,
            connection: None,
            request: None,
        }
    }

    pub(crate) fn connection(name: impl Into<String>) -> Self {
        Self {
            connection: Some(name.into()),
            ..Self::page(Page::Connections)
        }
    }

    pub(crate) fn reconnect(name: impl Into<String>) -> Self {
        Self {
            connection: Some(name.into()),
            ..Self::page(Page::Connect)
        }
    }

    pub(crate) fn request(id: impl Into<String>) -> Self {
        Self {
            request: Some(id.into()),
            ..Self::page(Page::Approvals)
        }
    }
}

/// Where windows that do not listen yet are to go. A page listens first and asks for its snapshot then: that is when
/// it is told.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<HashMap<String, Goto>>);

impl Waiting {
    pub(crate) fn put(&self, window: &str, goto: Goto) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(window.to_owned(), goto);
    }

    pub(crate) fn take(&self, window: &str) -> Option<Goto> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(window)
    }
}
