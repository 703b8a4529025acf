//! `serve`: starting, being second, ending.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::pty::Session;
use crate::world::{Process, World};

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_is_found_while_it_runs_and_leaves_nothing_behind_but_the_store() {
    let world = World::new();
    let mut serving = world.serve();
    let endpoint = world.path("run/doorward/endpoint.json");
    assert_eq!(mode(&endpoint), 0o600);
    assert_eq!(mode(&world.data().join("control.sock")), 0o600);
    assert_eq!(mode(&world.data().join("doorward.db")), 0o600);
    assert_eq!(
        mode(&world.path("home/.local/state/doorward/log/doorward.log")),
        0o600
    );
    let status = world.run(&["--json", "status"]).exits(0).json();
    assert_eq!(status["running"], true);
    assert_eq!(status["url"], serving.url);
    assert_eq!(status["store"], "unlocked");
    let doctor = world.run(&["--json", "doctor"]).exits(0).json();
    assert_eq!(doctor["ok"], true);

    serving.process.signal(Signal::TERM);
    assert_eq!(serving.process.ends(), 0);
    assert!(!endpoint.exists());
    assert!(!world.data().join("control.sock").exists());
    assert!(
        !world.data().join("doorward.db-wal").exists(),
        "what was written is in the database itself"
    );
    let status = world.run(&["--json", "status"]).exits(0).json();
    assert_eq!(
        (&status["running"], &status["store"]),
        (&false.into(), &"locked".into())
    );
}

#[test]
fn every_signal_that_ends_it_ends_it_cleanly() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let world = World::new();
        let mut serving = world.serve();
        serving.process.signal(signal);
        assert_eq!(serving.process.ends(), 0);
        assert!(!world.path("run/doorward/endpoint.json").exists());
    }
}

#[test]
fn the_second_one_is_told_who_holds_the_folder() {
    let world = World::new();
    let _serving = world.serve();
    let second = world.run(&["serve", "--port", "0"]).exits(1);
    assert_snapshot!(second.shown(), @r#"
    exit 1
    -- out
    -- err
    error: [ROOT]/home/.local/share/doorward is held by `doorward serve`, process [PID], since [MOMENT] (just now).
      → Use that one: `doorward status` shows it. To start anew, end it first: `kill [PID]`.
    "#);
    let second = world
        .run(&["--json", "serve", "--port", "0"])
        .exits(1)
        .json();
    assert_eq!(second["error"]["code"], "held");
}

#[test]
fn after_a_kill_it_starts_again_and_nothing_is_lost() {
    let world = World::new();
    let mut serving = world.serve();
    serving.process.signal(Signal::KILL);
    serving.process.ends();
    assert_eq!(world.run(&["token"]).code(), 5);
    let mut agent = world.doorward(&["token"]);
    agent.env("DOORWARD_KEY", format!("dwk_{}", "a".repeat(43)));
    assert_eq!(
        world.ran(agent).code(),
        3,
        "what a crash left behind is not believed"
    );
    let _again = world.serve();
    world.run(&["audit", "verify"]).exits(0);
}

#[test]
fn a_taken_port_names_its_holder() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = world
        .run_unlocking(&["serve", "--port", &port, "--keys", "passphrase"])
        .exits(1);
    assert!(
        refused
            .stderr()
            .contains(&format!("pid {}", std::process::id())),
        "{}",
        refused.stderr()
    );
    assert!(
        refused.stderr().contains("--port N"),
        "{}",
        refused.stderr()
    );
    assert!(!world.path("run/doorward/endpoint.json").exists());
    let port: u16 = port.parse().unwrap();
    world.configure(&format!("port = {port}"));
    let doctor = world.run(&["doctor"]).exits(1);
    assert!(
        doctor.stdout().contains("FAIL  port"),
        "{}",
        doctor.stdout()
    );
}

