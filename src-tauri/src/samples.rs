//! What a broker might say, for the tests of what is made of it.

use doorward_broker::views::{
    AgentView, ConnectionView, QuestionView, RequestView, Status, StoreState,
};
use doorward_core::health::Health;
use doorward_core::tally::Rates;
use doorward_core::time::Timestamp;

use crate::snapshot::Snapshot;

/// The identifier of the connection in [`connected`].
pub(crate) const CONNECTION: &str = "0b7f2c52-3df0-4c0c-9a3b-2f1f55a0a001";
/// The identifier of the request in [`asked`].
pub(crate) const REQUEST: &str = "0b7f2c52-3df0-4c0c-9a3b-2f1f55a0a002";

/// The identifier of the question in [`asks_to_call`].
pub(crate) const QUESTION: &str = "0b7f2c52-3df0-4c0c-9a3b-2f1f55a0a004";

/// Nothing yet.
pub(crate) fn empty() -> Snapshot {
    Snapshot {
        status: Status {
            version: "0.1.0".to_owned(),
            pid: 1,
            store: StoreState::Unlocked,
            keys: None,
            pin_set: Some(false),
            url: Some("http://127.0.0.1:13667".to_owned()),
            connections: 0,
            need_reconnect: 0,
            need_look: 0,
            halted: 0,
            agents: 0,
            requests: 0,
            questions: 0,
            revocations_owed: 0,
            tokens_unsaved: 0,
            locks: Vec::new(),
            locked_because: None,
        },
        connections: Vec::new(),
        agents: Vec::new(),
        requests: Vec::new(),
        questions: Vec::new(),
        providers: Vec::new(),
    }
}

/// One connection.
pub(crate) fn connected(health: Health) -> Snapshot {
    let mut snapshot = empty();
    snapshot.connections.push(ConnectionView {
        id: CONNECTION.to_owned(),
        name: "fastio".parse().unwrap(),
        tenant: "personal".parse().unwrap(),
        provider: "fastio".to_owned(),
        provider_title: "Fast.io".to_owned(),
        issuer: "https://api.fast.io".to_owned(),
        account: None,
        asked: "workspace".to_owned(),
        read_only: false,
        granted: Vec::new(),
        granted_stated: false,
        health,
        connected_at: Timestamp::from_secs(0),
        access_expires_at: None,
        proven_at: None,
        agents: 0,
        health_since: None,
        next_refresh: None,
        last_error: None,
        rates: Rates::default(),
    });
    snapshot
}

/// The same, and an agent.
pub(crate) fn with_agent(mut snapshot: Snapshot, paused: bool) -> Snapshot {
    snapshot.agents.push(AgentView {
        id: "0b7f2c52-3df0-4c0c-9a3b-2f1f55a0a003".to_owned(),
        name: "claude".to_owned(),
        tenant: "personal".parse().unwrap(),
        paused,
        grants: Vec::new(),
        metrics: false,
        keys: 1,
        last_used_at: None,
        created_at: Timestamp::from_secs(0),
        holds: Vec::new(),
    });
    snapshot
}

/// The same, and an agent that asks.
pub(crate) fn asked(mut snapshot: Snapshot) -> Snapshot {
    snapshot.requests.push(RequestView {
        id: REQUEST.to_owned(),
        name: "claude".to_owned(),
        code: "BCDF-GHJK".to_owned(),
        wanted: vec!["fastio:proxy".to_owned(), "fastio:token".to_owned()],
        program: None,
        created_at: Timestamp::from_secs(0),
        expires_at: Timestamp::from_secs(600),
    });
    snapshot
}

/// The same, and an agent that asks for a single call.
pub(crate) fn asks_to_call(mut snapshot: Snapshot, what: &str) -> Snapshot {
    snapshot.questions.push(QuestionView {
        id: QUESTION.to_owned(),
        code: "QRST-VWXZ".to_owned(),
        agent: "claude".to_owned(),
        connection: "fastio".parse().unwrap(),
        what: what.to_owned(),
        arguments: "{\n  \"note\": \"private words\"\n}".to_owned(),
        unshown: 0,
        program: None,
        created_at: Timestamp::from_secs(0),
        expires_at: Timestamp::from_secs(600),
    });
    snapshot
}
