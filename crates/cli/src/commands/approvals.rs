//! `doorward requests`, `doorward approve` and `doorward deny`.
//!
//! Approving shows on the terminal who asks and what would be given, and only then asks for the PIN: a bare prompt
//! means nothing where several agents run side by side.

use doorward_broker::control::{self, Request, TermsAsk};
use doorward_broker::handle::LifetimeAsk;
use doorward_broker::views::{QuestionView, RequestView};
use doorward_broker::{Clock as _, SystemClock};
use doorward_core::grant::{Door, Policy, Rights};
use doorward_core::name::Name;
use doorward_core::pairing::{Program, Wanted, normalised_user_code};
use doorward_core::problem::{Code, Refusal};
use doorward_core::time::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::agents::{lifetime_in_words, limits_or_none};
use super::calls;
use crate::args::{Approve, Deny};
use crate::failure::{Failure, Outcome};
use crate::link::{Context, Link};
use crate::pin::with_pin;
use crate::terminal::Terminal;
use crate::words::{self, moment, plain};

/// What an agent asks a person for.
#[derive(Serialize)]
#[serde(tag = "asks_for", rename_all = "snake_case")]
enum Waiting {
    /// To be let in.
    Access(RequestView),
    /// To make a single call.
    Call(QuestionView),
}

pub(super) async fn list(context: &mut Context) -> Outcome {
    let mut link = context.running_required().await?;
    let requests: Vec<RequestView> = link.ask(Request::Requests).await?;
    let questions: Vec<QuestionView> = link.ask(Request::Questions).await?;
    let requests = requests.into_iter().map(Waiting::Access);
    let waiting: Vec<_> = requests
        .chain(questions.into_iter().map(Waiting::Call))
        .collect();
    let now = SystemClock.now();
    context
        .output
        .answer(&waiting, |waiting| listed(now, waiting))
}

fn listed(now: Timestamp, waiting: &[Waiting]) -> String {
    if waiting.is_empty() {
        return "No agent is waiting for your answer.".to_owned();
    }
    let each = waiting.iter().map(|one| match one {
        Waiting::Access(request) => who_asks(now, request),
        Waiting::Call(question) => calls::what_is_asked(now, question),
    });
    let mut text = each.collect::<Vec<_>>().join("\n");
    if waiting.iter().any(|one| matches!(one, Waiting::Access(_))) {
        text.push_str("\nCompare the code with the one the agent shows, then: `doorward approve CODE` or `doorward deny CODE`.");
    }
    if waiting.iter().any(|one| matches!(one, Waiting::Call(_))) {
        text.push_str("\nAnswer a call with `doorward approve CODE` or `doorward deny CODE`; with `--always` for every such call.");
    }
    text
}

fn who_asks(now: Timestamp, request: &RequestView) -> String {
    let mut facts = vec![("calls itself", request.name.clone())];
    facts.extend(program_in_words(request.program.as_ref()));
    facts.push(("asks for", request.wanted.join(" ")));
    facts.push(("asked", moment(now, request.created_at)));
    facts.push(("ends", moment(now, request.expires_at)));
    format!("{}\n{}", plain(&request.code), words::facts(&facts))
}

pub(super) fn program_in_words(program: Option<&Program>) -> Vec<(&'static str, String)> {
    let Some(program) = program else {
        return vec![(
            "program",
            "not known: the process that asked could not be told".to_owned(),
        )];
    };
    vec![
        ("program", program.executable.clone()),
        ("script", program.script.clone().unwrap_or_default()),
        ("started by", program.parent.clone().unwrap_or_default()),
        ("folder", program.folder.clone()),
        (
            "process",
            format!("{}, user {}", program.id.pid, program.uid),
        ),
    ]
}

pub(super) async fn approve(context: &mut Context, ask: Approve) -> Outcome {
    let mut link = context.running_required().await?;
    context.check_terminal_approves()?;
    let terminal = Terminal::required("Approving")?;
    doorward_host::hardening::forbid_looking_in();
    if let Some(question) = calls::waiting(&mut link, &ask.code).await? {
        check_is_about_a_call(&ask)?;
        return calls::allow(context, (&mut link, &terminal), &question, ask.always).await;
    }
    let request = waiting(&mut link, &ask.code).await?;
    check_not_always(ask.always)?;
    let lifetime = LifetimeAsk::from(ask.limits.lifetime.unwrap_or_default());
    let doors: Vec<Door> = ask.door.iter().copied().map(Door::from).collect();
    let policy = Policy::from(&ask.limits.policy);
    let given = given(&request, ask.connection.as_ref(), &doors)?;
    for (_, doors) in &given {
        // Refused before the PIN is asked for, not after.
        Rights::new(doors.clone(), policy.clone())?;
    }
    let now = SystemClock.now();
    terminal.say(&format!(
        "An agent asks to be let in.\n{}\nYou would give it\n{}\n\
         Go on only if the agent shows the code {}. Ctrl-C gives nothing.",
        who_asks(now, &request),
        words::facts(&[
            ("access", given_in_words(&given)),
            ("limits", limits_or_none(&policy)),
            ("lifetime", lifetime_in_words(lifetime).to_owned()),
        ]),
        plain(&request.code)
    ))?;
    let terms = TermsAsk {
        connection: ask.connection,
        doors: (!doors.is_empty()).then_some(doors),
        policy,
        lifetime: Some(lifetime),
    };
    let scope: String = with_pin(&mut link, &terminal, |pin| {
        Request::Approve(control::Approve {
            code: request.code.clone(),
            terms: terms.clone(),
            pin,
        })
    })
    .await?;
    let answer = json!({ "approved": request.code, "name": request.name, "scope": scope });
    context.output.answer(&answer, |_| {
        format!(
            "Approved. `{}` may use {}.",
            plain(&request.name),
            plain(&scope)
        )
    })
}

