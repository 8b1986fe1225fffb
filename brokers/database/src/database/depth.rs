//! Counting.

use std::collections::BTreeMap;

use taskcore::QueueName;
use taskcore::broker::Depth;

use super::args::Args;
use super::connection::Connection;
use super::row;
use super::statements;
use taskcore::broker::millis::timestamp;

/// Counts of all queues that hold a job that is not done, cancelled or expired.
pub(super) async fn all(sql: &mut Connection<'_>, now_ms: i64) -> Result<Depths, sqlx::Error> {
    let mut depths = Depths::default();
    for row in sql.fetch(statements::COUNT_READY, Args::new()).await? {
        depths.add_ready(&row)?;
    }
    depths.add_others(sql, now_ms).await?;
    Ok(depths)
}

/// Counts of these queues, in this order.
pub(super) async fn of(
    sql: &mut Connection<'_>,
    queues: &[QueueName],
    now_ms: i64,
) -> Result<Vec<Depth>, sqlx::Error> {
    let mut depths = Depths::default();
    let args = Args::new().with(names(queues.iter()));
    for row in sql.fetch(statements::COUNT_READY_OF, args).await? {
        depths.add_ready(&row)?;
    }
    depths.add_others(sql, now_ms).await?;
    let depth = |queue: &QueueName| {
        depths.by_queue.get(queue).cloned().unwrap_or_else(|| Depth::empty(queue.clone()))
    };
    Ok(queues.iter().map(depth).collect())
}

pub(super) fn names<'a>(queues: impl Iterator<Item = &'a QueueName>) -> Vec<String> {
    queues.map(QueueName::to_string).collect()
}

/// Counts by queue, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Depths {
    pub(super) by_queue: BTreeMap<QueueName, Depth>,
}

impl Depths {
    pub(super) fn entry(&mut self, queue: QueueName) -> &mut Depth {
        self.by_queue.entry(queue).or_insert_with_key(|queue| Depth::empty(queue.clone()))
    }

    fn add_ready(&mut self, row: &row::Row) -> Result<(), sqlx::Error> {
        let depth = self.entry(row::queue(row)?);
        add(&mut depth.ready, row::integer(row, "jobs")?);
        depth.oldest_ready = row::optional_integer(row, "oldest")?.map(timestamp);
        Ok(())
    }

    async fn add_others(
        &mut self,
        sql: &mut Connection<'_>,
        now_ms: i64,
    ) -> Result<(), sqlx::Error> {
        let args = Args::new().with(now_ms).with(now_ms);
        for row in sql.fetch(statements::COUNT_SCHEDULED, args).await? {
            let depth = self.entry(row::queue(&row)?);
            add(&mut depth.scheduled, row::integer(&row, "later")?);
            let due = row::integer(&row, "due")?;
            if due > 0 {
                add(&mut depth.ready, due);
                let oldest = timestamp(row::integer(&row, "oldest")?);
                depth.oldest_ready = Some(depth.oldest_ready.map_or(oldest, |at| at.min(oldest)));
            }
        }
        for row in sql.fetch(statements::COUNT_BLOCKED, Args::new()).await? {
            add(&mut self.entry(row::queue(&row)?).blocked, row::integer(&row, "jobs")?);
        }
        for row in sql.fetch(statements::COUNT_RUNNING, Args::new()).await? {
            add(&mut self.entry(row::queue(&row)?).running, row::integer(&row, "jobs")?);
        }
        for row in sql.fetch(statements::COUNT_FAILED, Args::new()).await? {
            add(&mut self.entry(row::queue(&row)?).failed, row::integer(&row, "jobs")?);
        }
        Ok(())
    }
}

fn add(count: &mut Option<u64>, more: i64) {
    *count = Some(count.unwrap_or(0) + u64::try_from(more).unwrap_or(0));
}
