//! Calls to providers.
//!
//! Everything that comes back is an attacker's input: bounded in size and time, never followed to another address,
//! and read by the core. Nothing here decides anything about a grant.

pub mod account;
pub mod discovery;
pub mod http;
pub mod locks;
pub mod manifest;
pub mod registration;
pub mod revocation;
pub mod token;

pub use http::Providers;
