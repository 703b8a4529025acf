//! Asking a person about a single call.
//!
//! A grant may say that a person is asked, for some calls or for each. The same call is asked about once, however
//! often an agent tries it, and its answer holds for exactly that call: by its digest, not by how it looks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decide::calling::Question;
use crate::ids::{AgentId, AnswerId, ConnectionId, GrantId, QuestionId, TenantId};
use crate::time::Timestamp;

/// How long a person has to answer (no answer is a refusal), and how long an answer that is not for always holds.
pub const QUESTION_LIFE: Duration = Duration::from_mins(10);
/// How many questions may wait at once: more than a person can read is an attack or a mistake.
pub const MOST_QUESTIONS: usize = 20;
/// How many questions of one agent may wait, so that one cannot take the others' room.
pub const MOST_QUESTIONS_OF_ONE: usize = 5;
/// How many lasting answers a grant may have. Who needs more is better served by a rule.
pub const MOST_ANSWERS: usize = 500;

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// No answer yet.
    Nothing,
    /// A person allowed the call once; it has not been sent yet.
    Once,
    /// A person said no.
    No,
}

/// An agent asking a person for a single call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedCall {
    /// Its identity.
    pub id: QuestionId,
    /// The tenant of the grant.
    pub tenant: TenantId,
    /// The agent that asks.
    pub agent: AgentId,
    /// The connection that it would use.
    pub connection: ConnectionId,
    /// The grant that has a person asked.
    pub grant: GrantId,
    /// The call.
    pub question: Question,
    /// Names the question where a person answers at a terminal.
    pub user_code: String,
    /// When it asked.
    pub created_at: Timestamp,
    /// When no answer becomes a refusal; answered, how long the answer holds.
    pub expires_at: Timestamp,
    /// What became of it.
    pub heard: Heard,
}

impl AskedCall {
    /// Whether a person can still answer.
    #[must_use]
    pub fn waits(&self, now: Timestamp) -> bool {
        self.heard == Heard::Nothing && now < self.expires_at
    }
}

/// What a person says for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Always {
    /// That call goes on.
    Allow,
    /// That call is refused.
    Deny,
}

impl Always {
    /// The word as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// A person's lasting answer about one exact call of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its identity.
    pub id: AnswerId,
    /// The grant it belongs to.
    pub grant: GrantId,
    /// Which call.
    pub digest: [u8; 32],
    /// The call in words, without its arguments.
    pub what: String,
    /// What was said.
    pub says: Always,
    /// When.
    pub created_at: Timestamp,
}

/// What a person says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The next such call goes on.
    Once,
    /// Every such call goes on.
    Always,
    /// Such a call is refused for a while.
    Deny,
    /// Every such call is refused.
    DenyAlways,
}

impl Reply {
    /// Whether it lets something in, so that a person has to prove to be there.
    #[must_use]
    pub const fn allows(self) -> bool {
        matches!(self, Self::Once | Self::Always)
    }
}
