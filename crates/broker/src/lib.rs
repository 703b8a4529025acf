//! The running application.
//!
//! One task owns the state and has one mailbox (`actor`); callers hold a cheap [`Handle`]. Decisions are made by
//! `doorward-core`, written by `doorward-store`, and only then seen by anyone: after every change a copy of the book
//! is published, and the warm path reads that copy without a lock. Calls to providers run in tasks of their own and
//! report back as messages, so that nothing a provider does can hold up anybody else.

mod actor;
mod callback;
pub mod clock;
pub mod config;
pub mod control;
pub mod courier;
pub mod handle;
pub mod metrics;
pub mod provider;
pub mod published;
pub mod random;
pub mod shell;
mod start;
mod today;
mod trust;
pub mod upstream;
pub mod uses;
pub mod views;

pub use clock::{Clock, SteadyClock, SystemClock};
pub use config::{ApprovalRoom, Config, Keys};
pub use handle::Handle;
pub use shell::Shell;
pub use start::{Running, StartError, holder, start};

// Who holds a folder is asked before a broker is started.
pub use doorward_store::{Holder, HolderKind};
