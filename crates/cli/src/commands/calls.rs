//! Single calls that wait for a person, and what a person said for good about them: `doorward answers`, and the part of
//! `doorward approve` and `doorward deny` that is about calls.
//!
//! What is called and with what are an agent's own words. They are shown line by line, each marked, so that no text of
//! an agent can pass for one of Doorward's.

use doorward_broker::control::Request;
use doorward_broker::views::{AgentView, AnswerView, QuestionView};
use doorward_broker::{Clock as _, SystemClock};
use doorward_core::asking::Always;
use doorward_core::pairing::normalised_user_code;
use doorward_core::time::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::approvals::program_in_words;
use crate::args::TakeBack;
use crate::failure::Outcome;
use crate::link::{Context, Link};
use crate::pin::with_pin;
use crate::terminal::Terminal;
use crate::words::{self, moment, plain, table};

/// The call with a code that a person typed, if one waits under it.
pub(super) async fn waiting(link: &mut Link, typed: &str) -> Outcome<Option<QuestionView>> {
    let code = normalised_user_code(typed);
    let questions: Vec<QuestionView> = link.ask(Request::Questions).await?;
    Ok(questions.into_iter().find(|question| question.code == code))
}

/// A call that waits, with all that is known of it.
pub(super) fn what_is_asked(now: Timestamp, question: &QuestionView) -> String {
    let mut facts = vec![
        ("agent", question.agent.clone()),
        ("connection", question.connection.to_string()),
        ("call", question.what.clone()),
    ];
    if question.program.is_some() {
        facts.extend(program_in_words(question.program.as_ref()));
    }
    facts.push(("asked", moment(now, question.created_at)));
    facts.push(("ends", moment(now, question.expires_at)));
    format!(
        "{}\n{}{}",
        plain(&question.code),
        words::facts(&facts),
        arguments(question)
    )
}

fn arguments(question: &QuestionView) -> String {
    let mut text = String::new();
    if !question.arguments.is_empty() {
        text.push_str("  with\n");
        for line in question.arguments.lines() {
            text.push_str("    | ");
            text.push_str(plain(line).trim_end());
            text.push('\n');
        }
    }
    if question.unshown > 0 {
        let left_out = words::count(question.unshown, "character is", "characters are");
        text.push_str("  and ");
        text.push_str(&left_out);
        text.push_str(" not shown\n");
    }
    text
}

/// Lets a call go on, once the person has seen it and typed the PIN.
pub(super) async fn allow(
    context: &mut Context,
    (link, terminal): (&mut Link, &Terminal),
    question: &QuestionView,
    always: bool,
) -> Outcome {
    let what_follows = if always {
        "You would allow every call of this agent that is exactly this one, until you take it back."
    } else {
        "You would allow it once."
    };
    terminal.say(&format!(
        "An agent asks for a single call.\n{}\n{what_follows} Ctrl-C allows nothing.",
        what_is_asked(SystemClock.now(), question),
    ))?;
    let what: String = with_pin(link, terminal, |pin| Request::AllowCall {
        code: question.code.clone(),
        always,
        pin,
    })
    .await?;
    let answer = json!({ "approved": question.code, "agent": question.agent, "what": what, "always": always });
    context.output.answer(&answer, |_| {
        let how_often = if always { "always" } else { "once" };
        format!(
            "Allowed {how_often}: `{}` of `{}`.",
            plain(&what),
            plain(&question.agent)
        )
    })
}

/// Refuses a call.
pub(super) async fn deny(
    context: &mut Context,
    link: &mut Link,
    question: &QuestionView,
    always: bool,
) -> Outcome {
    let code = question.code.clone();
    let what: String = link.ask(Request::DenyCall { code, always }).await?;
    let answer =
        json!({ "denied": question.code, "agent": question.agent, "what": what, "always": always });
    context.output.answer(&answer, |_| {
        let how_long = if always { "always" } else { "for 10 minutes" };
        format!(
            "Denied {how_long}: `{}` of `{}`.",
            plain(&what),
            plain(&question.agent)
        )
    })
}

/// A lasting answer, with whose it is.
#[derive(Serialize)]
struct Answered {
    agent: String,
    connection: String,
    #[serde(flatten)]
    answer: AnswerView,
}

pub(super) async fn answers(context: &mut Context) -> Outcome {
    let agents: Vec<AgentView> = match context.on_store().await {
        Ok(mut link) => link.ask(Request::Agents).await?,
        Err(failure) if failure.is_own("store_missing") => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let mut all = Vec::new();
    for agent in agents {
        for grant in agent.grants {
            let (name, connection) = (&agent.name, grant.connection.to_string());
            all.extend(grant.answers.into_iter().map(|answer| Answered {
                agent: name.clone(),
                connection: connection.clone(),
                answer,
            }));
        }
    }
    let now = SystemClock.now();
    context.output.answer(&all, |all| listed(now, all))
}

fn listed(now: Timestamp, answers: &[Answered]) -> String {
    if answers.is_empty() {
        return "You have said nothing for good about single calls.".to_owned();
    }
    let rows = answers.iter().map(|row| {
        [
            row.answer.id.chars().take(8).collect(),
            row.agent.clone(),
            row.connection.clone(),
            match row.answer.says {
                Always::Allow => "allow",
                Always::Deny => "deny",
            }
            .to_owned(),
            moment(now, row.answer.created_at),
            row.answer.what.clone(),
        ]
    });
    let heading = ["id", "agent", "connection", "always", "said", "call"];
    let mut text = table(heading, rows.collect());
    text.push_str("\nAn answer is about one exact call, its arguments too. `doorward answers take-back ID` takes it back.");
    text
}

pub(super) async fn take_back(context: &mut Context, ask: TakeBack) -> Outcome {
    let mut link = context.on_store().await?;
    let answer = ask.answer.clone();
    let what: String = link.ask(Request::TakeBack { answer }).await?;
    let answer = json!({ "taken_back": ask.answer, "what": what });
    context.output.answer(&answer, |_| {
        format!(
            "Taken back. The next call of `{}` is asked about again.",
            plain(&what)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_says_cannot_pass_for_a_line_of_doorwards_own() {
        let question = QuestionView {
            id: String::new(),
            code: "BCDF-GHJK".to_owned(),
            agent: "Coder".to_owned(),
            connection: "fastio".parse().unwrap(),
            what: "storage".to_owned(),
            arguments: "{\n  \"a\": 1\n}\nYou would allow it once.\n\u{1b}[2J".to_owned(),
            unshown: 9,
            program: None,
            created_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(600),
        };
        assert_eq!(
            what_is_asked(Timestamp::from_secs(60), &question),
            "BCDF-GHJK\n  agent       Coder\n  connection  fastio\n  call        storage\n  \
             asked       60 seconds ago\n  ends        in 9 minutes\n  with\n    | {\n    |   \"a\": 1\n    | }\n    \
             | You would allow it once.\n    | \u{FFFD}[2J\n  and 9 characters are not shown\n"
        );
    }
}
