//! The agent key of an agent's command: from `--key-file`, else from `DOORWARD_KEY`. Never from an argument, which
//! every program on the machine can read.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use doorward_core::key::AgentKey;
use doorward_core::problem::{Code, Refusal};
use zeroize::Zeroizing;

use crate::failure::Outcome;
use crate::output::Output;

const VARIABLE: &str = "DOORWARD_KEY";

/// Reads the agent key.
pub(crate) fn read(output: Output, file: Option<&Path>) -> Outcome<Zeroizing<String>> {
    let text = if let Some(file) = file {
        warn_if_open(output, file);
        crate::passphrase::read(file)?
    } else {
        let value = std::env::var(VARIABLE).map_err(|_| {
            Refusal::new(
                Code::Unauthenticated,
                "No agent key was given.",
                "Set DOORWARD_KEY or name a file with --key-file; `doorward pair` asks a person for a key.",
            )
        })?;
        Zeroizing::new(value)
    };
    let key = Zeroizing::new(text.trim().to_owned());
    if AgentKey::is_well_formed(&key) {
        return Ok(key);
    }
    let refusal = Refusal::new(
        Code::Unauthenticated,
        "What was given is not an agent key: one begins with dwk_ and has 47 characters.",
        "Give the key that `doorward pair` printed.",
    );
    Err(refusal.into())
}

fn warn_if_open(output: Output, file: &Path) {
    let open = std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.mode() & 0o077 != 0);
    if open {
        output.note(&format!(
            "warning: other users may read {0}: `chmod go= {0}`",
            file.display()
        ));
    }
}
