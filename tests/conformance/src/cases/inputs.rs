//! Jobs that wait for the results of others.

use std::time::Duration;

use taskcore::JobId;
use taskcore::broker::{Due, Enqueued, JobFilter, JobState, NewJob, Reserve, Verdict};

use crate::harness::Harness;
use crate::lab::*;
use crate::waiting::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Every one of them, in whichever order they end; then it is a job like any other.
pub async fn a_job_is_blocked_until_all_its_inputs_are_done(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.stored(batch).await;
    let job = lab.store_one(waiting(inputs.iter().copied().map(needs))).await;
    let mut deliveries = lab.reserve_these(&inputs).await;
    while let Some(delivery) = deliveries.pop() {
        lab.assert_all(&[job], JobState::Blocked).await;
        assert_eq!(lab.waits_for(job).await as usize, deliveries.len() + 1);
        assert!(lab.reserve(1).await.is_empty());
        lab.apply(&[delivery], &done()).await;
    }
    lab.assert_all(&[job], JobState::Ready).await;
    assert_eq!((lab.depth().await, lab.waits_for(job).await), (Counts::ready(1), 0));
    let delivery = lab.reserve_these(&[job]).await.remove(0);
    assert_eq!((delivery.attempt.get(), delivery.envelope), (1, envelope_of(job)));
}

/// Whoever sees the verdict sees the jobs that it released.
pub async fn one_batch_of_verdicts_releases_all_that_waited_for_it(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let second = lab.second().await;
    let inputs = lab.leased(batch).await;
    let jobs = lab.store_after_each(&jobs_of(&inputs)).await;
    let all = lab.store_one(waiting(jobs_of(&inputs).into_iter().map(needs))).await;
    assert_eq!(
        second.depth().await,
        Counts { blocked: batch as u64 + 1, ..Counts::running(batch) }
    );
    lab.apply(&inputs, &done()).await;
    assert_eq!(second.depth().await, Counts::ready(batch + 1));
    second.reserve_these(&[jobs, vec![all]].concat()).await;
}

/// What does not count releases nothing.
pub async fn a_stale_verdict_releases_nothing(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let stalled = lab.leased(batch).await;
    let jobs = lab.store_after_each(&jobs_of(&stalled)).await;
    lab.elapse(2).await;
    for verdict in [done(), failed()] {
        lab.settle(&stalled, &verdict).await;
        lab.assert_all(&jobs, JobState::Blocked).await;
    }
    lab.maintain().await;
    lab.run_these(&jobs_of(&stalled)).await;
    lab.assert_all(&jobs, JobState::Ready).await;
}

/// An attempt that is not the end is no end for those that wait either.
pub async fn an_input_that_runs_again_releases_nothing(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let jobs = lab.store_after_each(&jobs_of(&inputs)).await;
    lab.apply(&inputs, &Verdict::Release).await;
    lab.assert_all(&jobs, JobState::Blocked).await;
    let inputs = lab.reserve_these(&jobs_of(&inputs)).await;
    lab.apply(&inputs, &retry(Duration::ZERO)).await;
    lab.assert_all(&jobs, JobState::Blocked).await;
    let inputs = lab.reserve_these(&jobs_of(&inputs)).await;
    lab.begin(&inputs).await;
    lab.lose_leases().await;
    lab.assert_all(&jobs, JobState::Blocked).await;
    lab.run_these(&jobs_of(&inputs)).await;
    lab.assert_all(&jobs, JobState::Ready).await;
}

/// A call with its parts is stored at once.
pub async fn inputs_may_come_in_the_same_batch(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = plain_jobs(batch);
    let after_each = inputs.iter().map(|input| waiting([needs(input.id)])).collect::<Vec<_>>();
    let last = waiting(ids_of(&after_each).into_iter().map(owns));
    lab.store(&[inputs.clone(), after_each.clone(), vec![last.clone()]].concat()).await;
    assert_eq!(lab.depth().await, Counts { blocked: batch as u64 + 1, ..Counts::ready(batch) });
    lab.run_these(&ids_of(&inputs)).await;
    lab.run_these(&ids_of(&after_each)).await;
    lab.run_these(&[last.id]).await;
}

