//! What can go wrong at rest. Every error says what failed and, as a [`Refusal`], what a person does next. None holds a
//! secret: SQLite's messages name tables and columns, never values, and what cannot be opened is named by its kind.

use std::io;
use std::path::PathBuf;

use doorward_core::problem::{Code, Refusal};

use crate::audit::AuditFault;
use crate::folder::Holder;
use crate::seal::NoRandomness;
use crate::source::{KeySourceError, SourceKind};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another Doorward has the folder.
    #[error("another Doorward holds {}: {holder}", folder.display())]
    HeldBy {
        /// The folder.
        folder: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// A newer Doorward has written it.
    #[error("the store has schema {found}, and this Doorward knows schemas up to {known}")]
    NewerSchema {
        /// The store's.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The file is damaged.
    #[error("{} is damaged: {detail}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Nothing can be written there.
    #[error("{} cannot be written", path.display())]
    ReadOnly {
        /// The folder or file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk with {} is full", path.display())]
    DiskFull {
        /// The folder.
        path: PathBuf,
    },
    /// It is another user's.
    #[error("{} belongs to another user of this machine (uid {uid})", path.display())]
    OtherOwner {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Others on the machine could read or replace it.
    #[error("{} is not private: {why}", path.display())]
    NotPrivate {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Anything else.
    #[error("{} cannot be opened: {detail}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What was seen.
        detail: String,
    },
}

impl OpenError {
    /// What a person is told, and does next.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let hint = match self {
            Self::HeldBy { holder, .. } => {
                format!("Use that one, or stop it first (process {}).", holder.pid)
            }
            Self::NewerSchema { .. } => {
                "Nothing was changed. Install the newer Doorward again; a store does not go back.".to_owned()
            }
            Self::Corrupt { .. } => {
                "Nothing was changed. Put back a copy of the folder, or move it away and connect again.".to_owned()
            }
            Self::ReadOnly { .. } => {
                "Nothing was lost. Make the folder writable, or use another one.".to_owned()
            }
            Self::DiskFull { .. } => "Nothing was lost. Make room on the disk, then start again.".to_owned(),
            Self::OtherOwner { .. } => {
                "Run Doorward as that user, or name a folder of your own with `--data-dir DIR`.".to_owned()
            }
            Self::NotPrivate { path, .. } => {
                format!("Make it yours alone: `chmod -R go= {}`.", path.display())
            }
            Self::Io { .. } => "Nothing was changed. `doorward doctor` looks closer.".to_owned(),
        };
        Refusal::new(Code::StoreFailed, sentence(self), hint)
    }
}

/// Why reading or writing an open store failed. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store is not unlocked.
    #[error("the store is locked")]
    Locked,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The disk takes no writes.
    #[error("the store cannot be written")]
    ReadOnly,
    /// What was read makes no sense.
    #[error("the store is damaged: {detail}")]
    Corrupt {
        /// What was found.
        detail: String,
    },
    /// Something else keeps the file.
    #[error("the store is kept busy by another program")]
    Busy,
    /// A sealed value does not open in its place: it was changed, moved, or sealed under another key.
    #[error("a sealed value does not open: {what}")]
    WontOpen {
        /// What it would have been.
        what: &'static str,
    },
    /// What was to be written contradicts what is there, such as a row of another tenant.
    #[error("what was to be written contradicts what is stored: {detail}")]
    Contradiction {
        /// How.
        detail: String,
    },
    /// The audit log does not verify, and the act would cover that up.
    #[error("the audit log does not verify: {0}")]
    AuditBroken(AuditFault),
    /// Anything else.
    #[error("the store failed: {detail}")]
    Io {
        /// What was seen.
        detail: String,
    },
}

impl StoreError {
    /// What a person or agent is told, and does next.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let (code, hint) = match self {
            Self::Locked => (
                Code::StoreLocked,
                "A person unlocks it with `doorward unlock`.",
            ),
            Self::DiskFull => (
                Code::StoreFailed,
                "Nothing was lost. Make room on the disk, then try again.",
            ),
            Self::ReadOnly => (
                Code::StoreFailed,
                "Nothing was lost. Make the disk writable, then try again.",
            ),
            Self::Corrupt { .. } => (
                Code::StoreFailed,
                "Nothing was written. Stop Doorward and put back a copy of its folder, or connect again.",
            ),
            Self::Busy => (
                Code::StoreFailed,
                "Nothing was written. Close the other program, then try again.",
            ),
            Self::WontOpen { .. } => (
                Code::StoreFailed,
                "It was changed outside Doorward. Connect again to replace it; `doorward audit verify` looks closer.",
            ),
            Self::Contradiction { .. } => (
                Code::Internal,
                "Nothing was written. This is a defect of Doorward; please report it.",
            ),
            Self::AuditBroken(_) => (
                Code::AuditBroken,
                "Nothing was changed. Keep a copy of the folder; `doorward audit verify` says what was found.",
            ),
            Self::Io { .. } => (
                Code::StoreFailed,
                "Nothing was written. `doorward doctor` looks closer.",
            ),
        };
        Refusal::new(code, sentence(self), hint)
    }
}

