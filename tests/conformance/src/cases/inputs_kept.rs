//! How long the results of inputs stay.

use std::time::Duration;

use taskcore::broker::{JobState, Keep, Maintain, NewJob, Verdict};
use taskcore::{JobId, Payload};

use crate::harness::Harness;
use crate::lab::*;
use crate::waiting::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Blocked, scheduled, ready or running, the job reads them when it runs.
pub async fn an_input_is_kept_until_what_waited_for_it_is_done(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let ids = jobs_of(&inputs);
    let other = lab.store_one(due_in(lab.ticks(3))).await;
    let job = lab.store_one(waiting(ids.iter().copied().chain([other]).map(needs))).await;
    lab.apply(&inputs, &kept_for(lab.ticks(1))).await;
    lab.elapse(3).await;
    assert_kept(&lab, &ids).await;
    lab.run_these(&[other]).await;
    assert_kept(&lab, &ids).await;
    let delivery = lab.reserve_these(&[job]).await;
    assert_kept(&lab, &ids).await;
    lab.apply(&delivery, &retry(lab.ticks(1))).await;
    assert_kept(&lab, &ids).await;
    lab.elapse(1).await;
    assert_kept(&lab, &ids).await;
    let delivery = lab.reserve_these(&[job]).await;
    lab.apply(&delivery, &done()).await;
    assert_pruned(&lab, &ids).await;
}

/// The caller wants nothing of it; what waits for it does.
pub async fn an_input_that_keeps_nothing_is_kept_for_what_waits_for_it(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let ids = jobs_of(&inputs);
    let jobs = lab.store_after_each(&ids).await;
    lab.apply(&inputs, &done_keeping_nothing()).await;
    lab.assert_all(&ids, JobState::Done).await;
    lab.elapse(1).await;
    assert_kept(&lab, &ids).await;
    let deliveries = lab.reserve_these(&jobs).await;
    assert_kept(&lab, &ids).await;
    lab.apply(&deliveries, &done_keeping_nothing()).await;
    assert_pruned(&lab, &[ids, jobs].concat()).await;
}

/// It may be replayed, and then reads its inputs again.
pub async fn an_input_is_kept_for_a_failed_job_that_may_be_replayed(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(2 * batch).await;
    let ids = jobs_of(&inputs);
    let jobs = lab.store_after_each(&ids).await;
    lab.apply(&inputs[..batch], &done_keeping_nothing()).await;
    lab.apply(&inputs[batch..], &kept_for(lab.ticks(1))).await;
    let deliveries = lab.reserve_these(&jobs).await;
    lab.apply(&deliveries, &failed()).await;
    lab.elapse_span(2 * HOUR).await;
    assert_kept(&lab, &ids).await;
    assert_eq!(lab.replay(&jobs).await, jobs);
    assert_kept(&lab, &ids).await;
    lab.run_these(&jobs).await;
    assert_pruned(&lab, &ids).await;
}

/// What another input failed may be revived.
pub async fn an_input_is_kept_for_a_job_that_another_input_failed(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let root = lab.leased(1).await;
    let inputs = lab.leased(batch).await;
    let ids = jobs_of(&inputs);
    let all = ids.iter().copied().chain(jobs_of(&root)).map(needs);
    let job = lab.store_one(waiting(all)).await;
    lab.apply(&inputs[..1], &done_keeping_nothing()).await;
    lab.apply(&root, &failed()).await;
    lab.apply(&inputs[1..], &done_keeping_nothing()).await;
    lab.elapse_span(2 * HOUR).await;
    assert_kept(&lab, &ids).await;
    lab.replay(&jobs_of(&root)).await;
    lab.run_these(&jobs_of(&root)).await;
    assert_kept(&lab, &ids).await;
    lab.run_these(&[job]).await;
    assert_pruned(&lab, &ids).await;
}

/// Many may read one.
pub async fn an_input_is_kept_until_the_last_of_many_has_ended(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let input = lab.leased(1).await;
    let id = input[0].job;
    let jobs = jobs(batch + 1, || waiting([needs(id)]));
    lab.store(&jobs).await;
    lab.apply(&input, &done_keeping_nothing()).await;
    let mut deliveries = lab.reserve_these(&ids_of(&jobs)).await;
    let last = deliveries.split_off(batch);
    lab.apply(&deliveries, &done()).await;
    lab.elapse(1).await;
    assert_kept(&lab, &[id]).await;
    lab.apply(&last, &done()).await;
    assert_pruned(&lab, &[id]).await;
}

