//! A person watches, and tries a connection again.

use std::process::Stdio;

use fastio_sim::Sim;
use serde_json::Value;

use crate::story::connect;
use crate::world::{Process, World};

/// What a watching command prints next.
fn next(watching: &mut Process) -> Value {
    serde_json::from_str(&watching.line().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_shown_again_when_something_changes() {
    let world = World::new();
    let sim = Sim::builder().start().await.unwrap();
    let _serving = world.serve();
    connect(&world, &sim, &[]).await;
    let mut command = world.doorward(&["--json", "status", "--watch"]);
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut watching = Process::spawn(command);
    let first = next(&mut watching);
    assert_eq!(first["running"], true);
    let health = |shown: &Value| shown["connections_in_full"][0]["health"]["state"].clone();
    assert_eq!(health(&first), "connected");
    world.run(&["pause", "--connection", "fastio"]).exits(0);
    assert_eq!(health(&next(&mut watching)), "paused");
    world.run(&["resume", "--connection", "fastio"]).exits(0);
    assert_eq!(health(&next(&mut watching)), "connected");
}

#[test]
fn watching_needs_a_doorward_that_runs() {
    let world = World::new();
    world.run(&["status", "--watch"]).exits(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_says_how_it_ended() {
    let world = World::new();
    let sim = Sim::builder().start().await.unwrap();
    let _serving = world.serve();
    connect(&world, &sim, &[]).await;
    let works = world.run(&["retry", "fastio"]).exits(0);
    assert_eq!(works.stdout().trim(), "`fastio` is connected.");
    let json = world.run(&["--json", "retry", "fastio"]).exits(0).json();
    assert_eq!(json["health"]["state"], "connected");
    assert!(json["rates"]["hour"]["failed"].is_number());
    let unknown = world.run(&["--json", "retry", "nowhere"]).exits(5).json();
    assert_eq!(unknown["error"]["code"], "connection_unknown");
    world.run(&["pause", "--connection", "fastio"]).exits(0);
    let paused = world.run(&["--json", "retry", "fastio"]).json();
    assert_eq!(paused["error"]["code"], "connection_paused");
}
