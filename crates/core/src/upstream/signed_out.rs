//! Errors that say that the caller is not signed in.
//!
//! Such an error is worth a new credential and one more try, and trying again could do a thing twice. So only its
//! beginning counts, which a server writes before it does anything: a tool may also bring back what others say of
//! sessions, further on in its text.

use serde::{Deserialize, Serialize};

use crate::problem::{Code, Refusal};

/// How such errors begin at servers whose manifest does not say it.
const USUAL: [&str; 8] = [
    "session expired",
    "your session has expired",
    "not authenticated",
    "authentication required",
    "token expired",
    "access token expired",
    "the access token expired",
    "invalid access token",
];

/// What stands before the error itself.
const LABELS: [&str; 2] = ["error", "mcp error"];

/// How an error begins, in small letters; whoever writes it in a manifest may use others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Beginning(String);

impl TryFrom<String> for Beginning {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        // One without a word would be the beginning of every error.
        if text.starts_with(char::is_alphanumeric) {
            return Ok(Self(text.trim_end().to_lowercase()));
        }
        Err(Refusal::new(
            Code::BadRequest,
            format!(
                "{text:?} is no beginning of an error: it does not begin with a letter or a digit."
            ),
            "Write how the error begins, without marks before it, as in \"session expired\".",
        ))
    }
}

impl From<Beginning> for String {
    fn from(beginning: Beginning) -> Self {
        beginning.0
    }
}

/// Whether an error begins in one of these ways, behind marks and labels.
pub(super) fn is_said(beginnings: Option<&[Beginning]>, error: &str) -> bool {
    let begins = |text: &str| match beginnings {
        None => USUAL.iter().any(|own| text.starts_with(own)),
        Some(beginnings) => beginnings.iter().any(|own| text.starts_with(&own.0)),
    };
    let error = error.to_lowercase();
    let mut rest = without_marks(&error);
    for label in LABELS {
        if begins(rest) {
            return true;
        }
        if let Some(behind) = rest.strip_prefix(label)
            && behind.starts_with([':', '*', ' '])
        {
            rest = without_marks(behind);
        }
    }
    begins(rest)
}

fn without_marks(text: &str) -> &str {
    text.trim_start_matches(|letter: char| !letter.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginnings(texts: &[&str]) -> Vec<Beginning> {
        let texts = texts.iter().map(|text| (*text).to_owned());
        texts
            .map(|text| Beginning::try_from(text).unwrap())
            .collect()
    }

    #[test]
    fn an_error_is_known_by_its_beginning_behind_marks_and_labels() {
        for error in [
            "Session expired",
            "Error: Not authenticated. Call auth first.",
            "**Error:** Token expired at 12",
            "MCP error: invalid access token",
        ] {
            assert!(is_said(None, error), "{error}");
        }
        for error in [
            "Import failed: Google said token expired",
            "Unknown tool: not authenticated",
            "Errors: session expired",
            "",
        ] {
            assert!(!is_said(None, error), "{error}");
        }
    }

    #[test]
    fn what_a_manifest_says_takes_the_place_of_the_usual() {
        let own = beginnings(&["Sitzung Abgelaufen", "Error 17 "]);
        assert!(is_said(Some(&own), "Error: Sitzung abgelaufen (3)"));
        assert!(is_said(Some(&own), "[Error 17]"));
        assert!(!is_said(Some(&own), "Error: 17"));
        assert!(!is_said(Some(&own), "Session expired"));
        assert!(!is_said(Some(&[]), "Session expired"));
    }

    #[test]
    fn what_every_error_begins_with_is_refused() {
        for text in ["", "   ", "*", " session expired", ": token expired"] {
            assert!(Beginning::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
