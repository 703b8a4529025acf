//! The courier of this crate's tests, as the `doorward` program has it: it reads its order on standard input.

use std::process::ExitCode;

fn main() -> ExitCode {
    match doorward_broker::courier::carry() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
