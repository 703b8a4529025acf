//! Killed around a refresh: Doorward, its courier, or both.

use std::time::Duration;

use doorward_e2e::{Dice, Hang, Stopwatch, eventually, kernel};
use rustix::process::Signal;

use super::calls::{Call, Crowd, ask};
use super::row::Row;
use super::scale::{Scale, side_by_side};
use super::scene::{Fate, LONG_LIFE, Scene, hanging, hanging_for_nothing, serve};

/// Who wait while the kill comes.
const CALLERS: usize = 3;

/// Where a refresh is when the kill comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    BeforeRequest,
    NotCommitted,
    NotAnswered,
    NotStored,
    Stored,
}

impl Phase {
    const ALL: [Self; 5] = [
        Self::BeforeRequest,
        Self::NotCommitted,
        Self::NotAnswered,
        Self::NotStored,
        Self::Stored,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::BeforeRequest => "around the request",
            Self::NotCommitted => "sent, not committed",
            Self::NotAnswered => "committed, not answered",
            Self::NotStored => "answered, not stored",
            Self::Stored => "stored",
        }
    }
}

/// What came of one kill.
struct Killed {
    phase: Phase,
    calls: Vec<Call>,
    refreshes: u64,
    fate: Fate,
    asked: usize,
}

/// `kill -9` of Doorward alone at random moments, at a provider that forgives nothing.
pub(crate) async fn doorward(scale: Scale) -> Vec<Row> {
    let mut dice = Dice::from_variable("DOORWARD_KILL_SEED");
    let seed = dice.seed();
    let lanes: Vec<Vec<(Phase, Dice)>> = (0..scale.lanes)
        .map(|lane| {
            let kills = (lane..scale.kills).step_by(scale.lanes);
            let phases = kills.map(|kill| Phase::ALL[kill % Phase::ALL.len()]);
            phases.map(|phase| (phase, dice.split())).collect()
        })
        .collect();
    let killed = side_by_side(scale.lanes, lanes.into_iter().map(lane)).await;
    let killed: Vec<Killed> = killed.into_iter().flatten().collect();
    let rows = Phase::ALL.into_iter().map(|phase| {
        let here: Vec<&Killed> = killed
            .iter()
            .filter(|killed| killed.phase == phase)
            .collect();
        let mut row = Row::of(format!(
            "kill -9 of Doorward, {} times: {}",
            here.len(),
            phase.name()
        ));
        row.note(format!("DOORWARD_KILL_SEED={seed}"));
        for killed in here {
            row.refreshes += killed.refreshes;
            row.asked += killed.asked;
            row.heard_by_survivors(&killed.calls);
            row.must_be_kept(killed.fate);
        }
        row
    });
    rows.collect()
}

async fn lane(kills: Vec<(Phase, Dice)>) -> Vec<Killed> {
    let mut scene = Scene::strict().await;
    let mut all = Vec::new();
    for (phase, mut dice) in kills {
        all.push(scene.killed_in(phase, &mut dice).await);
    }
    // Each kill is the proof of the grant before it; the last one needs its own.
    if let Some(last) = all.last_mut()
        && last.fate == Fate::Kept
    {
        last.fate = scene.fate(&mut last.calls).await;
    }
    all
}

impl Scene {
    async fn killed_in(&mut self, phase: Phase, dice: &mut Dice) -> Killed {
        let (refreshes, asked) = (self.refreshes(), self.asked());
        let mut calls = match phase {
            Phase::BeforeRequest => self.killed_around_the_request(dice).await,
            Phase::NotCommitted => self.killed_while_held(Hang::BeforeWork, dice).await,
            Phase::NotAnswered => self.killed_while_held(Hang::AfterWork, dice).await,
            Phase::NotStored | Phase::Stored => self.killed_when_answered(phase, dice).await,
        };
        let fate = self.outcome(&mut calls).await;
        let killed = Killed {
            phase,
            calls,
            refreshes: self.refreshes() - refreshes,
            fate,
            asked: self.asked() - asked,
        };
        if fate != Fate::Kept {
            self.reconnect().await;
        }
        killed
    }

