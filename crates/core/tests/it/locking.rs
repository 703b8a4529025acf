//! Locks are remembered for whoever took them, and given back when that one may not do so itself.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::decide::locking::{self, LockNews, LockTaken, ReturnOutcome};
use doorward_core::decide::revoking::{self, RevocationOutcome};
use doorward_core::decide::serving::Caller;
use doorward_core::grant::{Door, Lifetime};
use doorward_core::ids::{ConnectionId, LockId};
use doorward_core::lock::{HeldLock, LONGEST_LIFE, MOST_HELD};
use doorward_core::plan::Plan;
use doorward_core::problem::Code;
use doorward_core::secret::LockToken;

use crate::world::{World, outline};

const PATH: &str = "workspace/1/storage/n/lock/";

struct Scene {
    world: World,
    connection: ConnectionId,
    caller: Caller,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let connection = world.connection("fastio", "ours");
        let caller = world.agent("Coder", connection, &[Door::Proxy]);
        Self {
            world,
            connection,
            caller,
        }
    }

    /// With a lock at the usual path, for ten minutes.
    fn holding() -> Self {
        let mut scene = Self::new();
        let plan = scene.take(PATH, Some(10)).expect("a lock");
        scene.world.carry_out(plan);
        scene
    }

    fn hear(&mut self, news: LockNews) -> Result<Plan, doorward_core::problem::Refusal> {
        let id = LockId::from_random(self.world.fresh.bytes());
        let row = self.world.row(self.connection);
        let who = (&*self.caller.agent, &*row);
        locking::learn(&self.world.book, who, news, (id, self.world.now))
    }

    fn take(
        &mut self,
        path: &str,
        minutes: Option<u64>,
    ) -> Result<Plan, doorward_core::problem::Refusal> {
        let until = minutes.map(|minutes| self.world.now.plus(Duration::from_mins(minutes)));
        self.hear(LockNews::Taken(LockTaken {
            path: path.to_owned(),
            token: LockToken::new("LT".to_owned()),
            until,
        }))
    }

    fn lock(&self) -> Arc<HeldLock> {
        Arc::clone(self.world.book.locks().next().expect("a lock"))
    }

    fn owed(&self) -> Option<&'static str> {
        locking::owed_because(&self.world.book, &self.lock(), self.world.now)
    }

    fn due(&self) -> usize {
        locking::due(&self.world.book, self.world.now).len()
    }

    fn tried(&mut self, outcome: ReturnOutcome) -> Vec<String> {
        let plan = locking::tried(&self.world.book, &self.lock(), self.world.now, outcome);
        let told = outline(&plan);
        self.world.carry_out(plan);
        told
    }
}

fn failed() -> ReturnOutcome {
    ReturnOutcome::Failed {
        why: "HTTP 503".to_owned(),
        retry_at: None,
    }
}

#[test]
fn a_lock_of_an_agent_that_may_go_on_is_left_alone() {
    let mut scene = Scene::holding();
    assert_eq!((scene.owed(), scene.due()), (None, 0));
    // Nobody has heard of the agent for long: it may come back.
    scene.world.now = scene.world.now.plus(Duration::from_mins(9));
    assert_eq!((scene.owed(), scene.due()), (None, 0));
}

#[test]
fn whatever_ends_or_pauses_an_agents_use_owes_its_lock_at_once() {
    type End = fn(&mut Scene);
    let ends: [(&str, End); 6] = [
        ("the agent was revoked", |scene| {
            let agent = Arc::clone(&scene.caller.agent);
            let plan = revoking::revoke_agent(&scene.world.book, &agent, scene.world.now);
            scene.world.carry_out(plan);
        }),
        ("the agent was paused", |scene| {
            scene.caller = scene.world.pause_agent(&scene.caller);
        }),
        ("the connection was paused", |scene| {
            let row = scene.world.row(scene.connection);
            let plan = revoking::set_connection_paused(&row, true);
            scene.world.carry_out(plan);
        }),
        ("the agent's grant has ended", |scene| {
            let grant = scene.world.book.grants().next().expect("a grant").clone();
            let plan = Plan::nothing().change(doorward_core::change::Change::GrantPut {
                tenant: scene.caller.agent.tenant,
                grant: doorward_core::grant::Grant {
                    lifetime: Lifetime::Until(scene.world.now),
                    ..(*grant).clone()
                },
            });
            scene.world.carry_out(plan);
        }),
        ("you asked for it", |scene| {
            let plan = locking::want_back(&scene.lock());
            scene.world.carry_out(plan);
        }),
        ("the connection was disconnected", |scene| {
            let row = scene.world.row(scene.connection);
            let outbox = scene.world.outbox_id();
            let (book, now) = (&scene.world.book, scene.world.now);
            let plan = revoking::disconnect(book, &row, now, false, outbox);
            scene.world.carry_out(plan);
        }),
    ];
    for (why, end) in ends {
        let mut scene = Scene::holding();
        end(&mut scene);
        assert_eq!(scene.owed(), Some(why));
        // What a disconnection leaves goes with the end of its grant.
        let by_itself = usize::from(why != "the connection was disconnected");
        assert_eq!(scene.due(), by_itself, "{why}");
        let left = locking::left_by(&scene.world.book, scene.connection).len();
        assert_eq!(left, 1 - by_itself, "{why}");
        assert_eq!(
            scene.tried(ReturnOutcome::Done),
            ["lock erased", "log lock.given_back"],
            "{why}"
        );
    }
}

