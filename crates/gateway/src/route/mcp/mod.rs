//! The MCP door: `/mcp/NAME` with its side channels, and `/sse/NAME` for the transport before it.
//!
//! The door forwards a protocol that it does not end: sessions, identifiers, progress, requests of the server to the
//! client and resumption are between agent and server, and pass unchanged. What the door adds is the credential (put
//! in by the broker, never seen here), what the grant allows (judged by core, call by call and list by list), this
//! door's address in place of the server's, and refusals in the protocol's own shape: an MCP client that met a 401
//! would start an OAuth of its own.

mod addresses;
mod answer;
mod door;
mod era;
mod errors;
mod json;
mod legacy;
mod locks;
mod memory;
mod message;
mod post;
mod relay;
mod side;
mod tools;
mod trouble;
mod waiting;

pub(crate) use self::legacy::{listen as listen_sse, post as post_sse};
pub(crate) use self::memory::Memory;
pub(crate) use self::post::{end, listen, post};
pub(crate) use self::side::{blob, file};
