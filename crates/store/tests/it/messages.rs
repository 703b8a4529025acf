//! What a person is told: what failed, and what to do next.

use std::fmt::Write as _;
use std::path::PathBuf;

use doorward_core::problem::Refusal;
use doorward_store::{
    AuditFault, Holder, HolderKind, KeySourceError, OpenError, RotateError, SourceKind, StoreError,
    Tampering, UnlockError,
};

use crate::samples::NOW;

fn told(refusals: impl IntoIterator<Item = Refusal>) -> String {
    let mut text = String::new();
    for refusal in refusals {
        writeln!(
            text,
            "{}: {}\n  -> {}",
            refusal.code, refusal.detail, refusal.hint
        )
        .unwrap();
    }
    text
}

#[test]
fn why_a_store_cannot_be_opened() {
    let path = || PathBuf::from("/home/ada/.local/share/doorward");
    let holder = Holder {
        pid: 4711,
        kind: HolderKind::Serve,
        since: NOW,
    };
    let errors = [
        OpenError::HeldBy {
            folder: path(),
            holder,
        },
        OpenError::NewerSchema { found: 7, known: 1 },
        OpenError::Corrupt {
            path: path().join("doorward.db"),
            detail: "the file is empty".to_owned(),
        },
        OpenError::ReadOnly { path: path() },
        OpenError::DiskFull { path: path() },
        OpenError::OtherOwner {
            path: path(),
            uid: 1001,
        },
        OpenError::NotPrivate {
            path: path(),
            why: "other users may enter it (mode 755)".to_owned(),
        },
        OpenError::Io {
            path: path(),
            detail: "Input/output error (os error 5)".to_owned(),
        },
    ];
    insta::assert_snapshot!(told(errors.iter().map(OpenError::refusal)), @r###"
        store_failed: Another Doorward holds /home/ada/.local/share/doorward: `doorward serve`, process 4711, since 2026-04-24T03:06:40Z.
          -> Use that one, or stop it first (process 4711).
        store_failed: The store has schema 7, and this Doorward knows schemas up to 1.
          -> Nothing was changed. Install the newer Doorward again; a store does not go back.
        store_failed: /home/ada/.local/share/doorward/doorward.db is damaged: the file is empty.
          -> Nothing was changed. Put back a copy of the folder, or move it away and connect again.
        store_failed: /home/ada/.local/share/doorward cannot be written.
          -> Nothing was lost. Make the folder writable, or use another one.
        store_failed: The disk with /home/ada/.local/share/doorward is full.
          -> Nothing was lost. Make room on the disk, then start again.
        store_failed: /home/ada/.local/share/doorward belongs to another user of this machine (uid 1001).
          -> Run Doorward as that user, or name a folder of your own with `--data-dir DIR`.
        store_failed: /home/ada/.local/share/doorward is not private: other users may enter it (mode 755).
          -> Make it yours alone: `chmod -R go= /home/ada/.local/share/doorward`.
        store_failed: /home/ada/.local/share/doorward cannot be opened: Input/output error (os error 5).
          -> Nothing was changed. `doorward doctor` looks closer.
        "###);
}

#[test]
fn why_the_store_failed() {
    let errors = [
        StoreError::Locked,
        StoreError::DiskFull,
        StoreError::ReadOnly,
        StoreError::Corrupt {
            detail: "database disk image is malformed (SQLite 11)".to_owned(),
        },
        StoreError::Busy,
        StoreError::WontOpen {
            what: "a refresh token",
        },
        StoreError::Contradiction {
            detail: "the connection belongs to another tenant".to_owned(),
        },
        StoreError::AuditBroken(AuditFault {
            seq: 12,
            what: Tampering::Edited,
        }),
        StoreError::Io {
            detail: "disk I/O error (SQLite 10)".to_owned(),
        },
    ];
    insta::assert_snapshot!(told(errors.iter().map(StoreError::refusal)), @r###"
        store_locked: The store is locked.
          -> A person unlocks it with `doorward unlock`.
        store_failed: The disk is full.
          -> Nothing was lost. Make room on the disk, then try again.
        store_failed: The store cannot be written.
          -> Nothing was lost. Make the disk writable, then try again.
        store_failed: The store is damaged: database disk image is malformed (SQLite 11).
          -> Nothing was written. Stop Doorward and put back a copy of its folder, or connect again.
        store_failed: The store is kept busy by another program.
          -> Nothing was written. Close the other program, then try again.
        store_failed: A sealed value does not open: a refresh token.
          -> It was changed outside Doorward. Connect again to replace it; `doorward audit verify` looks closer.
        internal: What was to be written contradicts what is stored: the connection belongs to another tenant.
          -> Nothing was written. This is a defect of Doorward; please report it.
        audit_broken: The audit log does not verify: row 12 was edited.
          -> Nothing was changed. Keep a copy of the folder; `doorward audit verify` says what was found.
        store_failed: The store failed: disk I/O error (SQLite 10).
          -> Nothing was written. `doorward doctor` looks closer.
        "###);
}

#[test]
fn why_the_store_stays_locked() {
    let (keyring, passphrase) = (SourceKind::Keyring, SourceKind::Passphrase);
    let absent =
        KeySourceError::Absent("no secret service provider or dbus session found".to_owned());
    let errors = [
        UnlockError::Source(absent),
        UnlockError::Source(KeySourceError::Locked(
            "SS error: prompt dismissed".to_owned(),
        )),
        UnlockError::Source(KeySourceError::TimedOut { seconds: 10 }),
        UnlockError::Source(KeySourceError::Other("zbus error: I/O error".to_owned())),
        UnlockError::WrongPassphrase,
        UnlockError::KeyMissing,
        UnlockError::WrongKey,
        UnlockError::OtherSource {
            made_with: passphrase,
            given: keyring,
        },
        UnlockError::OtherSource {
            made_with: keyring,
            given: passphrase,
        },
    ];
    insta::assert_snapshot!(told(errors.iter().map(UnlockError::refusal)), @r###"
        store_locked: There is no OS keyring to ask: no secret service provider or dbus session found.
          -> Log in to a desktop session whose keyring is running, then `doorward unlock`.
        store_locked: The OS keyring is locked: SS error: prompt dismissed.
          -> Unlock the OS keyring (logging in does), then `doorward unlock`.
        store_locked: The OS keyring did not answer within 10 s.
          -> Look for a window that asks for the keyring's password, then `doorward unlock`.
        store_locked: No key could be had: zbus error: I/O error.
          -> Try `doorward unlock` again; `doorward doctor` looks closer.
        passphrase_wrong: That is not the store's passphrase.
          -> Try again; nothing was lost.
        store_locked: The OS keyring does not hold this store's key.
          -> Log in as the user and on the machine that made the store, or move its folder away and connect again.
        store_locked: The key in the OS keyring is not this store's.
          -> Log in as the user and on the machine that made the store, or move its folder away and connect again.
        passphrase_required: The store's key comes from a passphrase, not from a keyring.
          -> Unlock it with its passphrase: `doorward unlock`.
        store_locked: The store's key comes from a keyring, not from a passphrase.
          -> Its key is in the OS keyring: `doorward unlock` asks that.
        "###);
    let same = RotateError::OtherSource {
        made_with: keyring,
        given: passphrase,
    };
    assert_eq!(same.refusal(), errors[8].refusal());
}

#[test]
fn what_is_wrong_with_an_audit_log() {
    let all = [
        Tampering::Edited,
        Tampering::Missing,
        Tampering::Reordered,
        Tampering::CutOff,
        Tampering::HeadForged,
    ];
    let told: Vec<_> = all
        .into_iter()
        .map(|what| AuditFault { seq: 12, what }.to_string())
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r###"
        row 12 was edited
        row 12 is missing
        row 12 was put in another place
        everything from row 12 on was cut off
        the sealed end of the log, after row 12, was forged or removed
        "###);
}
