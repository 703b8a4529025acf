//! An agent's call waits for a person.

use std::time::Duration;

use doorward_broker::handle::{PauseTarget, Proof, Terms};
use doorward_broker::views::QuestionView;
use doorward_broker::{ApprovalRoom, Handle};
use doorward_core::decide::calling::Question;
use doorward_core::decide::serving::Caller;
use doorward_core::grant::Policy;
use doorward_core::plan::Notice;
use doorward_core::problem::Refusal;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::agents::Agent;
use crate::world::{PIN, World, code, granted, name, pin, refused, secs, until, within};

fn upload() -> Question {
    let arguments = json!({"action": "upload", "note": "private words"});
    Question::mcp("storage", arguments.as_object())
}

fn post(body: &str) -> Question {
    Question::rest("POST", "workspace/7/create/", body.as_bytes())
}

/// An agent whose every call a person is asked about.
async fn asked_each_time(world: &World, agent: &str) -> Agent {
    let asking = world.asks(agent, "fastio:proxy", None).await;
    let terms = Terms {
        policy: Policy {
            ask_each_time: true,
            ..Policy::default()
        },
        ..Terms::default()
    };
    let scope = granted(world.approve(&asking, terms).await);
    Agent {
        id: asking.client,
        key: world.fetch(&asking).await,
        scope,
    }
}

/// Asks, and is told what there is to tell at once.
async fn asks(handle: &Handle, caller: &Caller, question: Question) -> Result<(), Refusal> {
    let patience = Some(Duration::from_millis(50));
    handle
        .ask_person(caller, &name("fastio"), question, patience)
        .await
}

/// Asks, and waits for longer than any test lasts.
fn waits(world: &World, agent: &Agent, question: Question) -> JoinHandle<Result<(), Refusal>> {
    let (handle, caller) = (world.handle().clone(), world.caller(agent));
    tokio::spawn(async move {
        let patience = Some(secs(600));
        let name = name("fastio");
        handle.ask_person(&caller, &name, question, patience).await
    })
}

async fn told(waiting: JoinHandle<Result<(), Refusal>>) -> Result<(), Refusal> {
    within(waiting).await.unwrap()
}

