//! Agents' calls that wait for a person.
//!
//! The question is a row of the book; who waits for its answer is known here alone. A permission for once goes to one
//! caller that is still there: whoever has gone away meanwhile does not use it up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::asking::{AskedCall, Heard, Reply as Said};
use doorward_core::decide::asking::{self, Asked, Asking};
use doorward_core::decide::calling::Question;
use doorward_core::decide::serving::{self, Caller};
use doorward_core::grant::Door;
use doorward_core::ids::{AnswerId, QuestionId};
use doorward_core::name::Name;
use doorward_core::plan::Plan;
use doorward_core::problem::Refusal;

use super::{Actor, reply};
use crate::handle::{Proof, Reply};
use crate::random;
use crate::views::{AnswerView, QuestionView};

/// A call that waits, and who wants to know.
pub(crate) struct CallAsk {
    pub(crate) caller: Caller,
    pub(crate) connection: Name,
    pub(crate) question: Question,
    pub(crate) reply: Reply<()>,
}

/// What is judged anew may be asked again at once.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// Who waits for which answer.
pub(super) type Waiting = HashMap<QuestionId, Vec<CallAsk>>;

impl Actor {
    /// An agent asks for a call. It is answered at once where there is an answer, else when there is one.
    pub(super) async fn ask_call(&mut self, ask: CallAsk) {
        match self.put(&ask).await {
            Ok(None) => reply(ask.reply, Ok(())),
            Ok(Some(question)) => self.waiting.entry(question).or_default().push(ask),
            Err(refusal) => reply(ask.reply, Err(refusal)),
        }
    }

    /// Puts a call to a person. Nothing comes back where it may go on.
    async fn put(&mut self, ask: &CallAsk) -> Result<Option<QuestionId>, Refusal> {
        let now = self.now();
        let caller = self.authenticated(&ask.caller)?;
        let asking = Asking {
            id: QuestionId::from_random(random::bytes()),
            user_code: self.unused_user_code(),
            question: ask.question.clone(),
        };
        let name = Some(&ask.connection);
        let access = serving::access(self.book(), now, &caller, name, Door::Proxy)?;
        match asking::ask(self.book(), now, (&caller, &access), asking)? {
            // Nobody is there to use a permission up.
            Asked::GoesOn(_) if ask.reply.is_closed() => Ok(None),
            Asked::GoesOn(plan) => {
                self.carry_out(plan).await?;
                Ok(None)
            }
            Asked::Waits(question, plan) => {
                self.carry_out(plan).await?;
                Ok(Some(question))
            }
        }
    }

    pub(super) fn questions(&self) -> Result<Vec<QuestionView>, Refusal> {
        self.check_unlocked()?;
        let now = self.now();
        let waiting = self.book().questions().filter(|asked| asked.waits(now));
        let mut views: Vec<_> = waiting
            .filter_map(|asked| self.question_view(asked))
            .collect();
        views.sort_by_key(|question| question.created_at);
        Ok(views)
    }

    fn question_view(&self, asked: &AskedCall) -> Option<QuestionView> {
        let agent = self.book().agent(asked.agent)?;
        Some(QuestionView {
            id: asked.id.to_string(),
            code: asked.user_code.clone(),
            agent: agent.name.as_str().to_owned(),
            connection: self.book().connection(asked.connection)?.name.clone(),
            what: asked.question.what.clone(),
            arguments: asked.question.arguments.clone(),
            unshown: asked.question.unshown,
            program: asked.question.program.clone(),
            created_at: asked.created_at,
            expires_at: asked.expires_at,
        })
    }

    /// The lasting answers about calls of a grant, the newest first.
    pub(super) fn answers_of(&self, grant: doorward_core::ids::GrantId) -> Vec<AnswerView> {
        let answers = self.book().answers_of(grant).map(|answer| AnswerView {
            id: answer.id.to_string(),
            what: answer.what.clone(),
            says: answer.says,
            created_at: answer.created_at,
        });
        let mut views: Vec<_> = answers.collect();
        views.sort_by_key(|answer| std::cmp::Reverse(answer.created_at));
        views
    }

