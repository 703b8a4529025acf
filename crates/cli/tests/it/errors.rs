//! What a person reads when something is not as it should be.

use insta::assert_snapshot;

use crate::world::World;

#[test]
fn the_help_names_every_command_and_the_exit_codes() {
    let world = World::new();
    assert_snapshot!(world.run(&["--help"]).shown(), @r#"
    exit 0
    -- out
    Keeps your OAuth grants and hands your agents only what you allow

    Usage: doorward [OPTIONS] <COMMAND>

    Commands:
      serve        Run Doorward here, for machines without a display
      status       Show how Doorward is and what needs you next
      doctor       Check everything that could keep Doorward from working
      unlock       Open the store: try the keyring again, or ask for the passphrase
      pin          Set or change the approval PIN
      connect      Connect a provider in the browser, or connect one again
      connections  List the connections
      retry        Try a connection again now, whose tries have halted or wait
      disconnect   End a connection, here and at the provider
      agents       List the agents, or add one
      requests     List what agents ask you for: to be let in, or to make a single call
      approve      Let in an agent that asked, or let a call go on; needs the approval PIN
      deny         Refuse an agent or a call
      answers      List what you said for good about single calls, or take it back
      revoke       End an agent: its keys and everything it was given
      pause        Hold back an agent, a connection, or all agents
      resume       Let what was paused go on
      release      Give back a lock that an agent holds at a provider
      audit        Read and check the audit log
      keys         Look after the keys of the store
      pair         As an agent: ask a person for access, and print the agent key
      token        As an agent: print an access token
      mcp          As an agent: be an MCP server on standard input and output

    Options:
          --json                    Print JSON, errors too, on standard output
          --data-dir <DIR>          Keep the store in this folder instead of the usual one
          --passphrase-file <FILE>  Open the store with the passphrase in this file; `-` is standard
                                    input
      -h, --help                    Print help
      -V, --version                 Print version

    Exit codes:
      0  done
      1  failed; the message says how to go on
      2  the command was given wrongly
      3  Doorward is not running or cannot be reached
      4  a person is needed: unlock, reconnect, approve, PIN
      5  refused; asking again changes nothing
      6  try again later

    A signal ends it with 130. `docs/CLI.md` lists every error code.
    -- err
    "#);
}

#[test]
fn the_help_of_a_command_tells_what_it_takes() {
    let world = World::new();
    assert_snapshot!(world.run(&["approve", "--help"]).shown(), @r#"
    exit 0
    -- out
    Let in an agent that asked, or let a call go on; needs the approval PIN

    Usage: doorward approve [OPTIONS] <CODE>

    Arguments:
      <CODE>
              The code that the agent shows, to compare; or that of a call

    Options:
          --always
              Of a call: let every such call of that agent go on, not only the next one

          --connection <C>
              Give this connection instead of the one asked for

          --door <DOOR>
              Give this door instead of those asked for; may be repeated

              Possible values:
              - token: The agent gets the access token
              - proxy: Doorward puts the token in; the agent never sees it

          --lifetime <TIME>
              For how long [default: until-revoked]

              Possible values:
              - until-revoked: Until you revoke it
              - hour:          For an hour
              - today:         Until the end of the day
              - while-running: While the program that asked runs

          --read-only
              Only calls that change nothing (door `proxy` only)

          --path <P>
              Only paths below this one; may be repeated (door `proxy` only)

          --method <M>
              Only this HTTP method, such as GET; may be repeated (door `proxy` only)

          --tool <T>
              Only this MCP tool, or these calls of it: `storage(action=list|details)`; may be repeated
              (door `proxy` only)

          --ask-each-time
              Ask me before each new call (door `proxy` only)

          --ask <PATTERN>
              Ask me before these calls: `POST /workspace/` or `tool storage(action=delete)`; may be
              repeated (door `proxy` only)

          --deny <PATTERN>
              Never these calls; may be repeated (door `proxy` only)

          --may-manage-sign-in
              Calls that make or manage keys and sessions too: with them an agent can get access that
              outlives this grant

          --json
              Print JSON, errors too, on standard output

          --data-dir <DIR>
              Keep the store in this folder instead of the usual one

          --passphrase-file <FILE>
              Open the store with the passphrase in this file; `-` is standard input

      -h, --help
              Print help (see a summary with '-h')
    -- err
    "#);
}

#[test]
fn a_command_that_is_given_wrongly_exits_2_and_says_why() {
    let world = World::new();
    assert_snapshot!(world.run(&["connect"]).shown(), @r#"
    exit 2
    -- out
    -- err
    error: the following required arguments were not provided:
      <PROVIDER>

    Usage: doorward connect <PROVIDER>

    For more information, try '--help'.
    "#);
    assert_snapshot!(world.run(&["pause"]).shown(), @r#"
    exit 2
    -- out
    -- err
    error: the following required arguments were not provided:
      <AGENT|--connection <C>|--all>

    Usage: doorward pause <AGENT|--connection <C>|--all>

    For more information, try '--help'.
    "#);
    assert_snapshot!(world.run(&["pause", "a", "--all"]).shown(), @r#"
    exit 2
    -- out
    -- err
    error: the argument '[AGENT]' cannot be used with '--all'

    Usage: doorward pause <AGENT|--connection <C>|--all>

    For more information, try '--help'.
    "#);
    assert_snapshot!(world.run(&["disconnect", "Not A Name"]).shown(), @r#"
    exit 2
    -- out
    -- err
    error: invalid value 'Not A Name' for '<NAME>': a name has 1 to 40 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit

    For more information, try '--help'.
    "#);
    assert_snapshot!(world.run(&["pair", "agent", "--scope", "fastio:window"]).shown(), @r#"
    exit 2
    -- out
    -- err
    error: "fastio:window" is not a scope of Doorward.
      → Ask for a list of `NAME:door`, such as `fastio:proxy` or `fastio:token`.
    "#);
    assert_snapshot!(
        world.run(&["agents", "add", "a", "--connection", "c", "--door", "token", "--read-only"]).shown(),
        @r#"
        exit 2
        -- out
        -- err
        error: A token in an agent's hands cannot be limited, so a limited grant cannot include the token door.
          → Give the door `proxy` with these limits, or the door `token` without any.
        "#
    );
    assert_snapshot!(
        world.run(&["agents", "add", "a", "--metrics", "--connection", "c"]).shown(),
        @r#"
        exit 2
        -- out
        -- err
        error: the argument '--metrics' cannot be used with '--connection <C>'

        Usage: doorward agents add --metrics <NAME>

        For more information, try '--help'.
        "#
    );
    assert_snapshot!(world.run(&["agents", "add", "a"]).shown(), @r#"
    exit 2
    -- out
    -- err
    error: the following required arguments were not provided:
      --connection <C>
      --door <DOOR>

    Usage: doorward agents add --connection <C> --door <DOOR> <NAME>

    For more information, try '--help'.
    "#);
    assert_snapshot!(world.run(&["--json", "approve"]).shown(), @r#"
    exit 2
    -- out
    {"error":{"code":"usage","detail":"the following required arguments were not provided:\n  <CODE>","hint":"`doorward --help` and `doorward COMMAND --help` say how."}}
    -- err
    "#);
}

#[test]
fn what_needs_a_running_doorward_says_so() {
    let world = World::new();
    for command in [
        &["requests"][..],
        &["approve", "BCDF-GHJK"],
        &["deny", "BCDF-GHJK"],
        &["unlock"],
    ] {
        assert_eq!(world.run(command).exits(3).stdout(), "", "{command:?}");
    }
    assert_snapshot!(world.run(&["requests"]).shown(), @r#"
    exit 3
    -- out
    -- err
    error: Doorward is not running.
      → Start it with `doorward serve`, or open the Doorward app; then run this again.
    "#);
    assert_snapshot!(world.run(&["--json", "requests"]).shown(), @r#"
    exit 3
    -- out
    {"error":{"code":"not_running","detail":"Doorward is not running.","hint":"Start it with `doorward serve`, or open the Doorward app; then run this again."}}
    -- err
    "#);
}

#[test]
fn looking_makes_no_store() {
    let world = World::new();
    assert_snapshot!(world.run(&["connections"]).shown(), @r#"
    exit 0
    -- out
    No connections yet. `doorward connect fastio` makes one.
    -- err
    "#);
    assert_snapshot!(world.run(&["agents"]).shown(), @r#"
    exit 0
    -- out
    No agents yet. An agent asks with `doorward pair`, or you add one with `doorward agents add`.
    -- err
    "#);
    assert_snapshot!(world.run(&["status"]).shown(), @r#"
    exit 0
    -- out
      Doorward  not running
      store     not made yet
      folder    [ROOT]/home/.local/share/doorward

    Next:
      Start Doorward with `doorward serve`, or open the app.
      Connect a provider: `doorward connect fastio`.
    -- err
    "#);
    assert_snapshot!(world.run(&["disconnect", "fastio"]).shown(), @r#"
    exit 1
    -- out
    -- err
    error: There is nothing yet: no store has been made.
      → `doorward connect fastio` makes the first connection, and the store with it.
    "#);
    assert_snapshot!(world.run(&["audit", "verify"]).shown(), @r#"
    exit 1
    -- out
    -- err
    error: There is nothing yet: no store has been made.
      → `doorward connect fastio` makes the first connection, and the store with it.
    "#);
    world.run(&["doctor"]);
    assert!(!world.data().exists(), "nothing was made");
}

#[test]
fn a_setting_that_is_not_known_names_its_line() {
    let world = World::new();
    world.configure("port = 4711\nprot = 1\n");
    assert_snapshot!(world.run(&["status"]).shown(), @r#"
    exit 1
    -- out
    -- err
    error: [ROOT]/home/.config/doorward/config.toml cannot be used: line 2: unknown field `prot`, expected `port` or `keys`.
      → Mend that line. The settings are `port` (a number) and `keys` ("keyring" or "passphrase").
    "#);
    let doctor = world.run(&["doctor"]).exits(1);
    assert!(
        doctor.stdout().contains("FAIL  config.toml"),
        "{}",
        doctor.stdout()
    );
}

#[test]
fn an_agent_without_a_key_or_a_doorward_is_told() {
    let world = World::new();
    assert_snapshot!(world.run(&["token"]).shown(), @r#"
    exit 5
    -- out
    -- err
    error: No agent key was given.
      → Set DOORWARD_KEY or name a file with --key-file; `doorward pair` asks a person for a key.
    "#);
    let mut wrong = world.doorward(&["token"]);
    wrong.env("DOORWARD_KEY", "dwk_short");
    assert_snapshot!(world.ran(wrong).shown(), @r#"
    exit 5
    -- out
    -- err
    error: What was given is not an agent key: one begins with dwk_ and has 47 characters.
      → Give the key that `doorward pair` printed.
    "#);
    let mut alone = world.doorward(&["token"]);
    alone.env("DOORWARD_KEY", format!("dwk_{}", "a".repeat(43)));
    assert_snapshot!(world.ran(alone).shown(), @r#"
    exit 3
    -- out
    -- err
    error: Doorward is not running.
      → Start it with `doorward serve`, or open the Doorward app; then run this again.
    "#);
    let mut elsewhere = world.doorward(&["token"]);
    elsewhere
        .env("DOORWARD_KEY", format!("dwk_{}", "a".repeat(43)))
        .env("DOORWARD_URL", "http://192.0.2.1:80");
    assert_snapshot!(world.ran(elsewhere).shown(), @r#"
    exit 3
    -- out
    -- err
    error: DOORWARD_URL is not an http address of this machine, and keys go nowhere else.
      → No key was sent. Set DOORWARD_URL to the address that `doorward status` shows.
    "#);
}

#[test]
fn a_folder_that_is_shared_with_others_is_refused_and_left_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let shared = world.path("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("letter.txt"), "").unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_snapshot!(world.run(&["serve", "--port", "0", "--data-dir", "shared"]).shown(), @r#"
    exit 1
    -- out
    -- err
    error: [ROOT]/shared is not private: it holds other things, and other users may enter it (mode 755).
      → Make it yours alone: `chmod -R go= [ROOT]/shared`.
    "#);
    assert_eq!(std::fs::read_dir(&shared).unwrap().count(), 1);
}

#[test]
fn a_damaged_store_is_named_and_not_touched() {
    let world = World::new();
    drop(world.serve());
    let database = world.data().join("doorward.db");
    let damaged = vec![b'x'; 8192];
    std::fs::write(&database, &damaged).unwrap();
    assert_snapshot!(world.run(&["connections"]).shown(), @r#"
    exit 1
    -- out
    -- err
    error: [ROOT]/home/.local/share/doorward/doorward.db is damaged: file is not a database (SQLite 26).
      → Nothing was changed. Put back a copy of the folder, or move it away and connect again.
    "#);
    let doctor = world.run(&["doctor"]).exits(1);
    assert!(
        doctor.stdout().contains("FAIL  store"),
        "{}",
        doctor.stdout()
    );
    assert_eq!(std::fs::read(&database).unwrap(), damaged);
}
