//! The bench in full: all cases, and the table.

use std::fmt::Write as _;
use std::process::Command;

use doorward_e2e::repository;

use super::row::{Row, broken_promises, table};
use super::scale::FULL;
use super::{BUSY, Case, WAITING};

/// Where the table goes, where it is to be kept.
const DOCUMENT: &str = "DOORWARD_BENCH_DOCUMENT";

#[test]
#[ignore = "bench: a quarter of an hour; `make bench-refresh` plays it"]
fn bench_refresh_loses_no_grant() {
    let waiting = std::thread::spawn(|| played(WAITING));
    let mut rows = played(BUSY);
    rows.extend(waiting.join().expect("it catches what its cases throw"));
    let document = document(&rows);
    println!("{document}");
    if let Some(path) = std::env::var_os(DOCUMENT) {
        std::fs::write(repository().join(path), document).expect("it can be written");
    }
    let broken = broken_promises(&rows);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Plays cases one after another, each on a thread of its own, so that one that cannot be played to its end does not take
/// the table with it. `DOORWARD_BENCH_CASES` names those to play, with commas between.
#[expect(clippy::print_stdout, reason = "who waits for it sees how far it is")]
fn played(cases: &'static [Case]) -> Vec<Row> {
    let wanted = std::env::var("DOORWARD_BENCH_CASES").ok();
    let is_wanted = |name: &str| {
        wanted
            .as_deref()
            .is_none_or(|wanted| wanted.split(',').any(|one| one == name))
    };
    let mut rows = Vec::new();
    for (name, case) in cases.iter().filter(|(name, _)| is_wanted(name)) {
        let playing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(case(FULL))
        });
        match playing.join() {
            Ok(found) => rows.extend(found),
            Err(thrown) => rows.push(Row::unfinished(name, &told(thrown.as_ref()))),
        }
        println!("{}", table(&rows));
    }
    rows
}

fn told(thrown: &(dyn std::any::Any + Send)) -> String {
    let text = thrown
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| thrown.downcast_ref::<&str>().copied());
    let first = text.and_then(|text| text.lines().next());
    first.unwrap_or("it failed").replace('|', "\\|")
}

fn document(rows: &[Row]) -> String {
    let mut text = ABOUT.to_owned();
    let _written = writeln!(text, "## The latest run\n\n{}\n", machine());
    text.push_str(&table(rows));
    text
}

fn machine() -> String {
    let of = |program: &str, arguments: &[&str]| {
        let ran = Command::new(program)
            .args(arguments)
            .current_dir(repository())
            .output();
        let said = ran.map(|ran| String::from_utf8_lossy(&ran.stdout).trim().to_owned());
        said.unwrap_or_default()
    };
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    format!(
        "Commit {}, {build} build, Linux {}, {} cores.",
        of("git", &["rev-parse", "--short", "HEAD"]),
        of("uname", &["-r"]),
        of("nproc", &[])
    )
}

const ABOUT: &str = "\
# Benchmarks of the refresh

Made by `make bench-refresh`, which writes this page. `make test` plays the same cases small.

Every way in which a refresh is known to go wrong, played with real processes: `doorward serve`, its commands, agents over HTTP, the simulated Fast.io and npm's [oidc-provider](https://github.com/panva/node-oidc-provider), both with rotation and, where a case does not say otherwise, with the rule that a spent refresh token that comes back ends the grant, with no grace. The code is in [tests/it/refresh_bench](../tests/it/refresh_bench).

- **Refreshes sent** are those that reached the provider.
- **Callers answered** got a token; those **told to ask again** got 429 or 503 (or 502 with `Retry-After`). A caller that gets neither fails the case, unless its grant had ended or Doorward was killed.
- **Grants lost** lived at the provider when Doorward gave them up, or were ended there by something that Doorward did. It has to be 0. **Grants ended** were ended by the provider's rules or by the person, in cases in which nothing else can be: no reply came, and none can come.
- **Person asked** has to be as often as a grant ended.
- **Wait, token good**: the longest wait of a caller whose token had not ended, with a refresh stuck. **Wait, token ended**: the longest wait of the others; where the provider's reply was held back, counted from when it was let go.
- A grant counts as kept once it has brought one more token that works: a good access token says nothing of the refresh token behind it. That refresh is not counted.

What is not as it is in life: the simulator runs in the process that asks, and all of it on loopback. The wall clock is moved by libfaketime, of which the kernel knows nothing. Sleep is a stopped process that is told how long the machine has slept, which only a build for tests listens to; so the programs are built as tests build them, and optimised ones are faster.

";
