//! The real binary, on folders of its own, with its output in snapshots.

#![expect(
    clippy::unwrap_used,
    reason = "a test may fail by panicking, in its helpers too"
)]

mod approving;
mod asking;
mod bridge;
mod clean;
mod courier;
mod errors;
mod promises;
mod pty;
mod serving;
mod story;
mod watching;
mod world;
