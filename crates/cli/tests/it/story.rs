//! The main job: connect, add an agent, pair another, hand out a token, take it all back.

use std::process::Stdio;

use fastio_sim::{Consent, Sim};
use serde_json::Value;

use crate::pty::Session;
use crate::world::{Process, World};

const PIN: &str = "246813";

/// A consent that waits for its answer.
struct Connecting {
    process: Process,
    url: String,
}

fn connecting(world: &World, arguments: &[&str]) -> Connecting {
    let mut command = world.doorward(&[&["--json", "connect", "--no-browser"], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut process = Process::spawn(command);
    let started: Value = serde_json::from_str(&process.line().unwrap()).unwrap();
    let url = started["url"]
        .as_str()
        .unwrap_or_else(|| panic!("{started}"))
        .to_owned();
    Connecting { process, url }
}

/// Follows the browser's way back, as the browser does.
async fn follow(redirect: &str) {
    let answer = reqwest::get(redirect).await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

pub(crate) async fn connect(world: &World, sim: &Sim, arguments: &[&str]) -> Value {
    let mut connecting = connecting(
        world,
        &[&["fastio", "--base", &sim.api_base()], arguments].concat(),
    );
    follow(
        &sim.approve(&connecting.url, &Consent::everything())
            .await
            .unwrap(),
    )
    .await;
    let connection: Value = serde_json::from_str(&connecting.process.line().unwrap()).unwrap();
    assert_eq!(connecting.process.ends(), 0, "{connection}");
    connection
}

fn token(world: &World, key: &str, arguments: &[&str]) -> crate::world::Ran {
    let mut command = world.doorward(&[&["token"], arguments].concat());
    command.env("DOORWARD_KEY", key);
    world.ran(command)
}

/// The code of a refusal that exits 5.
#[track_caller]
fn refusal(world: &World, key: &str, arguments: &[&str]) -> String {
    let refused = token(world, key, &[&["--json"], arguments].concat())
        .exits(5)
        .json();
    refused["error"]["code"].as_str().unwrap().to_owned()
}

/// Adds an agent by hand; the person chooses the first PIN on the way.
fn add_by_hand(world: &World) -> String {
    let command = "agents add by-hand --connection fastio --door token";
    let mut person = Session::start(world, &command.split(' ').collect::<Vec<_>>());
    person.expect("agent     by-hand");
    person.expect("may use   fastio through the door token");
    person.expect("New approval PIN").types_unseen(PIN);
    person.expect("The same again: ").types_unseen(PIN);
    let added = person.ends();
    assert_eq!(added.code, 0, "{}", added.terminal);
    let key = added.stdout.trim().to_owned();
    assert!(
        key.starts_with("dwk_") && key.len() == 47,
        "standard output holds the key alone"
    );
    assert!(!added.terminal.contains(&key));
    key
}

/// Adds an agent that reads the metrics, where nothing runs and a PIN is set.
fn add_reader(world: &World) {
    let mut person = Session::start(world, &["agents", "add", "prometheus", "--metrics"]);
    person
        .expect("Passphrase of the store: ")
        .types_unseen(crate::world::PASSPHRASE);
    person.expect("may use   the metrics, and no connection");
    person.expect("Approval PIN: ").types_unseen(PIN);
    let added = person.ends();
    assert_eq!(added.code, 0, "{}", added.terminal);
    assert!(added.stdout.starts_with("dwk_"), "the key stands alone");
    let agents = world.run_unlocking(&["agents"]).exits(0).stdout();
    let reader = agents.lines().find(|line| line.contains("prometheus"));
    assert!(
        reader.is_some_and(|line| line.ends_with("  metrics")),
        "{agents}"
    );
}

/// Pairs an agent, which a person approves.
fn pair(world: &World) -> String {
    let mut agent = world.doorward(&["pair", "paired", "--scope", "fastio:token"]);
    agent.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut agent = Process::spawn(agent);
    let code = loop {
        let requests = world.run(&["--json", "requests"]).exits(0).json();
        if let Some(code) = requests[0]["code"].as_str() {
            break code.to_owned();
        }
    };
    let mut person = Session::start(world, &["approve", &code]);
    person.expect("Approval PIN: ").types_unseen(PIN);
    let approved = person.ends();
    assert_eq!(approved.code, 0, "{}", approved.terminal);
    assert_eq!(
        approved.stdout,
        "Approved. `paired` may use fastio:token.\n"
    );
    let key = agent.line().unwrap().trim().to_owned();
    assert_eq!(agent.ends(), 0);
    key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_connects_an_agent_gets_a_token_and_loses_it() {
    let sim = Sim::builder().start().await.unwrap();
    let world = World::new();
    let mut serving = world.serve();
    let connection = connect(&world, &sim, &[]).await;
    assert_eq!(connection["name"], "fastio");
    assert_eq!(connection["health"]["state"], "connected");
    let by_hand = add_by_hand(&world);
    let paired = pair(&world);

    // Both get the token, and nothing beside it.
    let access = token(&world, &by_hand, &[]).exits(0).stdout();
    assert_eq!(
        token(&world, &paired, &["--connection", "fastio"])
            .exits(0)
            .stdout(),
        access
    );
    let whole = token(&world, &by_hand, &["--json"]).exits(0).json();
    assert_eq!(
        (&whole["access_token"], &whole["connection"]),
        (&access.trim().into(), &"fastio".into())
    );

    // One is revoked, the other goes on until it is paused.
    let revoked = world.run(&["revoke", "by-hand"]).exits(0).stdout();
    assert!(
        revoked.contains("may work at the provider until it ends in"),
        "{revoked}"
    );
    assert_eq!(refusal(&world, &by_hand, &[]), "unauthenticated");
    token(&world, &paired, &[]).exits(0);
    world.run(&["pause", "--all"]).exits(0);
    assert_eq!(refusal(&world, &paired, &[]), "agent_paused");
    world.run(&["resume", "paired"]).exits(0);
    world.run(&["pause", "--connection", "fastio"]).exits(0);
    assert_eq!(refusal(&world, &paired, &[]), "connection_paused");
    world.run(&["resume", "--connection", "fastio"]).exits(0);
    token(&world, &paired, &[]).exits(0);
    assert_eq!(
        refusal(&world, &paired, &["--connection", "other"]),
        "connection_unknown"
    );

    // The person ends the connection.
    let ended = world
        .run(&["--json", "disconnect", "fastio"])
        .exits(0)
        .json();
    assert_eq!(ended["confirmed"], true);
    token(&world, &paired, &[]).exits(5);
    let none = "No connections yet. `doorward connect fastio` makes one.\n";
    assert_eq!(world.run(&["connections"]).stdout(), none);
    world.run(&["doctor"]).exits(0);
    serving.process.signal(rustix::process::Signal::TERM);
    assert_eq!(serving.process.ends(), 0);
    the_audit_log_tells_it_all(&world);
}

/// Without a running Doorward the store still answers.
fn the_audit_log_tells_it_all(world: &World) {
    let verified = world
        .run_unlocking(&["audit", "verify", "--json"])
        .exits(0)
        .json();
    let rows = world.run_unlocking(&["audit", "export"]).exits(0).stdout();
    assert_eq!(verified["rows"].as_u64(), Some(rows.lines().count() as u64));
    let rows: Vec<Value> = rows
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds = [
        "pin.set",
        "pairing.approved",
        "token.handed_out",
        "agent.revoked",
        "connection.disconnected",
    ];
    for kind in kinds {
        assert!(rows.iter().any(|row| row["kind"] == kind), "{kind}");
    }
    let newest = world
        .run_unlocking(&["audit", "export", "--limit", "2"])
        .exits(0)
        .stdout();
    assert_eq!(newest.lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_but_approving_requests_works_where_nothing_runs() {
    let sim = Sim::builder().start().await.unwrap();
    let world = World::new();
    world.configure("keys = \"passphrase\"");
    let file = world.passphrase_file();
    let connection = connect(
        &world,
        &sim,
        &[
            "--passphrase-file",
            file.to_str().unwrap(),
            "--tenant",
            "customer",
        ],
    )
    .await;
    assert_eq!(connection["tenant"], "customer");
    let listed = world.run_unlocking(&["connections"]).exits(0).stdout();
    assert!(listed.contains("fastio  customer  Fast.io"), "{listed}");

    let mut person = Session::start(
        &world,
        &[
            "agents",
            "add",
            "mine",
            "--connection",
            "fastio",
            "--door",
            "proxy",
            "--read-only",
            "--lifetime",
            "hour",
        ],
    );
    person
        .expect("Passphrase of the store: ")
        .types_unseen(crate::world::PASSPHRASE);
    person
        .expect("limits    reading only")
        .expect("lifetime  for an hour");
    person.expect("New approval PIN").types_unseen(PIN);
    person.expect("The same again: ").types_unseen(PIN);
    let added = person.ends();
    assert_eq!(added.code, 0, "{}", added.terminal);

    let agents = world.run_unlocking(&["agents"]).exits(0).stdout();
    assert!(
        agents.contains("fastio:proxy (reading only), ends in"),
        "{agents}"
    );
    add_reader(&world);
    assert_eq!(
        world
            .run_unlocking(&["--json", "pause", "mine"])
            .exits(0)
            .json()["changed"],
        1
    );
    assert_eq!(
        world
            .run_unlocking(&["--json", "pause", "mine"])
            .exits(0)
            .json()["changed"],
        0
    );
    std::fs::write(world.path("next"), "the next passphrase").unwrap();
    world
        .run_unlocking(&["keys", "rotate", "--new-passphrase-file", "next"])
        .exits(0);
    world.run_unlocking(&["connections"]).exits(4);
    world
        .run(&["--passphrase-file", "next", "revoke", "mine"])
        .exits(0);
    let ended = world
        .run(&[
            "--passphrase-file",
            "next",
            "--json",
            "disconnect",
            "fastio",
        ])
        .exits(0)
        .json();
    assert_eq!(ended["confirmed"], true);
    world
        .run(&["--passphrase-file", "next", "audit", "verify"])
        .exits(0);
    assert!(!world.data().join("control.sock").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_is_declined_or_given_up_connects_nothing() {
    let sim = Sim::builder().start().await.unwrap();
    let world = World::new();
    let _serving = world.serve();
    let mut declined = connecting(&world, &["fastio", "--base", &sim.api_base()]);
    follow_any(
        &sim.approve(&declined.url, &Consent::decline())
            .await
            .unwrap(),
    )
    .await;
    let answer: Value = serde_json::from_str(&declined.process.line().unwrap()).unwrap();
    assert_eq!(answer["error"]["code"], "consent_declined");
    assert_eq!(declined.process.ends(), 4);

    let mut given_up = connecting(&world, &["fastio", "--base", &sim.api_base()]);
    given_up.process.signal(rustix::process::Signal::INT);
    assert_eq!(given_up.process.ends(), 130);
    // The consent went with the command: the next one need not wait for its end.
    connect(&world, &sim, &[]).await;
}

async fn follow_any(redirect: &str) {
    reqwest::get(redirect).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_may_be_pasted_where_the_browser_is_elsewhere() {
    let sim = Sim::builder().start().await.unwrap();
    let world = World::new();
    let _serving = world.serve();
    let mut person = Session::start(
        &world,
        &[
            "connect",
            "fastio",
            "--base",
            &sim.api_base(),
            "--no-browser",
            "--read-only",
        ],
    );
    person
        .expect("access      reading only")
        .expect("Open this address in a browser:");
    person.expect("Ctrl-C gives up.");
    let shown = person.shown();
    let url = shown
        .lines()
        .find(|line| line.starts_with("http"))
        .unwrap()
        .trim()
        .to_owned();
    let redirect = sim.approve(&url, &Consent::everything()).await.unwrap();
    person.types("http://127.0.0.1/callback?code=x&state=another\n");
    person.expect("error: ");
    person.types(&format!("{redirect}\n"));
    let ended = person.ends();
    assert_eq!(ended.code, 0, "{}", ended.terminal);
    assert!(
        ended.stdout.starts_with("Connected `fastio`.\n"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("reading only"), "{}", ended.stdout);
}
