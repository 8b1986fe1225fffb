//! Jobs that go on as others, and end as those do.

use std::time::Duration;

use taskcore::broker::{JobState, Reserve, Settled, Settlement, Verdict};
use taskcore::{Failure, JobError, JobId};

use crate::harness::Harness;
use crate::lab::*;
use crate::waiting::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// It is with no worker, and not handed out; what continues it is.
pub async fn a_continued_job_is_blocked_until_what_continues_it_is_done(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    let (jobs, next) = (jobs_of(&deliveries), lab.continue_each(&deliveries).await);
    lab.assert_all(&jobs, JobState::Blocked).await;
    let counts = Counts { blocked: batch as u64, ..Counts::ready(batch) };
    assert_eq!(lab.depth().await, counts);
    for record in lab.records(&jobs).await {
        assert_eq!((record.state, record.waits_for), (JobState::Blocked, 1));
        assert_eq!((record.failures, record.failure), (0, None));
        assert_eq!(record.worker.as_deref(), Some("worker of the suite"));
        assert!(record.started_at.is_some());
    }
    let running = lab.reserve_these(&next).await;
    lab.assert_all(&jobs, JobState::Blocked).await;
    lab.apply(&running, &done()).await;
    lab.assert_all(&jobs, JobState::Done).await;
    assert_eq!(lab.depth().await, Counts::default());
    assert!(lab.reserve(batch).await.is_empty());
}

/// Each the one of its own.
pub async fn a_continued_job_has_the_result_of_what_continues_it(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    let (jobs, next) = (jobs_of(&deliveries), lab.continue_each(&deliveries).await);
    let started = lab.records(&jobs).await;
    lab.elapse(1).await;
    let running = lab.reserve_these(&next).await;
    let settlements: Vec<_> = running
        .iter()
        .map(|delivery| Settlement {
            job: delivery.job,
            receipt: delivery.receipt.clone(),
            verdict: done_with(delivery.job.as_bytes(), HOUR),
        })
        .collect();
    lab.broker().settle(&settlements).await.unwrap();
    let by = lab.ends(&next).await;
    for (end, by) in lab.ends(&jobs).await.iter().zip(&by) {
        assert_eq!((end.state, &end.failure), (JobState::Done, &None));
        assert_eq!((&end.result, end.finished_at), (&by.result, by.finished_at));
        assert_eq!(end.result.as_ref().unwrap().as_slice(), by.job.as_bytes());
    }
    for (before, after) in started.into_iter().zip(lab.records(&jobs).await) {
        assert_eq!((after.started_at, after.worker), (before.started_at, before.worker));
        assert_eq!((after.failures, after.waits_for), (0, 0));
    }
}

/// Nor stores any job.
pub async fn a_stale_continuation_changes_nothing(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.lose_leases().await;
    let next = plain_jobs(batch);
    let answers = lab.settle_each(&deliveries, &each_by(&next)).await;
    assert_eq!(answers, vec![Settled::Stale; batch]);
    assert_eq!(lab.states(&ids_of(&next)).await, vec![None; batch]);
    assert_eq!(lab.depth().await, Counts::ready(batch));
    let again = lab.reserve_these(&jobs_of(&deliveries)).await;
    let verdicts = each_by(&next);
    assert_eq!(lab.settle_each(&again, &verdicts).await, vec![Settled::Applied; batch]);
    assert_eq!(lab.settle_each(&again, &verdicts).await, vec![Settled::Stale; batch]);
    lab.run_these(&ids_of(&next)).await;
    lab.assert_all(&jobs_of(&deliveries), JobState::Done).await;
}

/// With all that what continues it needs.
pub async fn a_continuation_may_be_a_workflow(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let delivery = lab.leased(1).await;
    let inputs = plain_jobs(batch);
    let by = waiting(ids_of(&inputs).into_iter().map(owns));
    let all = [inputs.clone(), vec![by.clone()]].concat();
    lab.apply(&delivery, &continued(all, by.id)).await;
    assert_eq!(lab.waits_for(by.id).await, batch as u32);
    lab.run_these(&ids_of(&inputs)).await;
    lab.assert_all(&jobs_of(&delivery), JobState::Blocked).await;
    lab.run_these(&[by.id]).await;
    lab.assert_all(&jobs_of(&delivery), JobState::Done).await;
}

