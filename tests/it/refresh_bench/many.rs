//! Many connections: what they cost while nobody asks, and what happens when all of their tokens end together.

use std::time::Duration;

use doorward_e2e::{Agent, Consent, Dice, Kind, Stopwatch, World, kernel};

use super::calls::{Call, Said, ask, longest};
use super::row::Row;
use super::scale::{Scale, side_by_side};
use super::scene::{IMPATIENCE, LONG_LIFE, Scene, asked, serve};
use crate::failures::faketime;

/// An agent can ask for so many connections at once.
const TOGETHER: usize = 8;
/// Past the end of every token, for Doorward and the provider alike.
const LATER: Duration = Duration::from_hours(2);
/// After this, who has no token will get none.
const AT_LAST: Duration = Duration::from_mins(3);

pub(crate) async fn rows(scale: Scale) -> Vec<Row> {
    let count = scale.connections;
    let world = Scene::bare(|knobs| {
        knobs.access_token_lifetime_s = LONG_LIFE;
        knobs.discovery_limit_per_minute = 100_000;
        knobs.discovery_limit_per_hour = 100_000;
    })
    .await;
    let served = serve(&world).await;
    world.set_pin().await;
    let names: Vec<String> = (0..count)
        .map(|number| format!("connection-{number}"))
        .collect();
    for name in &names {
        world
            .connect(&["--name", name], &Consent::everything())
            .await;
    }
    let mut agents = Vec::new();
    for some in names.chunks(TOGETHER) {
        let scopes: Vec<String> = some.iter().map(|name| format!("{name}:token")).collect();
        agents.push(world.pair("Reporter", &scopes.join(" ")).await);
    }
    let asking: Vec<(Agent, String)> = names
        .iter()
        .enumerate()
        .map(|(number, name)| (agents[number / TOGETHER].clone(), name.clone()))
        .collect();
    served.stop().await.done();
    let idle = idle(&world, &asking, scale.rest).await;
    vec![idle, all_end(world, asking).await]
}

/// The processor time of a Doorward whose connections are all well.
async fn idle(world: &World, asking: &[(Agent, String)], rest: Duration) -> Row {
    let mut row = Row::of(format!("{} healthy connections, nobody asks", asking.len()));
    let served = serve(world).await;
    // Proves each of them; its connection to the gateway then ends with the start of the next.
    for (agent, name) in asking {
        row.heard(&[ask(agent, name, 30).await]);
    }
    served.stop().await.done();
    let served = serve(world).await;
    let pid = served.process.pid().expect("it runs");
    settled(pid).await;
    let before = kernel::processor_ticks(pid);
    tokio::time::sleep(rest).await;
    let ticks = kernel::processor_ticks(pid) - before;
    row.note(format!("{ticks} ticks of 10 ms in {} s", rest.as_secs()));
    row.holds(ticks <= 1, || "that is not idle".to_owned());
    row.refreshes = world.sim.counts().of(Kind::TokenRefresh);
    row.exactly(0);
    row.asked = asked(world);
    served.stop().await.done();
    row
}

/// Waits until a start has been worked off.
async fn settled(pid: u32) {
    loop {
        let before = kernel::processor_ticks(pid);
        tokio::time::sleep(Duration::from_secs(1)).await;
        if kernel::processor_ticks(pid) == before {
            return;
        }
    }
}

/// Every token has ended, and for every connection an agent asks in the same moment.
async fn all_end(world: World, asking: Vec<(Agent, String)>) -> Row {
    let count = asking.len();
    let mut row = Row::of(format!("{count} connections whose tokens end together"));
    let library = faketime();
    let ahead = [
        ("DOORWARD_LOG", "info"),
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME", "+2h"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    world.sim.advance_clock(LATER);
    world.sim.reset_counts();
    let served = world.serve_within(&["env"], &ahead).await;
    let watch = Stopwatch::start();
    let calls = side_by_side(count, asking.into_iter().map(until_answered)).await;
    row.note(format!(
        "all answered after {:.1} s",
        watch.elapsed().as_secs_f32()
    ));
    let calls: Vec<Call> = calls.into_iter().flatten().collect();
    row.heard(&calls);
    row.waited_without(longest(&calls));
    let working = calls.iter().filter_map(Call::token);
    let working = working
        .filter(|token| world.sim.probe_access_token(token).live)
        .count();
    row.lost = count - working;
    row.refreshes = world.sim.counts().of(Kind::TokenRefresh);
    row.exactly(u64::try_from(count).expect("a small number"));
    row.asked = asked(&world);
    served.stop().await.done();
    row
}

async fn until_answered((agent, name): (Agent, String)) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut dice = Dice::from_variable("DOORWARD_PAUSE_SEED");
    let watch = Stopwatch::start();
    while watch.elapsed() < AT_LAST {
        let call = ask(&agent, &name, 30).await;
        let is_final = matches!(call.said, Said::Token(_) | Said::Over | Said::Unknown);
        calls.push(call);
        if is_final {
            break;
        }
        // Told to ask again they would all come back at once.
        let pause = IMPATIENCE + Duration::from_millis(dice.below(500));
        tokio::time::sleep(pause).await;
    }
    calls
}
