//! Opening a broker to its callers: the control socket, the gateway, and `endpoint.json`.
//!
//! The order matters. The gateway's port is taken by the caller before a person is asked for anything; `endpoint.json`
//! appears when an agent that reads it gets an answer; and everything goes in the opposite order.

use std::io;
use std::path::{Path, PathBuf};

use doorward_broker::{Handle, control};
use doorward_gateway::Gateway;
use doorward_gateway::endpoint::{self, Announcement};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::folders::Folders;

/// Why a broker cannot be opened to its callers.
#[derive(Debug, thiserror::Error)]
pub enum OpenFailure {
    /// No control socket.
    #[error("The control socket cannot be made: {0}")]
    Control(#[source] io::Error),
    /// No `endpoint.json`.
    #[error("endpoint.json cannot be written: {0}")]
    Endpoint(#[source] io::Error),
}

/// A broker that callers reach. Dropping it takes back what lies on the disk.
pub struct Open {
    control: JoinHandle<()>,
    served: JoinHandle<io::Result<()>>,
    stop: Option<oneshot::Sender<()>>,
    // Taken back in this order.
    _endpoint: Announced,
    _socket: Cleared,
}

/// Opens a broker to its callers. The gateway has its port already.
pub async fn open(
    folders: &Folders,
    handle: &Handle,
    gateway: Gateway,
) -> Result<Open, OpenFailure> {
    let url = gateway.url();
    let control = control::serve(&folders.data, handle.clone())
        .await
        .map_err(OpenFailure::Control)?;
    let socket = Cleared(control::socket_path(&folders.data));
    let control = tokio::spawn(control);
    let (stop, stopping) = oneshot::channel::<()>();
    let handle = handle.clone();
    let served = tokio::spawn(async move {
        gateway
            .run(handle, async { stopping.await.unwrap_or_default() })
            .await
    });
    let endpoint = announce(folders, &url).map_err(OpenFailure::Endpoint)?;
    tracing::info!(%url, "listening");
    Ok(Open {
        control,
        served,
        stop: Some(stop),
        _endpoint: Announced(Some(endpoint)),
        _socket: socket,
    })
}

impl Open {
    /// Waits until the gateway ends by itself, which it does only by failing.
    pub async fn failed(&mut self) -> io::Result<()> {
        (&mut self.served).await.map_err(io::Error::other)?
    }

    /// Takes no more callers, and waits for the answers that are under way.
    pub async fn close(mut self) -> io::Result<()> {
        self.control.abort();
        if let Some(stop) = self.stop.take() {
            // A gateway that cannot hear this is gone already.
            let _heard: Result<(), ()> = stop.send(());
        }
        (&mut self.served).await.map_err(io::Error::other)?
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.control.abort();
        self.served.abort();
    }
}

/// A file that goes with this process.
struct Cleared(PathBuf);

impl Drop for Cleared {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        let _gone: io::Result<()> = std::fs::remove_file(&self.0);
    }
}

/// `endpoint.json`, for as long as this process serves.
struct Announced(Option<Announcement>);

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(Announcement::withdraw) {
            tracing::warn!(%error, "endpoint.json could not be removed");
        }
    }
}

/// Writes `endpoint.json`, for agents to find the gateway. A runtime folder that is named and cannot be used, as it
/// happens after `su`, is no reason not to serve.
fn announce(folders: &Folders, url: &str) -> io::Result<Announcement> {
    let data: &Path = &folders.data;
    match endpoint::announce(url, folders.runtime.as_deref(), data) {
        Err(error) if folders.runtime.is_some() => {
            tracing::warn!(%error, "the runtime folder cannot be used: endpoint.json lies in the data folder");
            endpoint::announce(url, None, data)
        }
        announced => announced,
    }
}