/// There is nothing to wait for.
pub async fn an_input_that_is_done_already_is_not_waited_for(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let is_done = lab.stored(batch).await;
    lab.run_these(&is_done).await;
    let ready = lab.store_after_each(&is_done).await;
    let open = lab.stored(1).await[0];
    let inputs = is_done.iter().copied().chain([open]).map(needs);
    let blocked = lab.store_one(waiting(inputs)).await;
    lab.assert_all(&ready, JobState::Ready).await;
    lab.assert_all(&[blocked], JobState::Blocked).await;
    assert_eq!(lab.waits_for(blocked).await, 1);
    lab.run_these(&[ready, vec![open]].concat()).await;
    lab.run_these(&[blocked]).await;
}

/// One job feeds many, and many feed one.
pub async fn a_diamond_runs_from_its_source_to_its_sink(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let source = plain_job();
    let middle = jobs(batch, || waiting([needs(source.id)]));
    let inputs = ids_of(&middle).into_iter().chain([source.id]).map(needs);
    let sink = waiting(inputs);
    let batch_of_all = [vec![source.clone()], middle.clone(), vec![sink.clone()]].concat();
    lab.store(&batch_of_all).await;
    lab.run_these(&[source.id]).await;
    assert_eq!(lab.depth().await, Counts { blocked: 1, ..Counts::ready(batch) });
    lab.run_these(&ids_of(&middle)).await;
    lab.run_these(&[sink.id]).await;
    lab.assert_all(&ids_of(&batch_of_all), JobState::Done).await;
}

/// Each after the one before.
pub async fn a_chain_runs_in_order(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let first = plain_job();
    let rest = chain_after(first.id, batch);
    lab.store(&[vec![first.clone()], rest.clone()].concat()).await;
    for id in std::iter::once(first.id).chain(ids_of(&rest)) {
        lab.run_these(&[id]).await;
    }
    assert_eq!(lab.depth().await, Counts::default());
}

/// However many verdicts come at once, it is released by the last and runs once.
pub async fn a_fan_in_of_hundreds_is_released_once(harness: &dyn Harness) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.stored(700).await;
    let sink = lab.store_one(waiting(inputs.iter().copied().map(needs))).await;
    let mut left = inputs.len();
    while left > 0 {
        lab.assert_all(&[sink], JobState::Blocked).await;
        assert_eq!(lab.waits_for(sink).await as usize, left);
        let deliveries = lab.reserve(250).await;
        left -= deliveries.len();
        lab.apply(&deliveries, &done()).await;
    }
    lab.run_these(&[sink]).await;
    lab.reserve_all(0).await;
}

/// Its due time holds, however early its inputs end.
pub async fn a_released_job_that_is_due_later_is_scheduled(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let due = Due::After(lab.ticks(3));
    let after_each = jobs_of(&inputs).into_iter().map(|id| NewJob { due, ..waiting([needs(id)]) });
    let jobs: Vec<_> = after_each.collect();
    lab.store(&jobs).await;
    assert_eq!(lab.depth().await, Counts { blocked: batch as u64, ..Counts::running(batch) });
    lab.elapse(1).await;
    lab.apply(&inputs, &done()).await;
    lab.assert_all(&ids_of(&jobs), JobState::Scheduled).await;
    assert_eq!(lab.depth().await, Counts::scheduled(batch));
    assert!(lab.reserve(batch).await.is_empty());
    lab.elapse(2).await;
    lab.run_these(&ids_of(&jobs)).await;
}

/// A due time that passes changes nothing for a job that waits for others.
pub async fn a_blocked_job_is_never_handed_out(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs: Vec<_> = jobs(batch, || due_in(lab.ticks(9)));
    lab.store(&inputs).await;
    let due = Due::After(lab.ticks(1));
    let later = ids_of(&inputs).into_iter().map(|id| NewJob { due, ..waiting([needs(id)]) });
    let later: Vec<_> = later.collect();
    lab.store(&later).await;
    let jobs = [ids_of(&later), lab.store_after_each(&ids_of(&inputs)).await].concat();
    lab.elapse(3).await;
    assert_eq!(lab.maintain().await.promoted, 0);
    assert!(lab.reserve(batch).await.is_empty());
    lab.assert_all(&jobs, JobState::Blocked).await;
    lab.elapse(6).await;
    lab.run_these(&ids_of(&inputs)).await;
    lab.assert_all(&jobs, JobState::Ready).await;
    assert_eq!(lab.depth().await, Counts::ready(2 * batch));
}

