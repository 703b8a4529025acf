//! Everything that is printed goes through here.
//!
//! For people: answers on standard output, everything that accompanies them on standard error, no colours. With
//! `--json`: JSON on standard output and nothing else there, also where the command fails, so that a script reads one
//! place.

use std::io::{self, Write as _};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::words::{duration, plain};

/// For whom the command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// The command's answer: JSON for a program, else the text that `human` makes.
    pub(crate) fn answer<T: Serialize>(
        self,
        value: &T,
        human: impl FnOnce(&T) -> String,
    ) -> Outcome {
        if self.json {
            self.json_line(value)
        } else {
            self.text(&human(value))
        }
    }

    /// One JSON document on a line of its own.
    pub(crate) fn json_line<T: Serialize>(self, value: &T) -> Outcome {
        let line = serde_json::to_string(value).map_err(|error| {
            Failure::io(
                "The answer cannot be written as JSON",
                &io::Error::other(error),
            )
        })?;
        self.text(&line)
    }

    /// Text on standard output.
    #[expect(
        clippy::unused_self,
        reason = "everything printed goes through an output"
    )]
    pub(crate) fn text(self, text: &str) -> Outcome {
        let mut stdout = io::stdout().lock();
        let written =
            writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush());
        match written {
            // Whoever read had enough, such as `head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::io("Standard output cannot be written", &error)),
            Ok(()) => Ok(()),
        }
    }

    /// A remark for the person on standard error; a program gets none.
    pub(crate) fn remark(self, text: &str) {
        if !self.json {
            self.note(text);
        }
    }

    /// A line on standard error for whoever reads it.
    #[expect(
        clippy::unused_self,
        reason = "everything printed goes through an output"
    )]
    pub(crate) fn note(self, text: &str) {
        // Where standard error is closed there is nobody to tell.
        let _unheard: io::Result<()> =
            writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
    }

    /// What failed and what to do next.
    pub(crate) fn failure(self, failure: &Failure) {
        if failure.detail.is_empty() {
            return;
        }
        if self.json {
            // If standard output is what failed, the exit code still says so.
            let _unheard: Outcome = self.json_line(&json!({ "error": error_object(failure) }));
        } else {
            self.note(&failure_text(failure));
        }
    }
}

fn error_object(failure: &Failure) -> Value {
    let mut object =
        json!({ "code": failure.code, "detail": failure.detail, "hint": failure.hint });
    if let (Some(seconds), Some(fields)) = (failure.retry_after_seconds, object.as_object_mut()) {
        fields.insert("retry_after_seconds".to_owned(), seconds.into());
    }
    object
}

/// A failure as people read it.
pub(crate) fn failure_text(failure: &Failure) -> String {
    let mut lines = vec![format!("error: {}", plain(&failure.detail))];
    if !failure.hint.is_empty() {
        lines.push(format!("  → {}", plain(&failure.hint)));
    }
    if let Some(seconds) = failure.retry_after_seconds {
        lines.push(format!(
            "  → Again in {}.",
            duration(Duration::from_secs(seconds))
        ));
    }
    lines.join("\n")
}
