//! Which tools a session has, and which actions they route to.
//!
//! The shape depends on the door and on the client's name, as at Fast.io: programs that write code get a
//! few tools and find the rest by searching, others get named tools that route by `action`. The server of
//! October 2026 has its writing in tools of their own (`storage` and `storage_manage`); a knob chooses.
//! Whoever may only read is not shown what writes, and two doors serve no credentials and no billing.

use axum::http::Method;
use rmcp::ErrorData;
use rmcp::model::Tool;

use crate::mcp::Entrance;
use crate::mcp::calling::invalid;
use crate::mcp::catalogue;
use crate::mcp::operations::{self, Operation, Variant, fits};

/// The form in which the operations are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Tools that route by `action`.
    Named,
    /// A few tools for programs that write code.
    Code,
    /// Each operation is a tool.
    Whole,
}

/// Parts of the names of the programs that write code.
const CODING: [&str; 9] = [
    "claude-code",
    "cursor",
    "continue",
    "cowork",
    "codex",
    "antigravity",
    "gemini-cli",
    "grok-cli",
    "opencode",
];

/// The newer server counts this one among them.
const CODING_NEWER: &str = "claude-ai";

/// The named tools of July 2026.
const NAMED: [(&str, &str); 18] = [
    ("auth", "Signs in and tells who is signed in."),
    ("user", "The person."),
    ("org", "Organizations."),
    ("workspace", "Workspaces."),
    ("share", "Shares."),
    ("fileshare", "Links to single files."),
    ("storage", "Files and folders."),
    ("metadata", "What is known about files."),
    ("find", "Finds files anywhere."),
    ("upload", "Puts files in."),
    ("download", "Gets files out."),
    ("ai", "Answers questions about files."),
    ("comment", "Comments."),
    ("event", "What happened."),
    ("member", "Members."),
    ("invitation", "Invitations."),
    ("asset", "Logos and the like."),
    ("how-to", "Guides."),
];

/// The tools of code mode.
const CODE: [&str; 5] = ["auth", "upload", "search", "execute", "how-to"];

/// The tools that have no sibling for writing.
const SINGLE: [&str; 4] = ["find", "download", "how-to", "search"];

/// What the sibling for writing is called after the tool that reads.
const MANAGE: &str = "_manage";

/// Which operations of its domain a tool covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Both,
    Reads,
    Writes,
}

/// The tools of one session.
#[derive(Debug)]
pub(crate) struct Menu {
    pub(crate) shape: Shape,
    /// Whether writing is a tool of its own.
    pub(crate) split: bool,
    /// Whether credentials and billing are left out, and earlier names with them.
    pub(crate) narrow: bool,
    pub(crate) read_only: bool,
}

/// What code mode's calls of the API may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executes {
    /// Only GET.
    Reads,
    /// Everything but GET.
    Writes,
    Everything,
}

impl Shape {
    pub(crate) fn for_client(name: &str, split: bool) -> Self {
        let name = name.to_lowercase();
        let codes =
            CODING.iter().any(|part| name.contains(part)) || (split && name.contains(CODING_NEWER));
        if codes { Self::Code } else { Self::Named }
    }
}

impl Entrance {
    /// Whether a door serves no action that takes or returns a credential or is about billing.
    pub(crate) fn is_narrow(self) -> bool {
        matches!(self, Self::Tools | Self::Code)
    }
}

impl Menu {
    /// The tools, in an order that does not change.
    pub(crate) fn tools(&self) -> Vec<Tool> {
        match self.shape {
            Shape::Named => NAMED
                .iter()
                .flat_map(|(name, about)| self.named(name, about))
                .collect(),
            Shape::Code => CODE
                .iter()
                .flat_map(|name| match *name {
                    "search" => vec![catalogue::search_tool()],
                    "execute" => self.execute_tools(),
                    name => self.named(name, ""),
                })
                .collect(),
            Shape::Whole => operations::variants()
                .iter()
                .filter(|variant| self.offers(variant.operation))
                .map(catalogue::whole_tool)
                .collect(),
        }
    }

