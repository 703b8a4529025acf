//! What the running broker promises, against a faithful provider in the same process.

mod consent;
mod refresh;
mod registration;
mod story;
mod trouble;
mod world;
