//! The terminal a person sits at.
//!
//! Prompts go to `/dev/tty` and answers come from it, whatever standard input and output are: a secret that could be
//! piped in could be answered by a program. While a secret is typed the echo is off; a guard puts it back however the
//! prompt ends, signals included.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd;

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

use crate::failure::{Failure, Outcome};
use crate::words::plain;

/// Longer than anything a person types at a prompt.
const LONGEST_ANSWER: usize = 1024;

/// The controlling terminal of this process, with this process in its foreground.
pub(crate) struct Terminal {
    tty: File,
}

impl Terminal {
    /// The terminal, if there is a person at one.
    pub(crate) fn open() -> Option<Self> {
        let tty = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .ok()?;
        // A job in the background would be stopped by its first question.
        is_foreground(&tty).then_some(Self { tty })
    }

    /// The terminal, or the refusal to do without.
    pub(crate) fn required(what_for: &str) -> Outcome<Self> {
        Self::open().ok_or_else(|| {
            Failure::new(
                "no_terminal",
                format!("{what_for} needs a person at a terminal, and there is none."),
                "Run the command yourself in a terminal. No flag, variable or file can answer in your place.",
            )
        })
    }

    /// Shows lines of text.
    pub(crate) fn say(&self, text: &str) -> Outcome {
        writeln!(&self.tty, "{}", text.trim_end_matches('\n')).map_err(|error| unusable(&error))
    }

    /// Asks for something that must not be seen.
    pub(crate) async fn ask_secret(&self, question: &str) -> Outcome<Zeroizing<String>> {
        let silence = Silence::begin(&self.tty).map_err(|error| unusable(&error))?;
        write!(&self.tty, "{}: ", plain(question)).map_err(|error| unusable(&error))?;
        let tty = self.tty.try_clone().map_err(|error| unusable(&error))?;
        let (answered, answer) = tokio::sync::oneshot::channel();
        // A thread of its own, not the runtime's: where a signal ends the prompt, nothing waits for it.
        std::thread::spawn(move || answered.send(read_line(tty)));
        let line = answer
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()));
        drop(silence);
        // The person's Enter was not echoed.
        let _shown: Outcome = self.say("");
        line.map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                Failure::interrupted()
            } else {
                unusable(&error)
            }
        })
    }
}

fn unusable(error: &io::Error) -> Failure {
    Failure::new(
        "no_terminal",
        format!("The terminal cannot be used: {error}."),
        "Run the command in another terminal.",
    )
}

fn read_line(tty: File) -> io::Result<Zeroizing<String>> {
    // With its full size from the start, the buffer is never moved, and no copy of a secret is left behind.
    let mut line = Zeroizing::new(String::with_capacity(LONGEST_ANSWER));
    let mut reader =
        BufReader::with_capacity(LONGEST_ANSWER, io::Read::take(tty, LONGEST_ANSWER as u64));
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let kept = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(kept);
    Ok(line)
}

/// Whether this process may read from a terminal without being stopped.
pub(crate) fn is_foreground(terminal: &impl AsFd) -> bool {
    termios::isatty(terminal)
        && termios::tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// The terminal with its echo off, until this is dropped.
struct Silence<'a> {
    tty: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn begin(tty: &'a File) -> io::Result<Self> {
        let before = termios::tcgetattr(tty)?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHOE | LocalModes::ECHOK | LocalModes::ECHONL);
        silent
            .local_modes
            .insert(LocalModes::ICANON | LocalModes::ISIG);
        // A process that is stopped in a prompt would leave a terminal without echo to whoever comes next.
        silent.special_codes[SpecialCodeIndex::VSUSP] = 0;
        // What was typed before the question was not typed as an answer.
        termios::tcsetattr(tty, OptionalActions::Flush, &silent)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _restored: Result<(), rustix::io::Errno> =
            termios::tcsetattr(self.tty, OptionalActions::Flush, &self.before);
    }
}