/// By its due time, as every job: what was stored earlier comes earlier.
pub async fn a_released_job_comes_in_the_order_of_its_due_time(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let jobs = lab.store_after_each(&jobs_of(&inputs)).await;
    lab.elapse(1).await;
    let later = lab.stored(batch).await;
    let backwards: Vec<_> = inputs.into_iter().rev().collect();
    lab.apply(&backwards, &done()).await;
    assert_eq!(jobs_of(&lab.reserve_all(2 * batch).await), [jobs, later].concat());
}

/// A job that is released is work like any other.
pub async fn a_waiting_reserve_gets_a_job_whose_inputs_ended(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let second = lab.second().await;
    for verdict in [done(), failed()] {
        let inputs = second.leased(batch).await;
        let job = second.store_one(waiting(jobs_of(&inputs).into_iter().map(tolerates))).await;
        let request = Reserve { wait: HOUR, ..lab.request(1) };
        let mut waiting = Box::pin(lab.broker().reserve(&request));
        assert_waits(&mut waiting).await;
        second.apply(&inputs, &verdict).await;
        assert_eq!(jobs_of(&soon("the released job", waiting).await.unwrap()), [job]);
    }
}

/// Whatever became of the inputs since.
pub async fn repeating_a_batch_with_inputs_changes_nothing(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    if !lab.broker().capabilities().dedupe {
        return;
    }
    let inputs = lab.leased(batch + 1).await;
    let ids = jobs_of(&inputs);
    let mut jobs: Vec<_> = ids.iter().map(|id| waiting([needs(*id)])).collect();
    jobs.push(waiting(ids.iter().copied().map(tolerates)));
    let all = jobs[batch + 1].id;
    lab.store(&jobs).await;
    let again = async || {
        let before = lab.depth().await;
        let answers = lab.broker().enqueue(&jobs).await.unwrap();
        assert_eq!(answers, vec![Enqueued::Duplicate; jobs.len()]);
        assert_eq!(lab.depth().await, before);
    };
    again().await;
    assert_eq!(lab.waits_for(all).await as usize, batch + 1);
    lab.apply(&inputs[..batch], &failed()).await;
    again().await;
    assert_eq!(lab.waits_for(all).await, 1);
    lab.apply(&inputs[batch..], &done()).await;
    again().await;
    lab.run_these(&[jobs[batch].id, all]).await;
    again().await;
    assert_eq!(lab.depth().await, Counts::failed(2 * batch));
}

/// In its own column, under its own name.
pub async fn blocked_jobs_are_counted_and_listed(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let inputs = lab.stored(batch).await;
    let in_other = |input: &JobId| NewJob { queue: queue("other"), ..waiting([needs(*input)]) };
    let jobs: Vec<_> = inputs.iter().map(in_other).collect();
    lab.store(&jobs).await;
    let filter = JobFilter { states: vec![JobState::Blocked], ..JobFilter::default() };
    let newest_first: Vec<_> = ids_of(&jobs).into_iter().rev().collect();
    assert_eq!(lab.listed(&filter).await, newest_first);
    for record in lab.records(&ids_of(&jobs)).await {
        assert_eq!((record.state, record.waits_for), (JobState::Blocked, 1));
        assert_eq!((record.finished_at, record.started_at), (None, None));
    }
    assert_eq!(Counts::of(&lab.depth_of(&queue("other")).await), Counts::blocked(batch));
    assert_eq!(lab.depth_of(&queue("other")).await.oldest_ready, None);
    assert_eq!(lab.depth().await, Counts::ready(batch));
    let queues = lab.operate().queues().await.unwrap();
    let counts: Vec<_> = queues.iter().map(|status| Counts::of(&status.depth)).collect();
    assert_eq!(counts, [Counts::blocked(batch), Counts::ready(batch)]);
    assert!(lab.records(&inputs).await.iter().all(|record| record.waits_for == 0));
}
