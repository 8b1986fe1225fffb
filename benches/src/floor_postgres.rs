//! The floor on PostgreSQL: the same rows and the same durability, by the raw driver and nothing
//! else.
//!
//! One connection. A batch is one `INSERT … SELECT … FROM unnest`, or a binary `COPY` if it is large,
//! which is faster from about 10,000 rows on; a claim of 500 is one `UPDATE`
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
        let rows: Vec<(JobId, Vec<u8>)> =
            (first..jobs.min(first + batch)).map(|row| (JobId::new(), envelope(row))).collect();
        if rows.len() < COPY_FROM {
            insert(&mut connection, rows).await?;
        } else {
            copy(&mut connection, &rows).await?;
        }
    }
    Ok(connection.close().await?)
}

async fn insert(sql: &mut PgConnection, rows: Vec<(JobId, Vec<u8>)>) -> anyhow::Result<()> {
    let (ids, envelopes): (Vec<Uuid>, Vec<Vec<u8>>) =
        rows.into_iter().map(|(id, envelope)| (Uuid::from_bytes(*id.as_bytes()), envelope)).unzip();
    sqlx::query(
        "INSERT INTO floor_job (id, queue, task, priority, due_at, attempts, envelope)
         SELECT id, 'default', 'taskbench::ours::no_op', 0, 1, 0, envelope
         FROM unnest($1::uuid[], $2::bytea[]) AS input (id, envelope)",
    )
    .bind(ids)
    .bind(envelopes)
    .execute(sql)
    .await?;
    Ok(())
}

/// Rows of one batch from which on they are copied.
const COPY_FROM: usize = 10_000;

/// Bytes that are sent at once.
const PIECE: usize = 64 * 1024;

/// The binary form of <https://www.postgresql.org/docs/current/sql-copy.html>.
async fn copy(sql: &mut PgConnection, rows: &[(JobId, Vec<u8>)]) -> anyhow::Result<()> {
    let mut copy = sql
        .copy_in_raw(
            "COPY floor_job (id, queue, task, priority, due_at, attempts, envelope)
             FROM STDIN (FORMAT binary)",
        )
        .await?;
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for (id, envelope) in rows {
        bytes.extend_from_slice(&7_i16.to_be_bytes());
        let (zero, one) = (0_i64.to_be_bytes(), 1_i64.to_be_bytes());
        let task = b"taskbench::ours::no_op".as_slice();
        for field in [id.as_bytes().as_slice(), b"default", task, &zero, &one, &zero, envelope] {
            bytes.extend_from_slice(&i32::try_from(field.len())?.to_be_bytes());
            bytes.extend_from_slice(field);
        }
        if bytes.len() >= PIECE {
            copy.send(std::mem::take(&mut bytes)).await?;
        }
    }
    bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(bytes).await?;
    copy.finish().await?;
    Ok(())
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
