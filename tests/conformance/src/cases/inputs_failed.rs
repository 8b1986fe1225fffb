//! Jobs that wait for others which have no result in the end.

use std::time::Duration;

use taskcore::broker::{JobState, Maintain, NewJob, Verdict};
use taskcore::{Failure, JobError, JobId};

use crate::harness::Harness;
use crate::lab::*;
use crate::waiting::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A job may want to know of a failure.
pub async fn a_tolerant_job_waits_for_the_end_of_its_inputs_and_runs(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch + 2).await;
    let ids = jobs_of(&inputs);
    let expired = NewJob { expires_in: Some(lab.ticks(1)), ..in_queue("elsewhere") };
    lab.store(std::slice::from_ref(&expired)).await;
    let all = ids.iter().copied().chain([expired.id]).map(tolerates);
    let job = lab.store_one(waiting(all)).await;
    lab.apply(&inputs[..batch], &failed()).await;
    assert_eq!(lab.waits_for(job).await, 3);
    lab.apply(&inputs[batch..=batch], &done()).await;
    lab.cancel(&ids[batch + 1..]).await;
    lab.assert_all(&[job], JobState::Blocked).await;
    assert_eq!(lab.waits_for(job).await, 1);
    lab.elapse(1).await;
    assert_eq!(lab.maintain().await.expired, 1);
    lab.run_these(&[job]).await;
}

/// However it ended, and even if nobody knows it.
pub async fn a_tolerant_job_does_not_wait_for_what_has_no_result(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let mut inputs = lab.failing(batch).await;
    let cancelled = lab.stored(batch).await;
    lab.cancel(&cancelled).await;
    inputs.extend(cancelled);
    inputs.extend((0..batch).map(|_| JobId::new()));
    let job = lab.store_one(waiting(inputs.into_iter().map(tolerates))).await;
    assert_eq!(lab.waits_for(job).await, 0);
    lab.run_these(&[job]).await;
}

/// One edge tolerates, another does not.
pub async fn each_input_is_tolerated_on_its_own(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let (fails, ends) = (lab.leased(batch).await, lab.leased(batch).await);
    let pairs = jobs_of(&fails).into_iter().zip(jobs_of(&ends));
    let strict = pairs.clone().map(|(fails, ends)| waiting([needs(fails), tolerates(ends)]));
    let (strict, lenient): (Vec<_>, Vec<_>) =
        strict.zip(pairs.map(|(fails, ends)| waiting([tolerates(fails), needs(ends)]))).unzip();
    lab.store(&[strict.clone(), lenient.clone()].concat()).await;
    lab.apply(&fails, &failed()).await;
    lab.assert_all(&ids_of(&strict), JobState::Failed).await;
    lab.assert_all(&ids_of(&lenient), JobState::Blocked).await;
    lab.apply(&ends, &done()).await;
    lab.run_these(&ids_of(&lenient)).await;
    lab.assert_all(&ids_of(&strict), JobState::Failed).await;
}

/// As any other end without a result.
pub async fn an_input_with_nothing_to_do_fails_what_needs_it(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let jobs = lab.store_after_each(&jobs_of(&inputs)).await;
    lab.apply(&inputs, &Verdict::Cancelled).await;
    lab.assert_all(&jobs, JobState::Failed).await;
}

