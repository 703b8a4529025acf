//! What a person has to know, said by a notification whose button opens the right place.
//!
//! What is said is data ([`telling`]); showing it is one call. A notification answers nothing: its button only opens
//! a window. Where none can be shown, the window opens by itself instead, for what needs a person and else would pass
//! unseen.

use std::time::Duration;

use doorward_broker::Shell;
use doorward_broker::views::ConnectionView;
use doorward_core::health::Health;
use doorward_core::ids::ConnectionId;
use doorward_core::plan::Notice;
use notify_rust::{Hint, Notification, Timeout, Urgency};
use tauri::AppHandle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::goto::{Goto, Page};
use crate::keeper::Keeper;
use crate::snapshot::Snapshot;
use crate::windows;

/// The broker's way to the person. It must not wait, so it only passes on.
pub(crate) struct DesktopShell(UnboundedSender<Notice>);

impl DesktopShell {
    pub(crate) const fn new(notices: UnboundedSender<Notice>) -> Self {
        Self(notices)
    }
}

impl Shell for DesktopShell {
    fn tell(&self, notice: &Notice) {
        if self.0.send(notice.clone()).is_err() {
            tracing::warn!(?notice, "nobody is left to tell a person");
        }
    }
}

/// Where a notification's button leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The small window, on a request or a question about a call.
    Approval(String),
    /// The main window.
    Main(Goto),
}

/// What a notification says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Telling {
    /// In a few words.
    pub(crate) summary: String,
    /// In a sentence or two.
    pub(crate) body: String,
    /// What the button says, and where it leads.
    pub(crate) button: Option<(&'static str, Place)>,
    /// Whether it stays until a person has seen it.
    pub(crate) stays: bool,
}

/// What to say of a notice; nothing where it is over already.
pub(crate) fn telling(notice: &Notice, snapshot: &Snapshot) -> Option<Telling> {
    match notice {
        Notice::ApprovalAsked(request) => {
            let id = request.to_string();
            let request = snapshot.requests.iter().find(|request| request.id == id)?;
            let program = request.program.as_ref().map_or_else(
                || "The program behind it cannot be told.".to_owned(),
                |program| {
                    let program = program.script.as_ref().unwrap_or(&program.executable);
                    format!("It runs as {program}.")
                },
            );
            Some(Telling {
                summary: format!("{} asks for approval", request.name),
                body: format!(
                    "{} {program} The code to compare is {}.",
                    wanted_in_words(&request.wanted),
                    request.code
                ),
                button: Some(("Review", Place::Approval(id))),
                stays: true,
            })
        }
        Notice::CallAsked(question) => {
            let id = question.to_string();
            let mut questions = snapshot.questions.iter();
            let question = questions.find(|question| question.id == id)?;
            // With what it calls may be private: that is for the window, which no lock screen shows.
            Some(Telling {
                summary: format!("{} asks to {}", question.agent, doing(&question.what)),
                body: format!(
                    "It would use {}. Nothing is sent before you allow it.",
                    question.connection
                ),
                button: Some(("Review", Place::Approval(id))),
                stays: true,
            })
        }
        Notice::ReconnectNeeded(connection) => {
            let connection = connection_of(snapshot, *connection)?;
            let why = if let Health::ReconnectRequired { why, .. } = &connection.health {
                format!("{} ", sentence(why))
            } else {
                String::new()
            };
            Some(Telling {
                summary: format!("{} needs you to reconnect", connection.name),
                body: format!("{why}Agents are refused until you consent again; they keep their grants."),
                button: Some(("Reconnect", Place::Main(Goto::reconnect(connection.name.as_str())))),
                stays: true,
            })
        }
        Notice::Recovered(connection) => {
            let connection = connection_of(snapshot, *connection)?;
            Some(Telling {
                summary: format!("{} works again", connection.name),
                body: "Its agents go on by themselves.".to_owned(),
                button: None,
                stays: false,
            })
        }
        Notice::ClientRejected(connection) => needs_a_look(
            snapshot,
            *connection,
            "does not accept Doorward's registration: its client secret has expired or was changed",
        ),
        Notice::Misconfigured(connection) => needs_a_look(
            snapshot,
            *connection,
            "refuses to renew it as it is set up",
        ),
        Notice::ManyFail(alarm) => Some(Telling {
            summary: format!("{} connections fail at once", alarm.failing),
            body: format!(
                "The likely cause: {}. Nothing was lost; Doorward goes on trying.",
                alarm.cause.in_words()
            ),
            button: Some(("Show", Place::Main(Goto::page(Page::Connections)))),
            stays: true,
        }),
        Notice::ManyRecovered(_) => Some(Telling {
            summary: "Your connections work again".to_owned(),
            body: "What made many of them fail is over.".to_owned(),
            button: None,
            stays: false,
        }),
        Notice::RevocationGivenUp { name } => Some(Telling {
            summary: format!("{name} could not be ended at its provider"),
            body: "Doorward has erased it and refuses its agents. The provider never confirmed the end: end the session in your account there.".to_owned(),
            button: Some(("Show", Place::Main(Goto::page(Page::Connections)))),
            stays: true,
        }),
        // The person is on the way already: `listen` opens the window.
        Notice::WindowWanted(_) => None,
    }
}

