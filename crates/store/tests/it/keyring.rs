//! The real keyring of this system, in scratch surroundings: open, locked, locked with a prompt nobody answers, absent.
//!
//! Each test runs itself again under `scripts/with-keyring`, which gives it a session bus and a keyring of its own. The
//! inner half does nothing unless it is told that it is in there, so no run of these tests touches a person's keyring.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use doorward_store::{HolderKind, KeySourceError, KeyState, OsKeyring, Store, UnlockError};
use tempfile::TempDir;

use crate::samples::{NOW, access, connect, connection_id, tenant_id};

const INSIDE: &str = "DOORWARD_TEST_KEYRING";

fn script() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/with-keyring")
}

#[track_caller]
fn run_inside(mode: Option<&str>, test: &str) {
    let output = Command::new(script())
        .args(mode)
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("keyring::{test}"),
            "--ignored",
            "--nocapture",
        ])
        .env(INSIDE, mode.unwrap_or("open"))
        .output()
        .unwrap();
    let told = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

fn is_inside(mode: &str) -> bool {
    std::env::var(INSIDE).is_ok_and(|given| given == mode)
}

async fn open(folder: &Path) -> Store {
    Store::open(folder, HolderKind::Command, NOW).await.unwrap()
}

#[test]
fn the_keyring_keeps_the_key_across_restarts_and_rotations() {
    run_inside(None, "inside_an_open_keyring");
}

#[tokio::test]
#[ignore = "is run by the test above, in surroundings of its own"]
async fn inside_an_open_keyring() {
    assert!(is_inside("open"));
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).await;
    store.unlock(&OsKeyring::new(), NOW).await.unwrap();
    store.commit(NOW, &connect(1), &[]).await.unwrap();
    store.close().await;
    for _ in 0..2 {
        let store = open(folder.path()).await;
        store.unlock(&OsKeyring::new(), NOW).await.unwrap();
        let (_, token) = store
            .access_token(tenant_id(1), connection_id(1))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(token.expose(), access(1, 1));
        store.rotate_keys(&OsKeyring::new(), NOW).await.unwrap();
        store.close().await;
    }
    // Locked behind our back, then unlocked as a login would.
    let locked = Command::new(script()).arg("--lock").status().unwrap();
    assert!(locked.success());
    let store = open(folder.path()).await;
    let refused = store.unlock(&OsKeyring::new(), NOW).await.err();
    assert!(
        matches!(
            refused,
            Some(UnlockError::Source(KeySourceError::Locked(_)))
        ),
        "{refused:?}"
    );
    assert_eq!(store.load_book().await.unwrap().connections().count(), 1);
    let unlocked = Command::new(script()).arg("--unlock").status().unwrap();
    assert!(unlocked.success());
    store.unlock(&OsKeyring::new(), NOW).await.unwrap();
    assert_eq!(store.key_state(), KeyState::Unlocked);
}

#[test]
fn a_locked_keyring_is_told_and_nothing_is_made() {
    run_inside(Some("--locked"), "inside_a_locked_keyring");
}

#[tokio::test]
#[ignore = "is run by the test above, in surroundings of its own"]
async fn inside_a_locked_keyring() {
    assert!(is_inside("--locked"));
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).await;
    let refused = store.unlock(&OsKeyring::new(), NOW).await.err();
    assert!(
        matches!(
            refused,
            Some(UnlockError::Source(KeySourceError::Locked(_)))
        ),
        "{refused:?}"
    );
    assert_eq!(store.key_state(), KeyState::Fresh);
}

#[test]
fn a_keyring_that_asks_somebody_who_is_not_there_is_given_up_on() {
    run_inside(Some("--unanswered"), "inside_an_unanswered_keyring");
}

#[tokio::test]
#[ignore = "is run by the test above, in surroundings of its own"]
async fn inside_an_unanswered_keyring() {
    assert!(is_inside("--unanswered"));
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).await;
    let source = OsKeyring::new().with_time_limit(Duration::from_secs(1));
    let refused = store.unlock(&source, NOW).await.err();
    assert_eq!(
        refused,
        Some(UnlockError::Source(KeySourceError::TimedOut { seconds: 1 }))
    );
    // Rows can be read while the next try waits.
    let (refused, book) = tokio::join!(store.unlock(&source, NOW), store.load_book());
    assert_eq!(
        refused.err(),
        Some(UnlockError::Source(KeySourceError::TimedOut { seconds: 1 }))
    );
    assert_eq!(book.unwrap().connections().count(), 0);
}

#[test]
fn a_keyring_that_is_not_there_is_told() {
    run_inside(Some("--absent"), "inside_no_keyring");
}

#[tokio::test]
#[ignore = "is run by the test above, in surroundings of its own"]
async fn inside_no_keyring() {
    assert!(is_inside("--absent"));
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).await;
    let refused = store.unlock(&OsKeyring::new(), NOW).await.err();
    assert!(
        matches!(
            refused,
            Some(UnlockError::Source(KeySourceError::Absent(_)))
        ),
        "{refused:?}"
    );
    assert_eq!(store.key_state(), KeyState::Fresh);
}
