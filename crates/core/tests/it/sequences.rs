//! Everything at once, in any order: agents, persons, providers and clocks act on one book, and what must never happen
//! does not. The shelf and the book's check refuse what the store's tables would.

mod flights;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doorward_core::audit::AuditKind;
use doorward_core::connection::Standing;
use doorward_core::consent::PendingConsent;
use doorward_core::decide::pairing::{self, Polled};
use doorward_core::decide::revoking::{self, RevocationOutcome};
use doorward_core::decide::serving::{self, Caller};
use doorward_core::grant::{Door, Lifetime, Policy, Rights};
use doorward_core::ids::{AgentId, ConnectionId, TenantId};
use doorward_core::key::KeyHash;
use doorward_core::pairing::{Approval, Verdict};
use doorward_core::plan::Plan;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::events::{Event, event};
use crate::world::{World, learned};

const NAMES: [&str; 3] = ["fastio", "work", "other"];
const TENANTS: [&str; 2] = ["ours", "theirs"];
const ACCOUNTS: [&str; 2] = ["ann", "bob"];

/// The world, and what a broker would hold beside the book.
struct Play {
    world: World,
    consents: Vec<PendingConsent>,
    /// Of each connection in flight the generation that was sent.
    flights: BTreeMap<ConnectionId, u64>,
    issued: u64,
    tenants: BTreeMap<ConnectionId, TenantId>,
    agents: BTreeMap<AgentId, TenantId>,
    /// Access tokens that a disconnected connection held.
    must_be_owed: BTreeSet<String>,
    keys: Vec<KeyHash>,
    device_codes: BTreeMap<doorward_core::ids::RequestId, KeyHash>,
}

fn one<T>(index: Index, of: &[T]) -> Option<&T> {
    (!of.is_empty()).then(|| index.get(of))
}

impl Play {
    fn new() -> Self {
        Self {
            world: World::new(),
            consents: Vec::new(),
            flights: BTreeMap::new(),
            issued: 0,
            tenants: BTreeMap::new(),
            agents: BTreeMap::new(),
            must_be_owed: BTreeSet::new(),
            keys: Vec::new(),
            device_codes: BTreeMap::new(),
        }
    }

    fn text(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{kind}-{}", self.issued)
    }