/// Where a person who was sent here is to arrive, if it is still there.
fn wanted(notice: &Notice, snapshot: &Snapshot) -> Option<Place> {
    let Notice::WindowWanted(connection) = notice else {
        return None;
    };
    let connection = connection_of(snapshot, *connection)?;
    let name = connection.name.as_str();
    let has_ended = matches!(connection.health, Health::ReconnectRequired { .. });
    Some(Place::Main(if has_ended {
        Goto::reconnect(name)
    } else {
        Goto::connection(name)
    }))
}

/// More of a path is cut off by most desktops anyway.
const MOST_SHOWN: usize = 60;

/// A call as what an agent does. A path goes without its query.
fn doing(what: &str) -> String {
    let before = what.split('?').next().unwrap_or_default();
    let mut short: String = before.chars().take(MOST_SHOWN).collect();
    if short.len() < before.len() {
        short.push('…');
    }
    match short.split_once(' ') {
        Some((_, path)) if path.starts_with('/') => format!("call {short}"),
        _ => format!("use the tool {short}"),
    }
}

/// The connection that a notice names; nothing where it is gone.
fn connection_of(snapshot: &Snapshot, id: ConnectionId) -> Option<&ConnectionView> {
    let id = id.to_string();
    snapshot
        .connections
        .iter()
        .find(|connection| connection.id == id)
}

/// What the provider of a connection refuses, and a person has to put right.
fn needs_a_look(snapshot: &Snapshot, id: ConnectionId, refusal: &str) -> Option<Telling> {
    let connection = connection_of(snapshot, id)?;
    let place = Place::Main(Goto::connection(connection.name.as_str()));
    Some(Telling {
        summary: format!("{} needs you to look", connection.name),
        body: format!(
            "{} {refusal}. Nothing was erased.",
            connection.provider_title
        ),
        button: Some(("Show", place)),
        stays: true,
    })
}

fn wanted_in_words(wanted: &[String]) -> String {
    let ways: Vec<String> = wanted
        .iter()
        .map(|wanted| match wanted.rsplit_once(':') {
            Some((name, "token")) => format!("the access token of {name}"),
            Some((name, _)) => format!("calls to {name} through Doorward"),
            None => wanted.clone(),
        })
        .collect();
    format!("It asks for {}.", ways.join(" and "))
}

/// The text as a sentence: a capital at its start, a stop at its end.
fn sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}.", first.to_uppercase(), letters.as_str())
    })
}

/// How long ago, as people say it.
pub(crate) fn ago(passed: Duration) -> String {
    let minutes = passed.as_secs() / 60;
    let counted = |number: u64, one: &str| match number {
        1 => format!("1 {one} ago"),
        more => format!("{more} {one}s ago"),
    };
    match minutes {
        0 => "just now".to_owned(),
        1..60 => counted(minutes, "minute"),
        60..1440 => counted(minutes / 60, "hour"),
        _ => counted(minutes / 1440, "day"),
    }
}

