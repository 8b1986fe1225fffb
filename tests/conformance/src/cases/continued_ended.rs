//! What else happens to jobs that go on as others: cancel, replay, purge, and how long they stay.

use std::time::Duration;

use taskcore::JobError;
use taskcore::broker::{CancelOutcome, JobFilter, JobState, Keep, NewJob, Verdict};

use crate::harness::Harness;
use crate::lab::*;
use crate::waiting::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// What was made for it and for nobody else goes with it.
pub async fn cancelling_a_continued_job_cancels_what_continues_it(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(3 * batch).await;
    let (jobs, next) = (jobs_of(&deliveries), lab.continue_each(&deliveries).await);
    let shared = lab.store_after_each(&next[batch..2 * batch]).await;
    assert_eq!(lab.cancel(&jobs[..2 * batch]).await, vec![CancelOutcome::Prevented; 2 * batch]);
    assert_eq!(lab.cancel_alone(&jobs[2 * batch..]).await, vec![CancelOutcome::Prevented; batch]);
    lab.assert_all(&jobs, JobState::Cancelled).await;
    lab.assert_all(&next[..batch], JobState::Cancelled).await;
    lab.run_these(&next[batch..]).await;
    lab.assert_all(&jobs, JobState::Cancelled).await;
    lab.run_these(&shared).await;
}

/// It is somebody else's.
pub async fn cancelling_a_continued_job_leaves_what_was_not_made_for_it(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    let by = lab.stored(batch).await;
    lab.settle_each(&deliveries, &each_by_id(&by)).await;
    lab.cancel(&jobs_of(&deliveries)).await;
    lab.assert_all(&jobs_of(&deliveries), JobState::Cancelled).await;
    lab.run_these(&by).await;
}

/// It goes on as if nothing had happened.
pub async fn replaying_what_continues_a_job_blocks_it_again(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    let jobs = jobs_of(&deliveries);
    let follow = lab.store_after_each(&jobs).await;
    let next = lab.continue_each(&deliveries).await;
    let last = {
        let running = lab.reserve_these(&next).await;
        lab.continue_each(&running).await
    };
    let running = lab.reserve_these(&last).await;
    lab.apply(&running, &failed()).await;
    lab.assert_all(&[&*jobs, &next, &follow].concat(), JobState::Failed).await;
    assert_eq!(lab.replay(&jobs).await, []);
    let replayed = lab.operate().replay(&JobFilter::default()).await.unwrap();
    assert_eq!(sorted(replayed), sorted(last.clone()));
    lab.assert_all(&[&*jobs, &next, &follow].concat(), JobState::Blocked).await;
    for record in lab.records(&jobs).await {
        assert_eq!((record.waits_for, record.failure), (1, None));
    }
    lab.run_these(&last).await;
    lab.assert_all(&[jobs, next].concat(), JobState::Done).await;
    lab.run_these(&follow).await;
}

/// It has started in time.
pub async fn a_continued_job_never_expires(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let expires_in = Some(lab.ticks(1));
    lab.store(&jobs(batch, || NewJob { expires_in, ..plain_job() })).await;
    let deliveries = lab.reserve_all(batch).await;
    let next = lab.continue_each(&deliveries).await;
    lab.elapse(3).await;
    assert_eq!(lab.maintain().await.expired, 0);
    let running = lab.reserve_these(&next).await;
    lab.apply(&running, &failed()).await;
    lab.replay(&next).await;
    lab.elapse(3).await;
    assert_eq!(lab.maintain().await.expired, 0);
    lab.run_these(&next).await;
    lab.assert_all(&jobs_of(&deliveries), JobState::Done).await;
}

/// What its verdict said, from its end on; nothing means nothing, unless another job reads it.
pub async fn a_continued_job_is_kept_for_its_own_retention(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(3 * batch).await;
    let jobs = jobs_of(&deliveries);
    let next = plain_jobs(3 * batch);
    let keeps = [Keep::For(lab.ticks(4)), Keep::Nothing, Keep::Nothing];
    let verdicts: Vec<_> = next
        .iter()
        .zip(keeps.into_iter().flat_map(|keep| std::iter::repeat_n(keep, batch)))
        .map(|(job, keep)| Verdict::Continued { jobs: vec![job.clone()], by: job.id, keep })
        .collect();
    lab.settle_each(&deliveries, &verdicts).await;
    let readers = lab.store_after_each(&jobs[2 * batch..]).await;
    lab.elapse(2).await;
    let running = lab.reserve_these(&ids_of(&next)).await;
    lab.apply(&running, &done_keeping_nothing()).await;
    assert_eq!(lab.states(&jobs[batch..2 * batch]).await, vec![None; batch]);
    lab.elapse(3).await;
    lab.maintain().await;
    assert_eq!(lab.states(&ids_of(&next)).await, vec![None; 3 * batch]);
    for end in lab.ends(&[&jobs[..batch], &jobs[2 * batch..]].concat()).await {
        assert_eq!(end.result.unwrap().as_slice(), b"42");
    }
    lab.run_these(&readers).await;
    lab.elapse(1).await;
    lab.maintain().await;
    assert_eq!(lab.states(&jobs).await, vec![None; 3 * batch]);
}

/// It does not run again; but what it waited for may be looked at as long as it has failed.
pub async fn a_continued_job_keeps_what_continues_it_and_not_its_inputs(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let jobs = lab.store_after_each(&jobs_of(&inputs)).await;
    lab.apply(&inputs, &done_keeping_nothing()).await;
    let running = lab.reserve_these(&jobs).await;
    let next = lab.continue_each(&running).await;
    lab.maintain().await;
    assert_eq!(lab.states(&jobs_of(&inputs)).await, vec![None; batch]);
    lab.cancel(&next).await;
    lab.elapse_span(2 * HOUR).await;
    lab.maintain().await;
    lab.assert_all(&jobs, JobState::Failed).await;
    lab.assert_all(&next, JobState::Cancelled).await;
    lab.purge(&jobs).await;
    lab.maintain().await;
    assert_eq!(lab.states(&next).await, vec![None; batch]);
}

/// As inputs and what waits for them.
pub async fn continued_jobs_and_what_continues_them_can_be_deleted(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(3 * batch).await;
    let (jobs, next) = (jobs_of(&deliveries), lab.continue_each(&deliveries).await);
    lab.purge(&[&next[..batch], &jobs[batch..]].concat()).await;
    lab.purge(&next[2 * batch..]).await;
    for (job, by) in jobs[..batch].iter().zip(&next) {
        let error = JobError::Cancelled { job: *by, task: "suite::plain".to_owned() };
        lab.assert_ended_by(*job, 1, &error).await;
    }
    lab.run_these(&next[batch..2 * batch]).await;
    assert_eq!(lab.states(&jobs[batch..]).await, vec![None; 2 * batch]);
    assert_eq!(lab.replay(&jobs).await, []);
    lab.purge(&jobs[..batch]).await;
    assert_eq!(lab.depth().await, Counts::default());
}
