//! Handing jobs out.

use std::time::Duration;

use taskcore::broker::{Delivery, QueueShare, Reserve};

use super::args::Args;
#[cfg(feature = "mysql")]
use super::dialect::Kind;
use super::hand_out::{Leasing, MAX_MARGIN, is_expired};
use super::row::{self, Row};
use super::session::Session;
use super::statements;
#[cfg(feature = "mysql")]
use super::steps;
use super::writer::Write;

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

/// What there was for a worker.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) deliveries: Vec<Delivery>,
    /// When the next scheduled job is due that was not due yet, of whatever queue.
    pub(super) due_at: Option<i64>,
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
            let head = Head { share, leasing: Leasing::of(self.lease, &self.worker) };
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
pub(super) const PROMOTE_AT_ONCE: i64 = 10_000;

/// How often a claim goes on behind jobs that had expired, before it answers.
const ROUNDS: usize = 8;

/// The head of one queue.
struct Head<'a> {
    share: &'a QueueShare,
    leasing: Leasing<'a>,
}

impl Head<'_> {
    async fn take(
        &self,
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
            let queue = |_: &Row| Ok(self.share.queue.clone());
            self.leasing.hand_out(session, &rows, queue, deliveries).await?;
            if is_all {
                break;
            }
        }
        Ok(())
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
            steps::take(session, queue, &rows, |args| self.leasing.bind(args, now_ms)).await?;
            return Ok(Some(Taken { is_all: rows.len() < asked, rows }));
        }
        #[cfg(feature = "postgres")]
        if !session.sql.dialect.is_serial() {
            let args = Args::new().with(queue).with(queue).with(asked as i64);
            let args = self.leasing.bind(args, session.now_ms);
            let rows = session.sql.fetch(statements::CLAIM, args).await?;
            return Ok(Some(Taken { is_all: rows.len() < asked, rows }));
        }
        let args = Args::new().with(queue).with(queue).with((asked + margin) as i64);
        let mut rows = session.sql.fetch(statements::HEAD, args).await?;
        let is_all = rows.len() < asked + margin;
        cut(&mut rows, asked, session.now_ms)?;
        let Some(last) = rows.last() else { return Ok(None) };
        let lease = self.up_to(self.leasing.bind(Args::new(), session.now_ms), last)?;
        session.sql.execute(statements::LEASE, lease).await?;
        session.sql.execute(statements::TAKE, self.up_to(Args::new(), last)?).await?;
        Ok(Some(Taken { rows, is_all }))
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
