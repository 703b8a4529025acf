//! The spool: where the reply of a refresh lies until the store has taken it.
//!
//! A courier and a broker share this folder, and either may be killed at any moment. So what happened is told by what
//! lies here and by nothing else, and each flight goes one way only:
//!
//! | ticket | lock on it | reply | the flight |
//! |---|---|---|---|
//! | empty | free | none | has not begun |
//! | empty, or says sent | held | none | is being carried |
//! | says sent | free | none | has lost its reply |
//! | any | any | there | has landed |
//! | none | | none | is over, or was given up |
//!
//! The broker makes the ticket before it marks the flight. The courier holds the lock of the operating system on it for
//! as long as it lives, writes that it sends before it sends, and sends only where the ticket is empty, not held and
//! still in its place. Whoever gives a flight up takes the ticket away under that same lock: a courier that comes late
//! finds none, and sends nothing.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_core::ids::{ConnectionId, FlightId, TenantId};
use doorward_core::secret::FlightKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::folder::{make_private, private_file};
use crate::seal::{Place, SealingKey};

const FOLDER: &str = "spool";
const TICKET: &str = "flight";
const REPLY: &str = "reply";
const REPLY_IN_MAKING: &str = "reply.new";
/// What a ticket says from the moment that its flight may be with the provider.
const SENT: &[u8] = b"sent\n";
/// More than any sealed reply: a provider's answer is bounded to 1 MiB, and to twice that as it lies here.
const LARGEST_REPLY: u64 = 4 * 1024 * 1024;

/// What a flight's reply is bound to: sealed for one flight, it opens for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightPlace {
    /// The tenant.
    pub tenant: TenantId,
    /// The connection.
    pub connection: ConnectionId,
    /// The generation whose refresh token is sent.
    pub generation: u64,
    /// The flight.
    pub flight: FlightId,
}

impl FlightPlace {
    fn place(&self) -> Place {
        Place::new("reply")
            .bytes(self.tenant.as_bytes())
            .bytes(self.connection.as_bytes())
            .number(self.generation)
            .bytes(self.flight.as_bytes())
    }

    /// Seals a reply for this flight.
    pub fn seal(&self, key: &FlightKey, reply: &[u8]) -> io::Result<Vec<u8>> {
        let no_key = || io::Error::new(io::ErrorKind::InvalidInput, "it is no flight key");
        sealing_key(key)
            .ok_or_else(no_key)?
            .seal(&self.place(), reply)
            .map_err(io::Error::other)
    }

    /// Opens a reply that was sealed for this flight under this key; nothing in any other case.
    #[must_use]
    pub fn open(&self, key: &FlightKey, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        sealing_key(key)?.open(&self.place(), sealed)
    }
}

fn sealing_key(key: &FlightKey) -> Option<SealingKey> {
    let mut bytes = Zeroizing::new([0; 32]);
    let length = URL_SAFE_NO_PAD
        .decode_slice(key.expose(), bytes.as_mut_slice())
        .ok()?;
    (length == bytes.len()).then(|| SealingKey::from_bytes(bytes))
}

/// The spool of a data folder.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
}

/// What there is of a flight.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// A courier carries it.
    Carried,
    /// Its reply is here, sealed. It stays until it is erased.
    Landed(Vec<u8>),
    /// Nothing was sent, and nothing will be.
    NeverSent,
    /// It may have been sent, and no reply will come.
    Lost,
}

/// Why a courier may not carry a flight.
#[derive(Debug, thiserror::Error)]
pub enum Unclaimed {
    /// There is no such flight, or it was given up.
    #[error("nobody waits for this flight")]
    NotWanted,
    /// Another courier carries it.
    #[error("another courier carries this flight")]
    Carried,
    /// It was sent before.
    #[error("this flight was sent already")]
    Sent,
    /// The spool cannot be used.
    #[error("the spool cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl Spool {
    /// The spool of a data folder. Nothing is made yet.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self {
            folder: data.join(FOLDER),
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a flight's ticket. Without one no courier carries it.
    pub fn announce(&self, flight: FlightId) -> io::Result<()> {
        make_private(&self.folder)?;
        private_file(&self.file(flight, TICKET)).map(drop)
    }

