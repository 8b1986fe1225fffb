//! Due times and times to expire.

use std::time::Duration;

use jiff::Timestamp;
use taskcore::JobId;
use taskcore::broker::{Due, JobFilter, JobState, NewJob, Reserve, Settled, Verdict};

use crate::harness::Harness;
use crate::lab::*;

/// Whatever upkeep does meanwhile.
pub async fn a_job_is_never_handed_out_before_its_due_time(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = jobs(batch, || due_in(lab.ticks(2)));
    lab.store(&jobs).await;
    for _ in 0..2 {
        assert!(lab.reserve(batch).await.is_empty());
        assert!(lab.maintain().await.is_idle());
        assert!(lab.reserve(batch).await.is_empty());
        lab.assert_depth(Counts::scheduled(batch)).await;
        lab.elapse(1).await;
    }
    assert_eq!(jobs_of(&lab.reserve_all(batch).await), ids_of(&jobs));
}

/// To be late by one round of upkeep is to be late.
pub async fn a_due_job_is_handed_out_without_upkeep(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = jobs(batch, || due_in(lab.ticks(1)));
    lab.store(&jobs).await;
    lab.elapse(1).await;
    assert_eq!(jobs_of(&lab.reserve_all(batch).await), ids_of(&jobs));
}

/// Due is ready, for whoever counts.
pub async fn a_due_job_counts_as_ready(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = jobs(batch, || due_in(lab.ticks(1)));
    lab.store(&jobs).await;
    lab.assert_all(&ids_of(&jobs), JobState::Scheduled).await;
    lab.assert_depth(Counts::scheduled(batch)).await;
    lab.elapse(1).await;
    lab.assert_depth(Counts::ready(batch)).await;
    lab.maintain().await;
    lab.assert_depth(Counts::ready(batch)).await;
    lab.assert_all(&ids_of(&jobs), JobState::Ready).await;
}

/// A point in time, on the broker's clock.
pub async fn a_job_may_be_due_at_a_time(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let at = broker_time(&lab).await + lab.ticks(3);
    let jobs = jobs(batch, || NewJob { due: Due::At(at), ..plain_job() });
    lab.store(&jobs).await;
    lab.elapse(1).await;
    lab.maintain().await;
    assert!(lab.reserve(batch).await.is_empty());
    lab.elapse(2).await;
    let deliveries = lab.reserve_all(batch).await;
    assert_eq!(jobs_of(&deliveries), ids_of(&jobs));
    let resolution = lab.broker().capabilities().due_resolution;
    for delivery in deliveries {
        assert!(delivery.due_at >= at && delivery.due_at <= at + resolution);
        assert!(delivery.enqueued_at < delivery.due_at);
    }
}

/// It does not jump the queue of those that were there before.
pub async fn a_due_time_in_the_past_is_now(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let first = lab.stored(batch).await;
    let past = Timestamp::from_second(1).unwrap();
    let jobs = jobs(batch, || NewJob { due: Due::At(past), ..plain_job() });
    lab.store(&jobs).await;
    lab.assert_depth(Counts::ready(2 * batch)).await;
    let deliveries = lab.reserve_all(2 * batch).await;
    assert_eq!(jobs_of(&deliveries), [first, ids_of(&jobs)].concat());
    assert!(deliveries.iter().all(|delivery| delivery.due_at == delivery.enqueued_at));
}

/// No delay is now.
pub async fn a_job_due_after_no_time_can_run_at_once(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = jobs(batch, || due_in(Duration::ZERO));
    lab.store(&jobs).await;
    assert_eq!(jobs_of(&lab.reserve_all(batch).await), ids_of(&jobs));
}

/// Since when it could have run: latencies are counted from there.
pub async fn a_delivery_tells_since_when_it_was_due(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let delay = lab.ticks(1);
    lab.store(&jobs(batch, || due_in(delay))).await;
    lab.elapse(3).await;
    let resolution = lab.broker().capabilities().due_resolution;
    for delivery in lab.reserve_all(batch).await {
        let due = delivery.enqueued_at + delay;
        assert!(delivery.due_at >= due && delivery.due_at <= due + resolution);
    }
}

