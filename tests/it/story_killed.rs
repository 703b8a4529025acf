//! Doorward is killed (SIGKILL) all along the story. Whatever had been confirmed is there afterwards, and what had not
//! is there as a whole or not at all.

use std::time::Duration;

use doorward_e2e::{
    Agent, Asked, Browser, Consent, DeadToken, Dice, Fault, Hang, Kind, PIN, Served, World,
    eventually,
};
use serde_json::Value;

/// One thing that someone does in the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    SetPin,
    Connect,
    Ask,
    Approve,
    FetchKey,
    Token,
    Pause,
    Resume,
    Revoke,
    Disconnect,
}

const STORY: [Step; 10] = [
    Step::SetPin,
    Step::Connect,
    Step::Ask,
    Step::Approve,
    Step::FetchKey,
    Step::Token,
    Step::Pause,
    Step::Resume,
    Step::Revoke,
    Step::Disconnect,
];

/// When the kill comes, seen from a step.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Before,
    After,
    /// So long after the step was begun.
    During(Duration),
    /// While a call is with the provider, which has not begun or has already done its work.
    AtProvider(Kind, Hang),
}

impl Moment {
    /// Every step meets every sort of moment once in four passes.
    fn draw(step: Step, sort: usize, dice: &mut Dice) -> Self {
        let calls: &[Kind] = match step {
            Step::Connect => &[
                Kind::Discovery,
                Kind::Register,
                Kind::TokenCode,
                Kind::Check,
                Kind::Api,
                Kind::SessionRead,
            ],
            Step::Token => &[Kind::TokenRefresh],
            Step::Disconnect => &[Kind::Revoke, Kind::SessionDelete],
            Step::SetPin
            | Step::Ask
            | Step::Approve
            | Step::FetchKey
            | Step::Pause
            | Step::Resume
            | Step::Revoke => &[],
        };
        match sort % 4 {
            0 => Self::Before,
            1 => Self::After,
            2 if !calls.is_empty() => {
                let call =
                    calls[usize::try_from(dice.below(calls.len() as u64)).expect("a small number")];
                let side = if dice.below(2) == 0 {
                    Hang::BeforeWork
                } else {
                    Hang::AfterWork
                };
                Self::AtProvider(call, side)
            }
            _ => {
                // About as long as the step takes on a machine that has little else to do.
                let longest = match step {
                    Step::SetPin | Step::Approve => 500,
                    Step::Connect => 400,
                    Step::Pause | Step::Resume | Step::Revoke | Step::Disconnect => 100,
                    Step::Ask | Step::FetchKey | Step::Token => 20,
                };
                Self::During(Duration::from_millis(dice.below(longest)))
            }
        }
    }
}

/// What has been confirmed so far, to a person or to an agent.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each step that says no more than done"
)]
struct Confirmed {
    pin: bool,
    connected: bool,
    asked: Option<Asked>,
    approved: bool,
    agent: Option<Agent>,
    paused: bool,
    revoked: bool,
    disconnected: bool,
}

/// What came of it all.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    /// The step was not confirmed and had not taken place.
    undone: usize,
    /// The step was not confirmed and had taken place.
    done_unheard: usize,
    /// A refresh had been sent when the kill came. What its courier brought was adopted: no grant is ever lost.
    refreshes_cut: usize,
    /// A key was made and its agent never heard it.
    keys_unheard: usize,
}

struct Pass {
    // Before the world, so that it has ended when the folders go.
    served: Served,
    world: World,
    confirmed: Confirmed,
    tally: Tally,
    // The last token an agent was handed.
    last_token: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_in_the_story_nothing_confirmed_is_lost_and_nothing_is_half_there() {
    let mut dice = Dice::from_variable("DOORWARD_KILL_SEED");
    println!(
        "DOORWARD_KILL_SEED={} plays the same kills again",
        dice.seed()
    );
    let tallies = Box::pin(play_four_passes(&mut dice)).await;
    println!("{tallies:?}");
    let kills: usize = tallies.iter().map(|tally| tally.kills).sum();
    assert_eq!(kills, 4 * STORY.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: a thousand kills take several minutes"]
async fn soak_killed_a_thousand_times_nothing_confirmed_is_lost() {
    let mut dice = Dice::from_variable("DOORWARD_KILL_SEED");
    println!(
        "DOORWARD_KILL_SEED={} plays the same kills again",
        dice.seed()
    );
    let mut kills = 0;
    while kills < 1000 {
        let tallies = Box::pin(play_four_passes(&mut dice)).await;
        println!("{tallies:?}");
        kills += tallies.iter().map(|tally| tally.kills).sum::<usize>();
    }
}

/// Plays the story four times at once, so that every step meets every sort of moment.
async fn play_four_passes(dice: &mut Dice) -> [Tally; 4] {
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|pass| {
        let moments: Vec<(Step, Moment)> = STORY
            .iter()
            .enumerate()
            .map(|(place, step)| (*step, Moment::draw(*step, pass + place, dice)))
            .collect();
        async move { Pass::begin().await.play(&moments).await }
    });
    let (first, second, third, fourth) = tokio::join!(first, second, third, fourth);
    [first, second, third, fourth]
}

impl Pass {
    async fn begin() -> Self {
        // Tokens end so soon that many an ask is a refresh.
        let world = World::builder()
            .knobs(|knobs| knobs.access_token_lifetime_s = 2)
            .build()
            .await;
        let served = world.serve().await;
        let (confirmed, tally) = (Confirmed::default(), Tally::default());
        Self {
            world,
            served,
            confirmed,
            tally,
            last_token: String::new(),
        }
    }

    #[expect(
        clippy::print_stdout,
        reason = "where a pass fails, this tells how it came there"
    )]
    async fn play(mut self, moments: &[(Step, Moment)]) -> Tally {
        for (step, moment) in moments {
            println!("{step:?} {moment:?}");
            self.killed_around(*step, *moment).await;
            self.check(*step).await;
            self.see_through(*step).await;
        }
        let is_empty = async || {
            let spool = std::fs::read_dir(self.world.data().join("spool"));
            spool.into_iter().flatten().next().is_none()
        };
        eventually("no reply lies in the spool", is_empty).await;
        self.tally
    }

