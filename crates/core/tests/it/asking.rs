//! An agent asks for a single call, and a person answers.

use doorward_core::asking::{
    Always, AskedCall, MOST_ANSWERS, MOST_QUESTIONS, MOST_QUESTIONS_OF_ONE, QUESTION_LIFE, Reply,
};
use doorward_core::change::Change;
use doorward_core::decide::asking::{self, Asked, Asking};
use doorward_core::decide::calling::Question;
use doorward_core::decide::serving::{self, Caller};
use doorward_core::decide::{pairing, revoking};
use doorward_core::grant::Door;
use doorward_core::ids::{AnswerId, ConnectionId, OutboxId, QuestionId};
use doorward_core::pairing::user_code;
use doorward_core::plan::Plan;
use doorward_core::problem::{Code, Refusal};
use serde_json::json;

use crate::world::{SECOND, World, name, outline};

fn upload() -> Question {
    let arguments = json!({"action": "upload", "note": "private words"});
    Question::mcp("storage", arguments.as_object())
}

fn post(body: &str) -> Question {
    Question::rest(
        "POST",
        "workspace/7/create/?token=t0ps3cret",
        body.as_bytes(),
    )
}

struct Room {
    world: World,
    fastio: ConnectionId,
    coder: Caller,
}

fn room() -> Room {
    let mut world = World::new();
    let fastio = world.connection("fastio", "ours");
    let coder = world.agent("Coder", fastio, &[Door::Proxy]);
    Room {
        world,
        fastio,
        coder,
    }
}

impl Room {
    fn decide(&mut self, caller: &Caller, question: Question) -> Result<Asked, Refusal> {
        let bytes = self.world.fresh.bytes();
        let asking = Asking {
            id: QuestionId::from_random(bytes),
            user_code: user_code(bytes),
            question,
        };
        let (book, now) = (&self.world.book, self.world.now);
        let access = serving::access(book, now, caller, Some(&name("fastio")), Door::Proxy)?;
        asking::ask(book, now, (caller, &access), asking)
    }

    /// What a caller is told, and what is done for it.
    fn asks_as(&mut self, caller: &Caller, question: Question) -> String {
        let (told, plan) = match self.decide(caller, question) {
            Ok(Asked::GoesOn(plan)) => ("goes on", plan),
            Ok(Asked::Waits(_, plan)) => ("waits", plan),
            Err(refusal) => return refusal.code.to_string(),
        };
        let done = outline(&plan).join(", ");
        self.world.carry_out(plan);
        if done.is_empty() {
            told.to_owned()
        } else {
            format!("{told}: {done}")
        }
    }

    fn asks(&mut self, question: Question) -> String {
        let coder = self.coder.clone();
        self.asks_as(&coder, question)
    }

    fn only_question(&self) -> AskedCall {
        let questions: Vec<_> = self.world.book.questions().collect();
        assert_eq!(questions.len(), 1);
        (**questions[0]).clone()
    }

    fn says(&mut self, reply: Reply) -> Vec<String> {
        let id = AnswerId::from_random(self.world.fresh.bytes());
        let asked = self.only_question();
        let plan = asking::answer(&self.world.book, self.world.now, &asked, (reply, id));
        let plan = plan.expect("an answer");
        let told = outline(&plan);
        self.world.carry_out(plan);
        told
    }

    fn sweeps(&mut self) -> Vec<String> {
        let plan = asking::sweep(&self.world.book, self.world.now);
        let told = outline(&plan);
        self.world.carry_out(plan);
        told
    }
}

const ASKED: &str = "waits: question Nothing, log call.asked, tell CallAsked";

#[test]
fn the_same_call_is_asked_about_once() {
    let mut room = room();
    assert_eq!(room.asks(upload()), ASKED);
    assert_eq!(
        room.asks(upload()),
        "waits",
        "it joins the question there is"
    );
    assert_eq!(room.asks(post("a")), ASKED, "another call is another one");
    let other = room.world.agent("Other", room.fastio, &[Door::Proxy]);
    assert_eq!(room.asks_as(&other, upload()), ASKED, "and another agent's");
    assert_eq!(room.world.book.questions().count(), 3);
}

#[test]
fn allowed_once_is_one_call_within_ten_minutes() {
    let mut room = room();
    room.asks(upload());
    assert_eq!(
        room.says(Reply::Once),
        ["question Once", "log call.allowed"]
    );
    let other = room.world.agent("Other", room.fastio, &[Door::Proxy]);
    assert_eq!(
        room.asks_as(&other, upload()),
        ASKED,
        "it is not for others"
    );
    assert_eq!(room.asks(post("a")), ASKED, "nor for other calls");
    assert_eq!(room.asks(upload()), "goes on: question forgotten");
    assert_eq!(
        room.asks(upload()),
        ASKED,
        "the second time it is asked anew"
    );

    let mut late = self::room();
    late.asks(upload());
    late.says(Reply::Once);
    late.world.now = late.world.now.plus(QUESTION_LIFE);
    assert_eq!(
        late.asks(upload()),
        "waits: question forgotten, question Nothing, log call.asked, tell CallAsked"
    );
}

