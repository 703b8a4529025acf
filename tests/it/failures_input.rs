//! Whoever types, types wrongly, or is somebody else.

use std::path::{Path, PathBuf};

use doorward_e2e::{World, doorward};

use crate::failures::{Stage, Wrapped, intact, said, shown, system};

/// Starts a program as a user who owns nothing here.
const AS_NOBODY: [&str; 6] = [
    "setpriv",
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
];

/// Opens the folders to everybody: what holds must not be their modes alone. Gives a copy of the program that
/// everybody may run, wherever the built one lies.
fn opened_to_all(world: &World) -> PathBuf {
    let open = |mode: &str, below: &str| {
        let path = world.folder().join(below);
        if path.exists() {
            system("chmod", &[mode, path.to_str().expect("text")]);
        }
    };
    for below in [
        "",
        "run",
        "run/doorward",
        "data",
        "data/doorward",
        "config",
        "state",
    ] {
        open("755", below);
    }
    open("666", "data/doorward/control.sock");
    let program = world.folder().join("doorward");
    std::fs::copy(doorward(), &program).expect("it can be copied");
    program
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(may_be_another_user),
    ignore = "this test may not become another user here: run it as root, as CI does"
)]
async fn another_user_gets_nothing_out_of_any_command() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let program = opened_to_all(&world);
    let as_nobody = || {
        Wrapped::in_world(&world)
            .by(&AS_NOBODY)
            .with("DOORWARD_KEY", &agent.key)
            .with("DOORWARD_URL", &served.url)
    };
    let first = as_nobody().run_program(&program, &["status"]).await;
    insta::assert_snapshot!(first, @r###"
    [3]
    error: [FOLDER]/data/doorward belongs to another user of this machine.
      → Run the command as that user, or name a folder of your own with `--data-dir DIR`.
    "###);
    for command in [
        &["connections"][..],
        &["agents"],
        &["requests"],
        &["unlock"],
        &["disconnect", "fastio"],
        &["revoke", "Reporter"],
        &["pause", "--all"],
        &["resume", "--all"],
        &["deny", "BCDF-GHJK"],
        &["audit", "verify"],
        &["audit", "export"],
        &["keys", "rotate"],
        &["connect", "fastio", "--no-browser"],
    ] {
        assert_eq!(
            as_nobody().run_program(&program, command).await,
            first,
            "{command:?}"
        );
    }
    insta::assert_snapshot!(as_nobody().run_program(&program, &["token"]).await, @r###"
    [3]
    error: What listens at 127.0.0.1:[PORT] belongs to another user (uid 0).
      → No key was sent. Set DOORWARD_URL to the address that `doorward status` shows.
    "###);
    insta::assert_snapshot!(as_nobody().run_program(&program, &["pair", "Me", "--scope", "fastio:token"]).await, @r###"
    [3]
    error: What listens at 127.0.0.1:[PORT] belongs to another user (uid 0).
      → No key was sent. Set DOORWARD_URL to the address that `doorward status` shows.
    "###);
    let serve = as_nobody()
        .run_program(&program, &["serve", "--port", "0"])
        .await;
    let serve: Vec<&str> = serve
        .lines()
        .filter(|line| !line.contains("WARN"))
        .collect();
    insta::assert_snapshot!(serve.join("\n"), @r###"
    [1]
    error: [FOLDER]/data/doorward belongs to another user of this machine (uid 0).
      → Run Doorward as that user, or name a folder of your own with `--data-dir DIR`.
    "###);
    close_again(&world);
    intact(&world, &agent).await;
    served.stop().await.done();
}

/// The store's folder as Doorward wants it.
fn close_again(world: &World) {
    system("chmod", &["700", world.data().to_str().expect("text")]);
}

/// Asks an address of the gateway; prints status and body.
const ASK_GATEWAY: &str = "\
import sys, urllib.request
try:
    ask = urllib.request.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]})
    print(urllib.request.urlopen(ask).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
";

/// Asks the control socket; prints what comes back.
const ASK_CONTROL: &str = "\
import socket, sys
control = socket.socket(socket.AF_UNIX)
control.connect(sys.argv[1])
control.sendall(b'\"Status\"\\n')
print('came back:', control.recv(4096))
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(may_be_another_user),
    ignore = "this test may not become another user here: run it as root, as CI does"
)]
async fn another_user_is_refused_by_gateway_and_control_socket_themselves() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    opened_to_all(&world);
    let python = Path::new("/usr/bin/python3");
    let nobody = || Wrapped::in_world(&world).by(&AS_NOBODY);
    for path in [
        "/healthz",
        "/v1/token",
        "/.well-known/oauth-protected-resource",
        "/no/such/route",
    ] {
        let url = format!("{}{path}", served.url);
        let ask = ["-c", ASK_GATEWAY, &url, &agent.key];
        let told = nobody().run_program(python, &ask).await;
        let refused = told.contains("403") && told.contains("peer_not_allowed");
        assert!(refused, "{path}: {told}");
    }
    let socket = world.data().join("control.sock").display().to_string();
    let told = nobody()
        .run_program(python, &["-c", ASK_CONTROL, &socket])
        .await;
    let nothing = told.contains("came back: b''") || told.contains("ConnectionResetError");
    assert!(nothing || told.contains("BrokenPipeError"), "{told}");
    // The same question by the person herself is answered.
    let ours = Wrapped::in_world(&world)
        .run_program(python, &["-c", ASK_CONTROL, &socket])
        .await;
    assert!(ours.contains("came back: b'{"), "{ours}");
    close_again(&world);
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approving_without_a_terminal_is_refused_whatever_is_piped_in() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let asked = world.stranger().ask("Second", "fastio:token").await;
    let piped = Wrapped::in_world(&world)
        .by(&["setsid"])
        .reading(&format!("{0}\n{0}\n", doorward_e2e::PIN))
        .run(&["approve", &asked.user_code])
        .await;
    insta::assert_snapshot!(piped, @r###"
    [4]
    error: Approving needs a person at a terminal, and there is none.
      → Run the command yourself in a terminal. No flag, variable or file can answer in your place.
    "###);
    let added = Wrapped::in_world(&world)
        .by(&["setsid"])
        .run(&[
            "agents",
            "add",
            "x",
            "--connection",
            "fastio",
            "--door",
            "token",
        ])
        .await;
    insta::assert_snapshot!(added, @r###"
    [4]
    error: Adding an agent needs a person at a terminal, and there is none.
      → Run the command yourself in a terminal. No flag, variable or file can answer in your place.
    "###);
    assert_eq!(
        world
            .stranger()
            .poll(&asked)
            .await
            .expect(400)
            .text("error"),
        "authorization_pending"
    );
    world.run(&["deny", &asked.user_code]).await.done();
    intact(&world, &agent).await;
    served.stop().await.done();
}

/// What each of these commands is told.
async fn all(world: &World, commands: &[&[&str]]) -> String {
    let mut told = Vec::new();
    for command in commands {
        told.push(format!(
            "$ doorward {}\n{}",
            command.join(" "),
            said(&world.run(command).await)
        ));
    }
    told.join("\n\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_nobody_has_are_said_to_be_unknown() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let told = all(
        &world,
        &[
            &["disconnect", "nosuch"],
            &["revoke", "nosuch"],
            &["pause", "nosuch"],
            &["resume", "--connection", "nosuch"],
            &["deny", "BCDF-GHJK"],
            &["connect", "nosuch"],
            &["connect", "--name", "nosuch"],
        ],
    )
    .await;
    insta::assert_snapshot!(told, @r###"
    $ doorward disconnect nosuch
    [5]
    error: There is no connection `nosuch`.
      → `doorward connections` lists them.

    $ doorward revoke nosuch
    [1]
    error: There is no agent `nosuch`.
      → `doorward agents` lists them.

    $ doorward pause nosuch
    [1]
    error: There is no agent `nosuch`.
      → `doorward agents` lists them.

    $ doorward resume --connection nosuch
    [5]
    error: There is no connection `nosuch`.
      → `doorward connections` lists them.

    $ doorward deny BCDF-GHJK
    [1]
    error: No approval request with the code `BCDF-GHJK` is waiting.
      → `doorward requests` lists those that wait. A request ends after [TIME].

    $ doorward connect nosuch
    [2]
    error: There is no provider `nosuch`.
      → Use `fastio`, the address of an OAuth issuer, or put a manifest at [FOLDER]/config/doorward/providers.

    $ doorward connect --name nosuch
    [2]
    error: Say which provider to connect, or which connection to connect again.
      → `doorward connect fastio`, or `doorward connect --name NAME` for one that exists.
    "###);
    let approve = world.at_terminal(&["approve", "BCDF-GHJK"], &[]).await;
    insta::assert_snapshot!(said(&approve), @r###"
    [1]
    error: No approval request with the code `BCDF-GHJK` is waiting.
      → `doorward requests` lists those that wait. A request ends after [TIME].
    "###);
    let add = world
        .at_terminal(
            &[
                "agents",
                "add",
                "x",
                "--connection",
                "nosuch",
                "--door",
                "token",
            ],
            &[doorward_e2e::PIN],
        )
        .await;
    insta::assert_snapshot!(said(&add), @r###"
    [5]
    error: There is no connection `nosuch`.
      → `doorward connections` lists them.
    "###);
    insta::assert_snapshot!(Wrapped::in_world(&world).with("DOORWARD_KEY", &agent.key).run(&["token", "--connection", "nosuch"]).await, @r###"
    [5]
    error: There is no connection `nosuch`.
      → Ask `GET /v1/connections` for the names you may use.
    "###);
    let stranger = "dwk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    insta::assert_snapshot!(Wrapped::in_world(&world).with("DOORWARD_KEY", stranger).run(&["token"]).await, @r###"
    [5]
    error: This agent key opens nothing here.
      → Send `Authorization: Bearer dwk_…`. Pair with `doorward pair NAME --scope CONNECTION:proxy` to get a key.
    "###);
    insta::assert_snapshot!(Wrapped::in_world(&world).run(&["token"]).await, @r###"
    [5]
    error: No agent key was given.
      → Set DOORWARD_KEY or name a file with --key-file; `doorward pair` asks a person for a key.
    "###);
    insta::assert_snapshot!(Wrapped::in_world(&world).with("DOORWARD_KEY", "secret").run(&["token"]).await, @r###"
    [5]
    error: What was given is not an agent key: one begins with dwk_ and has 47 characters.
      → Give the key that `doorward pair` printed.
    "###);
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "most of it is what people are told")]
async fn what_cannot_be_meant_is_refused_before_anything_happens() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let told = all(
        &world,
        &[
            &["connect", "http://"],
            &["connect", "ftp://example.com"],
            &["connect", "https://user@example.com"],
            &["connect", "http://example.com"],
            &["connect", "fastio", "--base", "not a url"],
            &["connect", "fastio", "--name", "No Spaces"],
            &["connect", "fastio", "--scope", "everything"],
            &["connect"],
            &["pair", "Me", "--scope", "Fast IO:token"],
            &["pair", "Me", "--scope", "fastio:window"],
            &[
                "agents",
                "add",
                "x",
                "--connection",
                "fastio",
                "--door",
                "window",
            ],
            &["pause"],
            &["serve", "--port", "99999"],
            &["serve", "--keys", "paper"],
            &["nosuch"],
        ],
    )
    .await;
    insta::assert_snapshot!(told, @r###"
    $ doorward connect http://
    [2]
    error: "http://" cannot be a provider's address: empty host.
      → Give an address such as https://api.example.com, with no user, query or fragment.

    $ doorward connect ftp://example.com
    [2]
    error: "ftp://example.com" cannot be a provider's address: only https and http can be used.
      → Give an address such as https://api.example.com, with no user, query or fragment.

    $ doorward connect https://user@example.com
    [2]
    error: "https://user@example.com" cannot be a provider's address: it needs a host and no user.
      → Give an address such as https://api.example.com, with no user, query or fragment.

    $ doorward connect http://example.com
    [2]
    error: "http://example.com" cannot be a provider's address: plain http is allowed only to an address on this machine or network that you typed.
      → Give an address such as https://api.example.com, with no user, query or fragment.

    $ doorward connect fastio --base not a url
    [2]
    error: "not a url" cannot be a provider's address: relative URL without a base.
      → Give an address such as https://api.example.com, with no user, query or fragment.

    $ doorward connect fastio --name No Spaces
    [2]
    error: invalid value 'No Spaces' for '--name <N>': a name has 1 to 40 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit

    For more information, try '--help'.

    $ doorward connect fastio --scope everything
    [2]
    error: Fast.io has no scope `everything`.
      → It has: workspace, org, all_workspaces, all_orgs, all_shares, all_sign_envelopes, user.

    $ doorward connect
    [2]
    error: the following required arguments were not provided:
      <PROVIDER>

    Usage: doorward connect <PROVIDER>

    For more information, try '--help'.

    $ doorward pair Me --scope Fast IO:token
    [2]
    error: "Fast" is not a scope of Doorward.
      → Ask for a list of `NAME:door`, such as `fastio:proxy` or `fastio:token`.

    $ doorward pair Me --scope fastio:window
    [2]
    error: "fastio:window" is not a scope of Doorward.
      → Ask for a list of `NAME:door`, such as `fastio:proxy` or `fastio:token`.

    $ doorward agents add x --connection fastio --door window
    [2]
    error: invalid value 'window' for '--door <DOOR>'
      [possible values: token, proxy]

    For more information, try '--help'.

    $ doorward pause
    [2]
    error: the following required arguments were not provided:
      <AGENT|--connection <C>|--all>

    Usage: doorward pause <AGENT|--connection <C>|--all>

    For more information, try '--help'.

    $ doorward serve --port 99999
    [2]
    error: invalid value '99999' for '--port <N>': 99999 is not in 0..=65535

    For more information, try '--help'.

    $ doorward serve --keys paper
    [2]
    error: invalid value 'paper' for '--keys <SOURCE>'
      [possible values: keyring, passphrase]

      tip: a similar value exists: 'passphrase'

    For more information, try '--help'.

    $ doorward nosuch
    [2]
    error: unrecognized subcommand 'nosuch'

    Usage: doorward [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "###);
    let limited = world
        .at_terminal(
            &[
                "agents",
                "add",
                "x",
                "--connection",
                "fastio",
                "--door",
                "token",
                "--read-only",
            ],
            &[doorward_e2e::PIN],
        )
        .await;
    insta::assert_snapshot!(said(&limited), @r###"
    [2]
    error: A token in an agent's hands cannot be limited, so a limited grant cannot include the token door.
      → Give the door `proxy` with these limits, or the door `token` without any.
    "###);
    assert_eq!(world.sim.sessions().len(), 1);
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_running_doorward_each_command_says_what_it_needs() {
    let (world, agent) = Stage::set().await.stopped().await;
    let _here = shown(&world);
    let told = all(
        &world,
        &[
            &["requests"],
            &["deny", "BCDF-GHJK"],
            &["unlock"],
            &["pair", "Me", "--scope", "fastio:token"],
        ],
    )
    .await;
    insta::assert_snapshot!(told, @r###"
    $ doorward requests
    [3]
    error: Doorward is not running.
      → Start it with `doorward serve`, or open the Doorward app; then run this again.

    $ doorward deny BCDF-GHJK
    [3]
    error: Doorward is not running.
      → Start it with `doorward serve`, or open the Doorward app; then run this again.

    $ doorward unlock
    [3]
    error: Doorward is not running.
      → Start it with `doorward serve`, or open the Doorward app; then run this again.

    $ doorward pair Me --scope fastio:token
    [3]
    error: Doorward is not running.
      → Start it with `doorward serve`, or open the Doorward app; then run this again.
    "###);
    insta::assert_snapshot!(Wrapped::in_world(&world).with("DOORWARD_KEY", &agent.key).run(&["token"]).await, @r###"
    [3]
    error: Doorward is not running.
      → Start it with `doorward serve`, or open the Doorward app; then run this again.
    "###);
    let empty = World::new().await;
    let told = all(
        &empty,
        &[
            &["connections"],
            &["disconnect", "fastio"],
            &["audit", "verify"],
        ],
    )
    .await;
    insta::assert_snapshot!(told, @r###"
    $ doorward connections
    [0]
    No connections yet. `doorward connect fastio` makes one.

    $ doorward disconnect fastio
    [1]
    error: There is nothing yet: no store has been made.
      → `doorward connect fastio` makes the first connection, and the store with it.

    $ doorward audit verify
    [1]
    error: There is nothing yet: no store has been made.
      → `doorward connect fastio` makes the first connection, and the store with it.
    "###);
    crate::failures::intact_when_served(&world, &agent).await;
}
