//! Folders, their modes, and the settings in them.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use doorward_host::{Folders, Settings};

use super::Check;

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
    checks.extend(disk(&folders.data));
    checks.push(folder("config folder", &folders.config, false));
    checks.push(folder("state folder", &folders.state, true));
    checks.push(runtime(folders.runtime.as_deref()));
    checks.push(match Settings::read(&folders.config) {
        Ok(_) => Check::ok("config.toml", "readable, or not there"),
        Err(bad) => Check::failed("config.toml", bad.into()),
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
            format!(
                "Run the command as that user. If it should be yours, take it over as root: `chown -R {ours} {shown}`."
            ),
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

/// Whether the disk of the store takes writes. A store needs little; what is needed at once is a refresh's worth.
fn disk(data: &Path) -> Option<Check> {
    const NAME: &str = "disk";
    const MEBIBYTE: u64 = 1024 * 1024;
    let found = rustix::fs::statvfs(data).ok()?;
    let shown = data.display();
    if found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Some(Check::fail(
            NAME,
            format!("the disk with {shown} is mounted read-only."),
            "Mount it for writing, or name another folder with `--data-dir DIR`.",
        ));
    }
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let left = format!("{} MiB free", free / MEBIBYTE);
    Some(match free {
        ..MEBIBYTE => Check::fail(
            NAME,
            format!("the disk with {shown} is full."),
            "Make room there. Nothing is lost: what cannot be written is refused, and fresh tokens wait in memory.",
        ),
        free if free < 16 * MEBIBYTE => Check::warn(NAME, left, "Make room on the disk soon."),
        _ => Check::ok(NAME, left),
    })
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
        Ok(found) if found.uid() == uid && !is_open_to_others(&found) => {
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

fn is_open_to_others(found: &std::fs::Metadata) -> bool {
    let others = 0o077;
    found.mode() & others != 0
}