#[test]
fn allowed_for_good_is_that_exact_call_until_it_is_taken_back() {
    let mut room = room();
    room.asks(post("a"));
    assert_eq!(
        room.says(Reply::Always),
        ["answer Allow", "question forgotten", "log call.allowed"]
    );
    room.world.now = room.world.now.plus(100 * QUESTION_LIFE);
    for _ in 0..2 {
        assert_eq!(room.asks(post("a")), "goes on");
    }
    assert_eq!(room.asks(post("b")), ASKED, "another body is another call");
    let answer = room.world.book.answers().next().expect("an answer").clone();
    assert_eq!(
        (answer.what.as_str(), answer.says),
        ("POST /workspace/7/create/?…", Always::Allow)
    );
    let plan = asking::take_back(&room.world.book, &answer).expect("taken back");
    assert_eq!(outline(&plan), ["answer gone", "log call.taken_back"]);
    room.world.carry_out(plan);
    assert_eq!(room.asks(post("a")), ASKED);
}

#[test]
fn denied_is_denied_for_ten_minutes_and_for_good_where_a_person_says_so() {
    let mut room = room();
    room.asks(upload());
    assert_eq!(room.says(Reply::Deny), ["question No", "log call.denied"]);
    assert_eq!(room.asks(upload()), "policy_denied");
    room.world.now = room.world.now.plus(QUESTION_LIFE).minus(SECOND);
    let refusal = room
        .decide(&room.coder.clone(), upload())
        .err()
        .expect("no");
    assert_eq!(refusal.retry_after_seconds, Some(1));
    room.world.now = room.world.now.plus(SECOND);
    assert_eq!(room.sweeps(), ["question forgotten"]);
    assert_eq!(room.asks(upload()), ASKED);
    room.says(Reply::DenyAlways);
    room.world.now = room.world.now.plus(100 * QUESTION_LIFE);
    assert_eq!(room.asks(upload()), "policy_denied");
}

#[test]
fn no_answer_within_ten_minutes_is_a_no_to_that_question() {
    let mut room = room();
    room.asks(upload());
    let asked = room.only_question();
    room.world.now = asked.expires_at.minus(SECOND);
    assert!(room.sweeps().is_empty());
    room.world.now = asked.expires_at;
    let found = asking::question_with_code(&room.world.book, room.world.now, &asked.user_code);
    assert_eq!(found.unwrap_err().code, Code::RequestUnknown);
    assert_eq!(room.sweeps(), ["question forgotten", "log call.denied"]);
    assert_eq!(asking::unanswered(&asked).code, Code::PolicyDenied);
}

#[test]
fn more_than_a_person_can_read_is_not_put() {
    let mut room = room();
    for n in 0..MOST_QUESTIONS_OF_ONE {
        assert_eq!(room.asks(post(&n.to_string())), ASKED);
    }
    let refusal = room
        .decide(&room.coder.clone(), upload())
        .err()
        .expect("full");
    assert_eq!(refusal.code, Code::ApprovalPending);
    assert_eq!(refusal.retry_after_seconds, Some(30));
    assert_eq!(room.asks(post("0")), "waits", "what is asked stays asked");
    for n in 0..MOST_QUESTIONS / MOST_QUESTIONS_OF_ONE {
        let other = room
            .world
            .agent(&format!("Other {n}"), room.fastio, &[Door::Proxy]);
        for m in 0..MOST_QUESTIONS_OF_ONE {
            let is_room = (n + 1) * MOST_QUESTIONS_OF_ONE + m < MOST_QUESTIONS;
            let told = room.asks_as(&other, post(&m.to_string()));
            assert_eq!(told, if is_room { ASKED } else { "approval_pending" });
        }
    }
    room.world.now = room.world.now.plus(QUESTION_LIFE);
    assert_eq!(room.asks(upload()), ASKED, "what is over takes no room");
}

#[test]
fn a_grant_has_a_bound_of_lasting_answers() {
    let mut room = room();
    for n in 0..MOST_ANSWERS {
        room.asks(post(&n.to_string()));
        room.says(Reply::Always);
    }
    room.asks(upload());
    let asked = room.only_question();
    let id = AnswerId::from_random([1; 16]);
    let (book, now) = (&room.world.book, room.world.now);
    let refused = asking::answer(book, now, &asked, (Reply::Always, id));
    assert_eq!(refused.err().expect("full").code, Code::RightsInvalid);
    assert!(asking::answer(book, now, &asked, (Reply::Once, id)).is_ok());
}

