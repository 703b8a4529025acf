//! The life of grants under everything that can happen to them: refreshes that end in any way and late, clocks that
//! are set, sleep, restarts, a store that fails, and persons and agents who act in between.
//!
//! The model knows what the code cannot: the true time, and when each token truly ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doorward_core::connection::Standing;
use doorward_core::decide::flying::{self, CameEmpty, Empty};
use doorward_core::decide::refreshing::{self, Finished};
use doorward_core::decide::reporting::{self, Report};
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::decide::{revoking, scheduling};
use doorward_core::ids::ConnectionId;
use doorward_core::time::Timestamp;
use doorward_core::token_reply::TokenOutcome;
use proptest::prelude::*;

use crate::world::{World, begin, learned};

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Copy, Debug)]
enum Happens {
    /// An agent asks, and waits if it has to.
    Asks(usize),
    /// An agent reports a token as refused, and the provider's check agrees.
    Reports(usize),
    /// What is due by itself is sent.
    Scheduled,
    /// The oldest flight comes back: how, with tokens of which lifetime, and whether the store takes it.
    Lands(u8, u64, bool),
    /// What the store could not take is tried again.
    StoredAfterAll,
    /// Time passes.
    Passes(u64),
    /// The wall clock is set.
    ClockSet(i64),
    /// The process ends and starts; flights come back as lost replies, or are found in the spool.
    Restarts(bool),
    /// The machine wakes.
    Wakes,
    PersonRetries(usize),
    PersonReconnects(usize),
    PersonDisconnects(usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    let which = || 0..NAMES.len();
    prop_oneof![
        6 => which().prop_map(Happens::Asks),
        2 => which().prop_map(Happens::Reports),
        4 => Just(Happens::Scheduled),
        8 => (0..8_u8, prop::sample::select(vec![1_u64, 60, 300, 3600, 0]), prop::bool::weighted(0.8))
            .prop_map(|(how, lifetime, stored)| Happens::Lands(how, lifetime, stored)),
        2 => Just(Happens::StoredAfterAll),
        5 => (0..4000_u64).prop_map(Happens::Passes),
        2 => prop_oneof![Just(7_200_000_i64), Just(-7_200_000), Just(-1_200_000)].prop_map(Happens::ClockSet),
        1 => any::<bool>().prop_map(Happens::Restarts),
        1 => Just(Happens::Wakes),
        1 => which().prop_map(Happens::PersonRetries),
        1 => which().prop_map(Happens::PersonReconnects),
        1 => which().prop_map(Happens::PersonDisconnects),
    ]
}

/// A refresh on its way.
#[derive(Clone)]
struct Flight {
    connection: ConnectionId,
    generation: u64,
    waiters: usize,
}

struct Life {
    world: World,
    /// What no clock can change.
    truly: Duration,
    ids: Vec<ConnectionId>,
    flights: Vec<Flight>,
    /// What came back and could not be stored: the flight, and the lifetime of its tokens.
    unsaved: Vec<(Flight, u64, Timestamp, Duration)>,
    /// When each access token truly ends; nothing where the provider does not say.
    ends: BTreeMap<String, Option<Duration>>,
    /// In which order tokens were issued.
    order: BTreeMap<String, u64>,
    issued: u64,
    asked: usize,
    answered: usize,
    refused_by_provider: BTreeSet<String>,
}

impl Life {
    fn new() -> Self {
        let mut world = World::new();
        let ids: Vec<_> = NAMES
            .iter()
            .map(|name| world.connection(name, "ours"))
            .collect();
        let mut life = Self {
            world,
            truly: Duration::ZERO,
            ids,
            flights: Vec::new(),
            unsaved: Vec::new(),
            ends: BTreeMap::new(),
            order: BTreeMap::new(),
            issued: 0,
            asked: 0,
            answered: 0,
            refused_by_provider: BTreeSet::new(),
        };
        for id in life.ids.clone() {
            let access = life.held(id).expect("tokens");
            life.knows(&access, Some(Duration::from_hours(1)));
        }
        life
    }

    fn held(&self, id: ConnectionId) -> Option<String> {
        self.world.shelf.own(id).map(|held| held.access.clone())
    }

    fn knows(&mut self, access: &str, end: Option<Duration>) {
        self.issued += 1;
        self.order.insert(access.to_owned(), self.issued);
        self.ends.insert(access.to_owned(), end);
    }

