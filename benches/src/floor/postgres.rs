//! The floor on PostgreSQL by sqlx, the driver of ours.
//!
//! A batch is one `INSERT … SELECT … FROM unnest`, or a binary `COPY` if it is large, which is faster
//! from about 10,000 rows on. A claim is an `UPDATE` with `SKIP LOCKED` that marks rows and gives them
//! out, whose commit does not wait for the disk; the end of as many jobs is one `INSERT` of outcomes,
//! whose commit does, on a second connection while the next rows are claimed. The planner may not use
//! what makes such a queue slow until it is analysed: without that this floor is five times lower.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::try_join;
use hereafter::JobId;
use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::types::Uuid;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};
use tokio::time::interval;

use super::{Floor, Leave, Manner, RoundTrip, TASK, envelope, pieces};
use crate::percentiles::{ms_since, now};

/// A server.
#[derive(Debug)]
pub(super) struct Postgres(pub(super) String);

/// Jobs of one claim.
const CLAIM: i64 = 1_000;

impl Postgres {
    async fn open(&self) -> anyhow::Result<PgConnection> {
        let options: PgConnectOptions = self.0.parse()?;
        let settings = [
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("plan_cache_mode", "force_generic_plan"),
        ];
        Ok(options.options(settings).connect().await?)
    }

    /// One whose commits do not wait for the disk.
    async fn open_claiming(&self) -> anyhow::Result<PgConnection> {
        let mut sql = self.open().await?;
        sql.execute("SET synchronous_commit = off").await?;
        Ok(sql)
    }
}

#[async_trait(?Send)]
impl Floor for Postgres {
    async fn prepare(&self) -> anyhow::Result<()> {
        let mut sql = self.open().await?;
        sqlx::raw_sql(
            "DROP TABLE IF EXISTS floor_job, floor_outcome;
             CREATE TABLE floor_job (id uuid PRIMARY KEY, queue text NOT NULL, task text NOT NULL,
                 priority bigint NOT NULL, due_at bigint NOT NULL, attempts bigint NOT NULL,
                 claimed bigint, envelope bytea NOT NULL);
             CREATE INDEX ready ON floor_job (queue, priority, due_at, id) WHERE claimed IS NULL;
             CREATE TABLE floor_outcome (id uuid PRIMARY KEY, state bigint NOT NULL,
                 finished_at bigint NOT NULL, result bytea)",
        )
        .execute(&mut sql)
        .await?;
        Ok(sql.close().await?)
    }

    async fn enqueue(&self, jobs: u64, manner: Manner) -> anyhow::Result<Duration> {
        let mut sql = self.open().await?;
        let since = Instant::now();
        for batch in pieces(jobs, manner.size()) {
            let rows: Vec<_> = batch.map(|row| (JobId::new(), envelope(row))).collect();
            if rows.len() < COPY_FROM {
                insert(&mut sql, rows).await?;
            } else {
                copy(&mut sql, &rows).await?;
            }
        }
        let took = since.elapsed();
        sql.close().await?;
        Ok(took)
    }

    async fn drain(&self, _share: u64, leave: Leave) -> anyhow::Result<()> {
        let (mut claiming, mut finishing) = (self.open_claiming().await?, self.open().await?);
        let mut claimed = ids(&claim(&mut claiming).await?)?;
        while !claimed.is_empty() {
            let (rows, ()) =
                try_join(claim(&mut claiming), finish(&mut finishing, claimed, leave)).await?;
            claimed = ids(&rows)?;
        }
        claiming.close().await?;
        Ok(finishing.close().await?)
    }

    fn round_trip(&self) -> Option<&dyn RoundTrip> {
        Some(self)
    }
}

#[async_trait(?Send)]
impl RoundTrip for Postgres {
    async fn send(&self, count: u64, gap: Duration) -> anyhow::Result<()> {
        let mut sql = self.open().await?;
        let mut ticks = interval(gap);
        for id in 0..count {
            ticks.tick().await;
            let called = now().cast_signed();
            sqlx::query(
                "WITH stored AS (
                     INSERT INTO floor_job (id, queue, task, priority, due_at, attempts, envelope)
                     VALUES ($1, 'default', $2, 0, $3, 0, $4))
                 SELECT pg_notify('floor', '')",
            )
            .bind(Uuid::from_bytes(*JobId::new().as_bytes()))
            .bind(TASK)
            .bind(called)
            .bind(envelope(id))
            .execute(&mut sql)
            .await?;
        }
        Ok(sql.close().await?)
    }

    async fn receive(&self, count: u64, is_ready: &dyn Fn()) -> anyhow::Result<Vec<f64>> {
        let (mut claiming, mut finishing) = (self.open_claiming().await?, self.open().await?);
        let mut listener = PgListener::connect(&self.0).await?;
        listener.listen("floor").await?;
        is_ready();
        let mut took = Vec::new();
        while (took.len() as u64) < count {
            listener.recv().await?;
            let rows = claim(&mut claiming).await?;
            for row in &rows {
                took.push(ms_since(row.try_get::<i64, _>("due_at")?.cast_unsigned()));
            }
            finish(&mut finishing, ids(&rows)?, Leave::Outcome).await?;
        }
        claiming.close().await?;
        finishing.close().await?;
        Ok(took)
    }
}

async fn insert(sql: &mut PgConnection, rows: Vec<(JobId, Vec<u8>)>) -> anyhow::Result<()> {
    let (ids, envelopes): (Vec<Uuid>, Vec<Vec<u8>>) =
        rows.into_iter().map(|(id, envelope)| (Uuid::from_bytes(*id.as_bytes()), envelope)).unzip();
    sqlx::query(
        "INSERT INTO floor_job (id, queue, task, priority, due_at, attempts, envelope)
         SELECT id, 'default', $3, 0, 1, 0, envelope
         FROM unnest($1::uuid[], $2::bytea[]) AS input (id, envelope)",
    )
    .bind(ids)
    .bind(envelopes)
    .bind(TASK)
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
        let (id, task) = (id.as_bytes().as_slice(), TASK.as_bytes());
        for field in [id, b"default", task, &zero, &one, &zero, envelope] {
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

async fn claim(sql: &mut PgConnection) -> anyhow::Result<Vec<sqlx::postgres::PgRow>> {
    let rows = sqlx::query(
        "UPDATE floor_job SET claimed = $1, attempts = attempts + 1 WHERE id = ANY(ARRAY(
             SELECT id FROM floor_job WHERE claimed IS NULL AND queue = 'default'
             ORDER BY priority, due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED))
         RETURNING id, due_at, envelope",
    )
    .bind(i64::from(std::process::id()))
    .bind(CLAIM);
    Ok(rows.fetch_all(sql).await?)
}

fn ids(rows: &[sqlx::postgres::PgRow]) -> anyhow::Result<Vec<Uuid>> {
    Ok(rows.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?)
}

async fn finish(sql: &mut PgConnection, ids: Vec<Uuid>, leave: Leave) -> anyhow::Result<()> {
    let text = match leave {
        Leave::Outcome => {
            "INSERT INTO floor_outcome (id, state, finished_at)
             SELECT id, 4, 1763780000000 FROM unnest($1::uuid[]) AS ended (id)"
        }
        Leave::Nothing => "DELETE FROM floor_job WHERE id = ANY($1)",
    };
    sqlx::query(text).bind(ids).execute(sql).await?;
    Ok(())
}
