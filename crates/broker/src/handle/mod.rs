//! What everyone else holds of the broker: cheap to clone, and the whole of its API.
//!
//! One half is for agents, the other for the person. A warm token is answered from the published copy; everything else goes through the mailbox.

mod agents;
mod calls;
mod person;

use std::sync::Arc;

use doorward_core::problem::{Code, Refusal};
use doorward_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::actor::Message;
use crate::clock::Clock;
use crate::published::Published;
use crate::upstream::{Clients, Traffic};

pub use agents::{
    DEFAULT_PATIENCE, DeviceAuthorization, Introspection, PollAnswer, RegisteredClient, Rejection,
    TokenAsk,
};
pub use calls::Entry;
pub(crate) use calls::Renewal;
pub use person::{ConnectAsk, LifetimeAsk, PauseTarget, Proof, Terms};

/// An answer on its way back from the mailbox.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// Shared by all handles.
pub(crate) struct Shared {
    pub(crate) published: arc_swap::ArcSwap<Published>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) changes: tokio::sync::watch::Sender<u64>,
    pub(crate) traffic: Traffic,
}

/// The broker, as its callers hold it.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mailbox: mpsc::Sender<Message>,
    /// The connections to providers that calls of this handle go over.
    pub(crate) clients: Arc<Clients>,
}

impl Handle {
    /// A handle of the same broker whose calls go over connections of their own: for a thread that shares none.
    #[must_use]
    pub fn with_connections_of_its_own(&self) -> Self {
        Self {
            clients: Arc::new(self.clients.anew()),
            ..self.clone()
        }
    }

    /// The moment now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    async fn ask<T, M: Into<Message>>(
        &self,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.mailbox
            .send(message(reply).into())
            .await
            .map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

/// The refusal while the broker stops.
pub(crate) fn stopped() -> Refusal {
    Refusal::new(
        Code::Internal,
        "Doorward is stopping.",
        "Start it again with `doorward serve`, then retry.",
    )
}
