//! Exit codes: what a script can act on, and which code of a refusal means which.
//!
//! The list is a promise (docs/CLI.md). The match over [`Code`] has no wildcard, so that a new code cannot be
//! forgotten.

use doorward_core::problem::Code;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// It failed, and the message says how to go on.
    Failed = 1,
    /// The command was given wrongly.
    Usage = 2,
    /// Doorward is not running, or cannot be reached.
    NotRunning = 3,
    /// A person has to do something first.
    PersonNeeded = 4,
    /// It was refused; asking again changes nothing.
    Refused = 5,
    /// It may work later.
    TryLater = 6,
    /// A signal ended it.
    Interrupted = 130,
}

impl Exit {
    /// What a refusal with this code means for the caller.
    pub(crate) const fn of(code: Code) -> Self {
        match code {
            Code::BadRequest | Code::ConnectionAmbiguous | Code::RightsInvalid | Code::ProviderUnknown => Self::Usage,

            Code::ApprovalPending
            | Code::ReconnectRequired
            | Code::StoreLocked
            | Code::ConsentDeclined
            | Code::ConsentExpired
            | Code::ConsentPending
            | Code::AccountDiffers
            | Code::NeedsWindow
            | Code::PinRequired
            | Code::PinMissing
            | Code::PinWrong
            | Code::PinBlocked
            | Code::PinTooShort
            | Code::PassphraseWrong
            | Code::PassphraseRequired => Self::PersonNeeded,

            Code::Unauthenticated
            | Code::OriginNotAllowed
            | Code::HostNotAllowed
            | Code::PeerNotAllowed
            | Code::AgentPaused
            | Code::ConnectionPaused
            | Code::GrantMissing
            | Code::PolicyDenied
            // For an agent, another tenant's connection and none at all are the same.
            | Code::ConnectionUnknown
            | Code::ProviderRejected
            | Code::ProviderUnsafe => Self::Refused,

            Code::RequestTimeout | Code::RateLimited | Code::ProviderUnavailable => Self::TryLater,

            Code::RouteUnknown
            | Code::MethodNotAllowed
            | Code::PayloadTooLarge
            | Code::StoreFailed
            | Code::Internal
            | Code::ConsentMismatch
            | Code::ConsentUnknown
            | Code::NameTaken
            | Code::AgentUnknown
            | Code::RequestUnknown
            | Code::AuditBroken => Self::Failed,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The codes that only the command gives, beside those of [`Code`], and what they exit with.
pub(crate) const OWN_CODES: &[(&str, Exit)] = &[
    ("usage", Exit::Usage),
    ("not_running", Exit::NotRunning),
    ("unreachable", Exit::NotRunning),
    ("endpoint_unsafe", Exit::NotRunning),
    ("held", Exit::Failed),
    ("port_taken", Exit::Failed),
    ("store_missing", Exit::Failed),
    ("config_invalid", Exit::Failed),
    ("failed", Exit::Failed),
    ("no_terminal", Exit::PersonNeeded),
    ("approval_denied", Exit::PersonNeeded),
    ("approval_expired", Exit::PersonNeeded),
    ("interrupted", Exit::Interrupted),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code stands in docs/CLI.md beside the number it exits with, and no other code does.
    #[test]
    fn the_documented_table_of_exit_codes_is_whole_and_true() {
        let documented = include_str!("../../../docs/CLI.md");
        let mut rows: Vec<(String, u8)> = documented
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
                let code = cells.next()?.strip_suffix('`')?.to_owned();
                Some((code, cells.next()?.parse().ok()?))
            })
            .collect();
        let mut expected: Vec<(String, u8)> = Code::ALL
            .iter()
            .map(|code| (code.as_str().to_owned(), Exit::of(*code) as u8))
            .chain(
                OWN_CODES
                    .iter()
                    .map(|(code, exit)| ((*code).to_owned(), *exit as u8)),
            )
            .collect();
        rows.sort();
        expected.sort();
        assert_eq!(rows, expected);
    }
}
