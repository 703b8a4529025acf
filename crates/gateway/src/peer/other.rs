//! Systems that do not tell.

use std::net::SocketAddr;

use doorward_core::pairing::Program;

use super::{CannotTell, Holder, Peer};

pub(super) fn uid_of(_: Peer) -> Result<u32, CannotTell> {
    Err(CannotTell::Unsupported)
}

pub(super) fn listener_uid(_: SocketAddr) -> Result<u32, CannotTell> {
    Err(CannotTell::Unsupported)
}

pub(super) fn program_of(_: Peer) -> Option<Program> {
    None
}

pub(super) fn holder_of(_: SocketAddr) -> Holder {
    Holder::Unknown
}
