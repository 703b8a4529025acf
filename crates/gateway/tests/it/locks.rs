//! Locks that agents take through the proxy door.

use std::time::Duration;

use doorward_broker::views::LockView;
use doorward_core::grant::Door;
use fastio_sim::demo;

use crate::ask::Ask;
use crate::world::World;

/// An agent with the proxy door of a Fast.io, and the path of a file's lock.
async fn world() -> (World, String, String) {
    let world = World::empty().await;
    world.connect("fastio", "personal").await;
    let key = world.agent("agent", "fastio", &[Door::Proxy]).await;
    let list = format!(
        "/proxy/fastio/workspace/{}/storage/root/list/",
        demo::WEBSITE
    );
    let listed = world.send(&Ask::get(&list).key(&key)).await.json();
    let nodes = listed["nodes"].as_array().unwrap();
    let file = nodes.iter().find(|node| node["type"] == "file").unwrap();
    let file = file["id"].as_str().unwrap();
    let lock = format!("workspace/{}/storage/{file}/lock/", demo::WEBSITE);
    (world, key, lock)
}

fn form(method: &str, path: &str, key: &str, fields: &str) -> Ask {
    Ask::new(method, &format!("/proxy/fastio/{path}"))
        .key(key)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(fields)
}

async fn held(world: &World) -> Vec<LockView> {
    world.handle.status().await.unwrap().locks
}

#[tokio::test]
async fn a_lock_is_remembered_before_its_token_arrives_and_forgotten_when_given_back() {
    let (world, key, lock) = world().await;
    let answer = world.send(&form("POST", &lock, &key, "duration=300")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let token = answer.json()["lock_token"].as_str().unwrap().to_owned();
    let own = held(&world).await.remove(0);
    assert_eq!(
        (own.agent_name.as_str(), own.path),
        ("agent", format!("/{lock}"))
    );
    let until = own.until.unwrap();
    assert_eq!(until.since(own.since).as_secs().div_ceil(10), 30);

    world.advance(Duration::from_mins(2));
    let beat = format!("{lock}heartbeat/");
    let fields = format!("lock_token={token}");
    let kept = world.send(&form("POST", &beat, &key, &fields)).await;
    assert_eq!(kept.status, 200, "{}", kept.body);
    let kept = held(&world).await.remove(0).until.unwrap();
    assert!(kept.since(until) >= Duration::from_secs(110));

    let back = world.send(&form("DELETE", &lock, &key, &fields)).await;
    assert_eq!(back.status, 200, "{}", back.body);
    assert!(held(&world).await.is_empty());
}

#[tokio::test]
async fn a_refused_lock_is_nobodys() {
    let (world, key, lock) = world().await;
    world.send(&form("POST", &lock, &key, "duration=300")).await;
    let other = world.agent("other", "fastio", &[Door::Proxy]).await;
    let refused = world.send(&form("POST", &lock, &other, "")).await;
    assert_eq!(refused.status, 423, "{}", refused.body);
    let held = held(&world).await;
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].agent_name, "agent");
}

#[tokio::test]
async fn the_lock_of_a_revoked_agent_is_free_again_within_moments() {
    let (world, key, lock) = world().await;
    world.send(&form("POST", &lock, &key, "duration=300")).await;
    assert_eq!(world.sim.locks().len(), 1);
    world.handle.revoke_agent("agent".to_owned()).await.unwrap();
    let given_back = async {
        while !world.sim.locks().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), given_back)
        .await
        .expect("the lock is given back");
    let other = world.agent("other", "fastio", &[Door::Proxy]).await;
    let taken = world.send(&form("POST", &lock, &other, "")).await;
    assert_eq!(taken.status, 200, "{}", taken.body);
}
