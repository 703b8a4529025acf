//! The tray icon: what it shows is decided as plain data, and put on the screen only where it differs from before.

mod icon;
mod place;

use doorward_broker::views::{ConnectionView, StoreState};
use doorward_core::health::Health;

use crate::problem::Problem;
use crate::snapshot::Snapshot;

pub(crate) use icon::Tray;

/// What the tray is told to show.
pub(crate) enum View {
    /// The broker is held here.
    Held(Box<Snapshot>),
    /// It is not, and this is why.
    Missing(Problem),
}

/// The four states, each with a shape of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing is the matter.
    Well,
    /// Something is, and may pass by itself.
    Attention,
    /// A person has to do something.
    NeedsYou,
    /// Every agent is paused.
    Paused,
}

/// What choosing a line of the menu does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Opens the main window.
    Open,
    /// Opens the main window on a connection.
    Connection(String),
    /// Opens the approval window.
    Approvals,
    /// Pauses or resumes every agent.
    PauseAll(bool),
    /// Ends the program.
    Quit,
}

impl Act {
    /// The identifier of the menu's item.
    fn id(&self) -> String {
        match self {
            Self::Open => "open".to_owned(),
            Self::Connection(name) => format!("connection:{name}"),
            Self::Approvals => "approvals".to_owned(),
            Self::PauseAll(true) => "pause".to_owned(),
            Self::PauseAll(false) => "resume".to_owned(),
            Self::Quit => "quit".to_owned(),
        }
    }

    /// What the item with that identifier does.
    fn from_id(id: &str) -> Option<Self> {
        match id {
            "open" => Some(Self::Open),
            "approvals" => Some(Self::Approvals),
            "pause" => Some(Self::PauseAll(true)),
            "resume" => Some(Self::PauseAll(false)),
            "quit" => Some(Self::Quit),
            other => {
                let name = other.strip_prefix("connection:")?;
                Some(Self::Connection(name.to_owned()))
            }
        }
    }
}

/// A line of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Something to choose.
    Item(String, Act),
    /// Something to read.
    Text(String),
    /// A rule.
    Rule,
}

/// All that the tray shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The icon.
    pub(crate) mark: Mark,
    /// What the icon says when it is pointed at.
    pub(crate) tooltip: String,
    /// The menu.
    pub(crate) lines: Vec<Line>,
}

impl Shown {
    /// Decides what the tray shows.
    pub(crate) fn of(view: &View) -> Self {
        let mut lines = vec![
            Line::Item("Open Doorward".to_owned(), Act::Open),
            Line::Rule,
        ];
        let (mark, tooltip) = match view {
            View::Missing(problem) => {
                lines.push(Line::Text(problem.message.clone()));
                (Mark::NeedsYou, problem.message.clone())
            }
            View::Held(snapshot) => {
                let snapshot: &Snapshot = snapshot;
                lines.extend(connection_lines(snapshot));
                let waiting = waiting_in_words(snapshot);
                lines.extend(waiting.map(|text| Line::Item(text, Act::Approvals)));
                if !snapshot.agents.is_empty() {
                    lines.push(Line::Rule);
                    let paused = all_paused(snapshot);
                    let text = if paused {
                        "Resume all agents"
                    } else {
                        "Pause all agents"
                    };
                    lines.push(Line::Item(text.to_owned(), Act::PauseAll(!paused)));
                }
                mark_of(snapshot)
            }
        };
        lines.push(Line::Rule);
        lines.push(Line::Item("Quit Doorward".to_owned(), Act::Quit));
        Self {
            mark,
            tooltip,
            lines,
        }
    }
}

fn connection_lines(snapshot: &Snapshot) -> Vec<Line> {
    if snapshot.status.store != StoreState::Unlocked && snapshot.status.locked_because.is_some() {
        return vec![Line::Text("Doorward is locked".to_owned())];
    }
    if snapshot.connections.is_empty() {
        return vec![Line::Text("No connections yet".to_owned())];
    }
    let line = |connection: &ConnectionView| {
        let name = connection.name.to_string();
        let text = format!("{name}: {}", health_in_words(&connection.health));
        Line::Item(text, Act::Connection(name))
    };
    snapshot.connections.iter().map(line).collect()
}

