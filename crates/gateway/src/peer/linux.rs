//! The answers of Linux: `sock_diag`, `/proc/net/tcp`, `/proc/net/tcp6` and `/proc/PID`.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use doorward_core::grant::ProgramId;
use doorward_core::pairing::Program;

use super::{CannotTell, Holder, Peer, exact};

/// The kernel prints its table piece by piece while it changes; an entry can be passed over. A
/// peer that is there is found in one of a few readings.
const READINGS: usize = 3;

/// A socket of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) uid: u32,
    pub(super) inode: u64,
}

pub(super) fn uid_of(peer: Peer) -> Result<u32, CannotTell> {
    socket_of(peer).map(|socket| socket.uid)
}

pub(super) fn listener_uid(address: SocketAddr) -> Result<u32, CannotTell> {
    listener(address).map(|socket| socket.uid)
}

/// The peer's socket: local and remote are the mirror image of ours.
fn socket_of(peer: Peer) -> Result<Socket, CannotTell> {
    if let Some(socket) = exact::socket(peer.remote, peer.local) {
        return Ok(socket);
    }
    for _ in 0..READINGS {
        match one(&matching(peer.remote, |row| {
            row.remote == Ends::of(peer.local, row.table)
        })?) {
            Err(CannotTell::NotListed) => {}
            told => return told,
        }
    }
    Err(CannotTell::NotListed)
}

/// What listens at an address: the kernel prefers a socket bound to the address itself over one
/// bound to all.
fn listener(address: SocketAddr) -> Result<Socket, CannotTell> {
    const LISTEN: &str = "0A";
    let all = |ip: IpAddr| SocketAddr::new(ip, address.port());
    let anywhere: &[IpAddr] = match address.ip() {
        IpAddr::V4(_) => &[
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ],
        IpAddr::V6(_) => &[IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
    };
    for _ in 0..READINGS {
        let mut found = matching(address, |row| row.state == LISTEN)?;
        if found.is_empty() {
            for ip in anywhere {
                found.extend(matching(all(*ip), |row| row.state == LISTEN)?);
            }
        }
        match one(&found) {
            Err(CannotTell::NotListed) => {}
            told => return told,
        }
    }
    Err(CannotTell::NotListed)
}

/// The one owner of what was found.
fn one(found: &[Socket]) -> Result<Socket, CannotTell> {
    match found {
        [] => Err(CannotTell::NotListed),
        [first, rest @ ..] if rest.iter().all(|other| other.uid == first.uid) => Ok(*first),
        _ => Err(CannotTell::Ambiguous),
    }
}

/// One of the kernel's two tables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    V4,
    V6,
}

impl Table {
    fn path(self) -> &'static str {
        match self {
            Self::V4 => "/proc/net/tcp",
            Self::V6 => "/proc/net/tcp6",
        }
    }
}

/// An address as a table prints it.
#[derive(PartialEq, Eq)]
struct Ends(String);

impl Ends {
    /// Addresses are printed as 32-bit words in the machine's own byte order, ports as numbers.
    fn of(address: SocketAddr, table: Table) -> Self {
        use std::fmt::Write as _;
        let bytes: Vec<u8> = match (address.ip(), table) {
            (IpAddr::V4(ip), Table::V4) => ip.octets().to_vec(),
            (IpAddr::V4(ip), Table::V6) => ip.to_ipv6_mapped().octets().to_vec(),
            (IpAddr::V6(ip), _) => ip.octets().to_vec(),
        };
        let mut text = String::with_capacity(37);
        for word in bytes.as_chunks::<4>().0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{:08X}", u32::from_ne_bytes(*word));
        }
        let _ = write!(text, ":{:04X}", address.port());
        Self(text)
    }
}

impl PartialEq<Ends> for &str {
    fn eq(&self, ends: &Ends) -> bool {
        *self == ends.0
    }
}

/// A line of a table.
struct Row<'a> {
    table: Table,
    remote: &'a str,
    state: &'a str,
}

