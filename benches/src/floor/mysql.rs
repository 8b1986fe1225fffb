//! The floor on MariaDB by sqlx, the driver of ours.
//!
//! A batch is one transaction, and up to 1,000 rows of it one `INSERT`. A claim reads 1,000 rows with
//! `SKIP LOCKED` and marks them by their keys, in one transaction; the end of as many jobs is one
//! `INSERT` of outcomes, on a second connection while the next rows are claimed.

use std::ops::Range;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::try_join;
use hereafter::JobId;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Executor, MySqlConnection, Row};

use super::{Floor, Leave, Manner, TASK, envelope, pieces};

/// A server.
#[derive(Debug)]
pub(super) struct Mysql(pub(super) String);

/// Jobs of one claim.
const CLAIM: usize = 1_000;

/// Rows of one `INSERT`.
const ROWS: u64 = 1_000;

impl Mysql {
    async fn open(&self) -> anyhow::Result<MySqlConnection> {
        let options: MySqlConnectOptions = self.0.parse()?;
        let mut sql = options.connect().await?;
        sql.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
        Ok(sql)
    }
}

#[async_trait(?Send)]
impl Floor for Mysql {
    async fn prepare(&self) -> anyhow::Result<()> {
        let mut sql = self.open().await?;
        sqlx::raw_sql(
            "DROP TABLE IF EXISTS floor_job, floor_outcome;
             CREATE TABLE floor_job (id BINARY(16) PRIMARY KEY, queue VARBINARY(64) NOT NULL,
                 task VARBINARY(1000) NOT NULL, priority TINYINT NOT NULL, due_at BIGINT NOT NULL,
                 attempts BIGINT NOT NULL, claimed BIGINT, envelope LONGBLOB NOT NULL,
                 KEY ready (claimed, queue, priority, due_at, id)) ENGINE = InnoDB;
             CREATE TABLE floor_outcome (id BINARY(16) PRIMARY KEY, state TINYINT NOT NULL,
                 finished_at BIGINT NOT NULL, result LONGBLOB) ENGINE = InnoDB",
        )
        .execute(&mut sql)
        .await?;
        Ok(sql.close().await?)
    }

    async fn enqueue(&self, jobs: u64, manner: Manner) -> anyhow::Result<Duration> {
        let mut sql = self.open().await?;
        let since = Instant::now();
        for batch in pieces(jobs, manner.size()) {
            if batch.end - batch.start <= ROWS {
                insert(&mut sql, batch).await?;
                continue;
            }
            let mut transaction = sql.begin().await?;
            for rows in pieces(batch.end - batch.start, ROWS) {
                let rows = batch.start + rows.start..batch.start + rows.end;
                insert(&mut transaction, rows).await?;
            }
            transaction.commit().await?;
        }
        let took = since.elapsed();
        sql.close().await?;
        Ok(took)
    }

    async fn drain(&self, _share: u64, leave: Leave) -> anyhow::Result<()> {
        let (mut claiming, mut finishing) = (self.open().await?, self.open().await?);
        let mut claimed = claim(&mut claiming).await?;
        while !claimed.is_empty() {
            let finish = finish(&mut finishing, &claimed, leave);
            let (next, ()) = try_join(claim(&mut claiming), finish).await?;
            claimed = next;
        }
        claiming.close().await?;
        Ok(finishing.close().await?)
    }
}

async fn insert(sql: &mut MySqlConnection, rows: Range<u64>) -> anyhow::Result<()> {
    let values = vec!["(?, 'default', ?, 0, 1, 0, ?)"; rows.clone().count()].join(", ");
    let text = format!(
        "INSERT INTO floor_job (id, queue, task, priority, due_at, attempts, envelope)
         VALUES {values}"
    );
    let mut arguments = MySqlArguments::default();
    for row in rows {
        add(&mut arguments, JobId::new().as_bytes().as_slice())?;
        add(&mut arguments, TASK.as_bytes())?;
        add(&mut arguments, &envelope(row))?;
    }
    sqlx::query_with(AssertSqlSafe(text), arguments).execute(sql).await?;
    Ok(())
}

fn add(arguments: &mut MySqlArguments, bytes: &[u8]) -> anyhow::Result<()> {
    arguments.add(bytes).map_err(|error| anyhow::anyhow!(error))
}

/// The ids of rows that are marked as claimed.
async fn claim(sql: &mut MySqlConnection) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut transaction = sql.begin().await?;
    let rows = sqlx::query(
        "SELECT id, envelope FROM floor_job FORCE INDEX (ready)
         WHERE claimed IS NULL AND queue = 'default'
         ORDER BY priority, due_at, id LIMIT ? FOR UPDATE SKIP LOCKED",
    );
    let rows = rows.bind(CLAIM as u64).fetch_all(&mut *transaction).await?;
    let ids = rows.iter().map(|row| row.try_get("id")).collect::<Result<Vec<_>, _>>()?;
    if !ids.is_empty() {
        let mark = std::process::id();
        let text = format!(
            "UPDATE floor_job SET claimed = {mark}, attempts = attempts + 1 WHERE id IN ({})",
            marks()
        );
        run(&mut transaction, text, &ids).await?;
    }
    transaction.commit().await?;
    Ok(ids)
}

async fn finish(sql: &mut MySqlConnection, ids: &[Vec<u8>], leave: Leave) -> anyhow::Result<()> {
    match leave {
        Leave::Outcome => {
            // The last ones are fewer.
            let values = vec!["(?, 4, 1763780000000)"; ids.len()].join(", ");
            let text =
                format!("INSERT INTO floor_outcome (id, state, finished_at) VALUES {values}");
            let mut arguments = MySqlArguments::default();
            for id in ids {
                add(&mut arguments, id)?;
            }
            sqlx::query_with(AssertSqlSafe(text), arguments).execute(sql).await?;
            Ok(())
        }
        Leave::Nothing => {
            run(sql, format!("DELETE FROM floor_job WHERE id IN ({})", marks()), ids).await
        }
    }
}

fn marks() -> String {
    vec!["?"; CLAIM].join(", ")
}

/// Runs a statement that takes as many ids as a claim has. One text is prepared once: where there are
/// fewer, the last one stands for those that are missing.
async fn run(sql: &mut MySqlConnection, text: String, ids: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut arguments = MySqlArguments::default();
    for place in 0..CLAIM {
        add(&mut arguments, &ids[place.min(ids.len() - 1)])?;
    }
    sqlx::query_with(AssertSqlSafe(text), arguments).execute(sql).await?;
    Ok(())
}
