//! What became of jobs.

use std::time::Duration;

use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::{BrokerError, Cursor, Finished, Lookup, ResultStore};

use super::args::Args;
use super::broker::SqliteBroker;
use super::connection::Connection;
use super::filter::hexadecimal;
use super::{row, statements};
use taskcore::broker::millis::later;

#[async_trait]
impl ResultStore for SqliteBroker {
    async fn outcomes(&self, ids: &[JobId]) -> Result<Vec<Lookup>, BrokerError> {
        self.store.check_open()?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let now_ms = self.store.clock().now_ms();
        Ok(self.store.read("outcomes", async |sql| outcomes(sql, ids, now_ms).await).await?)
    }

    async fn finished(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Finished, BrokerError> {
        self.store.check_open()?;
        let Some(Cursor(mut from)) = after else {
            let next = self.store.read("finished", last_position).await?;
            return Ok(Finished { ids: Vec::new(), next: Cursor(next) });
        };
        let clock = self.store.clock();
        let over_ms = later(clock.now_ms(), wait);
        let mut listener = self.store.watch.listen();
        loop {
            let found = self.store.read("finished", async |sql| finished(sql, from).await).await?;
            let is_over = clock.now_ms() >= over_ms || self.store.closed.is_cancelled();
            if is_over || !found.ids.is_empty() {
                return Ok(found);
            }
            Cursor(from) = found.next;
            listener.wait(clock, over_ms, [&self.store.closed; 2]).await;
        }
    }
}

async fn outcomes(
    sql: &mut Connection,
    ids: &[JobId],
    now_ms: i64,
) -> Result<Vec<Lookup>, sqlx::Error> {
    let mut lookups = vec![Lookup::Unknown; ids.len()];
    for row in sql.fetch(statements::OUTCOMES, Args::new().with(hexadecimal(ids))).await? {
        let place = row::integer(&row, "key")?;
        let place = usize::try_from(place).ok().filter(|place| *place < ids.len());
        if let Some(place) = place {
            lookups[place] = row::lookup(&row, ids[place], now_ms)?;
        }
    }
    Ok(lookups)
}

async fn last_position(sql: &mut Connection) -> Result<i64, sqlx::Error> {
    let row = sql.fetch_one(statements::FINISHED_LAST, Args::new()).await?;
    row::integer(&row, "position")
}

/// Whole rows, as long as their ids are not too many; at least one.
async fn finished(sql: &mut Connection, after: i64) -> Result<Finished, sqlx::Error> {
    let mut found = Finished { ids: Vec::new(), next: Cursor(after) };
    let args = Args::new().with(after).with(ROWS);
    for row in sql.fetch(statements::FINISHED_AFTER, args).await? {
        let bytes = row::bytes(&row, "jobs")?;
        let (ids, _) = bytes.as_chunks::<16>();
        if !found.ids.is_empty() && found.ids.len() + ids.len() > MAX_IDS {
            break;
        }
        found.ids.extend(ids.iter().copied().map(JobId::from_bytes));
        found.next = Cursor(row::integer(&row, "position")?);
    }
    Ok(found)
}

/// From the contract of `finished`.
const MAX_IDS: usize = 10_000;

/// Rows in one answer: a busy store's have hundreds of ids each.
const ROWS: i64 = 64;
