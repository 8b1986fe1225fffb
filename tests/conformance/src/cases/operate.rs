//! What people do to a running system.

use taskcore::JobId;
use taskcore::broker::{CancelOutcome, JobFilter, JobState, Maintain, NewJob};

use crate::harness::Harness;
use crate::lab::*;

/// Ready or scheduled, it never runs.
pub async fn a_job_that_is_cancelled_before_it_starts_never_runs(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let mut ids = lab.stored(batch).await;
    let scheduled = jobs(batch, || due_in(lab.ticks(1)));
    lab.store(&scheduled).await;
    ids.extend(ids_of(&scheduled));
    assert_eq!(lab.cancel(&ids).await, vec![CancelOutcome::Prevented; 2 * batch]);
    lab.assert_all(&ids, JobState::Cancelled).await;
    assert_eq!(lab.depth().await, Counts::default());
    lab.elapse(1).await;
    lab.maintain().await;
    assert!(lab.reserve(batch).await.is_empty());
}

/// It is cancelled from this moment on; its worker is told at the next heartbeat.
pub async fn a_running_job_is_cancelled_at_once(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let ids = jobs_of(&lab.leased(batch).await);
    let answers = lab.second().await.cancel(&ids).await;
    assert_eq!(answers, vec![CancelOutcome::Signalled; batch]);
    lab.assert_all(&ids, JobState::Cancelled).await;
    assert_eq!(lab.depth().await, Counts::default());
    assert_eq!(lab.lose_leases().await.reclaimed, 0);
    assert!(lab.reserve(batch).await.is_empty());
}

/// Also between two attempts.
pub async fn a_job_that_waits_for_its_next_attempt_can_be_cancelled(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.apply(&deliveries, &retry(lab.ticks(1))).await;
    let ids = jobs_of(&deliveries);
    assert_eq!(lab.cancel(&ids).await, vec![CancelOutcome::Prevented; batch]);
    lab.elapse(1).await;
    assert!(lab.reserve(batch).await.is_empty());
    lab.assert_all(&ids, JobState::Cancelled).await;
}

/// What has ended stays as it ended.
pub async fn a_job_that_has_ended_cannot_be_cancelled(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let is_done = lab.leased(batch).await;
    lab.apply(&is_done, &done()).await;
    let has_failed = lab.leased(batch).await;
    lab.apply(&has_failed, &failed()).await;
    let cancelled = lab.stored(batch).await;
    lab.cancel(&cancelled).await;
    let expires_in = Some(lab.ticks(1));
    let expired = jobs(batch, || NewJob { expires_in, ..plain_job() });
    lab.store(&expired).await;
    lab.elapse(1).await;
    lab.maintain().await;
    for (ids, state) in [
        (jobs_of(&is_done), JobState::Done),
        (jobs_of(&has_failed), JobState::Failed),
        (cancelled, JobState::Cancelled),
        (ids_of(&expired), JobState::Expired),
    ] {
        assert_eq!(lab.cancel(&ids).await, vec![CancelOutcome::TooLate; batch], "{state}");
        lab.assert_all(&ids, state).await;
    }
}

/// One answer per id, in order, also for one that is named twice.
pub async fn cancelling_answers_each_id_in_order(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let running = lab.leased(1).await[0].job;
    let ready = lab.stored(1).await[0];
    let answers = lab.cancel(&[JobId::new(), running, ready, running, JobId::new()]).await;
    let (prevented, signalled) = (CancelOutcome::Prevented, CancelOutcome::Signalled);
    let (too_late, unknown) = (CancelOutcome::TooLate, CancelOutcome::Unknown);
    assert_eq!(answers, [unknown, signalled, prevented, too_late, unknown]);
}

/// In order of creation, with all counts back at zero.
pub async fn replay_makes_failed_jobs_ready_in_order_of_creation(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let ids = fail_after_losses(&lab, batch).await;
    lab.elapse(1).await;
    let replayed = lab.operate().replay(&JobFilter::default()).await.unwrap();
    assert_eq!(replayed, ids);
    assert_eq!(lab.depth().await, Counts::ready(batch));
    for record in lab.records(&ids).await {
        assert_eq!((record.failures, record.losses, record.recoveries), (0, 0, 0));
        assert_eq!(record.finished_at, None);
    }
    let deliveries = lab.reserve_all(batch).await;
    assert_eq!(jobs_of(&deliveries), ids);
    for delivery in &deliveries {
        assert_eq!(delivery.attempt.get(), 1);
        assert!(!delivery.suspect);
        assert_eq!(delivery.envelope, envelope_of(delivery.job));
    }
    lab.apply(&deliveries, &done()).await;
    lab.assert_all(&ids, JobState::Done).await;
}

/// Once is once, whoever else replays.
pub async fn replay_replays_each_job_once(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.apply(&deliveries, &failed()).await;
    let twice = [jobs_of(&deliveries), jobs_of(&deliveries)].concat();
    let filter = JobFilter { ids: Some(twice), ..JobFilter::default() };
    assert_eq!(lab.replay_in_order(&filter).await, lab.in_order(jobs_of(&deliveries)));
    assert!(lab.operate().replay(&filter).await.unwrap().is_empty());
    lab.reserve_all(batch).await;
}

