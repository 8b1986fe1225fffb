//! What became of jobs.

use std::time::Duration;

use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::{BrokerError, Cursor, Finished, Lookup, ResultStore};

use super::args::Args;
use super::broker::DatabaseBroker;
use super::connection::Connection;
use super::feed::{FINISHED, Page};
use super::store::read;
use super::{row, statements};

#[async_trait]
impl ResultStore for DatabaseBroker {
    async fn outcomes(&self, ids: &[JobId]) -> Result<Vec<Lookup>, BrokerError> {
        self.store.check_open()?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let now_ms = self.store.clock().now_ms();
        Ok(read!(self.store, "outcomes", |sql| outcomes(sql, ids, now_ms))?)
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
    sql: &mut Connection<'_>,
    ids: &[JobId],
    now_ms: i64,
) -> Result<Vec<Lookup>, sqlx::Error> {
    let mut lookups = vec![Lookup::Unknown; ids.len()];
    for row in sql.fetch(statements::OUTCOMES, Args::new().with(ids.to_vec())).await? {
        let place = row::integer(&row, "place")?;
        let place = usize::try_from(place).ok().filter(|place| *place < ids.len());
        if let Some(place) = place {
            lookups[place] = row::lookup(&row, ids[place], now_ms)?;
        }
    }
    Ok(lookups)
}
