//! Killed at any moment, the store opens again with everything that it had answered as written.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use doorward_core::change::{Change, OutboxTokens};
use doorward_store::{HolderKind, Store};
use tempfile::TempDir;

use crate::samples::{
    NOW, access, connect, connection, connection_id, event, outbox_id, outbox_item, refresh,
    tenant_id, tokens,
};
use crate::world::passphrase;

const FOLDER: &str = "DOORWARD_TEST_FOLDER";
const ROUNDS: u64 = 30;

/// Runs in a process of its own: commits for ever and says so after each.
#[tokio::test]
#[ignore = "is run by the test below, in a process that it kills"]
async fn writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let store = Store::open(Path::new(&folder), HolderKind::Command, NOW)
        .await
        .unwrap();
    store.unlock(&passphrase("kill"), NOW).await.unwrap();
    let tenant = tenant_id(1);
    if store
        .access_token(tenant, connection_id(1))
        .await
        .unwrap()
        .is_none()
    {
        store.commit(NOW, &connect(1), &[event(1)]).await.unwrap();
    }
    let (mut generation, _) = store
        .access_token(tenant, connection_id(1))
        .await
        .unwrap()
        .unwrap();
    loop {
        generation += 1;
        let put = Change::ConnectionPut(Box::new(connection(1, generation)));
        store
            .commit(NOW, &[tokens(1, generation), put], &[event(generation)])
            .await
            .unwrap();
        println!("wrote {generation}");
        // Now and then something that erases, so that the journal is emptied under the killer's eyes too.
        if generation.is_multiple_of(5) {
            let owed = Change::OutboxAdded {
                item: Box::new(outbox_item(1)),
                tokens: OutboxTokens::Stored,
            };
            let done = Change::OutboxErased {
                tenant,
                item: outbox_id(1),
            };
            store
                .commit(
                    NOW,
                    &[owed, done, tokens(1, generation)],
                    &[event(generation)],
                )
                .await
                .unwrap();
        }
        if generation.is_multiple_of(17) {
            store.rotate_keys(&passphrase("kill"), NOW).await.unwrap();
        }
    }
}

#[tokio::test]
async fn killed_at_any_moment_it_opens_again_with_all_that_was_answered() {
    let folder = TempDir::new().unwrap();
    let mut answered = 1;
    for round in 0..ROUNDS {
        answered = answered.max(write_and_kill(folder.path(), round));
        let store = Store::open(folder.path(), HolderKind::Command, NOW)
            .await
            .unwrap();
        store.unlock(&passphrase("kill"), NOW).await.unwrap();
        let (tenant, id) = (tenant_id(1), connection_id(1));
        let loaded = store.load().await.unwrap();
        assert!(loaded.wont_open.is_empty());
        if let Some(row) = loaded.book.connection(id) {
            let (generation, token) = store.access_token(tenant, id).await.unwrap().unwrap();
            assert!(
                generation >= answered,
                "{generation} is stored and {answered} was answered"
            );
            assert_eq!(token.expose(), access(1, generation));
            let (of, token) = store.refresh_token(tenant, id).await.unwrap().unwrap();
            assert_eq!((of, token.expose()), (generation, &*refresh(1, generation)));
            assert_eq!(row.generation, generation, "row and tokens go together");
        } else {
            assert_eq!(answered, 1, "nothing was answered yet");
        }
        assert_eq!(store.verify_audit().await.unwrap().broken, None);
        store.close().await;
    }
    assert!(
        answered > 30,
        "{answered}: the killer was too quick to see anything"
    );
}

/// Starts a writer, kills it after so many answers and a moment of its next commit, and returns the last answer.
fn write_and_kill(folder: &Path, round: u64) -> u64 {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "durability::writes_until_it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut last = 0;
    let answers = BufReader::new(writer.stdout.take().unwrap()).lines();
    let wrote = answers.map_while(Result::ok).filter_map(|line| {
        let (_, number) = line.split_once("wrote ")?;
        number.trim().parse::<u64>().ok()
    });
    for (n, generation) in (0_u64..).zip(wrote) {
        last = generation;
        if n >= round % 11 {
            break;
        }
    }
    // Anywhere within the commits that follow, another place each round.
    for _ in 0..round * 997 % 40_000 {
        std::hint::spin_loop();
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    last
}
