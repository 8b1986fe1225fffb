//! The floor on SQLite by sqlx, the driver of ours.
//!
//! One connection. A batch is one transaction, and up to 500 rows of it one `INSERT`. A claim is an
//! `UPDATE` that marks 1,000 rows and gives them out, whose commit does not wait for the disk; the end
//! of as many jobs is one `INSERT` of outcomes, whose commit does.

use std::ops::Range;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hereafter::JobId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use tokio::time::interval;

use super::{Floor, Leave, Manner, RoundTrip, TASK, envelope, pieces};
use crate::percentiles::{ms_since, now};

/// A file.
#[derive(Debug)]
pub(super) struct Sqlite(pub(super) String);

/// Jobs of one claim. 500 and 2,000 were not clearly faster on any database.
pub(super) const CLAIM: usize = 1_000;

/// Rows of one `INSERT`.
const ROWS: u64 = 500;

/// Shared with the floor by rusqlite.
pub(super) const TABLES: [&str; 3] = [
    "CREATE TABLE job (id BLOB PRIMARY KEY, queue TEXT NOT NULL, task TEXT NOT NULL, priority INTEGER NOT NULL,
        due_at INTEGER NOT NULL, attempts INTEGER NOT NULL, claimed INTEGER, envelope BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX ready ON job (queue, priority, due_at, id) WHERE claimed IS NULL",
    "CREATE TABLE outcome (id BLOB PRIMARY KEY, state INTEGER NOT NULL, finished_at INTEGER NOT NULL,
        result BLOB) WITHOUT ROWID",
];

/// Marks rows as claimed, and gives them out.
pub(super) const CLAIM_ROWS: &str =
    "UPDATE job SET claimed = ?1, attempts = attempts + 1 WHERE id IN
        (SELECT id FROM job WHERE claimed IS NULL AND queue = 'default'
         ORDER BY priority, due_at, id LIMIT ?2)
     RETURNING id, due_at, envelope";

/// As ours: checkpoints are rarer than by default, so pages that change again and again are copied less.
pub(super) const CHECKPOINT_PAGES: &str = "4000";

impl Sqlite {
    async fn open(&self) -> anyhow::Result<SqliteConnection> {
        let options = SqliteConnectOptions::new()
            .filename(&self.0)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30))
            .pragma("cache_size", "-16384")
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
        Ok(options.connect().await?)
    }
}

#[async_trait(?Send)]
impl Floor for Sqlite {
    async fn prepare(&self) -> anyhow::Result<()> {
        let mut sql = self.open().await?;
        for table in TABLES {
            sqlx::query(table).execute(&mut sql).await?;
        }
        close(sql).await
    }

    async fn enqueue(&self, jobs: u64, manner: Manner) -> anyhow::Result<Duration> {
        let mut sql = self.open().await?;
        let since = Instant::now();
        for batch in pieces(jobs, manner.size()) {
            if batch.end - batch.start <= ROWS {
                insert(&mut sql, batch, 1).await?;
                continue;
            }
            let mut transaction = sql.begin().await?;
            for rows in pieces(batch.end - batch.start, ROWS) {
                let rows = batch.start + rows.start..batch.start + rows.end;
                insert(&mut transaction, rows, 1).await?;
            }
            transaction.commit().await?;
        }
        let took = since.elapsed();
        close(sql).await?;
        Ok(took)
    }

    async fn drain(&self, _share: u64, leave: Leave) -> anyhow::Result<()> {
        let mut sql = self.open().await?;
        // Two processes give their claims different marks.
        let mut mark = i64::from(std::process::id()) << 32;
        loop {
            mark += 1;
            let claimed = claim(&mut sql, mark).await?;
            if claimed.is_empty() {
                return close(sql).await;
            }
            finish(&mut sql, &claimed, leave).await?;
        }
    }

    fn round_trip(&self) -> Option<&dyn RoundTrip> {
        Some(self)
    }
}

#[async_trait(?Send)]
impl RoundTrip for Sqlite {
    async fn send(&self, count: u64, gap: Duration) -> anyhow::Result<()> {
        let mut sql = self.open().await?;
        let mut ticks = interval(gap);
        for id in 0..count {
            ticks.tick().await;
            insert(&mut sql, id..id + 1, now().cast_signed()).await?;
        }
        close(sql).await
    }

