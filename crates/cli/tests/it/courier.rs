//! The courier as a process: what it takes, what it survives, and what it leaves.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use doorward_core::ids::FlightId;
use doorward_core::provider::{Manifest, Provider};
use doorward_core::secret::FlightKey;
use fastio_sim::{Fault, Hang, Kind, Sim};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

use crate::pty::Session;
use crate::world::{BINARY, World};

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "a-refresh-token-that-is-seen-nowhere";

/// A flight that was announced, and the order for its courier.
struct Announced {
    world: World,
    sim: Sim,
    flight: FlightId,
    timeout: Duration,
}

impl Announced {
    async fn new() -> Self {
        let announced = Self {
            world: World::new(),
            sim: Sim::builder().start().await.unwrap(),
            flight: FlightId::from_random([7; 16]),
            timeout: PATIENCE,
        };
        fs::create_dir_all(announced.spool()).unwrap();
        File::create(announced.file("flight")).unwrap();
        announced
    }

    fn spool(&self) -> PathBuf {
        self.world.data().join("spool")
    }

    fn file(&self, part: &str) -> PathBuf {
        self.spool().join(format!("{}.{part}", self.flight))
    }

    fn order(&self) -> String {
        let manifest = Manifest::fastio().unwrap();
        let manifest = manifest.at_base(self.sim.base_url()).unwrap();
        let id = "5d3c0c3e-6a64-4e0b-9a0e-0d6f7a5c4b11";
        let order = json!({
            "place": { "tenant": id, "connection": id, "generation": 1, "flight": self.flight },
            "key": FlightKey::from_random([8; 32]).expose(),
            "data": self.world.data(),
            "provider": Provider::resolve(&manifest, None).unwrap(),
            "client": { "client_id": "doorward", "authentication": "none", "registration": null },
            "secret": null,
            "refresh": TOKEN,
            "timeout_ms": u64::try_from(self.timeout.as_millis()).unwrap(),
            "now": 1_777_000_000_000_i64,
        });
        order.to_string()
    }

    /// A courier with this on its standard input. Like every child of a broker it is in its parent's session.
    fn courier(&self, order: &str) -> Child {
        let mut child = self
            .world
            .program(BINARY)
            .arg("courier")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that refuses does not read.
        let _refused = child.stdin.take().unwrap().write_all(order.as_bytes());
        child
    }

    fn hang(&self) {
        let hang = Fault::on(Kind::TokenRefresh).hang(Hang::BeforeWork);
        self.sim.queue_fault(hang);
    }

    async fn is_sent(&self) {
        within(self.sim.wait_until_hanging(Kind::TokenRefresh)).await;
    }

    fn sent(&self) -> u64 {
        self.sim.counts().of(Kind::TokenRefresh)
    }
}

struct Ended {
    code: i32,
    report: Value,
    said: String,
}

impl Ended {
    /// Why it refused.
    fn refused(&self) -> &str {
        self.report["refused"].as_str().unwrap_or_default()
    }
}

async fn ended(child: Child) -> Ended {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = within(output).await.unwrap().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        said: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("this comes in time")
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "this does not come about: {what}");
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// The process that carries a flight: it holds the lock on its ticket.
fn carrier(announced: &Announced) -> Option<Pid> {
    let ticket = fs::metadata(announced.file("flight")).ok()?.ino();
    // A line ends with the process, the file, and the range: `FLOCK ADVISORY WRITE 4711 fd:01:1234 0 EOF`.
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let holds = |line: &str| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let inode = words.get(5)?.rsplit(':').next()?;
        let pid = words.get(4)?.parse().ok()?;
        (inode == ticket.to_string()).then_some(pid)
    };
    locks.lines().find_map(holds).and_then(Pid::from_raw)
}

#[tokio::test]
async fn by_hand_it_does_nothing_and_says_so() {
    let announced = Announced::new().await;
    let cut_off = &announced.order()[..200];
    for order in ["", "hello", "{}", cut_off] {
        let ended = ended(announced.courier(order)).await;
        assert_eq!(ended.code, 2, "{order}");
        assert!(
            ended.said.contains("started by Doorward itself"),
            "{}",
            ended.said
        );
    }
    let mut session = Session::start(&announced.world, &["courier"]);
    session.expect("started by Doorward itself");
    assert_eq!(session.ends().code, 2);
    assert_eq!(announced.sent(), 0);
    let help = announced.world.run(&["--help"]).exits(0);
    assert!(!help.stdout().contains("courier"), "{}", help.stdout());
}

#[tokio::test]
async fn an_order_is_carried_once_and_its_reply_is_on_the_disk_before_it_is_reported() {
    let announced = Announced::new().await;
    let first = ended(announced.courier(&announced.order())).await;
    assert_eq!(first.code, 0, "{}", first.said);
    let kept = fs::read(announced.file("reply")).unwrap();
    assert!(first.report["landed"].as_str().unwrap().len() > kept.len());
    let again = ended(announced.courier(&announced.order())).await;
    assert_eq!(again.code, 1);
    assert!(again.refused().contains("sent already"), "{}", again.report);
    assert_eq!(fs::read(announced.file("reply")).unwrap(), kept);
    assert_eq!(announced.sent(), 1);
}

