//! What became of jobs.

use std::time::Duration;

use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::{BrokerError, Cursor, Finished, Lookup, ResultStore};

use super::args::Args;
use super::broker::SqliteBroker;
use super::connection::Connection;
use super::feed::{FINISHED, Page};
use super::filter::hexadecimal;
use super::{row, statements};

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
        let Page { ids, next } = FINISHED.read(&self.store, after, wait).await?;
        Ok(Finished { ids, next })
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
