//! What goes wrong around Doorward: each thing gives its clear message and loses nothing.
//!
//! A case sets a stage (a connection, an agent that was let in), breaks something, reads what people and agents are
//! told, mends it, and goes on as if nothing had been.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use doorward_e2e::{Agent, Answer, Consent, PATIENCE, Ran, Served, World, doorward};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// A served world with a PIN, the connection `fastio` and an agent that may have its tokens.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) served: Served,
    pub(crate) agent: Agent,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::set_in(World::new().await).await
    }

    pub(crate) async fn set_in(world: World) -> Self {
        let served = world.serve().await;
        world.set_pin().await;
        world.connect(&[], &Consent::everything()).await;
        let agent = world.pair("Reporter", "fastio:token").await;
        agent.access_token("fastio").await;
        Self {
            world,
            served,
            agent,
        }
    }

    /// Ends `serve`, and leaves the rest.
    pub(crate) async fn stopped(self) -> (World, Agent) {
        self.served.stop().await.done();
        (self.world, self.agent)
    }
}

/// The connection, the agent and the audit log are as they were: the agent gets a token that works.
pub(crate) async fn intact(world: &World, agent: &Agent) {
    let token = agent.access_token("fastio").await;
    assert!(
        world.sim.probe_access_token(&token).live,
        "the token is good at the provider"
    );
    let [connection] = &world.connections().await[..] else {
        panic!("one connection")
    };
    assert_eq!(connection["health"]["state"], "connected", "{connection}");
    let agents = world.ask(&["agents"]).await;
    assert_eq!(
        (&agents[0]["name"], &agents[1]),
        (&"Reporter".into(), &serde_json::Value::Null)
    );
    world.verify_audit().await;
}

/// The same after starting Doorward again.
pub(crate) async fn intact_when_served(world: &World, agent: &Agent) {
    let served = world.serve().await;
    intact(world, agent).await;
    served.stop().await.done();
}

/// Takes out of snapshots what is another each time.
pub(crate) fn shown(world: &World) -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    let folder = world.folder().display().to_string();
    settings.add_filter(&folder.replace('.', "\\."), "[FOLDER]");
    settings.add_filter(r"(127\.0\.0\.1|\[::1\]):\d+", "$1:[PORT]");
    settings.add_filter(r"\bit(-[0-9a-f]+)? \(pid \d+\)", "[PROGRAM] (pid [PID])");
    settings.add_filter(r"(process|pid|kill) \d+", "$1 [PID]");
    settings.add_filter(r#""pid":\d+"#, "\"pid\":[PID]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[MOMENT]");
    settings.add_filter(r"\b(in )?\d+ (second|minute)s?( ago)?\b|just now", "[TIME]");
    settings.add_filter(r"\d+ MiB", "[SIZE]");
    settings.add_filter(
        r"workspace:\d+:rw( workspace:\d+:rw)*( and \d+ more)?",
        "[GRANTED]",
    );
    settings.bind_to_scope()
}

/// What a command said, and how it ended.
pub(crate) fn said(ran: &Ran) -> String {
    told(ran.code(), &ran.stdout, &ran.stderr)
}

fn told(code: i32, stdout: &str, stderr: &str) -> String {
    format!("[{code}]\n{stdout}{stderr}").trim_end().to_owned()
}

/// What an agent is told: the parts it acts on.
pub(crate) fn problem(answer: &Answer) -> String {
    let retry = answer
        .headers
        .get("retry-after")
        .map_or("", |_| ", Retry-After");
    let (status, code) = (answer.status, answer.code());
    format!(
        "{status} {code}{retry}\n{}\n  → {}",
        answer.text("detail"),
        answer.text("hint")
    )
}

/// What `doorward doctor` finds wrong.
pub(crate) async fn doctor(world: &World) -> String {
    complaints(&world.run(&["doctor"]).await)
}

/// The lines of a report that are not `ok`.
pub(crate) fn complaints(ran: &Ran) -> String {
    let well = |line: &&str| line.starts_with("ok ") || line.is_empty();
    // How a test machine is set up is not what these cases are about.
    let aside = |line: &&str| line.contains(" ptrace ");
    let lines = ran
        .stdout
        .lines()
        .filter(|line| !well(line) && !aside(line));
    format!("[{}]\n{}", ran.code(), lines.collect::<Vec<_>>().join("\n"))
}

/// A command in surroundings of its own: another user, another clock, something to read.
pub(crate) struct Wrapped<'a> {
    world: &'a World,
    wrapper: Vec<&'a str>,
    more: Vec<(OsString, OsString)>,
    stdin: Option<&'a str>,
}

impl<'a> Wrapped<'a> {
    pub(crate) fn in_world(world: &'a World) -> Self {
        Self {
            world,
            wrapper: Vec::new(),
            more: Vec::new(),
            stdin: None,
        }
    }

    /// Another program starts it.
    pub(crate) fn by(mut self, wrapper: &[&'a str]) -> Self {
        self.wrapper = wrapper.to_vec();
        self
    }

    /// With that in its environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.more.push((name.into(), value.into()));
        self
    }

    /// Reads that.
    pub(crate) fn reading(mut self, text: &'a str) -> Self {
        self.stdin = Some(text);
        self
    }

    /// Runs `doorward` to its end.
    pub(crate) async fn run(self, arguments: &[&str]) -> String {
        let program = doorward();
        self.run_program(&program, arguments).await
    }

    pub(crate) async fn run_program(self, program: &Path, arguments: &[&str]) -> String {
        let mut words: Vec<OsString> = self.wrapper.iter().map(OsString::from).collect();
        words.push(program.into());
        words.extend(arguments.iter().map(OsString::from));
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .envs(self.world.environment())
            .envs(self.more);
        command.stdin(if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{words:?}: {error}"));
        if let (Some(text), Some(mut stdin)) = (self.stdin, child.stdin.take()) {
            // A command that ended early reads nothing.
            let _unread = stdin.write_all(text.as_bytes()).await;
        }
        let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let ended = ended
            .unwrap_or_else(|_| panic!("{words:?} does not end"))
            .expect("it can be waited for");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        told(
            ended.status.code().unwrap_or(-1),
            &text(&ended.stdout),
            &text(&ended.stderr),
        )
    }
}

/// The file with the store's passphrase.
pub(crate) fn passphrase_file(world: &World) -> String {
    world
        .folder()
        .join("aside/passphrase")
        .display()
        .to_string()
}

/// Runs a program of the system and expects it to succeed.
#[track_caller]
pub(crate) fn system(program: &str, arguments: &[&str]) {
    let ran = std::process::Command::new(program).args(arguments).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program}: {error} (scripts/setup test)"));
    assert!(
        ran.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// Something mounted, taken away with this.
pub(crate) struct Mounted(String);

impl Mounted {
    /// Mounts; the arguments are those of `mount` without the place.
    pub(crate) fn at(place: &Path, arguments: &[&str]) -> Self {
        let place = place.display().to_string();
        system("mount", &[arguments, &[place.as_str()]].concat());
        Self(place)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a test that failed may have left a process in it, which ends a moment later.
        let unmounted = std::process::Command::new("umount")
            .args(["--lazy", &self.0])
            .status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0
        );
    }
}

/// The library that shows a program another clock.
pub(crate) fn faketime() -> String {
    let folders = ["x86_64-linux-gnu", "aarch64-linux-gnu", ""];
    let library = folders.map(|folder| format!("/usr/lib/{folder}/faketime/libfaketime.so.1"));
    let mut there = library.into_iter().filter(|path| Path::new(path).exists());
    there
        .next()
        .expect("faketime is installed (scripts/setup test)")
}
