//! A faithful Fast.io for tests and demos.
//!
//! The client under test must not be able to tell that it is not talking to the provider, and the
//! test must be able to make the provider do what it does once a month. So there are two doors: one
//! speaks Fast.io's protocol and nothing else, the other (the control port, see [`control`]) turns
//! knobs, queues faults, moves the clock and tells what happened. Where the public description of
//! Fast.io is silent or contradicts itself, a knob ([`Knobs`]) chooses; its default is the best guess.
//!
//! In a test:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use fastio_sim::{Consent, Fault, Kind, Sim, demo};
//!
//! let sim = Sim::builder().start().await?;
//! let authorize = format!("{}oauth/authorize/?client_id=fastio-cli&…", sim.api_base());
//! let redirect = sim.approve(&authorize, &Consent::only([demo::WEBSITE]).read_only()).await?;
//! sim.queue_fault(Fault::on(Kind::TokenRefresh).drop_response_after_commit());
//! assert_eq!(sim.counts().of(Kind::TokenRefresh), 0);
//! # Ok(()) }
//! ```
//!
//! The consent pages need no JavaScript and can be answered by plain HTTP; module `consent` tells
//! how. As a program, `fastio-sim` is the same thing run until SIGTERM.
//!
//! Not played: API keys, Basic sign-in, client metadata documents, uploads in chunks, shares, events,
//! MCP. Paths of those answer 404 with code 9992, as any unknown path does.

mod browser;
mod clock;
mod consent;
pub mod control;
pub mod demo;
mod door;
mod fault;
mod http;
mod inspect;
mod kind;
mod knobs;
mod mcp;
mod scope;
mod secret;
mod sim;
mod world;

pub use browser::{Consent, ConsentError};
pub use fault::{Fault, Hang, LimitForm, RateLimit};
pub use inspect::{LockView, Probe, SessionView};
pub use kind::{Group, Kind, Selector};
pub use knobs::{
    AccessTokenForm, ErrorRedirectState, ExpiresHeader, ExpiresIn, KnobError, Knobs,
    LimitHeaderNames, McpAnonymous, McpAuthFailure, McpCatalogue, Presence, RedirectCheck,
    RefreshReuse, RefreshRotation, Registration, ResourceValues, RevokedAccessToken,
    ScopeParameter, ScopesEncoding, TokenErrorShape, ValidationStatus, WellKnown,
};
pub use scope::{Mode, UnknownScope};
pub use sim::{Sim, SimBuilder};
pub use world::ledger::{DeadToken, EndedBy};
pub use world::sighting::{Authorization, Sighting};
pub use world::stored::pattern;
pub use world::traffic::{Counts, LoggedRequest, Progress};
pub use world::{IssuedSecret, SecretKind};
