//! What a command answers when it fails: a code to branch on, what failed, and what to do next.

use doorward_core::problem::Refusal;
use serde::Serialize;

/// Why a command failed. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct Problem {
    /// A code of a refusal, or one of the desktop's own.
    pub(crate) code: String,
    /// What failed.
    pub(crate) message: String,
    /// What a person does next.
    pub(crate) hint: String,
}

impl Problem {
    /// Another Doorward holds the folder.
    pub(crate) const FOLDER_HELD: &str = "folder_held";
    /// The gateway's port is taken, or cannot be.
    pub(crate) const PORT: &str = "port_unavailable";
    /// Something of the machine failed.
    pub(crate) const FAILED: &str = "failed";

    pub(crate) fn new(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code.as_str(), refusal.detail, refusal.hint)
    }
}
