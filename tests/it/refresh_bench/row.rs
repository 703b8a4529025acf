//! A case's finding, and the table of all of them.

use std::fmt::Write as _;
use std::time::Duration;

use super::calls::{Call, Said};
use super::scene::Fate;

/// What a case found.
#[derive(Debug, Default)]
pub(crate) struct Row {
    case: String,
    /// How many reached the provider.
    pub(crate) refreshes: u64,
    answered: usize,
    refused: usize,
    pub(crate) lost: usize,
    pub(crate) ended: usize,
    pub(crate) asked: usize,
    wait_live: Option<Duration>,
    wait_ended: Option<Duration>,
    note: String,
    /// Every promise that did not hold, in words.
    broken: Vec<String>,
}

impl Row {
    pub(crate) fn of(case: impl Into<String>) -> Self {
        let case = case.into();
        Self {
            case,
            ..Self::default()
        }
    }

    /// A case that did not come to its end.
    pub(crate) fn unfinished(case: &str, why: &str) -> Self {
        let mut row = Self::of(case);
        row.holds(false, || format!("it did not come to its end: {why}"));
        row
    }

    /// Counts what callers heard. Whoever hears nothing, or something that tells it neither to go on, nor to ask again,
    /// nor that a person is needed, was let down.
    pub(crate) fn heard(&mut self, calls: &[Call]) {
        for call in calls {
            match &call.said {
                Said::Token(_) => self.answered += 1,
                Said::Later(_) => self.refused += 1,
                Said::Over | Said::Unknown => {}
                Said::Nothing => self.broken.push("a caller was not answered".to_owned()),
                Said::Else(answer) => {
                    self.broken.push(format!("a caller was answered {answer}"));
                }
            }
        }
        self.broken.dedup();
    }

    /// The same where Doorward was killed: then a caller may hear nothing.
    pub(crate) fn heard_by_survivors(&mut self, calls: &[Call]) {
        let heard: Vec<Call> = calls
            .iter()
            .filter(|call| call.said != Said::Nothing)
            .cloned()
            .collect();
        self.heard(&heard);
    }

    /// How long callers waited whose token was still good.
    pub(crate) fn waited_with_a_token(&mut self, wait: Option<Duration>) {
        self.wait_live = self.wait_live.max(wait);
    }

    /// How long callers waited whose token had ended, past the moment at which the provider let its reply go.
    pub(crate) fn waited_without(&mut self, wait: Option<Duration>) {
        self.wait_ended = self.wait_ended.max(wait);
    }

    /// Counts what became of a grant that nothing but Doorward could have lost.
    pub(crate) fn must_be_kept(&mut self, fate: Fate) {
        if fate != Fate::Kept {
            self.lost += 1;
        }
    }

    /// Counts what became of a grant that the provider may have ended by its own rules.
    pub(crate) fn provider_decides(&mut self, fate: Fate) {
        match fate {
            Fate::Kept => {}
            Fate::Ended => self.ended += 1,
            Fate::Lost => self.lost += 1,
        }
    }

    /// A promise of this case alone.
    pub(crate) fn holds(&mut self, holds: bool, promise: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(promise());
        }
    }

    pub(crate) fn exactly(&mut self, refreshes: u64) {
        let sent = self.refreshes;
        self.holds(sent == refreshes, || {
            format!("{sent} refreshes were sent instead of {refreshes}")
        });
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.note = note.into();
    }

    /// What every case promises: no grant is lost, and a person is asked where a grant has ended and nowhere else.
    fn verdict(&self) -> Vec<String> {
        let mut broken = self.broken.clone();
        if self.lost > 0 {
            broken.push(format!("{} lost", counted(self.lost, "grant")));
        }
        if self.asked > self.ended {
            let (asked, ended) = (self.asked, self.ended);
            broken.push(format!(
                "a person was asked {asked} times for {}",
                counted(ended, "ended grant")
            ));
        }
        if self.asked < self.ended {
            broken.push("a grant ended and nobody was asked".to_owned());
        }
        broken
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn shown(wait: Option<Duration>) -> String {
    wait.map_or_else(
        || "·".to_owned(),
        |wait| format!("{} ms", wait.as_millis().max(1)),
    )
}

/// The rows as Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = "| case | refreshes sent | callers answered | told to ask again | grants lost | grants ended | person asked | wait, token good | wait, token ended | |\n\
                    |---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n"
        .to_owned();
    for row in rows {
        let mut last = row.verdict();
        let is_kept = last.is_empty();
        if !row.note.is_empty() {
            last.insert(0, row.note.clone());
        }
        let verdict = if is_kept { "" } else { "**FAILED** " };
        let Row {
            case,
            refreshes,
            answered,
            refused,
            lost,
            ended,
            asked,
            ..
        } = row;
        let (live, over) = (shown(row.wait_live), shown(row.wait_ended));
        let _written = writeln!(
            text,
            "| {case} | {refreshes} | {answered} | {refused} | {lost} | {ended} | {asked} | {live} | {over} | {verdict}{} |",
            last.join("; ")
        );
    }
    text
}

/// What was promised and did not hold, with the case in which it did not.
pub(crate) fn broken_promises(rows: &[Row]) -> Vec<String> {
    let all = rows.iter().flat_map(|row| {
        let verdict = row.verdict();
        verdict
            .into_iter()
            .map(move |broken| format!("{}: {broken}", row.case))
    });
    all.collect()
}
