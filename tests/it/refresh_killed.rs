//! Doorward is killed (SIGKILL) again and again around a refresh, at a provider that rotates refresh tokens and ends the
//! grant when one is shown twice. Its courier is not: no grant is lost, and no person is asked.

use std::time::Duration;

use doorward_e2e::{
    Agent, Browser, Consent, Dice, Fault, Hang, Kind, PIN, Served, World, eventually,
};
use serde_json::Value;

/// When the kill comes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after an agent asked for a token that has ended.
    After(Duration),
    /// While the request is with the provider, which has not begun its work.
    Sent,
    /// While the provider, which has done its work, holds its answer back.
    Committed,
    /// So long after the provider let its answer go.
    Answered(Duration),
}

impl Moment {
    fn draw(round: usize, dice: &mut Dice) -> Self {
        let some = |longest, dice: &mut Dice| Duration::from_millis(dice.below(longest));
        match round % 4 {
            0 => Self::After(some(120, dice)),
            1 => Self::Sent,
            2 => Self::Committed,
            _ => Self::Answered(some(40, dice)),
        }
    }
}

struct Killed {
    // Before the world, so that it has ended when the folders go.
    served: Served,
    world: World,
    agent: Agent,
    token: String,
    refreshes_cut: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_a_refresh_no_grant_is_lost_and_nobody_is_asked() {
    let mut dice = Dice::from_variable("DOORWARD_KILL_SEED");
    println!(
        "DOORWARD_KILL_SEED={} plays the same kills again",
        dice.seed()
    );
    let mut killed = Killed::begin().await;
    for round in 0..16 {
        let moment = Moment::draw(round, &mut dice);
        println!("{moment:?}");
        killed.around(moment).await;
        killed.must_live().await;
    }
    println!("{} kills met a refresh that was sent", killed.refreshes_cut);
    assert!(killed.refreshes_cut >= 8, "{}", killed.refreshes_cut);
    killed.must_be_tidy().await;
}

impl Killed {
    async fn begin() -> Self {
        // Tokens end so soon that nearly every ask is a refresh.
        let world = World::builder()
            .knobs(|knobs| knobs.access_token_lifetime_s = 2)
            .build()
            .await;
        let served = world.serve().await;
        world.at_terminal(&["pin"], &[PIN, PIN]).await.done();
        connect(&world).await;
        let stranger = world.stranger();
        let asked = stranger.maybe_ask("Reporter", "fastio:token").await;
        let asked = asked.expect("it may ask");
        world.approve(&asked.user_code, &[]).await.done();
        let polled = stranger.maybe_poll(&asked).await.expect("it is answered");
        let agent = stranger.with_key(&polled.expect(200).text("access_token"));
        let token = agent.token("fastio").await.expect(200).text("access_token");
        Self {
            served,
            world,
            agent,
            token,
            refreshes_cut: 0,
        }
    }

    async fn around(&mut self, moment: Moment) {
        let sim = &self.world.sim;
        let has_ended = async || !sim.probe_access_token(&self.token).live;
        eventually("the token ends", has_ended).await;
        let refreshes = sim.counts().of(Kind::TokenRefresh);
        let ask = self.agent.maybe_get("/v1/token?connection=fastio");
        let kill = async {
            let fault = Fault::on(Kind::TokenRefresh);
            match moment {
                Moment::After(time) => tokio::time::sleep(time).await,
                Moment::Sent => {
                    sim.queue_fault(fault.hang(Hang::BeforeWork));
                    sim.wait_until_hanging(Kind::TokenRefresh).await;
                }
                Moment::Committed | Moment::Answered(_) => {
                    sim.queue_fault(fault.hang(Hang::AfterWork));
                    sim.wait_until_hanging(Kind::TokenRefresh).await;
                }
            }
            if let Moment::Answered(time) = moment {
                sim.clear_faults();
                tokio::time::sleep(time).await;
            }
            self.served.process.kill().await;
            sim.clear_faults();
        };
        tokio::join!(ask, kill);
        if sim.counts().of(Kind::TokenRefresh) > refreshes {
            self.refreshes_cut += 1;
        }
    }

    /// Doorward starts again, and the agent goes on with its work.
    async fn must_live(&mut self) {
        self.served = self.world.serve().await;
        let answer = std::cell::RefCell::new(None);
        let is_served = async || {
            let asked = self.agent.token("fastio").await;
            // On a busy machine a token may end between being fetched and being handed out.
            let is_final = asked.status != 503;
            answer.replace(Some(asked));
            is_final
        };
        eventually("the agent is served, or told why not", is_served).await;
        let answer = answer.into_inner().expect("it was asked");
        self.token = answer.expect(200).text("access_token");
        let connections = self.world.connections().await;
        let state = &connections[0]["health"]["state"];
        assert_ne!(state, "reconnect_required", "{connections:?}");
    }

    async fn must_be_tidy(&self) {
        self.world.verify_audit().await;
        let sessions = self.world.sim.sessions();
        assert_eq!(sessions.len(), 1, "one consent was enough");
        assert!(sessions[0].active);
        let spool = self.world.data().join("spool");
        let is_empty =
            async || std::fs::read_dir(&spool).is_ok_and(|mut files| files.next().is_none());
        eventually("no reply lies in the spool", is_empty).await;
    }
}

async fn connect(world: &World) {
    let base = world.sim.base_url();
    let connecting = world.start(&[
        "--json",
        "connect",
        "fastio",
        "--base",
        base,
        "--no-browser",
    ]);
    let started: Value = serde_json::from_str(&connecting.line().await).expect("JSON");
    let address = started["url"].as_str().expect("an address");
    let redirect = world.sim.approve(address, &Consent::everything()).await;
    Browser::maybe_land(&redirect.expect("it is approved")).await;
    connecting.ended().await.done();
}
