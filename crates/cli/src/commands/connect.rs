//! `doorward connect`
//!
//! What will be asked is shown before the browser opens. Then three things may end the wait: the browser is sent
//! back, the person pastes the address it was sent to (a browser on another machine cannot reach the callback), or
//! the person gives up, which also ends the consent in the broker.

use std::io::BufRead as _;

use doorward_broker::control::{self, Request, SecretText};
use doorward_broker::views::{ConnectionView, ConsentStarted};
use doorward_broker::{Clock as _, SystemClock};
use doorward_core::problem::Code;
use doorward_core::time::Timestamp;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::connections::described;
use crate::args::Connect;
use crate::browser;
use crate::failure::{Failure, Outcome};
use crate::link::{Context, Link};
use crate::output::failure_text;
use crate::signals::Signals;
use crate::terminal::is_foreground;
use crate::words::{self, moment};

pub(super) async fn run(context: &mut Context, ask: Connect, signals: &mut Signals) -> Outcome {
    let no_browser = ask.no_browser;
    let (mut link, started) = tokio::select! {
        started = start(context, ask) => started?,
        _ = signals.next() => return Err(Failure::interrupted()),
    };
    tell(context, &started, no_browser)?;
    let mut aside = link.another().await?;
    let ended = tokio::select! {
        ended = link.ask::<ConnectionView>(Request::AwaitConsent { flow: started.flow.clone() }) => ended,
        ended = pasted(context, &mut aside, &started.flow) => ended,
        _ = signals.next() => Err(Failure::interrupted()),
    };
    if ended
        .as_ref()
        .is_err_and(|failure| failure.is_own("interrupted"))
    {
        // A new way in: the others may be in the middle of a question.
        let mut last = link.another().await?;
        last.ask::<()>(Request::Cancel {
            flow: started.flow.clone(),
        })
        .await?;
    }
    let connection = ended?;
    let now = SystemClock.now();
    context.output.answer(&connection, |connection| {
        connected(now, connection, &started)
    })
}

async fn start(context: &mut Context, ask: Connect) -> Outcome<(Link, ConsentStarted)> {
    let mut link = context.on_any_store().await?;
    let started: ConsentStarted = link
        .ask(Request::Connect(control::Connect {
            provider: ask.provider,
            base: ask.base,
            scope: (!ask.scope.is_empty()).then(|| ask.scope.join(" ")),
            read_only: ask.read_only,
            tenant: ask.tenant,
            name: ask.name,
            agent_name: ask.agent_name,
        }))
        .await?;
    Ok((link, started))
}

fn tell(context: &Context, started: &ConsentStarted, no_browser: bool) -> Outcome {
    let output = context.output;
    if !browser::is_web_address(&started.url) {
        return Err(doorward_core::problem::Refusal::new(
            Code::ProviderUnsafe,
            "The provider's authorization endpoint is not a web address.",
            "Ask the provider for its right address; do not connect to it as it is.",
        )
        .into());
    }
    if output.is_json() {
        output.json_line(started)?;
    }
    let mode = if started.read_only {
        "reading only"
    } else {
        "reading and writing"
    };
    output.remark(&format!(
        "Connecting `{}`. The consent page will ask you for\n{}",
        started.connection,
        words::facts(&[
            ("provider", started.provider_title.clone()),
            (
                "scope",
                if started.scope.is_empty() {
                    "the provider's own choice".to_owned()
                } else {
                    started.scope.clone()
                }
            ),
            ("access", mode.to_owned()),
            ("name there", started.agent_name.clone()),
            (
                "answer",
                format!(
                    "{} at the latest",
                    moment(SystemClock.now(), started.expires_at)
                )
            ),
        ])
    ));
    if no_browser || !browser::open(&started.url) {
        output.remark(&format!(
            "Open this address in a browser:\n\n{}\n",
            started.url
        ));
    } else {
        output.remark(&format!(
            "Your browser opens. If it does not, open this address:\n\n{}\n",
            started.url
        ));
    }
    output.remark("Waiting. If the browser ends on a page that cannot be reached, paste its address here. Ctrl-C gives up.");
    Ok(())
}

/// Takes addresses that the person pastes until one belongs to the consent. Never ends where nothing can be pasted.
async fn pasted(context: &Context, link: &mut Link, flow: &str) -> Outcome<ConnectionView> {
    let mut lines = pasted_lines();
    while let Some(mut line) = lines.recv().await {
        if line.trim().is_empty() {
            continue;
        }
        let address = SecretText::new(std::mem::take(&mut *line));
        match link
            .ask(Request::Paste {
                flow: flow.to_owned(),
                address,
            })
            .await
        {
            Err(failure) if failure.is(Code::BadRequest) || failure.is(Code::ConsentMismatch) => {
                context.output.remark(&failure_text(&failure));
            }
            // Whoever waits for the consent learns why it ended.
            Err(failure) if failure.is(Code::ConsentUnknown) => break,
            ended => return ended,
        }
    }
    std::future::pending().await
}

fn pasted_lines() -> mpsc::Receiver<Zeroizing<String>> {
    let (sender, receiver) = mpsc::channel(1);
    let stdin = std::io::stdin();
    // Reading a terminal from the background would stop this process.
    if !rustix::termios::isatty(&stdin) || is_foreground(&stdin) {
        std::thread::spawn(move || {
            let mut line = Zeroizing::new(String::with_capacity(4096));
            while stdin
                .lock()
                .read_line(&mut line)
                .is_ok_and(|length| length > 0)
            {
                let whole =
                    std::mem::replace(&mut line, Zeroizing::new(String::with_capacity(4096)));
                if sender.blocking_send(whole).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

fn connected(now: Timestamp, connection: &ConnectionView, started: &ConsentStarted) -> String {
    let mut text = format!(
        "Connected `{}`.\n{}",
        connection.name,
        described(now, connection)
    );
    if let Some(difference) = difference(connection, started) {
        text = [&text, "\n", &difference, "\n"].concat();
    }
    if connection.agents == 0 {
        text.push_str("\nNo agent may use it yet: one asks with `doorward pair`, or you add one with `doorward agents add`.");
    }
    text
}

/// Says where the grant is another than what was asked for.
fn difference(connection: &ConnectionView, started: &ConsentStarted) -> Option<String> {
    if !connection.granted_stated {
        return Some(
            "The provider did not say what it granted; by the standard that means: what was asked."
                .to_owned(),
        );
    }
    // Fast.io answers a scope type (`workspace`) with what was picked (`workspace:123:r`).
    let covers = |word: &str, granted: &String| {
        granted == word
            || granted
                .strip_prefix(word)
                .is_some_and(|rest| rest.starts_with(':'))
    };
    let missing: Vec<&str> = started
        .scope
        .split_ascii_whitespace()
        .filter(|word| {
            !connection
                .granted
                .iter()
                .any(|granted| covers(word, granted))
        })
        .collect();
    let reads_only = !started.read_only
        && !connection.granted.is_empty()
        && connection
            .granted
            .iter()
            .all(|granted| granted.ends_with(":r"));
    match (missing.as_slice(), reads_only) {
        ([], false) => None,
        ([], true) => Some("That is less than was asked: reading only.".to_owned()),
        (missing, _) => Some(format!(
            "That is not all that was asked: {} is missing.",
            words::list(missing)
        )),
    }
}
