//! What was logged cannot be changed, removed, moved or cut off unnoticed.

use std::time::Duration;

use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::time::Timestamp;
use doorward_store::{AuditFault, AuditFilter, StoreError, Tampering};

use crate::samples::{NOW, agent_id, connection_id, event, tenant_id};
use crate::world::World;

/// A store with ten rows in its log: the first tells of its making, then nine events, one second apart.
async fn ten_rows() -> World {
    let world = World::new().await;
    for n in 1..10 {
        world.store.commit(at(n), &[], &[event(n)]).await.unwrap();
    }
    world
}

fn at(n: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(n))
}

async fn fault(world: &World) -> Option<AuditFault> {
    world.store.verify_audit().await.unwrap().broken
}

#[tokio::test]
async fn an_untouched_log_verifies_and_says_how_far_it_reaches() {
    let world = ten_rows().await.meanwhile(async |_| {}).await;
    let report = world.store.verify_audit().await.unwrap();
    assert_eq!(
        (report.rows, report.first, report.last, report.broken),
        (10, Some(1), Some(10), None)
    );
    let empty = World::new().await;
    assert_eq!(empty.store.verify_audit().await.unwrap().rows, 1);
}

#[tokio::test]
async fn a_change_to_any_column_of_any_row_is_found() {
    let columns = [
        ("at", "at + 1"),
        ("kind", "'agent.used'"),
        ("tenant", "NULL"),
        ("connection", "''"),
        ("agent", "tenant"),
        ("detail", "'{\"generation\":\"77\"}'"),
        ("mac", "zeroblob(32)"),
        ("mac", "x'00'"),
    ];
    for (column, value) in columns {
        for seq in [2, 6, 10] {
            let world = ten_rows()
                .await
                .tampered(&format!(
                    "UPDATE audit SET {column} = {value} WHERE seq = {seq}"
                ))
                .await;
            assert_eq!(
                fault(&world).await,
                Some(AuditFault {
                    seq,
                    what: Tampering::Edited
                }),
                "{column}"
            );
        }
    }
}

#[tokio::test]
async fn rows_that_are_removed_moved_cut_off_or_added_are_found() {
    let swap = |left: u64, right: u64| {
        format!(
            "UPDATE audit SET seq = -1 WHERE seq = {left}; UPDATE audit SET seq = {left} WHERE seq = {right};
             UPDATE audit SET seq = {right} WHERE seq = -1"
        )
    };
    let renumbered =
        "DELETE FROM audit WHERE seq = 4; UPDATE audit SET seq = seq - 1 WHERE seq > 4".to_owned();
    let added = "INSERT INTO audit SELECT seq + 1, at, kind, tenant, connection, agent, detail, mac FROM audit
                 WHERE seq = 10";
    let attempts = [
        (
            "DELETE FROM audit WHERE seq = 1".to_owned(),
            1,
            Tampering::Missing,
        ),
        (
            "DELETE FROM audit WHERE seq IN (4, 5)".to_owned(),
            4,
            Tampering::Missing,
        ),
        (renumbered, 4, Tampering::Edited),
        (swap(5, 6), 5, Tampering::Reordered),
        (swap(3, 9), 3, Tampering::Reordered),
        (swap(9, 10), 9, Tampering::Reordered),
        (
            "DELETE FROM audit WHERE seq = 10".to_owned(),
            10,
            Tampering::CutOff,
        ),
        (
            "DELETE FROM audit WHERE seq >= 4".to_owned(),
            4,
            Tampering::CutOff,
        ),
        ("DELETE FROM audit".to_owned(), 1, Tampering::CutOff),
        (added.to_owned(), 11, Tampering::Edited),
        (
            "DELETE FROM meta WHERE name = 'audit_head'".to_owned(),
            10,
            Tampering::HeadForged,
        ),
        (
            "UPDATE meta SET value = x'0102' WHERE name = 'audit_head'".to_owned(),
            10,
            Tampering::HeadForged,
        ),
    ];
    for (statement, seq, what) in attempts {
        let world = ten_rows().await.tampered(&statement).await;
        assert_eq!(
            fault(&world).await,
            Some(AuditFault { seq, what }),
            "{statement}"
        );
        // Whatever is logged later does not cover it up.
        for n in 1..4 {
            world.store.commit(NOW, &[], &[event(n)]).await.unwrap();
        }
        let world = world.meanwhile(async |_| {}).await;
        let still = fault(&world).await;
        assert!(still.is_some(), "{statement}");
        world.store.rotate_keys(&world.keyring, NOW).await.unwrap();
        assert_eq!(fault(&world).await, still, "{statement}: after a rotation");
    }
}