/// Spans that no calendar holds are kept as far as it goes.
pub async fn a_job_may_be_due_in_a_thousand_years(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    for delay in [1_000 * year, 100_000 * year, Duration::MAX] {
        let expires_in = Some(Duration::MAX);
        lab.store(&jobs(batch, || NewJob { expires_in, ..due_in(delay) })).await;
    }
    let at = Timestamp::MAX;
    lab.store(&jobs(batch, || NewJob { due: Due::At(at), ..plain_job() })).await;
    assert!(lab.reserve(batch).await.is_empty());
    assert!(lab.maintain().await.is_idle());
    lab.assert_depth(Counts::scheduled(4 * batch)).await;
}

/// Upkeep, not only a reserve, ends it.
pub async fn a_job_that_did_not_start_in_time_expires(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let expires_in = Some(lab.ticks(2));
    let jobs = jobs(batch, || NewJob { expires_in, ..plain_job() });
    lab.store(&jobs).await;
    lab.elapse(1).await;
    assert!(lab.maintain().await.is_idle());
    lab.elapse(1).await;
    lab.assert_expires(batch).await;
    if lab.is_transport() {
        // It notices when the job's turn comes.
        assert!(lab.reserve(batch).await.is_empty());
    }
    lab.assert_depth(Counts::default()).await;
    lab.assert_all(&ids_of(&jobs), JobState::Expired).await;
    for (job, outcome) in jobs.iter().zip(lab.kept_outcomes(&ids_of(&jobs)).await) {
        assert_eq!((outcome.job, outcome.state), (job.id, JobState::Expired));
        assert_eq!((outcome.result, outcome.failure), (None, None));
    }
}

/// Even where upkeep has not come round yet.
pub async fn an_expired_job_is_not_handed_out(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let expires_in = Some(lab.ticks(1));
    let expired = jobs(batch, || NewJob { expires_in, ..plain_job() });
    lab.store(&expired).await;
    let others = lab.stored(batch).await;
    lab.elapse(1).await;
    assert_eq!(jobs_of(&lab.reserve_all(batch).await), others);
    lab.maintain().await;
    lab.assert_all(&ids_of(&expired), JobState::Expired).await;
}

/// A job may expire before it is due.
pub async fn a_scheduled_job_expires_too(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let expires_in = Some(lab.ticks(1));
    let jobs = jobs(batch, || NewJob { expires_in, ..due_in(lab.ticks(5)) });
    lab.store(&jobs).await;
    lab.elapse(1).await;
    lab.assert_expires(batch).await;
    lab.assert_all(&ids_of(&jobs), JobState::Expired).await;
    lab.elapse(5).await;
    assert!(lab.reserve(batch).await.is_empty());
}

/// It is the start that has to be in time.
pub async fn a_job_that_started_in_time_does_not_expire(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let expires_in = Some(lab.ticks(1));
    lab.store(&jobs(batch, || NewJob { expires_in, ..plain_job() })).await;
    let deliveries = lab.reserve_all(batch).await;
    lab.extend(&deliveries, 9).await;
    lab.elapse(2).await;
    assert!(lab.maintain().await.is_idle());
    assert_eq!(lab.settle(&deliveries, &done()).await, vec![Settled::Applied; batch]);
}

/// What a worker gives back has not started.
pub async fn a_job_that_was_given_back_may_still_expire(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let expires_in = Some(lab.ticks(2));
    let jobs = jobs(batch, || NewJob { expires_in, ..plain_job() });
    lab.store(&jobs).await;
    let deliveries = lab.reserve_all(batch).await;
    lab.settle(&deliveries, &Verdict::Release).await;
    lab.elapse(3).await;
    assert!(lab.reserve(batch).await.is_empty());
    lab.maintain().await;
    lab.assert_all(&ids_of(&jobs), JobState::Expired).await;
}

/// Whatever upkeep did while it was leased.
pub async fn a_job_that_is_given_back_after_its_time_expires(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = store_expiring(&lab, batch, 1).await;
    let deliveries = lab.reserve_all(batch).await;
    lab.extend(&deliveries, 9).await;
    lab.elapse(2).await;
    assert!(lab.maintain().await.is_idle());
    lab.apply(&deliveries, &Verdict::Release).await;
    lab.assert_expires(batch).await;
    lab.assert_all(&jobs, JobState::Expired).await;
}

