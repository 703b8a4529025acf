//! A served world with one connection and an agent, in which every case plays.
//!
//! The hard problem is to know that a grant was kept: a token that works says nothing of the refresh token behind it,
//! which may be spent. So a grant counts as kept once the agent has been given a further token that works, which takes
//! one more refresh.

use std::time::Duration;

use doorward_e2e::{Agent, Consent, Fault, Hang, Kind, Knobs, PATIENCE, Served, World, eventually};

use super::calls::{Call, Said, ask, reject};
use super::row::Row;

/// How long a token lives where a case waits for its end: long enough for a command to run in between.
pub(crate) const SHORT_LIFE: u64 = 3;
/// Where no token may end by itself.
pub(crate) const LONG_LIFE: u64 = 3600;
/// Past the end of any token here.
const LATER: Duration = Duration::from_hours(2);
/// After this, what is not decided will not be: longer than the longest pause between two tries.
const AT_LAST: Duration = Duration::from_secs(100);
/// An impatient agent asks again after this, whatever it was told.
pub(crate) const IMPATIENCE: Duration = Duration::from_millis(50);

/// What became of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It works.
    Kept,
    /// Its provider ended it, and Doorward says so.
    Ended,
    /// It lives at the provider and Doorward has it no longer, or nobody can tell.
    Lost,
}

pub(crate) struct Scene {
    // Before the world, so that it has ended when the folders go.
    pub(crate) served: Served,
    pub(crate) world: World,
    pub(crate) agent: Agent,
}

impl Scene {
    /// At a provider that rotates, and ends a grant when a spent refresh token comes back.
    pub(crate) async fn strict() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other rules.
    pub(crate) async fn with(turn: impl FnOnce(&mut Knobs)) -> Self {
        let world = Self::bare(turn).await;
        let served = serve(&world).await;
        Self::connected(world, served).await
    }

    /// A world without a connection yet, at a provider with these rules.
    pub(crate) async fn bare(turn: impl FnOnce(&mut Knobs)) -> World {
        let set = |knobs: &mut Knobs| {
            knobs.access_token_lifetime_s = SHORT_LIFE;
            turn(knobs);
        };
        World::builder().knobs(set).build().await
    }

    /// With its connection, and an agent that may have its tokens.
    pub(crate) async fn connected(world: World, served: Served) -> Self {
        world.set_pin().await;
        world.connect(&[], &Consent::everything()).await;
        let agent = world.pair("Reporter", "fastio:token").await;
        Self {
            served,
            world,
            agent,
        }
    }

    /// How many refreshes have reached the provider.
    pub(crate) fn refreshes(&self) -> u64 {
        self.world.sim.counts().of(Kind::TokenRefresh)
    }

    /// How often a person was told that they are needed.
    pub(crate) fn asked(&self) -> usize {
        asked(&self.world)
    }

    pub(crate) async fn ask(&self) -> Call {
        ask(&self.agent, "fastio", 30).await
    }

    pub(crate) fn is_live(&self, token: &str) -> bool {
        self.world.sim.probe_access_token(token).live
    }

    /// How long the next tokens live.
    pub(crate) fn lives(&self, seconds: u64) {
        self.world
            .sim
            .change_knobs(|knobs| knobs.access_token_lifetime_s = seconds);
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.world.sim.queue_fault(fault);
    }

    /// Lets the next refresh hang until it is let go, and waits until one does.
    pub(crate) async fn hold(&self, fault: Fault) {
        self.fault(fault);
        self.refresh_hangs().await;
    }

    /// Waits until a refresh hangs; an agent goes on asking meanwhile, and tells of tokens that do not work.
    pub(crate) async fn refresh_hangs(&self) {
        let asking = async {
            loop {
                let call = ask(&self.agent, "fastio", 1).await;
                if let Some(token) = call.token().filter(|token| !self.is_live(token)) {
                    let rejecting = reject(&self.agent, "fastio", token);
                    // The answer may be what hangs.
                    let _late = tokio::time::timeout(IMPATIENCE, rejecting).await;
                }
                tokio::time::sleep(IMPATIENCE).await;
            }
        };
        let hangs = async {
            tokio::select! {
                () = self.world.sim.wait_until_hanging(Kind::TokenRefresh) => {}
                () = asking => {}
            }
        };
        let waited = tokio::time::timeout(PATIENCE, hangs).await;
        assert!(
            waited.is_ok(),
            "no refresh is sent{}",
            self.served.process.said()
        );
    }

    pub(crate) fn let_go(&self) {
        self.world.sim.clear_faults();
    }

