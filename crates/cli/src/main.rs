//! The `doorward` command, and `doorward serve` for machines without a display.
//!
//! Two kinds of commands share a name and nothing else. A person's commands ask the broker over the control socket,
//! or run one of their own for as long as the command takes. An agent's commands (`pair`, `token`) go over HTTP with
//! an agent key, as any agent does, and can do nothing that another agent could not.

mod agent_key;
mod args;
mod browser;
mod commands;
mod endpoint;
mod exit;
mod failure;
mod link;
mod output;
mod passphrase;
mod pin;
mod signals;
mod terminal;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;
use doorward_broker::courier::Refused;
use doorward_host::{Folders, Settings, hardening, logs};

use crate::args::{Arguments, Command};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::link::Context;
use crate::output::Output;
use crate::passphrase::PassphraseFrom;
use crate::signals::Signals;

/// What is left to do in the background when a command is over gets this long.
const LAST_WORDS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    hardening::apply();
    let typed: Vec<OsString> = std::env::args_os().collect();
    let arguments = match Arguments::try_parse_from(&typed) {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&typed, &error).into(),
    };
    let output = Output::new(arguments.json);
    if matches!(arguments.command, Command::Courier) {
        return courier(output).into();
    }
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("The command cannot be run", &error))
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(output, arguments));
            runtime.shutdown_timeout(LAST_WORDS);
            outcome
        });
    match outcome {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Carries one refresh. It outlives whoever started it, so it takes part in nothing else that a command does: no
/// settings, no log, no signals.
fn courier(output: Output) -> Exit {
    hardening::forbid_looking_in();
    match doorward_broker::courier::carry() {
        Ok(()) => Exit::Done,
        Err(refused @ Refused::ByHand) => {
            let hint = "There is nothing to do by hand: Doorward renews tokens by itself.";
            output.failure(&Failure::new("usage", sentence(&refused), hint));
            Exit::Usage
        }
        Err(refused) => {
            let hint = "Nothing was sent to the provider.";
            output.failure(&Failure::new("failed", sentence(&refused), hint));
            Exit::Failed
        }
    }
}

fn sentence(refused: &Refused) -> String {
    let text = refused.to_string();
    let mut letters = text.chars();
    let capital = letters.next().map(|letter| letter.to_ascii_uppercase());
    format!("{}{}.", capital.unwrap_or_default(), letters.as_str())
}

async fn run(output: Output, arguments: Arguments) -> Outcome {
    let mut signals =
        Signals::listen().map_err(|error| Failure::io("Signals cannot be listened for", &error))?;
    let folders = Folders::find(arguments.data_dir.as_deref()).map_err(Failure::from)?;
    let settings = match (Settings::read(&folders.config), &arguments.command) {
        (Ok(settings), _) => settings,
        // It says itself what is wrong with the file, and looks at the rest all the same.
        (Err(_), Command::Doctor) => Settings::default(),
        (Err(bad), _) => return Err(bad.into()),
    };
    if !matches!(arguments.command, Command::Serve(_)) {
        logs::to_stderr();
    }
    let passphrase = PassphraseFrom {
        file: arguments.passphrase_file,
    };
    let mut context = Context::new(output, folders, settings, passphrase);
    let outcome = commands::run(&mut context, arguments.command, &mut signals).await;
    // Putting things in order may wait for a provider; a person who does not want to need not.
    tokio::select! {
        () = context.close() => {}
        _ = signals.next() => {}
    }
    outcome
}

/// Help and the version are answers; everything else that cannot be read is the caller's mistake.
fn not_understood(typed: &[OsString], error: &clap::Error) -> Exit {
    let output = Output::new(typed.iter().any(|word| word == "--json"));
    let text = error.render().to_string();
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return output
            .text(&text)
            .map_or_else(|failure| failure.exit, |()| Exit::Done);
    }
    if output.is_json() {
        let detail = text
            .trim_start_matches("error: ")
            .split("\n\n")
            .next()
            .unwrap_or_default();
        output.failure(&Failure::new(
            "usage",
            detail,
            "`doorward --help` and `doorward COMMAND --help` say how.",
        ));
    } else {
        output.note(&text);
    }
    Exit::Usage
}