/// To wait for a better time is not to start.
pub async fn a_job_that_was_snoozed_may_still_expire(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = store_expiring(&lab, batch, 2).await;
    let deliveries = lab.reserve_all(batch).await;
    lab.apply(&deliveries, &snooze(lab.ticks(1))).await;
    lab.elapse(1).await;
    assert_eq!(lab.maintain().await.expired, 0);
    lab.apply(&lab.reserve_all(batch).await, &snooze(lab.ticks(9))).await;
    lab.elapse(1).await;
    lab.assert_expires(batch).await;
    lab.assert_all(&jobs, JobState::Expired).await;
}

/// It may have started, and done half of its work.
pub async fn a_job_whose_lease_was_lost_does_not_expire(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = store_expiring(&lab, batch, 1).await;
    lab.reserve_all(batch).await;
    assert_eq!(lab.lose_leases().await.reclaimed, batch as u64);
    lab.elapse(2).await;
    assert!(lab.maintain().await.is_idle());
    let again = lab.reserve_all(batch).await;
    lab.assert_again(&again, &jobs);
    lab.apply(&again, &Verdict::Release).await;
    lab.maintain().await;
    lab.assert_again(&lab.reserve_all(batch).await, &jobs);
}

/// It has started in time; what it waits for is its next attempt.
pub async fn a_job_that_has_failed_before_does_not_expire(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = store_expiring(&lab, batch, 2).await;
    lab.apply(&lab.reserve_all(batch).await, &retry(lab.ticks(1))).await;
    lab.elapse(3).await;
    assert_eq!(lab.maintain().await.expired, 0);
    let again = lab.reserve_all(batch).await;
    lab.assert_again(&again, &jobs);
    lab.apply(&again, &Verdict::Release).await;
    assert!(lab.maintain().await.is_idle());
    lab.assert_again(&lab.reserve_all(batch).await, &jobs);
}

/// Its time was that of the call; somebody wants it to run now.
pub async fn a_replayed_job_does_not_expire(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = store_expiring(&lab, batch, 2).await;
    lab.apply(&lab.reserve_all(batch).await, &failed()).await;
    lab.operate().replay(&JobFilter::default()).await.unwrap();
    lab.elapse(3).await;
    assert!(lab.maintain().await.is_idle());
    let again = lab.reserve_all(batch).await;
    lab.assert_again(&again, &jobs);
}

/// Nothing that is kept of a deleted job may fall on a later one: neither of one that was purged
/// nor of one of which nothing was kept.
pub async fn a_deleted_jobs_time_to_expire_goes_with_it(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    store_expiring(&lab, batch, 1).await;
    lab.purge_all().await;
    store_expiring(&lab, batch, 1).await;
    lab.apply(&lab.reserve_all(batch).await, &done_keeping_nothing()).await;
    let later = store_expiring(&lab, batch, 9).await;
    lab.elapse(2).await;
    assert_eq!(lab.maintain().await.expired, 0);
    assert_eq!(jobs_of(&lab.reserve_all(batch).await), later);
}

/// Stores plain jobs that expire after so many ticks.
async fn store_expiring(lab: &Lab<'_>, count: usize, ticks: u32) -> Vec<JobId> {
    let expires_in = Some(lab.ticks(ticks));
    let jobs = jobs(count, || NewJob { expires_in, ..plain_job() });
    lab.store(&jobs).await;
    ids_of(&jobs)
}

/// What time the broker has, as a stored job shows it.
async fn broker_time(lab: &Lab<'_>) -> Timestamp {
    let probe = in_queue("probe");
    lab.store(std::slice::from_ref(&probe)).await;
    let request = Reserve { queues: vec![share("probe", 1)], ..lab.request(1) };
    let deliveries = lab.broker().reserve(&request).await.unwrap();
    assert_eq!(jobs_of(&deliveries), [probe.id]);
    lab.apply(&deliveries, &done()).await;
    deliveries[0].enqueued_at
}
