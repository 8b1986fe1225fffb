//! Schedules: jobs that come again and again.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use taskcore::broker::millis::{ceil_ms, later, timestamp};
use taskcore::broker::{
    BrokerError, DueSchedules, Fired, Firing, Found, Hold, NewSchedule, Put, ScheduleFilter,
    ScheduleRecord, Schedules,
};

use super::args::Args;
use super::broker::DatabaseBroker;
use super::connection::Connection;
use super::schedule_row as row;
use super::schedule_write::{Change, Fire, PutSchedules, To, is_as_seen};
use super::statements::schedules as statements;
use super::store::read;

/// A waiting `due` looks again after this span: a worker that listened for commits all the time
/// would slow the commits down.
const RECHECK: Duration = Duration::from_secs(1);

#[async_trait]
impl Schedules for DatabaseBroker {
    async fn now(&self) -> Result<Timestamp, BrokerError> {
        self.store.check_open()?;
        Ok(timestamp(self.store.clock().now_ms()))
    }

    async fn put(&self, batch: &[NewSchedule]) -> Result<Vec<Put>, BrokerError> {
        self.store.check_open()?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.check_templates(batch)?;
        Ok(self.store.write(PutSchedules(batch.to_vec())).await?)
    }

    async fn list(&self, filter: &ScheduleFilter) -> Result<Vec<ScheduleRecord>, BrokerError> {
        self.store.check_open()?;
        let mut records = read!(self.store, "schedules", |sql| records(sql, filter))?;
        records.retain(|record| filter.origin.is_none_or(|origin| record.origin == origin));
        Ok(records)
    }

    async fn due(&self, limit: NonZeroU32, wait: Duration) -> Result<DueSchedules, BrokerError> {
        self.store.check_open()?;
        let clock = self.store.clock();
        let over_ms = later(clock.now_ms(), wait);
        loop {
            let now_ms = clock.now_ms();
            let (due, next_ms) = read!(self.store, "schedules", |sql| look(sql, limit, now_ms))?;
            if now_ms >= over_ms || !due.is_empty() || self.store.closed.is_cancelled() {
                return Ok(DueSchedules { now: timestamp(now_ms), due });
            }
            let recheck_ms = later(now_ms, RECHECK).min(over_ms);
            let until_ms = next_ms.map_or(recheck_ms, |next_ms| next_ms.min(recheck_ms));
            tokio::select! {
                () = clock.sleep_until_ms(until_ms) => {}
                () = self.store.closed.cancelled() => {}
            }
        }
    }

    async fn fire(&self, firing: &Firing) -> Result<Fired, BrokerError> {
        self.store.check_open()?;
        self.check_limits(&firing.jobs)?;
        // Of many workers that see a tick come, all but the first need not write.
        if read!(self.store, "fire", |sql| is_as_seen(sql, firing))?.is_none() {
            return Ok(Fired::Stale);
        }
        Ok(self.store.write(Fire(firing.clone())).await?)
    }

    async fn hold(&self, names: &[String], hold: Hold) -> Result<Vec<Found>, BrokerError> {
        self.store.check_open()?;
        Ok(self.store.write(Change { names: names.to_vec(), to: To::Hold(hold) }).await?)
    }

    async fn delete(&self, names: &[String]) -> Result<Vec<Found>, BrokerError> {
        self.store.check_open()?;
        Ok(self.store.write(Change { names: names.to_vec(), to: To::Nothing }).await?)
    }
}

async fn records(
    sql: &mut Connection<'_>,
    filter: &ScheduleFilter,
) -> Result<Vec<ScheduleRecord>, sqlx::Error> {
    let Some(names) = &filter.names else {
        let rows = sql.fetch(statements::SCHEDULES, Args::new()).await?;
        return rows.iter().map(row::record).collect();
    };
    let mut records = Vec::with_capacity(names.len());
    for name in names.iter().collect::<BTreeSet<_>>() {
        for found in sql.fetch(statements::SCHEDULE, Args::new().with(name.as_str())).await? {
            records.push(row::record(&found)?);
        }
    }
    Ok(records)
}

/// What is due, and when something is next.
async fn look(
    sql: &mut Connection<'_>,
    limit: NonZeroU32,
    now_ms: i64,
) -> Result<(Vec<ScheduleRecord>, Option<i64>), sqlx::Error> {
    let next = sql.fetch_one(statements::SCHEDULE_NEXT, Args::new()).await?;
    let next_ms = row::next_ms(&next)?;
    if next_ms.is_none_or(|next_ms| next_ms > now_ms) {
        return Ok((Vec::new(), next_ms));
    }
    let args = Args::new().with(now_ms).with(i64::from(limit.get()));
    let due = sql.fetch(statements::SCHEDULES_DUE, args).await?;
    Ok((due.iter().map(row::record).collect::<Result<_, _>>()?, next_ms))
}

/// The first whole millisecond, as it is stored.
pub(super) fn tick_ms(tick: Option<Timestamp>) -> Option<i64> {
    tick.map(ceil_ms)
}