/// With the task, the id and the message of what failed.
pub async fn a_failed_input_fails_what_needs_it(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let jobs = lab.store_after_each(&jobs_of(&inputs)).await;
    let failures = inputs.iter().map(|input| {
        let root = Failure {
            job: input.job,
            task: "suite::root".to_owned(),
            ..failure(&HOSTILE.concat())
        };
        settlements(std::slice::from_ref(input), &Verdict::Failed { failure: root }).remove(0)
    });
    lab.broker().settle(&failures.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(lab.depth().await, Counts::failed(2 * batch));
    for (job, input) in jobs.iter().zip(jobs_of(&inputs)) {
        lab.assert_failed_by(*job, &lab.error_of(input).await).await;
        let message = lab.ends(&[*job]).await.remove(0).failure.unwrap().message;
        for part in ["suite::root", &input.to_string(), &HOSTILE.concat()] {
            assert!(message.contains(part), "{message} does not name {part}");
        }
    }
    assert!(lab.reserve(batch).await.is_empty());
}

/// A job that never runs has no result.
pub async fn a_cancelled_input_fails_what_needs_it(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let running = jobs_of(&lab.leased(batch).await);
    let inputs = [lab.stored(batch).await, running].concat();
    let jobs = lab.store_after_each(&inputs).await;
    lab.cancel(&inputs).await;
    for (job, input) in jobs.into_iter().zip(inputs) {
        let task = "suite::plain".to_owned();
        lab.assert_failed_by(job, &JobError::Cancelled { job: input, task }).await;
    }
}

/// Nor has one that came too late.
pub async fn an_expired_input_fails_what_needs_it(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let expires_in = Some(lab.ticks(1));
    let inputs = jobs(batch, || NewJob { expires_in, ..plain_job() });
    lab.store(&inputs).await;
    let jobs = lab.store_after_each(&ids_of(&inputs)).await;
    lab.elapse(1).await;
    assert_eq!(lab.maintain().await.expired, batch as u64);
    for (job, input) in jobs.into_iter().zip(inputs) {
        let task = "suite::plain".to_owned();
        lab.assert_failed_by(job, &JobError::Expired { job: input.id, task }).await;
    }
}

/// Nor has one that kills its workers.
pub async fn a_lost_input_fails_what_needs_it(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let jobs = lab.store_after_each(&jobs_of(&inputs)).await;
    lab.begin(&inputs).await;
    lab.elapse(2).await;
    let strict = Maintain { recovery_limit: 0, ..Maintain::default() };
    assert_eq!(lab.broker().maintain(&strict).await.unwrap().lost, batch as u64);
    for (job, input) in jobs.into_iter().zip(jobs_of(&inputs)) {
        let error = lab.error_of(input).await;
        assert!(matches!(error, JobError::Lost(_)), "{error:?}");
        lab.assert_failed_by(job, &error).await;
    }
}

/// It is stored all the same: its handle learns why, and so does whoever looks.
pub async fn an_unknown_input_fails_the_job_as_it_is_stored(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let forgotten = lab.leased(batch).await;
    lab.apply(&forgotten, &done_keeping_nothing()).await;
    let never_stored = (0..batch).map(|_| JobId::new());
    let inputs: Vec<_> = jobs_of(&forgotten).into_iter().chain(never_stored).collect();
    let start = lab.results().finished(None, Duration::ZERO).await.unwrap().next;
    let jobs = lab.store_after_each(&inputs).await;
    assert_eq!(lab.depth().await, Counts::failed(2 * batch));
    for (job, input) in jobs.iter().zip(inputs) {
        lab.assert_failed_by(*job, &JobError::unknown(input)).await;
    }
    let finished = lab.results().finished(Some(start), HOUR).await.unwrap().ids;
    assert_eq!(sorted(finished), sorted(jobs));
}

/// What had ended without a result before has none.
pub async fn an_input_that_had_failed_before_fails_the_job_as_it_is_stored(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let has_failed = lab.failing(batch).await;
    let cancelled = lab.stored(batch).await;
    lab.cancel(&cancelled).await;
    let inputs = [has_failed, cancelled].concat();
    let open = lab.stored(1).await[0];
    let after_each: Vec<_> =
        inputs.iter().map(|input| waiting([needs(open), needs(*input)])).collect();
    let after_those: Vec<_> = after_each.iter().map(|job| waiting([needs(job.id)])).collect();
    lab.store(&[after_each.clone(), after_those.clone()].concat()).await;
    for ((job, next), input) in after_each.iter().zip(&after_those).zip(inputs) {
        let root = lab.error_of(input).await;
        lab.assert_failed_by(job.id, &root).await;
        lab.assert_failed_by(next.id, &lab.error_of(job.id).await).await;
        lab.assert_failed_by(next.id, &root).await;
    }
    lab.run_these(&[open]).await;
    lab.assert_all(&ids_of(&after_each), JobState::Failed).await;
    assert!(lab.reserve(1).await.is_empty());
}

/// All the way, in one step; each names the root and not the one before it.
pub async fn a_failure_goes_all_the_way_and_names_its_root(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let root = lab.leased(1).await;
    let chain = chain_after(root[0].job, batch);
    let (middle, last) = (chain[batch / 2].id, chain[batch - 1].id);
    let side = [waiting([needs(middle)]), waiting([needs(middle), needs(last)])];
    lab.store(&[&chain[..], &side[..]].concat()).await;
    lab.apply(&root, &failed()).await;
    let error = lab.error_of(root[0].job).await;
    for job in chain.iter().chain(&side) {
        lab.assert_failed_by(job.id, &error).await;
    }
    assert_eq!(lab.depth().await, Counts::failed(batch + 3));
}

/// A chain of any length is no deeper than a short one.
pub async fn a_failure_goes_down_a_chain_of_thousands(harness: &dyn Harness) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let root = lab.leased(1).await;
    let chain = chain_after(root[0].job, 4_000);
    for chunk in chain.chunks(lab.broker().capabilities().max_batch.min(1_000)) {
        lab.store(chunk).await;
    }
    soon("the end of the chain", lab.apply(&root, &failed())).await;
    assert_eq!(lab.depth().await, Counts::failed(chain.len() + 1));
    let last = chain[chain.len() - 1].id;
    lab.assert_failed_by(last, &lab.error_of(root[0].job).await).await;
}

