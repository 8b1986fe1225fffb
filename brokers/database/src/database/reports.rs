//! Reports: what running jobs say.

use std::time::Duration;

use super::row::Row;
use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::millis::timestamp;
use taskcore::broker::{
    BrokerError, Demand, Items, JobState, LogLine, Progress, ProgressNow, ReadItems, Report,
    Reports, Settled,
};

use super::args::Args;
use super::broker::DatabaseBroker;
use super::chunks;
use super::connection::Connection;
use super::look::Look;
use super::report::{Pull, Say};
use super::row;
use super::statements::reports as statements;
use super::store::read;

#[async_trait]
impl Reports for DatabaseBroker {
    async fn report(&self, batch: &[Report]) -> Result<Vec<Settled>, BrokerError> {
        self.store.check_open()?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.store.write(Say(batch.to_vec())).await?)
    }

    async fn progress(
        &self,
        job: JobId,
        seen: Option<u64>,
        wait: Duration,
    ) -> Result<ProgressNow, BrokerError> {
        Ok(self.store.look(wait, NewProgress { job, seen: seen.unwrap_or(0) }).await?)
    }

    async fn log(&self, job: JobId) -> Result<Vec<LogLine>, BrokerError> {
        self.store.check_open()?;
        Ok(read!(self.store, "log", |sql| log(sql, job))?)
    }

    async fn items(&self, read: &ReadItems, wait: Duration) -> Result<Items, BrokerError> {
        Ok(self.store.look(wait, NextItems(*read)).await?)
    }

    async fn pull(&self, job: JobId, until: u64) -> Result<(), BrokerError> {
        Ok(self.store.write(Pull { job, until }).await?)
    }

    async fn demand(
        &self,
        known: &[(JobId, u64)],
        wait: Duration,
    ) -> Result<Vec<Option<Demand>>, BrokerError> {
        self.store.check_open()?;
        if known.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.store.look(wait, NewDemand(known)).await?)
    }
}

/// Progress that is newer than what was seen.
struct NewProgress {
    job: JobId,
    seen: u64,
}

impl Look for NewProgress {
    const NAME: &'static str = "progress";
    type Answer = ProgressNow;

    async fn look(
        &self,
        sql: &mut Connection<'_>,
        now_ms: i64,
    ) -> Result<ProgressNow, sqlx::Error> {
        progress(sql, self.job, now_ms).await
    }

    fn is_enough(&self, now: &ProgressNow) -> bool {
        now.version > self.seen || is_over(now.state)
    }
}

/// Any items, or another run than the reader's.
struct NextItems(ReadItems);

impl Look for NextItems {
    const NAME: &'static str = "items";
    type Answer = Items;

    async fn look(&self, sql: &mut Connection<'_>, now_ms: i64) -> Result<Items, sqlx::Error> {
        items(sql, self.0, now_ms).await
    }

    fn is_enough(&self, items: &Items) -> bool {
        !items.items.is_empty() || is_other(self.0.run, items.run) || is_over(items.state)
    }
}

/// That of these streams one is wanted more of than is known.
struct NewDemand<'a>(&'a [(JobId, u64)]);

impl Look for NewDemand<'_> {
    const NAME: &'static str = "demand";
    type Answer = Vec<Option<Demand>>;

    async fn look(
        &self,
        sql: &mut Connection<'_>,
        now_ms: i64,
    ) -> Result<Self::Answer, sqlx::Error> {
        let jobs: Vec<JobId> = self.0.iter().map(|(job, _)| *job).collect();
        demand(sql, &jobs, now_ms).await
    }

    fn is_enough(&self, found: &Self::Answer) -> bool {
        self.0
            .iter()
            .zip(found)
            .any(|((_, known), demand)| demand.is_some_and(|demand| demand.until > *known))
    }
}

/// Whether nothing more comes of a job in this state, `None` if it is unknown.
fn is_over(state: Option<JobState>) -> bool {
    state.is_none_or(JobState::is_final)
}