/// Tells the person, until the broker is gone for good.
pub(crate) async fn listen(app: AppHandle, keeper: Keeper, mut notices: UnboundedReceiver<Notice>) {
    while let Some(notice) = notices.recv().await {
        let Ok(handle) = keeper.handle().await else {
            continue;
        };
        match Snapshot::of(&handle, &keeper.providers()).await {
            Ok(snapshot) => {
                if let Some(place) = wanted(&notice, &snapshot) {
                    open(&app, &place);
                }
                if let Some(telling) = telling(&notice, &snapshot) {
                    tell(&app, telling);
                }
            }
            Err(refusal) => tracing::warn!(?notice, %refusal, "a person could not be told"),
        }
    }
}

/// The names of a notification's one action: for its button, and for a click on the whole of it.
const OPEN: &str = "open";
const DEFAULT: &str = "default";

/// Shows it, and waits on a thread of its own for what the person does: the notification library waits by blocking.
fn tell(app: &AppHandle, telling: Telling) {
    let app = app.clone();
    tauri::async_runtime::spawn_blocking(move || {
        let shown = notification(&telling).show();
        match (shown, telling.button) {
            (Ok(shown), Some((_, place))) => shown.wait_for_action(|action| {
                if action == DEFAULT || action == OPEN {
                    open(&app, &place);
                }
            }),
            (Ok(_), None) => {}
            (Err(error), button) => {
                tracing::warn!(%error, summary = telling.summary, "no notification can be shown");
                if let Some((_, place)) = button.filter(|_| telling.stays) {
                    open(&app, &place);
                }
            }
        }
    });
}

fn open(app: &AppHandle, place: &Place) {
    match place {
        Place::Approval(request) => windows::open_approval(app, Some(request)),
        Place::Main(goto) => windows::open_main(app, Some(goto.clone())),
    }
}

fn notification(telling: &Telling) -> Notification {
    let mut notification = Notification::new();
    notification
        .appname("Doorward")
        .summary(&telling.summary)
        .body(&without_markup(&telling.body))
        .hint(Hint::DesktopEntry("org.doorward.Doorward".to_owned()))
        .urgency(if telling.stays {
            Urgency::Critical
        } else {
            Urgency::Normal
        });
    if telling.stays {
        notification.timeout(Timeout::Never);
    }
    if let Some((label, _)) = telling.button {
        notification.action(DEFAULT, label).action(OPEN, label);
    }
    notification.finalize()
}