    fn step(&mut self, happens: Happens) {
        match happens {
            Happens::Asks(which) => self.asks(self.ids[which]),
            Happens::Reports(which) => self.reports(self.ids[which]),
            Happens::Scheduled => self.scheduled(),
            Happens::Lands(how, lifetime, stored) => self.lands(how, lifetime, stored),
            Happens::StoredAfterAll => self.stored_after_all(),
            Happens::Passes(seconds) => {
                let time = Duration::from_secs(seconds);
                self.truly += time;
                self.world.now = self.world.now.plus(time);
            }
            Happens::ClockSet(millis) => {
                let plan = scheduling::clock_was_set(&self.world.book, millis);
                self.world.carry_out(plan);
                self.world.now = self.world.now.shifted(millis);
                for (_, _, sent, _) in &mut self.unsaved {
                    *sent = sent.shifted(millis);
                }
            }
            Happens::Restarts(spooled) => {
                // What nobody could store is lost with the process; a spool keeps what it holds.
                if !spooled {
                    for flight in std::mem::take(&mut self.flights) {
                        self.loses_the_reply(&flight);
                    }
                }
                self.unsaved.clear();
                self.wakes();
            }
            Happens::Wakes => self.wakes(),
            Happens::PersonRetries(which) => {
                if let Some(row) = self.world.book.connection(self.ids[which]).cloned() {
                    let plan = scheduling::retry(&row, self.world.now);
                    self.world.carry_out(plan);
                }
            }
            Happens::PersonReconnects(which) => self.reconnects(which),
            Happens::PersonDisconnects(which) => self.disconnects(self.ids[which]),
        }
    }

    fn loses_the_reply(&mut self, flight: &Flight) {
        let held = self.held(flight.connection);
        let empty = CameEmpty {
            connection: flight.connection,
            generation: flight.generation,
            end: Empty::ReplyLost {
                why: "killed".to_owned(),
            },
            jitter: 0.4,
            outbox: self.world.outbox_id(),
        };
        let plan = flying::came_empty(&self.world.book, self.world.now, empty);
        self.world.carry_out(plan);
        assert_eq!(
            self.held(flight.connection),
            held,
            "a lost reply proves nothing"
        );
        self.answered += flight.waiters;
    }

    fn wakes(&mut self) {
        let plan = scheduling::resume_all(&self.world.book, self.world.now, 0.3);
        self.world.carry_out(plan);
    }

    fn flies(&self, id: ConnectionId) -> bool {
        let kept = self
            .unsaved
            .iter()
            .any(|(flight, ..)| flight.connection == id);
        kept || self.flights.iter().any(|flight| flight.connection == id)
    }

    /// As the broker's one place where a refresh is sent.
    fn begins(&mut self, id: ConnectionId, waiters: usize) {
        if let Some(flight) = self
            .flights
            .iter_mut()
            .find(|flight| flight.connection == id)
        {
            flight.waiters += waiters;
            return;
        }
        let row = self.world.row(id);
        let can = row.refreshable && row.standing == Standing::Connected && !self.flies(id);
        if !can {
            self.answered += waiters;
            return;
        }
        assert!(
            !scheduling::is_limited(&row, self.world.now),
            "nothing is sent while a limit lasts"
        );
        let begun = begin(&row);
        self.world.carry_out(begun);
        self.flights.push(Flight {
            connection: id,
            generation: row.generation,
            waiters,
        });
    }

    fn asks(&mut self, id: ConnectionId) {
        let Some(row) = self.world.book.connection(id).cloned() else {
            return;
        };
        self.asked += 1;
        match serving::token_state(&row, self.world.now, None) {
            TokenState::Fresh | TokenState::DueButLive => {
                let access = self.held(id).expect("what is served is there");
                let end = self.ends[&access];
                assert!(
                    end.is_none_or(|end| self.truly < end),
                    "{access} is handed out after its true end"
                );
                assert!(
                    !self.refused_by_provider.contains(&access),
                    "handed out dead"
                );
                assert!(matches!(row.standing, Standing::Connected));
                self.answered += 1;
            }
            TokenState::Due => self.begins(id, 1),
            TokenState::Refused(_) => self.answered += 1,
        }
    }

    fn reports(&mut self, id: ConnectionId) {
        let Some(row) = self.world.book.connection(id).cloned() else {
            return;
        };
        let report = Report {
            is_current: true,
            status: Some(401),
            code: None,
        };
        let holds = row
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.holds_at(self.world.now));
        if holds || self.flies(id) || !reporting::is_believed(&row, self.world.now, report) {
            return;
        }
        self.begins(id, 0);
        self.world.carry_out(refreshing::access_is_dead(
            &self.world.row(id),
            self.world.now,
        ));
        self.refused_by_provider.extend(self.held(id));
    }

    fn scheduled(&mut self) {
        for id in self.ids.clone() {
            let Some(row) = self.world.book.connection(id).cloned() else {
                continue;
            };
            let due = scheduling::next_refresh(&row, self.world.now, true);
            if due.is_some_and(|at| at <= self.world.now) {
                self.begins(id, 0);
            }
        }
    }

    fn lands(&mut self, how: u8, lifetime: u64, stored: bool) {
        if self.flights.is_empty() {
            return;
        }
        let flight = self.flights.remove(0);
        if how < 3 && !stored {
            self.answered += flight.waiters;
            let waiting = Flight {
                waiters: 0,
                ..flight
            };
            self.unsaved
                .push((waiting, lifetime, self.world.now, self.truly));
            return;
        }
        let outcome = self.outcome(how, lifetime, self.world.now, self.truly);
        self.finishes(&flight, outcome);
    }