/// Whether there is another run than the reader's.
fn is_other(reader: Option<u64>, run: Option<u64>) -> bool {
    reader.is_some() && run.is_some() && reader != run
}

async fn progress(
    sql: &mut Connection<'_>,
    job: JobId,
    now_ms: i64,
) -> Result<ProgressNow, sqlx::Error> {
    let rows = sql.fetch(statements::PROGRESS, id(job)).await?;
    let Some(row) = rows.first() else {
        return Ok(ProgressNow { progress: None, version: 0, state: None });
    };
    let version = row::unsigned(row, "version")?;
    let progress = match version {
        0 => None,
        _ => Some(Progress {
            done: row::integer(row, "done")?.cast_unsigned(),
            total: row::integer(row, "total")?.cast_unsigned(),
            message: row::text(row, "message")?,
        }),
    };
    Ok(ProgressNow { progress, version, state: Some(row::state(row, now_ms)?) })
}

async fn log(sql: &mut Connection<'_>, job: JobId) -> Result<Vec<LogLine>, sqlx::Error> {
    let line = |row: &Row| {
        Ok(LogLine {
            at: timestamp(row::integer(row, "at")?),
            attempt: row::count(row, "attempt")?,
            text: row::text(row, "text")?,
        })
    };
    sql.fetch(statements::LOG, id(job)).await?.iter().map(line).collect()
}

async fn items(
    sql: &mut Connection<'_>,
    read: ReadItems,
    now_ms: i64,
) -> Result<Items, sqlx::Error> {
    let asked_run = read.run.map(|run| i64::try_from(run).unwrap_or(i64::MAX));
    let args = Args::new()
        .with(asked_run)
        .with(asked_run)
        .with(i64::try_from(read.from).unwrap_or(i64::MAX))
        .with(read.job)
        .with(i64::from(read.max.clamp(1, MAX_CHUNKS)));
    let rows = sql.fetch(statements::ITEMS, args).await?;
    let Some(row) = rows.first() else {
        let (items, first) = (Vec::new(), read.from);
        return Ok(Items { run: None, first, items, total: 0, state: None });
    };
    let run = Some(row::unsigned(row, "run")?).filter(|run| *run > 0);
    let first = if is_other(read.run, run) { 0 } else { read.from };
    let mut items = Vec::new();
    for row in &rows {
        let Some(chunk_first) = row::optional_integer(row, "first")? else { continue };
        let before = first.saturating_sub(chunk_first.cast_unsigned());
        let bytes = row::bytes(row, "items")?;
        let left = read.max.max(1) as usize - items.len();
        let skipped = usize::try_from(before).unwrap_or(usize::MAX);
        items.extend(chunks::unpack(&bytes).skip(skipped).take(left));
    }
    let (total, state) = (row::unsigned(row, "total")?, Some(row::state(row, now_ms)?));
    Ok(Items { run, first, items, total, state })
}

async fn demand(
    sql: &mut Connection<'_>,
    jobs: &[JobId],
    now_ms: i64,
) -> Result<Vec<Option<Demand>>, sqlx::Error> {
    let mut found = vec![None; jobs.len()];
    for row in sql.fetch(statements::DEMAND, Args::new().with(jobs.to_vec())).await? {
        let sign = row::integer(&row, "started_at")?;
        let sign = row::optional_integer(&row, "pulled_at")?.map_or(sign, |at| at.max(sign));
        let idle = Duration::from_millis(u64::try_from(now_ms - sign).unwrap_or(0));
        let until = row::unsigned(&row, "wanted")?;
        let place = usize::try_from(row::integer(&row, "place")?).unwrap_or(usize::MAX);
        if let Some(found) = found.get_mut(place) {
            *found = Some(Demand { until, idle });
        }
    }
    Ok(found)
}

fn id(job: JobId) -> Args {
    Args::new().with(job)
}

/// In one answer, of 32 KiB each unless an item is larger.
const MAX_CHUNKS: u32 = 64;
