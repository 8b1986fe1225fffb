//! The floor on SQLite by rusqlite, which is told beside that of sqlx.
//!
//! The same tables, statements, batches and durability, and the same SQLite (one `libsqlite3-sys` is
//! linked). What is faster here is the way to it: rusqlite calls SQLite on the caller's thread, and
//! binds what it is lent; sqlx sends each statement to a thread and each row back. Ours is on sqlx all
//! the same, because its users share its pools and transactions, on three databases alike.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use hereafter::JobId;
use rusqlite::{Connection, Statement, params};

use super::sqlite::{CHECKPOINT_PAGES, CLAIM, CLAIM_ROWS, TABLES};
use super::{Floor, Leave, Manner, TASK, envelope, pieces};

/// A file.
#[derive(Debug)]
pub(super) struct Rusqlite(pub(super) String);

impl Rusqlite {
    fn open(&self) -> rusqlite::Result<Connection> {
        let sql = Connection::open(&self.0)?;
        sql.busy_timeout(Duration::from_secs(30))?;
        sql.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;
             PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"
        ))?;
        Ok(sql)
    }
}

/// Nothing here waits for anybody else, so it may block its thread.
#[async_trait(?Send)]
impl Floor for Rusqlite {
    async fn prepare(&self) -> anyhow::Result<()> {
        Ok(self.open()?.execute_batch(&TABLES.join(";"))?)
    }

    async fn enqueue(&self, jobs: u64, manner: Manner) -> anyhow::Result<Duration> {
        let sql = self.open()?;
        let mut insert = sql.prepare(
            "INSERT INTO job (id, queue, task, priority, due_at, attempts, envelope)
             VALUES (?, 'default', ?, 0, 1, 0, ?)",
        )?;
        let since = Instant::now();
        for rows in pieces(jobs, manner.size()) {
            sql.execute_batch("BEGIN IMMEDIATE")?;
            for row in rows {
                insert.execute(params![JobId::new().as_bytes(), TASK, envelope(row)])?;
            }
            sql.execute_batch("COMMIT")?;
        }
        let took = since.elapsed();
        drop(insert);
        close(&sql)?;
        Ok(took)
    }

    async fn drain(&self, _share: u64, leave: Leave) -> anyhow::Result<()> {
        let sql = self.open()?;
        let mut claim = sql.prepare(CLAIM_ROWS)?;
        let mut finish = sql.prepare(match leave {
            Leave::Outcome => {
                "INSERT INTO outcome (id, state, finished_at) VALUES (?, 4, 1763780000000)"
            }
            Leave::Nothing => "DELETE FROM job WHERE id = ?",
        })?;
        let mut mark = i64::from(std::process::id()) << 32;
        loop {
            mark += 1;
            sql.execute_batch("PRAGMA synchronous = NORMAL")?;
            let claimed = claim_rows(&mut claim, mark)?;
            sql.execute_batch("PRAGMA synchronous = FULL; BEGIN IMMEDIATE")?;
            for id in &claimed {
                finish.execute([id])?;
            }
            sql.execute_batch("COMMIT")?;
            if claimed.is_empty() {
                return Ok(close(&sql)?);
            }
        }
    }
}

/// Copies the log into the file, as ours does.
fn close(sql: &Connection) -> rusqlite::Result<()> {
    sql.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

fn claim_rows(claim: &mut Statement<'_>, mark: i64) -> rusqlite::Result<Vec<[u8; 16]>> {
    let rows = claim.query_map([mark, CLAIM as i64], |row| {
        let _envelope = row.get_ref("envelope")?.as_blob()?;
        row.get("id")
    })?;
    rows.collect()
}