/// A repetition is harmless, and what continues a job may be anybody's.
pub async fn a_job_may_be_continued_by_one_that_was_stored_before(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(2 * batch).await;
    let shared = in_queue("elsewhere");
    lab.store(std::slice::from_ref(&shared)).await;
    lab.apply(&deliveries[..batch], &continued(vec![], shared.id)).await;
    lab.apply(&deliveries[batch..], &continued(vec![shared.clone()], shared.id)).await;
    lab.assert_all(&jobs_of(&deliveries), JobState::Blocked).await;
    assert_eq!(lab.depth_of(&shared.queue).await.ready, Some(1));
    lab.purge(&[shared.id]).await;
    let error = JobError::Cancelled { job: shared.id, task: "suite::plain".to_owned() };
    for job in jobs_of(&deliveries) {
        lab.assert_ended_by(job, 1, &error).await;
    }
}

/// However it ended, and even if nobody knows it.
pub async fn a_job_that_is_continued_by_one_that_has_ended_ends_at_once(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let is_done = lab.leased(1).await;
    lab.apply(&is_done, &done_with(b"7", HOUR)).await;
    let has_failed = lab.failing(1).await;
    let cancelled = lab.stored(1).await;
    lab.cancel(&cancelled).await;
    let good = lab.leased(batch).await;
    lab.apply(&good, &continued(vec![], is_done[0].job)).await;
    for end in lab.ends(&jobs_of(&good)).await {
        assert_eq!(end.result.as_ref().map(|result| result.as_slice()), Some(b"7".as_slice()));
    }
    let unknown = JobId::new();
    for by in [has_failed[0], cancelled[0], unknown] {
        let bad = lab.leased(batch).await;
        lab.apply(&bad, &continued(vec![], by)).await;
        let error = match by == unknown {
            true => JobError::unknown(by),
            false => lab.error_of(by).await,
        };
        for job in jobs_of(&bad) {
            lab.assert_ended_by(job, 1, &error).await;
        }
    }
}

/// Its attempt tells that it ran, and its message what the root was.
pub async fn a_continued_job_fails_with_what_continues_it(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let first = lab.leased(batch).await;
    lab.apply(&first, &retry(lab.ticks(0))).await;
    let again = lab.reserve_these(&jobs_of(&first)).await;
    let next = lab.continue_each(&again).await;
    let last = {
        let running = lab.reserve_these(&next).await;
        lab.continue_each(&running).await
    };
    let follow = lab.store_after_each(&jobs_of(&first)).await;
    let running = lab.reserve_these(&last).await;
    let fails = |root: &JobId| {
        let failure = Failure { job: *root, task: "suite::root".to_owned(), ..failure("no") };
        Verdict::Failed { failure }
    };
    let verdicts: Vec<_> = jobs_of(&running).iter().map(fails).collect();
    assert_eq!(lab.settle_each(&running, &verdicts).await, applied(batch));
    for (place, root) in last.iter().enumerate() {
        let error = lab.error_of(*root).await;
        let (job, between) = (first[place].job, next[place]);
        lab.assert_ended_by(between, 1, &error).await;
        lab.assert_ended_by(job, 2, &error).await;
        lab.assert_failed_by(follow[place], &lab.error_of(job).await).await;
        let message = lab.ends(&[follow[place]]).await.remove(0).failure.unwrap().message;
        assert!(message.contains(&root.to_string()), "{message} does not name the root");
    }
}

/// Its dependants are told as by its own verdict.
pub async fn what_waits_for_a_continued_job_goes_on_when_that_is_done(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    let jobs = jobs_of(&deliveries);
    let before = lab.store_after_each(&jobs).await;
    let next = lab.continue_each(&deliveries).await;
    let all = lab.store_one(waiting(jobs.iter().chain(&next).copied().map(needs))).await;
    lab.assert_all(&before, JobState::Blocked).await;
    assert_eq!(lab.waits_for(all).await, 2 * batch as u32);
    lab.run_these(&next).await;
    lab.run_these(&[before, vec![all]].concat()).await;
}

