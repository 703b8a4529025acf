//! Doorward cannot start, or cannot open its store.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use doorward_e2e::{Keyring, World, eventually, repository};

use crate::failures::{
    Stage, Wrapped, complaints, doctor, intact, intact_when_served, passphrase_file, problem, said,
    shown,
};

async fn serve_at(world: &World, port: u16) -> doorward_e2e::Ran {
    world
        .run(&["serve", "--keys", "passphrase", "--port", &port.to_string()])
        .await
}

fn settle(world: &World, settings: &str) {
    let folder = world.folder().join("config/doorward");
    std::fs::create_dir_all(&folder).expect("it can be made");
    std::fs::write(folder.join("config.toml"), settings).expect("it can be written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_named_with_its_holder() {
    let (world, agent) = Stage::set().await.stopped().await;
    let _here = shown(&world);
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = holder.local_addr().expect("it has one").port();
    insta::assert_snapshot!(said(&serve_at(&world, port).await), @r###"
    [1]
    error: 127.0.0.1:[PORT] is taken by [PROGRAM] (pid [PID]).
      → Stop that program, or choose another port with `doorward serve --port N`.
    "###);
    settle(&world, &format!("port = {port}\n"));
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    warn  running            no
                             → Start it with `doorward serve`, or open the app.
    FAIL  port               127.0.0.1:[PORT] is taken by [PROGRAM] (pid [PID]).
                             → Stop that program, or settle another port: `port = N` in config.toml.
    1 failed.
    "###);
    drop(holder);
    intact_when_served(&world, &agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(has_ipv6), ignore = "this machine has no IPv6 loopback")]
async fn a_port_that_is_taken_on_ipv6_alone_is_not_half_taken() {
    let (world, agent) = Stage::set().await.stopped().await;
    let _here = shown(&world);
    let holder = TcpListener::bind("[::1]:0").expect("a free port");
    let port = holder.local_addr().expect("it has one").port();
    insta::assert_snapshot!(said(&serve_at(&world, port).await), @r###"
    [1]
    error: [::1]:[PORT] is taken by [PROGRAM] (pid [PID]).
      → Stop that program, or choose another port with `doorward serve --port N`.
    "###);
    assert!(
        TcpListener::bind(("127.0.0.1", port)).is_ok(),
        "nothing is left listening"
    );
    settle(&world, &format!("port = {port}\n"));
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    warn  running            no
                             → Start it with `doorward serve`, or open the app.
    FAIL  port               [::1]:[PORT] is taken by [PROGRAM] (pid [PID]).
                             → Stop that program, or settle another port: `port = N` in config.toml.
    1 failed.
    "###);
    drop(holder);
    intact_when_served(&world, &agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_broker_is_told_how_to_use_the_first() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    insta::assert_snapshot!(said(&serve_at(&world, 0).await), @r###"
    [1]
    error: [FOLDER]/data/doorward is held by `doorward serve`, process [PID], since [MOMENT] ([TIME]).
      → Use that one: `doorward status` shows it. To start anew, end it first: `kill [PID]`.
    "###);
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_be_read_name_their_line() {
    let (world, agent) = Stage::set().await.stopped().await;
    let _here = shown(&world);
    settle(&world, "port = 13667\nkesy = \"keyring\"\n");
    insta::assert_snapshot!(said(&serve_at(&world, 0).await), @r###"
    [1]
    error: [FOLDER]/config/doorward/config.toml cannot be used: line 2: unknown field `kesy`, expected `port` or `keys`.
      → Mend that line. The settings are `port` (a number) and `keys` ("keyring" or "passphrase").
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    FAIL  config.toml        [FOLDER]/config/doorward/config.toml cannot be used: line 2: unknown field `kesy`, expected `port` or `keys`.
                             → Mend that line. The settings are `port` (a number) and `keys` ("keyring" or "passphrase").
    warn  running            no
                             → Start it with `doorward serve`, or open the app.
    1 failed.
    "###);
    settle(&world, "");
    intact_when_served(&world, &agent).await;
}

/// Does to a keyring what logging out and in would.
fn turn_keyring(world: &World, how: &str) {
    let environment = world.environment();
    let bus = environment
        .iter()
        .find(|(name, _)| name == "DBUS_SESSION_BUS_ADDRESS")
        .expect("a bus");
    let bus = bus.1.to_str().expect("text");
    let runtime = bus
        .trim_start_matches("unix:path=")
        .trim_end_matches("/bus");
    let turned = Command::new(repository().join("scripts/with-keyring"))
        .arg(how)
        .env("DBUS_SESSION_BUS_ADDRESS", bus)
        .env("XDG_RUNTIME_DIR", runtime)
        .status();
    assert!(
        turned.is_ok_and(|status| status.success()),
        "the keyring can be turned: {how}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_keyring_is_a_state_with_a_remedy() {
    let (world, agent) = Stage::set_in(World::builder().keyring().build().await)
        .await
        .stopped()
        .await;
    let _here = shown(&world);
    turn_keyring(&world, "--lock");
    let served = world.serve().await;
    insta::assert_snapshot!(served.process.said(), @r###"

    --- standard output
    {"pid":[PID],"url":"http://127.0.0.1:[PORT]"}

    --- standard error
    Doorward starts locked.
    error: The OS keyring is locked: prompt dismissed.
      → Unlock the OS keyring (logging in does), then `doorward unlock`.
    "###);
    insta::assert_snapshot!(problem(&agent.token("fastio").await), @r###"
    503 store_locked
    The OS keyring is locked: prompt dismissed.
      → Unlock the OS keyring (logging in does), then `doorward unlock`.
    "###);
    insta::assert_snapshot!(said(&world.run(&["unlock"]).await), @r###"
    [4]
    error: The OS keyring is locked: prompt dismissed.
      → Unlock the OS keyring (logging in does), then `doorward unlock`.
    "###);
    insta::assert_snapshot!(said(&world.run(&["connections"]).await), @r###"
    [4]
    error: The OS keyring is locked: prompt dismissed.
      → Unlock the OS keyring (logging in does), then `doorward unlock`.
    "###);
    insta::assert_snapshot!(said(&world.run(&["status"]).await), @r###"
    [0]
      Doorward  running, process [PID], version 0.1.0
      address   http://127.0.0.1:[PORT]
      store     locked
      folder    [FOLDER]/data/doorward

    Next:
      The OS keyring is locked: prompt dismissed. Unlock the OS keyring (logging in does), then `doorward unlock`.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    FAIL  store key        The OS keyring is locked: prompt dismissed.
                           → Unlock the OS keyring (logging in does), then `doorward unlock`.
    1 failed.
    "###);
    turn_keyring(&world, "--unlock");
    insta::assert_snapshot!(said(&world.run(&["unlock"]).await), @r###"
    [0]
    The store is open.
    "###);
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyring_that_never_answers_is_not_waited_for_without_end() {
    let world = World::builder().keyring().build().await;
    let _here = shown(&world);
    let silent = Keyring::that_is("--unanswered").await;
    let arguments = ["--json", "serve", "--port", "0", "--keys", "keyring"];
    let process = world.start_with(&arguments, &[("DBUS_SESSION_BUS_ADDRESS", silent.bus())]);
    let listens = tokio::time::timeout(Duration::from_secs(20), process.line());
    listens.await.expect("it goes on without the keyring");
    process.complains("unlock").await;
    insta::assert_snapshot!(process.said(), @r###"

    --- standard output
    {"pid":[PID],"url":"http://127.0.0.1:[PORT]"}

    --- standard error
    Doorward starts locked.
    error: The OS keyring did not answer within 10 s.
      → Look for a window that asks for the keyring's password, then `doorward unlock`. Or choose a passphrase instead: `doorward unlock --passphrase`.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    FAIL  store key        The OS keyring did not answer within 10 s.
                           → Look for a window that asks for the keyring's password, then `doorward unlock`. Or choose a passphrase instead: `doorward unlock --passphrase`.
    1 failed.
    "###);
    process.terminate();
    process.ended().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyring_that_is_not_there_is_told_from_a_locked_one() {
    let (world, agent) = Stage::set_in(World::builder().keyring().build().await)
        .await
        .stopped()
        .await;
    let _here = shown(&world);
    let absent = Keyring::that_is("--absent").await;
    let bus = [("DBUS_SESSION_BUS_ADDRESS", absent.bus())];
    let process = world.start_with(&["--json", "serve", "--port", "0"], &bus);
    process.line().await;
    process.complains("unlock").await;
    insta::assert_snapshot!(process.said(), @r###"

    --- standard output
    {"pid":[PID],"url":"http://127.0.0.1:[PORT]"}

    --- standard error
    Doorward starts locked.
    error: There is no OS keyring to ask: The name org.freedesktop.secrets was not provided by any .service files.
      → Log in to a desktop session whose keyring is running, then `doorward unlock`.
    "###);
    insta::assert_snapshot!(problem(&agent.token("fastio").await), @r###"
    503 store_locked
    There is no OS keyring to ask: The name org.freedesktop.secrets was not provided by any .service files.
      → Log in to a desktop session whose keyring is running, then `doorward unlock`.
    "###);
    process.terminate();
    process.ended().await.done();
    let doctor = world.run_with(&["doctor"], &bus).await;
    insta::assert_snapshot!(complaints(&doctor), @r###"
    [1]
    warn  running          no
                           → Start it with `doorward serve`, or open the app.
    FAIL  store key        There is no OS keyring to ask: The name org.freedesktop.secrets was not provided by any .service files.
                           → Log in to a desktop session whose keyring is running, then `doorward unlock`.
    1 failed.
    "###);
    intact_when_served(&world, &agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_keyring_a_new_store_takes_a_passphrase() {
    let world = World::new().await;
    let _here = shown(&world);
    // The world has no bus at all.
    let nothing = Wrapped::in_world(&world)
        .run(&["connect", "fastio", "--no-browser"])
        .await;
    insta::assert_snapshot!(nothing, @r###"
    [4]
    error: There is no OS keyring to ask: Failed to connect to address `unix:path=[FOLDER]/no-bus`: No such file or directory (os error 2).
      → Log in to a desktop session whose keyring is running, then `doorward unlock`. Or choose a passphrase instead: `doorward unlock --passphrase`.
    "###);
    let mut serve = tokio::process::Command::new(doorward_e2e::doorward());
    serve
        .args(["serve", "--port", "0"])
        .env_clear()
        .envs(world.environment())
        .kill_on_drop(true);
    serve
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut serve = serve.spawn().expect("it starts");
    let endpoint = world.folder().join("run/doorward/endpoint.json");
    eventually("it listens", async || endpoint.exists()).await;
    insta::assert_snapshot!(said(&world.run(&["unlock", "--passphrase"]).await), @r###"
    [0]
    The store is open.
    "###);
    serve.kill().await.expect("it can be ended");
    assert_eq!(world.ask(&["status"]).await["keys"], "passphrase");
    let served = world.serve().await;
    world.set_pin().await;
    world
        .connect(&[], &doorward_e2e::Consent::everything())
        .await;
    let agent = world.pair("Reporter", "fastio:token").await;
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_passphrase_opens_nothing_and_spoils_nothing() {
    let (world, agent) = Stage::set().await.stopped().await;
    let _here = shown(&world);
    let wrong = world.folder().join("aside/wrong").display().to_string();
    std::fs::write(&wrong, "eight herons & a kettle of brass").expect("it can be written");
    let told = Wrapped::in_world(&world)
        .run(&["--passphrase-file", &wrong, "connections"])
        .await;
    insta::assert_snapshot!(told, @r###"
    [4]
    error: That is not the store's passphrase.
      → Try again; nothing was lost.
    "###);
    let told = Wrapped::in_world(&world)
        .run(&["--passphrase-file", &wrong, "doctor"])
        .await;
    let told: Vec<&str> = told
        .lines()
        .filter(|line| !line.starts_with("ok "))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r###"
    [1]
    warn  running          no
                           → Start it with `doorward serve`, or open the app.
    FAIL  passphrase       That is not the store's passphrase.
                           → Try again; nothing was lost.

    1 failed.
    "###);
    let told = Wrapped::in_world(&world).run(&["connections"]).await;
    insta::assert_snapshot!(told, @r###"
    [4]
    error: The store opens with a passphrase, and there is no terminal to ask for it.
      → Run the command in a terminal, or name a file with `--passphrase-file FILE` (`-` is standard input).
    "###);
    let told = Wrapped::in_world(&world)
        .run(&["--passphrase-file", "/no/such/file", "connections"])
        .await;
    insta::assert_snapshot!(told, @r###"
    [1]
    error: /no/such/file cannot be read: No such file or directory (os error 2).
      → Name a file that you may read.
    "###);
    let file = passphrase_file(&world);
    let right = Wrapped::in_world(&world)
        .run(&["--passphrase-file", &file, "audit", "verify"])
        .await;
    assert!(right.starts_with("[0]"), "{right}");
    intact_when_served(&world, &agent).await;
}

/// A store that cannot be opened is left as it is, named with its file, and good again when the copy is put back.
async fn refused_store(
    spoil: impl FnOnce(&[u8]) -> Vec<u8>,
) -> (World, doorward_e2e::Agent, Vec<String>) {
    let (world, agent) = Stage::set().await.stopped().await;
    let path = world.data().join("doorward.db");
    let good = std::fs::read(&path).expect("a store");
    let spoilt = spoil(&good);
    std::fs::write(&path, &spoilt).expect("it can be written");
    let told = vec![said(&serve_at(&world, 0).await), doctor(&world).await];
    for command in [&["connections"][..], &["audit", "verify"], &["status"]] {
        let ran = world.run(command).await;
        assert_eq!(said(&ran), told[0], "every command says the same");
    }
    assert!(
        std::fs::read(&path).expect("it is there") == spoilt,
        "nothing was changed"
    );
    std::fs::write(&path, good).expect("it can be written");
    intact_when_served(&world, &agent).await;
    (world, agent, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_no_database_is_named_and_left_alone() {
    let (world, _, told) = refused_store(|good| vec![b'x'; good.len()]).await;
    let _here = shown(&world);
    insta::assert_snapshot!(told.join("\n"), @r###"
    [1]
    error: [FOLDER]/data/doorward/doorward.db is damaged: file is not a database (SQLite 26).
      → Nothing was changed. Put back a copy of the folder, or move it away and connect again.
    [1]
    warn  running          no
                           → Start it with `doorward serve`, or open the app.
    FAIL  store            [FOLDER]/data/doorward/doorward.db is damaged: file is not a database (SQLite 26).
                           → Nothing was changed. Put back a copy of the folder, or move it away and connect again.
    1 failed.
    "###);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_damaged_within_is_named_and_left_alone() {
    let damaged = |good: &[u8]| {
        good.iter()
            .enumerate()
            .map(|(at, byte)| {
                if (8192..12288).contains(&at) {
                    !byte
                } else {
                    *byte
                }
            })
            .collect()
    };
    let (world, _, told) = refused_store(damaged).await;
    let _here = shown(&world);
    insta::assert_snapshot!(told.join("\n"), @r###"
    [1]
    error: [FOLDER]/data/doorward/doorward.db is damaged: its pages do not hold together (Tree 3 page 3: btreeInitPage() returns error code 11).
      → Nothing was changed. Put back a copy of the folder, or move it away and connect again.
    [1]
    warn  running          no
                           → Start it with `doorward serve`, or open the app.
    FAIL  store            [FOLDER]/data/doorward/doorward.db is damaged: its pages do not hold together (Tree 3 page 3: btreeInitPage() returns error code 11).
                           → Nothing was changed. Put back a copy of the folder, or move it away and connect again.
    1 failed.
    "###);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_cut_off_is_named_and_left_alone() {
    let (world, _, told) = refused_store(|good| good[..good.len() / 2].to_vec()).await;
    let _here = shown(&world);
    insta::assert_snapshot!(told.join("\n"), @r###"
    [1]
    error: [FOLDER]/data/doorward/doorward.db is damaged: database disk image is malformed (SQLite 11).
      → Nothing was changed. Put back a copy of the folder, or move it away and connect again.
    [1]
    warn  running          no
                           → Start it with `doorward serve`, or open the app.
    FAIL  store            [FOLDER]/data/doorward/doorward.db is damaged: database disk image is malformed (SQLite 11).
                           → Nothing was changed. Put back a copy of the folder, or move it away and connect again.
    1 failed.
    "###);
    let (world, _, told) = refused_store(|_| Vec::new()).await;
    let _here = shown(&world);
    insta::assert_snapshot!(told.join("\n"), @r###"
    [1]
    error: [FOLDER]/data/doorward/doorward.db is damaged: the file is empty.
      → Nothing was changed. Put back a copy of the folder, or move it away and connect again.
    [1]
    warn  running          no
                           → Start it with `doorward serve`, or open the app.
    FAIL  store            [FOLDER]/data/doorward/doorward.db is damaged: the file is empty.
                           → Nothing was changed. Put back a copy of the folder, or move it away and connect again.
    1 failed.
    "###);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_a_newer_doorward_is_refused_and_left_alone() {
    let newer = |good: &[u8]| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), good).expect("it can be written");
        let script = "import sqlite3, sys\nbase = sqlite3.connect(sys.argv[1])\nbase.execute(\"UPDATE meta SET value = ? WHERE name = 'schema'\", (b'99',))\nbase.commit()\nbase.execute('PRAGMA journal_mode = DELETE')\nbase.execute('PRAGMA journal_mode = WAL')\n";
        let path = file.path().to_str().expect("text");
        crate::failures::system("python3", &["-c", script, path]);
        std::fs::read(file.path()).expect("it is there")
    };
    let (world, _, told) = refused_store(newer).await;
    let _here = shown(&world);
    insta::assert_snapshot!(told.join("\n"), @r###"
    [1]
    error: The store has schema 99, and this Doorward knows schemas up to 5.
      → Nothing was changed. Install the newer Doorward again; a store does not go back.
    [1]
    warn  running          no
                           → Start it with `doorward serve`, or open the app.
    FAIL  store            The store has schema 99, and this Doorward knows schemas up to 5.
                           → Nothing was changed. Install the newer Doorward again; a store does not go back.
    1 failed.
    "###);
}
