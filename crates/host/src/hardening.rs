//! What this process gives away to the rest of the machine: as little as it can.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};

/// For every command: files are for their owner alone, and a crash leaves no core on the disk.
pub fn apply() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Lowering one's own limit cannot fail; if it did, the command is still of use.
    let _lowered: Result<(), rustix::io::Errno> = rustix::process::setrlimit(Resource::Core, none);
}

/// For commands that hold the store's secrets or a person's PIN: other programs of the same user may not look into
/// the memory. Agents' commands stay as they are, for Doorward has to see which program asks.
pub fn forbid_looking_in() {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!(%error, "other programs of yours can look into the memory of Doorward");
    }
}
