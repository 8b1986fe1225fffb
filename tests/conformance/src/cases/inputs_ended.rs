//! Cancelling, deleting, replaying and expiring jobs that wait for others.

use taskcore::broker::{CancelOutcome, JobFilter, JobState, NewJob};
use taskcore::{JobError, JobId};

use crate::harness::Harness;
use crate::lab::*;
use crate::waiting::*;

/// It never started.
pub async fn a_blocked_job_can_be_cancelled(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.stored(batch).await;
    let jobs = lab.store_after_each(&inputs).await;
    assert_eq!(lab.cancel(&jobs).await, vec![CancelOutcome::Prevented; batch]);
    lab.assert_all(&jobs, JobState::Cancelled).await;
    assert_eq!(lab.depth().await, Counts::ready(batch));
    lab.run_these(&inputs).await;
    lab.assert_all(&jobs, JobState::Cancelled).await;
    lab.reserve_all(0).await;
}

/// Nobody else will ever read what they would give.
pub async fn inputs_that_were_made_for_a_cancelled_job_are_cancelled(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let is_done = lab.stored(batch).await;
    lab.run_these(&is_done).await;
    let running = jobs_of(&lab.leased(batch).await);
    let ready = lab.stored(batch).await;
    let middle: Vec<_> = ready.iter().map(|id| waiting([owns(*id)])).collect();
    lab.store(&middle).await;
    let inputs = [&is_done[..], &running, &ids_of(&middle)].concat();
    let job = lab.store_one(waiting(inputs.into_iter().map(owns))).await;
    assert_eq!(lab.cancel(&[job]).await, [CancelOutcome::Prevented]);
    lab.assert_all(&[vec![job], running, ready, ids_of(&middle)].concat(), JobState::Cancelled)
        .await;
    lab.assert_all(&is_done, JobState::Done).await;
    assert_eq!(lab.depth().await, Counts::default());
}

/// Their handles are somebody's.
pub async fn inputs_that_were_not_made_for_a_cancelled_job_stay(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.stored(batch).await;
    let job = lab.store_one(waiting(inputs.iter().copied().map(needs))).await;
    lab.cancel(&[job]).await;
    lab.assert_all(&inputs, JobState::Ready).await;
    lab.run_these(&inputs).await;
}

/// Somebody else still wants the result, until that one is cancelled too or has failed.
pub async fn an_input_that_another_job_waits_for_stays(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let shared = lab.stored(batch).await;
    let owner = lab.store_one(waiting(shared.iter().copied().map(owns))).await;
    let others = lab.store_after_each(&shared).await;
    lab.cancel(&[owner]).await;
    lab.assert_all(&shared, JobState::Ready).await;
    lab.assert_all(&others, JobState::Blocked).await;
    lab.run_these(&shared).await;
    lab.run_these(&others).await;
}

/// A job that has ended wants nothing.
pub async fn an_input_that_only_ended_jobs_shared_is_cancelled_with_its_owner(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let root = lab.leased(1).await;
    let shared = lab.stored(batch).await;
    let owner = lab.store_one(waiting(shared.iter().copied().map(owns))).await;
    let cancelled = lab.store_after_each(&shared).await;
    let fails = shared.iter().map(|id| waiting([needs(root[0].job), needs(*id)]));
    lab.store(&fails.collect::<Vec<_>>()).await;
    lab.cancel_alone(&cancelled).await;
    lab.apply(&root, &failed()).await;
    lab.assert_all(&shared, JobState::Ready).await;
    lab.cancel(&[owner]).await;
    lab.assert_all(&shared, JobState::Cancelled).await;
}

/// The order in which they are named does not matter.
pub async fn an_input_shared_by_jobs_that_are_cancelled_together_goes_with_them(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    for backwards in [false, true] {
        let shared = lab.stored(batch).await;
        let mut jobs = vec![lab.store_one(waiting(shared.iter().copied().map(owns))).await];
        jobs.extend(lab.store_after_each(&shared).await);
        if backwards {
            jobs.reverse();
        }
        assert_eq!(lab.cancel(&jobs).await, vec![CancelOutcome::Prevented; jobs.len()]);
        lab.assert_all(&[jobs, shared].concat(), JobState::Cancelled).await;
    }
}

