//! Handing jobs out.

use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use taskcore::broker::{Delivery, EventKind, JobState, QueueShare, Reserve};

use super::args::Args;
use super::dependants;
use super::finish::{self, Ending};
use super::row;
use super::session::Session;
use super::statements;
use super::unique;
use super::writer::Write;
use crate::receipt::HandOut;
use taskcore::broker::millis::later;

/// Leases the heads of queues.
#[derive(Debug)]
pub(super) struct Claim {
    queues: Vec<QueueShare>,
    max: usize,
    lease: Duration,
    worker: String,
    /// Whether a scheduled job was due a moment ago.
    is_due: bool,
}

impl Claim {
    pub(super) fn of(request: &Reserve, is_due: bool) -> Self {
        Self {
            queues: request.queues.clone(),
            max: request.max.get() as usize,
            lease: request.lease,
            worker: request.worker.clone(),
            is_due,
        }
    }
}

impl Write for Claim {
    const NAME: &'static str = "reserve";
    const NEEDS_CALLER: bool = true;
    /// Jobs that it ends as expired are expired after a loss of power too.
    const IS_DURABLE: bool = false;
    type Answer = Vec<Delivery>;

    async fn apply(&mut self, session: &mut Session) -> Result<Vec<Delivery>, sqlx::Error> {
        if self.is_due {
            promote(session, PROMOTE_AT_ONCE).await?;
        }
        let mut deliveries = Vec::new();
        for share in &self.queues {
            let left = self.max - deliveries.len();
            let wanted = left.min(share.max.get() as usize);
            let mut head = Head { claim: self, share, token: rand::random() };
            head.take(session, wanted, &mut deliveries).await?;
        }
        Ok(deliveries)
    }
}

/// Makes at most `max` due jobs ready; answers how many.
pub(super) async fn promote(session: &mut Session, max: i64) -> Result<u64, sqlx::Error> {
    let args = Args::new().with(session.now_ms).with(max);
    let promoted = session.sql.execute(statements::PROMOTE, args).await?;
    if promoted > 0 {
        let args = Args::new().with(promoted.cast_signed() - 1);
        let last = session.sql.fetch_one(statements::LAST_PROMOTED, args).await?;
        let args =
            Args::new().with(row::integer(&last, "due_at")?).with(row::integer(&last, "seq")?);
        session.sql.execute(statements::PROMOTED, args).await?;
        session.has_news = true;
    }
    Ok(promoted)
}

/// Bounds how long a claim holds the lock after a million jobs became due at one time; the
/// next claims promote the rest.
const PROMOTE_AT_ONCE: i64 = 10_000;

/// How often a claim goes on behind jobs that had expired, before it answers.
const ROUNDS: usize = 8;

/// Bounds how many expired jobs a claim ends at once.
const MAX_MARGIN: usize = 10_000;

/// The head of one queue.
struct Head<'a> {
    claim: &'a Claim,
    share: &'a QueueShare,
    token: i64,
}

impl Head<'_> {
    async fn take(
        &mut self,
        session: &mut Session,
        wanted: usize,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), sqlx::Error> {
        let full = deliveries.len() + wanted;
        // How many expired ones it looks beyond: many may have expired together.
        let mut margin = 0;
        for _ in 0..ROUNDS {
            let asked = full - deliveries.len();
            if asked == 0 {
                break;
            }
            let mut rows = self.look(session, asked + margin).await?;
            let is_all = rows.len() < asked + margin;
            margin = (4 * margin + 16).min(MAX_MARGIN);
            cut(&mut rows, asked, session.now_ms)?;
            let Some(last) = rows.last() else { break };
            let expired = self.expire(session, &rows).await?;
            self.lease(session, &rows, last, &expired).await?;
            // Only now: what it releases may belong before `last`.
            dependants::ended(session, &expired, JobState::Expired).await?;
            for row in &rows {
                if !is_expired(row, session.now_ms)? {
                    deliveries.push(self.hand_out(session, row).await?);
                }
            }
            if is_all {
                break;
            }
        }
        Ok(())
    }

    async fn hand_out(
        &self,
        session: &mut Session,
        row: &SqliteRow,
    ) -> Result<Delivery, sqlx::Error> {
        let now_ms = session.now_ms;
        let hand_out = HandOut {
            task: session.task(&row::text(row, "task")?).await?,
            started_ms: now_ms,
            waited_ms: now_ms - row::integer(row, "due_at")?,
        };
        let delivery = row::delivery(row, &self.share.queue, self.token, hand_out)?;
        session.happened(EventKind::Started, delivery.job);
        Ok(delivery)
    }

    async fn look(&self, session: &mut Session, max: usize) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let queue = self.share.queue.as_str();
        let args = Args::new().with(queue).with(queue).with(max as i64);
        session.sql.fetch(statements::HEAD, args).await
    }

    /// Ends what was not started in time; answers which.
    async fn expire(
        &self,
        session: &mut Session,
        rows: &[SqliteRow],
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut seqs = Vec::new();
        let mut ids = Vec::new();
        for row in rows {
            if is_expired(row, session.now_ms)? {
                seqs.push(row::integer(row, "seq")?);
                ids.extend_from_slice(row::job_id(row, "id")?.as_bytes());
            }
        }
        if !seqs.is_empty() {
            finish::finish(session, &seqs, &ids, Ending::Expired).await?;
        }
        Ok(seqs)
    }

    /// Leases the queue's head up to this row, and takes it out of the queue.
    async fn lease(
        &self,
        session: &mut Session,
        rows: &[SqliteRow],
        last: &SqliteRow,
        expired: &[i64],
    ) -> Result<(), sqlx::Error> {
        let now_ms = session.now_ms;
        let lease = Args::new()
            .with(self.token)
            .with(later(now_ms, self.claim.lease))
            .with(now_ms)
            .with(self.claim.worker.as_str());
        session.sql.execute(statements::LEASE, self.up_to(lease, last)?).await?;
        session.sql.execute(statements::TAKE, self.up_to(Args::new(), last)?).await?;
        unique::handed_out(session, rows).await?;
        if !expired.is_empty() {
            finish::end_leases(session, expired).await?;
        }
        Ok(())
    }

    fn up_to(&self, args: Args, last: &SqliteRow) -> Result<Args, sqlx::Error> {
        Ok(args
            .with(self.share.queue.as_str())
            .with(row::integer(last, "rank")?)
            .with(row::integer(last, "due_at")?)
            .with(row::integer(last, "seq")?))
    }
}

/// Drops what comes after so many jobs that have not expired.
fn cut(rows: &mut Vec<SqliteRow>, max: usize, now_ms: i64) -> Result<(), sqlx::Error> {
    let mut live = 0;
    for place in 0..rows.len() {
        live += usize::from(!is_expired(&rows[place], now_ms)?);
        if live > max {
            rows.truncate(place);
            break;
        }
    }
    Ok(())
}

fn is_expired(row: &SqliteRow, now_ms: i64) -> Result<bool, sqlx::Error> {
    Ok(row::optional_integer(row, "expires_at")?.is_some_and(|at| at <= now_ms))
}
