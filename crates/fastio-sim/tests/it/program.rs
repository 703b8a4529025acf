use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fastio-sim"));
    command
        .kill_on_drop(true)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn the_program_tells_where_it_listens_and_ends_on_sigterm() {
    let ready = std::env::temp_dir().join(format!("fastio-sim-ready-{}.json", std::process::id()));
    let mut running = program()
        .args([
            "--port",
            "0",
            "--control-port",
            "0",
            "--knob",
            "refresh_rotation=keep",
        ])
        .arg("--ready-file")
        .arg(&ready)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(running.stdout.take().expect("its output")).lines();
    let line = lines.next_line().await.expect("readable").expect("a line");
    let urls: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let in_file = std::fs::read_to_string(&ready).expect("the ready file");
    std::fs::remove_file(&ready).expect("removable");
    assert_eq!(in_file.trim_end(), line);

    let control = urls["control_url"].as_str().expect("a URL");
    let knobs = reqwest::get(format!("{control}/knobs"))
        .await
        .expect("an answer");
    let knobs: serde_json::Value = knobs.json().await.expect("JSON");
    assert_eq!(knobs["refresh_rotation"], "keep");
    let api = urls["api_base"].as_str().expect("a URL");
    assert!(
        reqwest::get(format!("{api}ping/"))
            .await
            .expect("an answer")
            .status()
            .is_success()
    );

    let pid = running.id().expect("it runs").to_string();
    let signalled = Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .await
        .expect("kill");
    assert!(signalled.success());
    assert!(running.wait().await.expect("it ends").success());
}

#[tokio::test]
async fn an_unknown_knob_is_refused_by_name() {
    let output = program()
        .args(["--knob", "no_such=1"])
        .output()
        .await
        .expect("it ends");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no_such"));
}
