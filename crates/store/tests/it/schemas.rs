//! A database of every schema there ever was opens, with everything in it.

use std::fs;
use std::path::{Path, PathBuf};

use doorward_core::secret::Pin;
use doorward_store::{HolderKind, PinCheck, Store};
use tempfile::TempDir;

use crate::samples::{
    NOW, access, agent_id, agent_key, answer, connection_id, event, flight_key, one_of_each,
    outbox_id, refresh, registration_id, tenant_id,
};
use crate::world::passphrase;

const NEWEST: u32 = 5;

fn fixture(schema: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/schema-{schema}.db"))
}

#[tokio::test]
async fn a_store_of_every_older_schema_opens_with_everything_in_it() {
    for schema in 1..=NEWEST {
        let folder = TempDir::new().unwrap();
        fs::copy(fixture(schema), folder.path().join("doorward.db")).unwrap();
        let store = Store::open(folder.path(), HolderKind::Command, NOW)
            .await
            .unwrap();
        store.unlock(&passphrase("fixture"), NOW).await.unwrap();
        let book = store.load().await.unwrap().book;
        assert_eq!(
            book.connection(connection_id(1)).unwrap().name.as_str(),
            "fastio-1"
        );
        let grant = book.grant(agent_id(1), connection_id(1)).unwrap();
        // Before there were answers about single calls none was given.
        let answers: Vec<_> = book
            .answers_of(grant.id)
            .map(|row| (**row).clone())
            .collect();
        assert_eq!(answers, Vec::from_iter((schema > 3).then(|| answer(1))));
        // Before there was the right to read the metrics nobody had it, and nobody was told of ends.
        assert_eq!(book.key(&agent_key(1).hash()).unwrap().metrics, schema > 2);
        let told = book.connection(connection_id(1)).unwrap().end_told;
        assert_eq!(told, (schema > 2).then_some(1));
        assert_eq!(
            (
                book.tenants().count(),
                book.clients().count(),
                book.requests().count()
            ),
            (1, 1, 1)
        );
        let (tenant, connection) = (tenant_id(1), connection_id(1));
        let (_, token) = store
            .access_token(tenant, connection)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(token.expose(), access(1, 1));
        let (_, token) = store
            .refresh_token(tenant, connection)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(token.expose(), refresh(1, 1));
        // A mark of before there were flights names one whose reply is lost.
        let marked = book.connection(connection).unwrap().refreshing.unwrap();
        let key = store.flight_key(tenant, connection, marked).await.unwrap();
        let expected = (schema > 1).then(|| flight_key(1).expose().to_owned());
        assert_eq!(key.map(|key| key.expose().to_owned()), expected);
        assert_eq!(marked.generation, 1);
        let (owed, _) = store
            .outbox_tokens(tenant, outbox_id(1))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(owed.expose(), "owed-access");
        let secrets = store
            .registration_secrets(registration_id(1))
            .await
            .unwrap();
        assert_eq!(secrets.secret.unwrap().expose(), "client-secret-1");
        assert_eq!(
            store
                .check_pin(&Pin::new("123456".to_owned()), NOW)
                .await
                .unwrap(),
            PinCheck::Right
        );
        let report = store.verify_audit().await.unwrap();
        assert_eq!((report.rows, report.broken), (5, None));
        let left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(
            left.iter()
                .all(|name| !name.to_string_lossy().contains("before")),
            "{left:?}"
        );
        store.close().await;
    }
}

/// Run once for each new schema, by hand: `cargo test -p doorward-store makes_the_fixture -- --ignored`.
#[tokio::test]
#[ignore = "writes a file that is kept in the repository"]
async fn makes_the_fixture_of_the_newest_schema() {
    assert!(!fixture(NEWEST).exists(), "a fixture is never made over");
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), HolderKind::Command, NOW)
        .await
        .unwrap();
    store.unlock(&passphrase("fixture"), NOW).await.unwrap();
    store
        .set_pin(&Pin::new("123456".to_owned()), NOW)
        .await
        .unwrap();
    store
        .commit(NOW, &one_of_each(), &[event(1)])
        .await
        .unwrap();
    store
        .rotate_keys(&passphrase("fixture"), NOW)
        .await
        .unwrap();
    store.commit(NOW, &[], &[event(2)]).await.unwrap();
    store.close().await;
    fs::copy(folder.path().join("doorward.db"), fixture(NEWEST)).unwrap();
}