    /// Takes a step, and kills Doorward at that moment of it.
    async fn killed_around(&mut self, step: Step, moment: Moment) {
        if step == Step::Token && !self.last_token.is_empty() {
            let token = &self.last_token;
            eventually("the token ends", async || {
                !self.world.sim.probe_access_token(token).live
            })
            .await;
        }
        self.has_settled().await;
        let refreshes = self.world.sim.counts().of(Kind::TokenRefresh);
        let heard = match moment {
            Moment::Before => {
                self.served.process.kill().await;
                None
            }
            Moment::After => {
                let heard = attempt(&self.world, &self.confirmed, step).await;
                self.served.process.kill().await;
                heard
            }
            Moment::During(time) => {
                let kill = async {
                    tokio::time::sleep(time).await;
                    self.served.process.kill().await;
                };
                tokio::join!(attempt(&self.world, &self.confirmed, step), kill).0
            }
            Moment::AtProvider(call, side) => {
                self.world.sim.queue_fault(Fault::on(call).hang(side));
                let mut attempt = std::pin::pin!(attempt(&self.world, &self.confirmed, step));
                let early = tokio::select! {
                    heard = &mut attempt => Some(heard),
                    () = self.world.sim.wait_until_hanging(call) => None,
                };
                self.served.process.kill().await;
                self.world.sim.clear_faults();
                match early {
                    Some(heard) => heard,
                    None => attempt.await,
                }
            }
        };
        self.tally.kills += 1;
        if self.world.sim.counts().of(Kind::TokenRefresh) > refreshes {
            self.tally.refreshes_cut += 1;
        }
        if let Some(heard) = heard {
            self.take_in(step, heard);
        }
    }

    /// Waits until no refresh is under way.
    async fn has_settled(&self) {
        let at_rest = async || {
            let connections = self.world.connections().await;
            connections
                .iter()
                .all(|connection| connection["health"]["state"] != "refreshing")
        };
        eventually("no refresh is under way", at_rest).await;
    }

    fn take_in(&mut self, step: Step, heard: Heard) {
        let confirmed = &mut self.confirmed;
        match (step, heard) {
            (Step::SetPin, _) => confirmed.pin = true,
            (Step::Connect, _) => confirmed.connected = true,
            (Step::Ask, Heard::Asked(asked)) => confirmed.asked = Some(asked),
            (Step::Approve, _) => confirmed.approved = true,
            (Step::FetchKey, Heard::Key(agent)) => confirmed.agent = Some(agent),
            (Step::Token, Heard::Token(token)) => self.last_token = token,
            (Step::Pause, _) => confirmed.paused = true,
            (Step::Resume, _) => confirmed.paused = false,
            (Step::Revoke, _) => confirmed.revoked = true,
            (Step::Disconnect, _) => confirmed.disconnected = true,
            (step, _) => panic!("{step:?} was answered with something else"),
        }
    }

