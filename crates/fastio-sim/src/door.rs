//! The provider's listener, which a test may close to play an outage and open again on the same port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::http::edge;
use crate::http::site::SharedSite;

#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    site: SharedSite,
    router: Router,
    serving: Mutex<Option<JoinHandle<()>>>,
}

/// Binds a loopback port; 0 lets the system choose.
pub(crate) async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

impl Door {
    pub(crate) fn open(
        listener: TcpListener,
        site: SharedSite,
        router: Router,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let serving = tokio::spawn(edge::serve(listener, site.clone(), router.clone()));
        Ok(Self {
            address,
            site,
            router,
            serving: Mutex::new(Some(serving)),
        })
    }

    /// Refuses new connections and cuts the open ones. Returns when the port is free.
    pub(crate) async fn close(&self) {
        if let Some(serving) = self.take() {
            serving.abort();
            // The only error is the abort itself.
            let _ = serving.await;
        }
    }

    /// The same without waiting, for whoever cannot wait.
    pub(crate) fn shut(&self) {
        if let Some(serving) = self.take() {
            serving.abort();
        }
    }

    /// Serves again, on the same port.
    pub(crate) async fn reopen(&self) -> io::Result<()> {
        self.close().await;
        let listener = bind(self.address.port()).await?;
        let serving = edge::serve(listener, self.site.clone(), self.router.clone());
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(serving));
        Ok(())
    }

    fn take(&self) -> Option<JoinHandle<()>> {
        self.serving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
