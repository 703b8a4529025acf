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
//! Beside the REST API stands the MCP server at the same port: `/mcp` and its fixed modes over
//! Streamable HTTP, `/sse`, and the side channels `/blob` and `/file/…`. Its tools run through the REST
//! handlers. Below `/current/sim/` are endpoints that Fast.io does not have: an echo, redirects, streams
//! without end, a sink for bodies of any size. A file `pattern-N` holds N bytes in every place.
//!
//! # What stands in
//!
//! Where the public material names no path or no reply (most writes), a plain one stands in for it; the
//! table of operations in `mcp/operations.txt` shows all of them. The same goes for the parts of a batch
//! upload, for what a client metadata document must say (there the IETF draft decides), and for how far
//! a link to a file lets someone go who has no grant. Clients with a secret are served, though only public
//! ones are known of Fast.io, for other providers have them. Nothing is fetched from a network: a test
//! publishes client metadata documents ([`Sim::publish_client_document`]), and what an import brings is
//! made up.
//!
//! # What is not played
//!
//! | What | Why |
//! |---|---|
//! | Webhooks | The provider took their registration away in July 2026; payload and signature were never public. The paths answer 404, code 9992. |
//! | `POST /oauth/authorize/` | Completes a consent from the provider's own pages; its body is not public. The consent pages here do it. |
//! | A second factor | Methods and replies of its steps are not public. It is told to be off, and cannot be turned on. |
//! | `?output=` | Taken, and without effect: which fields a level leaves out is not public. |
//! | `/mcp/operations` | Known by its name only: 404, code 9992. |
//! | The tools `intent`, `sign`, `import` and their siblings; several GETs in one `execute` | Their arguments are not public, or they are not served everywhere. |
//! | `event action=changes` | The reply and the path behind it are not public. |
//! | `pkce-complete` without a code | Where the browser of the newer sign-in goes back to is not public; the code is handed over, as in July 2026. |
//! | What an upload goes through between its last piece and its end | It is assembled and stored at once. |
//! | The expiry, previews and writing back of links to files | Not needed to carry their bytes. |
//! | `_warnings`, `_state`, `_context` in results | Known by their names only. |
//! | Admin scopes | Which calls need `rwa` is not public; none here does. |

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
    AccessTokenForm, ClientDocuments, ErrorRedirectState, ExpiresHeader, ExpiresIn, KnobError,
    Knobs, LimitHeaderNames, McpAnonymous, McpAuthFailure, McpCatalogue, Presence, RedirectCheck,
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
