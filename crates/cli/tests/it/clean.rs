//! What differs from run to run, taken out of the text that snapshots hold.

use std::path::Path;

/// The text without scratch folders, processes, ports and moments.
pub(crate) fn clean(root: &Path, text: &str) -> String {
    let text = text
        .replace(&root.display().to_string(), "[ROOT]")
        .replace(crate::world::BINARY, "doorward");
    let text = after(&text, "process ", "[PID]", |letter| letter.is_ascii_digit());
    let text = after(&text, "pid ", "[PID]", |letter| letter.is_ascii_digit());
    let text = after(&text, "kill ", "[PID]", |letter| letter.is_ascii_digit());
    let text = after(&text, "127.0.0.1:", "[PORT]", |letter| {
        letter.is_ascii_digit()
    });
    after(&text, "since ", "[MOMENT]", |letter| {
        letter.is_ascii_digit() || "TZ:-".contains(letter)
    })
}

/// Puts `instead` in the place of what follows `marker`, as far as `belongs` goes.
fn after(text: &str, marker: &str, instead: &str, belongs: impl Fn(char) -> bool) -> String {
    let mut parts = text.split(marker);
    let mut cleaned = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(&belongs);
        cleaned.push_str(marker);
        if rest.len() < part.len() {
            cleaned.push_str(instead);
        }
        cleaned.push_str(rest);
    }
    cleaned
}
