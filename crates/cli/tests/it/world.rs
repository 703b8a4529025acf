//! One person's machine: folders, environment, and the processes that a test starts on them.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_doorward");
pub(crate) const PASSPHRASE: &str = "a passphrase for tests";

/// Scratch folders, gone with the test.
pub(crate) struct World {
    root: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            root: tempfile::tempdir().unwrap(),
        };
        for folder in ["home", "run"] {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(world.path(folder))
                .unwrap();
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(world.passphrase_file());
        std::io::Write::write_all(file.as_mut().unwrap(), format!("{PASSPHRASE}\n").as_bytes())
            .unwrap();
        world
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub(crate) fn passphrase_file(&self) -> PathBuf {
        self.path("passphrase")
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("home/.local/share/doorward")
    }

    /// `config.toml`.
    pub(crate) fn configure(&self, text: &str) {
        let folder = self.path("home/.config/doorward");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), text).unwrap();
    }

    /// A program in this world.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .current_dir(self.root.path())
            .stdin(Stdio::null());
        command
    }

    /// `doorward`, in a session of its own: without a terminal, also where the test has one.
    pub(crate) fn doorward(&self, arguments: &[&str]) -> Command {
        let mut command = self.program("setsid");
        command.arg(BINARY).args(arguments);
        command
    }

    /// Runs `doorward` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.ran(self.doorward(arguments))
    }

    /// Runs `doorward` with the store's passphrase at hand.
    pub(crate) fn run_unlocking(&self, arguments: &[&str]) -> Ran {
        let file = self.passphrase_file();
        let mut all = vec!["--passphrase-file", file.to_str().unwrap()];
        all.extend(arguments);
        self.run(&all)
    }

    pub(crate) fn ran(&self, mut command: Command) -> Ran {
        let shown = format!("{command:?}");
        let output = command.output().unwrap();
        Ran {
            command: shown,
            output,
            root: self.root.path().to_owned(),
        }
    }

    /// A `doorward serve` that is ready, on a port of its own, with an open store.
    pub(crate) fn serve(&self) -> Serving {
        let file = self.passphrase_file();
        self.serve_with(&[
            "--keys",
            "passphrase",
            "--passphrase-file",
            file.to_str().unwrap(),
        ])
    }

    pub(crate) fn serve_with(&self, arguments: &[&str]) -> Serving {
        let mut all = vec!["--json", "serve", "--port", "0"];
        all.extend(arguments);
        let mut command = self.doorward(&all);
        command
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.path("serve.err")).unwrap());
        let mut process = Process::spawn(command);
        let Some(line) = process.line() else {
            let said = std::fs::read_to_string(self.path("serve.err")).unwrap_or_default();
            panic!("doorward serve did not start:\n{said}");
        };
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        assert_eq!(ready["pid"].as_u64(), Some(u64::from(process.id())));
        Serving { url, process }
    }

    /// What the running `doorward serve` has written to standard error.
    pub(crate) fn serve_said(&self) -> String {
        std::fs::read_to_string(self.path("serve.err")).unwrap()
    }
}

/// What a command did.
pub(crate) struct Ran {
    command: String,
    output: Output,
    root: PathBuf,
}

impl Ran {
    pub(crate) fn code(&self) -> i32 {
        self.output.status.code().unwrap_or(-1)
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code(),
            code,
            "{}\n--- stdout\n{}\n--- stderr\n{}\n--- files\n{}",
            self.command,
            self.stdout(),
            self.stderr(),
            files(&self.root)
        );
        self
    }

    /// Standard output as the JSON it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout()).unwrap_or_else(|error| {
            panic!(
                "{}: {error}\n{}\n{}",
                self.command,
                self.stdout(),
                self.stderr()
            )
        })
    }

    /// Everything, as a snapshot shows it.
    pub(crate) fn shown(&self) -> String {
        let text = format!(
            "exit {}\n-- out\n{}-- err\n{}",
            self.code(),
            self.stdout(),
            self.stderr()
        );
        cleaned(&self.root, &text)
    }
}

fn cleaned(root: &Path, text: &str) -> String {
    crate::clean::clean(root, text)
}

fn files(folder: &Path) -> String {
    let mut listed = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
            listed.push(entry.path().display().to_string());
        }
    }
    listed.join("\n")
}

/// A process that ends with the test.
pub(crate) struct Process {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard output.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.stdout.as_mut()?.read_line(&mut line).unwrap();
        (length > 0).then_some(line)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap();
        // A process that has ended already needs no signal.
        let _sent: Result<(), rustix::io::Errno> = rustix::process::kill_process(pid, signal);
    }

    /// Waits for its end.
    pub(crate) fn ends(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            let _ended = self.child.wait();
        }
    }
}

/// A `doorward serve` that is ready.
pub(crate) struct Serving {
    pub(crate) url: String,
    pub(crate) process: Process,
}
