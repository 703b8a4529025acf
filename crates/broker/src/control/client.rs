//! The asking side of the control socket.

use std::io;
use std::path::Path;

use doorward_core::problem::Refusal;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::wire::Request;

/// A connection to a running broker.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the broker that holds a data folder. Fails where none listens, or where the socket belongs to
    /// another user.
    pub async fn connect(data: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(super::socket_path(data)).await?;
        let peer = stream.peer_cred()?.uid();
        if peer != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the control socket belongs to another user (uid {peer})"),
            ));
        }
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks one question and waits for its answer.
    pub async fn ask<T: DeserializeOwned>(
        &mut self,
        request: &Request,
    ) -> io::Result<Result<T, Refusal>> {
        let mut line = Zeroizing::new(serde_json::to_vec(request)?);
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).await?;
        let mut answer = Zeroizing::new(String::new());
        if self.stream.read_line(&mut answer).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the broker went away before it answered",
            ));
        }
        Ok(serde_json::from_str(&answer)?)
    }
}
