//! An agent's call waits for a person: is it asked about, what was said, and when is it over?
//!
//! Whoever asks is let on, refused, or told which question it waits for. An answer for once is used up by the decision
//! that lets the call on, so that two callers cannot share it.

use std::sync::Arc;
use std::time::Duration;

use crate::asking::{
    Always, Answer, AskedCall, Heard, MOST_ANSWERS, MOST_QUESTIONS, MOST_QUESTIONS_OF_ONE,
    QUESTION_LIFE, Reply,
};
use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::Change;
use crate::connection::Standing;
use crate::decide::calling::Question;
use crate::decide::serving::{Access, Caller};
use crate::ids::{AnswerId, GrantId, QuestionId};
use crate::name::Name;
use crate::pairing::normalised_user_code;
use crate::plan::{Effect, Notice, Plan};
use crate::problem::{Code, Refusal};
use crate::time::Timestamp;

/// What is said to an agent that asks.
pub enum Asked {
    /// The call goes on, once the plan is written.
    GoesOn(Plan),
    /// It waits for the answer to that question, once the plan is written.
    Waits(QuestionId, Plan),
}

/// What a new question brings along.
pub struct Asking {
    /// Its identity, if it becomes one.
    pub id: QuestionId,
    /// Its code.
    pub user_code: String,
    /// The call.
    pub question: Question,
}

/// The answer that is there already and that nothing uses up: the call goes on, or it is refused.
#[must_use]
pub fn settled(
    book: &Book,
    now: Timestamp,
    access: &Access<'_>,
    question: &Question,
) -> Option<Result<(), Refusal>> {
    let grant = access.grant.id;
    let name = &access.connection.name;
    match book
        .answer(grant, &question.digest)
        .map(|answer| answer.says)
    {
        Some(Always::Allow) => return Some(Ok(())),
        Some(Always::Deny) => return Some(Err(denied(question, name, "for good"))),
        None => {}
    }
    let asked = book.question_about(grant, &question.digest)?;
    let is_no = asked.heard == Heard::No && now < asked.expires_at;
    is_no.then(|| {
        Err(denied(question, name, "for ten minutes").retry_after(asked.expires_at.since(now)))
    })
}

/// An agent asks for a call that its grant has a person asked about.
pub fn ask(
    book: &Book,
    now: Timestamp,
    (caller, access): (&Caller, &Access<'_>),
    asking: Asking,
) -> Result<Asked, Refusal> {
    if let Some(answer) = settled(book, now, access, &asking.question) {
        return answer.map(|()| Asked::GoesOn(Plan::nothing()));
    }
    let known = book.question_about(access.grant.id, &asking.question.digest);
    match known.filter(|asked| now < asked.expires_at) {
        Some(asked) if asked.heard == Heard::Once => {
            let used_up = Change::QuestionErased(asked.id);
            return Ok(Asked::GoesOn(Plan::nothing().change(used_up)));
        }
        Some(asked) => return Ok(Asked::Waits(asked.id, Plan::nothing())),
        None => {}
    }
    check_room(book, now, caller, &asking.question, &access.connection.name)?;
    let mut plan = Plan::nothing();
    if let Some(over) = known {
        plan = plan.change(Change::QuestionErased(over.id));
    }
    let id = asking.id;
    let asked = AskedCall {
        id,
        tenant: caller.agent.tenant,
        agent: caller.agent.id,
        connection: access.connection.id,
        grant: access.grant.id,
        question: asking.question,
        user_code: asking.user_code,
        created_at: now,
        expires_at: now.plus(QUESTION_LIFE),
        heard: Heard::Nothing,
    };
    let event = event(AuditKind::CallAsked, &asked);
    let plan = plan
        .change(Change::QuestionPut(Box::new(asked)))
        .log(event)
        .effect(Effect::Tell(Notice::CallAsked(id)));
    Ok(Asked::Waits(id, plan))
}

fn check_room(
    book: &Book,
    now: Timestamp,
    caller: &Caller,
    question: &Question,
    name: &Name,
) -> Result<(), Refusal> {
    let waiting = || book.questions().filter(|asked| asked.waits(now));
    let own = waiting().filter(|asked| asked.agent == caller.agent.id);
    if own.count() < MOST_QUESTIONS_OF_ONE && waiting().count() < MOST_QUESTIONS {
        return Ok(());
    }
    let mut refusal = pending(question, name);
    refusal.detail.push_str(
        " As many questions as a person can read are waiting already, so this one was not put.",
    );
    Err(refusal.retry_after(Duration::from_secs(30)))
}

/// What an agent is told whose patience ends before a person has answered.
#[must_use]
pub fn pending(question: &Question, name: &Name) -> Refusal {
    Refusal::new(
        Code::ApprovalPending,
        format!(
            "A person has to allow `{}` for `{name}` first.",
            question.title()
        ),
        "Ask again in a while: the same call goes on once a person has allowed it in Doorward.",
    )
    .retry_after(Duration::from_secs(10))
}

fn denied(question: &Question, name: &Name, how_long: &str) -> Refusal {
    Refusal::new(
        Code::PolicyDenied,
        format!(
            "A person denied `{}` of `{name}` {how_long}.",
            question.title()
        ),
        "Do without this call, or do it in another way that the person agrees to.",
    )
}

/// What a caller is told that still waits when the question's time is over.
#[must_use]
pub fn unanswered(asked: &AskedCall) -> Refusal {
    Refusal::new(
        Code::PolicyDenied,
        format!(
            "Nobody answered within 10 minutes whether `{}` may go on.",
            asked.question.title()
        ),
        "Ask again when a person is there.",
    )
}

/// The question that waits under a code.
pub fn question_with_code<'a>(
    book: &'a Book,
    now: Timestamp,
    code: &str,
) -> Result<&'a Arc<AskedCall>, Refusal> {
    let code = normalised_user_code(code);
    let mut waiting = book.questions().filter(|asked| asked.waits(now));
    waiting
        .find(|asked| asked.user_code == code)
        .ok_or_else(|| {
            Refusal::new(
                Code::RequestUnknown,
                "No question of an agent waits under that code.",
                "`doorward requests` lists those that wait; a question is over after 10 minutes.",
            )
        })
}

