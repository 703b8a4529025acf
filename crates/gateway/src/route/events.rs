//! `GET /v1/events`: the health of the caller's connections, told whenever it changes.
//!
//! What is told is what is so: each change is read from the state at that moment, so a reader that is slow misses
//! steps between and never the last one. The stream lasts as long as the key opens something, and is looked at again
//! before every line.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use doorward_broker::Handle;
use doorward_core::decide::serving::Caller;
use doorward_core::problem::{Code, Refusal};
use futures_util::stream;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use tokio::sync::watch;

use super::connections::Connection;
use crate::ask::Call;
use crate::failure::Failure;

/// So often something is sent, so that either end notices when the other is gone; a key that ends by its time is
/// noticed by then too.
const BEAT: Duration = Duration::from_secs(15);

pub(crate) async fn stream(call: &mut Call, caller: &Caller) -> Result<Response, Failure> {
    call.query(&[])?;
    let handle = call.gate.handle.clone();
    // Whoever may not ask now is refused as everywhere, and not by an empty stream.
    handle.connections_of(caller)?;
    let listener = Listener {
        changes: handle.changes(),
        stopping: call.gate.stopping.clone(),
        caller: caller.clone(),
        handle,
        told: BTreeMap::new(),
        is_first: true,
        is_over: false,
    };
    let lines = stream::unfold(listener, |mut listener| async move {
        let lines = listener.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(lines)), listener))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

struct Listener {
    handle: Handle,
    caller: Caller,
    changes: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// What was told last of each connection.
    told: BTreeMap<String, String>,
    is_first: bool,
    is_over: bool,
}

#[derive(Serialize)]
struct Gone<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Ended {
    code: Code,
}

impl Listener {
    /// What is to be sent next; nothing where the stream is over.
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        loop {
            let is_beat = !std::mem::take(&mut self.is_first) && self.wait().await?;
            match self.news() {
                Ok(news) if news.is_empty() && is_beat => {
                    return Some(": still here\n\n".to_owned());
                }
                Ok(news) if news.is_empty() => {}
                Ok(news) => return Some(news),
                Err(refusal) => {
                    self.is_over = true;
                    return Some(event("ended", &Ended { code: refusal.code }));
                }
            }
        }
    }

    /// Waits for a change. Whether it was only a beat; nothing where Doorward stops.
    async fn wait(&mut self) -> Option<bool> {
        tokio::select! {
            changed = self.changes.changed() => changed.ok().map(|()| false),
            () = tokio::time::sleep(BEAT) => Some(true),
            _stops = self.stopping.wait_for(|stops| *stops) => None,
        }
    }

    fn news(&mut self) -> Result<String, Refusal> {
        self.changes.mark_unchanged();
        self.caller = self.handle.still(&self.caller)?;
        let connections = self.handle.connections_of(&self.caller)?;
        let current: BTreeMap<String, String> = connections
            .iter()
            .map(|connection| {
                let told = event("health", &Connection::from(connection));
                (connection.name.to_string(), told)
            })
            .collect();
        let gone = self.told.keys().filter(|name| !current.contains_key(*name));
        let mut news: String = gone.map(|name| event("gone", &Gone { name })).collect();
        let changed = current
            .iter()
            .filter(|(name, told)| self.told.get(*name) != Some(told));
        news.extend(changed.map(|(_, told)| told.as_str()));
        self.told = current;
        Ok(news)
    }
}

fn event<T: Serialize>(kind: &str, data: &T) -> String {
    match serde_json::to_string(data) {
        Ok(data) => format!("event: {kind}\ndata: {data}\n\n"),
        Err(error) => {
            tracing::error!(%error, "an event could not be written as JSON");
            String::new()
        }
    }
}
