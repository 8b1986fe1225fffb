//! History: what happened.

use std::time::Duration;

use super::row::Row;
use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::millis::timestamp;
use taskcore::broker::{
    Attempt, AttemptEnd, BrokerError, EventId, Events, History, JobState, TaskStats, Timeline,
};

use super::args::Args;
use super::broker::DatabaseBroker;
use super::connection::Connection;
use super::look::Look;
use super::numbering::{self, Numbering};
use super::statements::history as statements;
use super::store::read;
use super::{events, row};

#[async_trait]
impl History for DatabaseBroker {
    async fn timeline(&self, job: JobId) -> Result<Option<Timeline>, BrokerError> {
        self.store.check_open()?;
        let now_ms = self.store.clock().now_ms();
        Ok(read!(self.store, "timeline", |sql| timeline(sql, job, now_ms))?)
    }

    async fn stats(&self) -> Result<Vec<TaskStats>, BrokerError> {
        self.store.check_open()?;
        Ok(read!(self.store, "stats", |sql| stats(sql))?)
    }

    async fn events(
        &self,
        after: Option<EventId>,
        max: u32,
        wait: Duration,
    ) -> Result<Events, BrokerError> {
        self.store.check_open()?;
        let Some(after) = after else {
            self.store.number(&numbering::EVENTS).await?;
            let next = read!(self.store, "events", |sql| events::last(sql))?;
            return Ok(Events { missed: 0, events: Vec::new(), next });
        };
        Ok(self.store.look(wait, NextEvents { after, max }).await?)
    }
}

/// Any events after one.
struct NextEvents {
    after: EventId,
    max: u32,
}

impl Look for NextEvents {
    const NAME: &'static str = "events";
    const NUMBERING: Option<&'static Numbering> = Some(&numbering::EVENTS);
    type Answer = Events;

    async fn look(&self, sql: &mut Connection<'_>, _now_ms: i64) -> Result<Events, sqlx::Error> {
        events::after(sql, self.after, self.max).await
    }

    fn is_enough(&self, found: &Events) -> bool {
        !found.events.is_empty()
    }
}

async fn timeline(
    sql: &mut Connection<'_>,
    job: JobId,
    now_ms: i64,
) -> Result<Option<Timeline>, sqlx::Error> {
    let args = Args::new().with(job);
    let rows = sql.fetch(statements::TIMELINE, args).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let task = row::text(row, "task")?;
    let mut attempts = Vec::with_capacity(rows.len());
    for row in &rows {
        if row::optional_integer(row, "attempt")?.is_some() {
            attempts.push(attempt(row, job, &task)?);
        }
    }
    let state = row::state(row, now_ms)?;
    attempts.extend(last_attempt(row, state, attempts.last())?);
    let (created_ms, due_ms) = (row::integer(row, "created_at")?, row::integer(row, "due_at")?);
    Ok(Some(Timeline {
        job,
        created_at: timestamp(created_ms),
        due_at: timestamp(due_ms),
        attempts,
        state,
        finished_at: row::optional_integer(row, "finished_at")?.map(timestamp),
        task,
    }))
}

fn attempt(row: &Row, job: JobId, task: &str) -> Result<Attempt, sqlx::Error> {
    let end = row::text(row, "ended_as")?;
    Ok(Attempt {
        attempt: row::count(row, "attempt")?,
        worker: row::text(row, "worker")?,
        started_at: timestamp(row::integer(row, "started_at")?),
        ended_at: Some(timestamp(row::integer(row, "ended_at")?)),
        end: ENDS.into_iter().find(|known| known.as_str() == end),
        failure: row::failure(row, job, task)?,
    })
}

/// The delivery that has no row of its own: the one that goes on, or that ended the job as done. A
/// job that goes on as another one is done without a further delivery; one that may not has failed
/// with its attempt, and may run again.
fn last_attempt(
    row: &Row,
    state: JobState,
    before: Option<&Attempt>,
) -> Result<Option<Attempt>, sqlx::Error> {
    let is_continued = before.is_some_and(|attempt| {
        attempt.end == Some(AttemptEnd::Continued) && attempt.failure.is_none()
    });
    let end = match state {
        JobState::Running => None,
        JobState::Done if !is_continued => Some(AttemptEnd::Done),
        _ => return Ok(None),
    };
    let Some(started_ms) = row::optional_integer(row, "last_started_at")? else { return Ok(None) };
    Ok(Some(Attempt {
        attempt: row::count(row, "failures")?.saturating_add(1),
        worker: row::optional_text(row, "last_worker")?.unwrap_or_default(),
        started_at: timestamp(started_ms),
        ended_at: row::optional_integer(row, "finished_at")?.map(timestamp),
        end,
        failure: None,
    }))
}

async fn stats(sql: &mut Connection<'_>) -> Result<Vec<TaskStats>, sqlx::Error> {
    let stats = |row: &Row| {
        let count = |column| row::unsigned(row, column);
        let time = |column| row::unsigned(row, column).map(Duration::from_millis);
        Ok(TaskStats {
            task: row::text(row, "name")?,
            stored: count("stored")?,
            done: count("done")?,
            failed: count("failed")?,
            cancelled: count("cancelled")?,
            expired: count("expired")?,
            retried: count("retried")?,
            lost: count("lost")?,
            runs: count("runs")?,
            run_time: time("run_ms")?,
            longest_run: time("longest_run_ms")?,
            wait_time: time("wait_ms")?,
            longest_wait: time("longest_wait_ms")?,
        })
    };
    sql.fetch(statements::TASKS, Args::new()).await?.iter().map(stats).collect()
}

/// Those that have rows.
const ENDS: [AttemptEnd; 5] = [
    AttemptEnd::Failed,
    AttemptEnd::Released,
    AttemptEnd::Continued,
    AttemptEnd::Lost,
    AttemptEnd::Cancelled,
];
