//! The floor on PostgreSQL: the same rows and the same durability, by the raw driver and nothing
//! else.
//!
//! One connection. A batch is one `INSERT … SELECT … FROM unnest`; a claim of 500 is one `UPDATE`
//! with `SKIP LOCKED`, whose commit does not wait for the disk; the end of 500 jobs moves them to a
//! finished table, in one transaction that does. The planner may not use what makes such a queue
//! slow until it is analysed: without that this floor is five times lower.

use hereafter::JobId;
use sqlx::postgres::PgConnectOptions;
use sqlx::types::Uuid;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};

use crate::floor::envelope;

/// Jobs of one claim.
const CLAIM: i64 = 500;

async fn open(url: &str) -> anyhow::Result<PgConnection> {
    let options: PgConnectOptions = url.parse()?;
    let settings = [
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ];
    Ok(options.options(settings).connect().await?)
}

/// Stores `jobs` rows in new tables, so many in a transaction.
pub(crate) async fn enqueue(url: &str, jobs: u64, batch: u64) -> anyhow::Result<()> {
    let mut connection = open(url).await?;
    sqlx::raw_sql(
        "DROP TABLE IF EXISTS floor_job, floor_finished;
         CREATE TABLE floor_job (id uuid PRIMARY KEY, queue text NOT NULL, task text NOT NULL,
             priority bigint NOT NULL, due_at bigint NOT NULL, attempts bigint NOT NULL,
             claimed bigint, envelope bytea NOT NULL);
         CREATE INDEX ready ON floor_job (queue, priority, due_at, id) WHERE claimed IS NULL;
         CREATE TABLE floor_finished (id uuid PRIMARY KEY, queue text NOT NULL, task text NOT NULL,
             envelope bytea NOT NULL, state bigint NOT NULL, finished_at bigint NOT NULL,
             result bytea)",
    )
    .execute(&mut connection)
    .await?;
    for first in (0..jobs).step_by(usize::try_from(batch)?) {
        let rows = first..jobs.min(first + batch);
        let ids: Vec<Uuid> =
            rows.clone().map(|_| Uuid::from_bytes(*JobId::new().as_bytes())).collect();
        let envelopes: Vec<Vec<u8>> = rows.map(envelope).collect();
        sqlx::query(
            "INSERT INTO floor_job (id, queue, task, priority, due_at, attempts, envelope)
             SELECT id, 'default', 'taskbench::ours::no_op', 0, 1, 0, envelope
             FROM unnest($1::uuid[], $2::bytea[]) AS input (id, envelope)",
        )
        .bind(ids)
        .bind(envelopes)
        .execute(&mut connection)
        .await?;
    }
    Ok(connection.close().await?)
}

/// Claims and finishes every row.
pub(crate) async fn drain(url: &str) -> anyhow::Result<()> {
    let mut connection = open(url).await?;
    for claim in 1_i64.. {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql("SET LOCAL synchronous_commit = off").execute(&mut *transaction).await?;
        let claimed = sqlx::query(
            "UPDATE floor_job SET claimed = $1, attempts = attempts + 1 WHERE id = ANY(ARRAY(
                 SELECT id FROM floor_job WHERE claimed IS NULL AND queue = 'default'
                 ORDER BY priority, due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED))
             RETURNING id, task, envelope",
        )
        .bind(claim)
        .bind(CLAIM)
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        if claimed.is_empty() {
            break;
        }
        let ids = claimed.iter().map(|row| row.try_get::<Uuid, _>("id"));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        sqlx::query(
            "WITH gone AS (DELETE FROM floor_job WHERE id = ANY($1)
                           RETURNING id, queue, task, envelope)
             INSERT INTO floor_finished
             SELECT id, queue, task, envelope, 4, 1, NULL FROM gone",
        )
        .bind(ids)
        .execute(&mut connection)
        .await?;
    }
    Ok(connection.close().await?)
}