#[tokio::test]
async fn an_older_head_put_back_is_found() {
    let world = ten_rows().await;
    let world = world
        .tampered("CREATE TABLE kept AS SELECT value FROM meta WHERE name = 'audit_head'")
        .await;
    world.store.commit(NOW, &[], &[event(1)]).await.unwrap();
    let world = world
        .tampered("UPDATE meta SET value = (SELECT value FROM kept) WHERE name = 'audit_head'")
        .await;
    assert_eq!(
        fault(&world).await,
        Some(AuditFault {
            seq: 11,
            what: Tampering::HeadForged
        })
    );
    world.store.commit(NOW, &[], &[event(2)]).await.unwrap();
    assert!(fault(&world).await.is_some());
}

#[tokio::test]
async fn pruning_leaves_a_checkpoint_that_the_rest_is_verified_from() {
    let world = ten_rows().await;
    assert_eq!(world.store.prune_audit(at(5), at(20)).await.unwrap(), 5);
    let report = world.store.verify_audit().await.unwrap();
    assert_eq!(
        (report.rows, report.first, report.last, report.broken),
        (6, Some(6), Some(11), None)
    );
    let last = world
        .store
        .audit_rows(AuditFilter::default())
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!(
        (last.kind.as_str(), last.detail["rows"].as_str()),
        ("audit.pruned", "5")
    );
    assert_eq!(world.store.prune_audit(at(5), at(21)).await.unwrap(), 0);
    assert_eq!(
        world.store.verify_audit().await.unwrap().last,
        Some(11),
        "pruning nothing logs nothing"
    );
    world
        .store
        .rotate_keys(&world.keyring, at(22))
        .await
        .unwrap();
    let world = world.meanwhile(async |_| {}).await;
    assert_eq!(fault(&world).await, None);
    assert_eq!(
        world.store.prune_audit(at(1000), at(1000)).await.unwrap(),
        7
    );
    let report = world.store.verify_audit().await.unwrap();
    assert_eq!(
        (report.rows, report.first, report.broken),
        (1, Some(13), None)
    );
}

#[tokio::test]
async fn removing_rows_without_the_right_to_prune_is_found() {
    let pruned = async || {
        let world = ten_rows().await;
        world.store.prune_audit(at(5), at(20)).await.unwrap();
        world
    };
    let world = pruned()
        .await
        .tampered("DELETE FROM audit WHERE seq = 6")
        .await;
    assert_eq!(
        fault(&world).await,
        Some(AuditFault {
            seq: 6,
            what: Tampering::Missing
        })
    );
    let world = pruned()
        .await
        .tampered("DELETE FROM meta WHERE name = 'audit_checkpoint'")
        .await;
    assert_eq!(
        fault(&world).await,
        Some(AuditFault {
            seq: 1,
            what: Tampering::Missing
        })
    );
    // A head that belongs to another place is not taken for a checkpoint.
    let statement = "DELETE FROM audit WHERE seq < 10; UPDATE meta SET name = 'audit_checkpoint' WHERE name = 'audit_head'";
    let world = ten_rows().await.tampered(statement).await;
    assert_eq!(
        fault(&world).await,
        Some(AuditFault {
            seq: 1,
            what: Tampering::Missing
        })
    );
}

