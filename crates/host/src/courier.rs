//! Where the courier is: the `doorward` program itself, or the one that was installed with the desktop application.

use std::path::{Path, PathBuf};

use doorward_broker::HolderKind;

const PROGRAM: &str = "doorward";

/// The program that carries refreshes for a broker of that kind. Where it cannot be found, the name alone: starting
/// it then fails, and the connection says so.
#[must_use]
pub fn courier(holder: HolderKind) -> PathBuf {
    match holder {
        HolderKind::Serve | HolderKind::Command => own_program(),
        HolderKind::Desktop => {
            std::env::current_exe().map_or_else(|_| PathBuf::from(PROGRAM), |own| beside(&own))
        }
    }
}

/// An upgrade may put another program where this one lay, or none; the kernel still knows the one that runs.
#[cfg(target_os = "linux")]
fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

#[cfg(not(target_os = "linux"))]
fn own_program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from(PROGRAM))
}

fn beside(own: &Path) -> PathBuf {
    own.with_file_name(PROGRAM)
        .with_extension(std::env::consts::EXE_EXTENSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_desktop_sends_the_program_that_lies_beside_it() {
        let found = beside(Path::new("/opt/doorward/doorward-desktop"));
        assert_eq!(found.file_stem().unwrap(), PROGRAM);
        assert_eq!(found.parent().unwrap(), Path::new("/opt/doorward"));
    }

    #[test]
    fn the_command_sends_itself() {
        let own = std::fs::canonicalize(courier(HolderKind::Serve)).unwrap();
        assert_eq!(
            own,
            std::fs::canonicalize(std::env::current_exe().unwrap()).unwrap()
        );
    }
}