/// What was named is cancelled, and what was not fails.
pub async fn of_a_chain_that_is_cancelled_together_each_job_is_prevented(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    for backwards in [false, true] {
        let first = lab.stored(1).await[0];
        let chain = chain_after(first, batch);
        lab.store(&chain).await;
        let mut ids = [vec![first], ids_of(&chain)].concat();
        let next = lab.store_one(waiting([needs(ids[batch])])).await;
        if backwards {
            ids.reverse();
        }
        assert_eq!(lab.cancel(&ids).await, vec![CancelOutcome::Prevented; batch + 1]);
        lab.assert_all(&ids, JobState::Cancelled).await;
        let (job, task) = (chain[batch - 1].id, "suite::plain".to_owned());
        lab.assert_failed_by(next, &JobError::Cancelled { job, task }).await;
    }
}

/// Whoever says so.
pub async fn cancelling_the_jobs_alone_leaves_their_inputs(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.stored(batch).await;
    let job = lab.store_one(waiting(inputs.iter().copied().map(owns))).await;
    let next = lab.store_one(waiting([owns(job)])).await;
    assert_eq!(lab.cancel_alone(&[job]).await, [CancelOutcome::Prevented]);
    lab.assert_all(&[job], JobState::Cancelled).await;
    lab.assert_all(&[next], JobState::Failed).await;
    lab.run_these(&inputs).await;
}

/// A chain of any length is no deeper than a short one.
pub async fn a_cancel_goes_up_a_chain_of_thousands(harness: &dyn Harness) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let first = lab.leased(1).await[0].job;
    let chain = owned_chain_after(first, 4_000);
    for chunk in chain.chunks(lab.broker().capabilities().max_batch.min(1_000)) {
        lab.store(chunk).await;
    }
    let last = chain[chain.len() - 1].id;
    let answers = soon("the start of the chain", lab.cancel(&[last])).await;
    assert_eq!(answers, [CancelOutcome::Prevented]);
    assert_eq!(lab.depth().await, Counts::default());
    lab.assert_all(&[first, chain[0].id, last], JobState::Cancelled).await;
}

/// A job that is deleted before it ended gives no result.
pub async fn deleting_an_input_that_has_not_ended_fails_what_needs_it(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let root = jobs_of(&lab.leased(1).await)[0];
    let ready = lab.stored(batch).await;
    let scheduled = jobs(batch, || due_in(lab.ticks(9)));
    lab.store(&scheduled).await;
    let blocked = jobs(batch, || waiting([needs(root)]));
    lab.store(&blocked).await;
    let inputs = [ready, ids_of(&scheduled), ids_of(&blocked)].concat();
    let jobs = lab.store_after_each(&inputs).await;
    let next = lab.store_after_each(&jobs).await;
    let tolerant = lab.store_one(waiting(inputs.iter().copied().map(tolerates))).await;
    lab.purge(&inputs).await;
    for ((job, next), input) in jobs.into_iter().zip(next).zip(inputs) {
        let error = JobError::Cancelled { job: input, task: "suite::plain".to_owned() };
        lab.assert_failed_by(job, &error).await;
        lab.assert_failed_by(next, &error).await;
    }
    lab.run_these(&[tolerant]).await;
}

/// It was there when it was looked at.
pub async fn deleting_an_input_that_has_ended_changes_nothing(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let open = lab.leased(1).await;
    let is_done = lab.stored(batch).await;
    lab.run_these(&is_done).await;
    let has_failed = lab.failing(batch).await;
    let inputs = is_done.iter().copied().chain(jobs_of(&open)).map(needs);
    let job = waiting(inputs.chain(has_failed.iter().copied().map(tolerates)));
    let job = lab.store_one(job).await;
    lab.purge(&is_done).await;
    lab.purge(&has_failed).await;
    lab.assert_all(&[job], JobState::Blocked).await;
    assert_eq!(lab.waits_for(job).await, 1);
    lab.apply(&open, &done()).await;
    lab.run_these(&[job]).await;
}

