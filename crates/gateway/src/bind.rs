//! Taking the port.
//!
//! Agents send their keys to whoever listens at the address they know. So the gateway listens on
//! every loopback family that there is, or not at all: on a family that was left free another user
//! could stand in. And it never moves to another port by itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use doorward_broker::Handle;

use crate::peer::{self, Holder};
use crate::serve;

/// How often a free port is looked for that is free on both families.
const TRIES: usize = 32;

/// A port that is ours, not yet served.
pub struct Gateway {
    listeners: Vec<TcpListener>,
    port: u16,
}

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has the port.
    #[error(
        "{address} is taken by {}. Stop that program, or choose another port with `doorward serve --port N`",
        told(holder)
    )]
    Taken {
        /// The address.
        address: SocketAddr,
        /// Who has it.
        holder: Holder,
    },
    /// The system refuses for another reason.
    #[error(
        "cannot listen on {address}: {source}. Choose another port with `doorward serve --port N`"
    )]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No port was free on both families.
    #[error(
        "no port is free on both 127.0.0.1 and [::1]. Choose one with `doorward serve --port N`"
    )]
    NoneFree,
    /// The system does not tell whose a connection is.
    #[error(
        "this system does not tell which user a connection comes from, and Doorward answers no other user: \
         the gateway runs on Linux only"
    )]
    PeersCannotBeTold,
}

fn told(holder: &Holder) -> String {
    match holder {
        Holder::Program { pid, name } => format!("{name} (pid {pid})"),
        Holder::User { uid } => format!("a program of the user with uid {uid}"),
        Holder::Unknown => "a program that cannot be told".to_owned(),
    }
}

impl Gateway {
    /// Takes a port on `127.0.0.1` and, where there is IPv6, on `::1`. Port 0 takes one that is free.
    pub fn bind(port: u16) -> Result<Self, BindError> {
        if !peer::SUPPORTED {
            return Err(BindError::PeersCannotBeTold);
        }
        if port != 0 {
            return Self::bind_exactly(port);
        }
        for _ in 0..TRIES {
            let free = listen(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)?;
            let chosen = free
                .local_addr()
                .map_err(|source| refused(Ipv4Addr::LOCALHOST, 0, source))?;
            drop(free);
            match Self::bind_exactly(chosen.port()) {
                Err(BindError::Taken { .. }) => {}
                bound => return bound,
            }
        }
        Err(BindError::NoneFree)
    }

    fn bind_exactly(port: u16) -> Result<Self, BindError> {
        let mut listeners = vec![listen(IpAddr::V4(Ipv4Addr::LOCALHOST), port)?];
        if has_ipv6_loopback() {
            listeners.push(listen(IpAddr::V6(Ipv6Addr::LOCALHOST), port)?);
        }
        Ok(Self { listeners, port })
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address that agents are told.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers agents until `shutdown` ends, and then what is under way.
    pub async fn run(
        self,
        handle: Handle,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        // The status is for people; a broker that is stopping need not hear it.
        if let Err(refusal) = handle.listening_at(self.url()).await {
            tracing::debug!(code = %refusal.code, "the broker was not told where the gateway listens");
        }
        serve::serve(self.listeners, self.port, handle, shutdown).await
    }
}

fn has_ipv6_loopback() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn listen(ip: IpAddr, port: u16) -> Result<TcpListener, BindError> {
    TcpListener::bind((ip, port)).map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            let address = SocketAddr::new(ip, port);
            BindError::Taken {
                address,
                holder: peer::holder_of(address),
            }
        } else {
            refused(ip, port, source)
        }
    })
}

fn refused(ip: impl Into<IpAddr>, port: u16, source: io::Error) -> BindError {
    BindError::Refused {
        address: SocketAddr::new(ip.into(), port),
        source,
    }
}