#[tokio::test]
async fn two_couriers_of_one_flight_are_one_too_many() {
    let announced = Announced::new().await;
    announced.hang();
    let first = announced.courier(&announced.order());
    announced.is_sent().await;
    let second = ended(announced.courier(&announced.order())).await;
    assert_eq!(second.code, 1);
    assert!(
        second.refused().contains("another courier"),
        "{}",
        second.report
    );
    announced.sim.clear_faults();
    assert_eq!(ended(first).await.code, 0);
    assert_eq!(announced.sent(), 1);
}

#[tokio::test]
async fn a_flight_that_nobody_waits_for_is_not_sent() {
    let announced = Announced::new().await;
    fs::remove_file(announced.file("flight")).unwrap();
    let ended = ended(announced.courier(&announced.order())).await;
    assert_eq!(ended.code, 1);
    assert!(ended.refused().contains("nobody waits"), "{}", ended.report);
    assert_eq!(announced.sent(), 0);
    assert_eq!(fs::read_dir(announced.spool()).unwrap().count(), 0);
}

#[tokio::test]
async fn it_outlives_a_killed_parent_a_closed_pipe_and_every_signal_that_can_be_ignored() {
    let announced = Announced::new().await;
    announced.hang();
    let order = announced.world.path("order");
    fs::write(&order, announced.order()).unwrap();
    // The parent and both ends of the pipes are one group, which is killed as a whole.
    let mut parent = announced
        .world
        .program("sh")
        .args(["-c", r#"cat "$1" | "$2" courier | cat"#, "sh"])
        .args([order.as_os_str(), BINARY.as_ref()])
        .process_group(0)
        .spawn()
        .unwrap();
    announced.is_sent().await;
    let courier = carrier(&announced).expect("one carries the flight");
    kill_process_group(pid(&parent), Signal::KILL).unwrap();
    parent.wait().unwrap();
    for signal in [
        Signal::TERM,
        Signal::INT,
        Signal::HUP,
        Signal::QUIT,
        Signal::PIPE,
        Signal::USR1,
    ] {
        kill_process(courier, signal).unwrap();
    }
    assert_eq!(carrier(&announced), Some(courier));
    announced.sim.clear_faults();
    until("the reply is kept", || announced.file("reply").exists()).await;
    until("it is gone", || carrier(&announced).is_none()).await;
    assert_eq!(announced.sent(), 1);
}

#[tokio::test]
async fn it_ends_in_time_when_the_provider_is_silent_and_says_that_the_reply_was_lost() {
    let announced = Announced {
        timeout: Duration::from_millis(300),
        ..Announced::new().await
    };
    announced.hang();
    let ended = ended(announced.courier(&announced.order())).await;
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert!(ended.report["landed"].is_string());
    assert!(announced.file("reply").exists());
}

/// It waits for an order only so long: whoever starts one writes at once.
#[tokio::test]
async fn it_does_not_wait_for_ever_for_an_order() {
    let announced = Announced::new().await;
    let mut command = announced.world.program(BINARY);
    command.arg("courier").stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let silent = child.stdin.take();
    let waited = tokio::task::spawn_blocking(move || child.wait());
    assert!(!within(waited).await.unwrap().unwrap().success());
    drop(silent);
}

#[tokio::test]
async fn it_gives_nothing_away_while_it_flies() {
    let announced = Announced::new().await;
    announced.hang();
    let courier = announced.courier(&announced.order());
    announced.is_sent().await;
    let seen = |what: &str| {
        let mut text = Vec::new();
        let path = format!("/proc/{}/{what}", courier.id());
        // What others may not read gives nothing away.
        let read = File::open(path).and_then(|mut file| file.read_to_end(&mut text));
        assert!(read.is_ok() || what == "environ", "{what}: {read:?}");
        String::from_utf8_lossy(&text).into_owned()
    };
    let (key, order) = (FlightKey::from_random([8; 32]), announced.order());
    for what in ["cmdline", "environ"] {
        for secret in [TOKEN, key.expose(), &order] {
            assert!(!seen(what).contains(secret), "{what}");
        }
    }
    let limits = seen("limits");
    let cores = limits.lines().find(|line| line.contains("core file"));
    assert!(cores.unwrap().contains(" 0 "), "{cores:?}");
    let session = Command::new("ps")
        .args(["-o", "sid=", "-p", &courier.id().to_string()])
        .output()
        .unwrap();
    let session = String::from_utf8(session.stdout).unwrap();
    assert_eq!(session.trim(), courier.id().to_string(), "of its own");
    announced.sim.clear_faults();
    let ended = ended(courier).await;
    let written = [
        fs::read(announced.file("reply")).unwrap(),
        fs::read(announced.file("flight")).unwrap(),
        ended.said.into_bytes(),
        ended.report.to_string().into_bytes(),
    ];
    for bytes in written {
        let found = bytes
            .windows(TOKEN.len())
            .any(|part| part == TOKEN.as_bytes());
        assert!(!found);
    }
}
