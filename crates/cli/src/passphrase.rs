//! The store's passphrase: from a file that the person names, or from the terminal. Unlocking is not approving, so a
//! server may do it without a person.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::failure::{Failure, Outcome};
use crate::terminal::Terminal;

/// The least that a new passphrase must have: everything in the store depends on it.
const LEAST_LETTERS: usize = 8;
/// A passphrase file that is larger is another file.
const LARGEST_FILE: usize = 4096;

/// Where a passphrase may come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct PassphraseFrom {
    /// A file; `-` is standard input.
    pub(crate) file: Option<PathBuf>,
}

impl PassphraseFrom {
    /// The passphrase of a store that has one.
    pub(crate) async fn known(&self) -> Outcome<Zeroizing<String>> {
        match &self.file {
            Some(file) => read(file),
            None => terminal()?.ask_secret("Passphrase of the store").await,
        }
    }

    /// A passphrase for a store that has none yet, or gets another.
    pub(crate) async fn chosen(&self) -> Outcome<Zeroizing<String>> {
        let chosen = match &self.file {
            Some(file) => read(file)?,
            None => return choose(&terminal()?).await,
        };
        if is_long_enough(&chosen) {
            Ok(chosen)
        } else {
            Err(too_short())
        }
    }

    /// Whether it can be had without a person.
    pub(crate) const fn is_unattended(&self) -> bool {
        self.file.is_some()
    }
}

fn terminal() -> Outcome<Terminal> {
    Terminal::open().ok_or_else(|| {
        Failure::new(
            "no_terminal",
            "The store opens with a passphrase, and there is no terminal to ask for it.",
            "Run the command in a terminal, or name a file with `--passphrase-file FILE` (`-` is standard input).",
        )
    })
}

async fn choose(terminal: &Terminal) -> Outcome<Zeroizing<String>> {
    terminal.say(&format!(
        "Choose a passphrase for the store, of at least {LEAST_LETTERS} characters. Without it, nobody opens the store."
    ))?;
    for _ in 0..crate::pin::TRIES {
        let first = terminal.ask_secret("New passphrase").await?;
        if !is_long_enough(&first) {
            terminal.say(&format!("That has fewer than {LEAST_LETTERS} characters."))?;
            continue;
        }
        if *terminal.ask_secret("The same again").await? == *first {
            return Ok(first);
        }
        terminal.say("Those were two different passphrases.")?;
    }
    Err(Failure::new(
        "failed",
        "No passphrase was chosen.",
        "Run the command again; nothing was changed.",
    ))
}

fn is_long_enough(passphrase: &str) -> bool {
    passphrase.chars().count() >= LEAST_LETTERS
}

fn too_short() -> Failure {
    Failure::new(
        "failed",
        format!("The passphrase in that file has fewer than {LEAST_LETTERS} characters."),
        "Put a longer one there; nothing was changed.",
    )
}

/// Reads a secret from a file, without the line end that editors put there.
pub(crate) fn read(file: &Path) -> Outcome<Zeroizing<String>> {
    let failed = |error: &io::Error| {
        let name = if is_stdin(file) {
            "Standard input".to_owned()
        } else {
            file.display().to_string()
        };
        Failure::new(
            "failed",
            format!("{name} cannot be read: {error}."),
            "Name a file that you may read.",
        )
    };
    let mut text = Zeroizing::new(String::with_capacity(LARGEST_FILE + 1));
    let source: Box<dyn io::Read> = if is_stdin(file) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(|error| failed(&error))?)
    };
    source
        .take(LARGEST_FILE as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| failed(&error))?;
    if text.len() > LARGEST_FILE {
        return Err(failed(&io::Error::other("it is larger than any such file")));
    }
    let kept = text.strip_suffix('\n').map_or(text.len(), |rest| {
        rest.strip_suffix('\r').unwrap_or(rest).len()
    });
    text.truncate(kept);
    if text.is_empty() {
        Err(failed(&io::Error::other("it is empty")))
    } else {
        Ok(text)
    }
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}