#[test]
fn questions_and_answers_go_with_their_grant() {
    let ends: [fn(&mut Room) -> Plan; 4] = [
        |room| revoking::revoke_agent(&room.world.book, &room.coder.agent, room.world.now),
        |room| {
            let row = room.world.row(room.fastio);
            let outbox = OutboxId::from_random([9; 16]);
            revoking::disconnect(&room.world.book, &row, room.world.now, false, outbox)
        },
        |room| {
            let grant = room.world.book.grants().next().expect("a grant");
            Plan::nothing().change(Change::GrantErased {
                tenant: room.coder.agent.tenant,
                grant: grant.id,
            })
        },
        // Approved anew: a newer grant takes the place of the older one.
        |room| {
            let (request, _) = room.world.request(room.coder.agent.id, "fastio:proxy");
            let lifetime = doorward_core::grant::Lifetime::UntilRevoked;
            let given = pairing::as_asked(&room.world.book, &request, lifetime).expect("given");
            room.world.approved(&request, given).expect("approved")
        },
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let mut room = room();
        room.asks(upload());
        room.says(Reply::Always);
        room.asks(post("a"));
        let plan = end(&mut room);
        room.world.carry_out(plan);
        let book = &room.world.book;
        assert_eq!(
            (book.questions().count(), book.answers().count()),
            (0, 0),
            "{n}"
        );
    }
}

#[test]
fn who_is_paused_asks_nobody() {
    let mut room = room();
    room.asks(upload());
    let row = room.world.row(room.fastio);
    let paused = revoking::set_connection_paused(&row, true);
    room.world.carry_out(paused);
    assert_eq!(room.sweeps(), ["question forgotten"]);
    assert_eq!(room.asks(upload()), "connection_paused");

    let mut room = self::room();
    room.asks(upload());
    let coder = room.coder.clone();
    let paused = room.world.pause_agent(&coder);
    assert_eq!(room.sweeps(), ["question forgotten"]);
    assert_eq!(room.asks_as(&paused, upload()), "agent_paused");
}

#[test]
fn the_log_says_what_was_called_and_never_with_what() {
    let mut room = room();
    let mut plans = Vec::new();
    for (question, reply) in [
        (upload(), Reply::Once),
        (post("private words"), Reply::DenyAlways),
    ] {
        let asked = room.decide(&room.coder.clone(), question).expect("asked");
        let Asked::Waits(id, plan) = asked else {
            panic!("it waits")
        };
        plans.push(format!("{:?}", plan.audit));
        room.world.carry_out(plan);
        let asked = room.world.book.question(id).expect("a question").clone();
        let answer = AnswerId::from_random([2; 16]);
        let (book, now) = (&room.world.book, room.world.now);
        let plan = asking::answer(book, now, &asked, (reply, answer)).expect("an answer");
        plans.push(format!("{:?}", plan.audit));
    }
    for text in plans {
        assert!(text.contains("storage") || text.contains("POST /workspace/7/create/"));
        assert!(
            !text.contains("private words") && !text.contains("t0ps3cret"),
            "{text}"
        );
    }
}

#[test]
fn an_answer_is_meant_by_the_beginning_of_its_identifier() {
    let mut room = room();
    for body in ["a", "b"] {
        room.asks(post(body));
        room.says(Reply::Always);
    }
    let book = &room.world.book;
    for answer in book.answers() {
        let id = answer.id.to_string();
        assert_eq!(asking::answer_meant(book, &id).unwrap().id, answer.id);
        assert_eq!(asking::answer_meant(book, &id[..8]).unwrap().id, answer.id);
        assert!(
            asking::answer_meant(book, &id[..3]).is_err(),
            "too short to be sure"
        );
    }
    assert!(asking::answer_meant(book, "").is_err());
}

#[test]
fn what_a_person_sees_cannot_look_like_something_else() {
    let question = Question::rest(
        "GET",
        "a/\u{202e}b\n\u{200b}",
        b"one\n\ttwo\x1b[2J\xe2\x80\xae",
    );
    assert_eq!(question.what, "GET /a/\\u{202e}b\\u{a}\\u{200b}");
    assert_eq!(question.arguments, "one\n\ttwo\\u{1b}[2J\\u{202e}");
    assert_eq!(question.unshown, 0);
    let long = Question::rest("PUT", "a", "x".repeat(9000).as_bytes());
    assert_eq!((long.arguments.len(), long.unshown), (8192, 808));
}
