//! The whole of what Doorward is for, in one piece.

use fastio_sim::Consent;

use crate::world::{World, code, granted, name, refused, secs, until};

#[tokio::test]
async fn a_person_connects_once_and_agents_work_until_the_person_ends_it() {
    let mut world = World::new().await;
    let connection = world.connect().await;
    assert_eq!(connection.name.as_str(), "fastio");
    assert_eq!(connection.tenant.as_str(), "personal");
    assert_eq!(connection.account.as_deref(), Some("robin@example.com"));
    assert!(connection.proven_at.is_some());
    assert!(world.session().active);

    let agent = world.pair("sample agent", "fastio:token").await;
    assert_eq!(agent.scope, "fastio:token");
    let first = world.token_text(&agent).await;
    assert_eq!(world.use_token(&first).await, 200);
    assert_eq!(
        world.token_text(&agent).await,
        first,
        "a warm answer is the same token"
    );

    let clinic = world.ask_named("clinic", "clinic");
    world.connect_as(clinic, &Consent::everything()).await;
    let stranger = world.pair("stranger", "clinic:token").await;
    let foreign = refused(world.token_for(&stranger, "fastio").await);
    assert_eq!(foreign.code.as_str(), "connection_unknown");
    let absent = refused(world.token_for(&stranger, "absent").await);
    assert_eq!(
        foreign.detail.replace("fastio", "NAME"),
        absent.detail.replace("absent", "NAME"),
    );
    assert_eq!(foreign.hint, absent.hint);

    world.pass(secs(3700)).await;
    assert_eq!(world.use_token(&first).await, 401);
    let second = world.token_text(&agent).await;
    assert_ne!(first, second);
    assert_eq!(world.use_token(&second).await, 200);

    let refresh_tokens = world.refresh_tokens();
    let session = world.sim.sessions().remove(0).session_id;
    let ended = granted(world.handle().disconnect(name("fastio")).await);
    assert!(ended.confirmed);
    assert_eq!(code(world.token(&agent).await), "connection_unknown");
    assert_eq!(world.use_token(&second).await, 401);
    let gone = world
        .sim
        .sessions()
        .into_iter()
        .find(|found| found.session_id == session);
    assert!(!gone.unwrap().active);
    for token in refresh_tokens.iter().take(1).chain(refresh_tokens.last()) {
        assert!(!world.sim.probe_refresh_token(token).live);
    }
    until("the outbox is empty", async || {
        granted(world.handle().status().await).revocations_owed == 0
    })
    .await;
    let left = granted(world.handle().connections().await);
    assert_eq!(left.len(), 1, "the other tenant's connection is untouched");
    let owner = left[0].id.clone();
    assert!(granted(world.handle().verify_audit().await).fault.is_none());
    world.stop().await;
    let (store, left) = world.left().await;
    let rows = left.book.connections().map(|row| row.id.to_string());
    assert_eq!(rows.collect::<Vec<_>>(), [owner]);
    assert_eq!(left.access.len(), 1);
    assert_eq!(left.book.outbox().count(), 0);
    assert_eq!(left.book.grants().count(), 1, "the stranger's own");
    store.close().await;
    world.finish().await;
}
