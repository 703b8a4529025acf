//! The published copy: what requests read without a lock.
//!
//! It is replaced as a whole after every committed change. Its maps share their structure with the owner's, so a
//! replacement costs a few pointers however many agents there are. Use is counted in atomics that the copies share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use doorward_core::book::Book;
use doorward_core::connection::{Connection, Standing};
use doorward_core::decide::calling::Question;
use doorward_core::decide::serving::{self, Access, Caller, TokenState};
use doorward_core::decide::{asking, pairing};
use doorward_core::grant::Door;
use doorward_core::health::Health;
use doorward_core::ids::{AgentId, ConnectionId, GrantId, KeyId};
use doorward_core::key::{KeyHash, KeyStanding};
use doorward_core::name::Name;
use doorward_core::problem::{Code, Refusal};
use doorward_core::secret::AccessToken;
use doorward_core::time::Timestamp;
use imbl::{OrdMap, OrdSet};

use crate::handle::{Introspection, TokenAsk};
use crate::metrics::{CallMeter, RefreshMeter, Totals};
use crate::views::{AgentConnection, TokenAnswer};

/// An access token in memory.
pub(crate) struct LiveToken {
    pub(crate) generation: u64,
    pub(crate) access: Arc<AccessToken>,
    pub(crate) token_type: Arc<str>,
    pub(crate) scope: Arc<str>,
}

/// Counts use without a lock; read out once a minute.
#[derive(Default)]
pub(crate) struct Meter {
    /// Uses since the last reading.
    pub(crate) uses: AtomicU64,
    /// The last use, in milliseconds.
    pub(crate) last_used: AtomicI64,
}

impl Meter {
    fn count(&self, now: Timestamp) {
        self.uses.fetch_add(1, Ordering::Relaxed);
        self.last_used.fetch_max(now.as_millis(), Ordering::Relaxed);
    }

    /// A use that is counted elsewhere.
    pub(crate) fn touch(&self, now: Timestamp) {
        self.last_used.fetch_max(now.as_millis(), Ordering::Relaxed);
    }

    pub(crate) fn last_used(&self) -> Option<Timestamp> {
        match self.last_used.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(Timestamp::from_millis(millis)),
        }
    }
}

/// Refusals since the last reading, by who was refused and why. Refusing is not the hot path, and a lock held for one
/// insertion is simpler than an atomic for each pair. Bounded by agents times codes.
pub(crate) type Refusals = std::sync::Mutex<HashMap<(Option<AgentId>, Code), u64>>;

/// What requests read.
#[derive(Clone, Default)]
pub(crate) struct Published {
    pub(crate) locked: Option<Refusal>,
    pub(crate) book: Book,
    pub(crate) tokens: OrdMap<ConnectionId, Arc<LiveToken>>,
    pub(crate) in_flight: OrdSet<ConnectionId>,
    pub(crate) key_meters: OrdMap<KeyId, Arc<Meter>>,
    pub(crate) grant_meters: OrdMap<GrantId, Arc<Meter>>,
    pub(crate) refresh_meters: OrdMap<ConnectionId, Arc<RefreshMeter>>,
    pub(crate) call_meters: OrdMap<ConnectionId, Arc<CallMeter>>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) totals: Arc<Totals>,
}