    async fn killed_around_the_request(&mut self, dice: &mut Dice) -> Vec<Call> {
        // A refresh of the kill before may still have brought one more: with that, none would be sent here.
        let is_over = async || {
            let sessions = self.world.sim.sessions();
            sessions
                .iter()
                .all(|session| session.live_access_tokens == 0)
        };
        eventually("every token has ended", is_over).await;
        let crowd = Crowd::asks(&self.agent, "fastio", CALLERS);
        pause(dice, 40_000).await;
        self.served.process.kill().await;
        let heard = crowd.heard().await;
        self.served = serve(&self.world).await;
        heard
    }

    async fn killed_while_held(&mut self, side: Hang, dice: &mut Dice) -> Vec<Call> {
        self.hold(hanging(side)).await;
        let crowd = Crowd::asks(&self.agent, "fastio", CALLERS);
        pause(dice, 50_000).await;
        self.served.process.kill().await;
        let heard = crowd.heard().await;
        // The reply comes while nobody is there, or to the courier of a Doorward that is back already.
        if dice.below(2) == 0 {
            pause(dice, 50_000).await;
            self.let_go();
            self.served = serve(&self.world).await;
        } else {
            self.served = serve(&self.world).await;
            pause(dice, 200_000).await;
            self.let_go();
        }
        heard
    }

    async fn killed_when_answered(&mut self, phase: Phase, dice: &mut Dice) -> Vec<Call> {
        self.hold(hanging(Hang::AfterWork)).await;
        let crowd = Crowd::asks(&self.agent, "fastio", CALLERS);
        pause(dice, 20_000).await;
        self.let_go();
        let mut calls = Vec::new();
        if phase == Phase::Stored {
            calls.push(ask(&self.agent, "fastio", 30).await);
            pause(dice, 20_000).await;
        } else {
            pause(dice, 10_000).await;
        }
        self.served.process.kill().await;
        calls.extend(crowd.heard().await);
        self.served = serve(&self.world).await;
        calls
    }
}

/// A random while of up to so many microseconds: when a kill comes is the case.
async fn pause(dice: &mut Dice, most: u64) {
    tokio::time::sleep(Duration::from_micros(dice.below(most))).await;
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Courier,
    Both,
}

/// `kill -9` of the courier, and of both at once: the reply is lost for good, and what the provider makes of the old
/// token decides.
pub(crate) async fn couriers(scale: Scale) -> Vec<Row> {
    let who = [
        (Victim::Courier, "kill -9 of the courier"),
        (Victim::Both, "kill -9 of Doorward and its courier"),
    ];
    let cases = who.into_iter().flat_map(|(victim, who)| {
        let case = |what: &str| format!("{who}: {what}");
        [
            (
                victim,
                case("sent, nothing done"),
                hanging_for_nothing(),
                0,
                true,
            ),
            (
                victim,
                case("committed, grace 60 s"),
                hanging(Hang::AfterWork),
                60,
                true,
            ),
            (
                victim,
                case("committed, no grace"),
                hanging(Hang::AfterWork),
                0,
                false,
            ),
        ]
    });
    let rows = cases.map(|(victim, case, fault, grace_s, must_be_kept)| async move {
        let mut row = Row::of(case);
        let mut scene = Scene::with(|knobs| knobs.refresh_replay_grace_s = grace_s).await;
        // Else the grace would be over before anyone needs the next token.
        scene.hold_past_the_end(fault).await;
        let crowd = Crowd::asks(&scene.agent, "fastio", CALLERS);
        scene.kill(victim, &mut row).await;
        scene.let_go();
        row.heard_by_survivors(&crowd.heard().await);
        let mut calls = Vec::new();
        let fate = scene.fate_and_count(&mut calls, &mut row).await;
        row.heard(&calls);
        if must_be_kept {
            row.must_be_kept(fate);
        } else {
            row.provider_decides(fate);
        }
        row.asked = scene.asked();
        row
    });
    side_by_side(scale.lanes, rows).await
}