/// Why a store cannot be unlocked. It stays locked and nothing is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnlockError {
    /// The source gives no key.
    #[error(transparent)]
    Source(#[from] KeySourceError),
    /// The passphrase is another one.
    #[error("that is not the store's passphrase")]
    WrongPassphrase,
    /// The keyring works and does not have the key.
    #[error("the OS keyring does not hold this store's key")]
    KeyMissing,
    /// The keyring has a key of that name, and it is not the store's.
    #[error("the key in the OS keyring is not this store's")]
    WrongKey,
    /// The store was made with another kind of source.
    #[error("the store's key comes from a {made_with}, not from a {given}")]
    OtherSource {
        /// Its own.
        made_with: SourceKind,
        /// The one that was given.
        given: SourceKind,
    },
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl UnlockError {
    /// What a person is told, and does next.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let (code, hint) = match self {
            Self::Source(error) => return error.refusal(),
            Self::Store(error) => return error.refusal(),
            Self::WrongPassphrase => (Code::PassphraseWrong, "Try again; nothing was lost."),
            Self::KeyMissing | Self::WrongKey => (
                Code::StoreLocked,
                "Log in as the user and on the machine that made the store, or move its folder away and connect again.",
            ),
            Self::OtherSource {
                made_with: SourceKind::Passphrase,
                ..
            } => (
                Code::PassphraseRequired,
                "Unlock it with its passphrase: `doorward unlock`.",
            ),
            Self::OtherSource {
                made_with: SourceKind::Keyring,
                ..
            } => (
                Code::StoreLocked,
                "Its key is in the OS keyring: `doorward unlock` asks that.",
            ),
        };
        Refusal::new(code, sentence(self), hint)
    }
}

impl KeySourceError {
    /// What a person is told, and does next.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let hint = match self {
            Self::Absent(_) => {
                "Log in to a desktop session whose keyring is running, then `doorward unlock`."
            }
            Self::Locked(_) => "Unlock the OS keyring (logging in does), then `doorward unlock`.",
            Self::TimedOut { .. } => {
                "Look for a window that asks for the keyring's password, then `doorward unlock`."
            }
            Self::Other(_) => "Try `doorward unlock` again; `doorward doctor` looks closer.",
        };
        Refusal::new(Code::StoreLocked, sentence(self), hint)
    }
}

/// Why the keys were not rotated. The old ones stay good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotateError {
    /// The source gives no new key.
    #[error(transparent)]
    Source(#[from] KeySourceError),
    /// The store was made with another kind of source.
    #[error("the store's key comes from a {made_with}, not from a {given}")]
    OtherSource {
        /// Its own.
        made_with: SourceKind,
        /// The one that was given.
        given: SourceKind,
    },
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RotateError {
    /// What a person is told, and does next.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Source(error) => error.refusal(),
            Self::Store(error) => error.refusal(),
            Self::OtherSource { made_with, given } => UnlockError::OtherSource {
                made_with: *made_with,
                given: *given,
            }
            .refusal(),
        }
    }
}

/// The error's text as a sentence that begins with a capital.
fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let capital = letters.next().filter(char::is_ascii_lowercase);
    let end = if text.ends_with('.') { "" } else { "." };
    capital.map_or_else(
        || format!("{text}{end}"),
        |first| format!("{}{}{end}", first.to_ascii_uppercase(), letters.as_str()),
    )
}

impl From<NoRandomness> for StoreError {
    fn from(error: NoRandomness) -> Self {
        Self::Io {
            detail: error.to_string(),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error {
            let code = database
                .code()
                .and_then(|code| code.parse().ok())
                .unwrap_or(0);
            return from_sqlite(code, database.message());
        }
        if let sqlx::Error::Io(error) = &error {
            return from_io(error);
        }
        let detail = error.to_string();
        let is_about_a_value = matches!(
            error,
            sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnNotFound(_)
        );
        if is_about_a_value {
            Self::Corrupt { detail }
        } else {
            Self::Io { detail }
        }
    }
}

/// Shared memory or a journal that cannot grow is a full disk by another name.
const IOERR_SHMSIZE: i32 = 4874;

fn from_sqlite(code: i32, message: &str) -> StoreError {
    let detail = || format!("{message} (SQLite {code})");
    match (code, code & 0xff) {
        (IOERR_SHMSIZE, _) | (_, 13) => StoreError::DiskFull,
        (_, 5 | 6) => StoreError::Busy,
        (_, 8) => StoreError::ReadOnly,
        (_, 11 | 26) => StoreError::Corrupt { detail: detail() },
        (_, 19) => StoreError::Contradiction { detail: detail() },
        _ => StoreError::Io { detail: detail() },
    }
}

fn from_io(error: &io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::StorageFull {
        StoreError::DiskFull
    } else if matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    ) {
        StoreError::ReadOnly
    } else {
        StoreError::Io {
            detail: error.to_string(),
        }
    }
}

impl OpenError {
    pub(crate) fn from_store(path: PathBuf, error: StoreError) -> Self {
        match error {
            StoreError::DiskFull => Self::DiskFull { path },
            StoreError::ReadOnly => Self::ReadOnly { path },
            StoreError::Corrupt { detail } => Self::Corrupt { path, detail },
            StoreError::Locked
            | StoreError::Busy
            | StoreError::WontOpen { .. }
            | StoreError::Contradiction { .. }
            | StoreError::AuditBroken(_)
            | StoreError::Io { .. } => Self::Io {
                path,
                detail: error.to_string(),
            },
        }
    }

    pub(crate) fn from_io(path: PathBuf, error: &io::Error) -> Self {
        Self::from_store(path, from_io(error))
    }
}
