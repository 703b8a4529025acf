//! What the control port and the library tell about the inside, and the things that only a person at
//! the dashboard, or the provider's staff, could do.

use serde::Serialize;

use crate::clock::fastio_datetime;
use crate::http::site::Site;
use crate::world::ledger::{DeadToken, EndedBy, Session};

/// A session as the dashboard would show it, with what its tokens are worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionView {
    /// The id that the sessions API uses.
    pub session_id: String,
    /// The client it was granted to.
    pub client_id: String,
    /// What that client calls itself.
    pub client_name: String,
    /// Still going.
    pub active: bool,
    /// What ended it.
    pub ended_by: Option<EndedBy>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// What was asked for.
    pub scope_type: String,
    /// What is granted, narrowing included.
    pub scopes: Vec<String>,
    /// Sent to the token endpoint.
    pub device_name: Option<String>,
    /// Sent to the token endpoint.
    pub device_type: Option<String>,
    /// Sent with the ask.
    pub agent_name: Option<String>,
    /// The audience asked for.
    pub resource: Option<String>,
    /// When it began.
    pub created_at: String,
    /// When it was last refreshed.
    pub last_used_at: String,
    /// Short fingerprints of the refresh tokens that still open it; never the tokens.
    pub live_refresh_tokens: Vec<String>,
    /// How many access tokens still open something.
    pub live_access_tokens: usize,
}

/// Whether a token opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// It does.
    pub live: bool,
    /// Why not.
    pub why: Option<DeadToken>,
}

impl<T> From<Result<T, DeadToken>> for Probe {
    fn from(result: Result<T, DeadToken>) -> Self {
        let why = result.err();
        Self {
            live: why.is_none(),
            why,
        }
    }
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LockView {
    /// The workspace or share.
    pub place: String,
    /// The file or folder.
    pub node: String,
    /// The session of whoever holds it.
    pub session_id: String,
    /// When it ends by itself.
    pub expires: String,
}

impl Site {
    pub(crate) fn lock_views(&self) -> Vec<LockView> {
        let now = self.now();
        let world = self.world();
        let held = world.locks.held(now).into_iter();
        held.map(|(place, node, lock)| LockView {
            place: place.to_owned(),
            node: node.to_owned(),
            session_id: lock.holder.clone(),
            expires: fastio_datetime(lock.expires_at),
        })
        .collect()
    }

    pub(crate) fn session_views(&self) -> Vec<SessionView> {
        let now = self.now();
        let world = self.world();
        let view = |session: &Session| SessionView {
            session_id: session.id.clone(),
            client_id: session.client_id.clone(),
            client_name: session.client_name.clone(),
            active: session.ended.is_none(),
            ended_by: session.ended.map(|ended| ended.by),
            ended_at: session.ended.map(|ended| fastio_datetime(ended.at)),
            scope_type: session.scope_type.as_str().to_owned(),
            scopes: session.scopes.strings(),
            device_name: session.device_name.clone(),
            device_type: session.device_type.clone(),
            agent_name: session.agent_name.clone(),
            resource: session.resource.clone(),
            created_at: fastio_datetime(session.created_at),
            last_used_at: fastio_datetime(session.last_used_at),
            live_refresh_tokens: world.ledger.live_refresh_tokens(&session.id, now),
            live_access_tokens: world
                .ledger
                .live_access_tokens(&session.id, &world.knobs, now),
        };
        world.ledger.sessions().iter().map(view).collect()
    }

    /// Ends a session as the person does in the dashboard; `false` if there is none to end.
    pub(crate) fn revoke_as_person(&self, session_id: &str) -> bool {
        let now = self.now();
        self.world().ledger.end(session_id, EndedBy::Person, now)
    }

    pub(crate) fn probe_refresh_token(&self, token: &str) -> Probe {
        let now = self.now();
        let world = self.world();
        world
            .ledger
            .check_refresh_token(token, None, &world.knobs, now)
            .into()
    }

    pub(crate) fn probe_access_token(&self, token: &str) -> Probe {
        let now = self.now();
        let world = self.world();
        world.ledger.caller(token, &world.knobs, now).into()
    }

    /// Forgets the queued faults and lets hanging requests go on.
    pub(crate) fn clear_faults(&self) {
        self.world().traffic.clear_faults();
        self.release();
    }
}
