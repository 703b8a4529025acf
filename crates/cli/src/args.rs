//! What can be typed. The names are a promise (docs/CLI.md).
//!
//! No flag and no variable here answers for a person: the approval PIN is read from the terminal and nowhere else.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use doorward_broker::Keys;
use doorward_broker::handle::LifetimeAsk;
use doorward_core::audit::AuditTopic;
use doorward_core::grant::{Door, Policy};
use doorward_core::name::Name;
use doorward_core::pattern::{CallPattern, RestPattern, ToolPattern};
use doorward_core::problem::Refusal;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed; the message says how to go on
  2  the command was given wrongly
  3  Doorward is not running or cannot be reached
  4  a person is needed: unlock, reconnect, approve, PIN
  5  refused; asking again changes nothing
  6  try again later

A signal ends it with 130. `docs/CLI.md` lists every error code.";

/// Keeps your OAuth grants and hands your agents only what you allow
#[derive(Debug, Parser)]
#[command(name = "doorward", version, after_help = EXIT_CODES, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// Print JSON, errors too, on standard output
    #[arg(long, global = true, display_order = 901)]
    pub(crate) json: bool,

    /// Keep the store in this folder instead of the usual one
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        alias = "data",
        display_order = 902
    )]
    pub(crate) data_dir: Option<PathBuf>,

    /// Open the store with the passphrase in this file; `-` is standard input
    #[arg(long, global = true, value_name = "FILE", display_order = 903)]
    pub(crate) passphrase_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run Doorward here, for machines without a display
    Serve(Serve),
    /// Show how Doorward is and what needs you next
    Status(Status),
    /// Check everything that could keep Doorward from working
    Doctor,
    /// Open the store: try the keyring again, or ask for the passphrase
    Unlock(Unlock),
    /// Set or change the approval PIN
    Pin,
    /// Connect a provider in the browser, or connect one again
    Connect(Connect),
    /// List the connections
    Connections,
    /// Try a connection again now, whose tries have halted or wait
    Retry(Retry),
    /// End a connection, here and at the provider
    Disconnect(Disconnect),
    /// List the agents, or add one
    Agents(Agents),
    /// List what agents ask you for: to be let in, or to make a single call
    Requests,
    /// Let in an agent that asked, or let a call go on; needs the approval PIN
    Approve(Approve),
    /// Refuse an agent or a call
    Deny(Deny),
    /// List what you said for good about single calls, or take it back
    Answers(Answers),
    /// End an agent: its keys and everything it was given
    Revoke(Revoke),
    /// Hold back an agent, a connection, or all agents
    Pause(Pause),
    /// Let what was paused go on
    Resume(Pause),
    /// Give back a lock that an agent holds at a provider
    Release(Release),
    /// Read and check the audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Look after the keys of the store
    #[command(subcommand)]
    Keys(KeysCommand),
    /// As an agent: ask a person for access, and print the agent key
    Pair(Pair),
    /// As an agent: print an access token
    Token(Token),
    /// As an agent: be an MCP server on standard input and output
    Mcp(Mcp),
    /// Carry one refresh; started by Doorward itself
    #[command(hide = true)]
    Courier,
}

/// `serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Listen on this port
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,
    /// Where the key of a new store comes from
    #[arg(long, value_name = "SOURCE")]
    pub(crate) keys: Option<KeysChoice>,
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Stay, and show it again with all connections whenever something changes
    #[arg(long)]
    pub(crate) watch: bool,
}

/// `retry`
#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// The connection
    pub(crate) name: Name,
}

/// `unlock`
#[derive(Debug, Args)]
pub(crate) struct Unlock {
    /// Use a passphrase, also where the store has no key yet
    #[arg(long)]
    pub(crate) passphrase: bool,
}

/// `connect`
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// A provider by name (`fastio`), or the address of an OAuth issuer
    #[arg(required_unless_present = "name")]
    pub(crate) provider: Option<String>,
    /// Another address for that provider
    #[arg(long, value_name = "URL")]
    pub(crate) base: Option<String>,
    /// What to ask for; may be repeated
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Vec<String>,
    /// Ask for reading only
    #[arg(long)]
    pub(crate) read_only: bool,
    /// The tenant the connection belongs to
    #[arg(long, value_name = "T")]
    pub(crate) tenant: Option<Name>,
    /// The connection's name; that of an existing one connects it again
    #[arg(long, value_name = "N")]
    pub(crate) name: Option<Name>,
    /// Who will act, as the consent page says it
    #[arg(long, value_name = "A")]
    pub(crate) agent_name: Option<String>,
    /// Print the address instead of opening the browser
    #[arg(long)]
    pub(crate) no_browser: bool,
}

/// `disconnect`
#[derive(Debug, Args)]
pub(crate) struct Disconnect {
    /// The connection
    pub(crate) name: Name,
}

/// `agents`
#[derive(Debug, Args)]
pub(crate) struct Agents {
    #[command(subcommand)]
    pub(crate) command: Option<AgentsCommand>,
}