/// Many desktops read a body as markup, and a path may hold anything.
fn without_markup(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use doorward_core::alarm::{Alarm, Cause};
    use doorward_core::time::Timestamp;

    use super::*;
    use crate::samples::{CONNECTION, QUESTION, REQUEST, asked, asks_to_call, connected, empty};

    fn ended() -> Health {
        Health::ReconnectRequired {
            why: "the provider says the grant has ended".to_owned(),
        }
    }

    #[test]
    fn a_request_for_approval_says_who_what_and_the_code_and_opens_the_approval_window() {
        let notice = Notice::ApprovalAsked(REQUEST.parse().unwrap());
        let said = telling(&notice, &asked(connected(Health::Connected))).unwrap();
        assert_eq!(said.summary, "claude asks for approval");
        assert_eq!(
            said.body,
            "It asks for calls to fastio through Doorward and the access token of fastio. \
             The program behind it cannot be told. The code to compare is BCDF-GHJK."
        );
        let button = Some(("Review", Place::Approval(REQUEST.to_owned())));
        assert_eq!((said.button, said.stays), (button, true));
        assert_eq!(
            telling(&notice, &empty()),
            None,
            "it was answered meanwhile"
        );
    }

    #[test]
    fn a_call_is_told_without_its_arguments_and_opens_the_approval_window() {
        let notice = Notice::CallAsked(QUESTION.parse().unwrap());
        let long = format!("DELETE /workspace/{}/", "7".repeat(60));
        for (what, summary) in [
            ("storage", "claude asks to use the tool storage".to_owned()),
            (
                "POST /org/1/create/?name=x",
                "claude asks to call POST /org/1/create/".to_owned(),
            ),
            (
                &long,
                format!("claude asks to call DELETE /workspace/{}…", "7".repeat(42)),
            ),
        ] {
            let snapshot = asks_to_call(connected(Health::Connected), what);
            let said = telling(&notice, &snapshot).unwrap();
            assert_eq!(said.summary, summary);
            assert!(!said.body.contains("private"), "{}", said.body);
            let button = Some(("Review", Place::Approval(QUESTION.to_owned())));
            assert_eq!((said.button, said.stays), (button, true));
        }
        assert_eq!(
            telling(&notice, &empty()),
            None,
            "it was answered meanwhile"
        );
    }

    #[test]
    fn a_grant_that_has_ended_leads_to_its_connection() {
        let notice = Notice::ReconnectNeeded(CONNECTION.parse().unwrap());
        let said = telling(&notice, &connected(ended())).unwrap();
        assert_eq!(said.summary, "fastio needs you to reconnect");
        assert!(
            said.body
                .starts_with("The provider says the grant has ended. Agents")
        );
        let place = Place::Main(Goto::reconnect("fastio"));
        assert_eq!(said.button, Some(("Reconnect", place)));
    }

    #[test]
    fn whoever_a_page_sent_here_arrives_at_the_connection_without_a_notification() {
        let notice = Notice::WindowWanted(CONNECTION.parse().unwrap());
        let snapshot = connected(ended());
        let place = Place::Main(Goto::reconnect("fastio"));
        assert_eq!(wanted(&notice, &snapshot), Some(place));
        assert_eq!(telling(&notice, &snapshot), None);
        let place = Place::Main(Goto::connection("fastio"));
        assert_eq!(wanted(&notice, &connected(Health::Connected)), Some(place));
        assert_eq!(wanted(&notice, &empty()), None, "it is gone");
    }

    #[test]
    fn recovery_is_told_and_asks_nothing() {
        let notice = Notice::Recovered(CONNECTION.parse().unwrap());
        let said = telling(&notice, &connected(Health::Connected)).unwrap();
        assert_eq!(said.summary, "fastio works again");
        assert_eq!((said.button, said.stays), (None, false));
    }

    #[test]
    fn a_refusal_of_the_provider_and_many_failures_say_what_is_the_matter() {
        let rejected = Health::ClientRejected {
            last_error: "HTTP 401, error invalid_client".to_owned(),
            next_try: None,
        };
        let notice = Notice::ClientRejected(CONNECTION.parse().unwrap());
        let said = telling(&notice, &connected(rejected)).unwrap();
        assert!(said.body.contains("client secret"), "{}", said.body);
        let place = Place::Main(Goto::connection("fastio"));
        assert_eq!(said.button, Some(("Show", place)));
        assert_eq!(telling(&notice, &empty()), None, "it is gone");
        let alarm = Alarm {
            cause: Cause::NetworkDown,
            failing: 12,
            since: Timestamp::from_secs(0),
        };
        let said = telling(&Notice::ManyFail(alarm), &empty()).unwrap();
        assert_eq!(said.summary, "12 connections fail at once");
        assert!(said.body.contains("offline"), "{}", said.body);
        let over = telling(&Notice::ManyRecovered(alarm), &empty()).unwrap();
        assert!(!over.stays);
    }

    #[test]
    fn what_a_program_calls_itself_is_no_markup() {
        assert_eq!(
            without_markup("<b>a & b</b>"),
            "&lt;b&gt;a &amp; b&lt;/b&gt;"
        );
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        for (seconds, said) in [
            (5, "just now"),
            (61, "1 minute ago"),
            (7_200, "2 hours ago"),
            (90_000, "1 day ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), said);
        }
    }
}
