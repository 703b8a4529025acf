//! What the gateway promises to agents, and keeps from everyone else, asked over real sockets.

#![cfg(test)]
#![expect(
    clippy::too_many_lines,
    reason = "snapshots stand where they are compared"
)]

mod ask;
mod bounds;
mod contract;
mod discovery;
mod events;
mod guard;
mod locks;
mod mcp;
mod metrics;
mod pairing;
mod port;
mod proxy;
mod proxy_trouble;
mod tokens;
mod upstream;
mod world;
