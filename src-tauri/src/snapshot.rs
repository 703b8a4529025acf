//! What the window shows: all of it at once, so that no two parts of a page are of different moments.

use std::path::Path;

use doorward_broker::Handle;
use doorward_broker::provider::manifest;
use doorward_broker::views::{
    AgentView, ConnectionView, ProviderOffer, QuestionView, RequestView, Status, StoreState,
};
use doorward_core::problem::Refusal;
use serde::Serialize;

/// Everything the window shows.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct Snapshot {
    /// How the broker is.
    pub(crate) status: Status,
    /// All connections.
    pub(crate) connections: Vec<ConnectionView>,
    /// All agents.
    pub(crate) agents: Vec<AgentView>,
    /// The approval requests that wait.
    pub(crate) requests: Vec<RequestView>,
    /// The questions about single calls that wait.
    pub(crate) questions: Vec<QuestionView>,
    /// What can be connected.
    pub(crate) providers: Vec<ProviderOffer>,
}

impl Snapshot {
    /// Asks the broker. While the store is not open there is nothing to show but why.
    pub(crate) async fn of(handle: &Handle, providers: &Path) -> Result<Self, Refusal> {
        let status = handle.status().await?;
        let providers = manifest::offers(providers);
        match status.store {
            StoreState::Unlocked => Ok(Self {
                connections: handle.connections().await?,
                agents: handle.agents().await?,
                requests: handle.requests().await?,
                questions: handle.questions().await?,
                status,
                providers,
            }),
            StoreState::Locked | StoreState::New => Ok(Self {
                status,
                connections: Vec::new(),
                agents: Vec::new(),
                requests: Vec::new(),
                questions: Vec::new(),
                providers,
            }),
        }
    }
}
