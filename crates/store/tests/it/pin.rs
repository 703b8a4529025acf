//! The approval PIN: few tries, counted before they are judged.

use std::time::Duration;

use doorward_core::audit::AuditKind;
use doorward_core::secret::Pin;
use doorward_store::{AuditFilter, PinCheck, StoreError};

use crate::samples::NOW;
use crate::world::World;

fn pin(text: &str) -> Pin {
    Pin::new(text.to_owned())
}

#[tokio::test]
async fn a_pin_is_missing_then_set_then_replaced() {
    let world = World::new().await;
    assert_eq!(
        world.store.check_pin(&pin("1"), NOW).await.unwrap(),
        PinCheck::Missing
    );
    assert!(!world.store.has_pin().await.unwrap());
    world.store.set_pin(&pin("123456"), NOW).await.unwrap();
    assert!(world.store.has_pin().await.unwrap());
    assert_eq!(
        world.store.check_pin(&pin("123456"), NOW).await.unwrap(),
        PinCheck::Right
    );
    world.store.set_pin(&pin("654321"), NOW).await.unwrap();
    assert_eq!(
        world.store.check_pin(&pin("123456"), NOW).await.unwrap(),
        PinCheck::Wrong { left: 4 }
    );
    assert_eq!(
        world.store.check_pin(&pin("654321"), NOW).await.unwrap(),
        PinCheck::Right
    );
    let kinds: Vec<_> = world
        .store
        .audit_rows(AuditFilter::default())
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.kind)
        .collect();
    assert_eq!(
        kinds,
        ["store.created", "pin.set", "pin.set", "pin.refused"]
    );
}

#[tokio::test]
async fn five_wrong_pins_block_for_a_minute_then_each_one_for_twice_as_long_even_after_a_restart() {
    let mut world = World::new().await;
    world.store.set_pin(&pin("123456"), NOW).await.unwrap();
    for left in [4, 3, 2, 1] {
        assert_eq!(
            world.store.check_pin(&pin("0"), NOW).await.unwrap(),
            PinCheck::Wrong { left }
        );
        world = world.meanwhile(async |_| {}).await;
    }
    let mut now = NOW;
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        let until = now.plus(Duration::from_mins(minutes));
        assert_eq!(
            world.store.check_pin(&pin("0"), now).await.unwrap(),
            PinCheck::Blocked { until }
        );
        world = world.meanwhile(async |_| {}).await;
        let just_before = until.minus(Duration::from_millis(1));
        let blocked = world
            .store
            .check_pin(&pin("123456"), just_before)
            .await
            .unwrap();
        assert_eq!(
            blocked,
            PinCheck::Blocked { until },
            "not even the right one"
        );
        now = until;
    }
    assert_eq!(
        world.store.check_pin(&pin("123456"), now).await.unwrap(),
        PinCheck::Right
    );
    assert_eq!(
        world.store.check_pin(&pin("0"), now).await.unwrap(),
        PinCheck::Wrong { left: 4 }
    );
    let filter = AuditFilter {
        kinds: vec![AuditKind::PinRefused],
        ..AuditFilter::default()
    };
    assert_eq!(world.store.audit_rows(filter).await.unwrap().len(), 13);
}

#[tokio::test]
async fn a_try_is_on_the_disk_before_it_is_judged() {
    let world = World::new().await;
    world.store.set_pin(&pin("123456"), NOW).await.unwrap();
    for _ in 0..4 {
        world.store.check_pin(&pin("0"), NOW).await.unwrap();
    }
    // The task is dropped where it waits for the derivation: after counting, before judging.
    let guess = pin("0");
    let trying = world.store.check_pin(&guess, NOW);
    let cut_short = tokio::time::timeout(Duration::from_millis(5), trying).await;
    let until = NOW.plus(Duration::from_mins(1));
    assert!(
        cut_short.is_err() || cut_short.is_ok_and(|check| check == Ok(PinCheck::Blocked { until }))
    );
    assert_eq!(
        world.store.check_pin(&pin("123456"), NOW).await.unwrap(),
        PinCheck::Blocked { until }
    );
}

#[tokio::test]
async fn a_pin_taken_from_another_store_does_not_open() {
    let theirs = World::new().await;
    theirs.store.set_pin(&pin("123456"), NOW).await.unwrap();
    let (theirs, _) = theirs.closed().await;
    let ours = World::new().await;
    ours.store.set_pin(&pin("999999"), NOW).await.unwrap();
    let statement = format!(
        "ATTACH DATABASE '{}' AS theirs; UPDATE pin SET sealed = (SELECT sealed FROM theirs.pin)",
        theirs.path().join("doorward.db").display()
    );
    let ours = ours.tampered(&statement).await;
    let refused = ours.store.check_pin(&pin("123456"), NOW).await.err();
    assert_eq!(
        refused,
        Some(StoreError::WontOpen {
            what: "the approval PIN"
        })
    );
}
