//! Loopback HTTP for agents: parse, authenticate, ask the broker, render.
//!
//! The hard problem: everything on this machine can reach a loopback port, web pages and other
//! users included, and a bearer token lies behind it. So one guard (`guard`) stands before every
//! route, unknown ones included, and one table ([`routes`]) says which routes need a key; both the
//! router and the tests read that table, so that a new route cannot be forgotten. What a request
//! can hold up is bounded: connections, headers, bodies and the time each may take.
//!
//! The way of a request: the accept loop (`serve`) gives its connection to a thread (`workers`),
//! which tells once whose socket the other end is ([`peer`]); the guard checks it and the
//! request's head; the router finds the route; the route parses (`ask`), asks the broker's handle and answers, or fails
//! (`failure`). The warm path of `GET /v1/token` takes no lock, no database and no boxed layer.
//!
//! Still to come is the route `/oauth/authorize`; its place is the end of the table in [`routes`], and until then it
//! is an address like any other that there is nothing at.

#![warn(missing_docs)]

pub mod argument_headers;
mod ask;
pub mod bind;
pub mod endpoint;
pub mod event_stream;
mod failure;
mod guard;
mod pace;
mod pass;
pub mod peer;
mod route;
pub mod routes;
mod serve;
mod workers;

pub use bind::{BindError, Gateway};

/// The port where agents look for Doorward when nothing tells them another.
pub const DEFAULT_PORT: u16 = 13667;

/// The version that `/healthz` and `endpoint.json` state.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