/// `agents …`
#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// Add an agent by hand and print its key; needs the approval PIN
    Add(AgentsAdd),
}

/// `agents add`
#[derive(Debug, Args)]
pub(crate) struct AgentsAdd {
    /// What to call it
    pub(crate) name: String,
    /// The connection it may use
    #[arg(long, value_name = "C", required_unless_present = "metrics")]
    pub(crate) connection: Option<Name>,
    /// How it may use it; may be repeated
    #[arg(
        long,
        value_name = "DOOR",
        required_unless_present = "metrics",
        value_enum
    )]
    pub(crate) door: Vec<DoorChoice>,
    /// It reads the metrics instead, and uses no connection
    #[arg(long, conflicts_with_all = ["connection", "door", "policy"])]
    pub(crate) metrics: bool,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

/// What is held back, and for how long it is given.
#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// For how long [default: until-revoked]
    #[arg(long, value_name = "TIME", value_enum)]
    pub(crate) lifetime: Option<LifetimeChoice>,
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,
}

/// What an agent may call, and what a person is asked about. All of it goes with the door `proxy` alone, but for
/// `--may-manage-sign-in`, which holds nothing back.
#[derive(Debug, Args)]
#[group(id = "policy", multiple = true)]
pub(crate) struct PolicyFlags {
    /// Only calls that change nothing (door `proxy` only)
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Only paths below this one; may be repeated (door `proxy` only)
    #[arg(long, value_name = "P", value_parser = path)]
    pub(crate) path: Vec<String>,
    /// Only this HTTP method, such as GET; may be repeated (door `proxy` only)
    #[arg(long, value_name = "M", value_parser = method)]
    pub(crate) method: Vec<String>,
    /// Only this MCP tool, or these calls of it: `storage(action=list|details)`; may be repeated (door `proxy` only)
    #[arg(long, value_name = "T")]
    pub(crate) tool: Vec<ToolPattern>,
    /// Ask me before each new call (door `proxy` only)
    #[arg(long)]
    pub(crate) ask_each_time: bool,
    /// Ask me before these calls: `POST /workspace/` or `tool storage(action=delete)`; may be repeated (door `proxy` only)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) ask: Vec<CallPattern>,
    /// Never these calls; may be repeated (door `proxy` only)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) deny: Vec<CallPattern>,
    /// Calls that make or manage keys and sessions too: with them an agent can get access that outlives this grant
    #[arg(long)]
    pub(crate) may_manage_sign_in: bool,
}

impl PolicyFlags {
    /// Whether none of them was given.
    pub(crate) fn is_empty(&self) -> bool {
        Policy::from(self) == Policy::default()
    }
}

impl From<&PolicyFlags> for Policy {
    fn from(flags: &PolicyFlags) -> Self {
        Self {
            read_only: flags.read_only,
            path_prefixes: flags.path.clone(),
            methods: flags.method.clone(),
            tools: flags.tool.clone(),
            ask_each_time: flags.ask_each_time,
            ask: flags.ask.clone(),
            deny: flags.deny.clone(),
            may_manage_sign_in: flags.may_manage_sign_in,
        }
    }
}

/// A path as a pattern would have it.
fn path(text: &str) -> Result<String, Refusal> {
    RestPattern::below(text).map(|_| text.to_owned())
}

/// A method as a pattern would have it.
fn method(text: &str) -> Result<String, Refusal> {
    format!("{text} /").parse::<RestPattern>()?;
    Ok(text.to_owned())
}

/// `mcp`
#[derive(Debug, Args)]
pub(crate) struct Mcp {
    /// The connection
    #[arg(long, value_name = "C")]
    pub(crate) connection: Name,
    /// Read the agent key from this file, not from `DOORWARD_KEY`
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// How a grant may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoorChoice {
    /// The agent gets the access token
    Token,
    /// Doorward puts the token in; the agent never sees it
    Proxy,
}

impl From<DoorChoice> for Door {
    fn from(choice: DoorChoice) -> Self {
        match choice {
            DoorChoice::Token => Self::Token,
            DoorChoice::Proxy => Self::Proxy,
        }
    }
}

/// For how long something is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LifetimeChoice {
    /// Until you revoke it
    #[default]
    UntilRevoked,
    /// For an hour
    Hour,
    /// Until the end of the day
    Today,
    /// While the program that asked runs
    WhileRunning,
}

impl From<LifetimeChoice> for LifetimeAsk {
    fn from(choice: LifetimeChoice) -> Self {
        match choice {
            LifetimeChoice::UntilRevoked => Self::UntilRevoked,
            LifetimeChoice::Hour => Self::Hour,
            LifetimeChoice::Today => Self::Today,
            LifetimeChoice::WhileRunning => Self::WhileRunning,
        }
    }
}

