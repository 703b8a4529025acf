//! What a broker is started with.

use std::path::PathBuf;
use std::time::Duration;

use doorward_store::HolderKind;

/// Where the key-encryption key comes from when a store is first made. A store that exists remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The operating system's keyring.
    Keyring,
    /// A passphrase that a person types.
    Passphrase,
}

/// Where a person may approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalRoom {
    /// In the window of this process alone.
    Window,
    /// On a terminal, with the approval PIN.
    Terminal,
}

/// What a broker is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// Where further provider manifests lie (`NAME.toml`).
    pub providers: PathBuf,
    /// Who holds the folder, for those who come second.
    pub holder: HolderKind,
    /// Where the key-encryption key of a new store comes from.
    pub keys: Keys,
    /// Where a person may approve.
    pub approval: ApprovalRoom,
    /// The `doorward` program, which carries refreshes as a process of its own.
    pub courier: PathBuf,
    /// How long one call to a provider may take.
    pub provider_timeout: Duration,
}
