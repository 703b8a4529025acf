//! How things are said to people: times, tables, and text that comes from elsewhere.

use std::time::Duration;

use doorward_core::health::Health;
use doorward_core::time::Timestamp;

/// A moment as people say it.
pub(crate) fn moment(now: Timestamp, at: Timestamp) -> String {
    if at > now {
        format!("in {}", duration(at.since(now)))
    } else {
        let ago = now.since(at);
        if ago < JUST_NOW {
            "just now".to_owned()
        } else {
            format!("{} ago", duration(ago))
        }
    }
}

/// Nobody cares which of the last few seconds it was.
const JUST_NOW: Duration = Duration::from_secs(5);

/// A length of time as people say it: one unit, the largest that leaves at least two of it.
pub(crate) fn duration(length: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = length.as_secs();
    let (count, unit) = match seconds {
        ..90 => (seconds.max(1), "second"),
        90..5400 => ((seconds + 30) / MINUTE, "minute"),
        5400..129_600 => ((seconds + HOUR / 2) / HOUR, "hour"),
        _ => ((seconds + DAY / 2) / DAY, "day"),
    };
    if count == 1 {
        format!("1 {unit}")
    } else {
        format!("{count} {unit}s")
    }
}

/// A count with its noun.
pub(crate) fn count(number: usize, singular: &str, plural: &str) -> String {
    if number == 1 {
        format!("1 {singular}")
    } else {
        format!("{number} {plural}")
    }
}

/// Several things as people list them.
pub(crate) fn list<T: std::fmt::Display>(items: &[T]) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    match words.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A connection's health in a few words.
pub(crate) fn health(now: Timestamp, health: &Health) -> String {
    match health {
        Health::Connected => "connected".to_owned(),
        Health::Refreshing => "refreshing".to_owned(),
        Health::Degraded {
            last_error,
            next_try,
            halted,
        } => {
            let state = if *halted { "halted" } else { "degraded" };
            let next = if *halted { "asked again" } else { "next try" };
            format!(
                "{state}: {}; {next} {}",
                plain(last_error),
                moment(now, *next_try)
            )
        }
        Health::ClientRejected {
            last_error,
            next_try,
        } => refused("client rejected", now, last_error, *next_try),
        Health::Misconfigured {
            last_error,
            next_try,
        } => refused("misconfigured", now, last_error, *next_try),
        Health::RateLimited { until } => format!("rate limited, over {}", moment(now, *until)),
        Health::ReconnectRequired { why } => format!("reconnect required: {}", plain(why)),
        Health::Unproven => "unproven".to_owned(),
        Health::Paused => "paused".to_owned(),
    }
}

fn refused(state: &str, now: Timestamp, last_error: &str, next_try: Option<Timestamp>) -> String {
    let next = next_try.map_or_else(
        || "not tried again by itself".to_owned(),
        |next| format!("next try {}", moment(now, next)),
    );
    format!("{state}: {}; {next}", plain(last_error))
}

/// Text from elsewhere, made safe for a terminal: nothing in it can move the cursor, forge a line or turn the
/// reading direction. Line breaks become spaces.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\r' | '\t' => ' ',
            _ if letter.is_control() || is_invisible(letter) => '\u{FFFD}',
            _ => letter,
        })
        .collect()
}

fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Rows in aligned columns under a heading. Cells are made plain.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut lines = vec![heading.map(str::to_uppercase)];
    lines.extend(rows.into_iter().map(|row| row.map(|cell| plain(&cell))));
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(widths) {
            row.push_str(cell);
            row.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// Labelled values, one a line, aligned. Values are made plain; empty ones are left out.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let shown = || facts.iter().filter(|(_, value)| !value.is_empty());
    let width = shown()
        .map(|(label, _)| label.chars().count())
        .max()
        .unwrap_or(0);
    let lines: Vec<String> = shown()
        .map(|(label, value)| format!("  {label:width$}  {}\n", plain(value)))
        .collect();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_said_as_people_say_them() {
        let now = Timestamp::from_secs(1_000_000);
        let said = |offset: i64| moment(now, Timestamp::from_secs(1_000_000 + offset));
        assert_eq!(said(0), "just now");
        assert_eq!(said(-4), "just now");
        assert_eq!(said(1), "in 1 second");
        assert_eq!(said(89), "in 89 seconds");
        assert_eq!(said(2520), "in 42 minutes");
        assert_eq!(said(7200), "in 2 hours");
        assert_eq!(said(-3 * 86_400), "3 days ago");
        assert_eq!(said(-120), "2 minutes ago");
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{202e}c\nd"), "a\u{FFFD}[2Jb\u{FFFD}c d");
    }

    #[test]
    fn columns_are_aligned_and_lines_end_where_their_text_ends() {
        let text = table(
            ["name", "what"],
            vec![
                ["é".to_owned(), "x".to_owned()],
                ["longer".to_owned(), String::new()],
            ],
        );
        assert_eq!(text, "NAME    WHAT\né       x\nlonger\n");
    }
}