impl Scene {
    async fn kill(&mut self, victim: Victim, row: &mut Row) {
        let couriers = self.couriers();
        row.holds(couriers.len() == 1, || {
            format!("{} couriers were under way instead of 1", couriers.len())
        });
        if victim == Victim::Both {
            self.served.process.kill().await;
        }
        for courier in couriers {
            kernel::signal(courier, Signal::KILL);
        }
        if victim == Victim::Both {
            self.served = serve(&self.world).await;
        }
    }

    fn couriers(&self) -> Vec<u32> {
        kernel::children_of(self.served.process.pid().expect("it runs"))
    }

    async fn fate_and_count(&self, calls: &mut Vec<Call>, row: &mut Row) -> Fate {
        let fate = self.outcome(calls).await;
        row.refreshes = self.refreshes();
        match fate {
            Fate::Kept => self.fate(calls).await,
            Fate::Ended | Fate::Lost => fate,
        }
    }
}

/// Ended in mid-refresh as people and machines end it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// SIGTERM, and the reply comes at once.
    Asked,
    /// SIGTERM, and the reply comes later.
    AskedAndAnsweredLate,
    /// Every process of the person is asked to end, and made to a moment later.
    LoggedOut,
}

pub(crate) async fn ended(scale: Scale) -> Vec<Row> {
    let cases = [
        ("SIGTERM in mid-refresh, answered at once", End::Asked),
        (
            "SIGTERM in mid-refresh, answered 2 s later",
            End::AskedAndAnsweredLate,
        ),
        ("logout in mid-refresh, answered 2 s later", End::LoggedOut),
    ];
    let rows = cases.into_iter().map(|(case, end)| async move {
        let mut row = Row::of(case);
        let scene = Scene::strict().await;
        scene.ask().await;
        scene.lives(LONG_LIFE);
        scene.hold(hanging(Hang::AfterWork)).await;
        let crowd = Crowd::asks(&scene.agent, "fastio", CALLERS);
        let scene = scene.ended(end, &mut row).await;
        row.heard_by_survivors(&crowd.heard().await);
        let mut calls = Vec::new();
        scene.outcome(&mut calls).await;
        row.heard(&calls);
        row.refreshes = scene.refreshes();
        row.exactly(1);
        scene.kept(&mut row).await;
        row
    });
    side_by_side(scale.lanes, rows).await
}

/// How late a late reply is.
const LATE: Duration = Duration::from_secs(2);

impl Scene {
    /// Ends Doorward while the reply is held, lets the reply go, and starts Doorward again.
    async fn ended(self, end: End, row: &mut Row) -> Self {
        let couriers = self.couriers();
        let Self {
            served,
            world,
            agent,
        } = self;
        let watch = Stopwatch::start();
        let mut process = served.process;
        process.terminate();
        let answered = async {
            if end != End::Asked {
                tokio::time::sleep(LATE).await;
            }
            world.sim.clear_faults();
        };
        if end == End::LoggedOut {
            for courier in couriers {
                kernel::signal(courier, Signal::TERM);
                kernel::signal(courier, Signal::HUP);
            }
            tokio::time::sleep(LATE / 2).await;
            process.kill().await;
            answered.await;
        } else {
            let (ended, ()) = tokio::join!(process.ended(), answered);
            row.holds(ended.status.success(), || {
                format!("it ended with {}", ended.status)
            });
        }
        row.note(format!(
            "ended within {:.1} s",
            watch.elapsed().as_secs_f32()
        ));
        Self {
            served: serve(&world).await,
            world,
            agent,
        }
    }
}
