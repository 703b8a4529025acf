//! What the simulator promises, asked over real HTTP.

mod account;
mod authorize;
mod consent;
mod control;
mod discovery;
mod exercises;
mod exercises_bytes;
mod faults;
mod limits;
mod mcp;
mod mcp_client;
mod mcp_sse;
mod mcp_streams;
mod nodes;
mod program;
mod proving;
mod refresh;
mod registration;
mod sessions;
mod storage;
mod token;
mod world;