    /// Starts Doorward again and holds it against what was confirmed. `step` is the one that the kill was aimed at, and
    /// the only one that may be there or not.
    async fn check(&mut self, step: Step) {
        self.served = self.world.serve().await;
        let (world, confirmed) = (&self.world, &self.confirmed);
        let status = world.ask(&["status"]).await;
        assert_eq!(status["store"], "unlocked", "{status}");
        world.verify_audit().await;
        if confirmed.pin {
            assert_eq!(status["pin_set"], true);
        }

        let connections = world.connections().await;
        let names: Vec<&Value> = connections
            .iter()
            .map(|connection| &connection["name"])
            .collect();
        let may_be = |names: &[&Value]| names.is_empty() || names == ["fastio"];
        match (confirmed.connected, confirmed.disconnected, step) {
            (true, false, Step::Disconnect) | (false, _, Step::Connect) => {
                assert!(may_be(&names), "{names:?}");
            }
            (true, false, _) => assert_eq!(names, ["fastio"], "what was connected is there"),
            (_, true, _) | (false, _, _) => assert!(names.is_empty(), "{names:?}"),
        }
        for connection in &connections {
            assert!(
                connection["granted"]
                    .as_array()
                    .is_some_and(|granted| granted.len() == 4),
                "{connection}"
            );
            assert_eq!(connection["account"], doorward_e2e::demo::EMAIL);
        }
        let agents = world.ask(&["agents"]).await;
        for agent in agents.as_array().into_iter().flatten() {
            for grant in agent["grants"].as_array().into_iter().flatten() {
                assert!(
                    names.contains(&&grant["connection"]),
                    "a grant of nothing: {agent}"
                );
            }
        }
        let leftovers: Vec<_> = std::fs::read_dir(world.data())
            .expect("the data folder is there")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with("doorward."))
            .filter(|name| !["control.sock", "endpoint.json", "spool"].contains(&name.as_str()))
            .collect();
        assert!(
            leftovers.is_empty(),
            "left in the data folder: {leftovers:?}"
        );
        self.check_agent(step, !names.is_empty()).await;
    }

    async fn check_agent(&mut self, step: Step, is_connected: bool) {
        let Some(agent) = self.confirmed.agent.clone() else {
            return;
        };
        let mut answer = agent.token("fastio").await;
        while answer.status == 503 && answer.headers.contains_key("retry-after") {
            // A token may end between being fetched and being handed out.
            answer = agent.token("fastio").await;
        }
        let code = answer.code();
        let paused_or_not = matches!(step, Step::Pause | Step::Resume);
        match answer.status {
            200 => {
                assert!(!self.confirmed.revoked && is_connected, "{}", answer.body);
                assert!(!self.confirmed.paused || paused_or_not, "it was paused");
                self.last_token = answer.text("access_token");
                let probe = self.world.sim.probe_access_token(&self.last_token);
                match probe.why {
                    // It may have ended since, on a machine that is busy.
                    None | Some(DeadToken::Expired) => {}
                    Some(_) => panic!("it opens nothing: {probe:?}"),
                }
            }
            401 => assert!(
                self.confirmed.revoked || step == Step::Revoke,
                "{}",
                answer.body
            ),
            403 if code == "agent_paused" => {
                assert!(self.confirmed.paused || paused_or_not, "{}", answer.body);
            }
            404 => assert!(!is_connected, "{}", answer.body),
            424 => panic!("a grant was lost: {}", answer.body),
            _ => panic!("{} {}", answer.status, answer.body),
        }
    }

    /// Takes the step as often as it needs until it has taken place, so that the story goes on.
    async fn see_through(&mut self, step: Step) {
        if self.has_happened(step).await {
            return;
        }
        if step == Step::FetchKey && self.key_is_unheard().await {
            self.tally.keys_unheard += 1;
            for again in [Step::Ask, Step::Approve] {
                let heard = attempt(&self.world, &self.confirmed, again)
                    .await
                    .expect("it can be done again");
                self.take_in(again, heard);
            }
        }
        self.tally.undone += 1;
        let heard = attempt(&self.world, &self.confirmed, step).await;
        let heard = heard.unwrap_or_else(|| {
            panic!(
                "{step:?} cannot be done after the restart{}",
                self.served.process.said()
            )
        });
        self.take_in(step, heard);
        if step == Step::Disconnect {
            self.check_end().await;
        }
    }

    /// Whether a step has taken place, confirmed or not.
    async fn has_happened(&mut self, step: Step) -> bool {
        let (world, confirmed) = (&self.world, &mut self.confirmed);
        let was_confirmed = match step {
            Step::SetPin => confirmed.pin,
            Step::Connect => confirmed.connected,
            Step::Ask => confirmed.asked.is_some(),
            Step::Approve => confirmed.approved,
            Step::FetchKey => confirmed.agent.is_some(),
            // Told by the check after the restart.
            Step::Token => true,
            Step::Pause => confirmed.paused,
            Step::Resume => !confirmed.paused,
            Step::Revoke => confirmed.revoked,
            Step::Disconnect => confirmed.disconnected,
        };
        if was_confirmed {
            if step == Step::Disconnect {
                self.check_end().await;
            }
            return true;
        }
        let agents = world.ask(&["agents"]).await;
        let is_own = |agent: &&Value| {
            confirmed
                .asked
                .as_ref()
                .is_some_and(|asked| agent["id"] == asked.client)
        };
        let agent = agents
            .as_array()
            .and_then(|agents| agents.iter().find(is_own))
            .unwrap_or(&Value::Null);
        let is_there = match step {
            Step::SetPin => world.ask(&["status"]).await["pin_set"] == true,
            Step::Connect => !world.connections().await.is_empty(),
            // Who asked never heard the code it would have to poll with.
            Step::Ask | Step::FetchKey => false,
            Step::Approve => world.ask(&["requests"]).await == serde_json::json!([]),
            Step::Pause => agent["paused"] == true,
            Step::Resume => agent["paused"] == false,
            Step::Revoke => agent["keys"].as_u64().unwrap_or_default() == 0,
            Step::Token => true,
            Step::Disconnect => world.connections().await.is_empty(),
        };
        if is_there {
            self.tally.done_unheard += 1;
            let heard = Heard::Done;
            self.take_in(step, heard);
            if step == Step::Disconnect {
                self.check_end().await;
            }
        }
        is_there
    }

    /// Whether the key was made, and its agent never heard it.
    async fn key_is_unheard(&self) -> bool {
        let asked = self.confirmed.asked.as_ref().expect("it asked");
        // An agent has no other way to tell than to poll; an answer here would be its key.
        let agents = self.world.ask(&["agents"]).await;
        let has_key =
            |agent: &Value| agent["id"] == asked.client && agent["keys"].as_u64() > Some(0);
        let made = agents
            .as_array()
            .is_some_and(|agents| agents.iter().any(has_key));
        if made {
            let answer = self.world.stranger().poll(asked).await;
            assert_eq!(answer.expect(400).text("error"), "invalid_grant");
        }
        made
    }

    /// Nothing of the grant is left at the provider, whoever had to be asked how often.
    async fn check_end(&self) {
        let sim = &self.world.sim;
        let session = sim
            .sessions()
            .into_iter()
            .next_back()
            .expect("there was a session");
        let has_ended = async || {
            let sessions = sim.sessions();
            sessions
                .iter()
                .any(|one| one.session_id == session.session_id && !one.active)
        };
        eventually("the outbox ends the session at the provider", has_ended).await;
        let paid = async || self.world.ask(&["status"]).await["revocations_owed"] == 0;
        eventually("nothing is owed to the provider", paid).await;
    }
}

