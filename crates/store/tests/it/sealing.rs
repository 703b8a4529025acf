//! A sealed value opens in its place and nowhere else.

use std::sync::Arc;

use doorward_core::change::{Change, OutboxTokens};
use doorward_core::lock::HeldLock;
use doorward_core::secret::{AccessToken, LockToken, RefreshToken};
use doorward_store::StoreError;

use crate::samples::{
    NOW, access, connection_id, disconnect, lock, lock_id, outbox_id, outbox_item, refresh,
    register, registration_id, taken, tenant_id, tokens,
};
use crate::world::World;

const SHUT: &str = "a sealed value does not open";

/// Runs a statement behind the store's back and says what then becomes of tenant 1's tokens.
async fn after(statement: &str) -> (String, String) {
    let world = World::connected().await.tampered(statement).await;
    let told = |outcome: Result<Option<(u64, String)>, StoreError>| match outcome {
        Ok(found) => format!("{found:?}"),
        Err(error) => error.to_string(),
    };
    let (tenant, connection) = (tenant_id(1), connection_id(1));
    let access = world.store.access_token(tenant, connection).await;
    let refresh = world.store.refresh_token(tenant, connection).await;
    (
        told(
            access.map(|found| {
                found.map(|(generation, token)| (generation, token.expose().to_owned()))
            }),
        ),
        told(
            refresh.map(|found| {
                found.map(|(generation, token)| (generation, token.expose().to_owned()))
            }),
        ),
    )
}

#[tokio::test]
async fn a_value_copied_to_another_row_connection_tenant_kind_or_generation_does_not_open() {
    let one = connection_id(1);
    let two = connection_id(2);
    let from_two = |column: &str, kind: &str| {
        format!("(SELECT {column} FROM sealed WHERE connection = '{two}' AND kind = '{kind}')")
    };
    let attempts = [
        // Another connection's token, then with its data key as well.
        format!("UPDATE sealed SET value = {} WHERE connection = '{one}'", from_two("value", "refresh")),
        format!(
            "UPDATE sealed SET value = {} WHERE connection = '{one}';
             UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE connection = '{two}')
             WHERE connection = '{one}'",
            from_two("value", "refresh")
        ),
        // The other connection's whole key row under this connection's name.
        format!(
            "DELETE FROM data_keys WHERE connection = '{one}';
             UPDATE data_keys SET connection = '{one}', tenant = '{}' WHERE connection = '{two}'",
            tenant_id(1)
        ),
        // Another generation.
        format!("UPDATE sealed SET generation = 2 WHERE connection = '{one}'"),
        // Another kind of the same connection.
        format!(
            "UPDATE sealed SET kind = 'x' WHERE connection = '{one}' AND kind = 'access';
             UPDATE sealed SET kind = 'access' WHERE connection = '{one}' AND kind = 'refresh';
             UPDATE sealed SET kind = 'refresh' WHERE connection = '{one}' AND kind = 'x'"
        ),
        // A flipped bit, nothing at all, no data key.
        format!("UPDATE sealed SET value = x'01' || substr(value, 2, length(value) - 2) || x'00' WHERE connection = '{one}'"),
        format!("UPDATE sealed SET value = x'' WHERE connection = '{one}'"),
        format!("DELETE FROM data_keys WHERE connection = '{one}'"),
    ];
    for attempt in attempts {
        let (access, refresh) = after(&attempt).await;
        assert!(
            access.starts_with(SHUT) && refresh.starts_with(SHUT),
            "{attempt}\n{access}\n{refresh}"
        );
    }
}

