//! What lies behind the proxy door: a provider's addresses, and what is special about some of its calls.
//!
//! A manifest says it in its table `[door]`. The addresses are resolved when a person connects, with everything else
//! that a connection keeps: the credential goes to these and to no others.

mod signed_out;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::pattern::{CallPattern, ToolPattern};
use crate::problem::Refusal;

pub use self::signed_out::Beginning;

/// The table `[door]` of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DoorManifest {
    /// The MCP server, by Streamable HTTP.
    pub mcp: Option<String>,
    /// The MCP server, by the transport before it (SSE).
    pub sse: Option<String>,
    /// Paths of the proxy door that lead elsewhere than below the API's base.
    pub bases: Vec<RawBase>,
    /// Calls that hand out a one-time token.
    pub tickets: Vec<Ticket>,
    /// Calls that mint or manage credentials.
    pub credentials: Vec<CallPattern>,
    /// MCP tools whose arguments are a call of the REST API.
    pub code_tools: Vec<CodeTool>,
    /// Tool calls that change nothing.
    pub reads: Vec<ToolPattern>,
    /// Tool calls that may be sent twice: the second time changes nothing more.
    pub repeatable: Vec<ToolPattern>,
    /// How locks are taken.
    pub locks: Option<LockRules>,
    /// How errors of the MCP server begin that say, inside HTTP 200, that the caller is not signed in. The usual ones,
    /// where nothing is said; none, where the list is empty.
    pub signed_out: Option<Vec<Beginning>>,
}

impl DoorManifest {
    /// The same at another base: an address of another host moves there too, as a whole provider moves together.
    pub(crate) fn move_to(&mut self, base: &Url) {
        let addresses = self.mcp.iter_mut().chain(self.sse.iter_mut());
        for text in addresses.chain(self.bases.iter_mut().map(|base| &mut base.address)) {
            if let Ok(address) = Url::parse(text)
                && let Ok(moved) = base.join(address.path())
            {
                *text = moved.into();
            }
        }
    }
}

/// A base, before it is resolved.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawBase {
    /// How the path of a call begins.
    pub prefix: String,
    /// Where such a call goes.
    pub address: String,
    /// Whether the credential is sent there.
    #[serde(default)]
    pub keyed: bool,
}

/// Where a call goes whose path begins with `prefix`. What follows the prefix is joined to the address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// How the path begins: no slash before it, one behind it.
    pub prefix: String,
    /// Where it goes; ends in a slash.
    pub address: Url,
    /// Whether the credential is sent there.
    pub keyed: bool,
}

/// A call that hands out a token which opens another call once, with no credential beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The call whose JSON answer holds it.
    pub issued_by: CallPattern,
    /// The member that holds it.
    pub field: String,
    /// The call that it opens, as `?token=`.
    pub opens: CallPattern,
}

/// An MCP tool whose arguments are a call of the REST API: the same rules apply to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeTool {
    /// Its name.
    pub tool: String,
    /// The argument that holds the method. A suffix such as `postJson` says how the body is sent.
    pub method: String,
    /// The argument that holds the path.
    pub path: String,
}

/// How an agent takes a lock, and how it is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockRules {
    /// The call that takes one.
    pub taken_by: CallPattern,
    /// The member of its JSON answer that holds the lock token, and of the form that gives it back.
    pub field: String,
    /// The method that gives it back, on the same path.
    pub released_by: String,
    /// The call that keeps one, on a path below the lock's own.
    #[serde(default)]
    pub kept_by: Option<CallPattern>,
    /// Tools that take, keep and give back one.
    #[serde(default)]
    pub tools: Vec<LockTool>,
}

/// A tool that is about a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockTool {
    /// The call.
    pub tool: ToolPattern,
    /// The path at which the lock is given back; `{name}` stands for an argument of the call.
    pub path: String,
    /// What the call does with the lock.
    #[serde(default)]
    pub does: LockDeed,
}

/// What a call does with a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockDeed {
    /// It takes it.
    #[default]
    Take,
    /// It keeps it for longer.
    Keep,
    /// It gives it back.
    GiveBack,
}

/// What lies behind the proxy door of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Upstream {
    /// The MCP server, by Streamable HTTP.
    pub mcp: Option<Url>,
    /// The MCP server, by the transport before it (SSE).
    pub sse: Option<Url>,
    /// Paths that lead elsewhere than below the API's base, the longest prefix first.
    pub bases: Vec<Base>,
    /// Calls that hand out a one-time token.
    pub tickets: Vec<Ticket>,
    /// Calls that mint or manage credentials.
    pub credentials: Vec<CallPattern>,
    /// MCP tools whose arguments are a call of the REST API.
    pub code_tools: Vec<CodeTool>,
    /// Tool calls that change nothing.
    pub reads: Vec<ToolPattern>,
    /// Tool calls that may be sent twice.
    pub repeatable: Vec<ToolPattern>,
    /// How locks are taken.
    pub locks: Option<LockRules>,
    /// How errors begin that say that the caller is not signed in; the usual ones, where nothing is said.
    pub signed_out: Option<Vec<Beginning>>,
}

impl Upstream {
    /// Resolves a manifest's table. `address` turns what stands in a manifest into an address that may be used.
    pub(crate) fn resolve(
        door: &DoorManifest,
        address: impl Fn(&str) -> Result<Url, Refusal>,
    ) -> Result<Self, Refusal> {
        let optional = |text: &Option<String>| text.as_deref().map(&address).transpose();
        let mut bases = Vec::new();
        for raw in &door.bases {
            let prefix = raw.prefix.trim_matches('/');
            let mut address = address(&raw.address)?;
            if !address.path().ends_with('/') {
                address.set_path(&format!("{}/", address.path()));
            }
            bases.push(Base {
                prefix: format!("{prefix}/"),
                address,
                keyed: raw.keyed,
            });
        }
        bases.sort_by_key(|base| std::cmp::Reverse(base.prefix.len()));
        Ok(Self {
            mcp: optional(&door.mcp)?,
            sse: optional(&door.sse)?,
            bases,
            tickets: door.tickets.clone(),
            credentials: door.credentials.clone(),
            code_tools: door.code_tools.clone(),
            reads: door.reads.clone(),
            repeatable: door.repeatable.clone(),
            locks: door.locks.clone(),
            signed_out: door.signed_out.clone(),
        })
    }

    /// Whether an error of the MCP server says that the caller is not signed in.
    #[must_use]
    pub fn says_signed_out(&self, error: &str) -> bool {
        signed_out::is_said(self.signed_out.as_deref(), error)
    }

    /// What these rules say today about addresses that were resolved before: a connection keeps where its credential
    /// goes, and what is held back there goes with the program.
    #[must_use]
    pub fn with_rules_of(self, newer: Self) -> Self {
        Self {
            mcp: self.mcp.or(newer.mcp),
            sse: self.sse.or(newer.sse),
            bases: if self.bases.is_empty() {
                newer.bases
            } else {
                self.bases
            },
            ..newer
        }
    }
}
