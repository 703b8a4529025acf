//! Doorward as people and agents meet it: the real program, from outside.

mod conformance;
mod curl;
mod desktop;
mod desktop_calls;
mod desktop_demo;
mod desktop_pictures;
mod desktop_shell;
mod desktop_trust;
mod failures;
mod failures_consent;
mod failures_disk;
mod failures_input;
mod failures_provider;
mod failures_start;
mod hostile;
mod mcp_catalogue;
mod mcp_clients;
mod oidc_provider;
mod proxy_large;
mod proxy_tls;
mod refresh_bench;
mod refresh_killed;
mod soak_calls;
mod story;
mod story_killed;
mod story_parts;
