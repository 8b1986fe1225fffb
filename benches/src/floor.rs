//! The floor: the same rows and the same durability, by the raw driver and nothing else.
//!
//! One connection, batches of 1,000 inserted and of 500 claimed, each batch one statement. A
//! claim marks the rows; a second transaction moves them to a finished table, with the time
//! and without a result, as ours does for a task that returns nothing.

use hereafter::JobId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, QueryBuilder, Row, Sqlite, SqliteConnection,
};

use crate::ours::BATCH;
use crate::stream::item;

/// Jobs of one claim.
const CLAIM: i64 = 500;

/// As large as the stored form of one of our no-op jobs.
pub(crate) fn envelope(id: u64) -> Vec<u8> {
    format!(
        r#"{{"hereafter":1,"task":"taskbench::ours::no_op","args":{{"id":{id},"name":"user_{id}"}},"headers":{{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}}"#
    )
    .into_bytes()
}

async fn open(path: &str) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    Ok(options.connect().await?)
}

/// Stores `jobs` rows.
pub(crate) async fn enqueue(path: &str, jobs: u64) -> anyhow::Result<()> {
    let mut connection = open(path).await?;
    for statement in [
        "CREATE TABLE job (id BLOB PRIMARY KEY, queue TEXT NOT NULL, task TEXT NOT NULL, priority INTEGER NOT NULL,
            due_at INTEGER NOT NULL, attempts INTEGER NOT NULL, claimed INTEGER, envelope BLOB NOT NULL) WITHOUT ROWID",
        "CREATE INDEX ready ON job (queue, priority, due_at, id) WHERE claimed IS NULL",
        "CREATE TABLE finished (id BLOB PRIMARY KEY, queue TEXT NOT NULL, task TEXT NOT NULL, envelope BLOB NOT NULL,
            state INTEGER NOT NULL, finished_at INTEGER NOT NULL, result BLOB) WITHOUT ROWID",
    ] {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    for first in (0..jobs).step_by(BATCH as usize) {
        let rows = first..jobs.min(first + BATCH);
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO job (id, queue, task, priority, due_at, attempts, envelope) ",
        );
        insert.push_values(rows, |mut row, id| {
            row.push_bind(JobId::new().as_bytes().to_vec())
                .push_bind("default")
                .push_bind("taskbench::ours::no_op")
                .push_bind(0_i64)
                .push_bind(1_i64)
                .push_bind(0_i64)
                .push_bind(envelope(id));
        });
        insert.build().execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

/// Claims and finishes every row.
pub(crate) async fn drain(path: &str) -> anyhow::Result<()> {
    let mut connection = open(path).await?;
    for claim in 1_i64.. {
        let claimed = sqlx::query(
            "UPDATE job SET claimed = ?1, attempts = attempts + 1 WHERE id IN
                (SELECT id FROM job WHERE claimed IS NULL AND queue = 'default'
                 ORDER BY priority, due_at, id LIMIT ?2)
             RETURNING id, task, envelope",
        )
        .bind(claim)
        .bind(CLAIM)
        .fetch_all(&mut connection)
        .await?;
        if claimed.is_empty() {
            break;
        }
        finish(&mut connection, &claimed).await?;
    }
    Ok(connection.close().await?)
}

async fn finish(
    connection: &mut SqliteConnection,
    claimed: &[sqlx::sqlite::SqliteRow],
) -> anyhow::Result<()> {
    let marks = vec!["?"; claimed.len()].join(",");
    let mut transaction = connection.begin().await?;
    for statement in [
        format!(
            "INSERT INTO finished SELECT id, queue, task, envelope, 4, 1, NULL FROM job WHERE id IN ({marks})"
        ),
        format!("DELETE FROM job WHERE id IN ({marks})"),
    ] {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for row in claimed {
            query = query.bind(row.try_get::<Vec<u8>, _>("id")?);
        }
        query.execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// Stores rows as a stream's items are, in transactions of 1,000 that do not wait for the disk,
/// and reads them again.
pub(crate) async fn stream(path: &str, items: u64) -> anyhow::Result<()> {
    let mut connection = open(path).await?;
    sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut connection).await?;
    let table =
        "CREATE TABLE item (job INTEGER NOT NULL, position INTEGER NOT NULL, item BLOB NOT NULL,
            PRIMARY KEY (job, position)) WITHOUT ROWID";
    sqlx::query(table).execute(&mut connection).await?;
    for first in (0..items).step_by(BATCH as usize) {
        let rows = first..items.min(first + BATCH);
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO item (job, position, item) ");
        let encoded = rows.map(|id| Ok((id, serde_json::to_vec(&item(id))?)));
        let encoded = encoded.collect::<anyhow::Result<Vec<_>>>()?;
        insert.push_values(encoded, |mut row, (id, item)| {
            row.push_bind(1_i64).push_bind(id.cast_signed()).push_bind(item);
        });
        insert.build().execute(&mut connection).await?;
    }
    for first in (0..items).step_by(BATCH as usize) {
        let read =
            "SELECT item FROM item WHERE job = 1 AND position >= ? ORDER BY position LIMIT ?";
        let read = sqlx::query(read).bind(first.cast_signed()).bind(BATCH.cast_signed());
        for row in read.fetch_all(&mut connection).await? {
            let (id, _): (u64, String) = serde_json::from_slice(row.try_get("item")?)?;
            anyhow::ensure!(id < items, "a row is out of place");
        }
    }
    Ok(connection.close().await?)
}
