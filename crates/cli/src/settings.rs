//! `config.toml`: what a person settles once. Flags win over it.

use std::io;
use std::path::Path;

use doorward_broker::Keys;
use serde::Deserialize;

use crate::failure::{Failure, Outcome};

/// What `config.toml` may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The gateway's port.
    pub(crate) port: Option<u16>,
    /// Where the key of a new store comes from.
    pub(crate) keys: Option<KeysChoice>,
}

/// Where the key of a new store comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeysChoice {
    /// The operating system's keyring
    Keyring,
    /// A passphrase that you type
    Passphrase,
}

impl From<KeysChoice> for Keys {
    fn from(choice: KeysChoice) -> Self {
        match choice {
            KeysChoice::Keyring => Self::Keyring,
            KeysChoice::Passphrase => Self::Passphrase,
        }
    }
}

impl Settings {
    /// Reads `config.toml` of the config folder. A file that is not there says nothing; one that cannot be
    /// understood is an error, for a setting that silently does not count is worse than none.
    pub(crate) fn read(config: &Path) -> Outcome<Self> {
        let path = config.join("config.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                let hint = "Make it a text file that you may read, or move it away.";
                return Err(unusable(&path, &error.to_string(), hint));
            }
        };
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                text[..span.start.min(text.len())].matches('\n').count() + 1
            });
            let hint = "Mend that line. The settings are `port` (a number) and `keys` (\"keyring\" or \"passphrase\").";
            unusable(&path, &format!("line {line}: {}", error.message()), hint)
        })
    }
}

fn unusable(path: &Path, why: &str, hint: &str) -> Failure {
    Failure::new(
        "config_invalid",
        format!(
            "{} cannot be used: {}.",
            path.display(),
            why.trim_end_matches('.')
        ),
        hint,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Outcome<Settings> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        Settings::read(folder.path())
    }

    #[test]
    fn settings_are_read_and_an_unknown_one_names_its_line() {
        let settings = read("port = 1234\nkeys = \"passphrase\"\n").unwrap();
        assert_eq!(
            settings,
            Settings {
                port: Some(1234),
                keys: Some(KeysChoice::Passphrase)
            }
        );
        assert_eq!(read("").unwrap(), Settings::default());
        let unknown = read("port = 1\n\nprot = 2\n").unwrap_err();
        assert!(
            unknown.detail.contains("line 3: unknown field `prot`"),
            "{}",
            unknown.detail
        );
        assert!(read("port = 70000").unwrap_err().detail.contains("line 1"));
        assert!(read("port = ").unwrap_err().detail.contains("line 1"));
    }
}