/// The only question there is, once there is one.
async fn only_question(world: &World) -> QuestionView {
    let mut found = Vec::new();
    until("a question", async || {
        found = granted(world.handle().questions().await);
        !found.is_empty()
    })
    .await;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

async fn allow(world: &World, code: &str, always: bool) -> Result<String, Refusal> {
    let proof = Proof::Pin(pin(PIN));
    world
        .handle()
        .allow_call(code.to_owned(), always, proof)
        .await
}

async fn questions(world: &World) -> usize {
    granted(world.handle().status().await).questions
}

#[tokio::test]
async fn who_is_patient_is_let_on_by_the_answer_and_who_is_not_comes_back_for_it() {
    let world = World::new().await;
    world.connect().await;
    let agent = asked_each_time(&world, "Coder").await;
    let caller = world.caller(&agent);
    let pending = refused(asks(world.handle(), &caller, upload()).await);
    assert_eq!(pending.code.as_str(), "approval_pending");
    assert_eq!(pending.retry_after_seconds, Some(10));
    let asked = only_question(&world).await;
    assert_eq!(
        (
            asked.agent.as_str(),
            asked.connection.as_str(),
            asked.what.as_str()
        ),
        ("Coder", "fastio", "storage")
    );
    assert!(asked.arguments.contains("private words"));
    assert_eq!(questions(&world).await, 1);

    let patient = waits(&world, &agent, upload());
    let about = granted(allow(&world, &asked.code, false).await);
    assert_eq!(about, "storage");
    granted(told(patient).await);
    // It was allowed once, and that was it.
    assert_eq!(
        code(asks(world.handle(), &caller, upload()).await),
        "approval_pending"
    );
    let again = only_question(&world).await;
    assert_ne!(again.code, asked.code);
    granted(allow(&world, &again.code.to_lowercase(), false).await);
    granted(asks(world.handle(), &caller, upload()).await);
    let notices = world.notices();
    let told = notices
        .iter()
        .filter(|notice| matches!(notice, Notice::CallAsked(_)));
    assert_eq!(told.count(), 2);
    let kinds = world.audit().await;
    let calls: Vec<_> = kinds
        .iter()
        .filter(|kind| kind.starts_with("call."))
        .collect();
    assert_eq!(
        calls,
        ["call.asked", "call.allowed", "call.asked", "call.allowed"]
    );
    world.finish().await;
}

#[tokio::test]
async fn allowed_once_lets_one_of_two_on_and_the_other_is_asked_about_anew() {
    let world = World::new().await;
    world.connect().await;
    let agent = asked_each_time(&world, "Coder").await;
    let gone = waits(&world, &agent, upload());
    let asked = only_question(&world).await;
    // Whoever has gone away uses nothing up.
    gone.abort();
    let gone = gone.await;
    assert!(gone.is_err());
    let (handle, caller) = (world.handle(), world.caller(&agent));
    let name = name("fastio");
    let ask = || Box::pin(handle.ask_person(&caller, &name, upload(), Some(secs(600))));
    let (mut first, mut second) = (ask(), ask());
    // A look is enough for each to have joined.
    for one in [&mut first, &mut second] {
        assert!(tokio::time::timeout(Duration::ZERO, one).await.is_err());
    }
    granted(allow(&world, &asked.code, false).await);
    let (told, mut other) = within(async {
        tokio::select! {
            told = &mut first => (told, second),
            told = &mut second => (told, first),
        }
    })
    .await;
    granted(told);
    let again = only_question(&world).await;
    assert_ne!(again.code, asked.code);
    assert!(
        tokio::time::timeout(Duration::ZERO, &mut other)
            .await
            .is_err()
    );
    granted(allow(&world, &again.code, false).await);
    granted(within(other).await);
    assert_eq!(questions(&world).await, 0);
    world.finish().await;
}

#[tokio::test]
async fn an_answer_for_good_outlives_a_restart_until_it_is_taken_back_and_a_question_does_not() {
    let mut world = World::new().await;
    world.connect().await;
    let agent = asked_each_time(&world, "Coder").await;
    let caller = world.caller(&agent);
    for (body, always) in [("yes", true), ("no", false)] {
        assert_eq!(
            code(asks(world.handle(), &caller, post(body)).await),
            "approval_pending"
        );
        let asked = only_question(&world).await;
        if always {
            granted(allow(&world, &asked.code, true).await);
        } else {
            granted(world.handle().deny_call(asked.code, true).await);
        }
    }
    assert_eq!(
        code(asks(world.handle(), &caller, upload()).await),
        "approval_pending"
    );
    world.restart().await;
    assert_eq!(questions(&world).await, 0, "a question is gone");
    let caller = world.caller(&agent);
    granted(asks(world.handle(), &caller, post("yes")).await);
    assert_eq!(
        code(asks(world.handle(), &caller, post("no")).await),
        "policy_denied"
    );
    assert_eq!(
        code(asks(world.handle(), &caller, upload()).await),
        "approval_pending"
    );

    let agents = granted(world.handle().agents().await);
    let answers = &agents[0].grants[0].answers;
    assert_eq!(answers.len(), 2);
    for answer in answers {
        assert_eq!(answer.what, "POST /workspace/7/create/");
        granted(world.handle().take_back(answer.id.clone()).await);
        assert_eq!(
            code(world.handle().take_back(answer.id.clone()).await),
            "request_unknown"
        );
    }
    for body in ["yes", "no"] {
        assert_eq!(
            code(asks(world.handle(), &caller, post(body)).await),
            "approval_pending"
        );
    }
    assert_eq!(world.audited("call.taken_back").await, 2);
    world.finish().await;
}

#[tokio::test]
async fn a_no_reaches_everyone_who_waits_and_holds_for_ten_minutes() {
    let world = World::new().await;
    world.connect().await;
    let agent = asked_each_time(&world, "Coder").await;
    let waiting = [
        waits(&world, &agent, upload()),
        waits(&world, &agent, upload()),
    ];
    let asked = only_question(&world).await;
    granted(world.handle().deny_call(asked.code, false).await);
    for waiting in waiting {
        assert_eq!(code(told(waiting).await), "policy_denied");
    }
    let caller = world.caller(&agent);
    assert_eq!(
        code(asks(world.handle(), &caller, upload()).await),
        "policy_denied"
    );
    world.pass(secs(600)).await;
    assert_eq!(
        code(asks(world.handle(), &caller, upload()).await),
        "approval_pending"
    );
    world.finish().await;
}

#[tokio::test]
async fn no_answer_in_ten_minutes_is_a_refusal() {
    let world = World::new().await;
    world.connect().await;
    let agent = asked_each_time(&world, "Coder").await;
    let waiting = waits(&world, &agent, upload());
    let asked = only_question(&world).await;
    world.pass(secs(600)).await;
    assert_eq!(code(told(waiting).await), "policy_denied");
    assert_eq!(
        code(allow(&world, &asked.code, false).await),
        "request_unknown"
    );
    assert_eq!(world.audited("call.denied").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn a_wait_ends_with_the_right_to_go_on() {
    for (end, expected) in [
        ("pause agent", "agent_paused"),
        ("pause connection", "connection_paused"),
        ("revoke agent", "unauthenticated"),
        ("revoke key", "unauthenticated"),
        ("disconnect", "connection_unknown"),
        ("approve anew", "approval_pending"),
    ] {
        let world = World::new().await;
        world.connect().await;
        let agent = asked_each_time(&world, "Coder").await;
        let waiting = waits(&world, &agent, upload());
        only_question(&world).await;
        let handle = world.handle();
        match end {
            "pause agent" => {
                granted(handle.set_paused(PauseTarget::AllAgents, true).await);
            }
            "pause connection" => {
                let target = PauseTarget::Connection(name("fastio"));
                granted(handle.set_paused(target, true).await);
            }
            "revoke agent" => {
                granted(handle.revoke_agent("Coder".to_owned()).await);
            }
            "revoke key" => {
                granted(handle.revoke_key(&world.caller(&agent), &agent.key).await);
            }
            "disconnect" => {
                granted(handle.disconnect(name("fastio")).await);
            }
            _ => {
                let wanted = vec![doorward_core::pairing::Wanted {
                    connection: name("fastio"),
                    door: doorward_core::grant::Door::Proxy,
                }];
                let asked = granted(handle.ask_approval(agent.id, wanted, None).await);
                let proof = Proof::Pin(pin(PIN));
                granted(
                    handle
                        .approve(asked.user_code, Terms::default(), proof)
                        .await,
                );
            }
        }
        assert_eq!(code(told(waiting).await), expected, "{end}");
        // A key that was revoked leaves the question: the agent may have another one.
        assert_eq!(
            questions(&world).await,
            usize::from(end == "revoke key"),
            "{end}"
        );
        world.finish().await;
    }
}

#[tokio::test]
async fn a_call_is_allowed_by_a_person_alone_and_denied_by_anyone_at_the_socket() {
    for (room, right, wrong, expected) in [
        (
            ApprovalRoom::Window,
            Proof::Window,
            Proof::Pin(pin(PIN)),
            "needs_window",
        ),
        (
            ApprovalRoom::Terminal,
            Proof::Pin(pin(PIN)),
            Proof::Pin(pin("000000")),
            "pin_wrong",
        ),
        (
            ApprovalRoom::Terminal,
            Proof::Pin(pin(PIN)),
            Proof::Window,
            "pin_required",
        ),
    ] {
        let world = World::in_room(room).await;
        world.connect().await;
        let asking = world.asks("Coder", "fastio:proxy", None).await;
        let proof = match room {
            ApprovalRoom::Window => Proof::Window,
            ApprovalRoom::Terminal => Proof::Pin(pin(PIN)),
        };
        let approved = world
            .handle()
            .approve(asking.user_code.clone(), Terms::default(), proof);
        let scope = granted(approved.await);
        let agent = Agent {
            id: asking.client,
            key: world.fetch(&asking).await,
            scope,
        };
        let waiting = waits(&world, &agent, upload());
        let asked = only_question(&world).await;
        let allow = |proof| world.handle().allow_call(asked.code.clone(), true, proof);
        assert_eq!(code(allow(wrong).await), expected);
        assert_eq!(questions(&world).await, 1);
        granted(allow(right).await);
        granted(told(waiting).await);
        world.finish().await;
    }
}

#[tokio::test]
async fn one_agent_cannot_fill_a_persons_list() {
    let world = World::new().await;
    world.connect().await;
    let (loud, calm) = (
        asked_each_time(&world, "Loud").await,
        asked_each_time(&world, "Calm").await,
    );
    let caller = world.caller(&loud);
    for n in 0..8 {
        let refusal = refused(asks(world.handle(), &caller, post(&n.to_string())).await);
        assert_eq!(refusal.code.as_str(), "approval_pending");
        let is_put = n < 5;
        assert_eq!(
            refusal.retry_after_seconds,
            Some(if is_put { 10 } else { 30 })
        );
    }
    assert_eq!(questions(&world).await, 5);
    let caller = world.caller(&calm);
    assert_eq!(
        code(asks(world.handle(), &caller, upload()).await),
        "approval_pending"
    );
    assert_eq!(questions(&world).await, 6);
    world.finish().await;
}