    fn connections(&self) -> Vec<ConnectionId> {
        self.world.book.connections().map(|row| row.id).collect()
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Connect { name, tenant } => {
                let consent = self.world.consent(
                    NAMES[name.index(NAMES.len())],
                    TENANTS[tenant.index(TENANTS.len())],
                );
                self.consents.extend(consent);
            }
            Event::Answer {
                consent,
                account,
                refresh,
                session,
            } => {
                if !self.consents.is_empty() {
                    let consent = self.consents.remove(consent.index(self.consents.len()));
                    self.answer(
                        &consent,
                        ACCOUNTS[account.index(ACCOUNTS.len())],
                        refresh,
                        session,
                    );
                }
            }
            Event::Begin { connection } => self.begin(connection),
            Event::Finish { flight, outcome } => self.finish(flight, outcome),
            Event::Empty { flight, end } => self.come_empty(flight, end),
            Event::Restart => self.restart(),
            Event::Dead { connection } => self.access_dies(connection),
            Event::Disconnect { connection } => self.disconnect(connection),
            Event::Revoke { item, outcome } => self.revoke(item, outcome),
            Event::Pause { connection, paused } => {
                if let Some(id) = one(connection, &self.connections()) {
                    let plan = revoking::set_connection_paused(&self.world.row(*id), paused);
                    self.carry_out(plan);
                }
            }
            Event::Ask {
                known,
                client,
                first,
                second,
            } => self.ask(known, client, [first, second]),
            Event::Approve {
                request,
                connections,
                token,
                limited,
                hour,
            } => {
                let rights = Rights::new(
                    vec![if token { Door::Token } else { Door::Proxy }],
                    Policy {
                        read_only: limited,
                        ..Policy::default()
                    },
                );
                assert_eq!(rights.is_err(), token && limited);
                if let Ok(rights) = rights {
                    self.approve(request, &connections, &rights, hour);
                }
            }
            Event::Deny { request } => {
                let waiting = self.requests(&|verdict| *verdict == Verdict::Waiting);
                if let Some(id) = one(request, &waiting) {
                    let request = self.world.book.request(*id).expect("it waits").clone();
                    self.carry_out(pairing::deny(&request, "no"));
                }
            }
            Event::Poll { request } => self.poll(request),
            Event::RevokeAgent { agent } => {
                let agents: Vec<_> = self.world.book.agents().cloned().collect();
                if let Some(agent) = one(agent, &agents) {
                    let plan = revoking::revoke_agent(&self.world.book, agent, self.world.now);
                    self.carry_out(plan);
                    assert_eq!(self.world.book.grants_of(agent.id).count(), 0);
                }
            }
            Event::Use { key, name } => self.use_key(key, NAMES[name.index(NAMES.len())]),
            Event::Sweep => {
                // The first may say no, the second forget the request, the third its client.
                for _ in 0..3 {
                    let plan = pairing::sweep(&self.world.book, self.world.now);
                    self.carry_out(plan);
                }
                let again = pairing::sweep(&self.world.book, self.world.now);
                assert!(again.changes.is_empty(), "sweeping comes to an end");
            }
            Event::Clock { seconds } => {
                let step = Duration::from_secs(seconds.unsigned_abs());
                self.world.now = if seconds < 0 {
                    self.world.now.minus(step)
                } else {
                    self.world.now.plus(step)
                };
            }
        }
    }

    fn carry_out(&mut self, plan: Plan) -> Vec<AuditKind> {
        self.world.carry_out(plan)
    }

    fn answer(&mut self, consent: &PendingConsent, account: &str, refresh: bool, session: bool) {
        let (access, token) = (self.text("access"), self.text("refresh"));
        let tokens = self
            .world
            .tokens(&access, refresh.then_some(token.as_str()));
        let mut what = learned(account, &self.text("session"));
        what.session = what.session.filter(|_| session);
        let (logged, refusal) = self.world.answer(consent, tokens, what);
        if refusal.is_some() {
            assert!(self.world.shelf.ever_owed().contains(&access), "given back");
            assert!(logged.is_empty());
        } else {
            let row = self.world.row(consent.connection);
            let held = self.world.shelf.own(row.id).expect("tokens");
            assert_eq!(
                (held.access.as_str(), held.generation),
                (access.as_str(), row.generation)
            );
            assert_eq!(
                held.refresh,
                refresh.then_some(token),
                "of this grant alone"
            );
        }
    }

    fn disconnect(&mut self, connection: Index) {
        let Some(id) = one(connection, &self.connections()).copied() else {
            return;
        };
        let row = self.world.row(id);
        let in_flight = self.flights.contains_key(&id);
        if row.standing == Standing::Ending {
            return;
        }
        if !in_flight {
            let held = self.world.shelf.own(id).map(|held| held.access.clone());
            self.must_be_owed.extend(held);
        }
        let outbox = self.world.outbox_id();
        let plan = revoking::disconnect(&self.world.book, &row, self.world.now, in_flight, outbox);
        self.carry_out(plan);
        if in_flight {
            assert_eq!(self.world.row(id).standing, Standing::Ending);
        } else {
            assert!(self.world.book.connection(id).is_none());
            assert_eq!(self.world.book.grants_for(id).count(), 0);
            assert!(self.world.book.connection_named(&row.name).is_none());
        }
    }

    fn revoke(&mut self, item: Index, outcome: u8) {
        let items: Vec<_> = self.world.book.outbox().cloned().collect();
        let Some(item) = one(item, &items) else {
            return;
        };
        let now = self.world.now;
        let outcome = match outcome {
            0 => RevocationOutcome::Confirmed,
            1 => RevocationOutcome::Impossible,
            2 => RevocationOutcome::Failed {
                why: String::new(),
                retry_at: Some(now),
            },
            _ => RevocationOutcome::Failed {
                why: String::new(),
                retry_at: None,
            },
        };
        self.carry_out(revoking::tried(item, now, outcome));
        if let Some(kept) = self.world.book.outbox_item(item.id) {
            assert!(
                kept.next_try.is_some_and(|next| next > now),
                "never again at once"
            );
            assert!(self.world.shelf.owed(item.id).is_some());
        } else {
            assert!(self.world.shelf.owed(item.id).is_none());
        }
    }

    fn ask(&mut self, known: bool, client: Index, names: [Index; 2]) {
        let clients: Vec<_> = self
            .world
            .book
            .clients()
            .map(|client| client.id)
            .chain(self.world.book.agents().map(|agent| agent.id))
            .collect();
        let client = match one(client, &clients) {
            Some(client) if known => *client,
            _ => self.world.client("agent"),
        };
        let [first, second] = names.map(|name| NAMES[name.index(NAMES.len())]);
        let asked = self
            .world
            .asked(client, &format!("{first}:proxy {second}:token"));
        let (id, device_code) = (asked.id, asked.device_code);
        if let Ok(plan) = pairing::ask(&self.world.book, self.world.now, asked) {
            self.carry_out(plan);
            self.device_codes.insert(id, device_code);
        }
    }

    fn requests(&self, which: &dyn Fn(&Verdict) -> bool) -> Vec<doorward_core::ids::RequestId> {
        let requests = self.world.book.requests();
        requests
            .filter(|request| which(&request.verdict))
            .map(|request| request.id)
            .collect()
    }

    fn approve(&mut self, request: Index, connections: &[Index], rights: &Rights, hour: bool) {
        let waiting = self.requests(&|verdict| *verdict == Verdict::Waiting);
        let Some(id) = one(request, &waiting) else {
            return;
        };
        let request = (**self.world.book.request(*id).expect("it waits")).clone();
        let known = self.connections();
        let lifetime = if hour {
            Lifetime::Until(self.world.now.plus(Duration::from_hours(1)))
        } else {
            Lifetime::UntilRevoked
        };
        let chosen = connections.iter().filter_map(|index| one(*index, &known));
        let grants: Vec<_> = chosen.map(|id| (*id, rights.clone())).collect();
        let approval = if grants.is_empty() {
            pairing::as_asked(&self.world.book, &request, lifetime)
        } else {
            Ok(Approval { grants, lifetime })
        };
        if let Ok(plan) = approval.and_then(|approval| self.world.approved(&request, approval)) {
            self.carry_out(plan);
        }
    }

    fn poll(&mut self, request: Index) {
        let all = self.requests(&|_| true);
        let Some(id) = one(request, &all) else {
            return;
        };
        let request = self.world.book.request(*id).expect("a request").clone();
        let key = self.world.new_key();
        let code = self.device_codes[id];
        let polled = pairing::poll(
            &self.world.book,
            self.world.now,
            request.client,
            &code,
            None,
            key,
        );
        if let Polled::Issued { plan, .. } = polled {
            assert!(
                matches!(request.verdict, Verdict::Approved { .. }),
                "nobody but a person"
            );
            self.carry_out(plan);
            self.keys.push(key.1);
        }
    }

    fn use_key(&mut self, key: Index, name: &str) {
        let Some(hash) = one(key, &self.keys) else {
            return;
        };
        let (book, now) = (&self.world.book, self.world.now);
        let Ok(caller) = serving::authenticate(book, now, hash, None) else {
            return;
        };
        let name = crate::world::name(name);
        for door in [Door::Token, Door::Proxy] {
            if let Ok(access) = serving::access(book, now, &caller, Some(&name), door) {
                self.check_access(&caller, &access, door);
            }
            if let Ok(access) = serving::access(book, now, &caller, None, door) {
                self.check_access(&caller, &access, door);
            }
        }
    }

    fn check_access(&self, caller: &Caller, access: &serving::Access<'_>, door: Door) {
        assert_eq!(access.connection.tenant, caller.agent.tenant);
        assert_ne!(access.connection.standing, Standing::Ending);
        assert!(!access.connection.paused);
        assert!(access.grant.rights.opens(door) && !access.grant.is_over(self.world.now));
        assert_eq!(access.grant.agent, caller.agent.id);
    }

    /// What holds after every event.
    fn check(&mut self) {
        let book = &self.world.book;
        let mut names = BTreeSet::new();
        for row in book.connections() {
            assert!(
                names.insert(row.name.clone()),
                "two connections `{}`",
                row.name
            );
            let found = book.connection_named(&row.name).map(|found| found.id);
            assert_eq!(found, Some(row.id), "found by its name");
            let tenant = *self.tenants.entry(row.id).or_insert(row.tenant);
            assert_eq!(tenant, row.tenant, "a connection never changes its tenant");
            if let Some(mark) = row.refreshing {
                assert_eq!(mark.generation, row.generation, "a mark of what is stored");
                let flight = self.flights.get(&row.id);
                assert_eq!(flight, Some(&row.generation), "a mark has its flight");
            }
            let held = self.world.shelf.own(row.id);
            if let Some(held) = held {
                assert_eq!(
                    held.generation, row.generation,
                    "the row describes its tokens"
                );
                assert_eq!(held.refresh.is_some(), row.refreshable);
            } else {
                assert!(matches!(row.standing, Standing::ReconnectRequired { .. }));
                assert!(!row.access_is_live(self.world.now) || !row.refreshable);
            }
        }
        for agent in book.agents() {
            let tenant = *self.agents.entry(agent.id).or_insert(agent.tenant);
            assert_eq!(tenant, agent.tenant, "an agent never changes its tenant");
            assert!(
                book.client(agent.id).is_none(),
                "an agent is no client any longer"
            );
        }
        let mut pairs = BTreeSet::new();
        for grant in book.grants() {
            let agent = book.agent(grant.agent).expect("a grant's agent");
            let connection = book
                .connection(grant.connection)
                .expect("a grant's connection");
            assert_eq!(agent.tenant, connection.tenant, "a grant crosses tenants");
            assert!(
                pairs.insert((agent.id, connection.id)),
                "two grants for one connection"
            );
            assert!(!grant.rights.policy().is_limiting() || !grant.rights.opens(Door::Token));
        }
        for item in book.outbox() {
            assert!(
                self.world.shelf.owed(item.id).is_some(),
                "owed, with its tokens"
            );
        }
        let owed = self.world.shelf.ever_owed();
        let forgotten: Vec<_> = self.must_be_owed.difference(owed).collect();
        assert!(forgotten.is_empty(), "{forgotten:?} will never be revoked");
    }
}

proptest! {
    #[test]
    fn no_order_of_events_breaks_a_promise(events in prop::collection::vec(event(), 1..80)) {
        let mut play = Play::new();
        for event in events {
            play.step(event);
            play.check();
        }
    }
}
