//! Clocks that jump, and machines that sleep.
//!
//! The wall clock is moved by libfaketime, which reads how far it is off from a file; the clocks that only run forward
//! are left alone, and the kernel, which tells programs when a clock is set, knows nothing of it. Sleep is played: the
//! process is stopped (SIGSTOP), the provider's clock goes on by hours, and Doorward's own clock is told how long the
//! machine has slept, which a build for tests listens to.

use std::path::PathBuf;
use std::time::Duration;

use doorward_e2e::{Stopwatch, World, kernel};
use rustix::process::Signal;

use super::calls::{Call, Crowd};
use super::row::Row;
use super::scale::{Scale, side_by_side};
use super::scene::{LONG_LIFE, Scene};
use crate::failures::faketime;

/// Who ask after each jump.
const CALLERS: usize = 10;
/// How long the machine sleeps.
const ASLEEP: Duration = Duration::from_hours(8);

/// A wall clock that a test sets.
struct WallClock(PathBuf);

impl WallClock {
    fn of(world: &World) -> Self {
        let clock = Self(world.folder().join("aside/clock"));
        clock.set("+0");
        clock
    }

    fn set(&self, off_by: &str) {
        // Whole or not at all: a clock that is read half would be another jump.
        let unfinished = self.0.with_extension("unfinished");
        std::fs::write(&unfinished, format!("{off_by}\n")).expect("it can be written");
        std::fs::rename(&unfinished, &self.0).expect("it can be moved");
    }
}

/// A scene with long tokens under a clock that can be set.
async fn under_a_clock() -> (WallClock, Scene) {
    let world = Scene::bare(|knobs| knobs.access_token_lifetime_s = LONG_LIFE).await;
    let clock = WallClock::of(&world);
    let (library, file) = (faketime(), clock.0.display().to_string());
    let faked = [
        ("DOORWARD_LOG", "info"),
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let served = world.serve_within(&["env"], &faked).await;
    (clock, Scene::connected(world, served).await)
}

pub(crate) async fn rows(scale: Scale) -> Vec<Row> {
    let jumps: [(&str, &[&str]); 3] = [
        ("wall clock 2 h ahead, then right again", &["+2h", "+0"]),
        ("wall clock 2 h back, then right again", &["-2h", "+0"]),
        ("wall clock from 2 h ahead to 2 h back", &["+2h", "-2h"]),
    ];
    let mut rows = side_by_side(
        scale.lanes,
        jumps.map(|(case, jumps)| Box::pin(jumped(case, jumps))),
    )
    .await;
    rows.push(Box::pin(slept()).await);
    rows
}

async fn jumped(case: &'static str, jumps: &'static [&'static str]) -> Row {
    let mut row = Row::of(case);
    let (clock, scene) = under_a_clock().await;
    scene.ask().await;
    for off_by in jumps {
        clock.set(off_by);
        let calls = Crowd::asks(&scene.agent, "fastio", CALLERS).heard().await;
        row.heard(&calls);
        row.waited_without(calls.iter().map(|call| call.took).max());
        all_work(&scene, &calls, &mut row);
    }
    row.refreshes = scene.refreshes();
    let most = u64::try_from(jumps.len()).expect("a small number");
    row.holds(row.refreshes <= most, || {
        "a jump was worth more than one refresh".to_owned()
    });
    scene.kept(&mut row).await;
    row
}

fn all_work(scene: &Scene, calls: &[Call], row: &mut Row) {
    let all = calls
        .iter()
        .all(|call| call.token().is_some_and(|token| scene.is_live(token)));
    row.holds(all, || {
        "somebody was given no token, or one that had ended".to_owned()
    });
}

async fn slept() -> Row {
    let mut row = Row::of("8 h of sleep");
    let world = Scene::bare(|knobs| knobs.access_token_lifetime_s = LONG_LIFE).await;
    let asleep = world.folder().join("aside/asleep");
    let told = asleep.display().to_string();
    let played = [
        ("DOORWARD_LOG", "info"),
        ("DOORWARD_PLAYED_SLEEP", told.as_str()),
    ];
    let served = world.serve_within(&["env"], &played).await;
    let scene = Scene::connected(world, served).await;
    scene.ask().await;
    let pid = scene.served.process.pid().expect("it runs");
    kernel::signal(pid, Signal::STOP);
    std::fs::write(&asleep, ASLEEP.as_secs().to_string()).expect("it can be written");
    scene.world.sim.advance_clock(ASLEEP);
    // They ask in the moment of waking.
    let crowd = Crowd::asks(&scene.agent, "fastio", CALLERS);
    tokio::time::sleep(Duration::from_secs(1)).await;
    kernel::signal(pid, Signal::CONT);
    let watch = Stopwatch::start();
    let calls = crowd.heard().await;
    row.waited_without(Some(watch.elapsed()));
    row.heard(&calls);
    all_work(&scene, &calls, &mut row);
    row.refreshes = scene.refreshes();
    row.exactly(1);
    scene.kept(&mut row).await;
    row
}
