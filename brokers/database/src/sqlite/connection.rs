//! [`Connection`]: one SQLite connection, and how statements run on it.

use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _};

use super::args::Args;
use super::bulk::Bulk;
use super::options::{Location, SqliteOptions, Synchronous};

/// One connection. sqlx runs it on a thread of its own; every statement is one hop there and
/// back, so statements here take many rows.
#[derive(Debug)]
pub(super) struct Connection {
    inner: SqliteConnection,
}

impl Connection {
    pub(super) async fn open(options: &SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        Ok(Self { inner: options.connect().await? })
    }

    /// Runs a statement; answers how many rows it touched.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        args: Args,
    ) -> Result<u64, sqlx::Error> {
        Ok(self.run(sql, args).await?.rows_affected())
    }

    /// Runs an insert; answers what SQLite knows of it.
    pub(super) async fn run(
        &mut self,
        sql: &'static str,
        args: Args,
    ) -> Result<sqlx::sqlite::SqliteQueryResult, sqlx::Error> {
        sqlx::query_with(sql, args.into_inner()?).execute(&mut self.inner).await
    }

    /// Runs statements without parameters, uncached.
    pub(super) async fn script(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sql).execute(&mut self.inner).await?;
        Ok(())
    }

    pub(super) async fn fetch(
        &mut self,
        sql: &'static str,
        args: Args,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        sqlx::query_with(sql, args.into_inner()?).fetch_all(&mut self.inner).await
    }

    pub(super) async fn fetch_one(
        &mut self,
        sql: &'static str,
        args: Args,
    ) -> Result<SqliteRow, sqlx::Error> {
        sqlx::query_with(sql, args.into_inner()?).fetch_one(&mut self.inner).await
    }

    /// Runs a statement that was put together from fragments; never from user text.
    pub(super) async fn fetch_built(
        &mut self,
        sql: String,
        args: Args,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        sqlx::query_with(AssertSqlSafe(sql), args.into_inner()?)
            .persistent(false)
            .fetch_all(&mut self.inner)
            .await
    }

    /// Runs a statement over many rows of input; answers how many rows it touched.
    pub(super) async fn execute_bulk<T>(
        &mut self,
        statement: &'static Bulk,
        items: &[T],
        row: impl Fn(&mut Args, &T),
        rest: impl Fn(Args) -> Args,
    ) -> Result<u64, sqlx::Error> {
        let mut touched = 0;
        for chunk in statement.chunks(items, &row, &rest) {
            touched += self.execute(chunk.sql, chunk.args).await?;
        }
        Ok(touched)
    }

    /// Like [`execute_bulk`](Self::execute_bulk), for statements that answer rows.
    pub(super) async fn fetch_bulk<T>(
        &mut self,
        statement: &'static Bulk,
        items: &[T],
        row: impl Fn(&mut Args, &T),
        rest: impl Fn(Args) -> Args,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut rows = Vec::new();
        for chunk in statement.chunks(items, &row, &rest) {
            rows.append(&mut self.fetch(chunk.sql, chunk.args).await?);
        }
        Ok(rows)
    }

    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        self.inner.close().await
    }
}

/// What all connections to this store have in common.
pub(super) fn connect_options(options: &SqliteOptions, memory_name: &str) -> SqliteConnectOptions {
    let base = SqliteConnectOptions::new()
        .create_if_missing(true)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(false)
        .synchronous(match options.synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
            Synchronous::Off => SqliteSynchronous::Off,
        })
        .pragma("cache_size", CACHE_SIZE)
        .pragma("temp_store", "MEMORY")
        // Bulk statements exist in ten sizes each.
        .statement_cache_capacity(STATEMENTS)
        // A full channel costs two thread switches; the largest answer has about this many rows.
        .row_buffer_size(ROWS)
        .disable_statement_logging();
    match &options.location {
        Location::File(path) => base
            .filename(path)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("journal_size_limit", LOG_BYTES),
        // SQLite's own VFS for memory: unlike a shared cache, it locks as files do.
        Location::Memory => base.filename(memory_name).vfs("memdb"),
    }
}

/// The connection that brings a file up to date: the only one that may change its mode.
pub(super) fn first_options(options: &SqliteOptions, memory_name: &str) -> SqliteConnectOptions {
    let base = connect_options(options, memory_name);
    match &options.location {
        Location::File(_) => base.journal_mode(SqliteJournalMode::Wal),
        Location::Memory => base.journal_mode(SqliteJournalMode::Memory),
    }
}

/// The connection of the writer, which waits for locks by itself; see `transact.rs`.
pub(super) fn writer_options(options: &SqliteOptions, memory_name: &str) -> SqliteConnectOptions {
    let base = connect_options(options, memory_name);
    let base = match options.max_size {
        Some(bytes) => base.pragma("max_page_count", (bytes / PAGE_BYTES).max(1).to_string()),
        None => base,
    };
    match &options.location {
        // A pragma, and the last one: those before it may wait for another's recovery.
        Location::File(_) => base.pragma("busy_timeout", "0"),
        Location::Memory => base.journal_mode(SqliteJournalMode::Memory),
    }
}

/// How long a reader, or a switch to the write-ahead log, waits for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// 16 MiB of pages; negative means KiB.
const CACHE_SIZE: &str = "-16384";

/// 16 MiB of log. The default of 4 MiB checkpoints every few batches of a busy worker.
const CHECKPOINT_PAGES: &str = "4000";

/// What is left of the log after a batch that was larger than usual: 64 MiB.
const LOG_BYTES: &str = "67108864";

/// SQLite's default page size.
const PAGE_BYTES: u64 = 4096;

const STATEMENTS: usize = 256;

const ROWS: usize = 1024;
