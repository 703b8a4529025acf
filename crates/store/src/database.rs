//! The database file: made whole, opened with care, migrated forward only.
//!
//! A file that is there is never taken for a new one: a new database is made under another name and moved into place
//! when it is complete, so an empty or cut-off file is damage, not a first start.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};
use uuid::Uuid;

use crate::error::{OpenError, StoreError};
use crate::folder::private_file;
use crate::{meta, seal};

/// The database, within its folder.
pub(crate) const FILE: &str = "doorward.db";
const FILE_IN_MAKING: &str = "doorward.db.new";
/// What a copy made before a migration is called; the schema's number follows.
const COPY_PREFIX: &str = "doorward.db.before-";
/// What SQLite keeps beside a database, by the end of its name.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Each brings the schema from the number before it to its own. Never changed once released, only added to.
const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("../migrations/0001_first.sql")),
    (2, include_str!("../migrations/0002_flights.sql")),
    (3, include_str!("../migrations/0003_metrics_and_ends.sql")),
    (4, include_str!("../migrations/0004_answers.sql")),
    (5, include_str!("../migrations/0005_locks.sql")),
];

/// The newest schema that this program knows.
pub(crate) fn newest_schema() -> i64 {
    MIGRATIONS.last().map_or(0, |(number, _)| *number)
}

/// Opens the database of a folder that is held.
pub(crate) async fn open(folder: &Path) -> Result<SqliteConnection, OpenError> {
    let path = folder.join(FILE);
    let failed = |error: StoreError| OpenError::from_store(path.clone(), error);
    prepare(folder, &path).await?;
    let mut connection = connect(&path).await.map_err(failed)?;
    check(&mut connection).await.map_err(failed)?;
    let found = schema(&mut connection).await.map_err(failed)?;
    let known = newest_schema();
    if found > known {
        return Err(OpenError::NewerSchema { found, known });
    }
    if found < known {
        copy_before(folder, &mut connection, found).await?;
        migrate(&mut connection, found).await.map_err(failed)?;
    }
    // Whatever a crash left in the journal or beside the file goes.
    empty_journal(&mut connection).await.map_err(failed)?;
    remove_copies(folder).map_err(|error| OpenError::from_io(folder.to_owned(), &error))?;
    Ok(connection)
}

/// Sees to it that a whole database is there, private to its owner.
async fn prepare(folder: &Path, path: &Path) -> Result<(), OpenError> {
    let failed = |error: &io::Error| OpenError::from_io(path.to_owned(), error);
    let damaged = |detail: &str| OpenError::Corrupt {
        path: path.to_owned(),
        detail: detail.to_owned(),
    };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(OpenError::NotPrivate {
                path: path.to_owned(),
                why: "it is not a plain file".to_owned(),
            });
        }
        Ok(found) if found.len() == 0 => return Err(damaged("the file is empty")),
        Ok(_) => return make_private(path).map_err(|error| failed(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&error)),
    }
    if companion(path, "-wal").exists() {
        return Err(damaged("its journal is there and the file itself is gone"));
    }
    let in_making = folder.join(FILE_IN_MAKING);
    remove_with_companions(&in_making).map_err(|error| failed(&error))?;
    private_file(&in_making).map_err(|error| failed(&error))?;
    make(&in_making)
        .await
        .map_err(|error| OpenError::from_store(path.to_owned(), error))?;
    fs::rename(&in_making, path)
        .and_then(|()| sync(folder))
        .map_err(|error| failed(&error))
}

async fn make(path: &Path) -> Result<(), StoreError> {
    let mut connection = connect(path).await?;
    migrate(&mut connection, 0).await?;
    let installation = Uuid::from_bytes(seal::random()?);
    meta::put(
        &mut connection,
        meta::INSTALLATION,
        installation.to_string().as_bytes(),
    )
    .await?;
    empty_journal(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

async fn connect(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit that was answered survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        // The folder is held, so nobody else has business in the file.
        .locking_mode(SqliteLockingMode::Exclusive)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("secure_delete", "ON")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging();
    Ok(options.connect().await?)
}

async fn check(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let row = connection.fetch_one("PRAGMA quick_check(1)").await?;
    let verdict: String = row.try_get(0)?;
    if verdict == "ok" {
        Ok(())
    } else {
        let found = verdict
            .trim_start_matches("*** in database main ***")
            .trim();
        Err(StoreError::Corrupt {
            detail: format!("its pages do not hold together ({found})"),
        })
    }
}

async fn schema(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let stated = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'meta'";
    let found = match connection.fetch_optional(stated).await? {
        Some(_) => meta::text(connection, meta::SCHEMA).await?,
        None => None,
    };
    found
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| StoreError::Corrupt {
            detail: "it does not say which schema it has".to_owned(),
        })
}

async fn migrate(connection: &mut SqliteConnection, from: i64) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    for (number, script) in MIGRATIONS.iter().filter(|(number, _)| *number > from) {
        sqlx::raw_sql(*script).execute(&mut *transaction).await?;
        meta::put(
            &mut transaction,
            meta::SCHEMA,
            number.to_string().as_bytes(),
        )
        .await?;
    }
    Ok(transaction.commit().await?)
}

async fn copy_before(
    folder: &Path,
    connection: &mut SqliteConnection,
    found: i64,
) -> Result<(), OpenError> {
    let copy = folder.join(format!("{COPY_PREFIX}{found}"));
    empty_journal(connection)
        .await
        .map_err(|error| OpenError::from_store(folder.to_owned(), error))?;
    private_file(&copy)
        .and_then(|mut to| {
            to.set_len(0)?;
            io::copy(&mut File::open(folder.join(FILE))?, &mut to)?;
            to.sync_all()
        })
        .and_then(|()| sync(folder))
        .map_err(|error| OpenError::from_io(copy.clone(), &error))
}

/// Writes the journal into the file and cuts it to nothing, so that no older page stays readable in it.
pub(crate) async fn empty_journal(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let row = connection
        .fetch_one("PRAGMA wal_checkpoint(TRUNCATE)")
        .await?;
    if row.try_get::<i64, _>(0)? == 0 {
        Ok(())
    } else {
        Err(StoreError::Busy)
    }
}

/// Removes copies that a migration has left, if one was cut short.
pub(crate) fn remove_copies(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(COPY_PREFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn companion(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn remove_with_companions(path: &Path) -> io::Result<()> {
    let all = COMPANIONS
        .iter()
        .map(|end| companion(path, end))
        .chain([path.to_owned()]);
    for file in all {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
    } else {
        Ok(())
    }
}

#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn make_private(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn sync(_folder: &Path) -> io::Result<()> {
    Ok(())
}
