//! The system's browser: what the application opens is noted, and answered in a real Chromium.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Process, Stdin};
use crate::{found, repository};

/// A person's browser.
pub struct Browser {
    folder: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Browser {
    /// Puts an `xdg-open` into a folder that only notes what it is asked to open.
    pub(super) fn install(folder: &Path, environment: Vec<(OsString, OsString)>) -> Self {
        std::fs::create_dir_all(folder).expect("it can be made");
        let opener = folder.join("xdg-open");
        let noted = folder.join("opened");
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" >>'{}'\n", noted.display());
        std::fs::write(&opener, script).expect("a script can be written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(opener, executable).expect("it is ours");
        Self {
            folder: folder.to_owned(),
            environment,
        }
    }

    /// The folder that has to come first on the `PATH`.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// All addresses that were opened, in order.
    pub fn opened(&self) -> Vec<String> {
        let noted = std::fs::read_to_string(self.folder.join("opened")).unwrap_or_default();
        noted.lines().map(str::to_owned).collect()
    }

    /// The address that is opened after `before` others; waits for it.
    pub async fn address(&self, before: usize) -> String {
        let opened = async || self.opened().into_iter().nth(before);
        found("an address in the browser", opened).await
    }

    /// Signs in and consents in Chromium, to what is picked, such as `Website=r`, or to all; what the page where it
    /// ended says.
    pub async fn consent(&self, address: &str, picks: &[&str]) -> Value {
        let script = repository().join("tests/peers/answer-consent.mjs");
        let mut arguments = vec![script.to_string_lossy().into_owned()];
        for pick in picks {
            arguments.extend(["--pick".to_owned(), (*pick).to_owned()]);
        }
        arguments.push(address.to_owned());
        let answering = Process::start(
            Path::new("node"),
            &arguments,
            self.environment.clone(),
            Stdin::Empty,
        );
        answering.ended().await.done().json()
    }
}