/// The first failure is the one, and the others change nothing.
pub async fn a_job_that_failed_because_of_an_input_is_final(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let first = lab.leased(1).await;
    let rest = lab.leased(batch + 1).await;
    let inputs = [jobs_of(&first), jobs_of(&rest)].concat();
    let job = lab.store_one(waiting(inputs.into_iter().map(needs))).await;
    lab.apply(&first, &failed()).await;
    let error = lab.error_of(first[0].job).await;
    lab.assert_failed_by(job, &error).await;
    lab.apply(&rest[..batch], &done()).await;
    lab.apply(&rest[batch..], &failed()).await;
    lab.assert_failed_by(job, &error).await;
    assert_eq!(lab.depth().await, Counts::failed(3));
    lab.reserve_all(0).await;
}

/// Whichever comes first in the batch.
pub async fn a_batch_with_a_failure_fails_a_job_that_needs_all_of_it(harness: &dyn Harness) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    for place in 0..3 {
        let inputs = lab.leased(3).await;
        let job = lab.store_one(waiting(jobs_of(&inputs).into_iter().map(needs))).await;
        let mut verdicts = settlements(&inputs, &done());
        verdicts[place].verdict = failed();
        lab.broker().settle(&verdicts).await.unwrap();
        lab.assert_failed_by(job, &lab.error_of(inputs[place].job).await).await;
        lab.reserve_all(0).await;
    }
}

/// Its handle is told like any other, and after the one of what failed it.
pub async fn finished_names_an_input_before_what_failed_because_of_it(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let second = lab.second().await;
    let root = lab.leased(1).await;
    let chain = chain_after(root[0].job, batch);
    lab.store(&chain).await;
    let start = second.results().finished(None, Duration::ZERO).await.unwrap().next;
    let mut waiting = second.results().finished(Some(start), HOUR);
    assert_waits(&mut waiting).await;
    lab.apply(&root, &failed()).await;
    let first = soon("the failed jobs", waiting).await.unwrap();
    let mut ids = first.ids;
    let mut next = first.next;
    while ids.len() < batch + 1 {
        let more = soon("the rest", second.results().finished(Some(next), HOUR)).await.unwrap();
        ids.extend(more.ids);
        next = more.next;
    }
    assert_eq!(ids, [jobs_of(&root), ids_of(&chain)].concat());
}
