//! Where Doorward keeps things, by the XDG base directory specification.
//!
//! The names hold no version: a folder that moved with each release would lose every grant at each release.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

const NAME: &str = "doorward";

/// There is nowhere to keep anything.
#[derive(Debug, thiserror::Error)]
#[error(
    "There is no folder to keep anything in: neither HOME nor XDG_DATA_HOME holds an absolute path."
)]
pub struct NoFolder;

impl NoFolder {
    /// What to do next.
    pub const HINT: &str = "Set HOME to your home folder, then run this again.";
}

/// The folders of this person's Doorward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The store, the lock, the control socket.
    pub data: PathBuf,
    /// `config.toml` and `providers/`.
    pub config: PathBuf,
    /// Logs.
    pub state: PathBuf,
    /// `$XDG_RUNTIME_DIR`, below which `doorward/endpoint.json` lies as long as the session lasts. Not everybody has
    /// one, and a Doorward on a folder that was named by hand does not use it.
    pub runtime: Option<PathBuf>,
    /// Variables that hold no absolute path and were therefore ignored.
    pub ignored: Vec<&'static str>,
}

impl Folders {
    /// Finds the folders from the environment; `data` is what the person named instead.
    pub fn find(data: Option<&Path>) -> Result<Self, NoFolder> {
        Self::from(data, |name| std::env::var_os(name)).ok_or(NoFolder)
    }

    fn from(data: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let mut ignored = Vec::new();
        let mut absolute = |name: &'static str| {
            let path = variable(name)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)?;
            // The specification: a path that is not absolute is ignored.
            if path.is_absolute() {
                Some(path)
            } else {
                ignored.push(name);
                None
            }
        };
        let data_home = absolute("XDG_DATA_HOME");
        let config_home = absolute("XDG_CONFIG_HOME");
        let state_home = absolute("XDG_STATE_HOME");
        let runtime_home = absolute("XDG_RUNTIME_DIR");
        let home = absolute("HOME");
        let below = |path: Option<PathBuf>, fallback: &str| {
            path.or_else(|| home.as_ref().map(|home| home.join(fallback)))
                .map(|base| base.join(NAME))
        };
        let is_named = data.is_some();
        let data = match data {
            Some(named) => std::path::absolute(named).ok()?,
            None => below(data_home, ".local/share")?,
        };
        Some(Self {
            data,
            config: below(config_home, ".config")?,
            state: below(state_home, ".local/state")?,
            // Agents look there first: that place is for the Doorward on the usual folder.
            runtime: runtime_home.filter(|_| !is_named),
            ignored,
        })
    }

    /// Where further provider manifests lie.
    #[must_use]
    pub fn providers(&self) -> PathBuf {
        self.config.join("providers")
    }

    /// Where the logs lie.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("log")
    }

    /// Whether a store was made there.
    #[must_use]
    pub fn has_store(&self) -> bool {
        self.data.join("doorward.db").exists()
    }
}

/// Makes a folder, and those above it, for this person alone. One that exists is left as it is.
pub fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Option<Folders> {
        Folders::from(None, |name| {
            variables
                .iter()
                .find(|(own, _)| *own == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn folders_follow_the_specification() {
        let found = with(&[
            ("HOME", "/h"),
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_RUNTIME_DIR", "/r"),
        ])
        .unwrap();
        assert_eq!(found.data, Path::new("/h/.local/share/doorward"));
        assert_eq!(found.config, Path::new("/c/doorward"));
        assert_eq!(found.state, Path::new("/h/.local/state/doorward"));
        assert_eq!(found.runtime.as_deref(), Some(Path::new("/r")));
    }

    #[test]
    fn a_folder_named_by_hand_keeps_out_of_the_place_that_agents_look_at_first() {
        let environment = |name: &str| match name {
            "HOME" => Some("/h".into()),
            "XDG_RUNTIME_DIR" => Some("/r".into()),
            _ => None,
        };
        let named = Folders::from(Some(Path::new("/d")), environment).unwrap();
        assert_eq!((named.data, named.runtime), ("/d".into(), None));
    }

    #[test]
    fn a_relative_path_is_ignored_and_remembered_as_such() {
        let found = with(&[
            ("HOME", "/h"),
            ("XDG_DATA_HOME", "here"),
            ("XDG_STATE_HOME", ""),
        ])
        .unwrap();
        assert_eq!(found.data, Path::new("/h/.local/share/doorward"));
        assert_eq!(found.ignored, ["XDG_DATA_HOME"]);
    }

    #[test]
    fn without_a_home_there_is_nowhere_to_keep_anything() {
        assert!(with(&[("HOME", "relative")]).is_none());
    }
}
