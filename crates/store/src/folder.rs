//! The data folder: private, and held by one Doorward at a time.
//!
//! The hold is a lock of the operating system on a file, not a file with a process number in it: the kernel drops it
//! with the process however that ends, so it is never stale. Who holds it is written beside it for people to read,
//! and believed only while the lock is held.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::OpenError;

const LOCK_FILE: &str = "doorward.lock";
/// Looking who holds a folder takes the lock for a moment; opening waits that moment out.
const PROBES_END_WITHIN: Duration = Duration::from_millis(250);
const PROBE_STEP: Duration = Duration::from_millis(25);

/// What kind of program holds a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderKind {
    /// `doorward serve`.
    Serve,
    /// The desktop application.
    Desktop,
    /// A command that works on the store itself.
    Command,
}

impl fmt::Display for HolderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serve => "`doorward serve`",
            Self::Desktop => "the desktop application",
            Self::Command => "a `doorward` command",
        })
    }
}

/// Who holds a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// What it is.
    pub kind: HolderKind,
    /// Since when.
    pub since: Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, process {}, since {}",
            self.kind,
            self.pid,
            self.since.to_rfc3339()
        )
    }
}

/// A folder that is held until this is dropped.
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder where there is none, checks that it is private, and takes hold of it.
    pub(crate) async fn hold(
        path: &Path,
        kind: HolderKind,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let failed = |error: &std::io::Error| OpenError::from_io(path.to_owned(), error);
        make_private(path).map_err(|error| failed(&error))?;
        check_private(path)?;
        let mut lock = private_file(&path.join(LOCK_FILE)).map_err(|error| failed(&error))?;
        let mut waited = Duration::ZERO;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
                Err(TryLockError::WouldBlock) if waited < PROBES_END_WITHIN => {
                    tokio::time::sleep(PROBE_STEP).await;
                    waited += PROBE_STEP;
                }
                Err(TryLockError::WouldBlock) => return Err(held(path, &mut lock)),
            }
        }
        let holder = Holder {
            pid: std::process::id(),
            kind,
            since: now,
        };
        write_holder(&mut lock, &holder).map_err(|error| failed(&error))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Who holds a folder now, if anyone does.
pub(crate) fn holder(path: &Path) -> Option<Holder> {
    let mut lock = File::open(path.join(LOCK_FILE)).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_holder(&mut lock),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn held(path: &Path, lock: &mut File) -> OpenError {
    match read_holder(lock) {
        Some(holder) => OpenError::HeldBy {
            folder: path.to_owned(),
            holder,
        },
        None => OpenError::Io {
            path: path.to_owned(),
            detail: "another program holds it and has not said which one it is".to_owned(),
        },
    }
}

fn write_holder(lock: &mut File, holder: &Holder) -> std::io::Result<()> {
    let line = serde_json::to_string(holder)?;
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(line.as_bytes())
}

fn read_holder(lock: &mut File) -> Option<Holder> {
    let mut line = String::new();
    lock.rewind().ok()?;
    lock.read_to_string(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// Opens a file for reading and writing, made for its owner alone where there is none.
pub(crate) fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(crate) fn make_private(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A folder that is empty or holds a store is Doorward's own and is closed to others. One that holds other things may
/// be shared on purpose: it is refused and left as it is.
#[cfg(unix)]
fn check_private(path: &Path) -> Result<(), OpenError> {
    use std::ffi::OsString;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let failed = |error: std::io::Error| OpenError::from_io(path.to_owned(), &error);
    let not_private = |why: String| {
        Err(OpenError::NotPrivate {
            path: path.to_owned(),
            why,
        })
    };
    let folder = fs::metadata(path).map_err(failed)?;
    let own = rustix::process::geteuid().as_raw();
    if folder.uid() != own {
        return Err(OpenError::OtherOwner {
            path: path.to_owned(),
            uid: folder.uid(),
        });
    }
    let open_to_others = folder.mode() & 0o077;
    if open_to_others == 0 {
        return Ok(());
    }
    let names: Vec<_> = fs::read_dir(path)
        .map_err(failed)?
        .filter_map(|entry| entry.ok().map(|entry| entry.file_name()))
        .collect();
    let is_ours = |name: &OsString| name.to_string_lossy().starts_with("doorward.");
    if names.is_empty() || names.iter().any(is_ours) {
        return fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed);
    }
    let mode = folder.mode() & 0o777;
    not_private(format!(
        "it holds other things, and other users may enter it (mode {mode:03o})"
    ))
}

#[cfg(not(unix))]
fn check_private(_path: &Path) -> Result<(), OpenError> {
    Ok(())
}