/// What confirmed a step.
enum Heard {
    Done,
    Asked(Asked),
    Key(Agent),
    Token(String),
}

/// Takes a step; nothing where it was not confirmed.
async fn attempt(world: &World, confirmed: &Confirmed, step: Step) -> Option<Heard> {
    let run = async |arguments: &[&str]| {
        let ran = world.run(arguments).await;
        ran.status.success().then_some(Heard::Done)
    };
    match step {
        Step::SetPin => {
            let ran = world.at_terminal(&["pin"], &[PIN, PIN]).await;
            ran.status.success().then_some(Heard::Done)
        }
        Step::Connect => connect(world).await,
        Step::Ask => world
            .stranger()
            .maybe_ask("Reporter", "fastio:token")
            .await
            .map(Heard::Asked),
        Step::Approve => {
            let code = &confirmed.asked.as_ref()?.user_code;
            let ran = world.approve(code, &[]).await;
            ran.status.success().then_some(Heard::Done)
        }
        Step::FetchKey => {
            let answer = world
                .stranger()
                .maybe_poll(confirmed.asked.as_ref()?)
                .await?;
            let key = answer.expect(200).text("access_token");
            Some(Heard::Key(world.stranger().with_key(&key)))
        }
        Step::Token => {
            let agent = confirmed.agent.as_ref()?;
            let answer = agent.maybe_get("/v1/token?connection=fastio").await?;
            Some(Heard::Token(answer.expect(200).text("access_token")))
        }
        Step::Pause => run(&["pause", "--all"]).await,
        Step::Resume => run(&["resume", "--all"]).await,
        Step::Revoke => {
            // By its identifier: of a crash in the wrong moment there may be two of that name.
            run(&["revoke", &confirmed.asked.as_ref()?.client]).await
        }
        Step::Disconnect => run(&["disconnect", "fastio"]).await,
    }
}

async fn connect(world: &World) -> Option<Heard> {
    let base = world.sim.base_url();
    let connecting = world.start(&[
        "--json",
        "connect",
        "fastio",
        "--base",
        base,
        "--no-browser",
    ]);
    let started: Value = serde_json::from_str(&connecting.maybe_line().await?).ok()?;
    let redirect = world
        .sim
        .approve(started["url"].as_str()?, &Consent::everything())
        .await
        .ok()?;
    Browser::maybe_land(&redirect).await;
    connecting
        .ended()
        .await
        .status
        .success()
        .then_some(Heard::Done)
}
