//! The sums of a task: how many jobs it had, what became of them, and how long they took.

use std::borrow::Cow;
use std::time::Duration;

use futures::future::join_all;
use taskcore::broker::{Due, Maintain, NewJob, Settled, TaskStats, Verdict};

use crate::harness::Harness;
use crate::holding::*;
use crate::lab::*;
use crate::past::*;
use crate::waiting::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Every task that was ever stored, and no other.
pub async fn sums_are_told_by_the_names_of_tasks(harness: &dyn Harness) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    assert!(lab.history().stats().await.unwrap().is_empty());
    let names = ["b", "a", "c", "a"];
    let jobs = names.map(|task| NewJob { task: Cow::Borrowed(task), ..plain_job() });
    lab.store(&jobs).await;
    let sums = |task: &str, stored| TaskStats { task: task.to_owned(), stored, ..<_>::default() };
    let second = lab.second().await;
    let expected = [sums("a", 2), sums("b", 1), sums("c", 1)];
    assert_eq!(second.history().stats().await.unwrap(), expected);
    lab.purge_all().await;
    assert_eq!(second.history().stats().await.unwrap(), expected);
}

/// A repetition is no job, nor is one that was turned down.
pub async fn sums_count_each_job_that_was_stored_once(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let jobs = plain_jobs(batch);
    lab.store(&jobs).await;
    lab.enqueue(&jobs).await;
    assert_eq!(lab.sums().await.stored, batch as u64);
    if !lab.broker().capabilities().unique {
        return;
    }
    lab.store_holding(&keys(batch)).await;
    let conflicts: Vec<_> = keys(batch).iter().map(|key| holding(key)).collect();
    lab.enqueue(&conflicts).await;
    assert_eq!(lab.sums().await.stored, 2 * batch as u64);
}

/// Once each, in the step in which it happened.
pub async fn sums_count_how_jobs_end(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let count = batch as u64;
    let mut expected = TaskStats { task: "suite::plain".to_owned(), ..TaskStats::default() };
    for verdict in [done(), done_keeping_nothing(), failed(), Verdict::Cancelled] {
        lab.apply(&lab.leased(batch).await, &verdict).await;
        expected.stored += count;
        let ended = match verdict {
            Verdict::Done { .. } => &mut expected.done,
            Verdict::Failed { .. } => &mut expected.failed,
            _ => &mut expected.cancelled,
        };
        *ended += count;
        assert_eq!(counts(&lab).await, expected, "{verdict:?}");
    }
    let (running, waiting) = (jobs_of(&lab.leased(batch).await), lab.stored(batch).await);
    lab.cancel(&[running, waiting].concat()).await;
    expected.stored += 2 * count;
    expected.cancelled += 2 * count;
    assert_eq!(counts(&lab).await, expected, "cancelled");
    for by_upkeep in [true, false] {
        lab.store(&lab.expiring(batch)).await;
        lab.elapse(1).await;
        if by_upkeep {
            lab.maintain().await;
        } else {
            lab.reserve_all(0).await;
        }
        expected.stored += count;
        expected.expired += count;
        assert_eq!(counts(&lab).await, expected, "expired, by upkeep: {by_upkeep}");
    }
}

/// What is repeated is not an end.
pub async fn sums_count_attempts_that_failed_and_leases_that_were_lost(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let count = batch as u64;
    let mut expected =
        TaskStats { task: "suite::plain".to_owned(), stored: count, ..TaskStats::default() };
    let first = lab.leased(batch).await;
    lab.apply(&first, &retry(Duration::ZERO)).await;
    expected.retried += count;
    assert_eq!(counts(&lab).await, expected);
    let second = lab.reserve_all(batch).await;
    lab.lose_leases().await;
    expected.lost += count;
    assert_eq!(counts(&lab).await, expected);
    for deliveries in [&first, &second] {
        for verdict in all_verdicts() {
            assert_eq!(lab.settle(deliveries, &verdict).await, vec![Settled::Stale; batch]);
        }
    }
    assert_eq!(counts(&lab).await, expected, "what is stale is not counted");
    let third = lab.reserve_all(batch).await;
    lab.begin(&third).await;
    lab.elapse(2).await;
    let maintain = Maintain { recovery_limit: 0, ..Maintain::default() };
    lab.broker().maintain(&maintain).await.unwrap();
    expected.lost += count;
    expected.failed += count;
    assert_eq!(counts(&lab).await, expected, "the last lease is lost too");
}