#[tokio::test]
async fn a_log_that_does_not_verify_is_not_pruned() {
    let world = ten_rows()
        .await
        .tampered("UPDATE audit SET at = 0 WHERE seq = 3")
        .await;
    let broken = AuditFault {
        seq: 3,
        what: Tampering::Edited,
    };
    assert_eq!(
        world.store.prune_audit(at(9), at(20)).await.err(),
        Some(StoreError::AuditBroken(broken))
    );
    assert_eq!(world.store.verify_audit().await.unwrap().rows, 10);
}

#[tokio::test]
async fn a_clock_set_back_does_not_make_pruning_tear_a_hole() {
    let world = World::new().await;
    for n in [5, 9, 2, 8] {
        world.store.commit(at(n), &[], &[event(n)]).await.unwrap();
    }
    // Of the rows at 0, 5, 9, 2 and 8 seconds only the first two come before one that is kept.
    assert_eq!(world.store.prune_audit(at(6), at(20)).await.unwrap(), 2);
    assert_eq!(fault(&world).await, None);
}

#[tokio::test]
async fn rows_are_found_by_what_they_are_about() {
    let world = ten_rows().await;
    let other = AuditEvent::new(AuditKind::Refused)
        .tenant(tenant_id(2))
        .agent(agent_id(2))
        .with("why", "<b>\"'");
    world.store.commit(at(30), &[], &[other]).await.unwrap();
    let count = async |filter: AuditFilter| world.store.audit_rows(filter).await.unwrap().len();
    assert_eq!(count(AuditFilter::default()).await, 11);
    assert_eq!(
        count(AuditFilter {
            tenant: Some(tenant_id(2)),
            ..AuditFilter::default()
        })
        .await,
        1
    );
    assert_eq!(
        count(AuditFilter {
            agent: Some(agent_id(1)),
            ..AuditFilter::default()
        })
        .await,
        9
    );
    assert_eq!(
        count(AuditFilter {
            connection: Some(connection_id(1)),
            ..AuditFilter::default()
        })
        .await,
        9
    );
    assert_eq!(
        count(AuditFilter {
            kinds: vec![AuditKind::Refused],
            ..AuditFilter::default()
        })
        .await,
        1
    );
    assert_eq!(
        count(AuditFilter {
            kinds: vec![AuditKind::Refused, AuditKind::TokenHandedOut],
            ..AuditFilter::default()
        })
        .await,
        10
    );
    assert_eq!(
        count(AuditFilter {
            before: Some(4),
            ..AuditFilter::default()
        })
        .await,
        3
    );
    assert_eq!(
        count(AuditFilter {
            since: Some(at(9)),
            ..AuditFilter::default()
        })
        .await,
        2
    );
    let newest = world
        .store
        .audit_rows(AuditFilter {
            limit: Some(2),
            ..AuditFilter::default()
        })
        .await
        .unwrap();
    assert_eq!(
        newest.iter().map(|row| row.seq).collect::<Vec<_>>(),
        [10, 11]
    );
    insta::assert_json_snapshot!(newest[1], @r###"
        {
          "seq": 11,
          "at": 1777000030000,
          "kind": "agent.refused",
          "tenant": "12121212-1212-4212-9212-121212121212",
          "connection": null,
          "agent": "32323232-3232-4232-b232-323232323232",
          "detail": {
            "why": "<b>\"'"
          }
        }
        "###);
}

#[tokio::test]
async fn the_log_says_what_was_gone_was_called() {
    let world = ten_rows().await;
    let gone = [
        AuditEvent::new(AuditKind::AgentRevoked)
            .agent(agent_id(1))
            .with("name", "Tidy"),
        AuditEvent::new(AuditKind::Disconnected)
            .connection(connection_id(1))
            .with("name", "fastio"),
        // Paused agents are there.
        AuditEvent::new(AuditKind::AgentPaused)
            .agent(agent_id(2))
            .with("name", "Other"),
    ];
    world.store.commit(at(30), &[], &gone).await.unwrap();
    let names = world.store.names_of_gone().await.unwrap();
    assert_eq!(names.len(), 2);
    assert_eq!(names[&agent_id(1).to_string()], "Tidy");
    assert_eq!(names[&connection_id(1).to_string()], "fastio");
}