    /// The actions that a tool lists.
    pub(crate) fn actions(&self, tool: &str) -> Vec<&'static Operation> {
        let (domain, half) = self.half(tool);
        operations::all()
            .iter()
            .filter(|operation| operation.tool == domain)
            .filter(|operation| half.has(operation) && self.offers(operation))
            .collect()
    }

    /// What a tool does on an action. Where reading and writing are split, the older doors still take
    /// the earlier names, which they do not list; the newer ones name the tool that would do it.
    pub(crate) fn find(&self, tool: &str, action: &str) -> Result<&'static Operation, ErrorData> {
        let named = |operations: Vec<&'static Operation>| {
            operations
                .into_iter()
                .find(|operation| operation.action == action)
        };
        let listed = self.actions(tool);
        if listed.is_empty() {
            return Err(invalid(format!("unknown tool: {tool}")));
        }
        let none = || invalid(format!("action is none of those in the schema: {action}"));
        if let Some(operation) = named(listed) {
            return Ok(operation);
        }
        let manager = format!("{tool}{MANAGE}");
        match named(self.actions(&manager)) {
            Some(_) if self.narrow => Err(invalid(format!("{action} is an action of {manager}"))),
            Some(operation) => Ok(operation),
            None => Err(none()),
        }
    }

    /// A tool of the whole catalogue.
    pub(crate) fn variant(&self, tool: &str) -> Result<&'static Variant, ErrorData> {
        operations::variants()
            .iter()
            .find(|variant| variant.name == tool && self.offers(variant.operation))
            .ok_or_else(|| invalid(format!("unknown tool: {tool}")))
    }

    /// What a tool may execute; `None` for one that executes nothing.
    pub(crate) fn executes(&self, tool: &str) -> Option<Executes> {
        match tool {
            _ if self.shape != Shape::Code => None,
            "execute" if self.read_only || (self.split && self.narrow) => Some(Executes::Reads),
            "execute" => Some(Executes::Everything),
            "execute_manage" if self.split && !self.read_only => Some(Executes::Writes),
            _ => None,
        }
    }

    /// Whether the door leaves out a call of the API. `path` may have a query.
    pub(crate) fn leaves_out(&self, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        self.narrow
            && operations::variants()
                .iter()
                .any(|variant| is_withheld(variant.operation) && fits(&variant.path, path))
    }

    /// Whether an operation is offered at all. Signing in writes nothing of the account.
    pub(crate) fn offers(&self, operation: &Operation) -> bool {
        let signs_in = matches!(
            operation.action,
            "pkce-login" | "pkce-complete" | "set-api-key"
        );
        let may = !self.read_only || operation.only_reads() || signs_in;
        may && !(self.narrow && is_withheld(operation))
    }

    /// A named tool, and its sibling for writing if it has one. A sibling without actions is left out.
    fn named(&self, name: &str, about: &str) -> Vec<Tool> {
        let mut tools = vec![catalogue::named_tool(name, about, &self.actions(name))];
        let manager = format!("{name}{MANAGE}");
        let writing = self.actions(&manager);
        if !writing.is_empty() {
            tools.push(catalogue::managing_tool(&manager, about, &writing));
        }
        tools
    }

    fn execute_tools(&self) -> Vec<Tool> {
        let reads = self.split || self.read_only;
        let first = if reads {
            Executes::Reads
        } else {
            Executes::Everything
        };
        let mut tools = vec![catalogue::execute_tool("execute", first)];
        if self.executes("execute_manage").is_some() {
            let manager = catalogue::execute_tool("execute_manage", Executes::Writes);
            tools.push(manager);
        }
        tools
    }

    /// The domain of a tool, and what of it the tool covers.
    fn half<'t>(&self, tool: &'t str) -> (&'t str, Half) {
        if !self.split || SINGLE.contains(&tool) {
            return (tool, Half::Both);
        }
        match tool.strip_suffix(MANAGE) {
            Some(domain) if SINGLE.contains(&domain) => (tool, Half::Writes),
            Some(domain) => (domain, Half::Writes),
            None => (tool, Half::Reads),
        }
    }
}

