//! [`Leasing`]: what becomes of rows that were taken from the ready table and are leased.

use std::time::Duration;

use taskcore::QueueName;
use taskcore::broker::millis::later;
use taskcore::broker::{Delivery, EventKind, JobState};

use super::args::Args;
use super::dependants;
use super::finish::{self, Ending};
use super::row::{self, Row};
use super::session::Session;
use super::unique;
use super::upkeep::{self, Jobs};
use crate::receipt::HandOut;

/// To whom jobs are handed out, for how long, and by which number that no other hand-out has.
#[derive(Debug)]
pub(super) struct Leasing<'a> {
    lease: Duration,
    worker: &'a str,
    token: i64,
}

impl<'a> Leasing<'a> {
    pub(super) fn of(lease: Duration, worker: &'a str) -> Self {
        Self { lease, worker, token: rand::random() }
    }

    /// Adds what a row of a running job says of its lease.
    pub(super) fn bind(&self, args: Args, now_ms: i64) -> Args {
        args.with(self.token).with(later(now_ms, self.lease)).with(now_ms).with(self.worker)
    }

    /// The same for a statement that finds out what time it is.
    #[cfg(feature = "postgres")]
    pub(super) fn bind_span(&self, args: Args) -> Args {
        args.with(self.token).with(later(0, self.lease)).with(self.worker)
    }

    /// Ends what was not started in time, and hands out the rest in the order of the rows.
    pub(super) async fn hand_out(
        &self,
        session: &mut Session<'_>,
        rows: &[Row],
        queue: impl Fn(&Row) -> Result<QueueName, sqlx::Error>,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), sqlx::Error> {
        unique::handed_out(session, rows).await?;
        expire(session, rows).await?;
        for row in rows {
            if !is_expired(row, session.now_ms)? {
                let task = session.task(&row::text(row, "task")?).await?;
                let delivery = self.deliver(row, &queue(row)?, task, session.now_ms)?;
                session.happened(EventKind::Started, delivery.job);
                deliveries.push(delivery);
            }
        }
        Ok(())
    }

    /// The job of a row, which its worker gets; `task` is the number of its task.
    pub(super) fn deliver(
        &self,
        row: &Row,
        queue: &QueueName,
        task: i64,
        now_ms: i64,
    ) -> Result<Delivery, sqlx::Error> {
        let waited_ms = now_ms - row::integer(row, "due_at")?;
        row::delivery(row, queue, self.token, HandOut { task, started_ms: now_ms, waited_ms })
    }
}

/// Bounds how many expired jobs a claim ends at once.
pub(super) const MAX_MARGIN: usize = 10_000;

async fn expire(session: &mut Session<'_>, rows: &[Row]) -> Result<(), sqlx::Error> {
    let mut expired = Jobs::default();
    for row in rows {
        if is_expired(row, session.now_ms)? {
            expired.add(row)?;
        }
    }
    if expired.seqs.is_empty() {
        return Ok(());
    }
    session.alone()?;
    finish::end_leases(session, &expired.seqs).await?;
    finish::finish(session, &expired.seqs, &expired.ids, Ending::Expired).await?;
    dependants::ended(session, &expired.seqs, JobState::Expired).await?;
    if !session.sql.dialect.is_serial() {
        // It looks at no more than it takes, and many may have expired together.
        upkeep::expire(session, MAX_MARGIN as i64).await?;
    }
    Ok(())
}

pub(super) fn is_expired(row: &Row, now_ms: i64) -> Result<bool, sqlx::Error> {
    Ok(row::optional_integer(row, "expires_at")?.is_some_and(|at| at <= now_ms))
}
