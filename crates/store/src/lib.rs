//! Everything at rest: the database, what is sealed in it, the keys it is sealed under, and the audit log.
//!
//! Three promises hold this crate together. What is answered as written is on the disk whole or not at all
//! ([`Store::commit`] is one transaction). What is secret lies only sealed, bound to its place, under keys that are
//! not in the folder. And what was logged cannot be changed, removed, moved or cut off without
//! [`Store::verify_audit`] finding it.
//!
//! Only this crate sees SQL, ciphers and the OS keyring.

mod audit;
mod database;
mod error;
mod folder;
mod keys;
mod meta;
mod pin;
mod read;
mod rotate;
mod seal;
mod source;
mod spool;
mod store;
mod transaction;
mod unlock;
mod vault;
mod write;

pub use audit::{AuditFault, AuditFilter, AuditReport, AuditRow, Tampering};
pub use error::{OpenError, RotateError, StoreError, UnlockError};
pub use folder::{Holder, HolderKind};
pub use pin::PinCheck;
pub use rotate::Rotated;
pub use source::{
    DerivationCost, Kek, KekId, KeySource, KeySourceError, OsKeyring, PassphraseSource,
    SourceFuture, SourceKind,
};
pub use spool::{Claim, FlightPlace, Look, Spool, Unclaimed};
pub use store::{KeyState, Loaded, RegistrationSecrets, Store};
