//! The world that scenarios play in: the real `doorward`, a simulated Fast.io, a keyring of its own, and folders that
//! go with it.
//!
//! Everything here ends with the value that stands for it, however a test ends: processes are killed when they are
//! dropped, and by the kernel when the test itself is killed. Nothing reaches the person's own folders, keyring or
//! bus: each process gets an environment made from nothing. Ports are chosen by the system, and a test waits for what
//! it wants to see, never for a while.
//!
//! ```no_run
//! # async fn example() {
//! use doorward_e2e::{Consent, World};
//!
//! let world = World::new().await;
//! let _served = world.serve().await;
//! world.set_pin().await;
//! world.connect(&[], &Consent::everything()).await;
//! let agent = world.pair("Reporter", "fastio:token").await;
//! assert_eq!(agent.token("fastio").await.status, 200);
//! # }
//! ```

#![expect(
    clippy::missing_panics_doc,
    reason = "a world fails by panicking: that is how a test says so"
)]
#![expect(
    clippy::must_use_candidate,
    reason = "some of what a world does is asked for its effect"
)]

mod agent;
mod clock;
mod curl;
pub mod desktop;
pub mod kernel;
mod keyring;
pub mod mcp;
mod own;
mod peers;
mod process;
mod programs;
pub mod recorder;
mod scan;
pub mod secure;
mod seed;
mod world;

pub use agent::{Agent, Answer, Asked, Browser};
pub use clock::Stopwatch;
pub use curl::{Fetched, curl};
pub use fastio_sim::{Consent, DeadToken, Fault, Hang, Kind, Knobs, Sim, demo};
pub use keyring::Keyring;
pub use peers::NodePeer;
pub use process::{Process, Ran};
pub use programs::{doorward, doorward_desktop, fastio_sim, repository};
pub use scan::Scan;
pub use seed::Dice;
pub use world::{Builder, Connecting, Keys, PASSPHRASE, PIN, Served, World};

use std::time::Duration;

/// What takes longer than this does not happen. Generous: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at what nobody can be told about.
const STEP: Duration = Duration::from_millis(20);

/// Waits until `holds` says so, asking again every few milliseconds; for what nobody can be told about.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    assert!(in_time(holds).await, "never happened: {what}");
}

/// Looks until there is something, and gives it.
pub(crate) async fn found<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let looked = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(STEP).await;
        }
    });
    let looked = looked.await;
    looked.unwrap_or_else(|_| panic!("never there: {what}"))
}

/// Waits until it holds; whether it came to.
pub(crate) async fn in_time(holds: impl AsyncFn() -> bool) -> bool {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(STEP).await;
        }
    });
    waited.await.is_ok()
}