#[test]
fn an_agent_that_is_resumed_before_its_lock_went_keeps_it() {
    let mut scene = Scene::holding();
    scene.world.pause_agent(&scene.caller);
    assert_eq!(scene.due(), 1);
    let agent = doorward_core::agent::Agent {
        paused: false,
        ..(*scene.caller.agent).clone()
    };
    let plan = Plan::nothing().change(doorward_core::change::Change::AgentPut(agent));
    scene.world.carry_out(plan);
    assert_eq!(scene.due(), 0);
}

#[test]
fn a_return_that_fails_is_tried_again_until_the_lock_ends_by_itself() {
    let mut scene = Scene::holding();
    let end = scene.lock().end();
    scene.world.pause_agent(&scene.caller);
    let mut tries = 0;
    while scene.world.now < end {
        if scene.due() == 1 {
            tries += 1;
            assert_eq!(
                scene.tried(failed()),
                [format!("lock held still, after {tries} tries")]
            );
            let next = scene.lock().next_try.expect("a next try");
            assert!(next > scene.world.now && next <= scene.world.now.plus(Duration::from_mins(2)));
        }
        let (book, now) = (&scene.world.book, scene.world.now);
        let due = locking::next_due(book, &scene.lock(), now);
        assert!(due > now && due <= end, "nothing is due before {due:?}");
        scene.world.now = due;
    }
    assert!((6..=12).contains(&tries), "{tries} tries in ten minutes");
    let swept = locking::sweep(&scene.world.book, scene.world.now);
    assert_eq!(outline(&swept), ["lock erased", "log lock.lapsed"]);
}

#[test]
fn a_lock_that_lapses_with_nothing_owed_is_forgotten_without_a_word() {
    let mut scene = Scene::holding();
    assert!(outline(&locking::sweep(&scene.world.book, scene.world.now)).is_empty());
    scene.world.now = scene.lock().end();
    let swept = locking::sweep(&scene.world.book, scene.world.now);
    assert_eq!(outline(&swept), ["lock erased"]);
}

#[test]
fn a_lock_whose_end_nobody_said_is_believed_to_live_as_long_as_any_may() {
    let mut scene = Scene::new();
    let plan = scene.take(PATH, None).unwrap();
    scene.world.carry_out(plan);
    assert_eq!(scene.lock().end(), scene.world.now.plus(LONGEST_LIFE));
}

#[test]
fn keeping_a_lock_moves_its_end_and_giving_it_back_forgets_it() {
    let mut scene = Scene::holding();
    scene.world.now = scene.world.now.plus(Duration::from_mins(5));
    let until = Some(scene.world.now.plus(Duration::from_mins(10)));
    let keep = |path: &str| LockNews::Kept {
        path: path.to_owned(),
        until,
    };
    for elsewhere in ["workspace/1/storage/n/", "workspace/1/storage/n/locksmith/"] {
        assert!(outline(&scene.hear(keep(elsewhere)).unwrap()).is_empty());
    }
    let plan = scene.hear(keep(&format!("/{PATH}heartbeat/"))).unwrap();
    scene.world.carry_out(plan);
    assert_eq!(scene.lock().until, until);
    // The same end once more is not written.
    assert!(outline(&scene.hear(keep(PATH)).unwrap()).is_empty());
    let back = LockNews::GivenBack {
        path: PATH.trim_end_matches('/').to_owned(),
    };
    let plan = scene.hear(back).unwrap();
    assert_eq!(outline(&plan), ["lock erased"]);
}

#[test]
fn a_path_has_one_lock_and_an_agent_not_more_than_anybody_needs() {
    let mut scene = Scene::holding();
    let plan = scene.take(PATH, Some(1)).unwrap();
    assert_eq!(
        outline(&plan),
        ["lock erased".to_owned(), format!("lock of {PATH}")]
    );
    scene.world.carry_out(plan);
    assert_eq!(scene.world.book.locks().count(), 1);
    for nth in 1..MOST_HELD {
        let plan = scene
            .take(&format!("workspace/1/storage/{nth}/lock/"), None)
            .unwrap();
        scene.world.carry_out(plan);
    }
    let refused = scene.take("workspace/1/storage/one-more/lock/", None).err();
    assert_eq!(refused.map(|refusal| refusal.code), Some(Code::RateLimited));
}

#[test]
fn a_lock_taken_in_a_call_that_outlived_its_agent_is_owed_at_once() {
    let mut scene = Scene::new();
    let agent = Arc::clone(&scene.caller.agent);
    let plan = revoking::revoke_agent(&scene.world.book, &agent, scene.world.now);
    scene.world.carry_out(plan);
    let plan = scene.take(PATH, Some(10)).unwrap();
    scene.world.carry_out(plan);
    assert_eq!(
        (scene.owed(), scene.due()),
        (Some("the agent was revoked"), 1)
    );
}

#[test]
fn locks_go_with_the_last_token_that_could_give_them_back() {
    let mut scene = Scene::holding();
    let row = scene.world.row(scene.connection);
    let outbox = scene.world.outbox_id();
    let plan = revoking::disconnect(&scene.world.book, &row, scene.world.now, false, outbox);
    scene.world.carry_out(plan);
    assert_eq!(scene.world.book.locks().count(), 1);
    let item = Arc::clone(scene.world.book.outbox_item(outbox).expect("an item"));
    let plan = revoking::tried(&item, scene.world.now, RevocationOutcome::Confirmed);
    scene.world.carry_out(plan);
    assert_eq!(scene.world.book.locks().count(), 0);
}