/// The open sockets with a local address that fit. An IPv4 address can belong to a socket of
/// either family.
fn matching(local: SocketAddr, fits: impl Fn(&Row<'_>) -> bool) -> io::Result<Vec<Socket>> {
    let tables: &[Table] = if local.is_ipv4() {
        &[Table::V4, Table::V6]
    } else {
        &[Table::V6]
    };
    let mut found = Vec::new();
    for table in tables {
        let file = match fs::File::open(table.path()) {
            // A kernel without IPv6 has no sockets of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let local = Ends::of(local, *table);
        for line in BufReader::new(file).lines() {
            let line = line?;
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (Some(own), Some(remote), Some(state)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if own != local
                || !fits(&Row {
                    table: *table,
                    remote,
                    state,
                })
            {
                continue;
            }
            let mut numbers = fields.skip(3);
            let uid = numbers.next().and_then(|uid| uid.parse().ok());
            let inode = numbers.nth(1).and_then(|inode| inode.parse().ok());
            if let (Some(uid), Some(inode @ 1..)) = (uid, inode) {
                found.push(Socket { uid, inode });
            }
        }
    }
    Ok(found)
}

pub(super) fn holder_of(address: SocketAddr) -> Holder {
    let Ok(socket) = listener(address) else {
        return Holder::Unknown;
    };
    let holder = processes().find(|pid| holds(*pid, socket.inode));
    match holder {
        Some(pid) => Holder::Program {
            pid,
            name: name_of(pid),
        },
        None => Holder::User { uid: socket.uid },
    }
}

fn name_of(pid: u32) -> String {
    let name = fs::read_to_string(process(pid).join("comm")).unwrap_or_default();
    shown(name.trim_end())
}

pub(super) fn program_of(peer: Peer) -> Option<Program> {
    let socket = socket_of(peer).ok()?;
    let ours = rustix::process::geteuid().as_raw();
    if socket.uid != ours {
        return None;
    }
    // A child that inherited the socket is listed too; the program is the one that began first.
    let mut found: Vec<(u64, u32)> = processes()
        .filter(|pid| owner_of(*pid) == Some(ours) && holds(*pid, socket.inode))
        .filter_map(|pid| Some((stat_of(pid)?.started, pid)))
        .collect();
    found.sort_unstable();
    let (started, pid) = *found.first()?;
    let program = describe(pid, started, socket.uid)?;
    // Process ids are used again. If this is still the same process, all that was read is about it.
    (stat_of(pid)?.started == started && holds(pid, socket.inode)).then_some(program)
}

fn describe(pid: u32, started: u64, uid: u32) -> Option<Program> {
    let executable = link(&process(pid).join("exe"))?;
    let parent = stat_of(pid).and_then(|stat| link(&process(stat.parent).join("exe")));
    let words = fs::read(process(pid).join("cmdline")).unwrap_or_default();
    let words: Vec<_> = words
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    let words: Vec<&str> = words
        .iter()
        .map(|word| &**word)
        .filter(|word| !word.is_empty())
        .collect();
    Some(Program {
        id: ProgramId { pid, started },
        uid,
        script: script(&executable, words.get(1..).unwrap_or_default()),
        executable,
        folder: link(&process(pid).join("cwd")).unwrap_or_default(),
        parent,
    })
}

/// Programs of which the script says more than they do.
const INTERPRETERS: &[&str] = &[
    "python", "pypy", "node", "deno", "bun", "ruby", "perl", "php", "lua", "luajit", "sh", "bash",
    "dash", "zsh", "ksh", "fish", "pwsh", "tclsh", "Rscript",
];

/// The script that an interpreter runs: its first argument that is not an option. Code given on
/// the command line is not repeated: it may hold secrets.
fn script(executable: &str, arguments: &[&str]) -> Option<String> {
    let name = Path::new(executable).file_name()?.to_str()?;
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    let name = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    if !INTERPRETERS.contains(&name) {
        return None;
    }
    let mut arguments = arguments.iter().copied();
    let mut first = arguments.next()?;
    while first.starts_with('-') {
        match first {
            "-m" => return Some(shown(&format!("-m {}", arguments.next()?))),
            "-c" | "-e" | "--eval" | "-p" | "--print" => return None,
            _ => first = arguments.next()?,
        }
    }
    let is_subcommand = matches!(name, "deno" | "bun") && first == "run";
    let script = if is_subcommand {
        arguments.find(|word| !word.starts_with('-'))?
    } else {
        first
    };
    Some(shown(script))
}

/// What a process's `stat` tells.
struct Stat {
    parent: u32,
    started: u64,
}

fn stat_of(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(process(pid).join("stat")).ok()?;
    // The second field is the program's name in parentheses, and a name may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { parent, started })
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn process(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn owner_of(pid: u32) -> Option<u32> {
    fs::metadata(process(pid)).ok().map(|meta| meta.uid())
}

fn holds(pid: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let files = fs::read_dir(process(pid).join("fd"))
        .into_iter()
        .flatten()
        .flatten();
    files
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| target.as_os_str() == wanted.as_str())
}

fn link(path: &Path) -> Option<String> {
    fs::read_link(path)
        .ok()
        .map(|target| shown(&target.to_string_lossy()))
}

/// Text about a process on its way to a person: no control characters, and no longer than a
/// window can show.
fn shown(text: &str) -> String {
    const MOST: usize = 400;
    let plain = |letter: char| if letter.is_control() { '?' } else { letter };
    text.chars().take(MOST).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    /// A connection to a listener at `address`: the listener, our end and the other.
    fn connect(address: &str, dial: &str) -> (TcpListener, TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(format!("{dial}:{port}")).unwrap();
        let (server, _) = listener.accept().unwrap();
        (listener, server, client)
    }

    fn peer(server: &TcpStream) -> Peer {
        Peer {
            local: server.local_addr().unwrap(),
            remote: server.peer_addr().unwrap(),
        }
    }

    #[test]
    fn the_owner_of_a_peer_is_told_in_both_families_and_for_mapped_addresses() {
        let ours = rustix::process::geteuid().as_raw();
        let (listener, server, client) = connect("127.0.0.1:0", "127.0.0.1");
        assert_eq!(uid_of(peer(&server)).unwrap(), ours);
        assert_eq!(listener_uid(listener.local_addr().unwrap()).unwrap(), ours);
        drop(client);
        assert!(
            uid_of(peer(&server)).is_err(),
            "a closed socket is nobody's"
        );

        let (_listener, server, _client) = connect("127.0.0.1:0", "[::ffff:127.0.0.1]");
        assert_eq!(uid_of(peer(&server)).unwrap(), ours);

        if TcpListener::bind("[::1]:0").is_ok() {
            let (listener, server, _client) = connect("[::1]:0", "[::1]");
            assert_eq!(uid_of(peer(&server)).unwrap(), ours);
            assert_eq!(listener_uid(listener.local_addr().unwrap()).unwrap(), ours);
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_told_and_nobody_is_not() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
        assert!(listener_uid(address).is_ok());
        assert!(
            matches!(holder_of(address), Holder::Program { pid, .. } if pid == std::process::id())
        );
        drop(listener);
        assert!(matches!(listener_uid(address), Err(CannotTell::NotListed)));
        assert_eq!(holder_of(address), Holder::Unknown);
    }

    #[test]
    fn the_program_behind_a_connection_is_told() {
        let (_listener, server, _client) = connect("127.0.0.1:0", "127.0.0.1");
        let program = program_of(peer(&server)).unwrap();
        assert_eq!(program.id.pid, std::process::id());
        assert!(program.id.started > 0);
        assert_eq!(
            program.executable,
            std::env::current_exe().unwrap().to_string_lossy()
        );
        assert_eq!(
            program.folder,
            std::env::current_dir().unwrap().to_string_lossy()
        );
        assert_eq!(program.script, None);
        assert!(program.parent.is_some());
    }

    #[test]
    fn a_script_is_the_first_argument_that_is_not_an_option() {
        let script = |exe: &str, words: &[&str]| super::script(exe, words);
        assert_eq!(
            script("/usr/bin/python3.12", &["-u", "a.py", "x"]).as_deref(),
            Some("a.py")
        );
        assert_eq!(
            script("/usr/bin/python3", &["-m", "agent"]).as_deref(),
            Some("-m agent")
        );
        assert_eq!(
            script("/usr/bin/node", &["--x", "/a/b.js"]).as_deref(),
            Some("/a/b.js")
        );
        assert_eq!(
            script("/bin/bun", &["run", "--hot", "a.ts"]).as_deref(),
            Some("a.ts")
        );
        assert_eq!(script("/bin/bash", &["-c", "curl -H 'secret'"]), None);
        assert_eq!(script("/bin/bash", &[]), None);
        assert_eq!(script("/usr/bin/curl", &["http://x"]), None);
    }
}
