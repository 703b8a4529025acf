//! A new key-encryption key opens everything, the old one nothing, and no crash between them loses either.

use doorward_core::audit::AuditKind;
use doorward_core::secret::Pin;
use doorward_store::{
    AuditFilter, HolderKind, KeySourceError, PinCheck, RotateError, Rotated, SourceKind, Store,
    StoreError, UnlockError,
};

use crate::samples::{
    NOW, access, connection_id, disconnect, event, outbox_id, refresh, register, registration_id,
    tenant_id,
};
use crate::world::{KeyringTrouble, World, passphrase};

async fn assert_all_there(world: &World) {
    assert_eq!(world.access_token(1).await, Some((1, access(1, 1))));
    assert_eq!(world.refresh_token(1).await, Some((1, refresh(1, 1))));
    let owed = world
        .store
        .outbox_tokens(tenant_id(2), outbox_id(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(owed.0.expose(), access(2, 1));
    let secrets = world
        .store
        .registration_secrets(registration_id(1))
        .await
        .unwrap();
    assert_eq!(secrets.secret.unwrap().expose(), "client-secret-1");
    assert_eq!(
        world
            .store
            .check_pin(&Pin::new("123456".to_owned()), NOW)
            .await
            .unwrap(),
        PinCheck::Right
    );
    assert_eq!(world.store.verify_audit().await.unwrap().broken, None);
}

async fn full() -> World {
    let world = World::connected().await;
    world.commit(&[register(1)]).await;
    world.commit(&disconnect(2)).await;
    world
        .store
        .set_pin(&Pin::new("123456".to_owned()), NOW)
        .await
        .unwrap();
    world
}

#[tokio::test]
async fn after_a_rotation_the_new_key_opens_everything_and_the_old_one_is_gone() {
    let world = full().await;
    let old = world.keyring.names();
    assert_eq!(
        world.store.rotate_keys(&world.keyring, NOW).await.unwrap(),
        Rotated { data_keys: 3 }
    );
    assert_all_there(&world).await;
    let new = world.keyring.names();
    assert_eq!(new.len(), 1);
    assert_ne!(new, old);
    let world = world.meanwhile(async |_| {}).await;
    assert_all_there(&world).await;
}

#[tokio::test]
async fn the_audit_log_goes_on_across_rotations_and_is_verified_through_all_of_them() {
    let mut world = full().await;
    for n in 1..4 {
        world.store.rotate_keys(&world.keyring, NOW).await.unwrap();
        world
            .store
            .commit(NOW, &[], &[event(n), event(n)])
            .await
            .unwrap();
        world = world.meanwhile(async |_| {}).await;
    }
    let filter = AuditFilter {
        kinds: vec![AuditKind::KeysRotated],
        ..AuditFilter::default()
    };
    assert_eq!(world.store.audit_rows(filter).await.unwrap().len(), 3);
    assert_eq!(world.store.verify_audit().await.unwrap().broken, None);
    // A row of before the first rotation is still guarded.
    let world = world
        .tampered("UPDATE audit SET kind = 'agent.used' WHERE seq = 2")
        .await;
    assert_eq!(
        world
            .store
            .verify_audit()
            .await
            .unwrap()
            .broken
            .unwrap()
            .seq,
        2
    );
}

#[tokio::test]
async fn a_rotation_cut_short_before_the_store_names_the_new_key_changes_nothing() {
    let world = full().await;
    let old = world.keyring.names();
    world.keyring.is_in(KeyringTrouble::MakesAndSaysNothing);
    let refused = world.store.rotate_keys(&world.keyring, NOW).await.err();
    assert_eq!(
        refused,
        Some(RotateError::Source(KeySourceError::TimedOut {
            seconds: 10
        }))
    );
    assert_eq!(world.keyring.names().len(), 2);
    world.keyring.is_in(KeyringTrouble::None);
    let world = world.meanwhile(async |_| {}).await;
    assert_all_there(&world).await;
    assert_eq!(
        world.keyring.names(),
        old,
        "unlocking took the leftover away"
    );
}

#[tokio::test]
async fn a_rotation_cut_short_before_the_old_key_is_forgotten_is_finished_by_the_next_unlock() {
    let world = full().await;
    world.keyring.is_in(KeyringTrouble::DoesNotForget);
    world.store.rotate_keys(&world.keyring, NOW).await.unwrap();
    assert_eq!(world.keyring.names().len(), 2);
    assert_all_there(&world).await;
    world.keyring.is_in(KeyringTrouble::None);
    let world = world.meanwhile(async |_| {}).await;
    assert_all_there(&world).await;
    assert_eq!(world.keyring.names().len(), 1);
}

#[tokio::test]
async fn rotating_with_another_passphrase_changes_the_passphrase() {
    let world = World::fresh().await;
    world.store.unlock(&passphrase("old"), NOW).await.unwrap();
    world
        .store
        .rotate_keys(&passphrase("new"), NOW)
        .await
        .unwrap();
    let (made_with, given) = (SourceKind::Passphrase, SourceKind::Keyring);
    let refused = world.store.rotate_keys(&world.keyring, NOW).await.err();
    assert_eq!(refused, Some(RotateError::OtherSource { made_with, given }));
    let (folder, _) = world.closed().await;
    let store = Store::open(folder.path(), HolderKind::Serve, NOW)
        .await
        .unwrap();
    assert_eq!(
        store.unlock(&passphrase("old"), NOW).await.err(),
        Some(UnlockError::WrongPassphrase)
    );
    store.unlock(&passphrase("new"), NOW).await.unwrap();
}

#[tokio::test]
async fn a_locked_store_and_one_with_a_key_that_does_not_open_are_not_rotated() {
    let world = World::fresh().await;
    let refused = world.store.rotate_keys(&world.keyring, NOW).await.err();
    assert_eq!(refused, Some(RotateError::Store(StoreError::Locked)));
    let statement = format!(
        "UPDATE data_keys SET wrapped = x'00' WHERE connection = '{}'",
        connection_id(1)
    );
    let world = World::connected().await.tampered(&statement).await;
    let refused = world.store.rotate_keys(&world.keyring, NOW).await.err();
    assert_eq!(
        refused,
        Some(RotateError::Store(StoreError::WontOpen {
            what: "a data key"
        }))
    );
    let world = world.meanwhile(async |_| {}).await;
    assert_eq!(world.access_token(2).await, Some((1, access(2, 1))));
    assert_eq!(world.keyring.names().len(), 1);
}
