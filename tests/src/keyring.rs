//! A session bus with an OS keyring on it, for as long as the value lives.

use tokio::process::ChildStdin;

use crate::process::{Process, Stdin};
use crate::repository;

/// A real Secret Service (gnome-keyring) on a bus of its own, from `scripts/with-keyring`.
pub struct Keyring {
    bus: String,
    // Its standard input holds it open. First, so that it is asked to end before it is made to.
    _open: ChildStdin,
    _process: Process,
}

impl Keyring {
    /// An open keyring.
    pub async fn open() -> Self {
        Self::started(&[]).await
    }

    /// A keyring in another state: `--locked`, `--unanswered` or `--absent`.
    pub async fn that_is(state: &str) -> Self {
        Self::started(&[state]).await
    }

    async fn started(state: &[&str]) -> Self {
        let script = repository().join("scripts/with-keyring");
        let mut arguments: Vec<&str> = state.to_vec();
        arguments.extend(["sh", "-c", "echo $DBUS_SESSION_BUS_ADDRESS; exec cat"]);
        let folder = tempfile::tempdir().expect("a folder for the keyring");
        let environment = [
            ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
            ("HOME".into(), folder.path().into()),
            ("TMPDIR".into(), folder.path().into()),
        ];
        let mut process = Process::start(&script, &arguments, environment, Stdin::Piped);
        process.keep(folder);
        let open = process.stdin();
        let bus = process.line().await;
        Self {
            bus,
            _open: open,
            _process: process,
        }
    }

    /// The value for `DBUS_SESSION_BUS_ADDRESS`.
    pub fn bus(&self) -> &str {
        &self.bus
    }
}
