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
    const IS_SINGLE: bool = true;
    /// What cannot be done at once is done by another write.
    const IS_APART: bool = true;
    /// `None` where a transaction has to look.
    type Answer = Option<Found>;

    async fn at_once(
        &mut self,
        session: &mut Session<'_>,
        clock: &StoreClock,
    ) -> Result<Option<Option<Found>>, sqlx::Error> {
        let (moved_ms, kept_events) = (clock.moved_ms(), i64::from(session.kept_events()));
        let (queue, leasing) = (self.queue.as_str(), Leasing::of(self.lease, &self.worker));
        let args = Args::new().with(moved_ms).with(queue).with(queue).with(queue);
        let args = leasing.bind_span(args.with(self.max as i64));
        let args =
            args.with(&[events::code(EventKind::Started)][..]).with(kept_events).with(kept_events);
        let rows = session.sql.fetch(statements::CLAIM, args).await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        session.now_ms = clock.adjust(row::integer(first, "now_ms")?.saturating_sub(moved_ms));
        if !row::is_set(first, "is_open")? {
            return Ok(Some(None));
        }
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in &rows {
            if row::optional_integer(row, "seq")?.is_some() {
                let task = match row::optional_integer(row, "task_number")? {
                    Some(number) => number,
                    None => session.task(&row::text(row, "task")?).await?,
                };
                deliveries.push(leasing.deliver(row, &self.queue, task, session.now_ms)?);
            }
        }
        session.has_reports = kept_events > 0 && !deliveries.is_empty();
        let due_at = row::optional_integer(first, "next_due_at")?;
        Ok(Some(Some(Found { deliveries, due_at })))
    }

    /// Where the statement did not succeed.
    async fn apply(&mut self, _: &mut Session<'_>) -> Result<Option<Found>, sqlx::Error> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use taskcore::JobId;
    use taskcore::broker::{Broker, Due, QueueShare};

    use super::*;
    use crate::database::DatabaseBroker;
    use crate::database::lab::{job, opened};

    fn request(max: u32) -> Reserve {
        let max = NonZeroU32::new(max).unwrap();
        Reserve {
            queues: vec![QueueShare { queue: QueueName::DEFAULT, max }],
            max,
            lease: Duration::from_secs(60),
            wait: Duration::ZERO,
            worker: "worker".to_owned(),
            interrupt: Default::default(),
        }
    }

    /// What the statement answers, and nothing else: `None` where it leaves the work to a transaction.
    async fn claim(broker: &DatabaseBroker, max: u32) -> Option<Vec<JobId>> {
        let claim = ClaimAtOnce::of(&request(max), &broker.store.link.dialect).unwrap();
        let found = broker.store.write(claim).await.unwrap()?;
        Some(found.deliveries.iter().map(|delivery| delivery.job).collect())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_statement_hands_out_what_is_there() {
        let broker = opened().await;
        assert_eq!(claim(&broker, 9).await, Some(Vec::new()));
        let jobs = [(); 3].map(|()| job(Due::Now, None));
        broker.enqueue(&jobs).await.unwrap();
        assert_eq!(claim(&broker, 2).await, Some(vec![jobs[0].id, jobs[1].id]));
        assert_eq!(claim(&broker, 2).await, Some(vec![jobs[2].id]));
        assert_eq!(claim(&broker, 2).await, Some(Vec::new()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_rings_sends_the_claim_of_who_waits() {
        let broker = opened().await;
        let job = job(Due::Now, None);
        broker.enqueue(std::slice::from_ref(&job)).await.unwrap();
        let claim = || ClaimAtOnce::of(&request(9), &broker.store.link.dialect).unwrap();
        let (appointment, answer) = broker.store.write_at_ring(claim());
        drop(appointment);
        broker.store.watch.wake.ring();
        assert!(answer.await.is_err(), "it was called off");
        let (_appointment, answer) = broker.store.write_at_ring(claim());
        broker.store.watch.wake.ring();
        let found = answer.await.unwrap().unwrap().unwrap();
        assert_eq!(found.deliveries[0].job, job.id);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_it_cannot_do_is_left_to_a_transaction() {
        let broker = opened().await;
        let due = job(Due::After(Duration::from_millis(50)), None);
        broker.enqueue(std::slice::from_ref(&due)).await.unwrap();
        assert_eq!(claim(&broker, 9).await, Some(Vec::new()), "it is not due yet");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(claim(&broker, 9).await, None);
        assert_eq!(broker.reserve(&request(9)).await.unwrap()[0].job, due.id);
        let expired = job(Due::Now, Some(Duration::from_millis(1)));
        broker.enqueue(&[expired]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(claim(&broker, 9).await, None);
        assert!(broker.reserve(&request(9)).await.unwrap().is_empty());
        assert_eq!(claim(&broker, 9).await, Some(Vec::new()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_has_expired_behind_the_first_is_passed_over() {
        let broker = opened().await;
        let jobs = [None, Some(Duration::from_millis(1)), None].map(|span| job(Due::Now, span));
        broker.enqueue(&jobs).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(claim(&broker, 9).await, Some(vec![jobs[0].id, jobs[2].id]));
    }
}