#[tokio::test]
async fn a_row_given_to_another_tenant_is_not_found_or_does_not_open() {
    let (one, theirs) = (connection_id(1), tenant_id(2));
    let world = World::connected().await;
    assert!(
        world
            .store
            .access_token(theirs, one)
            .await
            .unwrap()
            .is_none()
    );
    let moved = format!(
        "UPDATE sealed SET tenant = '{theirs}' WHERE connection = '{one}';
         UPDATE data_keys SET tenant = '{theirs}' WHERE connection = '{one}'"
    );
    let world = world.tampered(&moved).await;
    let refused = world.store.access_token(theirs, one).await.err().unwrap();
    assert!(matches!(refused, StoreError::WontOpen { .. }));
    assert!(
        world
            .store
            .access_token(tenant_id(1), one)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn one_value_that_does_not_open_keeps_no_other_connection_from_loading() {
    let statement = format!(
        "UPDATE sealed SET generation = 9 WHERE connection = '{}'",
        connection_id(1)
    );
    let world = World::connected().await.tampered(&statement).await;
    let loaded = world.store.load().await.unwrap();
    assert_eq!(loaded.wont_open, [connection_id(1)]);
    let opened: Vec<_> = loaded
        .access
        .iter()
        .map(|(id, token)| (*id, token.expose()))
        .collect();
    assert_eq!(
        opened,
        [(connection_id(2), "access-token-2-of-generation-1")]
    );
}

#[tokio::test]
async fn an_owed_revocation_and_a_registration_are_bound_to_their_places_too() {
    let world = World::connected().await;
    world.commit(&[register(1), register(2)]).await;
    for n in [1, 2] {
        world.commit(&disconnect(n)).await;
    }
    let statement = format!(
        "UPDATE registrations SET sealed_token = sealed_secret WHERE id = '{one}';
         UPDATE registrations SET sealed_secret = (SELECT sealed_secret FROM registrations WHERE id = '{one}')
         WHERE id = '{two}';
         UPDATE sealed SET item = '{}' WHERE item = '{}'",
        outbox_id(2).to_string().replace('4', "5"),
        outbox_id(2),
        one = registration_id(1),
        two = registration_id(2),
    );
    let world = world.tampered(&statement).await;
    for n in [1, 2] {
        assert!(
            world
                .store
                .registration_secrets(registration_id(n))
                .await
                .is_err(),
            "{n}"
        );
    }
    assert!(
        world
            .store
            .outbox_tokens(tenant_id(1), outbox_id(1))
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        world
            .store
            .outbox_tokens(tenant_id(2), outbox_id(1))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        world
            .store
            .outbox_tokens(tenant_id(2), outbox_id(2))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_locks_token_is_bound_to_its_lock() {
    let world = World::connected().await;
    let other = HeldLock {
        id: lock_id(3),
        path: "another/lock/".to_owned(),
        ..lock(1)
    };
    let token = LockToken::new("another".to_owned());
    let another = Change::LockTaken {
        lock: Box::new(other.clone()),
        token,
    };
    world.commit(&[taken(1), another]).await;
    let swapped = format!(
        "UPDATE sealed SET value = (SELECT value FROM sealed WHERE item = '{}') WHERE item = '{}'",
        lock_id(3),
        lock_id(1)
    );
    let world = world.tampered(&swapped).await;
    let refused = world.store.lock_token(&lock(1)).await.err().unwrap();
    assert!(matches!(refused, StoreError::WontOpen { .. }));
    let token = world.store.lock_token(&other).await.unwrap().unwrap();
    assert_eq!(token.expose(), "another");
}

#[tokio::test]
async fn tokens_without_a_refresh_token_keep_the_stored_one_for_the_new_generation() {
    let world = World::connected().await;
    let next = Change::TokensPut {
        tenant: tenant_id(1),
        connection: connection_id(1),
        generation: 2,
        access: Arc::new(AccessToken::new("second".to_owned())),
        refresh: None,
    };
    world.commit(&[next]).await;
    assert_eq!(world.access_token(1).await, Some((2, "second".to_owned())));
    assert_eq!(world.refresh_token(1).await, Some((2, refresh(1, 1))));
    world.commit(&[tokens(1, 3)]).await;
    assert_eq!(world.refresh_token(1).await, Some((3, refresh(1, 3))));
}

#[tokio::test]
async fn owed_tokens_move_from_the_connection_to_the_outbox() {
    let world = World::connected().await;
    let moved = Change::OutboxAdded {
        item: Box::new(outbox_item(1)),
        tokens: OutboxTokens::Stored,
    };
    world.commit(&[moved]).await;
    assert_eq!(
        (world.access_token(1).await, world.refresh_token(1).await),
        (None, None)
    );
    let (access_owed, refresh_owed) = world
        .store
        .outbox_tokens(tenant_id(1), outbox_id(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (access_owed.expose(), refresh_owed.unwrap().expose()),
        (&*access(1, 1), &*refresh(1, 1))
    );
    // A reconnect's new tokens stand beside them.
    world.commit(&[tokens(1, 2)]).await;
    assert_eq!(world.access_token(1).await, Some((2, access(1, 2))));
    assert!(
        world
            .store
            .outbox_tokens(tenant_id(1), outbox_id(1))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn tokens_can_be_owed_for_a_connection_that_never_was() {
    let world = World::connected().await;
    let mut item = outbox_item(1);
    item.connection = connection_id(7);
    let tokens = OutboxTokens::Given {
        access: AccessToken::new("unwanted".to_owned()),
        refresh: None,
    };
    world
        .commit(&[Change::OutboxAdded {
            item: Box::new(item),
            tokens,
        }])
        .await;
    let (access, refresh) = world
        .store
        .outbox_tokens(tenant_id(1), outbox_id(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(access.expose(), "unwanted");
    assert!(refresh.is_none());
}

#[tokio::test]
async fn a_secret_with_any_text_in_it_comes_back() {
    let world = World::connected().await;
    let odd = "\u{0} ' \" ; -- \n \u{1F511}".repeat(50);
    let put = Change::TokensPut {
        tenant: tenant_id(1),
        connection: connection_id(1),
        generation: 5,
        access: Arc::new(AccessToken::new(odd.clone())),
        refresh: Some(Arc::new(RefreshToken::new(String::new()))),
    };
    world.store.commit(NOW, &[put], &[]).await.unwrap();
    assert_eq!(world.access_token(1).await, Some((5, odd)));
    assert_eq!(world.refresh_token(1).await, Some((5, String::new())));
}
