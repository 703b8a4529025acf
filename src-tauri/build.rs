//! Declares the commands, so that each is closed to every window whose capability does not name it.

use tauri_build::{AppManifest, Attributes};

/// As they stand in `src/commands.rs`; a test compares the two.
const COMMANDS: &[&str] = &[
    "snapshot",
    "connect",
    "open_consent",
    "await_consent",
    "paste_consent",
    "cancel_consent",
    "disconnect",
    "retry",
    "approve",
    "deny",
    "allow_call",
    "deny_call",
    "take_back",
    "check_limits",
    "revoke_agent",
    "set_paused",
    "activity",
    "release_lock",
    "unlock",
    "take_over",
    "quit",
];

fn main() {
    let attributes = Attributes::new().app_manifest(AppManifest::new().commands(COMMANDS));
    tauri_build::try_build(attributes)
        .expect("the Tauri configuration, capabilities and icons are in order");
}
