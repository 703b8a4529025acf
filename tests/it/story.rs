//! The main job from one end to the other: connect once, pair an agent, approve it, hand it tokens, end it.

use std::time::Duration;

use doorward_e2e::{
    Agent, Asked, Consent, PASSPHRASE, PIN, Scan, Served, World, demo, eventually, repository,
};

/// Long enough to be used before it ends, short enough to see it end.
const TOKEN_LIFETIME: u64 = 4;
/// What the gateway tells agents to wait between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_holds_with_the_key_in_the_keyring() {
    let world = World::builder()
        .keyring()
        .knobs(|knobs| knobs.access_token_lifetime_s = TOKEN_LIFETIME);
    play(&world.build().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_holds_with_a_passphrase() {
    let world = World::builder().knobs(|knobs| knobs.access_token_lifetime_s = TOKEN_LIFETIME);
    play(&world.build().await).await;
}

/// Who takes part, once they are let in.
struct Cast {
    served: Served,
    agent: Agent,
    /// Of another tenant.
    other: Agent,
    asked: Asked,
    /// What the person's commands said.
    said: Vec<String>,
}

async fn play(world: &World) {
    let cast = let_in(world).await;
    work(world, &cast).await;
    // All of it is running, and none of it can be read.
    let (files, bytes) = nothing_can_be_read(world, &cast, &cast.served.process.said());
    assert!(
        files >= 4 && bytes > 20_000,
        "database, log, lock, endpoint: {files} files, {bytes} bytes"
    );
    let log = std::fs::read_to_string(world.log()).expect("there is a log");
    assert!(log.contains(r#""level":"DEBUG""#), "as detailed as it gets");

    end(world, &cast).await;
    nothing_can_be_read(world, &cast, &cast.served.process.said());
    let Cast { served, .. } = &cast;
    served.process.terminate();
    eventually("it has ended", async || {
        !world.data().join("control.sock").exists()
    })
    .await;
    nothing_can_be_read(world, &cast, &cast.served.process.said());
}

/// The person connects, an agent asks, the person approves; and the same for an agent of another tenant.
async fn let_in(world: &World) -> Cast {
    let served = world.serve().await;
    let mut said = vec![world.set_pin().await.to_string()];

    let only = Consent::only([demo::WEBSITE]).read_only();
    let connected = world
        .try_connect(&["--agent-name", "Story"], &only)
        .await
        .done();
    let connection = connected.json();
    assert_eq!(
        connection["granted"][0],
        format!("workspace:{}:r", demo::WEBSITE)
    );
    assert_eq!(connection["account"], demo::EMAIL);
    said.push(connected.to_string());

    let stranger = world.stranger();
    let asked = stranger.ask("Reporter", "fastio:token").await;
    let pending = stranger.poll(&asked).await.expect(400);
    assert_eq!(pending.text("error"), "authorization_pending");
    let requests = world.ask(&["requests"]).await;
    assert_eq!(requests[0]["code"], asked.user_code);
    assert_eq!(requests[0]["name"], "Reporter");
    said.push(
        world
            .approve(&asked.user_code, &[])
            .await
            .done()
            .to_string(),
    );
    // Whoever has just polled is asked to wait for as long as this, and for longer if it does not.
    tokio::time::sleep(POLL_INTERVAL).await;
    let agent = world.fetch_key(&stranger, &asked).await;

    world
        .connect(
            &["--tenant", "clinic", "--name", "clinic"],
            &Consent::everything(),
        )
        .await;
    let other = world.pair("Clinic helper", "clinic:token").await;
    Cast {
        served,
        agent,
        other,
        asked,
        said,
    }
}

/// Tokens work for what was consented to and for nothing else, also after one has ended.
async fn work(world: &World, cast: &Cast) {
    let Cast { agent, other, .. } = cast;
    let first = agent.access_token("fastio").await;
    world.list_files(demo::WEBSITE, &first).await.expect(200);
    world.list_files(demo::LEAFLETS, &first).await.expect(403);
    world
        .list_files(demo::LEAFLETS, &other.access_token("clinic").await)
        .await
        .expect(200);
    assert_eq!(
        other.token("fastio").await.expect(404).code(),
        "connection_unknown"
    );

    eventually("the access token ends", async || {
        !world.sim.probe_access_token(&first).live
    })
    .await;
    world.list_files(demo::WEBSITE, &first).await.expect(401);
    let second = agent.access_token("fastio").await;
    assert_ne!(first, second);
    world.list_files(demo::WEBSITE, &second).await.expect(200);
}

/// The person disconnects: here at once, at the provider too, and nothing else is touched.
async fn end(world: &World, cast: &Cast) {
    let Cast { agent, other, .. } = cast;
    let last = agent.access_token("fastio").await;
    let ended = world.ask(&["disconnect", "fastio"]).await;
    assert_eq!(ended["confirmed"], true);
    assert_eq!(
        agent.token("fastio").await.expect(404).code(),
        "connection_unknown"
    );
    let session = &world.sim.sessions()[0];
    assert_eq!(session.agent_name.as_deref(), Some("Story"));
    assert!(!session.active && session.live_refresh_tokens.is_empty());
    assert!(!world.sim.probe_access_token(&last).live);
    assert_eq!(
        living_refresh_tokens(world),
        1,
        "only the other tenant's is left"
    );
    other.token("clinic").await.expect(200);

    world.ask(&["disconnect", "clinic"]).await;
    assert_eq!(living_refresh_tokens(world), 0);
    world.verify_audit().await;
}

fn living_refresh_tokens(world: &World) -> usize {
    let secrets = world.sim.issued_secrets();
    secrets
        .iter()
        .filter(|secret| world.sim.probe_refresh_token(&secret.value).live)
        .count()
}

/// No secret of the story is in any file or in what was said.
fn nothing_can_be_read(world: &World, cast: &Cast, said_by_serve: &str) -> (usize, usize) {
    let mut said: Vec<&str> = cast.said.iter().map(String::as_str).collect();
    said.push(said_by_serve);
    Scan::new()
        .with_all_of(&world.sim)
        .with("the agent key", &cast.agent.key)
        .with("the other agent's key", &cast.other.key)
        .with("the device code", &cast.asked.device_code)
        .with("the PIN", PIN)
        .with("the passphrase", PASSPHRASE)
        .nothing_in(&world.kept(), &said)
}

/// What `make demo` shows, with both programs, Chromium, the keyring and the agent in Python.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_holds_and_leaves_nothing() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let programs = doorward_e2e::doorward();
    let mut demo = tokio::process::Command::new(repository().join("scripts/demo"));
    demo.env("DOORWARD_PROGRAMS", programs.parent().expect("in a folder"))
        .env("TMPDIR", scratch.path())
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let ran = demo.output().await.expect("it runs");
    let shown = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success(),
        "{shown}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(shown.contains("Everything held"), "{shown}");
    assert_eq!(
        shown.matches("✓").count(),
        14,
        "each step proves something:\n{shown}"
    );
    for told in [
        "secrets that the provider gave is in anything",
        "it is shown the tool `storage`, to list",
        "/createfolder/ of `File watcher`, with name=Reviewed",
        "the folder `Reviewed` is made",
        "403 policy_denied: ",
        "You allowed File watcher to call `POST /workspace/",
        "its stream is cut off after ",
        "401 unauthenticated: ",
    ] {
        assert!(shown.contains(told), "{told:?} is not in\n{shown}");
    }
    assert!(
        ran.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let left: Vec<_> = std::fs::read_dir(scratch.path())
        .expect("it is there")
        .flatten()
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
