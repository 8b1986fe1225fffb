//! What people do to a running system.

use async_trait::async_trait;
use taskcore::broker::{
    BrokerError, CancelOutcome, CancelScope, Finding, JobFilter, JobRecord, JobState, Operate,
    QueueStatus,
};
use taskcore::{JobId, QueueName};

use super::args::Args;
use super::broker::DatabaseBroker;
use super::cancel::{Cancel, Pause};
use super::connection::Connection;
use super::filter::Query;
use super::link::Target;
use super::statements::filters;
use super::store::read;
use super::sweep::{Purge, Replay, Sweep};
use super::{depth, row, statements};

#[async_trait]
impl Operate for DatabaseBroker {
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, BrokerError> {
        self.store.check_open()?;
        let now_ms = self.store.clock().now_ms();
        Ok(read!(self.store, "jobs", |sql| records(sql, filter, now_ms))?)
    }

    async fn cancel(
        &self,
        ids: &[JobId],
        scope: CancelScope,
    ) -> Result<Vec<CancelOutcome>, BrokerError> {
        self.store.check_open()?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.store.write(Cancel { ids: ids.to_vec(), scope }).await?)
    }

    async fn replay(&self, filter: &JobFilter) -> Result<Vec<JobId>, BrokerError> {
        let filter = JobFilter { states: vec![JobState::Failed], ..filter.clone() };
        let mut replayed = Vec::new();
        let mut sweep = self.sweep(&filter, Replay::CONDITION).await?;
        while let Some(ids) = self.next_of(&mut sweep).await? {
            let mut ids = self.store.write(Replay(sweep.only(ids))).await?;
            sweep.took(ids.len());
            replayed.append(&mut ids);
        }
        Ok(replayed)
    }

    async fn purge(&self, filter: &JobFilter) -> Result<u64, BrokerError> {
        let mut purged = 0;
        let mut sweep = self.sweep(filter, Purge::CONDITION).await?;
        while let Some(ids) = self.next_of(&mut sweep).await? {
            let count = self.store.write(Purge(sweep.only(ids))).await?;
            sweep.took(count);
            purged += count as u64;
        }
        Ok(purged)
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, BrokerError> {
        self.store.check_open()?;
        let now_ms = self.store.clock().now_ms();
        Ok(read!(self.store, "queues", |sql| statuses(sql, now_ms))?)
    }

    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        let statement = if paused { statements::PAUSE } else { statements::RESUME };
        Ok(self.store.write(Pause { queue: queue.to_string(), statement }).await?)
    }

    async fn check(&self) -> Result<Vec<Finding>, BrokerError> {
        self.store.check_open()?;
        Ok(match &self.store.link.target {
            #[cfg(feature = "sqlite")]
            Target::Sqlite(sqlite) => {
                read!(self.store, "check", |sql| sqlite.check(sql, &self.store))?
            }
            #[cfg(feature = "postgres")]
            Target::Postgres(postgres) => {
                read!(self.store, "check", |sql| postgres.check(sql, &self.store))?
            }
            #[cfg(feature = "mysql")]
            Target::Mysql(mysql) => {
                read!(self.store, "check", |sql| mysql.check(sql, &self.store))?
            }
        })
    }
}

impl DatabaseBroker {
    /// A sweep over the jobs of now.
    async fn sweep(
        &self,
        filter: &JobFilter,
        condition: &'static str,
    ) -> Result<Sweep, BrokerError> {
        self.store.check_open()?;
        Ok(read!(self.store, "sweep", |sql| Sweep::start(sql, filter.clone(), condition))?)
    }

    /// The next jobs of a sweep, as they are without the write lock.
    async fn next_of(&self, sweep: &mut Sweep) -> Result<Option<Vec<JobId>>, BrokerError> {
        let now_ms = self.store.clock().now_ms();
        Ok(read!(self.store, "sweep", |sql| sweep.next(sql, now_ms))?)
    }
}

async fn records(
    sql: &mut Connection<'_>,
    filter: &JobFilter,
    now_ms: i64,
) -> Result<Vec<JobRecord>, sqlx::Error> {
    let mut query = Query::of(filters::SELECT_RECORD, filter, now_ms);
    query.add(query.source.newest_first).args.push(filter.limit.map_or(i64::MAX, i64::from));
    let rows = sql.fetch_built(&query.sql, query.args).await?;
    rows.iter().map(|row| row::record(row, now_ms)).collect()
}

async fn statuses(sql: &mut Connection<'_>, now_ms: i64) -> Result<Vec<QueueStatus>, sqlx::Error> {
    let mut depths = depth::all(sql, now_ms).await?;
    let mut paused = Vec::new();
    for row in sql.fetch(statements::PAUSED, Args::new()).await? {
        let queue = row::queue(&row)?;
        depths.entry(queue.clone());
        paused.push(queue);
    }
    let status = |depth: taskcore::broker::Depth| QueueStatus {
        paused: paused.contains(&depth.queue),
        depth,
        consumers: None,
    };
    Ok(depths.by_queue.into_values().map(status).collect())
}
