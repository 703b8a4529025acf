//! What one agent may do with one connection.
//!
//! The hard rule: a token in an agent's hands cannot be limited, so a grant with any limit never includes the token
//! door. [`Rights`] cannot be made otherwise, neither by a decision nor by reading a row.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, ConnectionId, GrantId};
use crate::pattern::{CallPattern, ToolPattern};
use crate::problem::{Code, Refusal};
use crate::time::Timestamp;

/// How a grant may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// The agent gets the access token.
    Token,
    /// Doorward injects the credential; the agent never sees it.
    Proxy,
}

impl Door {
    /// The door as it stands in scopes and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Proxy => "proxy",
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Door {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text {
            "token" => Ok(Self::Token),
            "proxy" => Ok(Self::Proxy),
            other => Err(Refusal::new(
                Code::BadRequest,
                format!("There is no door {other:?}."),
                "The doors are `token` and `proxy`.",
            )),
        }
    }
}

/// Limits of the proxy door. With no rule at all everything the provider allows is allowed; once there is one rule,
/// what no rule names is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Only calls that change nothing.
    pub read_only: bool,
    /// Only paths below these prefixes.
    pub path_prefixes: Vec<String>,
    /// Only these HTTP methods, in capitals.
    pub methods: Vec<String>,
    /// Only these MCP tools, or only these calls of them.
    #[cfg_attr(feature = "bindings", ts(as = "Vec<String>"))]
    pub tools: Vec<ToolPattern>,
    /// A person is asked for each new call.
    pub ask_each_time: bool,
    /// A person is asked for these calls.
    #[cfg_attr(feature = "bindings", ts(as = "Vec<String>"))]
    pub ask: Vec<CallPattern>,
    /// These calls are denied, whatever else allows them.
    #[cfg_attr(feature = "bindings", ts(as = "Vec<String>"))]
    pub deny: Vec<CallPattern>,
    /// Calls that mint or manage credentials are allowed too. That widens a grant; it is no limit.
    pub may_manage_sign_in: bool,
}

impl Policy {
    /// Whether the policy holds anything back.
    #[must_use]
    pub fn is_limiting(&self) -> bool {
        *self
            != Self {
                may_manage_sign_in: self.may_manage_sign_in,
                ..Self::default()
            }
    }
}

/// Doors and policy that may stand together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRights", into = "RawRights")]
pub struct Rights {
    doors: Vec<Door>,
    policy: Policy,
}

#[derive(Clone, Serialize, Deserialize)]
struct RawRights {
    doors: Vec<Door>,
    #[serde(default)]
    policy: Policy,
}

impl Rights {
    /// Puts doors and policy together, if they may stand together.
    pub fn new(mut doors: Vec<Door>, policy: Policy) -> Result<Self, Refusal> {
        doors.sort_unstable();
        doors.dedup();
        if doors.is_empty() {
            return Err(Refusal::new(
                Code::RightsInvalid,
                "A grant needs at least one door.",
                "Give the door `proxy` or `token`.",
            ));
        }
        if policy.is_limiting() && doors.contains(&Door::Token) {
            return Err(Refusal::new(
                Code::RightsInvalid,
                "A token in an agent's hands cannot be limited, so a limited grant cannot include the token door.",
                "Give the door `proxy` with these limits, or the door `token` without any.",
            ));
        }
        Ok(Self { doors, policy })
    }

    /// The doors, sorted and each once.
    #[must_use]
    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// The limits of the proxy door.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether the rights include a door.
    #[must_use]
    pub fn opens(&self, door: Door) -> bool {
        self.doors.contains(&door)
    }
}

impl TryFrom<RawRights> for Rights {
    type Error = Refusal;

    fn try_from(raw: RawRights) -> Result<Self, Refusal> {
        Self::new(raw.doors, raw.policy)
    }
}

impl From<Rights> for RawRights {
    fn from(rights: Rights) -> Self {
        Self {
            doors: rights.doors,
            policy: rights.policy,
        }
    }
}

/// A running program: its number, and when it began, as numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct ProgramId {
    /// The process id.
    pub pid: u32,
    /// The kernel's start time of the process, in its own unit.
    pub started: u64,
}

/// How long a grant lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// Until a person revokes it.
    UntilRevoked,
    /// Until a moment.
    Until(Timestamp),
    /// While that program runs.
    WhileRunning(ProgramId),
}

/// What one agent may do with one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its identity.
    pub id: GrantId,
    /// Who may.
    pub agent: AgentId,
    /// With what.
    pub connection: ConnectionId,
    /// How.
    pub rights: Rights,
    /// For how long.
    pub lifetime: Lifetime,
    /// Since when.
    pub created_at: Timestamp,
    /// The last generation of the connection's access token that this agent was handed.
    pub handed_generation: Option<u64>,
}

impl Grant {
    /// Whether the grant's time is over. A program's end is told by an event, not by the clock.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        matches!(self.lifetime, Lifetime::Until(end) if now >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_grant_never_includes_the_token_door() {
        let limited = Policy {
            read_only: true,
            ..Policy::default()
        };
        assert!(Rights::new(vec![Door::Proxy], limited.clone()).is_ok());
        let refused = Rights::new(vec![Door::Proxy, Door::Token], limited).unwrap_err();
        assert_eq!(refused.code, Code::RightsInvalid);
        assert!(Rights::new(vec![Door::Token, Door::Proxy], Policy::default()).is_ok());
        assert!(Rights::new(vec![], Policy::default()).is_err());
        let forged = r#"{"doors":["token"],"policy":{"path_prefixes":["/x"]}}"#;
        assert!(
            serde_json::from_str::<Rights>(forged).is_err(),
            "a row cannot bring back what cannot be made"
        );
    }
}