/// A job that ended as lost gets its recoveries back.
pub async fn replay_takes_lost_jobs_too(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.begin(&deliveries).await;
    lab.elapse_leases(2).await;
    let strict = Maintain { recovery_limit: 0, ..Maintain::default() };
    lab.broker().maintain(&strict).await.unwrap();
    let replayed = lab.replay_in_order(&JobFilter::default()).await;
    assert_eq!(replayed, lab.in_order(jobs_of(&deliveries)));
    let again = lab.reserve_all(batch).await;
    lab.begin(&again).await;
    let generous = Maintain { recovery_limit: 1, ..Maintain::default() };
    lab.elapse_leases(2).await;
    let upkeep = lab.broker().maintain(&generous).await.unwrap();
    assert_eq!((upkeep.reclaimed, upkeep.lost), (batch as u64, 0));
}

/// Failed jobs only, whatever states the filter names.
pub async fn replay_leaves_jobs_that_did_not_fail_alone(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let is_done = lab.leased(batch).await;
    lab.apply(&is_done, &done()).await;
    let failing = lab.leased(batch).await;
    lab.apply(&failing, &failed()).await;
    let cancelled = lab.stored(batch).await;
    lab.cancel(&cancelled).await;
    let running = lab.leased(batch).await;
    let states = vec![JobState::Done, JobState::Cancelled, JobState::Running];
    let filter = JobFilter { states, ..JobFilter::default() };
    let replayed = lab.operate().replay(&filter).await.unwrap();
    assert_eq!(replayed, jobs_of(&failing));
    lab.assert_all(&jobs_of(&is_done), JobState::Done).await;
    lab.assert_all(&cancelled, JobState::Cancelled).await;
    lab.apply(&running, &done()).await;
}

/// The oldest first, up to the limit, and only what passes.
pub async fn replay_takes_what_passes_the_filter(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(4).await;
    lab.apply(&deliveries, &failed()).await;
    let ids = jobs_of(&deliveries);
    let limited = JobFilter { limit: Some(2), ..JobFilter::default() };
    assert_eq!(lab.operate().replay(&limited).await.unwrap(), ids[..2]);
    let other = JobFilter { task: Some("suite::other".to_owned()), ..JobFilter::default() };
    assert!(lab.operate().replay(&other).await.unwrap().is_empty());
    let one = JobFilter { ids: Some(vec![ids[3]]), ..JobFilter::default() };
    assert_eq!(lab.operate().replay(&one).await.unwrap(), ids[3..]);
    assert_eq!(lab.depth().await, Counts { ready: 3, ..Counts::failed(1) });
}

/// Nothing else goes.
pub async fn purge_deletes_what_passes_the_filter(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let failing = lab.leased(batch).await;
    lab.apply(&failing, &failed()).await;
    let ready = lab.stored(batch).await;
    let other = jobs(batch, || in_queue("other"));
    lab.store(&other).await;
    let filter = JobFilter { states: vec![JobState::Failed], ..JobFilter::default() };
    assert_eq!(lab.operate().purge(&filter).await.unwrap(), batch as u64);
    assert_eq!(lab.states(&jobs_of(&failing)).await, vec![None; batch]);
    let filter = JobFilter { queue: Some(queue("other")), ..JobFilter::default() };
    assert_eq!(lab.operate().purge(&filter).await.unwrap(), batch as u64);
    assert_eq!(lab.operate().purge(&filter).await.unwrap(), 0);
    assert_eq!(lab.depth().await, Counts::ready(batch));
    assert_eq!(jobs_of(&lab.reserve_all(batch).await), ready);
}

/// Of every state, but for those that a worker has.
pub async fn purge_without_a_filter_spares_running_jobs_only(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let is_done = lab.leased(batch).await;
    lab.apply(&is_done, &done()).await;
    let failing = lab.leased(batch).await;
    lab.apply(&failing, &failed()).await;
    let cancelled = lab.stored(batch).await;
    lab.cancel(&cancelled).await;
    let running = lab.leased(batch).await;
    lab.stored(batch).await;
    lab.store(&jobs(batch, || due_in(lab.ticks(1)))).await;
    let purged = lab.operate().purge(&JobFilter::default()).await.unwrap();
    assert_eq!(purged, 5 * batch as u64);
    assert_eq!(lab.depth().await, Counts::running(batch));
    lab.elapse(1).await;
    lab.maintain().await;
    assert!(lab.reserve(batch).await.is_empty());
    lab.apply(&running, &done()).await;
}

/// At most as many as the filter says.
pub async fn purge_keeps_to_the_limit_of_the_filter(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    lab.stored(5).await;
    let filter = JobFilter { limit: Some(2), ..JobFilter::default() };
    assert_eq!(lab.operate().purge(&filter).await.unwrap(), 2);
    assert_eq!(lab.depth().await, Counts::ready(3));
}

/// A pause may be repeated, as everything may.
pub async fn a_queue_that_was_paused_twice_goes_on_at_once(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    lab.stored(1).await;
    lab.operate().pause(&plain_queue(), true).await.unwrap();
    lab.operate().pause(&plain_queue(), true).await.unwrap();
    lab.operate().pause(&plain_queue(), false).await.unwrap();
    lab.reserve_all(1).await;
}

/// Stores jobs and makes them fail after two lost leases and one failed attempt.
async fn fail_after_losses(lab: &Lab<'_>, batch: usize) -> Vec<JobId> {
    let ids = lab.stored(batch).await;
    for _ in 0..2 {
        let deliveries = lab.reserve_all(batch).await;
        lab.begin(&deliveries).await;
        lab.lose_leases().await;
    }
    let deliveries = lab.reserve_all(batch).await;
    let backwards: Vec<_> = deliveries.into_iter().rev().collect();
    lab.apply(&backwards, &failed()).await;
    ids
}