/// It failed twice.
pub async fn sums_count_a_replayed_job_again(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let ids = lab.failing(batch).await;
    lab.replay(&ids).await;
    lab.apply(&lab.reserve_all(batch).await, &failed()).await;
    let sums = counts(&lab).await;
    assert_eq!((sums.stored, sums.failed), (batch as u64, 2 * batch as u64));
}

/// Their ends are no verdicts of theirs.
pub async fn sums_count_jobs_that_end_because_of_others(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let count = batch as u64;
    let deliveries = lab.leased(batch).await;
    lab.store_after_each(&jobs_of(&deliveries)).await;
    lab.apply(&deliveries, &failed()).await;
    let mut expected = TaskStats { stored: 2 * count, failed: 2 * count, ..counts(&lab).await };
    assert_eq!(counts(&lab).await, expected);
    let deliveries = lab.leased(batch).await;
    let next = lab.continue_each(&deliveries).await;
    lab.run_these(&next).await;
    expected.stored += 2 * count;
    expected.done += 2 * count;
    assert_eq!(counts(&lab).await, expected);
    let inputs = lab.stored(batch).await;
    let jobs: Vec<_> = inputs.iter().map(|input| waiting([owns(*input)])).collect();
    lab.store(&jobs).await;
    lab.cancel(&ids_of(&jobs)).await;
    expected.stored += 2 * count;
    expected.cancelled += 2 * count;
    assert_eq!(counts(&lab).await, expected);
}

/// By whatever way a job comes in or goes out.
pub async fn sums_count_jobs_that_nobody_named(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let count = batch as u64;
    let mut expected = TaskStats { task: "suite::plain".to_owned(), ..TaskStats::default() };
    if lab.fire(&plain_jobs(batch)).await {
        expected.stored += count;
        assert_eq!(counts(&lab).await, expected, "a tick");
    }
    if lab.broker().capabilities().unique {
        lab.store_holding(&keys(batch)).await;
        let replacing: Vec<_> = keys(batch).iter().map(|key| replacing(key)).collect();
        lab.store(&replacing).await;
        expected.stored += 2 * count;
        expected.cancelled += count;
        assert_eq!(counts(&lab).await, expected, "replaced");
    }
    if lab.broker().capabilities().results {
        lab.store_after_each(&ids_of(&plain_jobs(batch))).await;
        expected.stored += count;
        expected.failed += count;
        assert_eq!(counts(&lab).await, expected, "an unknown input");
        let inputs = lab.stored(batch).await;
        lab.store_after_each(&inputs).await;
        lab.purge(&inputs).await;
        expected.stored += 2 * count;
        expected.failed += count;
        assert_eq!(counts(&lab).await, expected, "a deleted input");
        let inputs = lab.stored(batch).await;
        lab.store_after_each(&inputs).await;
        lab.cancel(&inputs).await;
        expected.stored += 2 * count;
        expected.failed += count;
        expected.cancelled += count;
        assert_eq!(counts(&lab).await, expected, "a cancelled input");
    }
}

/// What came to an end of its own.
pub async fn sums_count_runs_that_came_to_a_verdict(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    for verdict in [Verdict::Release, snooze(Duration::ZERO), Verdict::Cancelled] {
        lab.elapse(1).await;
        let deliveries = lab.leased(batch).await;
        lab.elapse(1).await;
        lab.apply(&deliveries, &verdict).await;
        lab.cancel(&jobs_of(&deliveries)).await;
    }
    let lost = jobs_of(&lab.leased(batch).await);
    lab.lose_leases().await;
    lab.cancel(&lost).await;
    lab.cancel(&jobs_of(&lab.leased(batch).await)).await;
    let times = |sums: TaskStats| {
        (sums.runs, sums.run_time + sums.longest_run, sums.wait_time + sums.longest_wait)
    };
    assert_eq!(times(lab.sums().await), (0, Duration::ZERO, Duration::ZERO));
    for (count, verdict) in (1..).zip([done(), done_keeping_nothing(), failed(), retry(HOUR)]) {
        lab.apply(&lab.leased(batch).await, &verdict).await;
        assert_eq!(lab.sums().await.runs, count * batch as u64);
    }
    if lab.broker().capabilities().results {
        lab.continue_each(&lab.leased(batch).await).await;
        assert_eq!(lab.sums().await.runs, 5 * batch as u64);
    }
}

