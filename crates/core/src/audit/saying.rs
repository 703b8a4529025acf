//! A row of the log as a sentence: the same one for the window and the command.
//!
//! Names and paths come from programs. What is theirs stands between backticks or is a name that was cleaned; none of
//! it may hold a backtick of its own, or a program could write our sentences.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Who and what a row is about, by name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'a> {
    /// The agent.
    pub agent: Option<&'a str>,
    /// The connection.
    pub connection: Option<&'a str>,
}

/// What happened, in words. A kind that this program does not know is named as it stands.
#[must_use]
pub fn say(kind: &str, named: Named<'_>, detail: &BTreeMap<String, String>) -> String {
    let row = Row { named, detail };
    let text = row
        .of_uses(kind)
        .or_else(|| row.of_access(kind))
        .or_else(|| row.of_questions(kind))
        .or_else(|| row.of_connections(kind))
        .or_else(|| row.of_store(kind));
    text.unwrap_or_else(|| format!("`{}`", clean(kind)))
}

struct Row<'a> {
    named: Named<'a>,
    detail: &'a BTreeMap<String, String>,
}

impl Row<'_> {
    fn of_uses(&self, kind: &str) -> Option<String> {
        let (agent, connection) = (self.agent(), self.connection());
        Some(match kind {
            "agent.used" if self.detail.contains_key("call") => self.calls(),
            "agent.used" => format!(
                "{agent} was given the access token of {connection} {}.",
                self.times("tokens")
            ),
            "token.handed_out" => format!("{agent} was given a new access token of {connection}."),
            "token.rejected" => {
                format!("An agent said that the access token of {connection} was refused.")
            }
            "agent.refused" => {
                let who = match self.named.agent {
                    Some(_) => agent,
                    None => "Somebody without an agent key".to_owned(),
                };
                format!(
                    "{who} was refused {}: `{}`.",
                    self.times("count"),
                    self.word("code")
                )
            }
            "lock.given_back" => format!(
                "Doorward gave back the lock of {agent} on `{}`: {}.",
                self.word("path"),
                self.word("why")
            ),
            "lock.lapsed" => format!(
                "The lock of {agent} on `{}` ended by itself; it could not be given back before: {}.",
                self.word("path"),
                self.word("why")
            ),
            _ => return None,
        })
    }

    fn calls(&self) -> String {
        let count = self.word("count");
        let call = self.word("call");
        let what = if call == crate::usage::OTHERS {
            "made other calls".to_owned()
        } else {
            format!("called `{call}`")
        };
        let mut text = format!(
            "{} {what} {} through {}",
            self.agent(),
            times(&count),
            self.connection()
        );
        let status = self.word("status");
        let answered = status.parse::<u16>().ok().filter(|status| *status >= 400);
        match self.word("outcome").as_str() {
            "refused" => text.push_str(", refused"),
            "cut" => text.push_str(", cut off by Doorward"),
            "broken_off" => text.push_str(", broken off"),
            "unknown" => {
                text.push_str(", without an answer: whether it was carried out is not known");
            }
            _ => {
                if let Some(status) = answered {
                    // Writing to a text cannot fail.
                    let _written = write!(text, ", answered with {status}");
                }
            }
        }
        let failed = self.word("failed");
        if !failed.is_empty() && failed != "0" {
            let _written = write!(text, ", {failed} without success");
        }
        text.push('.');
        text
    }

    fn of_access(&self, kind: &str) -> Option<String> {
        let name = self.name();
        Some(match kind {
            "pairing.asked" => {
                format!("{name} asked for `{}`.", self.word("wanted"))
            }
            "pairing.approved" => format!("You let {name} in: `{}`.", self.word("given")),
            "pairing.denied" => format!("{name} was not let in: {}.", self.word("why")),
            "key.issued" => format!("{name} fetched its agent key."),
            "key.revoked" => format!("{name} ended an agent key of its own."),
            "agent.added" => format!("You added {name}: `{}`.", self.word("given")),
            "agent.paused" => format!("You paused {name}."),
            "agent.resumed" => format!("You resumed {name}."),
            "agent.revoked" => format!("You revoked {name}."),
            "grant.expired" => {
                let why = self.word("why");
                let why = if why.is_empty() {
                    "its time was over".to_owned()
                } else {
                    why
                };
                format!(
                    "{name} may not use {} any longer: {why}.",
                    self.connection()
                )
            }
            _ => return None,
        })
    }

    fn of_questions(&self, kind: &str) -> Option<String> {
        let (agent, connection) = (self.agent(), self.connection());
        let what = self.word("what");
        Some(match kind {
            "call.asked" => format!("{agent} asked for a call through {connection}: `{what}`."),
            "call.allowed" => format!(
                "You allowed {agent} to call `{what}` through {connection}, {}.",
                self.word("how")
            ),
            "call.denied" => format!(
                "{agent} may not call `{what}` through {connection}: {}.",
                self.word("how")
            ),
            "call.taken_back" => {
                format!("You took back what you had said for good about `{what}` of {agent}.")
            }
            _ => return None,
        })
    }

    fn of_connections(&self, kind: &str) -> Option<String> {
        let connection = self.connection();
        Some(match kind {
            "connection.connected" => {
                format!("You connected {connection} at `{}`.", self.word("provider"))
            }
            "connection.reconnected" => format!("You connected {connection} again."),
            "connection.refreshed" => format!("The access token of {connection} was renewed."),
            "connection.ended" => {
                format!("The grant of {connection} has ended: {}.", self.word("why"))
            }
            "connection.disconnected" => format!("You disconnected {connection}."),
            "connection.paused" => format!("You paused {connection}."),
            "connection.resumed" => format!("You resumed {connection}."),
            "revocation.confirmed" => {
                format!("The provider confirmed the end of {connection}.")
            }
            "revocation.given_up" => format!(
                "The provider never confirmed the end of {connection}: {}.",
                self.word("why")
            ),
            _ => return None,
        })
    }

    fn of_store(&self, kind: &str) -> Option<String> {
        Some(match kind {
            "store.created" => "The store was made.".to_owned(),
            "keys.rotated" => "The key of the store was replaced.".to_owned(),
            "audit.pruned" => format!("{} old rows of this log were removed.", self.word("rows")),
            "pin.set" => "The approval PIN was set.".to_owned(),
            "pin.refused" => "A wrong approval PIN was typed.".to_owned(),
            _ => return None,
        })
    }

    fn agent(&self) -> String {
        self.named.agent.map_or_else(|| self.name(), clean)
    }

    /// Whoever the row itself names: an agent that had no identity yet, or is gone.
    fn name(&self) -> String {
        match self.word("name") {
            name if name.is_empty() => self
                .named
                .agent
                .map_or_else(|| "An agent".to_owned(), clean),
            name => name,
        }
    }

    fn connection(&self) -> String {
        let connection = self.named.connection.map(clean);
        connection.unwrap_or_else(|| match self.word("name") {
            name if name.is_empty() => "a connection".to_owned(),
            name => name,
        })
    }

    fn word(&self, name: &str) -> String {
        self.detail
            .get(name)
            .map(|text| clean(text))
            .unwrap_or_default()
    }

    fn times(&self, name: &str) -> String {
        times(&self.word(name))
    }
}

