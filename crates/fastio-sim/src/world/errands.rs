//! Work that takes time: imports from addresses, and answers about files.
//!
//! How far it is follows from the clock alone, so a test may wait or move the clock; what it brings
//! about is done when someone first looks after its end.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::clock::fastio_datetime;
use crate::http::call::Place;
use crate::secret::random_node_id;

/// An import of a file from an address.
#[derive(Clone, Debug)]
pub(crate) struct WebUpload {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) place: Place,
    pub(crate) folder: String,
    pub(crate) name: String,
    pub(crate) begun_at: OffsetDateTime,
    pub(crate) canceled: bool,
    pub(crate) new_file_id: Option<String>,
}

impl WebUpload {
    /// Its states in their order, each as long as the others.
    const STATES: [&str; 4] = ["pending", "queued", "downloading", "uploading"];

    pub(crate) fn status(&self, now: OffsetDateTime, step: Duration) -> &'static str {
        if self.canceled {
            return "canceled";
        }
        match Self::STATES.get(steps(self.begun_at, now, step)) {
            Some(state) => state,
            None if self.source.contains("missing") => "failed",
            None => "complete",
        }
    }

    pub(crate) fn description(&self, now: OffsetDateTime, step: Duration) -> Value {
        json!({
            "id": self.id,
            "source_url": self.source,
            "file_name": self.name,
            "status": self.status(now, step),
            "progress": 25 * steps(self.begun_at, now, step).min(4),
            "created": fastio_datetime(self.begun_at),
            "new_file_id": self.new_file_id,
        })
    }
}

/// A conversation about files.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) id: String,
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) privacy: String,
    pub(crate) published: bool,
    pub(crate) turns: Vec<Turn>,
}

/// A question and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) id: String,
    pub(crate) question: String,
    pub(crate) asked_at: OffsetDateTime,
    pub(crate) canceled: bool,
    /// The file that the answer is taken from, and the line of it.
    pub(crate) source: Option<(String, String)>,
}

impl Turn {
    pub(crate) fn new(
        question: String,
        source: Option<(String, String)>,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            id: random_node_id(),
            question,
            asked_at: now,
            canceled: false,
            source,
        }
    }

    pub(crate) fn state(&self, now: OffsetDateTime, step: Duration) -> &'static str {
        match steps(self.asked_at, now, step) {
            _ if self.canceled => "errored",
            0 => "ready",
            1 => "in_progress",
            _ => "complete",
        }
    }

    pub(crate) fn description(&self, seq: usize, now: OffsetDateTime, step: Duration) -> Value {
        let state = self.state(now, step);
        let mut shown = json!({
            "turn_id": self.id,
            "seq": seq,
            "question": self.question,
            "state": state,
            "text": null,
            "citations": [],
        });
        if state == "complete" {
            let (text, citations) = self.answer();
            shown["text"] = text.into();
            shown["citations"] = citations;
        }
        shown
    }

    fn answer(&self) -> (String, Value) {
        match &self.source {
            None => ("Nothing in the files speaks of that.".to_owned(), json!([])),
            Some((node, line)) => (
                format!("The files say: {line}"),
                json!([{
                    "nodeId": node,
                    "versionId": format!("{node}-1"),
                    "entries": [{ "page": 1, "snippet": line, "timestamp": null }],
                }]),
            ),
        }
    }
}

/// How many steps have passed.
fn steps(since: OffsetDateTime, now: OffsetDateTime, step: Duration) -> usize {
    let step = step.whole_milliseconds().max(1);
    usize::try_from((now - since).whole_milliseconds().max(0) / step).unwrap_or(usize::MAX)
}