#[test]
fn without_its_passphrase_it_starts_locked_and_says_how_to_unlock_it() {
    let world = World::new();
    world.configure("keys = \"passphrase\"");
    let _serving = world.serve_with(&[]);
    assert_snapshot!(world.serve_said(), @r#"
    Doorward starts locked.
    error: This store is new and is to be sealed under a passphrase that nobody has chosen yet.
      → Choose one with `doorward unlock`.
    "#);
    assert_snapshot!(world.run(&["connections"]).shown(), @r#"
    exit 4
    -- out
    -- err
    error: This store is new and is to be sealed under a passphrase that nobody has chosen yet.
      → Choose one with `doorward unlock`.
    "#);
    let status = world.run(&["--json", "status"]).exits(0).json();
    assert_eq!(
        (&status["running"], &status["store"]),
        (&true.into(), &"new".into())
    );
    world.run(&["unlock"]).exits(4);
    world.run_unlocking(&["unlock"]).exits(0);
    assert_eq!(world.run(&["--json", "status"]).json()["store"], "unlocked");
}

#[test]
fn a_locked_store_opens_with_its_own_passphrase_alone() {
    let world = World::new();
    drop(world.serve());
    let _serving = world.serve_with(&[]);
    std::fs::write(world.path("wrong"), "another passphrase").unwrap();
    let refused = world
        .run(&["unlock", "--passphrase-file", "wrong"])
        .exits(4);
    assert_snapshot!(refused.shown(), @r#"
    exit 4
    -- out
    -- err
    error: That is not the store's passphrase.
      → Try again; nothing was lost.
    "#);

    let mut person = Session::start(&world, &["unlock"]);
    person
        .expect("Passphrase of the store: ")
        .types_unseen("still wrong");
    person
        .expect("not the store's passphrase")
        .expect("Passphrase of the store: ");
    person.types_unseen(crate::world::PASSPHRASE);
    let ended = person.ends();
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, "The store is open.\n"),
        "{}",
        ended.terminal
    );
    assert!(!ended.terminal.contains(crate::world::PASSPHRASE));
}

#[test]
fn without_a_keyring_it_starts_locked() {
    let world = World::new();
    let mut command = world.doorward(&["--json", "serve", "--port", "0"]);
    // No session bus, no keyring.
    command
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
        .stdout(std::process::Stdio::piped());
    command.stderr(std::fs::File::create(world.path("serve.err")).unwrap());
    let mut process = Process::spawn(command);
    process.line().unwrap();
    let said = world.serve_said();
    assert!(
        said.starts_with("Doorward starts locked.\nerror: There is no OS keyring to ask"),
        "{said}"
    );
    assert!(said.contains("doorward unlock"), "{said}");
    let mut agent = world.doorward(&["--json", "token"]);
    agent.env("DOORWARD_KEY", format!("dwk_{}", "a".repeat(43)));
    let refused = world.ran(agent).exits(4).json();
    assert_eq!(refused["error"]["code"], "store_locked");
}

#[test]
fn the_first_start_at_a_terminal_asks_for_passphrase_and_pin() {
    let world = World::new();
    let mut person = Session::start(&world, &["serve", "--port", "0", "--keys", "passphrase"]);
    person.expect("New passphrase: ").types_unseen("short");
    person
        .expect("fewer than 8")
        .expect("New passphrase: ")
        .types_unseen("long enough now");
    person
        .expect("The same again: ")
        .types_unseen("long enough now");
    person.expect("New approval PIN").types_unseen("246813");
    person.expect("The same again: ").types_unseen("246814");
    person
        .expect("two different PINs")
        .expect("New approval PIN")
        .types_unseen("246813");
    person.expect("The same again: ").types_unseen("246813");
    // Its address goes to standard output, which here is a pipe: that it runs shows in the file.
    let status = loop {
        let status = world.run(&["--json", "status"]).exits(0).json();
        if status["url"].is_string() {
            break status;
        }
    };
    assert_eq!(
        (&status["pin_set"], &status["keys"]),
        (&true.into(), &"passphrase".into())
    );
    assert!(person.echoes());
    person.types("\u{3}");
    let ended = person.ends();
    assert_eq!(ended.code, 0, "{}", ended.terminal);
    assert!(
        ended
            .stdout
            .starts_with("Doorward listens at http://127.0.0.1:"),
        "{}",
        ended.stdout
    );
    for secret in ["246813", "long enough now"] {
        assert!(!ended.terminal.contains(secret));
    }
}

#[test]
fn interrupting_a_prompt_gives_the_terminal_its_echo_back() {
    let world = World::new();
    let mut person = Session::start(&world, &["serve", "--port", "0", "--keys", "passphrase"]);
    person.expect("New passphrase: ");
    while person.echoes() {}
    person.types("half a pass\u{3}");
    let status = world.run(&["--json", "status"]);
    assert_eq!(status.code(), 0);
    let ended = person.ends();
    assert_eq!(ended.code, 130, "{}", ended.terminal);
    assert!(
        ended.terminal.contains("error: Interrupted."),
        "{}",
        ended.terminal
    );
}

#[test]
fn a_server_that_runs_cannot_be_looked_into() {
    let world = World::new();
    let serving = world.serve();
    let pid = serving.process.id();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let cores = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert!(cores.split_whitespace().nth(4) == Some("0"), "{cores}");
    // The kernel hands a process that may not be looked into to root.
    if rustix::process::geteuid().as_raw() != 0 {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(
            std::fs::metadata(format!("/proc/{pid}/environ"))
                .unwrap()
                .uid(),
            0
        );
    }
}

#[test]
fn a_store_at_rest_is_in_good_health() {
    let world = World::new();
    drop(world.serve());
    let doctor = world.run(&["doctor"]).exits(0).stdout();
    assert!(
        doctor.contains("ok    store key        comes from a passphrase"),
        "{doctor}"
    );
    let doctor = world.run_unlocking(&["doctor"]).exits(0).stdout();
    assert!(
        doctor.contains("ok    store key        had from the passphrase"),
        "{doctor}"
    );
    std::fs::write(world.path("wrong"), "another passphrase").unwrap();
    let doctor = world
        .run(&["--passphrase-file", "wrong", "doctor"])
        .exits(1)
        .stdout();
    assert!(
        doctor.contains("FAIL  passphrase       That is not the store's passphrase."),
        "{doctor}"
    );
}