impl Published {
    pub(crate) fn check_unlocked(&self) -> Result<(), Refusal> {
        self.locked.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn authenticate(&self, now: Timestamp, hash: &KeyHash) -> Result<Caller, Refusal> {
        self.check_unlocked()?;
        let key = self.book.key(hash);
        let meter = key.and_then(|key| self.key_meters.get(&key.id));
        let caller = serving::authenticate(
            &self.book,
            now,
            hash,
            meter.and_then(|meter| meter.last_used()),
        )?;
        if let Some(meter) = meter {
            meter.count(now);
        }
        Ok(caller)
    }

    /// Who a caller is by now, without counting a use.
    pub(crate) fn still(&self, now: Timestamp, caller: &Caller) -> Result<Caller, Refusal> {
        self.check_unlocked()?;
        let meter = self.key_meters.get(&caller.key.id);
        let last_used = meter.and_then(|meter| meter.last_used());
        serving::authenticate(&self.book, now, &caller.key.hash, last_used)
    }

    /// A token that can be served from this copy alone; nothing where the owner of the state has to be asked.
    pub(crate) fn warm_token(
        &self,
        now: Timestamp,
        caller: &Caller,
        ask: &TokenAsk,
    ) -> Result<Option<TokenAnswer>, Refusal> {
        self.check_unlocked()?;
        let access = serving::access(
            &self.book,
            now,
            caller,
            ask.connection.as_ref(),
            Door::Token,
        )?;
        check_resource(access.connection, ask.resource.as_deref())?;
        let in_flight = self.in_flight.contains(&access.connection.id);
        match serving::token_state(access.connection, now, ask.min_valid) {
            TokenState::Fresh => Ok(self.handed_token(&access, now)),
            // A refresh is under way: a token that is still good is served meanwhile.
            TokenState::DueButLive if in_flight && ask.min_valid.is_none() => {
                Ok(self.handed_token(&access, now))
            }
            TokenState::DueButLive | TokenState::Due => Ok(None),
            TokenState::Refused(refusal) => Err(refusal),
        }
    }

    /// What a person said about a call, where nothing has to be written for it.
    pub(crate) fn settled_call(
        &self,
        now: Timestamp,
        caller: &Caller,
        connection: &Name,
        question: &Question,
    ) -> Result<Option<Result<(), Refusal>>, Refusal> {
        self.check_unlocked()?;
        let access = serving::access(&self.book, now, caller, Some(connection), Door::Proxy)?;
        Ok(asking::settled(&self.book, now, &access, question))
    }

    /// The token, if this generation was handed to this agent before: a first time is logged before it happens.
    fn handed_token(&self, access: &Access<'_>, now: Timestamp) -> Option<TokenAnswer> {
        let generation = access.connection.generation;
        if access.grant.handed_generation != Some(generation) {
            return None;
        }
        let token = self
            .tokens
            .get(&access.connection.id)
            .filter(|token| token.generation == generation)?;
        if let Some(meter) = self.grant_meters.get(&access.grant.id) {
            meter.count(now);
        }
        Some(answer(access.connection, token, now))
    }

    /// What a caller is told when its patience is over: the token it may still use, or when to ask again.
    pub(crate) fn token_after_patience(
        &self,
        now: Timestamp,
        caller: &Caller,
        ask: &TokenAsk,
    ) -> Result<TokenAnswer, Refusal> {
        self.check_unlocked()?;
        let access = serving::access(
            &self.book,
            now,
            caller,
            ask.connection.as_ref(),
            Door::Token,
        )?;
        let live = access.connection.access_is_live(now);
        live.then(|| self.handed_token(&access, now))
            .flatten()
            .ok_or_else(|| {
                Refusal::new(
                    Code::ProviderUnavailable,
                    format!("{} has not answered yet.", access.connection.provider.title),
                    "Ask again; Doorward goes on by itself, and nothing was lost.",
                )
                .retry_after(Duration::from_secs(1))
            })
    }

    pub(crate) fn health(&self, connection: &Connection, now: Timestamp) -> Health {
        Health::of(connection, self.in_flight.contains(&connection.id), now)
    }

    pub(crate) fn connections_of(&self, caller: &Caller, now: Timestamp) -> Vec<AgentConnection> {
        self.book
            .grants_of(caller.agent.id)
            .filter(|grant| !grant.is_over(now))
            .filter(|grant| {
                caller
                    .key
                    .audience
                    .is_none_or(|audience| audience == grant.connection)
            })
            .filter_map(|grant| Some((grant, self.book.connection(grant.connection)?)))
            .filter(|(_, connection)| {
                connection.tenant == caller.agent.tenant && connection.standing != Standing::Ending
            })
            .map(|(grant, connection)| AgentConnection {
                name: connection.name.clone(),
                provider: connection.provider.name.clone(),
                doors: grant.rights.doors().to_vec(),
                scopes: connection.granted.scopes.clone(),
                health: self.health(connection, now),
            })
            .collect()
    }

    pub(crate) fn introspect(
        &self,
        now: Timestamp,
        caller: &Caller,
        hash: &KeyHash,
    ) -> Option<Introspection> {
        let key = self
            .book
            .key(hash)
            .filter(|key| key.agent == caller.agent.id)?;
        let last_used = self
            .key_meters
            .get(&key.id)
            .and_then(|meter| meter.last_used());
        if key.standing(now, last_used.max(key.last_used_at)) != KeyStanding::Live {
            return None;
        }
        let scope = if key.metrics {
            pairing::METRICS_SCOPE.to_owned()
        } else {
            self.scope_of(caller, now)
        };
        Some(Introspection {
            client_id: caller.agent.id,
            name: caller.agent.name.clone(),
            scope,
            issued_at: key.created_at,
            expires_at: key.expires_at,
        })
    }

    /// What a caller may use of connections, as `NAME:door` words.
    fn scope_of(&self, caller: &Caller, now: Timestamp) -> String {
        let words = self
            .connections_of(caller, now)
            .into_iter()
            .flat_map(|connection| {
                let name = connection.name;
                connection
                    .doors
                    .into_iter()
                    .map(move |door| format!("{name}:{door}"))
            });
        words.collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn count_refusal(&self, caller: Option<&Caller>, code: Code) {
        self.totals.count_refusal(code);
        let mut counts = self
            .refusals
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *counts
            .entry((caller.map(|caller| caller.agent.id), code))
            .or_default() += 1;
    }
}

/// The answer that carries a connection's token.
pub(crate) fn answer(connection: &Connection, token: &LiveToken, now: Timestamp) -> TokenAnswer {
    TokenAnswer {
        access: Arc::clone(&token.access),
        token_type: Arc::clone(&token.token_type),
        expires_in: connection.validity(now).map(|left| left.as_secs()),
        scope: Arc::clone(&token.scope),
        connection: connection.name.clone(),
    }
}

/// A token for another resource than the connection's own cannot be had.
pub(crate) fn check_resource(connection: &Connection, asked: Option<&str>) -> Result<(), Refusal> {
    match (asked, connection.provider.resource.as_deref()) {
        (None, _) => Ok(()),
        (Some(asked), Some(own)) if asked == own => Ok(()),
        (Some(_), _) => Err(Refusal::new(
            Code::BadRequest,
            format!(
                "The connection `{}` has no tokens for that `resource`.",
                connection.name
            ),
            "Leave `resource` out: the connection's token is for its whole API.",
        )),
    }
}