/// Nothing is left that could go on.
pub async fn jobs_may_be_deleted_together_with_their_inputs(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.stored(batch).await;
    let jobs = lab.store_after_each(&inputs).await;
    let all = [inputs, jobs].concat();
    lab.purge(&all).await;
    assert_eq!(lab.states(&all).await, vec![None; 2 * batch]);
    assert_eq!(lab.depth().await, Counts::default());
    lab.maintain().await;
    lab.reserve_all(0).await;
}

/// Its inputs go on as if nobody had asked for them.
pub async fn a_blocked_job_can_be_deleted(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.stored(batch).await;
    let jobs = lab.store_after_each(&inputs).await;
    lab.purge(&jobs).await;
    lab.run_these(&inputs).await;
    assert_eq!(lab.depth().await, Counts::default());
    assert_eq!(lab.states(&jobs).await, vec![None; batch]);
}

/// All the way down; only what was replayed itself is answered.
pub async fn replaying_an_input_blocks_again_what_had_failed_because_of_it(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let roots = lab.leased(batch).await;
    let roots_ids = jobs_of(&roots);
    let jobs = lab.store_after_each(&roots_ids).await;
    let next = lab.store_after_each(&jobs).await;
    let last = lab.store_one(waiting(next.iter().copied().map(needs))).await;
    lab.apply(&roots, &failed()).await;
    let too_late = lab.store_after_each(&roots_ids).await;
    let revived = [jobs, next, vec![last], too_late].concat();
    lab.assert_all(&revived, JobState::Failed).await;
    let replayed = lab.operate().replay(&JobFilter::default()).await.unwrap();
    assert_eq!(replayed, roots_ids);
    lab.assert_all(&revived, JobState::Blocked).await;
    let blocked = revived.len() as u64;
    assert_eq!(lab.depth().await, Counts { blocked, ..Counts::ready(batch) });
    for record in lab.records(&revived).await {
        assert_eq!((record.failure, record.finished_at), (None, None));
    }
    assert_eq!(lab.waits_for(last).await as usize, batch);
    lab.run_these(&roots_ids).await;
    let [jobs, next, too_late] = [0, batch, 2 * batch + 1].map(|at| &revived[at..at + batch]);
    lab.run_these(&[jobs, too_late].concat()).await;
    lab.run_these(next).await;
    lab.run_these(&[last]).await;
}

/// A second failure is a failure.
pub async fn a_revived_job_fails_again_with_its_input(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let roots = lab.leased(batch).await;
    let jobs = lab.store_after_each(&jobs_of(&roots)).await;
    lab.apply(&roots, &failed()).await;
    lab.replay(&jobs_of(&roots)).await;
    lab.cancel(&jobs_of(&roots)).await;
    for (job, root) in jobs.into_iter().zip(jobs_of(&roots)) {
        lab.assert_failed_by(job, &lab.error_of(root).await).await;
    }
    assert_eq!(lab.depth().await, Counts::failed(batch));
}

/// Its input is what to replay; it does not count either.
pub async fn a_job_that_failed_because_of_an_input_is_not_replayed_itself(harness: &dyn Harness) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let first = lab.leased(1).await;
    let jobs = lab.store_after_each(&jobs_of(&first)).await;
    lab.apply(&first, &failed()).await;
    let rest = lab.failing(2).await;
    assert!(lab.replay(&jobs).await.is_empty());
    lab.assert_all(&jobs, JobState::Failed).await;
    let limited = JobFilter { limit: Some(2), ..JobFilter::default() };
    let replayed = lab.operate().replay(&limited).await.unwrap();
    assert_eq!(replayed, [first[0].job, rest[0]]);
    assert_eq!(lab.depth().await, Counts { ready: 2, blocked: 1, failed: 1, ..Counts::default() });
}

/// It cannot run without any of them.
pub async fn a_job_stays_failed_while_another_of_its_inputs_is(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let roots = lab.leased(batch + 1).await;
    let ids = jobs_of(&roots);
    let job = lab.store_one(waiting(ids.iter().copied().map(needs))).await;
    let next = lab.store_after_each(&[job]).await[0];
    lab.apply(&roots, &failed()).await;
    assert_eq!(lab.replay(&ids[..batch]).await, ids[..batch]);
    lab.assert_all(&[job, next], JobState::Failed).await;
    lab.run_these(&ids[..batch]).await;
    lab.assert_all(&[job, next], JobState::Failed).await;
    assert_eq!(lab.replay(&ids[batch..]).await, ids[batch..]);
    lab.assert_all(&[job, next], JobState::Blocked).await;
    assert_eq!(lab.waits_for(job).await, 1);
    lab.run_these(&ids[batch..]).await;
    lab.run_these(&[job]).await;
    lab.run_these(&[next]).await;
}

