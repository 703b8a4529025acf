//! One person's machine: folders, a provider, perhaps a keyring, and the commands they type.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fastio_sim::{Consent, Knobs, Sim};
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::{Agent, Answer, Asked, Browser, client};
use crate::keyring::Keyring;
use crate::process::{Process, Ran, Stdin, Typist};
use crate::programs;

/// Opens the store of a world without a keyring. Long and odd, so that a byte scan cannot find it by accident.
pub const PASSPHRASE: &str = "seven herons & a kettle of brass";
/// What the person types to approve. The same.
pub const PIN: &str = "Heron-48-kettle";

/// Held while a `doctor` runs.
static DOCTOR: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where the store's key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// [`PASSPHRASE`], from a file that the person names.
    Passphrase,
    /// A real OS keyring.
    Keyring,
}

/// How a world is to be.
pub struct Builder {
    keys: Keys,
    bus: bool,
    knobs: Knobs,
}

impl Builder {
    /// Keeps the store's key in an OS keyring.
    #[must_use]
    pub fn keyring(mut self) -> Self {
        self.keys = Keys::Keyring;
        self
    }

    /// Has a session bus and a keyring on it, whether or not the store's key is there.
    #[must_use]
    pub(crate) fn bus(mut self) -> Self {
        self.bus = true;
        self
    }

    /// Turns knobs of the provider.
    #[must_use]
    pub fn knobs(mut self, turn: impl FnOnce(&mut Knobs)) -> Self {
        turn(&mut self.knobs);
        self
    }

    /// Makes it.
    pub async fn build(self) -> World {
        let keyring = if self.bus || self.keys == Keys::Keyring {
            Some(Keyring::open().await)
        } else {
            None
        };
        let folder = tempfile::Builder::new()
            .prefix("doorward-")
            .tempdir()
            .expect("a scratch folder");
        for below in ["home", "data", "config", "cache", "state", "run", "aside"] {
            let path = folder.path().join(below);
            std::fs::create_dir(&path).expect("it can be made");
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(path, private).expect("it is ours");
        }
        std::fs::write(folder.path().join("aside/passphrase"), PASSPHRASE)
            .expect("it can be written");
        let sim = Sim::builder()
            .knobs(self.knobs)
            .start()
            .await
            .expect("the simulator starts");
        World {
            sim,
            keys: self.keys,
            keyring,
            folder,
        }
    }
}

/// A machine with nothing on it yet.
pub struct World {
    /// The provider. It runs in the test's process and is reached over HTTP like any other.
    pub sim: Sim,
    keys: Keys,
    keyring: Option<Keyring>,
    folder: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        // A process that was just killed may still be writing there, for longer where others keep the machine busy.
        for _ in 0..50_000 {
            if std::fs::remove_dir_all(self.folder.path()).is_ok() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

/// A running `doorward serve`. Killed when dropped.
pub struct Served {
    /// The process.
    pub process: Process,
    /// Where the gateway listens.
    pub url: String,
}

impl Served {
    /// Ends it as a person would, and waits for its end.
    pub async fn stop(self) -> Ran {
        self.process.terminate();
        self.process.ended().await
    }
}

/// `doorward connect`, waiting for the person's answer in the browser.
pub struct Connecting {
    /// The process.
    pub process: Process,
    /// The address the person opens.
    pub url: String,
}

impl World {
    /// A world whose store opens with a passphrase.
    pub async fn new() -> Self {
        Self::builder().build().await
    }

    /// A world to be described further.
    pub fn builder() -> Builder {
        Builder {
            keys: Keys::Passphrase,
            bus: false,
            knobs: Knobs::default(),
        }
    }

    /// Where the store's key comes from.
    pub fn keys(&self) -> Keys {
        self.keys
    }

    /// The session bus, where there is one.
    pub(crate) fn bus(&self) -> Option<&str> {
        self.keyring.as_ref().map(Keyring::bus)
    }

    /// The scratch folder; all of the world's folders lie below.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the store.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data/doorward")
    }

    /// The folders in which Doorward may leave something: data, config, cache, state with its logs, runtime, home.
    pub fn kept(&self) -> Vec<PathBuf> {
        ["data", "config", "cache", "state", "run", "home"]
            .map(|below| self.folder().join(below))
            .into()
    }

    /// The log of `serve`.
    pub fn log(&self) -> PathBuf {
        self.folder().join("state/doorward/log/doorward.log")
    }

    /// The environment of every process: made from nothing.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let at = |below: &str| self.folder().join(below).into_os_string();
        let no_bus = format!("unix:path={}", self.folder().join("no-bus").display());
        let bus = self.bus().map_or(no_bus, str::to_owned);
        vec![
            ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
            ("HOME".into(), at("home")),
            ("TMPDIR".into(), at("aside")),
            ("XDG_DATA_HOME".into(), at("data")),
            ("XDG_CONFIG_HOME".into(), at("config")),
            ("XDG_CACHE_HOME".into(), at("cache")),
            ("XDG_STATE_HOME".into(), at("state")),
            ("XDG_RUNTIME_DIR".into(), at("run")),
            ("DBUS_SESSION_BUS_ADDRESS".into(), bus.into()),
            // As talkative as it gets: what must not be in a log must not be there at any level.
            ("DOORWARD_LOG".into(), "trace".into()),
        ]
    }