fn health_in_words(health: &Health) -> &'static str {
    match health {
        Health::Connected => "connected",
        Health::Refreshing => "refreshing",
        Health::Degraded { halted: true, .. } => "halted",
        Health::Degraded { halted: false, .. } => "degraded",
        Health::RateLimited { .. } => "rate limited",
        Health::ClientRejected { .. } => "client rejected",
        Health::Misconfigured { .. } => "refused by its provider",
        Health::ReconnectRequired { .. } => "reconnect required",
        Health::Unproven => "unproven",
        Health::Paused => "paused",
    }
}

/// What waits for a person's answer: agents that want to be let in, and calls.
fn waiting_in_words(snapshot: &Snapshot) -> Option<String> {
    match snapshot.requests.len() + snapshot.questions.len() {
        0 => None,
        1 => Some("1 approval waits".to_owned()),
        more => Some(format!("{more} approvals wait")),
    }
}

fn all_paused(snapshot: &Snapshot) -> bool {
    !snapshot.agents.is_empty() && snapshot.agents.iter().all(|agent| agent.paused)
}

/// The gravest thing first: what a person must do, what they did, what may pass.
fn mark_of(snapshot: &Snapshot) -> (Mark, String) {
    let status = &snapshot.status;
    if status.store != StoreState::Unlocked && status.locked_because.is_some() {
        return (Mark::NeedsYou, "Doorward is locked".to_owned());
    }
    let ended = snapshot
        .connections
        .iter()
        .find(|connection| matches!(connection.health, Health::ReconnectRequired { .. }));
    if let Some(connection) = ended {
        let text = format!("{} needs you to reconnect", connection.name);
        return (Mark::NeedsYou, text);
    }
    if let Some(text) = waiting_in_words(snapshot) {
        return (Mark::NeedsYou, text);
    }
    let refused = snapshot
        .connections
        .iter()
        .find(|connection| connection.health.needs_a_person());
    if let Some(connection) = refused {
        let text = format!("{} is refused by its provider", connection.name);
        return (Mark::Attention, text);
    }
    if all_paused(snapshot) {
        return (Mark::Paused, "All agents are paused".to_owned());
    }
    let troubled = snapshot.connections.iter().find(|connection| {
        matches!(
            connection.health,
            Health::Degraded { .. } | Health::RateLimited { .. }
        )
    });
    if let Some(connection) = troubled {
        let text = format!(
            "{} is {}",
            connection.name,
            health_in_words(&connection.health)
        );
        return (Mark::Attention, text);
    }
    if status.tokens_unsaved > 0 {
        return (Mark::Attention, "Fresh tokens cannot be saved".to_owned());
    }
    if snapshot.connections.is_empty() {
        return (Mark::Well, "Doorward: no connections yet".to_owned());
    }
    let unproven = snapshot
        .connections
        .iter()
        .any(|connection| connection.health == Health::Unproven);
    let text = if unproven {
        "Nothing is known to be wrong"
    } else {
        "All is well"
    };
    (Mark::Well, format!("Doorward: {text}"))
}

#[cfg(test)]
mod tests {
    use doorward_core::time::Timestamp;

    use super::*;
    use crate::samples::{asked, asks_to_call, connected, empty, with_agent};

    fn shown(snapshot: Snapshot) -> Shown {
        Shown::of(&View::Held(Box::new(snapshot)))
    }

    fn text(line: &Line) -> &str {
        match line {
            Line::Item(text, _) | Line::Text(text) => text,
            Line::Rule => "—",
        }
    }

    fn texts(shown: &Shown) -> Vec<&str> {
        shown.lines.iter().map(text).collect()
    }

    fn degraded() -> Health {
        Health::Degraded {
            last_error: "500".to_owned(),
            next_try: Timestamp::from_secs(1),
            halted: false,
        }
    }

