//! The log of a program that serves: JSON lines in a file that cannot grow without bound, and warnings on standard error.
//!
//! A log is read by more people than a store. The libraries that carry requests could print headers and bodies at
//! their finer levels, so nothing below a warning is taken from them, whatever `DOORWARD_LOG` says.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Which events go to the file, in the language of `tracing`'s `EnvFilter`.
const FILTER_VARIABLE: &str = "DOORWARD_LOG";
/// The log of `doorward serve`.
pub const OF_SERVE: &str = "doorward.log";
/// The log of the desktop application. Not the same: for a moment both may run, and a file has one writer.
pub const OF_DESKTOP: &str = "desktop.log";
/// Weeks of a quiet server, and little enough to attach to a report.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;
/// So many older files are kept beside the current one.
const OLDER_FILES: u32 = 3;

/// Crates that see requests and replies as they are on the wire.
const CARRIERS: &[&str] = &[
    "hyper",
    "hyper_util",
    "reqwest",
    "h2",
    "rustls",
    "axum",
    "tower",
    "tower_http",
    "sqlx",
    "oauth2",
    "zbus",
];

fn is_told(metadata: &Metadata<'_>) -> bool {
    let crate_name = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::WARN || !CARRIERS.contains(&crate_name)
}

/// Errors on standard error, for commands: what else there is to say they say themselves.
pub fn to_stderr() {
    let plain = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_ansi(false);
    let plain = plain
        .with_writer(io::stderr)
        .with_filter(LevelFilter::ERROR);
    // Where a subscriber is set already, the first one stays.
    let _set: Result<(), _> = tracing_subscriber::registry().with(plain).try_init();
}

/// JSON lines in the folder, and warnings on standard error. Where the folder cannot be written, only the latter.
pub fn to_file(folder: &Path, name: &str) {
    let file = RotatedFile::open(folder.join(name), LARGEST_FILE);
    let (file, failed) = match file {
        Ok(file) => (Some(file), None),
        Err(error) => (None, Some(error)),
    };
    let chosen = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var(FILTER_VARIABLE)
        .from_env_lossy();
    let lines = file.map(|file| {
        let lines = tracing_subscriber::fmt::layer()
            .json()
            .with_ansi(false)
            .with_writer(Mutex::new(file));
        lines.with_filter(chosen.and(filter_fn(is_told)))
    });
    let plain = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_ansi(false);
    // That the store is locked, `serve` says itself, with the remedy.
    let heard = filter_fn(|metadata| {
        !metadata
            .target()
            .starts_with("doorward_broker::actor::keeping")
    });
    let plain = plain
        .with_writer(io::stderr)
        .with_filter(LevelFilter::WARN.and(heard));
    // Where a subscriber is set already, the first one stays.
    let _set: Result<(), _> = tracing_subscriber::registry()
        .with(lines)
        .with(plain)
        .try_init();
    if let Some(error) = failed {
        tracing::warn!(%error, folder = %folder.display(), "no log can be written");
    }
}

/// A file that makes room for a new one when it is full.
struct RotatedFile {
    path: PathBuf,
    file: File,
    written: u64,
    largest: u64,
}

impl RotatedFile {
    fn open(path: PathBuf, largest: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            crate::folders::make_private(folder)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            path,
            file,
            written,
            largest,
        })
    }

    fn older(&self, age: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{age}"));
        name.into()
    }

    /// Moves each file one place on; the last one's place is taken.
    fn rotate(&mut self) -> io::Result<()> {
        for age in (1..OLDER_FILES).rev() {
            move_if_there(&self.older(age), &self.older(age + 1))?;
        }
        move_if_there(&self.path, &self.older(1))?;
        *self = Self::open(self.path.clone(), self.largest)?;
        Ok(())
    }
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Write for RotatedFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        if self.written > 0 && self.written + length > self.largest {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.written += length;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_bounded_and_loses_its_oldest_lines_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = RotatedFile::open(folder.path().join("sub").join("x.log"), 20).unwrap();
        for number in 0..20 {
            writeln!(log, "line {number:03}").unwrap();
        }
        let read =
            |name: &str| std::fs::read_to_string(folder.path().join("sub").join(name)).unwrap();
        assert_eq!(read("x.log"), "line 018\nline 019\n");
        assert_eq!(read("x.log.1"), "line 016\nline 017\n");
        assert_eq!(read("x.log.3"), "line 012\nline 013\n");
        assert_eq!(
            std::fs::read_dir(folder.path().join("sub"))
                .unwrap()
                .count(),
            4
        );
    }

    #[test]
    fn a_log_that_exists_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        for _ in 0..2 {
            let mut log = RotatedFile::open(path.clone(), 100).unwrap();
            writeln!(log, "again").unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "again\nagain\n");
    }
}
