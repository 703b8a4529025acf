//! Who is at the other end of a loopback connection.
//!
//! TCP does not tell, but the kernel's table of sockets does: the entry whose local and remote
//! addresses are the mirror image of ours is the peer's own socket, with its owner. The match is
//! exact in all four parts, and an entry counts only while a file refers to it: a socket that its
//! owner has closed is listed as root's, which must not let anybody pass as root.
//!
//! Only Linux shows that table without privileges or unsafe code. Elsewhere every question here is
//! answered "cannot be told", and as the gateway refuses whom it cannot tell, it does not start
//! there at all ([`SUPPORTED`]).

use std::io;
use std::net::SocketAddr;

use doorward_core::pairing::Program;

#[cfg(target_os = "linux")]
mod exact;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as system;

/// Whether this system tells who a peer is.
pub const SUPPORTED: bool = cfg!(target_os = "linux");

/// A connection as our end sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Our address.
    pub local: SocketAddr,
    /// The other end's address.
    pub remote: SocketAddr,
}

/// Why it cannot be told who is there.
#[derive(Debug, thiserror::Error)]
pub enum CannotTell {
    /// The system shows nothing of it.
    #[error("this system does not tell whose a socket is")]
    Unsupported,
    /// There is no such socket, or its owner has closed it.
    #[error("no open socket with that address is listed")]
    NotListed,
    /// Sockets of several users fit.
    #[error("sockets of several users have that address")]
    Ambiguous,
    /// The table of sockets cannot be read.
    #[error("the table of sockets cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// The user whose socket is at the other end of a connection.
pub fn uid_of(peer: Peer) -> Result<u32, CannotTell> {
    system::uid_of(peer)
}

/// The user whose program listens at a loopback address: what a client checks before it sends a
/// key there.
pub fn listener_uid(address: SocketAddr) -> Result<u32, CannotTell> {
    system::listener_uid(address)
}

/// The program at the other end of a connection, looked for where waiting for the system's tables holds nobody up. One
/// that cannot be told is shown as such; the person decides.
pub(crate) async fn program_at(peer: Option<Peer>) -> Option<Program> {
    let peer = peer?;
    let looked = tokio::task::spawn_blocking(move || program_of(peer));
    looked.await.unwrap_or_default()
}

/// The program at the other end of a connection, if it is one of ours and can be told.
#[must_use]
pub fn program_of(peer: Peer) -> Option<Program> {
    system::program_of(peer)
}

/// Who holds a port that we cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A program that we can see.
    Program {
        /// Its process id.
        pid: u32,
        /// Its name.
        name: String,
    },
    /// A program of this user, which we cannot see.
    User {
        /// The user.
        uid: u32,
    },
    /// Nobody that is listed.
    Unknown,
}

/// Who listens at an address.
pub(crate) fn holder_of(address: SocketAddr) -> Holder {
    system::holder_of(address)
}
