//! `doorward doctor`: everything that could keep Doorward from working, each with what to do about it.
//!
//! It looks and changes nothing: where no store was made yet, none is made.

mod gateway;
mod machine;
mod places;
mod provider;
mod store;

use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::link::Context;
use crate::words::plain;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// As it should be.
    Ok,
    /// Doorward works, with less than it could have.
    Warn,
    /// Something does not work.
    Fail,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
struct Check {
    /// What was looked at.
    name: String,
    state: State,
    /// What was found.
    detail: String,
    /// What to do about it; empty where there is nothing to do.
    hint: String,
}

impl Check {
    fn new(state: State, name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state,
            detail: detail.into(),
            hint: hint.into(),
        }
    }

    fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self::new(State::Ok, name, detail, "")
    }

    fn warn(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(State::Warn, name, detail, hint)
    }

    fn fail(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(State::Fail, name, detail, hint)
    }

    fn failed(name: &str, failure: Failure) -> Self {
        Self::fail(name, failure.detail, failure.hint)
    }
}

#[derive(Serialize)]
struct Report {
    /// Whether nothing failed.
    ok: bool,
    checks: Vec<Check>,
}

pub(super) async fn run(context: &mut Context) -> Outcome {
    let mut checks = places::check(&context.folders);
    let found = store::check(context, &mut checks).await;
    gateway::check(context, found.status.as_ref(), &mut checks).await;
    machine::check(found.running_pid, &mut checks);
    provider::check(&found.connections, &mut checks).await;
    let failed = checks
        .iter()
        .filter(|check| check.state == State::Fail)
        .count();
    let report = Report {
        ok: failed == 0,
        checks,
    };
    context.output.answer(&report, in_words)?;
    if failed == 0 {
        Ok(())
    } else {
        Err(Failure::told())
    }
}

fn in_words(report: &Report) -> String {
    let width = report
        .checks
        .iter()
        .map(|check| check.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for Check {
        name,
        state,
        detail,
        hint,
    } in &report.checks
    {
        let mark = match state {
            State::Ok => "ok  ",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        lines.push(format!("{mark}  {name:width$}  {}", plain(detail)));
        if !hint.is_empty() {
            lines.push(format!("      {:width$}  → {}", "", plain(hint)));
        }
    }
    let count = |state| {
        report
            .checks
            .iter()
            .filter(|check| check.state == state)
            .count()
    };
    lines.push(match (count(State::Fail), count(State::Warn)) {
        (0, 0) => "\nAll is well.".to_owned(),
        (0, warnings) => format!("\nNothing failed; {warnings} to look at."),
        (failures, _) => format!("\n{failures} failed."),
    });
    lines.join("\n")
}
