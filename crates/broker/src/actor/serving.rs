//! Agents ask for tokens.

use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::change::Change;
use doorward_core::decide::flying;
use doorward_core::decide::reporting::{self, Followed, Report};
use doorward_core::decide::serving::{self, Caller, TokenState};
use doorward_core::grant::{Door, Grant};
use doorward_core::ids::ConnectionId;
use doorward_core::plan::Plan;
use doorward_core::problem::Refusal;

use super::flights::Reason;
use super::{Actor, reply};
use crate::handle::{Rejection, Reply, TokenAsk};
use crate::published;
use crate::views::TokenAnswer;

/// A caller that waits for a token.
pub(super) struct Waiter {
    pub(super) caller: Caller,
    pub(super) ask: TokenAsk,
    /// The generation whose token the caller says was refused.
    pub(super) rejected_generation: Option<u64>,
    pub(super) answering: Answering,
}

/// What a caller waits for.
pub(super) enum Answering {
    /// The token itself, at the token door.
    Token(Reply<TokenAnswer>),
    /// That there is one which can be sent, at the proxy door.
    Sendable(Reply<()>),
}

impl Waiter {
    /// The door at which the caller waits.
    pub(super) fn door(&self) -> Door {
        match self.answering {
            Answering::Token(_) => Door::Token,
            Answering::Sendable(_) => Door::Proxy,
        }
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        match self.answering {
            Answering::Token(to) => reply(to, Err(refusal)),
            Answering::Sendable(to) => reply(to, Err(refusal)),
        }
    }
}

impl Actor {
    /// Who a caller is by now: it may have been revoked or paused since its key was checked.
    pub(super) fn authenticated(&self, caller: &Caller) -> Result<Caller, Refusal> {
        let now = self.now();
        serving::authenticate(self.book(), now, &caller.key.hash, Some(now))
    }

    pub(super) async fn token(&mut self, caller: Caller, ask: TokenAsk, to: Reply<TokenAnswer>) {
        let waiter = Waiter {
            caller,
            ask,
            rejected_generation: None,
            answering: Answering::Token(to),
        };
        let now = self.now();
        let decided = self.authenticated(&waiter.caller).and_then(|caller| {
            let access = serving::access(
                self.book(),
                now,
                &caller,
                waiter.ask.connection.as_ref(),
                Door::Token,
            )?;
            published::check_resource(access.connection, waiter.ask.resource.as_deref())?;
            Ok((
                access.connection.id,
                serving::token_state(access.connection, now, waiter.ask.min_valid),
            ))
        });
        match decided {
            Err(refusal) | Ok((_, TokenState::Refused(refusal))) => {
                waiter.refuse(refusal);
            }
            Ok((_, TokenState::Fresh)) => self.hand_out(vec![waiter]).await,
            Ok((connection, TokenState::DueButLive)) if waiter.ask.min_valid.is_none() => {
                self.refresh_ahead(connection).await;
                self.hand_out(vec![waiter]).await;
            }
            Ok((connection, TokenState::DueButLive | TokenState::Due)) => {
                self.join_flight(connection, Reason::Due, waiter).await;
            }
        }
    }

    /// Begins a refresh that nobody waits for.
    pub(super) async fn refresh_ahead(&mut self, connection: ConnectionId) {
        if let Err(refusal) = self.begin_flight(connection, Reason::Due).await {
            tracing::warn!(%refusal, %connection, "a refresh ahead of time could not begin");
        }
    }

    /// Hands out the stored tokens. The first time that a generation goes to an agent is on disk before it happens.
    pub(super) async fn hand_out(&mut self, waiters: Vec<Waiter>) {
        let now = self.now();
        let mut plan = Plan::nothing();
        let mut noted = std::collections::HashSet::new();
        for waiter in waiters.iter().filter(|waiter| waiter.door() == Door::Token) {
            let Ok(caller) = self.authenticated(&waiter.caller) else {
                continue;
            };
            let found = serving::access(
                self.book(),
                now,
                &caller,
                waiter.ask.connection.as_ref(),
                Door::Token,
            );
            let Ok(access) = found else { continue };
            let generation = access.connection.generation;
            if access.grant.handed_generation == Some(generation) || !noted.insert(access.grant.id)
            {
                continue;
            }
            let grant = Grant {
                handed_generation: Some(generation),
                ..(**access.grant).clone()
            };
            let event = AuditEvent::new(AuditKind::TokenHandedOut)
                .tenant(caller.agent.tenant)
                .agent(caller.agent.id)
                .connection(access.connection.id)
                .with("generation", generation.to_string());
            plan = plan
                .change(Change::GrantPut {
                    tenant: caller.agent.tenant,
                    grant,
                })
                .log(event);
        }
        let written = self.carry_out(plan).await;
        for waiter in waiters {
            match waiter.answering {
                Answering::Token(to) => {
                    let handed = written
                        .clone()
                        .and_then(|()| self.handed(&waiter.caller, &waiter.ask));
                    reply(to, handed);
                }
                Answering::Sendable(to) => reply(to, Ok(())),
            }
        }
    }

    fn handed(&self, caller: &Caller, ask: &TokenAsk) -> Result<TokenAnswer, Refusal> {
        let caller = self.authenticated(caller)?;
        self.published
            .token_after_patience(self.now(), &caller, ask)
    }

    pub(super) async fn rejected(
        &mut self,
        caller: Caller,
        rejection: Rejection,
        to: Reply<TokenAnswer>,
    ) {
        let now = self.now();
        let ask = TokenAsk {
            connection: Some(rejection.connection.clone()),
            ..TokenAsk::default()
        };
        let decided = self.authenticated(&caller).and_then(|caller| {
            let access = serving::access(
                self.book(),
                now,
                &caller,
                ask.connection.as_ref(),
                Door::Token,
            )?;
            let row = access.connection;
            let current = self.published.tokens.get(&row.id);
            let is_current =
                current.is_some_and(|token| rejection.access.matches(token.access.expose()));
            let report = Report {
                is_current,
                status: rejection.status,
                code: rejection.code.as_deref(),
            };
            let followed = self.pace.reports.get(&row.id);
            let waits = followed.is_some_and(|followed| followed.holds_at(now))
                && !self.flights.contains_key(&row.id);
            let is_believed = reporting::is_believed(row, now, report) && !waits;
            match &row.trouble {
                // The provider said when to ask again, and a report cannot shorten that.
                Some(trouble)
                    if is_believed
                        && trouble.holds_at(now)
                        && !flying::waits_for_the_token_to_end(row, now) =>
                {
                    Err(serving::in_trouble(
                        row,
                        trouble.kind,
                        trouble.retry_at,
                        now,
                    ))
                }
                _ => Ok((row.id, row.generation, is_believed)),
            }
        });
        match decided {
            Err(refusal) => reply(to, Err(refusal)),
            Ok((connection, generation, true)) => {
                let waiter = Waiter {
                    caller,
                    ask,
                    rejected_generation: Some(generation),
                    answering: Answering::Token(to),
                };
                if !self.flights.contains_key(&connection) {
                    let before = self.pace.reports.get(&connection).copied();
                    let followed = Followed::after(before, now);
                    self.pace.reports.insert(connection, followed);
                }
                self.join_flight(connection, Reason::Rejected, waiter).await;
            }
            // Another token is current already, or the refusal says nothing about this one: served as usual.
            Ok((_, _, false)) => self.token(caller, ask, to).await,
        }
    }
}
