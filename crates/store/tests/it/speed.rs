//! Fast enough that nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::change::Change;
use doorward_core::ids::{AgentId, ConnectionId, GrantId, KeyId};
use doorward_core::key::KeyHash;
use doorward_core::secret::{AccessToken, RefreshToken};

use crate::samples::{agent, connection, grant, key_record, tenant, tenant_id};
use crate::world::World;

const AGENTS: u32 = 10_000;
const CONNECTIONS: u32 = 1_000;

fn bytes(kind: u8, n: u32) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn connections() -> Vec<Change> {
    let mut changes = vec![Change::TenantPut(tenant(1))];
    for n in 0..CONNECTIONS {
        let mut row = connection(1, 1);
        row.id = ConnectionId::from_random(bytes(1, n));
        row.name = format!("connection-{n}").parse().unwrap();
        let tokens = Change::TokensPut {
            tenant: tenant_id(1),
            connection: row.id,
            generation: 1,
            access: Arc::new(AccessToken::new("a".repeat(900))),
            refresh: Some(Arc::new(RefreshToken::new("r".repeat(64)))),
        };
        changes.push(Change::ConnectionPut(Box::new(row)));
        changes.push(tokens);
    }
    changes
}

fn agents() -> Vec<Change> {
    let mut changes = Vec::new();
    for n in 0..AGENTS {
        let mut row = agent(1, 1);
        row.id = AgentId::from_random(bytes(2, n));
        let mut key = key_record(1);
        (key.id, key.agent, key.hash) = (
            KeyId::from_random(bytes(3, n)),
            row.id,
            KeyHash::of(&n.to_string()),
        );
        let mut given = grant(1, 1);
        (given.id, given.agent) = (GrantId::from_random(bytes(4, n)), row.id);
        given.connection = ConnectionId::from_random(bytes(1, n % CONNECTIONS));
        changes.push(Change::AgentPut(row));
        changes.push(Change::KeyPut(key));
        changes.push(Change::GrantPut {
            tenant: tenant_id(1),
            grant: given,
        });
    }
    changes
}

/// The bound is for a build without optimisation on a slow machine; a release build takes a fraction of it.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "it is the wall clock that is measured"
)]
async fn ten_thousand_agents_and_a_thousand_connections_load_in_a_moment() {
    let world = World::new().await;
    world.commit(&connections()).await;
    world.commit(&agents()).await;
    let world = world.meanwhile(async |_| {}).await;
    let begun = std::time::Instant::now();
    let loaded = world.store.load().await.unwrap();
    let took = begun.elapsed();
    println!("loaded in {took:?}");
    assert_eq!(loaded.access.len(), CONNECTIONS as usize);
    assert_eq!(loaded.book.grants().count(), AGENTS as usize);
    assert!(took < Duration::from_secs(10), "{took:?}");
}
