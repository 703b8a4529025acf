//! The rules of Doorward.
//!
//! Everything here is a pure function of its arguments: the time is passed in, random bytes are passed in, and
//! what should happen comes back as data. That is what lets one test enumerate what the running application could
//! only show by luck. The crate has no async, no I/O, no clock, no randomness and no logging.
//!
//! Read in this order: [`book`] (what Doorward knows), [`change`] (how it may change), [`plan`] (what a decision
//! is), then the decisions in [`decide`], one file for each thing that a person or an agent does.

#![warn(missing_docs)]

pub mod agent;
pub mod alarm;
pub mod api_path;
pub mod asking;
pub mod audit;
pub mod book;
pub mod change;
pub mod connection;
pub mod consent;
pub mod decide;
pub mod grant;
pub mod health;
pub mod ids;
pub mod key;
pub mod limits;
pub mod lock;
pub mod name;
pub mod outbox;
pub mod pairing;
pub mod pattern;
pub mod plan;
pub mod problem;
pub mod provider;
pub mod registration;
pub mod scope;
pub mod secret;
pub mod tally;
pub mod time;
pub mod token_reply;
pub mod upstream;
pub mod usage;