/// What ended otherwise will not read anything either.
pub async fn cancelled_expired_and_deleted_jobs_keep_no_input(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(3 * batch).await;
    let ids = jobs_of(&inputs);
    let cancelled = lab.store_after_each(&ids[..batch]).await;
    let expiring: Vec<_> = ids[batch..2 * batch]
        .iter()
        .map(|id| NewJob { expires_in: Some(lab.ticks(1)), ..waiting([needs(*id)]) })
        .collect();
    lab.store(&expiring).await;
    let deleted = lab.store_after_each(&ids[2 * batch..]).await;
    lab.apply(&inputs, &done_keeping_nothing()).await;
    lab.cancel(&cancelled).await;
    lab.purge(&deleted).await;
    assert_kept(&lab, &ids[batch..2 * batch]).await;
    lab.elapse(1).await;
    assert_eq!(lab.maintain().await.expired, batch as u64);
    assert_pruned(&lab, &ids).await;
}

/// It is what was asked for; what waited only lengthens it.
pub async fn an_input_keeps_its_own_retention(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let ids = jobs_of(&inputs);
    let jobs = lab.store_after_each(&ids).await;
    lab.apply(&inputs, &kept_for(lab.ticks(4))).await;
    lab.run_these(&jobs).await;
    lab.elapse(2).await;
    assert_kept(&lab, &ids).await;
    lab.elapse(2).await;
    assert_pruned(&lab, &ids).await;
}

/// From then on.
pub async fn an_input_that_was_done_before_is_kept_too(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let ids = jobs_of(&inputs);
    lab.apply(&inputs, &kept_for(lab.ticks(2))).await;
    lab.elapse(1).await;
    let jobs = lab.store_after_each(&ids).await;
    lab.elapse(2).await;
    assert_kept(&lab, &ids).await;
    lab.run_these(&jobs).await;
    assert_pruned(&lab, &ids).await;
}

/// A job that tolerates an end wants to know which.
pub async fn an_input_without_a_result_is_kept_too(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.stored(batch).await;
    let tolerant = lab.store_one(waiting(inputs.iter().copied().map(tolerates))).await;
    let strict = lab.store_after_each(&inputs).await;
    lab.cancel(&inputs).await;
    lab.elapse_span(2 * HOUR).await;
    lab.maintain().await;
    lab.assert_all(&inputs, JobState::Cancelled).await;
    lab.run_these(&[tolerant]).await;
    lab.maintain().await;
    lab.assert_all(&inputs, JobState::Cancelled).await;
    lab.purge(&strict).await;
    assert_pruned(&lab, &inputs).await;
}

/// They are not looked at before their time.
pub async fn inputs_that_are_kept_do_not_hold_up_upkeep(harness: &dyn Harness) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(20).await;
    let jobs = lab.store_after_each(&jobs_of(&inputs)).await;
    lab.apply(&inputs, &done_keeping_nothing()).await;
    let deliveries = lab.reserve_these(&jobs).await;
    lab.apply(&deliveries, &failed()).await;
    let free = lab.leased(3).await;
    lab.apply(&free, &kept_for(lab.ticks(1))).await;
    lab.elapse(1).await;
    let one = Maintain { budget: count(1), ..Maintain::default() };
    for _ in 0..3 {
        assert_eq!(lab.broker().maintain(&one).await.unwrap().pruned, 1);
    }
    assert_eq!(lab.states(&jobs_of(&free)).await, [None; 3]);
    assert!(lab.broker().maintain(&one).await.unwrap().is_idle());
    assert_kept(&lab, &jobs_of(&inputs)).await;
}

fn kept_for(span: Duration) -> Verdict {
    Verdict::Done { result: Some(result()), keep: Keep::For(span) }
}

fn result() -> Payload {
    Payload::from(b"42".to_vec())
}

/// Checks that upkeep leaves the results of these jobs.
async fn assert_kept(lab: &Lab<'_>, ids: &[JobId]) {
    lab.maintain().await;
    for end in lab.ends(ids).await {
        assert_eq!((end.state, end.result), (JobState::Done, Some(result())));
    }
}

/// Checks that upkeep deletes these jobs.
async fn assert_pruned(lab: &Lab<'_>, ids: &[JobId]) {
    lab.maintain().await;
    assert_eq!(lab.states(ids).await, vec![None; ids.len()]);
}
