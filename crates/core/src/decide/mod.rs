//! The decisions, one file for each thing that a person, an agent or a provider does.

pub mod asking;
pub mod calling;
pub mod connecting;
pub mod ending;
pub mod flying;
pub mod locking;
pub mod pairing;
pub mod refreshing;
pub mod reporting;
pub mod revoking;
pub mod scheduling;
pub mod serving;