    /// Looks for commits as often as ours looks after it was woken by the file's watch; but always,
    /// which ours would not, because it takes some of a core.
    async fn receive(&self, count: u64, is_ready: &dyn Fn()) -> anyhow::Result<Vec<f64>> {
        let mut sql = self.open().await?;
        let (mut took, mut seen) = (Vec::new(), None);
        is_ready();
        while (took.len() as u64) < count {
            let version: i64 =
                sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut sql).await?;
            if seen.replace(version) == Some(version) {
                // Nothing else is on this thread, and the runtime's clock has ticks of 1 ms.
                std::thread::sleep(LOOK);
                continue;
            }
            let claimed = claim(&mut sql, version).await?;
            took.extend(claimed.iter().map(|job| ms_since(job.due_at.cast_unsigned())));
            if !claimed.is_empty() {
                finish(&mut sql, &claimed, Leave::Outcome).await?;
            }
        }
        close(sql).await?;
        Ok(took)
    }
}

/// The first pause of ours.
pub(super) const LOOK: Duration = Duration::from_micros(200);

async fn insert(sql: &mut SqliteConnection, rows: Range<u64>, due_at: i64) -> anyhow::Result<()> {
    let values = vec!["(?, 'default', ?, 0, ?, 0, ?)"; rows.clone().count()].join(", ");
    let text = format!(
        "INSERT INTO job (id, queue, task, priority, due_at, attempts, envelope) VALUES {values}"
    );
    let mut query = sqlx::query(AssertSqlSafe(text));
    for row in rows {
        let id = JobId::new().as_bytes().to_vec();
        query = query.bind(id).bind(TASK).bind(due_at).bind(envelope(row));
    }
    query.execute(sql).await?;
    Ok(())
}

#[derive(Debug)]
struct Claimed {
    id: Vec<u8>,
    due_at: i64,
}

async fn claim(sql: &mut SqliteConnection, mark: i64) -> anyhow::Result<Vec<Claimed>> {
    sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut *sql).await?;
    let rows = sqlx::query(CLAIM_ROWS).bind(mark).bind(CLAIM as i64).fetch_all(&mut *sql).await?;
    sqlx::query("PRAGMA synchronous = FULL").execute(sql).await?;
    let claimed = rows.iter().map(|row| {
        let _envelope: &[u8] = row.try_get("envelope")?;
        Ok(Claimed { id: row.try_get("id")?, due_at: row.try_get("due_at")? })
    });
    claimed.collect()
}

async fn finish(
    sql: &mut SqliteConnection,
    claimed: &[Claimed],
    leave: Leave,
) -> anyhow::Result<()> {
    let marks = |mark: &'static str| vec![mark; claimed.len()].join(", ");
    let text = match leave {
        Leave::Outcome => {
            let head = "INSERT INTO outcome (id, state, finished_at)";
            format!("{head} VALUES {}", marks("(?, 4, 1763780000000)"))
        }
        Leave::Nothing => format!("DELETE FROM job WHERE id IN ({})", marks("?")),
    };
    let mut query = sqlx::query(AssertSqlSafe(text));
    for job in claimed {
        query = query.bind(&job.id);
    }
    query.execute(sql).await?;
    Ok(())
}

/// Copies the log into the file, as ours does.
async fn close(mut sql: SqliteConnection) -> anyhow::Result<()> {
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut sql).await?;
    Ok(sql.close().await?)
}

/// Stores rows as a stream's items are, in transactions of 1,000 that do not wait for the disk,
/// and reads them again; answers how long that took.
pub(crate) async fn stream(
    path: &str,
    items: u64,
    item: fn(u64) -> (u64, String),
) -> anyhow::Result<Duration> {
    let mut sql = Sqlite(path.to_owned()).open().await?;
    sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut sql).await?;
    let table =
        "CREATE TABLE item (job INTEGER NOT NULL, position INTEGER NOT NULL, item BLOB NOT NULL,
            PRIMARY KEY (job, position)) WITHOUT ROWID";
    sqlx::query(table).execute(&mut sql).await?;
    let since = Instant::now();
    for rows in pieces(items, ITEMS) {
        let values = vec!["(1, ?, ?)"; rows.clone().count()].join(", ");
        let text = format!("INSERT INTO item (job, position, item) VALUES {values}");
        let mut query = sqlx::query(AssertSqlSafe(text));
        for row in rows {
            query = query.bind(row.cast_signed()).bind(serde_json::to_vec(&item(row))?);
        }
        query.execute(&mut sql).await?;
    }
    for rows in pieces(items, ITEMS) {
        let read =
            "SELECT item FROM item WHERE job = 1 AND position >= ? ORDER BY position LIMIT ?";
        let read = sqlx::query(read).bind(rows.start.cast_signed()).bind(ITEMS.cast_signed());
        for row in read.fetch_all(&mut sql).await? {
            let (id, _): (u64, String) = serde_json::from_slice(row.try_get("item")?)?;
            anyhow::ensure!(id < items, "a row is out of place");
        }
    }
    let took = since.elapsed();
    sql.close().await?;
    Ok(took)
}

/// Items of one transaction, and of one read.
const ITEMS: u64 = 1_000;
