//! One holder, a private folder, and a file that is whole: or a clear reason why not, and nothing lost.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use doorward_store::{HolderKind, KeyState, OpenError, Store, StoreError};
use tempfile::TempDir;

use crate::samples::{NOW, access, connect, event, tokens};
use crate::world::{World, tamper};

async fn refused(folder: &Path) -> OpenError {
    match Store::open(folder, HolderKind::Command, NOW).await {
        Ok(_) => panic!("{} opened", folder.display()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_second_to_open_a_folder_is_told_who_holds_it() {
    let world = World::new().await;
    let holder = Store::holder(world.path()).unwrap();
    assert_eq!(
        (holder.pid, holder.kind, holder.since),
        (std::process::id(), HolderKind::Serve, NOW)
    );
    let OpenError::HeldBy { holder: told, .. } = refused(world.path()).await else {
        panic!("not told")
    };
    assert_eq!(told, holder);
    let (folder, _) = world.closed().await;
    assert_eq!(
        Store::holder(folder.path()),
        None,
        "what is written stays; the lock is gone"
    );
    Store::open(folder.path(), HolderKind::Command, NOW)
        .await
        .unwrap()
        .close()
        .await;
}

#[tokio::test]
async fn asking_who_holds_a_folder_keeps_nobody_from_opening_it() {
    let folder = TempDir::new().unwrap();
    Store::open(folder.path(), HolderKind::Command, NOW)
        .await
        .unwrap()
        .close()
        .await;
    let path = folder.path().to_owned();
    let asking =
        std::thread::spawn(move || (0..2000).filter(|_| Store::holder(&path).is_some()).count());
    for _ in 0..5 {
        Store::open(folder.path(), HolderKind::Command, NOW)
            .await
            .unwrap()
            .close()
            .await;
    }
    asking.join().unwrap();
}

#[tokio::test]
async fn a_store_that_was_dropped_can_be_opened_again_at_once() {
    for _ in 0..5 {
        let world = World::connected().await;
        let path = world.path().to_owned();
        drop(world.store);
        let again = Store::open(&path, HolderKind::Command, NOW).await.unwrap();
        assert_eq!(again.load_book().await.unwrap().connections().count(), 2);
    }
}

#[tokio::test]
async fn folder_and_files_are_made_for_their_owner_alone() {
    let outer = TempDir::new().unwrap();
    let folder = outer.path().join("a/b/doorward");
    let store = Store::open(&folder, HolderKind::Command, NOW)
        .await
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(store.key_state(), KeyState::Fresh);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_folder_of_its_own_is_closed_to_others_and_a_shared_one_is_refused_and_left_as_it_is() {
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = TempDir::new().unwrap();
    set(folder.path(), 0o755);
    Store::open(folder.path(), HolderKind::Command, NOW)
        .await
        .unwrap()
        .close()
        .await;
    assert_eq!(mode(folder.path()), 0o700);
    set(folder.path(), 0o777);
    set(&folder.path().join("doorward.db"), 0o644);
    Store::open(folder.path(), HolderKind::Command, NOW)
        .await
        .unwrap()
        .close()
        .await;
    assert_eq!(
        (
            mode(folder.path()),
            mode(&folder.path().join("doorward.db"))
        ),
        (0o700, 0o600)
    );
    let shared = TempDir::new().unwrap();
    fs::write(shared.path().join("holiday.jpg"), "").unwrap();
    set(shared.path(), 0o755);
    assert!(matches!(
        refused(shared.path()).await,
        OpenError::NotPrivate { .. }
    ));
    assert_eq!(
        (
            mode(shared.path()),
            fs::read_dir(shared.path()).unwrap().count()
        ),
        (0o755, 1)
    );
    let (real, _) = World::connected().await.closed().await;
    let other = TempDir::new().unwrap();
    std::os::unix::fs::symlink(
        real.path().join("doorward.db"),
        other.path().join("doorward.db"),
    )
    .unwrap();
    set(other.path(), 0o700);
    assert!(
        matches!(refused(other.path()).await, OpenError::NotPrivate { .. }),
        "a link is not followed"
    );
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_not_changed() {
    let (folder, _) = World::connected().await.closed().await;
    tamper(
        folder.path(),
        "UPDATE meta SET value = '9999' WHERE name = 'schema'; ALTER TABLE connections RENAME TO links",
    )
    .await;
    let before = fs::read(folder.path().join("doorward.db")).unwrap();
    let OpenError::NewerSchema { found, known } = refused(folder.path()).await else {
        panic!("not told")
    };
    assert_eq!((found, known), (9999, 4));
    assert_eq!(fs::read(folder.path().join("doorward.db")).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_file_is_told_from_a_new_one_and_left_as_it_is() {
    let (folder, _) = World::connected().await.closed().await;
    let file = folder.path().join("doorward.db");
    let whole = fs::read(&file).unwrap();
    let mut scribbled = whole.clone();
    scribbled[4096..3 * 4096].fill(0xa5);
    let mut no_header = whole.clone();
    no_header[..100].fill(0);
    let damaged: [(&str, Vec<u8>); 6] = [
        ("empty", Vec::new()),
        ("cut in its header", whole[..50].to_vec()),
        ("cut in its middle", whole[..whole.len() / 2].to_vec()),
        ("scribbled over", scribbled),
        ("without its header", no_header),
        ("another database", b"not a database at all".repeat(1000)),
    ];
    for (what, bytes) in damaged {
        fs::write(&file, &bytes).unwrap();
        let error = refused(folder.path()).await;
        assert!(
            matches!(error, OpenError::Corrupt { .. }),
            "{what}: {error:?}"
        );
        assert_eq!(fs::read(&file).unwrap(), bytes, "{what}");
    }
    fs::write(&file, &whole).unwrap();
    Store::open(folder.path(), HolderKind::Command, NOW)
        .await
        .unwrap()
        .close()
        .await;
    // A database of something else, whole as it is.
    fs::remove_file(&file).unwrap();
    let mut other = <sqlx::SqliteConnection as sqlx::Connection>::connect(&format!(
        "sqlite:{}?mode=rwc",
        file.display()
    ))
    .await
    .unwrap();
    sqlx::raw_sql("CREATE TABLE bookmarks (url TEXT)")
        .execute(&mut other)
        .await
        .unwrap();
    sqlx::Connection::close(other).await.unwrap();
    assert!(matches!(
        refused(folder.path()).await,
        OpenError::Corrupt { .. }
    ));
}

#[tokio::test]
async fn a_file_that_is_gone_from_beside_its_journal_is_damage() {
    let (folder, _) = World::connected().await.closed().await;
    fs::remove_file(folder.path().join("doorward.db")).unwrap();
    fs::write(folder.path().join("doorward.db-wal"), "frames").unwrap();
    assert!(matches!(
        refused(folder.path()).await,
        OpenError::Corrupt { .. }
    ));
}

#[tokio::test]
async fn a_first_start_that_was_cut_short_is_started_over() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("doorward.db.new"), "half").unwrap();
    fs::write(folder.path().join("doorward.db.new-wal"), "half").unwrap();
    let store = Store::open(folder.path(), HolderKind::Command, NOW)
        .await
        .unwrap();
    assert_eq!(store.key_state(), KeyState::Fresh);
    assert!(!folder.path().join("doorward.db.new").exists());
    assert!(!folder.path().join("doorward.db.new-wal").exists());
}

/// A mount that ends with the test. None where mounting is not permitted, which the test then says.
struct Mount(TempDir);

impl Mount {
    fn new(arguments: &[&str]) -> Option<Self> {
        let at = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(arguments)
            .arg(at.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        say(&format!(
            "NOT TESTED: this may not mount ({})",
            arguments.join(" ")
        ));
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn again(&self, options: &str) {
        let done = Command::new("mount")
            .args(["-o", options])
            .arg(self.path())
            .status()
            .unwrap();
        assert!(done.success());
    }
}

/// Past the harness, which shows what a passing test prints to nobody.
#[expect(
    clippy::explicit_write,
    reason = "`eprintln!` is what the harness catches"
)]
fn say(what: &str) {
    writeln!(std::io::stderr(), "{what}").unwrap();
}

impl Drop for Mount {
    fn drop(&mut self) {
        let ended = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
        assert!(ended.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[tokio::test]
async fn a_read_only_disk_is_told_and_loses_nothing() {
    let Some(mount) = Mount::new(&["-t", "tmpfs", "-o", "mode=700,size=16m", "doorward-test"])
    else {
        return;
    };
    let world = World::connected().await;
    let keyring = world.keyring.clone();
    let (folder, _) = world.closed().await;
    for name in ["doorward.db", "doorward.lock"] {
        fs::copy(folder.path().join(name), mount.path().join(name)).unwrap();
    }
    mount.again("remount,ro");
    assert!(matches!(
        refused(mount.path()).await,
        OpenError::ReadOnly { .. }
    ));
    let empty = mount.path().join("not-there-yet");
    assert!(matches!(refused(&empty).await, OpenError::ReadOnly { .. }));
    mount.again("remount,rw");
    let store = Store::open(mount.path(), HolderKind::Command, NOW)
        .await
        .unwrap();
    store.unlock(&keyring, NOW).await.unwrap();
    assert_eq!(store.load().await.unwrap().access.len(), 2);
    store.close().await;
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing() {
    let Some(mount) = Mount::new(&["-t", "tmpfs", "-o", "mode=700,size=2m", "doorward-test"])
    else {
        return;
    };
    let keyring = crate::world::MemoryKeyring::default();
    let store = Store::open(mount.path(), HolderKind::Command, NOW)
        .await
        .unwrap();
    store.unlock(&keyring, NOW).await.unwrap();
    store.commit(NOW, &connect(1), &[event(1)]).await.unwrap();
    let filler = mount.path().join("filler");
    let fill = || {
        let full = (0..)
            .map(|_| [0_u8; 4096])
            .take(4096)
            .flatten()
            .collect::<Vec<_>>();
        assert!(fs::write(&filler, full).is_err(), "the disk is full");
    };
    fill();
    let mut last = 1;
    let refused = loop {
        match store
            .commit(NOW, &[tokens(1, last + 1)], &[event(last + 1)])
            .await
        {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, StoreError::DiskFull);
    let told = |found: Option<(u64, doorward_core::secret::AccessToken)>| {
        found.map(|(generation, token)| (generation, token.expose().to_owned()))
    };
    let (tenant, connection) = (
        crate::samples::tenant_id(1),
        crate::samples::connection_id(1),
    );
    let kept = told(store.access_token(tenant, connection).await.unwrap());
    assert_eq!(kept, Some((last, access(1, last))));
    fs::remove_file(&filler).unwrap();
    store
        .commit(NOW, &[tokens(1, last + 1)], &[event(last + 1)])
        .await
        .unwrap();
    assert_eq!(store.verify_audit().await.unwrap().broken, None);
    store.close().await;
    fill();
    match Store::open(mount.path(), HolderKind::Command, NOW).await {
        // It opens, for an existing store needs no more room than it has; then everything is there.
        Ok(store) => {
            store.unlock(&keyring, NOW).await.unwrap();
            let kept = told(store.access_token(tenant, connection).await.unwrap());
            assert_eq!(kept, Some((last + 1, access(1, last + 1))));
            store.close().await;
        }
        Err(error) => assert!(matches!(error, OpenError::DiskFull { .. }), "{error:?}"),
    }
    fs::remove_file(mount.path().join("doorward.db")).unwrap();
    fill();
    assert!(matches!(
        self::refused(mount.path()).await,
        OpenError::DiskFull { .. }
    ));
}
