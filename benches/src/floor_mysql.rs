//! The floor on MariaDB: the same rows and the same durability, by the raw driver and nothing else.
//!
//! One connection. A batch is one `INSERT` of as many rows as it has, at most 1,000 in a statement; a
//! claim of 500 reads them with `SKIP LOCKED` and marks them by their keys, in one transaction; the
//! end of 500 jobs moves them to a finished table, in another one.

use hereafter::JobId;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Executor, MySqlConnection, Row};

use crate::floor::envelope;

/// Jobs of one claim.
const CLAIM: usize = 500;

/// Rows of one `INSERT`.
const ROWS: u64 = 1_000;

async fn open(url: &str) -> anyhow::Result<MySqlConnection> {
    let options: MySqlConnectOptions = url.parse()?;
    let mut connection = options.connect().await?;
    connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
    Ok(connection)
}

/// Stores `jobs` rows in new tables, so many in a transaction.
pub(crate) async fn enqueue(url: &str, jobs: u64, batch: u64) -> anyhow::Result<()> {
    let mut connection = open(url).await?;
    sqlx::raw_sql(
        "DROP TABLE IF EXISTS floor_job, floor_finished;
         CREATE TABLE floor_job (id BINARY(16) PRIMARY KEY, queue VARBINARY(64) NOT NULL,
             task VARBINARY(1000) NOT NULL, priority TINYINT NOT NULL, due_at BIGINT NOT NULL,
             attempts BIGINT NOT NULL, claimed BIGINT, envelope LONGBLOB NOT NULL,
             KEY ready (claimed, queue, priority, due_at, id)) ENGINE = InnoDB;
         CREATE TABLE floor_finished (id BINARY(16) PRIMARY KEY, queue VARBINARY(64) NOT NULL,
             task VARBINARY(1000) NOT NULL, envelope LONGBLOB NOT NULL, state TINYINT NOT NULL,
             finished_at BIGINT NOT NULL, result LONGBLOB) ENGINE = InnoDB",
    )
    .execute(&mut connection)
    .await?;
    for first in (0..jobs).step_by(usize::try_from(batch)?) {
        let end = jobs.min(first + batch);
        let mut transaction = connection.begin().await?;
        for first in (first..end).step_by(usize::try_from(ROWS)?) {
            insert(&mut transaction, first..end.min(first + ROWS)).await?;
        }
        transaction.commit().await?;
    }
    Ok(connection.close().await?)
}

async fn insert(sql: &mut MySqlConnection, rows: std::ops::Range<u64>) -> anyhow::Result<()> {
    let values = vec!["(?, 'default', 'taskbench::ours::no_op', 0, 1, 0, ?)"; rows.clone().count()];
    let text = format!(
        "INSERT INTO floor_job (id, queue, task, priority, due_at, attempts, envelope)
         VALUES {}",
        values.join(", ")
    );
    let mut arguments = MySqlArguments::default();
    for row in rows {
        add(&mut arguments, JobId::new().as_bytes().to_vec())?;
        add(&mut arguments, envelope(row))?;
    }
    sqlx::query_with(AssertSqlSafe(text), arguments).execute(sql).await?;
    Ok(())
}

fn add(arguments: &mut MySqlArguments, bytes: Vec<u8>) -> anyhow::Result<()> {
    arguments.add(bytes).map_err(|error| anyhow::anyhow!(error))
}

/// Claims and finishes every row.
pub(crate) async fn drain(url: &str) -> anyhow::Result<()> {
    let mut connection = open(url).await?;
    for claim in 1_i64.. {
        let mut transaction = connection.begin().await?;
        let claimed = sqlx::query(
            "SELECT id, task, envelope FROM floor_job FORCE INDEX (ready)
             WHERE claimed IS NULL AND queue = 'default'
             ORDER BY priority, due_at, id LIMIT 500 FOR UPDATE SKIP LOCKED",
        )
        .fetch_all(&mut *transaction)
        .await?;
        let ids = claimed.iter().map(|row| row.try_get::<Vec<u8>, _>("id"));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() {
            break;
        }
        let mark = format!("UPDATE floor_job SET claimed = {claim}, attempts = attempts + 1");
        run(&mut transaction, &mark, &ids).await?;
        transaction.commit().await?;
        let mut transaction = connection.begin().await?;
        let keep = "INSERT INTO floor_finished
             SELECT id, queue, task, envelope, 4, 1, NULL FROM floor_job";
        run(&mut transaction, keep, &ids).await?;
        run(&mut transaction, "DELETE FROM floor_job", &ids).await?;
        transaction.commit().await?;
    }
    Ok(connection.close().await?)
}

/// Runs a statement on the rows with these ids.
async fn run(sql: &mut MySqlConnection, statement: &str, ids: &[Vec<u8>]) -> anyhow::Result<()> {
    // One text for every full claim, so that it is prepared once.
    let marks = vec!["?"; ids.len().max(CLAIM)].join(", ");
    let text = format!("{statement} WHERE id IN ({marks})");
    let mut arguments = MySqlArguments::default();
    for place in 0..ids.len().max(CLAIM) {
        add(&mut arguments, ids[place.min(ids.len() - 1)].clone())?;
    }
    sqlx::query_with(AssertSqlSafe(text), arguments).execute(sql).await?;
    Ok(())
}