    fn stored_after_all(&mut self) {
        for (flight, lifetime, sent, truly) in std::mem::take(&mut self.unsaved) {
            let outcome = self.outcome(0, lifetime, sent, truly);
            self.finishes(&flight, outcome);
        }
    }

    fn outcome(
        &mut self,
        how: u8,
        lifetime: u64,
        sent: Timestamp,
        truly: Duration,
    ) -> TokenOutcome {
        let why = "HTTP 400".to_owned();
        match how {
            0..3 => {
                let access = format!("access-{}", self.issued + 1);
                let lifetime = (lifetime > 0).then(|| Duration::from_secs(lifetime));
                self.knows(&access, lifetime.map(|lifetime| truly + lifetime));
                let mut tokens = self.world.tokens(&access, (how > 0).then_some("next"));
                tokens.issued_at = sent;
                tokens.expires_at = lifetime.map(|lifetime| sent.plus(lifetime));
                TokenOutcome::Issued(tokens)
            }
            3 => TokenOutcome::Transient {
                why,
                retry_at: None,
            },
            4 => TokenOutcome::RateLimited {
                until: self.world.now.plus(Duration::from_secs(90)),
            },
            5 => TokenOutcome::GrantEnded { why },
            6 => TokenOutcome::ClientRejected { why },
            _ => TokenOutcome::Misconfigured { why },
        }
    }

    fn finishes(&mut self, flight: &Flight, outcome: TokenOutcome) {
        let id = flight.connection;
        let (before, held) = (self.world.book.connection(id).cloned(), self.held(id));
        let proves_the_end = matches!(outcome, TokenOutcome::GrantEnded { .. });
        let finished = Finished {
            connection: id,
            generation: flight.generation,
            outcome,
            jitter: 0.4,
            outbox: self.world.outbox_id(),
        };
        let plan = refreshing::finish(&self.world.book, self.world.now, finished);
        self.world.carry_out(plan);
        if let (Some(before), Some(row)) = (before, self.world.book.connection(id).cloned()) {
            assert!(row.generation >= before.generation, "never back");
            let is_the_one = before.generation == flight.generation;
            match (held, self.held(id)) {
                (Some(_), None) => assert!(proves_the_end && is_the_one, "erased without proof"),
                (Some(old), Some(new)) => {
                    assert!(
                        old == new || is_the_one,
                        "an older generation overwrote a newer"
                    );
                    assert!(self.order[&new] >= self.order[&old]);
                }
                (None, _) => {}
            }
            if row.trouble.is_some() {
                assert!(self.held(id).is_some(), "trouble keeps the grant");
            }
            let state = serving::token_state(&row, self.world.now, None);
            let lives_no_longer = row
                .access_expires_at
                .is_some_and(|end| end <= self.world.now);
            assert!(
                state != TokenState::Due || !is_the_one || lives_no_longer,
                "a waiter would wait for ever"
            );
        }
        self.answered += flight.waiters;
    }

    fn reconnects(&mut self, which: usize) {
        let Ok(consent) = self.world.consent(NAMES[which], "ours") else {
            return;
        };
        let access = format!("access-{}", self.issued + 1);
        let tokens = self.world.tokens(&access, Some("consented"));
        let (_, refusal) = self.world.answer(&consent, tokens, learned("ann", "again"));
        if refusal.is_none() {
            self.ids[which] = consent.connection;
            self.knows(&access, Some(self.truly + Duration::from_hours(1)));
            assert!(
                self.world.row(consent.connection).trouble.is_none(),
                "back to work"
            );
        }
    }

    fn disconnects(&mut self, id: ConnectionId) {
        let Some(row) = self.world.book.connection(id).cloned() else {
            return;
        };
        if row.standing != Standing::Ending && !self.flies(id) {
            let outbox = self.world.outbox_id();
            let plan = revoking::disconnect(&self.world.book, &row, self.world.now, false, outbox);
            self.world.carry_out(plan);
        }
    }

    fn check(&self) {
        let flying: Vec<_> = self
            .flights
            .iter()
            .map(|flight| flight.connection)
            .collect();
        let different: BTreeSet<_> = flying.iter().collect();
        assert_eq!(
            flying.len(),
            different.len(),
            "two flights for one connection"
        );
        let waiting: usize = self.flights.iter().map(|flight| flight.waiters).sum();
        assert_eq!(
            self.asked,
            self.answered + waiting,
            "somebody is never answered"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]
    #[test]
    fn no_order_of_what_happens_loses_a_grant_or_serves_what_is_over(
        all in prop::collection::vec(happens(), 1..120),
    ) {
        let mut life = Life::new();
        for happens in all {
            life.step(happens);
            life.check();
        }
    }
}
