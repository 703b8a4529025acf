//! What the rules promise, each promise a test. Tables first, then random sequences of everything at once.

mod alarm;
mod asking;
mod calling;
mod codes;
mod connecting;
mod consent;
mod ending;
mod events;
mod flying;
mod halting;
mod health;
mod keys;
mod lifecycle;
mod locking;
mod pairing;
mod properties;
mod providers;
mod refreshing;
mod refusals;
mod revoking;
mod scheduling;
mod sequences;
mod serving;
mod shelf;
mod table;
mod world;
