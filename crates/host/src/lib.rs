//! What every program that holds the broker does around it: where things lie, what the person settled, the log, what
//! the process gives away, and opening to callers in the right order.
//!
//! Two programs hold a broker: `doorward` (above all `doorward serve`) and the desktop application. What differs
//! between them, which is how a person is asked and told, is theirs.

mod courier;
mod folders;
pub mod hardening;
pub mod logs;
mod open;
mod settings;

pub use courier::courier;
pub use folders::{Folders, NoFolder, make_private};
pub use open::{Open, OpenFailure, open};
pub use settings::{BadSettings, Settings};

use std::time::Duration;

use doorward_broker::{ApprovalRoom, Config, HolderKind, Keys};

/// One call to a provider may take this long.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a broker on these folders is started with.
#[must_use]
pub fn config(folders: &Folders, holder: HolderKind, keys: Keys) -> Config {
    Config {
        data: folders.data.clone(),
        providers: folders.providers(),
        holder,
        keys,
        approval: match holder {
            HolderKind::Desktop => ApprovalRoom::Window,
            HolderKind::Serve | HolderKind::Command => ApprovalRoom::Terminal,
        },
        courier: courier(holder),
        provider_timeout: PROVIDER_TIMEOUT,
    }
}
