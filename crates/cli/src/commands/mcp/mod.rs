//! `doorward mcp`: an MCP server on standard input and output, for clients that speak nothing else.
//!
//! Lines of JSON-RPC go to `/mcp/NAME` of the running Doorward, as any agent's would, and what comes back goes out as
//! lines. Nothing but messages is ever written to standard output: what is for a person goes to standard error.

mod bridge;
mod line;
mod tools;

use std::collections::HashMap;
use std::io::{self, BufRead, Read as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use self::bridge::Bridge;
use self::line::Line;
use crate::args::Mcp;
use crate::endpoint;
use crate::failure::{Failure, Outcome};
use crate::link::Context;
use crate::output::failure_text;

/// The largest line: what the gateway takes, and a little for the line's end.
const MOST_LINE: u64 = 8 * 1024 * 1024 + 1024;
/// For how long what is under way may finish after the client has closed its end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

pub(super) async fn run(context: &mut Context, ask: Mcp) -> Outcome {
    let output = context.output;
    let mut lines = Lines::of_stdin()?;
    let bridge = match set_up(context, &ask) {
        Ok(bridge) => Arc::new(bridge),
        Err(failure) => {
            output.note(&failure_text(&failure));
            // The client asks first, and is told why nobody answers.
            if let Some(Ok(line)) = lines.next().await?
                && let Some(id) = &line.request
            {
                output.text(&line::refused(id, &failure, false))?;
            }
            // Said already; standard output is for messages alone.
            return Err(Failure {
                detail: String::new(),
                ..failure
            });
        }
    };
    let mut under_way = UnderWay::default();
    while let Some(read) = lines.next().await? {
        match read {
            Ok(line) => under_way.begin(&bridge, line).await?,
            Err(answer) => output.text(&answer)?,
        }
    }
    let finishing = async { while under_way.tasks.join_next().await.is_some() {} };
    let _cut_short = tokio::time::timeout(LAST_ANSWERS, finishing).await;
    bridge.end().await;
    Ok(())
}

fn set_up(context: &Context, ask: &Mcp) -> Outcome<Bridge> {
    if ask
        .key_file
        .as_deref()
        .is_some_and(|file| file.as_os_str() == "-")
    {
        return Err(Failure::new(
            "usage",
            "The key cannot come from standard input, where the messages come from.",
            "Name a file with --key-file, or set DOORWARD_KEY.",
        ));
    }
    let key = crate::agent_key::read(context.output, ask.key_file.as_deref())?;
    Ok(Bridge::new(
        endpoint::streaming_client()?,
        context.folders.clone(),
        key,
        (ask.connection.clone(), context.output),
    ))
}

/// Requests that wait for their answers.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    handles: HashMap<String, AbortHandle>,
}

impl UnderWay {
    /// Requests run beside each other; what wants no answer keeps its place in the order, and so does `initialize`,
    /// which everything after it builds on.
    async fn begin(&mut self, bridge: &Arc<Bridge>, line: Line) -> Outcome {
        while self.tasks.try_join_next().is_some() {}
        self.handles.retain(|_, handle| !handle.is_finished());
        if let Some(cancelled) = line.cancels()
            && bridge.has_no_session()
        {
            // There the end of the request's own stream is the cancellation.
            if let Some(handle) = self.handles.remove(&cancelled) {
                handle.abort();
            }
            return Ok(());
        }
        match line.request.clone() {
            Some(id) if line.method() != Some("initialize") => {
                let bridge = Arc::clone(bridge);
                let task = self.tasks.spawn(async move { bridge.pass(&line).await });
                self.handles.insert(id, task);
            }
            _ => bridge.pass(&line).await,
        }
        Ok(())
    }
}

/// The client's lines, read on a thread of their own: reading standard input blocks, and nothing can end that.
struct Lines(mpsc::Receiver<Outcome<String>>);

impl Lines {
    fn of_stdin() -> Outcome<Self> {
        let (sender, receiver) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || {
                let mut input = io::stdin().lock();
                while let Some(read) = read_line(&mut input) {
                    let is_over = read.is_err();
                    if sender.blocking_send(read).is_err() || is_over {
                        return;
                    }
                }
            })
            .map_err(|error| Failure::io("Standard input cannot be read", &error))?;
        Ok(Self(receiver))
    }

    /// The next message, or the answer to what is none; nothing at the end.
    async fn next(&mut self) -> Outcome<Option<Result<Line, String>>> {
        while let Some(text) = self.0.recv().await.transpose()? {
            let text = text.trim();
            if !text.is_empty() {
                return Ok(Some(Line::read(text)));
            }
        }
        Ok(None)
    }
}

fn read_line(input: &mut impl BufRead) -> Option<Outcome<String>> {
    let mut bytes = Vec::new();
    match input.take(MOST_LINE).read_until(b'\n', &mut bytes) {
        Ok(0) => None,
        Ok(count) if count as u64 == MOST_LINE && !bytes.ends_with(b"\n") => {
            Some(Err(Failure::new(
                "failed",
                "A message is larger than 8 MiB.",
                "Send large contents through `/mcp/NAME/blob` of Doorward.",
            )))
        }
        Ok(_) => Some(Ok(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) => Some(Err(Failure::io("Standard input cannot be read", &error))),
    }
}
