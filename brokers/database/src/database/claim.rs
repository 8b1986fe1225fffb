//! Handing jobs out.

use std::time::Duration;

use super::row::Row;
use taskcore::broker::{Delivery, EventKind, JobState, QueueShare, Reserve};

use super::args::Args;
use super::dependants;
#[cfg(feature = "mysql")]
use super::dialect::Kind;
use super::finish::{self, Ending};
use super::row;
use super::session::Session;
use super::statements;
#[cfg(feature = "mysql")]
use super::steps;
use super::unique;
use super::upkeep::{self, Jobs};
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

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Vec<Delivery>, sqlx::Error> {
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
pub(super) async fn promote(session: &mut Session<'_>, max: i64) -> Result<u64, sqlx::Error> {
    let args = Args::new().with(session.now_ms).with(max);
    #[cfg(feature = "mysql")]
    if session.sql.dialect.kind == Kind::Mysql {
        return steps::promote(session, args).await;
    }
    let promoted = session.sql.execute(statements::PROMOTE, args).await?;
    session.has_news |= promoted > 0;
    // Elsewhere the statement takes them out by itself.
    if promoted > 0 && session.sql.dialect.is_serial() {
        let args = Args::new().with(promoted.cast_signed() - 1);
        let last = session.sql.fetch_one(statements::LAST_PROMOTED, args).await?;
        let args =
            Args::new().with(row::integer(&last, "due_at")?).with(row::integer(&last, "seq")?);
        session.sql.execute(statements::PROMOTED, args).await?;
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
        session: &mut Session<'_>,
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
            let Some(Taken { rows, is_all }) = self.claim(session, asked, margin).await? else {
                break;
            };
            margin = (4 * margin + 16).min(MAX_MARGIN);
            unique::handed_out(session, &rows).await?;
            self.expire(session, &rows).await?;
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
        session: &mut Session<'_>,
        row: &Row,
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

    /// Takes and leases so many jobs, besides what has expired among them.
    async fn claim(
        &self,
        session: &mut Session<'_>,
        asked: usize,
        margin: usize,
    ) -> Result<Option<Taken>, sqlx::Error> {
        let queue = self.share.queue.as_str();
        #[cfg(feature = "mysql")]
        if session.sql.dialect.kind == Kind::Mysql {
            let args = Args::new().with(queue).with(queue).with(asked as i64);
            let rows = session.sql.fetch(statements::HEAD, args).await?;
            let now_ms = session.now_ms;
            steps::take(session, queue, &rows, |args| self.of_lease(args, now_ms)).await?;
            return Ok(Some(Taken { is_all: rows.len() < asked, rows }));
        }
        #[cfg(feature = "postgres")]
        if !session.sql.dialect.is_serial() {
            let args = Args::new().with(queue).with(queue).with(asked as i64);
            let rows =
                session.sql.fetch(statements::CLAIM, self.of_lease(args, session.now_ms)).await?;
            return Ok(Some(Taken { is_all: rows.len() < asked, rows }));
        }
        let args = Args::new().with(queue).with(queue).with((asked + margin) as i64);
        let mut rows = session.sql.fetch(statements::HEAD, args).await?;
        let is_all = rows.len() < asked + margin;
        cut(&mut rows, asked, session.now_ms)?;
        let Some(last) = rows.last() else { return Ok(None) };
        let lease = self.up_to(self.of_lease(Args::new(), session.now_ms), last)?;
        session.sql.execute(statements::LEASE, lease).await?;
        session.sql.execute(statements::TAKE, self.up_to(Args::new(), last)?).await?;
        Ok(Some(Taken { rows, is_all }))
    }

    fn of_lease(&self, args: Args, now_ms: i64) -> Args {
        args.with(self.token)
            .with(later(now_ms, self.claim.lease))
            .with(now_ms)
            .with(self.claim.worker.as_str())
    }

    /// Ends what was not started in time.
    async fn expire(&self, session: &mut Session<'_>, rows: &[Row]) -> Result<(), sqlx::Error> {
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

    fn up_to(&self, args: Args, last: &Row) -> Result<Args, sqlx::Error> {
        Ok(args
            .with(self.share.queue.as_str())
            .with(row::integer(last, "rank")?)
            .with(row::integer(last, "due_at")?)
            .with(row::integer(last, "seq")?))
    }
}

/// Jobs that were taken from a queue and are leased.
struct Taken {
    rows: Vec<Row>,
    /// Whether nothing is left there.
    is_all: bool,
}

/// Drops what comes after so many jobs that have not expired.
fn cut(rows: &mut Vec<Row>, max: usize, now_ms: i64) -> Result<(), sqlx::Error> {
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

fn is_expired(row: &Row, now_ms: i64) -> Result<bool, sqlx::Error> {
    Ok(row::optional_integer(row, "expires_at")?.is_some_and(|at| at <= now_ms))
}
