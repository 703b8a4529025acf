//! The control socket: how the person's own command reaches a running broker.
//!
//! One JSON object a line each way. What comes over it can read, pause, revoke and connect; it can approve only with
//! the approval PIN, and not even with that where the broker lives in the desktop app, whose window alone approves.

mod client;
mod server;
mod wire;

pub use client::Client;
pub use server::{answer, serve};
pub use wire::{Approve, Connect, Request, SecretText, TermsAsk};

use std::path::{Path, PathBuf};

/// Where the socket of a data folder lies.
#[must_use]
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("control.sock")
}