    fn words(&self, arguments: &[&str]) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if self.keys == Keys::Passphrase {
            words.extend([
                "--passphrase-file".into(),
                self.folder().join("aside/passphrase").into(),
            ]);
        }
        words.extend(arguments.iter().map(OsString::from));
        words
    }

    /// Starts a command with nothing to read and no terminal.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.start_with(arguments, &[])
    }

    /// The same, with more in its environment.
    pub fn start_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Process {
        let mut environment = self.environment();
        environment.extend(more.iter().map(|(name, value)| (name.into(), value.into())));
        Process::start(
            &programs::doorward(),
            &self.words(arguments),
            environment,
            Stdin::Empty,
        )
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[]).await
    }

    /// The same, with more in its environment.
    pub async fn run_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
        // Each one looks whether the usual port is free by taking it for a moment: two at once would see each other.
        let alone = if arguments.contains(&"doctor") {
            Some(DOCTOR.lock().await)
        } else {
            None
        };
        let ran = self.start_with(arguments, more).ended().await;
        drop(alone);
        ran
    }

    /// Runs a command with `--json`, expects it to succeed, and takes its answer.
    pub async fn ask(&self, arguments: &[&str]) -> Value {
        self.run(&[&["--json"], arguments].concat())
            .await
            .done()
            .json()
    }

    /// Runs a command at a terminal where a person answers its questions in turn.
    pub async fn at_terminal(&self, arguments: &[&str], answers: &[&str]) -> Ran {
        let (terminal, typist) = Typist::sit_down();
        let words = self.words(arguments);
        let process = Process::start(
            &programs::doorward(),
            &words,
            self.environment(),
            Stdin::Terminal(terminal),
        );
        // Typing ends with the process: its terminal is closed then.
        let ((), mut ran) = tokio::join!(typist.type_in(answers), process.ended());
        ran.terminal = typist.screen();
        ran
    }

    /// Starts `doorward serve` and waits until it listens.
    pub async fn serve(&self) -> Served {
        self.serve_with(&[]).await
    }

    /// The same, with more flags.
    pub async fn serve_with(&self, flags: &[&str]) -> Served {
        let keys = match self.keys {
            Keys::Passphrase => "passphrase",
            Keys::Keyring => "keyring",
        };
        let arguments = [&["--json", "serve", "--port", "0", "--keys", keys], flags].concat();
        Self::listening(self.start(&arguments)).await
    }

    /// The same, started by another program and with more in its environment.
    pub async fn serve_within(&self, wrapper: &[&str], more: &[(&str, &str)]) -> Served {
        let serve = self.words(&["--json", "serve", "--port", "0", "--keys", "passphrase"]);
        let mut words: Vec<OsString> = wrapper.iter().map(OsString::from).collect();
        words.push(programs::doorward().into());
        words.extend(serve);
        let mut environment = self.environment();
        environment.extend(more.iter().map(|(name, value)| (name.into(), value.into())));
        let program = PathBuf::from(&words[0]);
        let process = Process::start(&program, &words[1..], environment, Stdin::Empty);
        Self::listening(process).await
    }

    async fn listening(process: Process) -> Served {
        let line = process.line().await;
        let ready: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("serve says {line:?}{}", process.said()));
        let Some(url) = ready["url"].as_str() else {
            panic!("serve does not listen: {line}{}", process.said());
        };
        Served {
            url: url.to_owned(),
            process,
        }
    }

    /// The person sets the approval PIN: [`PIN`].
    pub async fn set_pin(&self) -> Ran {
        self.at_terminal(&["pin"], &[PIN, PIN]).await.done()
    }

    /// Begins to connect the provider; `flags` are those of `doorward connect`.
    pub async fn begin_connect(&self, flags: &[&str]) -> Connecting {
        let base = self.sim.base_url();
        let arguments = [
            &[
                "--json",
                "connect",
                "fastio",
                "--base",
                base,
                "--no-browser",
            ],
            flags,
        ]
        .concat();
        let process = self.start(&arguments);
        let line = process.line().await;
        let started: Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(url) = started["url"].as_str() else {
            panic!("connect says {line:?}{}", process.said());
        };
        Connecting {
            url: url.to_owned(),
            process,
        }
    }

    /// Answers a consent in the browser, which ends on Doorward's own page.
    pub async fn consent(&self, url: &str, consent: &Consent) -> Answer {
        let redirect = self
            .sim
            .approve(url, consent)
            .await
            .expect("the consent page can be answered");
        Browser::land(&redirect).await
    }

    /// Connects and answers; what the person is told in the end, whatever it is.
    pub async fn try_connect(&self, flags: &[&str], consent: &Consent) -> Ran {
        let connecting = self.begin_connect(flags).await;
        self.consent(&connecting.url, consent).await;
        connecting.process.ended().await
    }

    /// Connects the provider and gives the connection as the person sees it.
    pub async fn connect(&self, flags: &[&str], consent: &Consent) -> Value {
        self.try_connect(flags, consent).await.done().json()
    }

    /// A program that was not let in yet.
    pub fn stranger(&self) -> Agent {
        Agent::new(&self.folder().join("run/doorward/endpoint.json"))
    }

    /// Starts the sample agent as a program of the person's own, which asks to be let in and then watches a workspace.
    pub fn start_agent(&self, name: &str, scope: &str, workspace: &str) -> Process {
        let connection = scope.split(':').next().unwrap_or_default();
        let folder = self.folder().join("home/agents");
        std::fs::create_dir_all(&folder).expect("it can be made");
        let script = format!("{}.py", name.to_lowercase().replace(' ', "-"));
        std::fs::copy(
            programs::repository().join("tests/demo/agent.py"),
            folder.join(&script),
        )
        .expect("it can be copied");
        // Begun in its own folder by a shell, and found where the system keeps its programs: so a person starts it.
        let command = format!(
            "cd '{}' && PATH=/usr/bin:/bin setpriv --pdeathsig KILL python3 {script} --name '{name}' --scope '{scope}' \
             --connection {connection} --workspace {workspace} --api {}; exit",
            folder.display(),
            self.sim.api_base(),
        );
        let environment = self.environment();
        Process::start(
            Path::new("sh"),
            &["-c", &command],
            environment,
            Stdin::Empty,
        )
    }

    /// The person approves a code as it was asked, or with flags of `doorward approve`.
    pub async fn approve(&self, code: &str, flags: &[&str]) -> Ran {
        self.at_terminal(&[&["--json", "approve", code], flags].concat(), &[PIN])
            .await
    }

    /// An agent asks over HTTP, the person approves, and the agent fetches its key.
    pub async fn pair(&self, name: &str, scope: &str) -> Agent {
        let agent = self.stranger();
        let asked = agent.ask(name, scope).await;
        self.approve(&asked.user_code, &[]).await.done();
        self.fetch_key(&agent, &asked).await
    }

    /// The agent fetches the key that it was given.
    pub async fn fetch_key(&self, agent: &Agent, asked: &Asked) -> Agent {
        let key = agent.poll(asked).await.expect(200).text("access_token");
        agent.with_key(&key)
    }

    /// Lists the files of a workspace at the provider, with a token.
    pub async fn list_files(&self, workspace: &str, access_token: &str) -> Answer {
        let url = format!(
            "{}workspace/{workspace}/storage/root/list/",
            self.sim.api_base()
        );
        Answer::to(client().get(url).bearer_auth(access_token)).await
    }

    /// The connections, as the person sees them.
    pub async fn connections(&self) -> Vec<Value> {
        self.ask(&["connections"])
            .await
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Whether the audit log verifies; panics with what is wrong where it does not.
    pub async fn verify_audit(&self) -> u64 {
        let verified = self.ask(&["audit", "verify"]).await;
        verified["rows"]
            .as_u64()
            .unwrap_or_else(|| panic!("the audit log does not verify: {verified}"))
    }
}