/// To the millisecond, as the timelines have it.
pub async fn sums_tell_how_long_jobs_ran(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let deliveries = lab.leased(3 * batch).await;
    let (first, others) = deliveries.split_at(batch);
    let (second, third) = others.split_at(batch);
    lab.apply(first, &done()).await;
    lab.elapse(1).await;
    lab.apply(second, &failed()).await;
    lab.extend(third, 9).await;
    lab.elapse(3).await;
    lab.apply(third, &retry(HOUR)).await;
    let timelines = lab.timelines(&jobs_of(&deliveries)).await;
    let runs = timelines.iter().map(|timeline| run_of(&timeline.attempts[0]));
    let sums = lab.sums().await;
    assert_eq!((sums.run_time, sums.longest_run), sum_and_longest(runs));
    assert!(sums.longest_run >= lab.ticks(4));
    let five = lab.ticks(5) * u32::try_from(batch).unwrap();
    assert!(sums.run_time >= five && sums.run_time < five * 2, "{sums:?}");
}

/// From when they could have run, each time.
pub async fn sums_tell_how_long_jobs_waited(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let mut waits = Vec::new();
    let jobs = jobs(batch, || NewJob { due: Due::After(lab.ticks(2)), ..plain_job() });
    lab.store(&jobs).await;
    let ids = ids_of(&jobs);
    for verdict in [retry(lab.ticks(2)), snooze(lab.ticks(2)), done()] {
        lab.elapse(3).await;
        let deliveries = lab.reserve_all(batch).await;
        if !matches!(verdict, Verdict::Snooze { .. }) {
            for (delivery, timeline) in deliveries.iter().zip(lab.timelines(&ids).await) {
                waits.push(wait_of(delivery, &timeline));
            }
        }
        lab.apply(&deliveries, &verdict).await;
    }
    let sums = lab.sums().await;
    assert_eq!((sums.wait_time, sums.longest_wait), sum_and_longest(waits.into_iter()));
    assert!((lab.ticks(1)..lab.ticks(2)).contains(&sums.longest_wait), "{sums:?}");
    let two = lab.ticks(2) * u32::try_from(batch).unwrap();
    assert!(sums.wait_time >= two && sums.wait_time < two * 2, "{sums:?}");
}

/// A user waits for that too.
pub async fn the_wait_for_inputs_counts_as_a_wait(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let inputs = lab.leased(batch).await;
    let ids = lab.store_after_each(&jobs_of(&inputs)).await;
    lab.elapse(1).await;
    lab.apply(&inputs, &done()).await;
    let before = lab.sums().await;
    lab.run_these(&ids).await;
    let sums = lab.sums().await;
    assert!((lab.ticks(1)..lab.ticks(2)).contains(&sums.longest_wait), "{sums:?}");
    let all = lab.ticks(1) * u32::try_from(batch).unwrap();
    assert!(sums.wait_time - before.wait_time >= all);
}

/// No count is lost between two who add to it.
pub async fn sums_of_jobs_that_end_at_the_same_time_are_right(harness: &dyn Harness) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    lab.stored(40).await;
    let mut labs = Vec::new();
    for _ in 0..4 {
        labs.push(lab.second().await);
    }
    join_all(labs.iter().map(async |lab| {
        for _ in 0..10 {
            let deliveries = lab.reserve(1).await;
            lab.apply(&deliveries, &done()).await;
        }
    }))
    .await;
    let sums = lab.sums().await;
    assert_eq!((sums.stored, sums.done, sums.runs), (40, 40, 40));
}

/// They are of all time.
pub async fn sums_stay_when_jobs_are_deleted(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let deliveries = lab.leased(2 * batch).await;
    lab.elapse(1).await;
    lab.apply(&deliveries[..batch], &done_with(b"1", lab.ticks(1))).await;
    lab.apply(&deliveries[batch..], &failed()).await;
    let waiting = lab.stored(batch).await;
    let before = lab.sums().await;
    lab.purge(&[jobs_of(&deliveries[batch..]), waiting].concat()).await;
    lab.elapse(1).await;
    assert_eq!(lab.maintain().await.pruned, batch as u64);
    assert_eq!(lab.sums().await, before);
    assert_eq!((before.stored, before.runs), (3 * batch as u64, 2 * batch as u64));
}

/// The sums without the times.
async fn counts(lab: &Lab<'_>) -> TaskStats {
    let TaskStats { task, stored, done, failed, cancelled, expired, retried, lost, .. } =
        lab.sums().await;
    TaskStats { task, stored, done, failed, cancelled, expired, retried, lost, ..<_>::default() }
}
