//! One-time tokens that a provider hands out in an answer, and that open another call by themselves.
//!
//! Fast.io lets a file be downloaded, and a WebSocket be opened, by `?token=` alone. Whoever gets such an address often
//! is a program that knows nothing of agent keys (a player, a browser, curl), so the door lets it through without one:
//! but only for a token that was handed to a live agent here, moments ago, and only to the kind of call that it opens.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_core::api_path::ApiPath;
use doorward_core::decide::serving::Caller;
use doorward_core::ids::ConnectionId;
use doorward_core::key::KeyHash;
use doorward_core::pattern::{CallPattern, Reading};
use doorward_core::time::Timestamp;
use http::Method;

/// As long as a program needs to begin; the provider's own limit is no longer.
const LIFE: Duration = Duration::from_mins(5);
/// More than agents ask for in five minutes; the oldest go first.
const MOST: usize = 4096;

/// What a ticket opens, and for whom.
#[derive(Clone)]
pub(crate) struct Handed {
    /// The agent it was handed to.
    pub(crate) caller: Caller,
    /// The connection it is a ticket of.
    pub(crate) connection: ConnectionId,
    /// The call it opens.
    pub(crate) opens: CallPattern,
}

/// The tickets of the last minutes: of each its hash alone.
#[derive(Default)]
pub(crate) struct Tickets(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    handed: HashMap<KeyHash, (Timestamp, Handed)>,
    /// In the order in which they were handed out.
    order: VecDeque<KeyHash>,
}

impl Tickets {
    pub(crate) fn remember(&self, token: &str, now: Timestamp, handed: Handed) {
        let hash = KeyHash::of(token);
        let mut kept = self.lock();
        if kept.handed.insert(hash, (now, handed)).is_none() {
            kept.order.push_back(hash);
        }
        while let Some(oldest) = kept.order.front().copied() {
            let is_over = kept
                .handed
                .get(&oldest)
                .is_none_or(|(since, _)| is_over(*since, now));
            if !is_over && kept.order.len() <= MOST {
                break;
            }
            kept.order.pop_front();
            kept.handed.remove(&oldest);
        }
    }

    /// What a token opens, if it was handed out here.
    pub(crate) fn find(&self, token: &str, now: Timestamp) -> Option<Handed> {
        let kept = self.lock();
        let (since, handed) = kept.handed.get(&KeyHash::of(token))?;
        (!is_over(*since, now)).then(|| handed.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a pattern of the manifest means a call.
pub(crate) fn is_meant(pattern: &CallPattern, method: &Method, path: &ApiPath) -> bool {
    match pattern {
        CallPattern::Rest(pattern) => pattern.matches(method.as_str(), path, Reading::Exact),
        CallPattern::Tool(_) => false,
    }
}

/// A clock that was set back makes nothing last longer.
fn is_over(since: Timestamp, now: Timestamp) -> bool {
    now < since || now.since(since) >= LIFE
}
