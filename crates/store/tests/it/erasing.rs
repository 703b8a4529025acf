//! What must not lie on the disk does not: no secret in clear ever, and nothing that opens after erasing.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use doorward_core::asking::{AskedCall, Heard};
use doorward_core::change::Change;
use doorward_core::decide::calling::Question;
use doorward_core::ids::QuestionId;
use doorward_core::secret::Pin;
use doorward_store::{HolderKind, Store};
use sqlx::{Connection as _, Row as _};

use crate::samples::{
    NOW, access, agent_id, agent_key, connection_id, disconnect, event, flight_key, grant, lock,
    lock_id, lock_token, one_of_each, outbox_id, refresh, register, taken, tenant_id,
};
use crate::world::{World, files, passphrase, raw};

/// A secret as it is, and in every coat it could have been written in.
fn coats(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut hex = String::new();
    for byte in secret {
        write!(hex, "{byte:02x}").unwrap();
    }
    let mut coats = vec![
        secret.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
    ];
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        // The secret may stand at any place in an encoded text: the middle is the same for each of three shifts.
        for shift in 0..3 {
            let mut shifted = vec![b'x'; shift];
            shifted.extend_from_slice(secret);
            let encoded = engine.encode(shifted);
            coats.push(encoded.as_bytes()[4..encoded.len() - 4].to_vec());
        }
    }
    coats
}

#[track_caller]
fn assert_nowhere(folder: &Path, secrets: &[Vec<u8>]) {
    for (path, bytes) in files(folder) {
        for secret in secrets {
            for coat in coats(secret) {
                let found = bytes.windows(coat.len()).position(|window| window == coat);
                let shown = String::from_utf8_lossy(secret);
                assert_eq!(found, None, "{shown} in {}", path.display());
            }
        }
    }
}

const PIN: &str = "pin-83749201";
const PASSPHRASE: &str = "the passphrase of this test";

fn secrets() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "client-secret-1",
        "registration-token-1",
        "owed-access",
        "owed-refresh",
    ]
    .into_iter()
    .chain([PIN, PASSPHRASE])
    .map(|secret| secret.as_bytes().to_vec())
    .collect();
    for n in [1, 2] {
        all.push(access(n, 1).into_bytes());
        all.push(refresh(n, 1).into_bytes());
    }
    all.push(agent_key(1).expose().as_bytes().to_vec());
    all.push(flight_key(1).expose().as_bytes().to_vec());
    all.push(vec![0x71; 32]);
    all.push(lock_token(1).into_bytes());
    all
}

#[tokio::test]
async fn no_secret_lies_in_clear_in_any_file_before_or_after_erasing() {
    let world = World::new().await;
    world
        .store
        .commit(NOW, &one_of_each(), &[event(1)])
        .await
        .unwrap();
    world
        .store
        .set_pin(&Pin::new(PIN.to_owned()), NOW)
        .await
        .unwrap();
    let mut secrets = secrets();
    secrets.extend(world.keyring.secrets().iter().map(|key| key.to_vec()));
    assert_nowhere(world.path(), &secrets);
    world.commit(&disconnect(1)).await;
    assert_nowhere(world.path(), &secrets);
    world
        .commit(&[Change::OutboxErased {
            tenant: tenant_id(1),
            item: outbox_id(1),
        }])
        .await;
    assert_nowhere(world.path(), &secrets);
    let (folder, _) = world.closed().await;
    assert_nowhere(folder.path(), &secrets);
}

#[tokio::test]
async fn a_question_about_a_call_lies_nowhere_at_all() {
    let world = World::new().await;
    world.commit(&one_of_each()).await;
    let arguments = serde_json::json!({"note": "what the agent would write"});
    let asked = AskedCall {
        id: QuestionId::from_random([0xb1; 16]),
        tenant: tenant_id(1),
        agent: agent_id(1),
        connection: connection_id(1),
        grant: grant(1, 1).id,
        question: Question::mcp("a-tool-of-this-test", arguments.as_object()),
        user_code: "WXYZ-WXYZ".to_owned(),
        created_at: NOW,
        expires_at: NOW,
        heard: Heard::Once,
    };
    world.commit(&[Change::QuestionPut(Box::new(asked))]).await;
    let (folder, _) = world.closed().await;
    let told = [
        "what the agent would write",
        "a-tool-of-this-test",
        "WXYZ-WXYZ",
    ];
    assert_nowhere(folder.path(), &told.map(|text| text.as_bytes().to_vec()));
}

#[tokio::test]
async fn a_passphrase_lies_nowhere_either() {
    let world = World::fresh().await;
    world
        .store
        .unlock(&passphrase(PASSPHRASE), NOW)
        .await
        .unwrap();
    world
        .store
        .commit(NOW, &one_of_each(), &[event(1)])
        .await
        .unwrap();
    assert_nowhere(world.path(), &secrets());
}

/// The sealed values and wrapped keys that a connection has.
async fn sealed_bytes(folder: &Path, n: u8) -> Vec<Vec<u8>> {
    let mut database = raw(folder).await;
    let connection = connection_id(n).to_string();
    let mut found = Vec::new();
    for statement in [
        "SELECT value AS bytes FROM sealed WHERE connection = $1",
        "SELECT wrapped AS bytes FROM data_keys WHERE connection = $1",
    ] {
        let rows = sqlx::query(statement)
            .bind(&connection)
            .fetch_all(&mut database)
            .await
            .unwrap();
        found.extend(rows.iter().map(|row| row.get::<Vec<u8>, _>("bytes")));
    }
    database.close().await.unwrap();
    found
}