impl Executes {
    pub(crate) fn check(self, method: &Method) -> Result<(), ErrorData> {
        let reads = *method == Method::GET;
        match self {
            Self::Reads if !reads => Err(invalid(
                "method is none of those in the schema: execute only reads, execute_manage writes",
            )),
            Self::Writes if reads => Err(invalid(
                "method is none of those in the schema: execute_manage writes, execute reads",
            )),
            Self::Reads | Self::Writes | Self::Everything => Ok(()),
        }
    }
}

impl Half {
    fn has(self, operation: &Operation) -> bool {
        match self {
            Self::Both => true,
            Self::Reads => operation.only_reads(),
            Self::Writes => !operation.only_reads(),
        }
    }
}

/// What the two newer doors do not serve: whatever takes or returns a credential, and billing.
fn is_withheld(operation: &Operation) -> bool {
    match operation.tool {
        "auth" => operation.action.starts_with("key-") || operation.action == "set-api-key",
        "org" => matches!(operation.action, "billing" | "plans"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu(shape: Shape) -> Menu {
        Menu {
            shape,
            split: true,
            narrow: false,
            read_only: false,
        }
    }

    fn names(menu: &Menu) -> Vec<String> {
        let tools = menu.tools();
        tools.iter().map(|tool| tool.name.to_string()).collect()
    }

    #[test]
    fn the_newer_server_counts_one_more_client_among_those_that_write_code() {
        for (name, split, shape) in [
            ("Claude-AI", false, Shape::Named),
            ("Claude-AI", true, Shape::Code),
            ("claude-desktop", true, Shape::Named),
            ("opencode", false, Shape::Code),
        ] {
            assert_eq!(Shape::for_client(name, split), shape, "{name} {split}");
        }
    }

    #[test]
    fn split_tools_are_read_and_write_pairs_and_every_action_is_in_one_half() {
        let menu = menu(Shape::Named);
        assert_eq!(names(&menu).len(), 33);
        for (domain, _) in NAMED {
            let both = menu.actions(domain).len() + menu.actions(&format!("{domain}_manage")).len();
            let all = operations::all().iter();
            assert_eq!(
                both,
                all.filter(|own| own.tool == domain).count(),
                "{domain}"
            );
            assert_eq!(menu.half(domain).1 == Half::Both, SINGLE.contains(&domain));
        }
    }

    #[test]
    fn who_may_only_read_has_no_sibling_for_writing_but_that_for_signing_in() {
        let menu = Menu {
            read_only: true,
            ..menu(Shape::Named)
        };
        let names = names(&menu);
        let managers = names.iter().filter(|name| name.ends_with(MANAGE));
        assert_eq!(managers.collect::<Vec<_>>(), ["auth_manage"]);
        assert_eq!(menu.executes("execute_manage"), None);
    }

    #[test]
    fn a_narrow_door_leaves_out_keys_and_billing_by_every_way() {
        let menu = Menu {
            narrow: true,
            ..menu(Shape::Code)
        };
        assert!(menu.find("auth_manage", "key-create").is_err());
        assert!(menu.find("auth_manage", "pkce-login").is_ok());
        assert!(menu.leaves_out("/user/auth/key/"));
        assert!(menu.leaves_out("/org/7/billing/details/?output=terse"));
        assert!(!menu.leaves_out("/orgs/list/"));
        let earlier = menu.find("upload", "cancel").expect_err("it is a write");
        assert!(earlier.message.contains("upload_manage"), "{earlier:?}");
    }
}
