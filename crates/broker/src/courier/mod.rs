//! The courier: a process of its own that carries one refresh to the provider and its reply to the disk.
//!
//! The hard problem is that a refresh token which the provider rotates is used up the moment the provider has read it,
//! and that its successor exists nowhere but in the reply. Whoever waits for that reply must not be killed with the
//! broker. So the broker does not wait for it itself: the courier is of a session of its own, is deaf to every signal
//! that can be ignored, and reports only after the reply is sealed and on the disk. A broker that is killed finds the
//! reply in the spool when it starts again.
//!
//! What is said between the two goes over pipes, for a command line and an environment can be read by others.

mod carry;
mod send;

use doorward_core::decide::flying::Empty;
use doorward_core::provider::Provider;
use doorward_core::registration::ClientIdentity;
use doorward_core::secret::FlightKey;
use doorward_core::time::Timestamp;
use doorward_core::token_reply::TokenOutcome;
use doorward_store::FlightPlace;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

pub use carry::{Refused, carry};
pub(crate) use send::{Flight, adopt, send};

use crate::control::SecretText;
use crate::provider::http::{RawReply, TransportError};
use crate::provider::token;

/// The word that makes the `doorward` program a courier.
pub const WORD: &str = "courier";

/// What a courier needs beside the call itself: to be read, to seal, to write to a disk that is slow.
const BESIDE_THE_CALL: Duration = Duration::from_secs(10);

/// What a courier is told, once, on its standard input.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// What the reply is sealed for.
    pub(crate) place: FlightPlace,
    /// What it is sealed under.
    pub(crate) key: SecretText,
    /// The data folder, in which the spool lies.
    pub(crate) data: PathBuf,
    pub(crate) provider: Provider,
    pub(crate) client: ClientIdentity,
    pub(crate) secret: Option<SecretText>,
    pub(crate) refresh: SecretText,
    /// How long the call may take.
    pub(crate) timeout_ms: u64,
    /// What the broker's clock says: the reply's moments are told by it.
    pub(crate) now: Timestamp,
}

impl Order {
    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// When the courier ends, whatever happens.
    fn limit(&self) -> Duration {
        self.timeout().saturating_add(BESIDE_THE_CALL)
    }

    fn key(&self) -> FlightKey {
        FlightKey::new(self.key.expose().to_owned())
    }
}

/// What a courier says, once, on its standard output.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    /// What it saw, sealed for the flight. The same bytes lie in the spool, unless the disk could not take them.
    Landed(String),
    /// It sent nothing.
    Refused(String),
}

/// What a courier saw of its one call: this is what lies sealed in the spool.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Seen {
    /// A reply.
    Reply {
        status: u16,
        headers: Vec<(String, String)>,
        /// In base64.
        body: SecretText,
        sent_at: Timestamp,
        now: Timestamp,
    },
    /// No connection could be made.
    NotSent { why: String },
    /// The request was sent, and no whole reply came.
    NoReply { why: String },
    /// The request could not be written.
    Unwritable,
}

/// What came of a flight.
pub(crate) enum Flown {
    /// The provider answered, or was not reached.
    Landed(TokenOutcome),
    /// There is no reply, and why.
    Empty(Empty),
}

impl Seen {
    fn of(call: Option<Result<RawReply, TransportError>>) -> Self {
        match call {
            Some(Ok(reply)) => Self::Reply {
                status: reply.status,
                headers: reply.headers,
                body: base64_of(&reply.body),
                sent_at: reply.sent_at,
                now: reply.now,
            },
            Some(Err(
                error @ (TransportError::NotSent { .. } | TransportError::Distrusted { .. }),
            )) => Self::NotSent {
                why: error.to_string(),
            },
            Some(Err(
                error @ (TransportError::NoReply { .. }
                | TransportError::TimedOut { .. }
                | TransportError::TooLarge { .. }),
            )) => Self::NoReply {
                why: error.to_string(),
            },
            None => Self::Unwritable,
        }
    }

    fn flown(self) -> Flown {
        match self {
            Self::Reply {
                status,
                headers,
                body,
                sent_at,
                now,
            } => match bytes_of(&body) {
                Some(body) => Flown::Landed(token::meaning(&RawReply {
                    status,
                    headers,
                    body,
                    sent_at,
                    now,
                })),
                None => lost("the reply in the spool cannot be read"),
            },
            Self::NotSent { why } => Flown::Landed(TokenOutcome::Transient {
                why,
                retry_at: None,
            }),
            Self::NoReply { why } => Flown::Empty(Empty::ReplyLost { why }),
            Self::Unwritable => Flown::Landed(token::unwritable()),
        }
    }
}

fn lost(why: &str) -> Flown {
    Flown::Empty(Empty::ReplyLost {
        why: why.to_owned(),
    })
}

fn base64_of(bytes: &[u8]) -> SecretText {
    use base64::Engine as _;
    SecretText::new(base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn bytes_of(text: &SecretText) -> Option<Zeroizing<Vec<u8>>> {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(text.expose());
    decoded.ok().map(Zeroizing::new)
}