/// A person answers.
pub fn answer(
    book: &Book,
    now: Timestamp,
    asked: &AskedCall,
    (reply, id): (Reply, AnswerId),
) -> Result<Plan, Refusal> {
    let for_now = |heard| {
        let answered = AskedCall {
            heard,
            expires_at: now.plus(QUESTION_LIFE),
            ..asked.clone()
        };
        Plan::nothing().change(Change::QuestionPut(Box::new(answered)))
    };
    let (plan, kind, how) = match reply {
        Reply::Once => (for_now(Heard::Once), AuditKind::CallAllowed, "once"),
        Reply::Deny => (for_now(Heard::No), AuditKind::CallDenied, "for 10 minutes"),
        Reply::Always => {
            let plan = for_good(book, now, asked, (Always::Allow, id))?;
            (plan, AuditKind::CallAllowed, "always")
        }
        Reply::DenyAlways => {
            let plan = for_good(book, now, asked, (Always::Deny, id))?;
            (plan, AuditKind::CallDenied, "always")
        }
    };
    Ok(plan.log(event(kind, asked).with("how", how)))
}

fn for_good(
    book: &Book,
    now: Timestamp,
    asked: &AskedCall,
    (says, id): (Always, AnswerId),
) -> Result<Plan, Refusal> {
    check_answers(book, asked.grant)?;
    let answer = Answer {
        id,
        grant: asked.grant,
        digest: asked.question.digest,
        what: asked.question.title(),
        says,
        created_at: now,
    };
    Ok(Plan::nothing()
        .change(Change::AnswerPut {
            tenant: asked.tenant,
            answer,
        })
        .change(Change::QuestionErased(asked.id)))
}

fn check_answers(book: &Book, grant: GrantId) -> Result<(), Refusal> {
    if book.answers_of(grant).count() < MOST_ANSWERS {
        return Ok(());
    }
    Err(Refusal::new(
        Code::RightsInvalid,
        format!("This grant has {MOST_ANSWERS} lasting answers already."),
        "Answer for this once, or take others back; a rule of the grant does better for so many calls.",
    ))
}

/// The lasting answer a person means: by its identifier or the beginning of it, where only one fits.
pub fn answer_meant<'a>(book: &'a Book, text: &str) -> Result<&'a Arc<Answer>, Refusal> {
    let is_meant =
        |answer: &&Arc<Answer>| text.len() >= 4 && answer.id.to_string().starts_with(text);
    let found: Vec<_> = book.answers().filter(is_meant).collect();
    match found.as_slice() {
        [one] => Ok(one),
        several => Err(Refusal::new(
            Code::RequestUnknown,
            if several.is_empty() {
                "There is no such answer.".to_owned()
            } else {
                format!("{} answers could be meant.", several.len())
            },
            "`doorward answers` lists those there are, each with its id.",
        )),
    }
}

/// A person takes a lasting answer back: the next such call is asked about again.
pub fn take_back(book: &Book, answer: &Answer) -> Result<Plan, Refusal> {
    let mut grants = book.grants();
    let grant = grants.find(|grant| grant.id == answer.grant);
    let Some((grant, agent)) = grant.and_then(|grant| Some((grant, book.agent(grant.agent)?)))
    else {
        return Err(Refusal::new(
            Code::RequestUnknown,
            "That answer has gone with its grant.",
            "`doorward answers` lists those there are.",
        ));
    };
    let event = AuditEvent::new(AuditKind::AnswerTakenBack)
        .tenant(agent.tenant)
        .agent(agent.id)
        .connection(grant.connection)
        .with("what", answer.what.as_str())
        .with("said", answer.says.as_str());
    Ok(Plan::nothing()
        .change(Change::AnswerErased {
            tenant: agent.tenant,
            answer: answer.id,
        })
        .log(event))
}

/// What is over: questions that nobody answered, answers that do not hold any longer, and questions of agents and
/// connections that cannot go on anyway.
pub fn sweep(book: &Book, now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    for asked in book.questions() {
        let is_over = now >= asked.expires_at;
        if !is_over && can_go_on(book, asked) {
            continue;
        }
        plan = plan.change(Change::QuestionErased(asked.id));
        if is_over && asked.heard == Heard::Nothing {
            let event = event(AuditKind::CallDenied, asked);
            plan = plan.log(event.with("how", "nobody answered within 10 minutes"));
        }
    }
    plan
}

fn can_go_on(book: &Book, asked: &AskedCall) -> bool {
    let is_running = book.agent(asked.agent).is_some_and(|agent| !agent.paused);
    let connection = book.connection(asked.connection);
    is_running && connection.is_some_and(|row| !row.paused && row.standing != Standing::Ending)
}

fn event(kind: AuditKind, asked: &AskedCall) -> AuditEvent {
    AuditEvent::new(kind)
        .tenant(asked.tenant)
        .agent(asked.agent)
        .connection(asked.connection)
        .with("what", asked.question.title())
        .with("code", asked.user_code.as_str())
}