    /// Looks what there is of a flight, and gives up one that nobody carries and that has no reply.
    pub fn look(&self, flight: FlightId) -> io::Result<Look> {
        let ticket = match OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.file(flight, TICKET))
        {
            Ok(ticket) => ticket,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(self.reply(flight)?.map_or(Look::Lost, Look::Landed));
            }
            Err(error) => return Err(error),
        };
        match ticket.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Look::Carried),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if let Some(reply) = self.reply(flight)? {
            return Ok(Look::Landed(reply));
        }
        let look = if is_empty(&ticket)? {
            Look::NeverSent
        } else {
            Look::Lost
        };
        // Under the lock: a courier that has opened the ticket and not yet claimed it sees that it is gone.
        fs::remove_file(self.file(flight, TICKET))?;
        Ok(look)
    }

    /// Erases what there is of a flight.
    pub fn erase(&self, flight: FlightId) -> io::Result<()> {
        for part in [REPLY, REPLY_IN_MAKING, TICKET] {
            remove(&self.file(flight, part))?;
        }
        Ok(())
    }

    /// Erases everything but what belongs to these flights, and says how many files that were.
    pub fn sweep(&self, wanted: &HashSet<FlightId>) -> io::Result<usize> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut erased = 0;
        for entry in entries {
            let name = entry?.file_name();
            let is_wanted = name
                .to_string_lossy()
                .split_once('.')
                .and_then(|(flight, _)| flight.parse().ok())
                .is_some_and(|flight| wanted.contains(&flight));
            if !is_wanted {
                remove(&self.folder.join(name))?;
                erased += 1;
            }
        }
        Ok(erased)
    }

    /// Takes a flight to carry it. Held until the claim is dropped or its process ends, however that comes about.
    pub fn claim(&self, flight: FlightId) -> Result<Claim, Unclaimed> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.file(flight, TICKET));
        let ticket = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Unclaimed::NotWanted);
            }
            opened => opened?,
        };
        match ticket.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Unclaimed::Carried),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        if is_removed(&ticket)? {
            return Err(Unclaimed::NotWanted);
        }
        if !is_empty(&ticket)? || self.file(flight, REPLY).try_exists()? {
            return Err(Unclaimed::Sent);
        }
        Ok(Claim {
            spool: self.clone(),
            flight,
            ticket,
        })
    }

    fn file(&self, flight: FlightId, part: &str) -> PathBuf {
        self.folder.join(format!("{flight}.{part}"))
    }

    fn reply(&self, flight: FlightId) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.file(flight, REPLY)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut sealed = Vec::new();
        file.take(LARGEST_REPLY).read_to_end(&mut sealed)?;
        Ok(Some(sealed))
    }
}

/// A flight that this process carries.
pub struct Claim {
    spool: Spool,
    flight: FlightId,
    ticket: File,
}

impl Claim {
    /// Writes down that the flight is sent from here on. On the disk before anything reaches the network.
    pub fn sends(&mut self) -> io::Result<()> {
        self.ticket.write_all(SENT)?;
        self.ticket.sync_data()
    }

    /// Keeps a sealed reply: after this it survives whatever happens to this process and to the machine. A flight that
    /// was given up meanwhile leaves nothing.
    pub fn keep(&self, sealed: &[u8]) -> io::Result<()> {
        if is_removed(&self.ticket)? {
            return Ok(());
        }
        let in_making = self.spool.file(self.flight, REPLY_IN_MAKING);
        let kept = private_file(&in_making).and_then(|mut file| {
            file.set_len(0)?;
            file.write_all(sealed)?;
            file.sync_all()
        });
        if let Err(error) = kept {
            // What could not be written whole is of no use, and takes room on a disk that may have none.
            let _gone = remove(&in_making);
            return Err(error);
        }
        fs::rename(&in_making, self.spool.file(self.flight, REPLY))?;
        File::open(&self.spool.folder)?.sync_all()
    }
}

fn is_empty(ticket: &File) -> io::Result<bool> {
    Ok(ticket.metadata()?.len() == 0)
}

/// Whether the file has left its place while it was open.
#[cfg(unix)]
fn is_removed(ticket: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    Ok(ticket.metadata()?.nlink() == 0)
}

/// A file that is open cannot be taken away there.
#[cfg(not(unix))]
fn is_removed(_ticket: &File) -> io::Result<bool> {
    Ok(false)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
