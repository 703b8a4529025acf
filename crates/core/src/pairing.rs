//! Pairing: an agent asks a person for a grant (RFC 8628).
//!
//! The device code proves that whoever polls is who asked; the user code is what the person compares. The key is
//! made only when the approved agent comes to fetch it, so that it never waits anywhere.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::grant::{Door, Lifetime, ProgramId, Rights};
use crate::ids::{AgentId, ConnectionId, RequestId};
use crate::key::KeyHash;
use crate::name::{ClaimedName, Name};
use crate::problem::{Code, Refusal};
use crate::time::Timestamp;

/// How long a person has to answer; no answer is a refusal.
pub const REQUEST_LIFE: Duration = Duration::from_mins(10);
/// How often an agent may poll.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How many requests may wait at once: more than a person can read is an attack or a mistake.
pub const MOST_WAITING: usize = 20;

/// One thing that an agent asks for: `NAME:door`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The connection, by the name the agent knows.
    pub connection: Name,
    /// The door.
    pub door: Door,
}

impl Wanted {
    /// Reads an OAuth `scope`: words of the form `NAME:door`, or `NAME` for the default door.
    pub fn parse_scope(scope: &str) -> Result<Vec<Self>, Refusal> {
        let wrong = |word: &str| {
            let word: String = word
                .chars()
                .filter(|letter| !letter.is_control())
                .take(60)
                .collect();
            Refusal::new(
                Code::BadRequest,
                format!("{word:?} is not a scope of Doorward."),
                "Ask for a list of `NAME:door`, such as `fastio:proxy` or `fastio:token`.",
            )
        };
        let mut wanted = Vec::new();
        for word in scope.split_ascii_whitespace() {
            let (name, door) = word
                .rsplit_once(':')
                .unwrap_or((word, Door::Proxy.as_str()));
            let item = Self {
                connection: name.parse().map_err(|_| wrong(word))?,
                door: door.parse().map_err(|_| wrong(word))?,
            };
            if !wanted.contains(&item) {
                wanted.push(item);
            }
        }
        if wanted.is_empty() || wanted.len() > MOST_WANTED {
            Err(wrong(scope))
        } else {
            Ok(wanted)
        }
    }

    /// The scope word.
    #[must_use]
    pub fn as_scope(&self) -> String {
        format!("{}:{}", self.connection, self.door)
    }
}

/// More than this in one request cannot be read by a person in one look.
const MOST_WANTED: usize = 8;

/// The program behind a request, as the operating system knows it. Everything but the numbers is shown only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
pub struct Program {
    /// Which process.
    pub id: ProgramId,
    /// The user it runs as.
    pub uid: u32,
    /// Its executable.
    pub executable: String,
    /// The script it runs, where the executable is an interpreter.
    pub script: Option<String>,
    /// Its working folder.
    pub folder: String,
    /// The executable of its parent.
    pub parent: Option<String>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Verdict {
    /// No answer yet.
    Waiting,
    /// A person approved; the agent has not fetched its key yet.
    Approved {
        /// When the key it will fetch ends, if it does.
        key_expires_at: Option<Timestamp>,
        /// The scope that was given in the end.
        scope: String,
    },
    /// A person said no.
    Denied,
    /// The key was fetched. A device code works once.
    Fetched,
}

/// An agent asking a person for a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// Its identity.
    pub id: RequestId,
    /// The client that asks.
    pub client: AgentId,
    /// What it calls itself.
    pub name: ClaimedName,
    /// What it asks for.
    pub wanted: Vec<Wanted>,
    /// The code to compare.
    pub user_code: String,
    /// SHA-256 of the code it polls with.
    pub device_code: KeyHash,
    /// The program that asked.
    pub program: Option<Program>,
    /// When it asked.
    pub created_at: Timestamp,
    /// When no answer becomes a refusal.
    pub expires_at: Timestamp,
    /// What became of it.
    pub verdict: Verdict,
}

/// What a person gives: what was asked, less, or something else of the same tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The grants, by connection.
    pub grants: Vec<(ConnectionId, Rights)>,
    /// For how long.
    pub lifetime: Lifetime,
}

/// Letters that cannot be taken for one another and spell no words (RFC 8628 §6.1).
const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Makes a user code of the form `BCDF-GHJK` from random bytes.
#[must_use]
pub fn user_code(random: [u8; 16]) -> String {
    // Bytes of 240 and above would favour the first letters; 16 bytes all but surely leave 8 below that.
    let mut letters: Vec<char> = random
        .iter()
        .filter(|byte| **byte < 240)
        .map(|byte| char::from(USER_CODE_LETTERS[usize::from(byte % 20)]))
        .collect();
    letters.resize(8, 'X');
    let (left, right) = letters.split_at(4);
    format!(
        "{}-{}",
        left.iter().collect::<String>(),
        right.iter().collect::<String>()
    )
}

/// The one spelling of a user code that a person may have typed in any case, with or without the dash.
#[must_use]
pub fn normalised_user_code(typed: &str) -> String {
    let letters: String = typed
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_uppercase())
        .take(8)
        .collect();
    match letters.split_at_checked(4) {
        Some((left, right)) => format!("{left}-{right}"),
        None => letters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_codes_are_readable_and_forgiving() {
        let code = user_code([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(code, "BCDF-GHJK");
        assert_eq!(normalised_user_code(" bcdf ghjk\n"), code);
        assert_eq!(user_code([255; 16]), "XXXX-XXXX");
    }

    #[test]
    fn a_scope_names_connections_and_doors() {
        let wanted = Wanted::parse_scope("fastio:token work.2 fastio:token").unwrap();
        assert_eq!(
            wanted.iter().map(Wanted::as_scope).collect::<Vec<_>>(),
            ["fastio:token", "work.2:proxy"]
        );
        for bad in [
            "",
            "  ",
            "fastio:",
            ":token",
            "fastio:window",
            "Fast:token",
            "a b c d e f g h i",
        ] {
            assert!(Wanted::parse_scope(bad).is_err(), "{bad}");
        }
    }
}
