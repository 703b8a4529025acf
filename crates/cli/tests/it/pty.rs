//! A person at a terminal: a pseudo-terminal that is the controlling terminal of the command under test.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::world::{BINARY, World};

/// A prompt that has not come by then does not come.
const PATIENCE: Duration = Duration::from_mins(1);

/// A command with a person in front of it.
pub(crate) struct Session {
    master: File,
    child: Child,
    seen: Arc<Seen>,
    read_to: usize,
}

/// What the terminal has shown.
#[derive(Default)]
struct Seen {
    text: Mutex<(String, bool)>,
    more: Condvar,
}

/// How a session ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    /// Standard output, which is not the terminal.
    pub(crate) stdout: String,
    /// What the terminal has shown.
    pub(crate) terminal: String,
}

impl Session {
    /// Runs `doorward` with a terminal. Its standard output is a pipe; its standard input is nothing it may read.
    pub(crate) fn start(world: &World, arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let name = std::ffi::OsStr::from_bytes(name.to_bytes()).to_owned();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags_noctty()
            .open(name)
            .unwrap();
        let mut command = world.program("setsid");
        command
            .args(["--ctty", BINARY])
            .args(arguments)
            .stdin(slave.try_clone().unwrap())
            .stdout(Stdio::piped())
            .stderr(slave);
        let child = command.spawn().unwrap();
        drop(command);
        let master = File::from(master);
        let seen = Arc::new(Seen::default());
        std::thread::spawn({
            let (master, seen) = (master.try_clone().unwrap(), Arc::clone(&seen));
            move || watch(master, &seen)
        });
        Self {
            master,
            child,
            seen,
            read_to: 0,
        }
    }

    /// Waits until the terminal shows a text that it had not shown at the last call.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> &mut Self {
        let seen = self.seen.text.lock().unwrap();
        let from = self.read_to;
        let waits = |seen: &mut (String, bool)| !seen.1 && !seen.0[from..].contains(text);
        let (seen, _) = self
            .seen
            .more
            .wait_timeout_while(seen, PATIENCE, waits)
            .unwrap();
        let Some(at) = seen.0[from..].find(text) else {
            panic!("the terminal does not show {text:?} but\n{}", &seen.0);
        };
        self.read_to = from + at + text.len();
        drop(seen);
        self
    }

    /// Types a line once the echo is off, as a secret must be typed.
    #[track_caller]
    pub(crate) fn types_unseen(&mut self, line: &str) -> &mut Self {
        self.wait_for_echo(false);
        self.types(&format!("{line}\n"))
    }

    /// Types exactly this.
    pub(crate) fn types(&mut self, keys: &str) -> &mut Self {
        self.master.write_all(keys.as_bytes()).unwrap();
        self
    }

    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.master)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    }

    #[track_caller]
    fn wait_for_echo(&self, wanted: bool) {
        let seen = self.seen.text.lock().unwrap();
        // The terminal's modes tell nobody that they changed; what it shows does, a moment before or after.
        let mut looks = 0;
        let mut seen = seen;
        while self.echoes() != wanted {
            looks += 1;
            assert!(
                looks < 600,
                "the echo stays as it is; the terminal shows\n{}",
                seen.0
            );
            seen = self
                .seen
                .more
                .wait_timeout(seen, Duration::from_millis(50))
                .unwrap()
                .0;
        }
    }

    /// What the terminal has shown so far.
    pub(crate) fn shown(&self) -> String {
        self.seen.text.lock().unwrap().0.replace("\r\n", "\n")
    }

    /// Waits for the command's end.
    pub(crate) fn ends(mut self) -> Ended {
        let mut stdout = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut stdout)
            .unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let seen = self.seen.text.lock().unwrap();
        let (seen, _) = self
            .seen
            .more
            .wait_timeout_while(seen, PATIENCE, |seen| !seen.1)
            .unwrap();
        Ended {
            code,
            stdout,
            terminal: seen.0.replace("\r\n", "\n"),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Closing the terminal hangs its session up; a command that hangs on all the same is killed.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn watch(mut master: File, seen: &Seen) {
    let mut buffer = [0; 1024];
    loop {
        // The last one at the other end has gone: Linux says so with an error.
        let length = master.read(&mut buffer).unwrap_or(0);
        let mut text = seen.text.lock().unwrap();
        text.0.push_str(&String::from_utf8_lossy(&buffer[..length]));
        text.1 = length == 0;
        seen.more.notify_all();
        if length == 0 {
            return;
        }
    }
}

/// The test itself must not get the pseudo-terminal as its own.
trait NoControllingTerminal {
    fn custom_flags_noctty(&mut self) -> &mut Self;
}

impl NoControllingTerminal for OpenOptions {
    fn custom_flags_noctty(&mut self) -> &mut Self {
        use std::os::unix::fs::OpenOptionsExt as _;
        self.custom_flags(i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap())
    }
}
