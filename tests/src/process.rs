//! Processes that end with the value that holds them, and everything they say.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};
use rustix::pty::OpenptFlags;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::PATIENCE;

/// What a process reads.
pub(crate) enum Stdin {
    /// Nothing.
    Empty,
    /// What the test writes.
    Piped,
    /// A terminal, which is the controlling one too.
    Terminal(File),
}

/// A running program. Killed when dropped.
pub struct Process {
    what: String,
    child: Child,
    heard: [Heard; 2],
    // Folders that must outlive the process.
    kept: Vec<tempfile::TempDir>,
}

/// What came out of a stream so far.
struct Heard {
    text: Arc<Mutex<Vec<u8>>>,
    length: watch::Receiver<usize>,
    reader: Option<JoinHandle<()>>,
}

impl Heard {
    fn listen(mut stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let (grown, length) = watch::channel(0);
        let reader = tokio::spawn({
            let text = Arc::clone(&text);
            async move {
                let mut chunk = [0; 4096];
                // A terminal whose other end was closed answers with an error: that is its end of file.
                while let Ok(read @ 1..) = stream.read(&mut chunk).await {
                    let mut text = text.lock().expect("nobody panics with it");
                    text.extend_from_slice(&chunk[..read]);
                    grown.send_replace(text.len());
                }
            }
        });
        Self {
            text,
            length,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("nobody panics with it")).into_owned()
    }

    /// Waits until what was said holds something; false where the stream ended without.
    async fn until(&self, holds: impl Fn(&str) -> bool) -> bool {
        let mut length = self.length.clone();
        loop {
            if holds(&self.text()) {
                return true;
            }
            if length.changed().await.is_err() {
                return holds(&self.text());
            }
        }
    }

    async fn drain(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.await.expect("a reader does not panic");
        }
        self.text()
    }
}

impl Process {
    /// Starts a program with this environment and no other.
    pub(crate) fn start<E: IntoIterator<Item = (OsString, OsString)>>(
        program: &Path,
        arguments: &[impl AsRef<OsStr>],
        environment: E,
        stdin: Stdin,
    ) -> Self {
        // The kernel ends it when the thread that started it is gone, however that came about.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "setsid"]);
        // A session of its own: with its own terminal or with none, but never that of whoever runs the tests.
        if matches!(stdin, Stdin::Terminal(_)) {
            command.arg("--ctty");
        }
        command
            .arg(program)
            .args(arguments)
            .env_clear()
            .envs(environment);
        command.stdin(match stdin {
            Stdin::Empty => Stdio::null(),
            Stdin::Piped => Stdio::piped(),
            Stdin::Terminal(terminal) => terminal.into(),
        });
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let words: Vec<_> = arguments
            .iter()
            .map(|word| word.as_ref().to_string_lossy())
            .collect();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let what = format!("{name} {}", words.join(" "));
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{what}: cannot be started (scripts/setup test): {error}")
        });
        let heard = [
            Heard::listen(child.stdout.take().expect("piped")),
            Heard::listen(child.stderr.take().expect("piped")),
        ];
        Self {
            what,
            child,
            heard,
            kept: Vec::new(),
        }
    }

    /// Lets a folder live as long as this.
    pub(crate) fn keep(&mut self, folder: tempfile::TempDir) {
        self.kept.push(folder);
    }

    /// Takes what it reads from.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("piped, and taken once")
    }

    /// The first line on its standard output.
    pub async fn line(&self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.maybe_line()).await;
        line.ok()
            .flatten()
            .unwrap_or_else(|| panic!("{} never said a line{}", self.what, self.said()))
    }

    /// The same; nothing where it ended before.
    pub async fn maybe_line(&self) -> Option<String> {
        let said = self.heard[0].until(|text| text.contains('\n')).await;
        let text = self.heard[0].text();
        said.then(|| text.lines().next().unwrap_or_default().to_owned())
    }

    /// Waits until its standard error holds a text.
    pub async fn complains(&self, text: &str) {
        let said = self.heard[1].until(|said| said.contains(text));
        let said = tokio::time::timeout(PATIENCE, said).await;
        assert!(
            matches!(said, Ok(true)),
            "{} never said {text:?}{}",
            self.what,
            self.said()
        );
    }

    /// Its number; nothing once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        let pid = self
            .child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // One that has just ended cannot be asked.
            let _asked = rustix::process::kill_process(pid, Signal::TERM);
        }
    }

    /// Ends it where it stands (SIGKILL), and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child
            .kill()
            .await
            .expect("a process of ours can be killed");
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ran {
        let Ok(status) = tokio::time::timeout(PATIENCE * 2, self.child.wait()).await else {
            panic!("{} does not end{}", self.what, self.said());
        };
        let status = status.expect("a child can be waited for");
        let stdout = self.heard[0].drain().await;
        let stderr = self.heard[1].drain().await;
        Ran {
            what: self.what.clone(),
            status,
            stdout,
            stderr,
            terminal: String::new(),
        }
    }

    /// All it said so far.
    pub fn said(&self) -> String {
        let [stdout, stderr] = &self.heard;
        format!(
            "\n--- standard output\n{}\n--- standard error\n{}",
            stdout.text(),
            stderr.text()
        )
    }
}

/// A program that has ended.
pub struct Ran {
    what: String,
    /// How.
    pub status: ExitStatus,
    /// What it answered.
    pub stdout: String,
    /// What it said beside.
    pub stderr: String,
    /// What stood on its terminal, if it had one.
    pub terminal: String,
}

impl Ran {
    /// Its exit code; -1 where a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Itself, where it ended well.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "often that is all there is to see"
    )]
    pub fn done(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Itself, where it ended with this code.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "often that is all there is to see"
    )]
    pub fn refused(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }

    /// The last JSON document of its answer.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            what,
            status,
            stdout,
            stderr,
            terminal,
        } = self;
        write!(
            formatter,
            "`{what}` ended with {status}\n--- standard output\n{stdout}\n--- standard error\n{stderr}\n--- terminal\n{terminal}"
        )
    }
}

/// A pseudo-terminal with a person at it, who answers each question as it comes.
pub(crate) struct Typist {
    ours: OwnedFd,
    screen: Heard,
}

impl Typist {
    /// A terminal, and the person at it.
    pub(crate) fn sit_down() -> (File, Self) {
        let ours =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
                .expect("a pseudo-terminal");
        rustix::pty::grantpt(&ours).expect("it is ours");
        rustix::pty::unlockpt(&ours).expect("it can be opened");
        let name = rustix::pty::ptsname(&ours, Vec::new()).expect("it has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(&name, flags, Mode::empty()).expect("it opens");
        let copy = ours.try_clone().expect("a second handle");
        let screen = Heard::listen(tokio::fs::File::from_std(File::from(copy)));
        (terminal.into(), Self { ours, screen })
    }

    /// Types each answer when a question has come up: the screen then ends with a colon and a blank.
    pub(crate) async fn type_in(&self, answers: &[&str]) {
        let mut seen = 0;
        for answer in answers {
            let is_asked = |text: &str| text.len() > seen && text.ends_with(": ");
            if !self.screen.until(is_asked).await {
                return;
            }
            seen = self.screen.text().len();
            self.write(format!("{answer}\n").as_bytes());
        }
    }

    fn write(&self, bytes: &[u8]) {
        // Where the program is gone, nobody reads.
        let _unread = rustix::io::write(&self.ours, bytes);
    }

    /// What stands on the screen.
    pub(crate) fn screen(&self) -> String {
        self.screen.text()
    }
}
