//! `GET /metrics`: how Doorward is, in the text format of Prometheus (exposition format 0.0.4).
//!
//! What only grows ends in `_total`, begins at nothing with each start, and never falls while Doorward runs. Names of
//! connections are there, as the person who gave the key gave them; accounts, tokens and agents are not.

use axum::body::Body;
use axum::response::Response;
use doorward_broker::metrics::{CallTotals, Metrics, RefreshTotals};
use doorward_core::decide::serving::Caller;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::VERSION;
use crate::ask::Call;
use crate::failure::Failure;

const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn show(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    call.query(&[])?;
    let metrics = call.gate.handle.metrics(caller)?;
    let mut response = Response::new(Body::from(text(&metrics)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
    Ok(response)
}

fn text(metrics: &Metrics) -> String {
    let mut page = Page::default();
    page.gauge("doorward_build_info", "Always 1; which Doorward this is.");
    page.sample(&[("version", VERSION)], 1);
    page.gauge(
        "doorward_store_unlocked",
        "1 while the store is open; while it is locked this page is answered 503 instead.",
    );
    page.sample(&[], 1);
    page.gauge(
        "doorward_connections",
        "Connections by health, without those that are being disconnected.",
    );
    for (word, count) in &metrics.connections {
        page.sample(&[("health", word)], whole(*count));
    }
    refreshes(&mut page, &metrics.refreshes);
    calls(&mut page, &metrics.calls);
    for (name, help, count) in [
        (
            "doorward_locks_held",
            "Locks that agents hold at providers.",
            metrics.locks,
        ),
        ("doorward_agents", "Agents.", metrics.agents),
        (
            "doorward_approval_requests",
            "Approval requests that wait for a person.",
            metrics.requests,
        ),
        (
            "doorward_revocations_owed",
            "Revocations that providers have not confirmed yet.",
            metrics.revocations_owed,
        ),
        (
            "doorward_tokens_unsaved",
            "Connections whose fresh tokens the store could not take yet.",
            metrics.tokens_unsaved,
        ),
    ] {
        page.gauge(name, help);
        page.sample(&[], whole(count));
    }
    page.counter(
        "doorward_refused_requests_total",
        "Requests refused since Doorward started, before a route or on one that needs a key, by error code.",
    );
    for (code, count) in &metrics.refused {
        page.sample(&[("code", code.as_str())], *count);
    }
    page.text
}

fn refreshes(page: &mut Page, refreshes: &[RefreshTotals]) {
    page.counter(
        "doorward_connection_refreshes_total",
        "Refreshes since Doorward started, by connection and by whether they brought tokens.",
    );
    for own in refreshes {
        let name = own.connection.as_str();
        for (result, count) in [("succeeded", own.succeeded), ("failed", own.failed)] {
            page.sample(&[("connection", name), ("result", result)], count);
        }
    }
}

/// What went through the proxy door.
fn calls(page: &mut Page, calls: &[CallTotals]) {
    page.counter(
        "doorward_proxied_calls_total",
        "Calls through the proxy door since Doorward started, by connection and class of the status; none is a call without an answer of the provider.",
    );
    for own in calls {
        let name = own.connection.as_str();
        for (class, count) in own.by_class {
            page.sample(&[("connection", name), ("status", class)], count);
        }
    }
    page.counter(
        "doorward_proxied_bytes_total",
        "Bytes of bodies through the proxy door since Doorward started: out to the agent, in from it.",
    );
    for own in calls {
        let name = own.connection.as_str();
        for (direction, count) in [("in", own.bytes_in), ("out", own.bytes_out)] {
            page.sample(&[("connection", name), ("direction", direction)], count);
        }
    }
    page.counter(
        "doorward_proxied_retries_total",
        "How often calls through the proxy door were sent again since Doorward started.",
    );
    for own in calls {
        page.sample(&[("connection", own.connection.as_str())], own.retries);
    }
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The text as it grows: families one after the other, the samples of each below its head.
#[derive(Default)]
struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    fn gauge(&mut self, name: &'static str, help: &str) {
        self.head(name, "gauge", help);
    }

    fn counter(&mut self, name: &'static str, help: &str) {
        self.head(name, "counter", help);
    }

    fn head(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        self.text.extend([
            "# HELP ", name, " ", help, "\n", "# TYPE ", name, " ", kind, "\n",
        ]);
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let value = value.to_string();
        self.text.extend([self.family, &labels, " ", &value, "\n"]);
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_quotes_or_its_line() {
        let mut page = Page::default();
        page.gauge("doorward_test", "A test.");
        page.sample(&[("name", "a\\b\"c\nd é"), ("other", "x")], 7);
        let line = page.text.lines().last().unwrap_or_default();
        assert_eq!(
            line,
            "doorward_test{name=\"a\\\\b\\\"c\\nd é\",other=\"x\"} 7"
        );
    }
}
