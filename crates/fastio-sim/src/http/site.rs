//! What every handler gets: the world behind its lock, the clock, and the addresses.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::http::envelope::{Lacking, Refusal, ScopeRefusal};
use crate::knobs::{Knobs, Presence};
use crate::scope::{Mode, Target};
use crate::secret::random_token;
use crate::world::World;
use crate::world::ledger::{Caller, DeadToken};

pub(crate) type SharedSite = Arc<Site>;

#[derive(Debug)]
pub(crate) struct Site {
    world: Mutex<World>,
    clock: Clock,
    /// `http://127.0.0.1:PORT`, without a trailing slash.
    origin: String,
    /// Counts the releases of hanging requests.
    releases: watch::Sender<u64>,
    /// Told whenever a request makes progress.
    activity: watch::Sender<u64>,
    /// Told whenever something in the world changes.
    changes: watch::Sender<u64>,
    /// Known to the MCP server alone.
    inside: String,
    /// Where the second origin listens, if there is one.
    stranger: Option<String>,
}

/// The header by which the MCP server's own requests are known.
const INSIDE: &str = "x-sim-inside";

impl Site {
    pub(crate) fn new(origin: String, stranger: Option<String>, knobs: Knobs) -> Self {
        let clock = Clock::default();
        let now = clock.now();
        Self {
            world: Mutex::new(World::new(knobs, now)),
            clock,
            origin,
            releases: watch::Sender::new(0),
            activity: watch::Sender::new(0),
            changes: watch::Sender::new(0),
            inside: random_token(),
            stranger,
        }
    }

    /// The origin of someone else, if this simulator plays one.
    pub(crate) fn stranger(&self) -> Option<&str> {
        self.stranger.as_deref()
    }

    /// Locks the world. A handler that panicked left plain data behind, so a poisoned lock is
    /// taken as it is: the test that caused the panic should fail, not every request after it.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn api_base(&self) -> String {
        format!("{}/current/", self.origin)
    }

    pub(crate) fn mcp_url(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    pub(crate) fn issuer(&self, knobs: &Knobs) -> String {
        match knobs.issuer_slash {
            Presence::Absent => self.origin.clone(),
            Presence::Present => format!("{}/", self.origin),
        }
    }

    /// Lets every hanging request go on.
    pub(crate) fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
    }

    /// A receiver that sees the releases from now on.
    pub(crate) fn releases(&self) -> watch::Receiver<u64> {
        self.releases.subscribe()
    }

    pub(crate) fn note_activity(&self) {
        self.activity.send_modify(|count| *count += 1);
    }

    pub(crate) fn activity(&self) -> watch::Receiver<u64> {
        self.activity.subscribe()
    }

    /// Who calls, by the bearer token.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let token = bearer(headers).ok_or(Refusal::Anonymous)?;
        let caller = self.holder(token)?;
        // The MCP server calls the API in the name of whoever called it.
        let inside = headers
            .get(INSIDE)
            .is_some_and(|value| value.as_bytes() == self.inside.as_bytes());
        let foreign = |resource: &str| !self.is_api(resource);
        if !inside && caller.resource.as_deref().is_some_and(foreign) {
            return Err(Refusal::InvalidToken(
                "The access token is meant for another resource.",
            ));
        }
        Ok(caller)
    }

    /// Whoever holds a credential, whatever it is meant for.
    pub(crate) fn holder(&self, token: &str) -> Result<Caller, Refusal> {
        let now = self.now();
        let world = self.world();
        if let Some(key) = world.keys.find(token, now) {
            return Ok(key.caller(&world.catalogue.person.id));
        }
        world
            .ledger
            .caller(token, &world.knobs, now)
            .map_err(|dead| {
                Refusal::InvalidToken(match dead {
                    DeadToken::Expired => "The access token has expired.",
                    DeadToken::SessionEnded => "The session of this access token has ended.",
                    DeadToken::Unknown | DeadToken::OtherClient | DeadToken::Spent => {
                        "The access token is not valid."
                    }
                })
            })
    }

    /// What a request of the MCP server to the API carries, so that its token counts.
    pub(crate) fn inside(&self) -> (&'static str, &str) {
        (INSIDE, &self.inside)
    }

    /// Notes that something about an entity has changed, and wakes whoever waits for that.
    pub(crate) fn changed(&self, world: &mut World, entity: &str, key: String) {
        world.activity.note(entity, key, self.now());
        self.changes.send_modify(|count| *count += 1);
    }

    /// A receiver that sees the changes from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether a resource indicator names this API: its origin or anything of it but the MCP server.
    fn is_api(&self, resource: &str) -> bool {
        resource
            .strip_prefix(self.origin.as_str())
            .is_some_and(|path| {
                (path.is_empty() || path.starts_with('/')) && !path.starts_with("/mcp")
            })
    }
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Refuses a caller whose scopes do not allow `mode` on `target`.
pub(crate) fn require(caller: &Caller, target: Target<'_>, mode: Mode) -> Result<(), Refusal> {
    let lacking = match (caller.scopes.mode_on(target), target) {
        (Some(granted), _) if granted >= mode => return Ok(()),
        (Some(_), _) => Lacking::Write,
        (None, Target::Workspace { .. } | Target::Share { .. }) => Lacking::Workspace,
        (None, Target::Org(_)) => Lacking::Org,
    };
    Err(ScopeRefusal::of(caller, lacking))
}
