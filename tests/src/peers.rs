//! Programs that answer for as long as the value lives: those in `tests/peers`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use serde_json::Value;
use tokio::process::ChildStdin;

use crate::process::{Process, Stdin};
use crate::programs::repository;

/// A server made with Node, which tells its addresses in one line when it answers.
pub struct NodePeer {
    ready: Value,
    // Its standard input keeps it alive. First, so that it is asked to end before it is made to.
    _open: ChildStdin,
    _process: Process,
}

impl NodePeer {
    /// Starts one by the name of its script below `tests/peers`.
    pub async fn start(script: &str, flags: &[&str]) -> Self {
        let path = repository().join("tests/peers").join(script);
        let path = path.to_string_lossy();
        let words = [&[&*path], flags].concat();
        let mut process = spawn(Path::new("node"), &words, Stdin::Piped);
        let open = process.stdin();
        let line = process.line().await;
        let ready = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("{script} says {line:?}{}", process.said()));
        Self {
            ready,
            _open: open,
            _process: process,
        }
    }

    /// One of the addresses that it told.
    pub fn at(&self, member: &str) -> &str {
        let address = self.ready[member].as_str();
        address.unwrap_or_else(|| panic!("no {member} in {}", self.ready))
    }
}

/// Starts a program of others in an environment made from nothing.
pub(crate) fn spawn(program: &Path, words: &[impl AsRef<OsStr>], stdin: Stdin) -> Process {
    let folder = tempfile::tempdir().expect("a folder for what it keeps");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let environment = [
        (OsString::from("PATH"), path),
        ("HOME".into(), folder.path().into()),
        ("TMPDIR".into(), folder.path().into()),
    ];
    let mut process = Process::start(program, words, environment, stdin);
    process.keep(folder);
    process
}
