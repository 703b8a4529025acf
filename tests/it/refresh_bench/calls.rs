//! Callers: what they ask, what they hear, and how long it takes.

use std::time::Duration;

use doorward_e2e::{Agent, Answer, Stopwatch};
use tokio::task::JoinSet;

/// What a caller hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A token.
    Token(String),
    /// To ask again.
    Later(u16),
    /// That a person has to connect again.
    Over,
    /// That there is no such connection.
    Unknown,
    /// Nothing: Doorward was gone before it had answered.
    Nothing,
    /// Anything else.
    Else(String),
}

impl From<Option<Answer>> for Said {
    fn from(answer: Option<Answer>) -> Self {
        let Some(answer) = answer else {
            return Self::Nothing;
        };
        match answer.status {
            200 => Self::Token(answer.text("access_token")),
            424 => Self::Over,
            404 => Self::Unknown,
            status @ (429 | 503) => Self::Later(status),
            502 if answer.headers.contains_key("retry-after") => Self::Later(502),
            status => Self::Else(format!("{status} {}", answer.code())),
        }
    }
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) said: Said,
    pub(crate) took: Duration,
}

impl Call {
    pub(crate) fn token(&self) -> Option<&str> {
        match &self.said {
            Said::Token(token) => Some(token),
            Said::Later(_) | Said::Over | Said::Unknown | Said::Nothing | Said::Else(_) => None,
        }
    }
}

/// The longest of some calls.
pub(crate) fn longest(calls: &[Call]) -> Option<Duration> {
    calls.iter().map(|call| call.took).max()
}

/// Asks for a token, and waits for it so many seconds.
pub(crate) async fn ask(agent: &Agent, connection: &str, patience: u64) -> Call {
    let watch = Stopwatch::start();
    let said = agent.maybe_token(connection, patience).await.into();
    Call {
        said,
        took: watch.elapsed(),
    }
}

/// Says that the API refused a token.
pub(crate) async fn reject(agent: &Agent, connection: &str, token: &str) -> Call {
    let watch = Stopwatch::start();
    let said = agent.maybe_reject(connection, token).await.into();
    Call {
        said,
        took: watch.elapsed(),
    }
}

/// Callers that are on their way, each in a task and on a connection of its own.
pub(crate) struct Crowd(JoinSet<Call>);

impl Crowd {
    /// All ask for a token at once.
    pub(crate) fn asks(agent: &Agent, connection: &str, count: usize) -> Self {
        let mut crowd = JoinSet::new();
        for _ in 0..count {
            let (agent, connection) = (agent.clone(), connection.to_owned());
            crowd.spawn(async move { ask(&agent, &connection, 30).await });
        }
        Self(crowd)
    }

    /// All say at once that the API refused this token.
    pub(crate) fn rejects(agent: &Agent, connection: &str, token: &str, count: usize) -> Self {
        let mut crowd = JoinSet::new();
        for _ in 0..count {
            let (agent, connection) = (agent.clone(), connection.to_owned());
            let token = token.to_owned();
            crowd.spawn(async move { reject(&agent, &connection, &token).await });
        }
        Self(crowd)
    }

    /// What they heard, once all have.
    pub(crate) async fn heard(self) -> Vec<Call> {
        self.0.join_all().await
    }
}
