//! Keys are made once, found again, and never replaced by something weaker.

use doorward_store::{
    HolderKind, KeySourceError, KeyState, SourceKind, Store, StoreError, UnlockError,
};

use crate::samples::{NOW, access, connect, connection_id, event, tenant_id, tokens};
use crate::world::{KeyringTrouble, World, passphrase};

#[tokio::test]
async fn a_store_is_fresh_then_unlocked_then_locked_until_it_is_unlocked_again() {
    let world = World::fresh().await;
    assert_eq!(
        (world.store.key_state(), world.store.source_kind()),
        (KeyState::Fresh, None)
    );
    world.store.unlock(&world.keyring, NOW).await.unwrap();
    assert_eq!(
        (world.store.key_state(), world.store.source_kind()),
        (KeyState::Unlocked, Some(SourceKind::Keyring))
    );
    world.store.unlock(&world.keyring, NOW).await.unwrap();
    assert_eq!(world.keyring.names().len(), 1);
    let (folder, keyring) = world.closed().await;
    let store = Store::open(folder.path(), HolderKind::Serve, NOW)
        .await
        .unwrap();
    assert_eq!(
        (store.key_state(), store.source_kind()),
        (KeyState::Locked, Some(SourceKind::Keyring))
    );
    store.unlock(&keyring, NOW).await.unwrap();
    assert_eq!(store.key_state(), KeyState::Unlocked);
}

#[tokio::test]
async fn a_locked_store_shows_its_rows_and_nothing_else() {
    let (folder, _keyring) = World::connected().await.closed().await;
    let store = Store::open(folder.path(), HolderKind::Serve, NOW)
        .await
        .unwrap();
    assert_eq!(store.load_book().await.unwrap().connections().count(), 2);
    assert!(!store.has_pin().await.unwrap());
    assert_eq!(
        store
            .audit_rows(doorward_store::AuditFilter::default())
            .await
            .unwrap()
            .len(),
        3
    );
    let (tenant, connection) = (tenant_id(1), connection_id(1));
    assert_eq!(store.load().await.err(), Some(StoreError::Locked));
    assert_eq!(
        store.commit(NOW, &[tokens(1, 2)], &[]).await.err(),
        Some(StoreError::Locked)
    );
    assert_eq!(
        store.commit(NOW, &[], &[event(1)]).await.err(),
        Some(StoreError::Locked)
    );
    assert_eq!(
        store.access_token(tenant, connection).await.err(),
        Some(StoreError::Locked)
    );
    assert_eq!(
        store.refresh_token(tenant, connection).await.err(),
        Some(StoreError::Locked)
    );
    assert_eq!(store.verify_audit().await.err(), Some(StoreError::Locked));
    assert_eq!(
        store.prune_audit(NOW, NOW).await.err(),
        Some(StoreError::Locked)
    );
}

#[tokio::test]
async fn a_passphrase_unlocks_and_another_one_does_not() {
    let world = World::fresh().await;
    world.store.unlock(&passphrase("right"), NOW).await.unwrap();
    world.commit(&connect(1)).await;
    let (folder, _) = world.closed().await;
    let store = Store::open(folder.path(), HolderKind::Serve, NOW)
        .await
        .unwrap();
    assert_eq!(store.source_kind(), Some(SourceKind::Passphrase));
    assert_eq!(
        store.unlock(&passphrase("wrong"), NOW).await.err(),
        Some(UnlockError::WrongPassphrase)
    );
    assert_eq!(store.key_state(), KeyState::Locked);
    store.unlock(&passphrase("right"), NOW).await.unwrap();
    let (_, token) = store
        .access_token(tenant_id(1), connection_id(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(token.expose(), access(1, 1));
}

#[tokio::test]
async fn a_keyring_that_lost_or_changed_the_key_is_told_apart_from_a_locked_one() {
    let (folder, keyring) = World::connected().await.closed().await;
    let store = Store::open(folder.path(), HolderKind::Serve, NOW)
        .await
        .unwrap();
    keyring.is_in(KeyringTrouble::Locked);
    let locked = UnlockError::Source(KeySourceError::Locked("told to be".to_owned()));
    assert_eq!(store.unlock(&keyring, NOW).await.err(), Some(locked));
    keyring.is_in(KeyringTrouble::None);
    let made_with = SourceKind::Keyring;
    let other = UnlockError::OtherSource {
        made_with,
        given: SourceKind::Passphrase,
    };
    assert_eq!(
        store.unlock(&passphrase("x"), NOW).await.err(),
        Some(other),
        "there is no falling back"
    );
    keyring.replace_all();
    assert_eq!(
        store.unlock(&keyring, NOW).await.err(),
        Some(UnlockError::WrongKey)
    );
    keyring.lose_all();
    assert_eq!(
        store.unlock(&keyring, NOW).await.err(),
        Some(UnlockError::KeyMissing)
    );
    assert_eq!(store.key_state(), KeyState::Locked);
}

#[tokio::test]
async fn a_fresh_store_stays_fresh_where_no_key_can_be_made() {
    let world = World::fresh().await;
    world.keyring.is_in(KeyringTrouble::Locked);
    assert!(world.store.unlock(&world.keyring, NOW).await.is_err());
    assert_eq!(world.store.key_state(), KeyState::Fresh);
    let refused = world.store.commit(NOW, &connect(1), &[]).await;
    assert_eq!(
        refused.err(),
        Some(StoreError::Locked),
        "nothing is ever written without a key"
    );
    world.keyring.is_in(KeyringTrouble::None);
    world.store.unlock(&world.keyring, NOW).await.unwrap();
}

#[tokio::test]
async fn a_key_whose_making_was_cut_short_is_not_left_in_the_keyring() {
    let world = World::fresh().await;
    world.keyring.is_in(KeyringTrouble::MakesAndSaysNothing);
    assert!(world.store.unlock(&world.keyring, NOW).await.is_err());
    let left_over = world.keyring.names();
    assert_eq!(
        (left_over.len(), world.store.key_state()),
        (1, KeyState::Fresh)
    );
    world.keyring.is_in(KeyringTrouble::None);
    world.store.unlock(&world.keyring, NOW).await.unwrap();
    let names = world.keyring.names();
    assert_eq!(names.len(), 1);
    assert_ne!(names, left_over);
}

#[tokio::test]
async fn two_stores_with_one_keyring_keep_their_keys_apart() {
    let one = World::connected().await;
    let two = World::fresh().await;
    two.store.unlock(&one.keyring, NOW).await.unwrap();
    assert_eq!(one.keyring.names().len(), 2);
    assert_ne!(one.store.installation(), two.store.installation());
    two.commit(&connect(1)).await;
    let one = one.meanwhile(async |_| {}).await;
    assert_eq!(one.access_token(1).await, Some((1, access(1, 1))));
}
