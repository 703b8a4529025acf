//! Why a command failed: a code to branch on, what failed, and what to do next.

use std::fmt::Display;
use std::io;

use doorward_core::problem::{Code, Refusal};
use doorward_host::{BadSettings, NoFolder};

use crate::exit::{Exit, OWN_CODES};

/// Why a command failed. Never holds a secret.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the command ends.
    pub(crate) exit: Exit,
    /// What a script branches on: a code of [`Code`] or of [`OWN_CODES`].
    pub(crate) code: String,
    /// What failed.
    pub(crate) detail: String,
    /// What to do next.
    pub(crate) hint: String,
    /// When asking again makes sense.
    pub(crate) retry_after_seconds: Option<u64>,
}

impl Failure {
    /// A failure with one of the command's own codes.
    pub(crate) fn new(
        code: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let exit = OWN_CODES
            .iter()
            .find(|(own, _)| *own == code)
            .map_or(Exit::Failed, |(_, exit)| *exit);
        Self {
            exit,
            code: code.to_owned(),
            detail: detail.into(),
            hint: hint.into(),
            retry_after_seconds: None,
        }
    }

    /// Doorward does not run, and the command is of no use without it.
    pub(crate) fn not_running() -> Self {
        Self::new(
            "not_running",
            "Doorward is not running.",
            "Start it with `doorward serve`, or open the Doorward app; then run this again.",
        )
    }

    /// The person, or the system, ended the command.
    pub(crate) fn interrupted() -> Self {
        Self::new(
            "interrupted",
            "Interrupted.",
            "Nothing was lost; run the command again when you like.",
        )
    }

    /// The answer has said already what failed.
    pub(crate) fn told() -> Self {
        Self::new("failed", "", "")
    }

    /// Something of the machine failed.
    pub(crate) fn io(what: impl Display, error: &io::Error) -> Self {
        Self::new(
            "failed",
            format!("{what}: {error}."),
            "`doorward doctor` looks closer.",
        )
    }

    /// Whether this is that refusal.
    pub(crate) fn is(&self, code: Code) -> bool {
        self.code == code.as_str()
    }

    /// Whether this is that failure of the command's own.
    pub(crate) fn is_own(&self, code: &str) -> bool {
        self.code == code
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            code,
            detail,
            hint,
            retry_after_seconds,
        } = refusal;
        Self {
            exit: Exit::of(code),
            code: code.as_str().to_owned(),
            detail,
            hint,
            retry_after_seconds,
        }
    }
}

impl From<NoFolder> for Failure {
    fn from(error: NoFolder) -> Self {
        Self::new("config_invalid", error.to_string(), NoFolder::HINT)
    }
}

impl From<BadSettings> for Failure {
    fn from(error: BadSettings) -> Self {
        Self::new("config_invalid", error.to_string(), error.hint)
    }
}

/// How every command ends.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;
