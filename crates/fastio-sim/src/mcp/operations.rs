//! What the MCP server can do, in one table.
//!
//! The same operations appear three ways: as the `action`s of the named tools, as paths that code
//! mode finds and executes, and each as a tool of its own in the whole catalogue. So they are written
//! down once, in `operations.txt`, and every form is derived from that.

use std::sync::LazyLock;

/// How an operation is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    /// A POST with a JSON body.
    PostJson,
    Patch,
    Delete,
    /// By the MCP server itself, only reading.
    Here,
    /// By the MCP server itself, changing something.
    HereWriting,
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// The named tool that it belongs to.
    pub(crate) tool: &'static str,
    /// Its `action` there.
    pub(crate) action: &'static str,
    pub(crate) verb: Verb,
    /// Below `/current`, with the kinds of entity that it may begin with still open.
    path: &'static str,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) about: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) needed: bool,
}

/// An operation on one kind of entity: what a tool of the whole catalogue does.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) operation: &'static Operation,
    /// `storage_list`; `share_storage_list` for the kinds after the first.
    pub(crate) name: String,
    /// `/workspace/{workspace_id}/storage/{node_id}/list/`.
    pub(crate) path: String,
}

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    include_str!("operations.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| parse(line).unwrap_or_else(|| panic!("not an operation: {line}")))
        .collect()
});

static VARIANTS: LazyLock<Vec<Variant>> =
    LazyLock::new(|| all().iter().flat_map(Operation::variants).collect());

/// Every operation.
pub(crate) fn all() -> &'static [Operation] {
    &OPERATIONS
}

/// Every operation on every kind of entity.
pub(crate) fn variants() -> &'static [Variant] {
    &VARIANTS
}

impl Operation {
    pub(crate) fn only_reads(&self) -> bool {
        matches!(self.verb, Verb::Get | Verb::Here)
    }

    /// The kinds of entity that the path may begin with; none if it leaves nothing open.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.path
            .strip_prefix("/{")
            .and_then(|rest| rest.split_once('}'))
            .filter(|(kinds, _)| kinds.contains('|'))
            .map(|(kinds, _)| kinds.split('|').collect())
            .unwrap_or_default()
    }

    /// The path for one kind of entity.
    pub(crate) fn path_for(&self, kind: &str) -> String {
        match self.path.split_once('}') {
            Some((_, rest)) if !self.kinds().is_empty() => format!("/{kind}/{{{kind}_id}}{rest}"),
            _ => self.path.to_owned(),
        }
    }

    fn variants(&'static self) -> Vec<Variant> {
        let plain = format!("{}_{}", self.tool, self.action).replace('-', "_");
        let kinds = self.kinds();
        if kinds.is_empty() {
            return vec![Variant {
                operation: self,
                name: plain,
                path: self.path.to_owned(),
            }];
        }
        let first = if kinds.contains(&"workspace") {
            "workspace"
        } else {
            kinds[0]
        };
        kinds
            .iter()
            .map(|kind| Variant {
                operation: self,
                name: if *kind == first {
                    plain.clone()
                } else {
                    format!("{kind}_{plain}")
                },
                path: self.path_for(kind),
            })
            .collect()
    }
}

/// Whether a path is one of those that a template with names in braces stands for.
pub(crate) fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}

/// The names in braces in a path.
pub(crate) fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
}

fn parse(line: &'static str) -> Option<Operation> {
    let mut columns = line.split('|');
    // The first column may hold bars itself, in the kinds of entity.
    let about = columns.next_back()?.trim();
    let arguments = columns.next_back()?;
    let front = &line[..line.len() - about.len() - arguments.len() - 2];
    let front = front.trim_end().trim_end_matches('|');
    let mut words = front.split_whitespace();
    Some(Operation {
        tool: words.next()?,
        action: words.next()?,
        verb: match words.next()? {
            "GET" => Verb::Get,
            "POST" => Verb::Post,
            "JSON" => Verb::PostJson,
            "PATCH" => Verb::Patch,
            "DELETE" => Verb::Delete,
            "SELF" => Verb::Here,
            "SELF+" => Verb::HereWriting,
            _ => return None,
        },
        path: words.next()?,
        arguments: arguments
            .split_whitespace()
            .map(|word| Argument {
                name: word.trim_end_matches('?'),
                needed: !word.ends_with('?'),
            })
            .collect(),
        about,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_whole_catalogue_has_251_operations_and_no_two_alike() {
        let names: HashSet<&str> = variants()
            .iter()
            .map(|variant| variant.name.as_str())
            .collect();
        assert_eq!((variants().len(), names.len()), (251, 251));
        let doings: HashSet<String> = variants()
            .iter()
            .map(|variant| {
                let own = matches!(variant.operation.verb, Verb::Here | Verb::HereWriting);
                let own = if own { variant.name.as_str() } else { "" };
                format!("{:?} {} {own}", variant.operation.verb, variant.path)
            })
            .collect();
        assert_eq!(doings.len(), 251);
    }

    #[test]
    fn an_operation_is_read_with_its_kinds_and_its_arguments() {
        let release = all()
            .iter()
            .find(|operation| operation.action == "lock-release")
            .expect("it is in the table");
        assert_eq!(release.kinds(), ["workspace", "share"]);
        assert_eq!(
            release.path_for("share"),
            "/share/{share_id}/storage/{node_id}/lock/"
        );
        assert_eq!(
            release.arguments,
            [Argument {
                name: "lock_token",
                needed: true
            }]
        );
        assert!(!release.only_reads());
    }
}