/// `approve`
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The code that the agent shows, to compare; or that of a call
    pub(crate) code: String,
    /// Of a call: let every such call of that agent go on, not only the next one
    #[arg(long, conflicts_with_all = ["connection", "door", "lifetime", "policy"])]
    pub(crate) always: bool,
    /// Give this connection instead of the one asked for
    #[arg(long, value_name = "C")]
    pub(crate) connection: Option<Name>,
    /// Give this door instead of those asked for; may be repeated
    #[arg(long, value_name = "DOOR", value_enum)]
    pub(crate) door: Vec<DoorChoice>,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

/// `deny`
#[derive(Debug, Args)]
pub(crate) struct Deny {
    /// The code of the request or of the call
    pub(crate) code: String,
    /// Of a call: refuse every such call of that agent, not only for ten minutes
    #[arg(long)]
    pub(crate) always: bool,
}

/// `answers`
#[derive(Debug, Args)]
pub(crate) struct Answers {
    #[command(subcommand)]
    pub(crate) command: Option<AnswersCommand>,
}

/// `answers …`
#[derive(Debug, Subcommand)]
pub(crate) enum AnswersCommand {
    /// Take an answer back: the next such call is asked about again
    TakeBack(TakeBack),
}

/// `answers take-back`
#[derive(Debug, Args)]
pub(crate) struct TakeBack {
    /// The answer, by the beginning of its identifier
    pub(crate) answer: String,
}

/// `revoke`
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The agent, by name or the beginning of its identifier
    pub(crate) agent: String,
}

/// `pause`, `resume`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["agent", "connection", "all"])))]
pub(crate) struct Pause {
    /// An agent, by name or the beginning of its identifier
    pub(crate) agent: Option<String>,
    /// A connection
    #[arg(long, value_name = "C")]
    pub(crate) connection: Option<Name>,
    /// Every agent
    #[arg(long)]
    pub(crate) all: bool,
}

/// `release`
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// Its path, as `agents` shows it, or the beginning of its id
    #[arg(value_name = "LOCK")]
    pub(crate) lock: String,
}

/// `audit …`
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Print what happened in sentences, the newest first
    Show(AuditShow),
    /// Look for a row that was edited, removed, moved or cut off
    Verify,
    /// Print the rows as JSON lines, oldest first
    Export(AuditExport),
}

/// `audit show`
#[derive(Debug, Args)]
pub(crate) struct AuditShow {
    /// Only what is about this agent, by name or the beginning of its id
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<String>,
    /// Only what is about this connection
    #[arg(long, value_name = "NAME")]
    pub(crate) connection: Option<Name>,
    /// Only what is about this
    #[arg(long, value_name = "TOPIC")]
    pub(crate) about: Option<TopicAsk>,
    /// The newest rows; 50 where it is left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: Option<u32>,
}

/// What rows of the log are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopicAsk {
    /// What agents did
    Uses,
    /// What was refused
    Refusals,
    /// Who was let in, and whose access ended
    Access,
    /// Connections and their grants
    Connections,
    /// Locks that were given back
    Locks,
    /// The store, its keys and this log
    Store,
}

impl From<TopicAsk> for AuditTopic {
    fn from(ask: TopicAsk) -> Self {
        match ask {
            TopicAsk::Uses => Self::Uses,
            TopicAsk::Refusals => Self::Refusals,
            TopicAsk::Access => Self::Access,
            TopicAsk::Connections => Self::Connections,
            TopicAsk::Locks => Self::Locks,
            TopicAsk::Store => Self::Store,
        }
    }
}

/// `audit export`
#[derive(Debug, Args)]
pub(crate) struct AuditExport {
    /// Only the newest rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u32>,
}

/// `keys …`
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Replace the key that everything in the store opens with
    Rotate(KeysRotate),
}

/// `keys rotate`
#[derive(Debug, Args)]
pub(crate) struct KeysRotate {
    /// Read the new passphrase from this file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
}

/// `pair`
#[derive(Debug, Args)]
pub(crate) struct Pair {
    /// What the agent calls itself
    pub(crate) name: String,
    /// What it asks for, as CONNECTION:DOOR, such as fastio:token; may be repeated
    #[arg(long, value_name = "SCOPE", required = true)]
    pub(crate) scope: Vec<String>,
}

/// `token`
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The connection; may be left out where the agent has just one
    #[arg(long, value_name = "C")]
    pub(crate) connection: Option<Name>,
    /// How many seconds the token must still be valid
    #[arg(long, value_name = "S")]
    pub(crate) min_valid: Option<u64>,
    /// Read the agent key from this file, not from `DOORWARD_KEY`; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// Where the key of a new store comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeysChoice {
    /// The operating system's keyring
    Keyring,
    /// A passphrase that you type
    Passphrase,
}

impl From<KeysChoice> for Keys {
    fn from(choice: KeysChoice) -> Self {
        match choice {
            KeysChoice::Keyring => Self::Keyring,
            KeysChoice::Passphrase => Self::Passphrase,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_make_sense() {
        Arguments::command().debug_assert();
    }
}
