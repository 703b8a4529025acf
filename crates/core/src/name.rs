//! Names that people type and programs put into URLs, and names that programs claim for themselves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a connection or a tenant: 1 to 40 of `a-z 0-9 - _ .`, beginning with a letter or digit.
///
/// It stands in URLs (`/proxy/NAME/…`), in scopes (`NAME:door`) and on the command line, so it needs no quoting in
/// any of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(ts_rs::TS))]
#[cfg_attr(feature = "bindings", ts(type = "string"))]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

const NAME_LENGTH: usize = 40;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 40 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit")]
pub struct BadName;

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let begins_well = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if begins_well && text.len() <= NAME_LENGTH && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName)
        }
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an agent calls itself: text from an unknown program that will be shown to a person.
///
/// Control and formatting characters and markup are struck, so that the name cannot forge a line of a prompt, turn
/// the reading direction or carry a tag into a notification daemon that reads markup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ClaimedName(String);

/// Long enough for a product name with a host name, short enough for one line of a notification.
const CLAIMED_LENGTH: usize = 64;

impl ClaimedName {
    /// Cleans what a program said of itself; `unnamed agent` where nothing is left.
    #[must_use]
    pub fn clean(text: &str) -> Self {
        let kept: String = text
            .chars()
            .map(|letter| if letter.is_whitespace() { ' ' } else { letter })
            .filter(|letter| !is_struck(*letter))
            .collect();
        let single_spaced = kept.split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = single_spaced.chars().take(CLAIMED_LENGTH).collect();
        // The cut may have left a space at the end; cleaning twice must change nothing, as a stored name is cleaned
        // again when it is read.
        Self(match short.trim_end() {
            "" => "unnamed agent".to_owned(),
            short => short.to_owned(),
        })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_struck(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '<' | '>' | '&' | '"' | '\\' | '`')
        || is_invisible(letter)
}

/// Zero-width, direction and other invisible formatting characters, and letters that are drawn as nothing: with them
/// a text looks like another one.
pub(crate) fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

impl From<String> for ClaimedName {
    fn from(text: String) -> Self {
        Self::clean(&text)
    }
}

impl From<ClaimedName> for String {
    fn from(name: ClaimedName) -> Self {
        name.0
    }
}

impl fmt::Display for ClaimedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_no_quoting_anywhere() {
        for good in ["fastio", "a", "work-2", "x.y_z", "9lives"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            ".",
            "..",
            "A",
            "a b",
            "a/b",
            "a:b",
            "é",
            &"a".repeat(41),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_claimed_name_cannot_forge_a_prompt() {
        assert_eq!(
            ClaimedName::clean("Nice <b>agent</b>\n\u{202E}PIN ok").as_str(),
            "Nice bagent/b PIN ok"
        );
        assert_eq!(ClaimedName::clean("\u{1b}[2J").as_str(), "[2J");
        assert_eq!(ClaimedName::clean(" \u{200B} ").as_str(), "unnamed agent");
        assert_eq!(ClaimedName::clean(&"x".repeat(500)).as_str().len(), 64);
    }
}
