//! `config.toml`: what a person settles once. Flags win over it.

use std::io;
use std::path::{Path, PathBuf};

use doorward_broker::Keys;
use serde::Deserialize;

/// What `config.toml` may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The gateway's port.
    pub port: Option<u16>,
    /// Where the key of a new store comes from.
    #[serde(deserialize_with = "keys_in_words")]
    pub keys: Option<Keys>,
}

/// `config.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used: {why}.", path.display())]
pub struct BadSettings {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: String,
    /// What to do next.
    pub hint: &'static str,
}

/// The words a person writes for where a key comes from.
fn keys_in_words<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Keys>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Keyring,
        Passphrase,
    }
    Ok(Some(match Word::deserialize(deserializer)? {
        Word::Keyring => Keys::Keyring,
        Word::Passphrase => Keys::Passphrase,
    }))
}

impl Settings {
    /// Reads `config.toml` of the config folder. A file that is not there says nothing; one that cannot be
    /// understood is an error, for a setting that silently does not count is worse than none.
    pub fn read(config: &Path) -> Result<Self, BadSettings> {
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

fn unusable(path: &Path, why: &str, hint: &'static str) -> BadSettings {
    BadSettings {
        path: path.to_owned(),
        why: why.trim_end_matches('.').to_owned(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, BadSettings> {
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
                keys: Some(Keys::Passphrase)
            }
        );
        assert_eq!(read("").unwrap(), Settings::default());
        let unknown = read("port = 1\n\nprot = 2\n").unwrap_err();
        assert!(
            unknown.why.contains("line 3: unknown field `prot`"),
            "{}",
            unknown.why
        );
        assert!(read("port = 70000").unwrap_err().why.contains("line 1"));
        assert!(read("port = ").unwrap_err().why.contains("line 1"));
    }
}