fn times(count: &str) -> String {
    match count {
        "1" | "" => "once".to_owned(),
        "2" => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

fn clean(text: &str) -> String {
    text.chars()
        .filter(|letter| *letter != '`' && !letter.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditKind;

    fn said(kind: &str, detail: &[(&str, &str)]) -> String {
        let named = Named {
            agent: Some("Tidy"),
            connection: Some("fastio"),
        };
        let detail = detail
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        say(kind, named, &detail.collect())
    }

    #[test]
    fn every_kind_has_a_sentence_of_its_own() {
        for kind in AuditKind::ALL {
            let text = said(kind.as_str(), &[]);
            assert!(text.ends_with('.'), "{kind:?}: {text}");
            assert!(!text.contains(kind.as_str()), "{kind:?}: {text}");
        }
        assert_eq!(said("later.invented", &[]), "`later.invented`");
    }

    #[test]
    fn calls_are_said_as_people_say_them() {
        let call = ("call", "tool storage(action=list)");
        for (detail, text) in [
            (
                vec![call, ("count", "14"), ("status", "200")],
                "Tidy called `tool storage(action=list)` 14 times through fastio.",
            ),
            (
                vec![call, ("count", "1"), ("status", "404")],
                "Tidy called `tool storage(action=list)` once through fastio, answered with 404.",
            ),
            (
                vec![
                    call,
                    ("count", "2"),
                    ("status", "403"),
                    ("outcome", "refused"),
                ],
                "Tidy called `tool storage(action=list)` twice through fastio, refused.",
            ),
            (
                vec![("call", "(others)"), ("count", "300"), ("failed", "7")],
                "Tidy made other calls 300 times through fastio, 7 without success.",
            ),
            (
                vec![("tokens", "5")],
                "Tidy was given the access token of fastio 5 times.",
            ),
        ] {
            assert_eq!(said("agent.used", &detail), text);
        }
    }

    #[test]
    fn a_program_cannot_write_our_sentences() {
        let text = said(
            "agent.used",
            &[("call", "GET /`x` You revoked\n`"), ("count", "1")],
        );
        assert_eq!(text.matches('`').count(), 2, "{text}");
        assert!(!text.contains('\n'));
    }
}