    fn rejected() -> Health {
        Health::ClientRejected {
            last_error: "HTTP 401, error invalid_client".to_owned(),
            next_try: None,
        }
    }

    fn ended() -> Health {
        Health::ReconnectRequired {
            why: "it was revoked".to_owned(),
        }
    }

    #[test]
    fn the_icon_shows_the_gravest_thing() {
        let limited = Health::RateLimited {
            until: Timestamp::from_secs(1),
        };
        let cases = [
            (empty(), Mark::Well),
            (connected(Health::Connected), Mark::Well),
            (connected(Health::Refreshing), Mark::Well),
            (connected(Health::Paused), Mark::Well),
            (connected(degraded()), Mark::Attention),
            (connected(limited), Mark::Attention),
            (connected(rejected()), Mark::Attention),
            (with_agent(connected(Health::Connected), true), Mark::Paused),
            (with_agent(connected(degraded()), true), Mark::Paused),
            (with_agent(connected(ended()), true), Mark::NeedsYou),
            (
                asked(with_agent(connected(Health::Connected), true)),
                Mark::NeedsYou,
            ),
            (
                asks_to_call(connected(Health::Connected), "storage"),
                Mark::NeedsYou,
            ),
            (connected(ended()), Mark::NeedsYou),
        ];
        for (snapshot, mark) in cases {
            assert_eq!(shown(snapshot.clone()).mark, mark, "{snapshot:?}");
        }
    }

    #[test]
    fn nothing_is_called_well_that_no_call_has_proven() {
        assert_eq!(
            shown(connected(Health::Unproven)).tooltip,
            "Doorward: Nothing is known to be wrong"
        );
        assert_eq!(
            shown(connected(Health::Connected)).tooltip,
            "Doorward: All is well"
        );
    }

    #[test]
    fn the_menu_has_a_line_for_each_connection_and_what_waits() {
        let all = shown(asked(with_agent(connected(degraded()), false)));
        assert_eq!(
            texts(&all),
            [
                "Open Doorward",
                "—",
                "fastio: degraded",
                "1 approval waits",
                "—",
                "Pause all agents",
                "—",
                "Quit Doorward"
            ]
        );
        let both = asks_to_call(asked(connected(Health::Connected)), "storage");
        assert!(texts(&shown(both)).contains(&"2 approvals wait"));
        let paused = shown(with_agent(connected(Health::Connected), true));
        assert!(texts(&paused).contains(&"Resume all agents"));
        assert_eq!(
            texts(&shown(empty())),
            [
                "Open Doorward",
                "—",
                "No connections yet",
                "—",
                "Quit Doorward"
            ]
        );
    }

    #[test]
    fn a_locked_store_and_a_folder_held_elsewhere_need_a_person() {
        let mut locked = empty();
        locked.status.store = StoreState::Locked;
        locked.status.locked_because = Some(doorward_core::problem::Refusal::new(
            doorward_core::problem::Code::StoreLocked,
            "The keyring is locked.",
            "Unlock it.",
        ));
        let locked = shown(locked);
        assert_eq!(locked.mark, Mark::NeedsYou);
        assert!(texts(&locked).contains(&"Doorward is locked"));
        let elsewhere = Problem::new(Problem::FOLDER_HELD, "`doorward serve` has it.", "");
        let elsewhere = Shown::of(&View::Missing(elsewhere));
        assert_eq!(elsewhere.mark, Mark::NeedsYou);
        assert!(texts(&elsewhere).contains(&"`doorward serve` has it."));
        assert!(texts(&elsewhere).contains(&"Quit Doorward"));
    }

    #[test]
    fn every_line_does_what_its_identifier_says() {
        for act in [
            Act::Open,
            Act::Connection("work.2".to_owned()),
            Act::Approvals,
            Act::PauseAll(true),
            Act::PauseAll(false),
            Act::Quit,
        ] {
            assert_eq!(Act::from_id(&act.id()), Some(act));
        }
        assert_eq!(Act::from_id("erase"), None);
    }
}
