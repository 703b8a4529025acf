//! Approving: a person at a terminal, and nothing else.

use std::io::Write as _;
use std::process::Stdio;

use crate::pty::Session;
use crate::world::{Process, Serving, World};

const PIN: &str = "246813";

/// Sets the PIN as a person does.
fn set_pin(world: &World) {
    let mut person = Session::start(world, &["pin"]);
    person.expect("New approval PIN").types_unseen(PIN);
    person.expect("The same again: ").types_unseen(PIN);
    let ended = person.ends();
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, "The approval PIN is set.\n"),
        "{}",
        ended.terminal
    );
}

/// An agent that asks, and the code it shows.
fn asking(world: &World) -> (Process, String) {
    let mut command = world.doorward(&["--json", "pair", "Nice agent", "--scope", "fastio:token"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let agent = Process::spawn(command);
    let code = loop {
        let requests = world.run(&["--json", "requests"]).exits(0).json();
        if let Some(code) = requests[0]["code"].as_str() {
            break code.to_owned();
        }
    };
    (agent, code)
}

fn serving() -> (World, Serving) {
    let world = World::new();
    let serving = world.serve();
    (world, serving)
}

#[test]
fn no_stdin_no_variable_and_no_file_can_answer_for_a_person() {
    let (world, _serving) = serving();
    set_pin(&world);
    let (_agent, code) = asking(&world);
    for arguments in [
        &["approve", &code][..],
        &[
            "agents",
            "add",
            "mine",
            "--connection",
            "fastio",
            "--door",
            "token",
        ],
        &["agents", "add", "mine", "--metrics"],
        &["pin"],
    ] {
        let mut command = world.doorward(&[&["--json"], arguments].concat());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for variable in [
            "DOORWARD_PIN",
            "DOORWARD_APPROVAL_PIN",
            "DOORWARD_PASSPHRASE",
            "PIN",
            "DOORWARD_YES",
        ] {
            command.env(variable, PIN);
        }
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(format!("{PIN}\n{PIN}\ny\n").as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{arguments:?}");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["error"]["code"], "no_terminal", "{arguments:?}");
    }
    assert_eq!(
        world
            .run(&["--json", "requests"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        1,
        "it still waits"
    );
}

#[test]
fn a_request_shows_who_asks_before_the_pin_is_asked_for() {
    let (world, _serving) = serving();
    set_pin(&world);
    let (agent, code) = asking(&world);
    let listed = world.run(&["requests"]).exits(0).stdout();
    assert!(
        listed.starts_with(&format!("{code}\n  calls itself  Nice agent\n")),
        "{listed}"
    );

    let mut person = Session::start(&world, &["approve", &code.to_lowercase().replace('-', " ")]);
    person.expect("calls itself  Nice agent");
    person.expect(&format!("program       {}", crate::world::BINARY));
    person.expect(&format!("process       {}", agent.id()));
    person.expect("asks for      fastio:token");
    person.expect("access    fastio through token (it gets the access token)");
    person.expect("lifetime  until you revoke it");
    person.expect(&code).expect("Approval PIN: ");
    person.types("\u{3}");
    let ended = person.ends();
    assert_eq!(ended.code, 130, "{}", ended.terminal);
    assert_eq!(
        world
            .run(&["--json", "requests"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        1,
        "it still waits"
    );
}

#[test]
fn a_wrong_pin_is_told_with_the_tries_that_are_left() {
    let (world, _serving) = serving();
    set_pin(&world);
    let mut person = Session::start(&world, &["pin"]);
    person
        .expect("Approval PIN so far: ")
        .types_unseen("111111");
    person.expect("New approval PIN").types_unseen("975310");
    person.expect("The same again: ").types_unseen("975310");
    person
        .expect("error: ")
        .expect("4")
        .expect("Approval PIN so far: ")
        .types_unseen("222222");
    person
        .expect("error: ")
        .expect("3")
        .expect("Approval PIN so far: ")
        .types_unseen(PIN);
    let ended = person.ends();
    assert_eq!(ended.code, 0, "{}", ended.terminal);
    for typed in ["111111", "222222", PIN, "975310"] {
        assert!(!ended.terminal.contains(typed), "nothing typed is shown");
    }
}

#[test]
fn three_wrong_pins_end_the_command() {
    let (world, _serving) = serving();
    set_pin(&world);
    let mut person = Session::start(&world, &["--json", "pin"]);
    person
        .expect("Approval PIN so far: ")
        .types_unseen("111111");
    person.expect("New approval PIN").types_unseen("975310");
    person.expect("The same again: ").types_unseen("975310");
    for _ in 0..2 {
        person
            .expect("Approval PIN so far: ")
            .types_unseen("111111");
    }
    let ended = person.ends();
    assert_eq!(ended.code, 4, "{}", ended.terminal);
    let answer: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(answer["error"]["code"], "pin_wrong");
}

#[test]
fn who_says_no_is_heard() {
    let (world, _serving) = serving();
    let (mut agent, code) = asking(&world);
    assert_eq!(
        world.run(&["deny", &code]).exits(0).stdout(),
        format!("Denied {code}. The agent was given nothing.\n")
    );
    assert_eq!(
        agent.line().map(|line| line.contains("approval_denied")),
        Some(true)
    );
    assert_eq!(agent.ends(), 4);
    world.run(&["deny", &code]).exits(1);
}

#[test]
fn a_code_that_nobody_shows_is_not_asked_a_pin_for() {
    let (world, _serving) = serving();
    let ended = Session::start(&world, &["approve", "BCDF-GHJK"]).ends();
    assert_eq!(ended.code, 1, "{}", ended.terminal);
    assert!(!ended.terminal.contains("PIN"), "{}", ended.terminal);
}