async fn data_keys(world: World) -> (Vec<String>, World) {
    let mut found = Vec::new();
    let world = world
        .meanwhile(async |folder| {
            let mut database = raw(folder).await;
            let rows = sqlx::query("SELECT connection FROM data_keys ORDER BY connection");
            let rows = rows.fetch_all(&mut database).await.unwrap();
            found = rows
                .iter()
                .filter_map(|row| row.get::<Option<String>, _>(0))
                .collect();
            database.close().await.unwrap();
        })
        .await;
    (found, world)
}

#[tokio::test]
async fn erasing_takes_the_sealed_bytes_and_the_data_key_out_of_every_file() {
    let mut before = Vec::new();
    let world = World::connected().await;
    let world = world
        .meanwhile(async |folder| before = sealed_bytes(folder, 1).await)
        .await;
    assert_eq!(before.len(), 3);
    // A commit of no concern, so that there is something in the journal.
    world
        .store
        .commit(NOW, &[register(3)], &[event(1)])
        .await
        .unwrap();
    world
        .commit(&[Change::ConnectionErased {
            tenant: tenant_id(1),
            connection: connection_id(1),
        }])
        .await;
    for (path, bytes) in files(world.path()) {
        let is_there = before
            .iter()
            .any(|sealed| bytes.windows(sealed.len()).any(|window| window == *sealed));
        assert!(!is_there, "{}", path.display());
    }
    let journal = world.path().join("doorward.db-wal");
    assert_eq!(
        std::fs::metadata(journal).map_or(0, |journal| journal.len()),
        0
    );
    assert!(
        world.access_token(2).await.is_some(),
        "another connection is not touched"
    );
}

#[tokio::test]
async fn ended_tokens_go_and_the_connection_stays() {
    let world = World::connected().await;
    world
        .commit(&[Change::TokensErased {
            tenant: tenant_id(1),
            connection: connection_id(1),
        }])
        .await;
    assert_eq!(
        (world.access_token(1).await, world.refresh_token(1).await),
        (None, None)
    );
    assert!(
        world
            .store
            .load_book()
            .await
            .unwrap()
            .connection(connection_id(1))
            .is_some()
    );
}

#[tokio::test]
async fn the_data_key_goes_with_the_last_that_needs_it() {
    let world = World::connected().await;
    world.commit(&disconnect(1)).await;
    let (keys, world) = data_keys(world).await;
    assert_eq!(keys.len(), 2, "the outbox still needs it");
    world
        .commit(&[Change::OutboxErased {
            tenant: tenant_id(1),
            item: outbox_id(1),
        }])
        .await;
    let (keys, _) = data_keys(world).await;
    assert_eq!(keys, [connection_id(2).to_string()]);
}

/// Whether the lock's row and its sealed token are there.
async fn lock_is_there(world: &World, n: u8) -> (bool, bool) {
    let book = world.store.load_book().await.unwrap();
    let token = world.store.lock_token(&lock(n)).await.unwrap();
    (book.lock(lock_id(n)).is_some(), token.is_some())
}

#[tokio::test]
async fn a_lock_and_its_token_go_together() {
    let world = World::connected().await;
    world.commit(&[taken(1), taken(2)]).await;
    assert_eq!(lock_is_there(&world, 1).await, (true, true));
    world
        .commit(&[Change::LockErased {
            tenant: tenant_id(1),
            lock: lock_id(1),
        }])
        .await;
    assert_eq!(lock_is_there(&world, 1).await, (false, false));
    assert_eq!(lock_is_there(&world, 2).await, (true, true));
}

#[tokio::test]
async fn locks_go_with_the_last_that_could_give_them_back() {
    let world = World::connected().await;
    world.commit(&[taken(1), taken(2)]).await;
    world.commit(&disconnect(1)).await;
    assert_eq!(
        lock_is_there(&world, 1).await,
        (true, true),
        "the outbox gives it back"
    );
    world
        .commit(&[Change::OutboxErased {
            tenant: tenant_id(1),
            item: outbox_id(1),
        }])
        .await;
    assert_eq!(lock_is_there(&world, 1).await, (false, false));
    world
        .commit(&[Change::ConnectionErased {
            tenant: tenant_id(2),
            connection: connection_id(2),
        }])
        .await;
    assert_eq!(lock_is_there(&world, 2).await, (false, false));
    let (keys, _) = data_keys(world).await;
    assert!(keys.is_empty());
}

#[tokio::test]
async fn a_copy_left_by_a_migration_is_removed_by_erasing_and_by_opening() {
    let world = World::connected().await;
    let copy = world.path().join("doorward.db.before-0");
    std::fs::write(&copy, "older").unwrap();
    world
        .commit(&[Change::TokensErased {
            tenant: tenant_id(1),
            connection: connection_id(1),
        }])
        .await;
    assert!(!copy.exists());
    std::fs::write(&copy, "older").unwrap();
    let (folder, _) = world.closed().await;
    let store = Store::open(folder.path(), HolderKind::Command, NOW)
        .await
        .unwrap();
    assert!(!copy.exists());
    store.close().await;
}
