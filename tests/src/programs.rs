//! The programs under test, built once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The repository's folder.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the repository")
}

/// `doorward`, as it is in the source now.
pub fn doorward() -> PathBuf {
    programs().join("doorward")
}

/// `fastio-sim`, as it is in the source now.
pub fn fastio_sim() -> PathBuf {
    programs().join("fastio-sim")
}

/// `doorward-desktop`, as it is in the source now, with the pages in `ui/dist`.
pub fn doorward_desktop() -> PathBuf {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    // Apart from the others, which build on a machine without a display or WebKit.
    let folder = FOLDER.get_or_init(|| build(&["doorward-desktop"]));
    let folder = folder.as_ref().unwrap_or_else(|error| panic!("{error}"));
    folder.join("doorward-desktop")
}

/// The folder of the built programs. Cargo builds a package's programs for that package's tests only; asking it here
/// makes `cargo test -p doorward-e2e` right from nothing and after every change.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    // Kept where it fails, too: the next test would only fail again, minutes later.
    FOLDER
        .get_or_init(|| build(&["doorward", "fastio-sim"]))
        .as_ref()
        .unwrap_or_else(|error| panic!("{error}"))
}

fn build(packages: &[&str]) -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("DOORWARD_PROGRAMS") {
        return Ok(folder.into());
    }
    // target/PROFILE/deps/it-HASH
    let test = std::env::current_exe().expect("a test knows where it lies");
    let folder = test.ancestors().nth(2).expect("below the profile's folder");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository());
    cargo.args(["build", "--quiet", "--bins"]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.output().expect("cargo can be run");
    if built.status.success() {
        Ok(folder.to_owned())
    } else {
        Err(format!(
            "the programs cannot be built:\n{}",
            String::from_utf8_lossy(&built.stderr)
        ))
    }
}