/// What ended for another reason is not the input's business.
pub async fn replaying_an_input_leaves_jobs_that_failed_on_their_own(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let roots = lab.failing(batch).await;
    let jobs: Vec<_> = roots.iter().map(|root| waiting([tolerates(*root)])).collect();
    lab.store(&jobs).await;
    let deliveries = lab.reserve_these(&ids_of(&jobs)).await;
    lab.apply(&deliveries, &failed()).await;
    assert_eq!(lab.replay(&roots).await, roots);
    lab.assert_all(&ids_of(&jobs), JobState::Failed).await;
    lab.run_these(&roots).await;
    assert_eq!(lab.depth().await, Counts::failed(batch));
}

/// A job waits for all its inputs to be final, and these are no longer.
pub async fn a_job_that_is_replayed_with_its_input_waits_for_it(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let roots = lab.failing(batch).await;
    let jobs: Vec<_> = roots.iter().map(|root| waiting([tolerates(*root)])).collect();
    lab.store(&jobs).await;
    let deliveries = lab.reserve_these(&ids_of(&jobs)).await;
    lab.apply(&deliveries, &failed()).await;
    let all = [roots.clone(), ids_of(&jobs)].concat();
    assert_eq!(lab.replay(&all).await, all);
    lab.run_these(&roots).await;
    lab.run_these(&ids_of(&jobs)).await;
}

/// One end of an input is one, however often it ends.
pub async fn a_blocked_job_waits_again_for_an_input_that_is_replayed(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let open = lab.leased(1).await;
    let roots = lab.leased(batch).await;
    let ids = jobs_of(&roots);
    let inputs = ids.iter().copied().map(tolerates).chain([needs(open[0].job)]);
    let job = lab.store_one(waiting(inputs)).await;
    lab.apply(&roots, &failed()).await;
    assert_eq!(lab.waits_for(job).await, 1);
    lab.replay(&ids).await;
    assert_eq!(lab.waits_for(job).await as usize, batch + 1);
    lab.run_these(&ids).await;
    lab.assert_all(&[job], JobState::Blocked).await;
    lab.apply(&open, &done()).await;
    lab.run_these(&[job]).await;
}

/// It waited beyond its time, whatever it waited for.
pub async fn a_blocked_job_expires(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs: Vec<JobId> = jobs_of(&lab.leased(batch).await);
    let expires_in = Some(lab.ticks(1));
    let jobs = inputs.iter().map(|id| NewJob { expires_in, ..waiting([needs(*id)]) });
    let jobs: Vec<_> = jobs.collect();
    lab.store(&jobs).await;
    let next = lab.store_after_each(&ids_of(&jobs)).await;
    assert_eq!(lab.maintain().await.expired, 0);
    lab.elapse(1).await;
    assert_eq!(lab.maintain().await.expired, batch as u64);
    lab.assert_all(&ids_of(&jobs), JobState::Expired).await;
    for (next, job) in next.into_iter().zip(&jobs) {
        let task = "suite::plain".to_owned();
        lab.assert_failed_by(next, &JobError::Expired { job: job.id, task }).await;
    }
    assert_eq!(lab.depth().await, Counts { failed: batch as u64, ..Counts::running(batch) });
}

/// Upkeep need not have come by.
pub async fn a_job_that_is_released_after_its_time_expires(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let expires_in = Some(lab.ticks(1));
    let jobs = jobs_of(&inputs).into_iter().map(|id| NewJob { expires_in, ..waiting([needs(id)]) });
    let jobs: Vec<_> = jobs.collect();
    lab.store(&jobs).await;
    lab.elapse(1).await;
    lab.apply(&inputs, &done()).await;
    assert!(lab.reserve(batch).await.is_empty());
    lab.maintain().await;
    lab.assert_all(&ids_of(&jobs), JobState::Expired).await;
}