    /// Waits until a token has ended, here and at the provider.
    pub(crate) async fn ends(&self, token: &str) {
        eventually("the token ends", async || !self.is_live(token)).await;
    }

    /// The same once the token that agents have has ended, so that nobody can be served without the refresh.
    pub(crate) async fn hold_past_the_end(&self, fault: Fault) {
        let token = self.ask().await.token().expect("a token").to_owned();
        self.fault(fault);
        self.ends(&token).await;
        self.refresh_hangs().await;
    }

    /// Asks until there is a token that works, or a final answer; keeps what was heard on the way. Of a token that does
    /// not work the agent tells Doorward, as agents do that met a 401.
    pub(crate) async fn outcome(&self, calls: &mut Vec<Call>) -> Fate {
        let asking = async {
            loop {
                let call = self.ask().await;
                let said = call.said.clone();
                calls.push(call);
                match said {
                    Said::Token(token) if self.is_live(&token) => return Fate::Kept,
                    Said::Token(token) => drop(reject(&self.agent, "fastio", &token).await),
                    Said::Over | Said::Unknown => return self.what_the_provider_says(),
                    Said::Later(_) | Said::Nothing | Said::Else(_) => {}
                }
                tokio::time::sleep(IMPATIENCE).await;
            }
        };
        let outcome = tokio::time::timeout(AT_LAST, asking).await;
        outcome.unwrap_or(Fate::Lost)
    }

    /// The grant's fate where Doorward says that it is over: the provider has ended it, or has refused the very token
    /// that was stored.
    fn what_the_provider_says(&self) -> Fate {
        let is_over = |session: &fastio_sim::SessionView| !session.active;
        let requests = self.world.sim.requests();
        let mut refreshes = requests
            .iter()
            .rev()
            .filter(|one| one.kind == Kind::TokenRefresh);
        let is_refused = refreshes
            .next()
            .is_some_and(|last| last.status == Some(400));
        if is_refused || self.world.sim.sessions().last().is_some_and(is_over) {
            Fate::Ended
        } else {
            Fate::Lost
        }
    }

    /// The same, and whether the refresh token behind that token works, too. Takes one more refresh.
    pub(crate) async fn fate(&self, calls: &mut Vec<Call>) -> Fate {
        match self.outcome(calls).await {
            Fate::Kept => {
                self.lives(LONG_LIFE);
                // What works after this was issued after it.
                self.world.sim.advance_clock(LATER);
                self.outcome(&mut Vec::new()).await
            }
            fate @ (Fate::Ended | Fate::Lost) => fate,
        }
    }

    /// Ends the case with a grant that must have been kept.
    pub(crate) async fn kept(&self, row: &mut Row) {
        let mut calls = Vec::new();
        row.refreshes = self.refreshes();
        let fate = self.fate(&mut calls).await;
        row.heard(&calls);
        row.must_be_kept(fate);
        row.asked = self.asked();
        if fate != Fate::Kept {
            self.tell();
        }
    }

    /// What Doorward wrote in its log, for whoever looks into a case that failed.
    #[expect(
        clippy::print_stdout,
        reason = "the world is gone when the test has failed"
    )]
    pub(crate) fn tell(&self) {
        let log = std::fs::read_to_string(self.world.log()).unwrap_or_default();
        println!("{log}\n{:#?}", self.world.sim.requests());
    }

    /// Connects again, after a grant was lost, so that the case can go on.
    pub(crate) async fn reconnect(&self) {
        let flags = ["--name", "fastio"];
        self.world.connect(&flags, &Consent::everything()).await;
    }
}

/// Serves, with a log of what is worth telling.
pub(crate) async fn serve(world: &World) -> Served {
    world
        .serve_within(&["env"], &[("DOORWARD_LOG", "info")])
        .await
}

/// How often a person was told that they are needed. A server's log is what it tells people.
pub(crate) fn asked(world: &World) -> usize {
    let log = std::fs::read_to_string(world.log()).unwrap_or_default();
    let asks = [
        "a connection has ended",
        "does not accept Doorward's registration",
        "refuses every renewal",
    ];
    asks.iter().map(|ask| log.matches(ask).count()).sum()
}

/// A refresh that hangs on this side of its work.
pub(crate) fn hanging(side: Hang) -> Fault {
    Fault::on(Kind::TokenRefresh).hang(side)
}

/// A refresh that hangs, and whose connection is then closed with nothing done.
pub(crate) fn hanging_for_nothing() -> Fault {
    hanging(Hang::BeforeWork).close_socket()
}
