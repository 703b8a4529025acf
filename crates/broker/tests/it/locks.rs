//! A lock that an agent took is given back when that agent may not do so itself any longer.

use doorward_broker::handle::PauseTarget;
use doorward_broker::views::{ActivityAsk, LockView};
use doorward_core::audit::AuditTopic;
use doorward_core::decide::locking::{LockNews, LockTaken};
use doorward_core::secret::LockToken;
use fastio_sim::{Fault, Kind, demo};
use reqwest::Method;
use serde_json::Value;

use crate::agents::Agent;
use crate::world::{World, code, granted, name, secs, until};

/// An agent that was let in at both doors, so that a test can call the API in its place.
async fn connected() -> (World, Agent) {
    let world = World::new().await;
    world.connect().await;
    let agent = world.pair("worker", "fastio:proxy fastio:token").await;
    (world, agent)
}

/// An agent that holds a lock for ten minutes, and the lock's path.
async fn holding() -> (World, Agent, String) {
    let (world, agent) = connected().await;
    let path = world.takes(&agent).await;
    (world, agent, path)
}

impl World {
    async fn calls(&self, agent: &Agent, method: Method, path: &str) -> Value {
        let address = format!("{}{path}", self.sim.api_base());
        let token = self.token_text(agent).await;
        let request = reqwest::Client::new().request(method, address);
        let request = request.bearer_auth(token).form(&[("duration", "600")]);
        let answer = request.send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    /// An agent takes the lock of a file, and Doorward hears of it.
    async fn takes(&self, agent: &Agent) -> String {
        let list = format!("workspace/{}/storage/root/list/", demo::WEBSITE);
        let listed = self.calls(agent, Method::GET, &list).await;
        let nodes = listed["nodes"].as_array().unwrap();
        let file = nodes.iter().find(|node| node["type"] == "file").unwrap();
        let file = file["id"].as_str().unwrap();
        let path = format!("workspace/{}/storage/{file}/lock/", demo::WEBSITE);
        let lock = self.calls(agent, Method::POST, &path).await;
        let token = lock["lock_token"].as_str().unwrap();
        let news = LockNews::Taken(LockTaken {
            path: path.clone(),
            token: LockToken::new(token.to_owned()),
            until: Some(self.clock_now().plus(secs(600))),
        });
        self.hear(agent, news).await;
        assert_eq!(self.sim.locks().len(), 1);
        path
    }

    async fn hear(&self, agent: &Agent, news: LockNews) {
        let caller = self.caller(agent);
        let connection = granted(self.handle().connections().await).remove(0).id;
        let heard = self
            .handle()
            .hear_of_lock(&caller, connection.parse().unwrap(), news);
        granted(heard.await);
    }

    fn clock_now(&self) -> doorward_core::time::Timestamp {
        self.handle().now()
    }

    async fn held(&self) -> Vec<LockView> {
        granted(self.handle().status().await).locks
    }

    /// How often each lock was given back at the provider, by path.
    fn given_back(&self) -> Vec<String> {
        let requests = self.sim.requests().into_iter();
        requests
            .filter(|request| request.method == "DELETE" && request.path.ends_with("/lock/"))
            .inspect(|request| assert_eq!(request.parameters, ["lock_token"]))
            .map(|request| request.path)
            .collect()
    }

    async fn until_given_back(&self) {
        until("the lock is given back", async || {
            self.pass(secs(1)).await;
            self.held().await.is_empty()
        })
        .await;
        assert!(self.sim.locks().is_empty(), "the provider has it back");
    }
}

#[tokio::test]
async fn a_lock_is_shown_and_left_alone_while_its_agent_may_use_the_connection() {
    let (world, agent, lock) = holding().await;
    world.pass(secs(300)).await;
    let held = world.held().await;
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].agent_name, "worker");
    assert_eq!(held[0].connection, Some(name("fastio")));
    assert_eq!(held[0].path, format!("/{lock}"));
    assert_eq!(
        (held[0].returning.as_ref(), held[0].last_error.as_ref()),
        (None, None)
    );
    let agents = granted(world.handle().agents().await);
    assert_eq!(agents[0].holds, held);

    let until = Some(world.clock_now().plus(secs(600)));
    let path = format!("{lock}heartbeat/");
    world.hear(&agent, LockNews::Kept { path, until }).await;
    assert_eq!(world.held().await[0].until, until);
    world.hear(&agent, LockNews::GivenBack { path: lock }).await;
    assert!(world.held().await.is_empty());
    assert!(world.given_back().is_empty());
    world.finish().await;
}

