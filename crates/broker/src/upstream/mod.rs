//! Calls of agents to providers, with the credential put in on the way.
//!
//! The hard problem is that a call belongs to three parties who trust each other little: the agent says what is sent,
//! the provider says what comes back, and the person's credential travels with it. So the credential goes only to
//! addresses that were stored when the person connected (`fence`), headers of either side that speak about the
//! connection itself stay on their side (`headers`), and an answer ends when the agent may not have it any longer
//! (`cut`). What is repeated, and when, is `exchange`; who waits for a limited provider in which order is `line`.

mod body;
mod client;
mod cut;
mod exchange;
mod failed;
mod fence;
mod halts;
mod headers;
mod line;
mod locks;
mod peek;
mod tickets;
mod tunnel;

use std::time::Duration;

use bytes::Bytes;
use doorward_core::api_path::ApiPath;
use doorward_core::problem::Refusal;
use http::{HeaderMap, Method};
use http_body_util::combinators::UnsyncBoxBody;

pub(crate) use self::client::Clients;
pub use self::cut::CutBody;
pub(crate) use self::cut::Lease;
pub(crate) use self::exchange::{Exchange, Traffic};
pub(crate) use self::fence::address;
pub use self::fence::{DoorPath, door_path};
use self::halts::Halts;
pub(crate) use self::locks::hear;
pub(crate) use self::tickets::{Handed, Tickets, is_meant};
pub(crate) use self::tunnel::open;
pub use self::tunnel::{Opened, Tunnel};

/// An error of a body, whatever it is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that arrives while it is sent on.
pub type StreamBody = UnsyncBoxBody<Bytes, BoxError>;

/// Which of the provider's addresses a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The API.
    Api,
    /// The MCP server, by Streamable HTTP.
    Mcp,
    /// The MCP server, by the transport before it.
    Sse,
    /// The root of the origin that the MCP server is at: its side channels.
    BesideMcp,
    /// The root of the origin that the older transport is at: where its messages go.
    BesideSse,
    /// One of the further ones, by its place in [`doorward_core::upstream::Upstream::bases`].
    Other(usize),
}

/// What an agent sends.
pub enum OutgoingBody {
    /// Nothing.
    Empty,
    /// What is here already.
    Whole(Bytes),
    /// What arrives while it is sent on. The beginning is kept, so that a short one can be sent again.
    Stream(StreamBody),
}

/// A call on its way to a provider.
pub struct Outgoing {
    /// Where to.
    pub base: Base,
    /// What follows the base, as it was sent, with the query.
    pub path_and_query: String,
    /// The path at the door as it was judged; nothing where the call is no call of the REST API.
    pub path: Option<ApiPath>,
    /// The method.
    pub method: Method,
    /// The agent's headers, as they came.
    pub headers: HeaderMap,
    /// The body.
    pub body: OutgoingBody,
    /// How long the agent waits for what is not the provider's own time.
    pub patience: Option<Duration>,
    /// Whether a second sending changes nothing more; nothing where the method says it.
    pub safe_to_repeat: Option<bool>,
    /// Under which name it is counted.
    pub label: Label,
}

/// Under which name a call is counted and halted: never a query, never a body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// The method and the path.
    Path,
    /// An MCP tool or method.
    Tool(String),
}

/// Why a call has no answer of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// It did nothing, or may be sent again.
    Refused(Refusal),
    /// It was sent and no answer came: whether it was carried out is not known, and it was not repeated.
    Unknown(Refusal),
}

/// With which generation of the token a call was signed. It stands among the extensions of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedWith(pub(crate) u64);

impl CallFailure {
    /// What the agent is told.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        match self {
            Self::Refused(refusal) | Self::Unknown(refusal) => refusal,
        }
    }
}

impl From<Refusal> for CallFailure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