/// A recursion of any depth is no deeper than a short one.
pub async fn a_chain_of_thousands_of_continuations_ends_together(harness: &dyn Harness) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    // One way of ending together is enough to see what thousands cost.
    for (verdict, length) in [(done_with(b"8", HOUR), 2_000), (failed(), 100)] {
        let mut delivery = lab.leased(1).await;
        let mut ids = jobs_of(&delivery);
        for _ in 0..length {
            let next = lab.continue_each(&delivery).await;
            delivery = lab.reserve_these(&next).await;
            ids.extend(next);
        }
        soon("the end of the chain", lab.apply(&delivery, &verdict)).await;
        let state =
            if matches!(verdict, Verdict::Done { .. }) { JobState::Done } else { JobState::Failed };
        lab.assert_all(&ids, state).await;
        let last = ids[ids.len() - 1];
        if state == JobState::Done {
            let result = lab.ends(&ids[..1]).await.remove(0).result.unwrap();
            assert_eq!(result.as_slice(), b"8");
        } else {
            lab.assert_ended_by(ids[0], 1, &lab.error_of(last).await).await;
        }
    }
}

/// Through inputs, through continuations, or directly.
pub async fn a_job_that_would_wait_for_itself_fails_at_once(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    let jobs = jobs_of(&deliveries);
    let mut needing = lab.store_after_each(&jobs).await;
    for _ in 0..2 {
        let between = lab.leased(batch).await;
        lab.settle_each(&between, &each_by_id(&needing)).await;
        needing = lab.store_after_each(&jobs_of(&between)).await;
    }
    assert_eq!(lab.settle_each(&deliveries, &each_by_id(&needing)).await, applied(batch));
    for (job, by) in jobs.iter().zip(&needing) {
        let failure = lab.ends(&[*job]).await.remove(0).failure.unwrap();
        let expected = Failure::of_cycle(*job, "suite::plain".to_owned(), 1, *by);
        assert_eq!(failure, expected);
        assert_eq!(lab.records(&[*job]).await[0].failures, 1);
    }
    lab.assert_all(&needing, JobState::Failed).await;
    let own = lab.leased(batch).await;
    let ids = jobs_of(&own);
    assert_eq!(lab.settle_each(&own, &each_by_id(&ids)).await, applied(batch));
    lab.assert_all(&ids, JobState::Failed).await;
    assert_eq!(sorted(lab.replay(&ids).await), sorted(ids.clone()));
    lab.run_these(&ids).await;
}

/// The verdicts of a batch count in their order.
pub async fn a_job_may_be_continued_by_one_that_ends_in_the_same_batch(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let by = lab.leased(1).await;
    let deliveries = lab.leased(batch).await;
    let mut verdicts = settlements(&deliveries, &continued(vec![], by[0].job));
    verdicts.extend(settlements(&by, &done_keeping_nothing()));
    assert_eq!(lab.broker().settle(&verdicts).await.unwrap(), applied(batch + 1));
    for end in lab.ends(&jobs_of(&deliveries)).await {
        assert_eq!(end.result.unwrap().as_slice(), b"42");
    }
}

/// So its handle need not poll.
pub async fn finished_names_what_continues_a_job_before_it(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    for verdict in [done(), failed()] {
        let deliveries = lab.leased(batch).await;
        let (jobs, next) = (jobs_of(&deliveries), lab.continue_each(&deliveries).await);
        let running = lab.reserve_these(&next).await;
        let now = lab.results().finished(None, lab.ticks(0)).await.unwrap().next;
        lab.apply(&running, &verdict).await;
        let named = lab.results().finished(Some(now), lab.ticks(0)).await.unwrap().ids;
        assert_eq!(sorted(named.clone()), sorted([&*jobs, &next].concat()));
        let place = |id| named.iter().position(|named| named == id).unwrap();
        assert!(jobs.iter().zip(&next).all(|(job, by)| place(by) < place(job)), "{named:?}");
    }
}

/// As for any job that is stored.
pub async fn a_waiting_reserve_gets_what_continues_a_job(harness: &dyn Harness) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let delivery = lab.leased(1).await;
    let second = lab.second().await;
    let request = Reserve { wait: lab.ticks(9), ..second.request(1) };
    let mut reserve = Box::pin(second.broker().reserve(&request));
    assert_waits(&mut reserve).await;
    let next = lab.continue_each(&delivery).await;
    let got = soon("the job that continues", reserve).await.unwrap();
    assert_eq!(jobs_of(&got), next);
}
