//! Starting and stopping a broker.

use std::sync::Arc;

use doorward_core::problem::{Code, Refusal};
use doorward_store::{OpenError, Store};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::actor::{Actor, Message};
use crate::clock::{Clock, Disturbance};
use crate::config::Config;
use crate::handle::{Handle, Shared};
use crate::provider::Providers;
use crate::published::Published;
use crate::shell::Shell;
use crate::upstream::{Clients, Traffic};
use crate::uses;

/// Enough for every caller that waits at once on a machine; a full mailbox makes the next one wait its turn.
const MAILBOX: usize = 1024;

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The HTTP client cannot be made.
    #[error("no HTTP client can be made: {0}")]
    Http(#[from] reqwest::Error),
    /// The machine's certificates cannot be used.
    #[error("the machine's certificates cannot be used: {0}")]
    Certificates(String),
}

impl StartError {
    /// Who holds the folder, where that is why.
    #[must_use]
    pub fn holder(&self) -> Option<&doorward_store::Holder> {
        match self {
            Self::Open(OpenError::HeldBy { holder, .. }) => Some(holder),
            Self::Open(_) | Self::Http(_) | Self::Certificates(_) => None,
        }
    }

    /// What a person is told, and does next.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Open(error) => error.refusal(),
            Self::Http(error) => Refusal::new(
                Code::Internal,
                format!("No HTTP client can be made: {error}."),
                "Check the machine's certificates; `doorward doctor` looks closer.",
            ),
            Self::Certificates(why) => Refusal::new(
                Code::Internal,
                format!("The machine's certificates cannot be used: {why}."),
                "Check the machine's certificates; `doorward doctor` looks closer.",
            ),
        }
    }
}

/// Who holds a data folder, if anyone does.
#[must_use]
pub fn holder(data: &std::path::Path) -> Option<doorward_store::Holder> {
    Store::holder(data)
}

/// Timers stand still while the machine sleeps: this tells the owner of the state that it woke.
fn watch_clock(mailbox: mpsc::Sender<Message>) {
    let mut disturbance = match Disturbance::watch() {
        Ok(disturbance) => disturbance,
        Err(error) => {
            tracing::info!(%error, "a clock that is set, or sleep, is noticed within a minute only");
            return;
        }
    };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = mailbox.closed() => return,
                disturbed = disturbance.next() => {
                    if let Err(error) = disturbed {
                        tracing::warn!(%error, "the clock is not watched any longer");
                        return;
                    }
                }
            }
            if mailbox.send(Message::ClockDisturbed).await.is_err() {
                return;
            }
        }
    });
}

/// A running broker. Ends after [`Handle::stop`].
pub struct Running {
    task: JoinHandle<()>,
}

impl Running {
    /// Waits until the broker has ended.
    pub async fn ended(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the broker ended badly");
        }
    }
}

/// Starts a broker on its data folder. Where the store's key is not to be had, it starts all the same, in the state
/// `store_locked`, so that everyone can be told what is the matter.
pub async fn start(
    config: Config,
    shell: Arc<dyn Shell>,
    clock: Arc<dyn Clock>,
) -> Result<(Handle, Running), StartError> {
    let store = Store::open(&config.data, config.holder, clock.now()).await?;
    let providers = Providers::new(config.provider_timeout, Arc::clone(&clock))?;
    let shared = Arc::new(Shared {
        published: arc_swap::ArcSwap::from_pointee(Published::default()),
        clock,
        changes: tokio::sync::watch::Sender::new(0),
        traffic: Traffic::default(),
    });
    let (mailbox, messages) = mpsc::channel(MAILBOX);
    let handle = Handle {
        shared: Arc::clone(&shared),
        mailbox: mailbox.clone(),
        clients: Arc::new(Clients::new().map_err(StartError::Certificates)?),
    };
    let mut actor = Actor::new(config, store, providers, shell, shared, mailbox);
    actor.unlock_at_start().await;
    watch_clock(handle.mailbox.clone());
    tokio::spawn(uses::gather(Arc::downgrade(&handle.shared)));
    let task = tokio::spawn(actor.run(messages));
    Ok((handle, Running { task }))
}