    /// A person allows a call. What is asked is looked at before the PIN is: a mistyped code must not cost a try.
    pub(super) async fn allow_call(
        &mut self,
        code: &str,
        said: Said,
        proof: Proof,
    ) -> Result<String, Refusal> {
        let (asked, plan) = self.call_answered(code, said)?;
        self.check_proof(proof).await?;
        self.settle_call(&asked, plan).await
    }

    /// A person denies a call. That needs no proof, as nothing is let in by it.
    pub(super) async fn deny_call(&mut self, code: &str, said: Said) -> Result<String, Refusal> {
        let (asked, plan) = self.call_answered(code, said)?;
        self.settle_call(&asked, plan).await
    }

    fn call_answered(&self, code: &str, said: Said) -> Result<(Arc<AskedCall>, Plan), Refusal> {
        self.check_unlocked()?;
        let now = self.now();
        let asked = asking::question_with_code(self.book(), now, code)?;
        let id = AnswerId::from_random(random::bytes());
        let plan = asking::answer(self.book(), now, asked, (said, id))?;
        Ok((Arc::clone(asked), plan))
    }

    async fn settle_call(&mut self, asked: &AskedCall, plan: Plan) -> Result<String, Refusal> {
        self.carry_out(plan).await?;
        self.tell_waiting(asked.id).await;
        Ok(asked.question.title())
    }

    /// Everyone who waits for this answer asks again: what a person said is found there, and whoever comes after a
    /// permission for once was used up puts a question of its own.
    async fn tell_waiting(&mut self, question: QuestionId) {
        for ask in self.waiting.remove(&question).unwrap_or_default() {
            if !ask.reply.is_closed() {
                Box::pin(self.ask_call(ask)).await;
            }
        }
    }

    pub(super) async fn take_back(&mut self, answer: &str) -> Result<String, Refusal> {
        self.check_unlocked()?;
        let answer = asking::answer_meant(self.book(), answer)?;
        let what = answer.what.clone();
        let plan = asking::take_back(self.book(), answer)?;
        self.carry_out(plan).await?;
        Ok(what)
    }

    /// What is over by now: questions that nobody answered or that became idle, and the waits for them.
    pub(super) async fn end_questions(&mut self) {
        if self.waiting.is_empty() && self.book().questions().next().is_none() {
            return;
        }
        let now = self.now();
        let over =
            |asked: &&Arc<AskedCall>| asked.heard == Heard::Nothing && now >= asked.expires_at;
        let unanswered: Vec<_> = self.book().questions().filter(over).cloned().collect();
        if let Err(refusal) = self.carry_out(asking::sweep(self.book(), now)).await {
            tracing::error!(%refusal, "questions that are over could not be swept");
            return;
        }
        for asked in unanswered {
            for ask in self.waiting.remove(&asked.id).unwrap_or_default() {
                reply(ask.reply, Err(asking::unanswered(&asked)));
            }
        }
        self.end_waits();
    }

    /// A caller that may not go on any longer is told so at once, whatever took its right away.
    fn end_waits(&mut self) {
        for (question, asks) in std::mem::take(&mut self.waiting) {
            for ask in asks {
                match self.still_waits(question, &ask) {
                    Ok(()) if ask.reply.is_closed() => {}
                    Ok(()) => self.waiting.entry(question).or_default().push(ask),
                    Err(refusal) => reply(ask.reply, Err(refusal)),
                }
            }
        }
    }

    fn still_waits(&self, question: QuestionId, ask: &CallAsk) -> Result<(), Refusal> {
        let now = self.now();
        let caller = self.published.still(now, &ask.caller)?;
        serving::access(
            self.book(),
            now,
            &caller,
            Some(&ask.connection),
            Door::Proxy,
        )?;
        match self.book().question(question) {
            Some(_) => Ok(()),
            // The grant was given anew, perhaps on other terms: the call is judged again when it comes again.
            None => Err(asking::pending(&ask.question, &ask.connection).retry_after(LEAST_WAIT)),
        }
    }
}
