//! The connection to the database, and transactions that end whatever a full disk does.
//!
//! Where SQLite runs out of room it may roll a transaction back by itself, and refuses the `ROLLBACK` that follows.
//! sqlx counts transactions by the statements that went well. Its count is then one too high: the next transaction
//! becomes a savepoint within one that nobody ends, is answered as written, and is gone with the process. So
//! transactions are begun and ended here, and one that was left open is ended before the connection is used again.

use std::ops::{Deref, DerefMut};

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, raw_sql};

/// The connection to the database.
pub(crate) struct Database {
    connection: SqliteConnection,
    unfinished: bool,
}

impl Database {
    pub(crate) fn new(connection: SqliteConnection) -> Self {
        Self {
            connection,
            unfinished: false,
        }
    }

    /// Begins a transaction. Dropped, it is rolled back before the connection is used again.
    pub(crate) async fn begin(&mut self) -> Result<Transaction<'_>, sqlx::Error> {
        self.settle().await;
        // Before it is so: a caller may go away while it waits.
        self.unfinished = true;
        raw_sql("BEGIN").execute(&mut self.connection).await?;
        Ok(Transaction(self))
    }

    /// Ends a transaction that was left open.
    pub(crate) async fn settle(&mut self) {
        if self.unfinished {
            // Fails where SQLite has done it already.
            let _ended = raw_sql("ROLLBACK").execute(&mut self.connection).await;
            self.unfinished = false;
        }
    }

    pub(crate) async fn close(mut self) -> Result<(), sqlx::Error> {
        self.settle().await;
        self.connection.close().await
    }
}

impl Deref for Database {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Database {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

/// A transaction under way.
pub(crate) struct Transaction<'a>(&'a mut Database);

impl Transaction<'_> {
    /// Ends it well. Where that fails nothing of it is written.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        let committed = raw_sql("COMMIT").execute(&mut self.0.connection).await;
        match committed {
            Ok(_) => {
                self.0.unfinished = false;
                Ok(())
            }
            Err(error) => {
                self.0.settle().await;
                Err(error)
            }
        }
    }
}

impl Deref for Transaction<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.0.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0.connection
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
    use sqlx::{ConnectOptions as _, Row as _};

    use super::*;

    async fn count(from: &mut SqliteConnection) -> i64 {
        let row = sqlx::query("SELECT count(*) FROM t").fetch_one(from).await;
        row.unwrap().get(0)
    }

    async fn put(to: &mut SqliteConnection, length: i64) -> Result<(), sqlx::Error> {
        let put = sqlx::query("INSERT INTO t VALUES (zeroblob($1))").bind(length);
        put.execute(to).await.map(|_| ())
    }

    #[tokio::test]
    async fn what_is_committed_after_a_full_disk_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("t.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let mut database = Database::new(options.connect().await.unwrap());
        let made = "CREATE TABLE t (x BLOB); PRAGMA max_page_count = 8";
        raw_sql(made).execute(&mut *database).await.unwrap();

        for _ in 0..3 {
            {
                let mut transaction = database.begin().await.unwrap();
                put(&mut transaction, 10).await.unwrap();
                put(&mut transaction, 1_000_000).await.unwrap_err();
            }
            // One that is given up without SQLite having had a say.
            put(&mut database.begin().await.unwrap(), 10).await.unwrap();
        }
        database.settle().await;
        assert_eq!(count(&mut database).await, 0);
        let mut transaction = database.begin().await.unwrap();
        put(&mut transaction, 10).await.unwrap();
        transaction.commit().await.unwrap();
        drop(database);

        assert_eq!(count(&mut options.connect().await.unwrap()).await, 1);
    }
}