/// A call is what it is: it can be allowed or not, and nothing about it can be changed.
fn check_is_about_a_call(ask: &Approve) -> Outcome {
    let is_plain = ask.connection.is_none()
        && ask.door.is_empty()
        && ask.limits.lifetime.is_none()
        && ask.limits.policy.is_empty();
    if is_plain {
        return Ok(());
    }
    Err(Failure::new(
        "usage",
        "That code is about a single call, which has no connection, door, lifetime or limits to choose.",
        "`doorward approve CODE` lets it go on, `--always` every such call.",
    ))
}

fn check_not_always(always: bool) -> Outcome {
    if always {
        return Err(Failure::new(
            "usage",
            "`--always` is about single calls, and that code is about an agent that asks to be let in.",
            "Leave it out. `--lifetime` says for how long an agent is let in.",
        ));
    }
    Ok(())
}

/// The request with a code that a person typed.
async fn waiting(link: &mut Link, typed: &str) -> Outcome<RequestView> {
    let code = normalised_user_code(typed);
    let requests: Vec<RequestView> = link.ask(Request::Requests).await?;
    requests
        .into_iter()
        .find(|request| request.code == code)
        .ok_or_else(|| {
            Failure::from(Refusal::new(
                Code::RequestUnknown,
                format!(
                    "No approval request with the code `{}` is waiting.",
                    plain(&code)
                ),
                "`doorward requests` lists those that wait. A request ends after 10 minutes.",
            ))
        })
}

/// What a request asks for, with what the person changes about it: the doors by connection.
fn given(
    request: &RequestView,
    connection: Option<&Name>,
    doors: &[Door],
) -> Outcome<Vec<(Name, Vec<Door>)>> {
    let wanted = Wanted::parse_scope(&request.wanted.join(" "))?;
    let mut given: Vec<(Name, Vec<Door>)> = Vec::new();
    for item in wanted {
        let name = connection.cloned().unwrap_or(item.connection);
        let place = given
            .iter()
            .position(|(known, _)| *known == name)
            .unwrap_or_else(|| {
                given.push((name, doors.to_vec()));
                given.len() - 1
            });
        if doors.is_empty() && !given[place].1.contains(&item.door) {
            given[place].1.push(item.door);
        }
    }
    Ok(given)
}

fn given_in_words(given: &[(Name, Vec<Door>)]) -> String {
    let each: Vec<String> = given
        .iter()
        .map(|(name, doors)| {
            let doors: Vec<&str> = doors
                .iter()
                .map(|door| match door {
                    Door::Token => "token (it gets the access token)",
                    Door::Proxy => "proxy (it never sees the token)",
                })
                .collect();
            format!("{name} through {}", words::list(&doors))
        })
        .collect();
    each.join("; ")
}

pub(super) async fn deny(context: &mut Context, ask: Deny) -> Outcome {
    let mut link = context.running_required().await?;
    if let Some(question) = calls::waiting(&mut link, &ask.code).await? {
        return calls::deny(context, &mut link, &question, ask.always).await;
    }
    check_not_always(ask.always)?;
    let code = normalised_user_code(&ask.code);
    link.ask::<()>(Request::Deny { code: ask.code }).await?;
    context.output.answer(&json!({ "denied": code }), |_| {
        format!("Denied {}. The agent was given nothing.", plain(&code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(wanted: &[&str]) -> RequestView {
        RequestView {
            id: String::new(),
            name: "a".to_owned(),
            code: "BCDF-GHJK".to_owned(),
            wanted: wanted.iter().map(|word| (*word).to_owned()).collect(),
            program: None,
            created_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(600),
        }
    }

    #[test]
    fn what_is_shown_is_what_would_be_given() {
        let shown = |wanted: &[&str], connection: Option<&str>, doors: &[Door]| {
            let connection = connection.map(|name| name.parse::<Name>().unwrap());
            given_in_words(&given(&request(wanted), connection.as_ref(), doors).unwrap())
        };
        assert_eq!(
            shown(&["fastio:token", "fastio:proxy", "work:proxy"], None, &[]),
            "fastio through token (it gets the access token) and proxy (it never sees the token); \
             work through proxy (it never sees the token)"
        );
        assert_eq!(
            shown(&["fastio:token"], Some("other"), &[]),
            "other through token (it gets the access token)"
        );
        assert_eq!(
            shown(&["a:token", "b:token"], Some("c"), &[Door::Proxy]),
            "c through proxy (it never sees the token)"
        );
    }

    #[test]
    fn a_request_shows_the_program_behind_it_and_cannot_forge_a_line() {
        let mut asks = request(&["fastio:token"]);
        asks.name = "nice\nprocess  1, user 0".to_owned();
        let text = who_asks(Timestamp::from_secs(60), &asks);
        assert!(
            text.contains("calls itself  nice process  1, user 0\n"),
            "{text}"
        );
        assert!(text.contains("ends          in 9 minutes"), "{text}");
    }
}
