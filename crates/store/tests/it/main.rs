//! What the store promises, each promise a test.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do: by panicking"
)]

mod audit;
mod durability;
mod erasing;
mod keyring;
mod messages;
mod opening;
mod pin;
mod refusing;
mod rotation;
mod rows;
mod samples;
mod schemas;
mod sealing;
mod speed;
mod spool;
mod unlocking;
mod world;
