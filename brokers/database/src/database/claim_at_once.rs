//! Handing jobs of one queue out in one statement that is its own transaction, on PostgreSQL.

use std::time::Duration;

use taskcore::QueueName;
use taskcore::broker::{EventKind, Reserve};

use super::args::Args;
use super::claim::Found;
use super::dialect::{Dialect, Kind};
use super::events;
use super::hand_out::Leasing;
use super::row;
use super::server_clock::StoreClock;
use super::session::Session;
use super::statements::at_once as statements;
use super::writer::Write;

/// Looks for jobs and leases them in one way there and back, where looking, and a transaction that
/// leases, take five.
#[derive(Debug)]
pub(super) struct ClaimAtOnce {
    queue: QueueName,
    max: usize,
    lease: Duration,
    worker: String,
}

impl ClaimAtOnce {
    /// `None` where it takes more than that.
    pub(super) fn of(request: &Reserve, dialect: &Dialect) -> Option<Self> {
        let [share] = &*request.queues else { return None };
        // A pooler's connection has none of our settings outside of a transaction.
        (dialect.kind == Kind::Postgres && !dialect.is_pooled).then(|| Self {
            queue: share.queue.clone(),
            max: request.max.min(share.max).get() as usize,
            lease: request.lease,
            worker: request.worker.clone(),
        })
    }
}

impl Write for ClaimAtOnce {
    const NAME: &'static str = "reserve";
    const NEEDS_CALLER: bool = true;
    const IS_DURABLE: bool = false;
    /// `None` where a transaction has to look.
    type Answer = Option<Found>;

    async fn at_once(
        &mut self,
        session: &mut Session<'_>,
        clock: &StoreClock,
    ) -> Result<Option<Option<Found>>, sqlx::Error> {
        let (moved_ms, kept_events) = (clock.moved_ms(), i64::from(session.kept_events()));
        let leasing = Leasing::of(self.lease, &self.worker);
        let args = Args::new().with(moved_ms).with(self.queue.as_str()).with(self.queue.as_str());
        let args = leasing.bind_span(args.with(self.max as i64));
        let args = args.with(&[events::code(EventKind::Started)][..]).with(i64::from(kept_events));
        let rows = session.sql.fetch(statements::CLAIM, args).await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        session.now_ms = clock.adjust(row::integer(first, "now_ms")?.saturating_sub(moved_ms));
        if !row::is_set(first, "is_open")? {
            return Ok(Some(None));
        }
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in &rows {
            if row::optional_integer(row, "seq")?.is_some() {
                deliveries.push(leasing.deliver(session, row, &self.queue).await?);
            }
        }
        let due_at = row::optional_integer(first, "next_due_at")?;
        Ok(Some(Some(Found { deliveries, due_at })))
    }

    /// In a transaction with others, or where the statement did not succeed.
    async fn apply(&mut self, _: &mut Session<'_>) -> Result<Option<Found>, sqlx::Error> {
        Ok(None)
    }
}
