//! What the running broker promises, against a faithful provider in the same process.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do: by panicking"
)]

mod agents;
mod approval;
mod asking;
mod calls;
mod consent;
mod control;
mod courier;
mod lifecycle;
mod locks;
mod refresh;
mod registration;
mod restart;
mod revoke;
mod story;
mod trouble;
mod unsaved;
mod world;