#[tokio::test]
async fn revoking_or_pausing_gives_the_lock_back_at_the_provider() {
    for end in ["revoke", "pause", "pause the connection", "release"] {
        let (world, _agent, lock) = holding().await;
        let handle = world.handle();
        match end {
            "revoke" => drop(granted(handle.revoke_agent("worker".to_owned()).await)),
            "pause" => {
                let target = PauseTarget::Agent("worker".to_owned());
                granted(handle.set_paused(target, true).await);
            }
            "pause the connection" => {
                let target = PauseTarget::Connection(name("fastio"));
                granted(handle.set_paused(target, true).await);
            }
            _ => {
                let released = granted(handle.release_lock(lock.clone()).await);
                assert_eq!(released.returning.as_deref(), Some("you asked for it"));
            }
        }
        world.until_given_back().await;
        assert_eq!(world.given_back(), [format!("/current/{lock}")], "{end}");
        assert_eq!(world.audited("lock.given_back").await, 1, "{end}");
        world.finish().await;
    }
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_asked_again_and_holds_up_nothing() {
    let (world, _agent, _) = holding().await;
    let fault = Fault::on(Kind::Api)
        .path_contains("lock")
        .status(503)
        .times(2);
    world.sim.queue_fault(fault);
    granted(world.handle().revoke_agent("worker".to_owned()).await);
    assert!(granted(world.handle().agents().await).is_empty());
    until("it was tried", async || {
        world.pass(secs(1)).await;
        let held = world.held().await;
        held.first()
            .is_some_and(|lock| lock.last_error.as_deref() == Some("HTTP 503"))
    })
    .await;
    assert_eq!(
        world.held().await[0].agent_name,
        "worker",
        "it is shown who took it"
    );
    world.until_given_back().await;
    assert_eq!(world.given_back().len(), 3);
    world.finish().await;
}

#[tokio::test]
async fn a_token_that_has_ended_is_renewed_for_it() {
    let (world, agent) = connected().await;
    world.pass(secs(3500)).await;
    let lock = world.takes(&agent).await;
    world.pass_for_both(secs(200));
    let before = world.refreshes();
    granted(world.handle().revoke_agent("worker".to_owned()).await);
    world.let_time_run().await;
    until("the lock is given back", async || {
        world.held().await.is_empty()
    })
    .await;
    assert_eq!(world.given_back(), [format!("/current/{lock}")]);
    assert_eq!(world.refreshes(), before + 1);
    world.finish().await;
}

#[tokio::test]
async fn what_is_owed_when_doorward_ends_is_given_back_by_the_next() {
    let (mut world, _agent, _) = holding().await;
    world
        .sim
        .queue_fault(Fault::on(Kind::Api).path_contains("lock").status(503));
    granted(world.handle().revoke_agent("worker".to_owned()).await);
    world.crash_and_restart().await;
    assert_eq!(world.held().await.len(), 1);
    world.until_given_back().await;
    assert_eq!(world.audited("lock.given_back").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn disconnecting_gives_locks_back_before_the_grant_ends() {
    let (world, _agent, _) = holding().await;
    let ended = granted(world.handle().disconnect(name("fastio")).await);
    assert!(ended.confirmed);
    assert!(world.held().await.is_empty());
    let requests = world.sim.requests();
    let at = |method: &str, part: &str| {
        let found = requests
            .iter()
            .position(|request| request.method == method && request.path.contains(part));
        found.unwrap_or_else(|| panic!("no {method} of {part}"))
    };
    assert!(at("DELETE", "/lock/") < at("DELETE", "/oauth/sessions/"));
    assert!(world.sim.locks().is_empty());
    assert_eq!(world.audited("lock.given_back").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn a_disconnection_does_not_wait_for_a_lock_that_cannot_be_given_back() {
    let (world, _agent, _) = holding().await;
    let fault = Fault::on(Kind::Api)
        .path_contains("lock")
        .status(500)
        .times(10);
    world.sim.queue_fault(fault);
    let ended = granted(world.handle().disconnect(name("fastio")).await);
    assert!(ended.confirmed);
    assert!(
        world.held().await.is_empty(),
        "nothing could give it back any longer"
    );
    world.finish().await;
}

#[tokio::test]
async fn a_lock_that_lapses_is_forgotten() {
    let (world, _agent, _) = holding().await;
    world.pass(secs(601)).await;
    until("it is forgotten", async || world.held().await.is_empty()).await;
    assert!(world.given_back().is_empty());
    assert_eq!(world.audited("lock.lapsed").await, 0);
    world.finish().await;
}

#[tokio::test]
async fn a_person_finds_what_happened_by_agent_connection_and_topic() {
    let (world, _agent, lock) = holding().await;
    let handle = world.handle();
    let ask = || ActivityAsk {
        limit: 100,
        ..ActivityAsk::default()
    };
    for (up_to_now, sums) in [(false, 0), (true, 1)] {
        let uses = ActivityAsk {
            topic: Some(AuditTopic::Uses),
            up_to_now,
            ..ask()
        };
        let rows = granted(handle.activity(uses).await).rows;
        let of_minute = rows
            .iter()
            .filter(|row| row.says.contains("was given the access token"));
        assert_eq!(of_minute.count(), sums, "up to now: {up_to_now}");
    }
    world.pair("other", "fastio:token").await;
    granted(world.handle().revoke_agent("worker".to_owned()).await);
    world.until_given_back().await;
    let all = granted(handle.activity(ask()).await);
    assert!(!all.has_more);
    assert!(all.rows.is_sorted_by(|newer, older| newer.row > older.row));
    let says = |rows: &[doorward_broker::views::AuditRowView]| -> Vec<String> {
        rows.iter().map(|row| row.says.clone()).collect()
    };
    let locks = ActivityAsk {
        topic: Some(AuditTopic::Locks),
        ..ask()
    };
    assert_eq!(
        says(&granted(handle.activity(locks).await).rows),
        [format!(
            "Doorward gave back the lock of worker on `{lock}`: the agent was revoked."
        )]
    );
    assert!(says(&all.rows).contains(&"You revoked worker.".to_owned()));
    let others = ActivityAsk {
        agent: Some("other".to_owned()),
        ..ask()
    };
    let others = granted(handle.activity(others).await).rows;
    assert!(
        !others.is_empty()
            && others
                .iter()
                .all(|row| row.agent.as_deref() == Some("other"))
    );
    let unknown = ActivityAsk {
        agent: Some("nobody".to_owned()),
        ..ask()
    };
    assert_eq!(code(handle.activity(unknown).await), "agent_unknown");

    let mut paged = Vec::new();
    let mut before = None;
    loop {
        let page = ActivityAsk {
            before,
            limit: 3,
            ..ActivityAsk::default()
        };
        let page = granted(handle.activity(page).await);
        before = page.rows.last().map(|row| row.row);
        paged.extend(page.rows);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(says(&paged), says(&all.rows));
    world.finish().await;
}
