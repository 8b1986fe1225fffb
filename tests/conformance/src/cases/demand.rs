//! What the readers of a stream want, so that its task makes no more.

use std::time::{Duration, Instant};

use taskcore::JobId;
use taskcore::broker::{BrokerError, Demand, Due, NewJob, Verdict};

use crate::harness::Harness;
use crate::lab::*;
use crate::reporting::*;

/// The task is ahead of the fastest reader, not of the slowest.
pub async fn the_highest_pull_counts(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let second = lab.second().await;
    let ids = jobs_of(&lab.leased(batch).await);
    assert_eq!(untils(&lab.demands(&ids).await), vec![0; batch], "nobody reads yet");
    for (until, highest) in [(5, 5), (3, 5), (8, 8), (0, 8)] {
        second.pull(&ids, until).await;
        assert_eq!(untils(&lab.demands(&ids).await), vec![highest; batch]);
    }
    second.pull(&ids[..1], 20).await;
    let rest = vec![8; batch - 1];
    assert_eq!(untils(&lab.demands(&ids).await), [vec![20], rest].concat(), "one job's alone");
}

/// A reader may be there before the task runs.
pub async fn a_pull_counts_before_the_job_runs(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let ids = lab.stored(batch).await;
    lab.pull(&ids, 4).await;
    lab.reserve_these(&ids).await;
    assert_eq!(untils(&lab.demands(&ids).await), vec![4; batch]);
}

/// A task that nobody reads is to stop, once in a while.
pub async fn a_stream_that_nobody_pulls_grows_idle(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    let ids = jobs_of(&deliveries);
    lab.extend(&deliveries, 20).await;
    assert_idle(&lab, &ids, 0).await;
    lab.elapse(2).await;
    assert_idle(&lab, &ids, 2).await;
    lab.pull(&ids, 5).await;
    assert_idle(&lab, &ids, 0).await;
    lab.elapse(3).await;
    lab.say(&publishing(&deliveries, 0..1)).await;
    assert_idle(&lab, &ids, 3).await;
    lab.pull(&ids, 1).await;
    assert_idle(&lab, &ids, 0).await;
    assert_eq!(untils(&lab.demands(&ids).await), vec![5; batch], "a lower one is a sign too");
}

/// Nobody can read what nobody makes.
pub async fn a_stream_is_not_idle_before_it_was_handed_out(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let ids = lab.stored(batch).await;
    lab.pull(&ids, 5).await;
    lab.elapse(5).await;
    let first = lab.reserve_these(&ids).await;
    assert_idle(&lab, &ids, 0).await;
    lab.elapse(1).await;
    lab.apply(&first, &Verdict::Release).await;
    lab.reserve_these(&ids).await;
    assert_idle(&lab, &ids, 0).await;
}

/// The task goes on as soon as somebody wants more.
pub async fn a_waiting_demand_answers_when_a_reader_wants_more(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let second = lab.second().await;
    let ids = jobs_of(&lab.leased(batch).await);
    lab.pull(&ids, 3).await;
    let known: Vec<_> = ids.iter().map(|id| (*id, 3)).collect();
    let mut waiting = lab.reports().demand(&known, HOUR);
    assert_waits(&mut waiting).await;
    second.pull(&ids, 2).await;
    assert_waits(&mut waiting).await;
    second.pull(&ids[batch - 1..], 7).await;
    let demands = soon("the demand", waiting).await.unwrap();
    let demands: Vec<_> = demands.into_iter().map(Option::unwrap).collect();
    assert_eq!(untils(&demands), [vec![3; batch - 1], vec![7]].concat());
}

/// It has nothing to wait for.
pub async fn demand_answers_at_once_if_more_is_wanted_than_known(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let ids = jobs_of(&lab.leased(batch).await);
    lab.pull(&ids, 3).await;
    let mut known: Vec<_> = ids.iter().map(|id| (*id, 3)).collect();
    known[batch - 1].1 = 2;
    let demands = soon("the answer", lab.reports().demand(&known, HOUR)).await.unwrap();
    assert!(demands.iter().all(|demand| demand.unwrap().until == 3));
}

/// Bounded by the caller.
pub async fn demand_waits_no_longer_than_asked(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let job = lab.leased(1).await[0].job;
    lab.pull(&[job], 3).await;
    let (started, wait) = (Instant::now(), Duration::from_millis(50));
    let known = [(job, 3)];
    let call = lab.reports().demand(&known, wait);
    let demands = soon("the end of the wait", call).await.unwrap();
    assert_eq!(demands[0].unwrap().until, 3);
    assert!(started.elapsed() >= wait / 2, "it did not wait");
}

/// A worker that stops does not sit it out.
pub async fn close_ends_a_demand_that_waits(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let known = [(lab.leased(1).await[0].job, 0)];
    let mut waiting = lab.reports().demand(&known, HOUR);
    assert_waits(&mut waiting).await;
    lab.broker().close().await.unwrap();
    match soon("the answer", waiting).await {
        Ok(demands) => assert_eq!(demands.len(), 1),
        Err(error) => assert!(matches!(error, BrokerError::Closed { .. }), "{error:?}"),
    }
}

/// There is nothing that it could make.
pub async fn there_is_no_demand_of_a_job_that_does_not_run(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let ended = lab.leased(3).await;
    lab.apply(&ended[..1], &done()).await;
    lab.apply(&ended[1..2], &failed()).await;
    lab.cancel(&jobs_of(&ended[2..])).await;
    let running = lab.leased(1).await[0].job;
    let later = NewJob { due: Due::After(lab.ticks(9)), ..plain_job() };
    let later = lab.store_one(later).await;
    let ready = lab.stored(1).await[0];
    let jobs = [ended[0].job, ready, ended[1].job, running, later, ended[2].job, JobId::new()];
    lab.pull(&jobs, 3).await;
    let demands = lab.demand(&jobs).await;
    let is_there: Vec<_> = demands.iter().map(Option::is_some).collect();
    assert_eq!(is_there, [false, false, false, true, false, false, false]);
}

/// Also not if it is replayed.
pub async fn a_pull_of_a_final_job_changes_nothing(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let ids = lab.failing(batch).await;
    lab.pull(&ids, 9).await;
    lab.pull(&[JobId::new()], 9).await;
    lab.replay(&ids).await;
    lab.reserve_these(&ids).await;
    assert_eq!(untils(&lab.demands(&ids).await), vec![0; batch]);
}

fn untils(demands: &[Demand]) -> Vec<u64> {
    demands.iter().map(|demand| demand.until).collect()
}

/// Checks that the latest sign of a reader was `ticks` ago.
async fn assert_idle(lab: &Lab<'_>, jobs: &[JobId], ticks: u32) {
    for demand in lab.demands(jobs).await {
        let span = lab.ticks(ticks)..lab.ticks(ticks + 1);
        assert!(span.contains(&demand.idle), "{demand:?} after {ticks} ticks");
    }
}
