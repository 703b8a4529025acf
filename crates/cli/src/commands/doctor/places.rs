//! Folders, their modes, and the settings in them.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Check;
use crate::folders::Folders;
use crate::settings::Settings;

pub(super) fn check(folders: &Folders) -> Vec<Check> {
    let mut checks: Vec<Check> = folders
        .ignored
        .iter()
        .map(|name| {
            Check::warn(
                "environment",
                format!("{name} is not an absolute path, so it is ignored."),
                format!("Set {name} to an absolute path, or unset it."),
            )
        })
        .collect();
    checks.push(folder("data folder", &folders.data, true));
    checks.push(folder("config folder", &folders.config, false));
    checks.push(folder("state folder", &folders.state, true));
    checks.push(runtime(folders.runtime.as_deref()));
    checks.push(match Settings::read(&folders.config) {
        Ok(_) => Check::ok("config.toml", "readable, or not there"),
        Err(failure) => Check::failed("config.toml", failure),
    });
    checks
}

/// A folder of ours. One that must be private and is not is a failure, one that is not there yet is made when needed.
fn folder(name: &str, path: &Path, private: bool) -> Check {
    let shown = path.display();
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Check::ok(name, format!("{shown} (made when needed)"));
        }
        Err(error) => {
            return Check::fail(
                name,
                format!("{shown}: {error}."),
                "Make it a folder that you may enter.",
            );
        }
    };
    let ours = rustix::process::geteuid().as_raw();
    if !found.is_dir() {
        return Check::fail(
            name,
            format!("{shown} is not a folder."),
            "Move that file away.",
        );
    }
    if found.uid() != ours {
        return Check::fail(
            name,
            format!("{shown} belongs to another user (uid {}).", found.uid()),
            format!("Take it over as root: `chown -R {ours} {shown}`."),
        );
    }
    let others = found.mode() & 0o077;
    if (private && others != 0) || others & 0o022 != 0 {
        return Check::fail(
            name,
            format!(
                "{shown} is open to other users (mode {:03o}).",
                found.mode() & 0o777
            ),
            format!("Make it yours alone: `chmod -R go= {shown}`."),
        );
    }
    Check::ok(name, format!("{shown} (mode {:03o})", found.mode() & 0o777))
}

fn runtime(base: Option<&Path>) -> Check {
    const NAME: &str = "XDG_RUNTIME_DIR";
    let Some(base) = base else {
        return Check::warn(
            NAME,
            "not set, so endpoint.json lies in the data folder",
            "Nothing to do where agents run with the same HOME; else set DOORWARD_URL for them.",
        );
    };
    let shown = base.display();
    let uid = rustix::process::geteuid().as_raw();
    match std::fs::metadata(base) {
        Ok(found) if found.uid() == uid && found.mode() & 0o077 == 0 => {
            Check::ok(NAME, format!("{shown}"))
        }
        Ok(found) => Check::warn(
            NAME,
            format!(
                "{shown} is not yours alone (uid {}, mode {:03o}).",
                found.uid(),
                found.mode() & 0o777
            ),
            "Log in as yourself rather than by `su`, or unset it.",
        ),
        Err(error) => Check::warn(
            NAME,
            format!("{shown}: {error}."),
            "Log in anew, or unset it.",
        ),
    }
}
