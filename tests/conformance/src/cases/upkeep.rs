//! Upkeep.

use std::time::Duration;

use taskcore::broker::{JobState, Keep, Maintain, NewJob, Upkeep, Verdict};

use crate::harness::Harness;
use crate::lab::*;

/// Nothing to do is said.
pub async fn upkeep_of_an_empty_store_is_idle(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    assert_eq!(lab.maintain().await, Upkeep::default());
}

/// What was done once is done.
pub async fn a_second_upkeep_finds_nothing_to_do(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    store_one_of_each_kind_of_work(&lab, batch).await;
    let all = batch as u64;
    let expected = Upkeep { promoted: all, reclaimed: all, lost: 0, expired: all, pruned: all };
    lab.assert_upkeep(lab.maintain().await, expected);
    lab.assert_upkeep(lab.maintain().await, Upkeep::default());
    if lab.is_transport() {
        // What has expired counts as ready until its turn comes.
        lab.reserve_all(2 * batch).await;
    } else {
        lab.assert_depth(Counts::ready(2 * batch)).await;
    }
}

/// The budget bounds each kind of work, and every call gets on with it.
pub async fn upkeep_keeps_to_its_budget_and_gets_through(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    store_one_of_each_kind_of_work(&lab, 5).await;
    let maintain = Maintain { budget: count(2), ..Maintain::default() };
    let mut total = Upkeep::default();
    for _ in 0..20 {
        let done = lab.broker().maintain(&maintain).await.unwrap();
        let kinds = [done.promoted, done.reclaimed + done.lost, done.expired, done.pruned];
        assert!(kinds.iter().all(|kind| *kind <= 2), "{done:?}");
        if done.is_idle() {
            break;
        }
        total.promoted += done.promoted;
        total.reclaimed += done.reclaimed;
        total.expired += done.expired;
        total.pruned += done.pruned;
    }
    let expected = Upkeep { promoted: 5, reclaimed: 5, lost: 0, expired: 5, pruned: 5 };
    lab.assert_upkeep(total, expected);
}

/// A page of rows that need nothing must not hide the one that does.
pub async fn jobs_that_need_nothing_do_not_hold_up_upkeep(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let failing = lab.leased(10).await;
    lab.apply(&failing, &failed()).await;
    let kept = lab.leased(10).await;
    lab.apply(&kept, &done()).await;
    let live = lab.leased(10).await;
    lab.extend(&live, 9).await;
    lab.store(&jobs(10, || due_in(lab.ticks(9)))).await;
    lab.stored(1).await;
    let ended = lab.reserve_all(1).await;
    lab.elapse(2).await;
    let maintain = Maintain { budget: count(1), ..Maintain::default() };
    let upkeep = lab.broker().maintain(&maintain).await.unwrap();
    lab.assert_upkeep(upkeep, Upkeep { reclaimed: 1, ..Upkeep::default() });
    assert_eq!(jobs_of(&lab.reserve_all(1).await), jobs_of(&ended));
}

/// The job runs out of its retention; the jobs around it do not.
pub async fn upkeep_prunes_only_outcomes_whose_retention_is_over(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(6).await;
    for (place, delivery) in deliveries.iter().enumerate() {
        let keep = lab.ticks(if place % 2 == 0 { 1 } else { 3 });
        lab.apply(std::slice::from_ref(delivery), &done_with(b"1", keep)).await;
    }
    lab.elapse(1).await;
    assert_eq!(lab.maintain().await, Upkeep { pruned: 3, ..Upkeep::default() });
    let (kept, gone) = (Some(JobState::Done), None);
    let states = lab.states(&jobs_of(&deliveries)).await;
    assert_eq!(states, [gone, kept, gone, kept, gone, kept]);
    lab.elapse(2).await;
    assert_eq!(lab.maintain().await, Upkeep { pruned: 3, ..Upkeep::default() });
}

/// Stores `count` jobs each that are due, lost, expired and ready to be pruned by now.
async fn store_one_of_each_kind_of_work(lab: &Lab<'_>, count: usize) {
    let pruned = lab.leased(count).await;
    let keep = Keep::For(Duration::from_millis(1));
    lab.apply(&pruned, &Verdict::Done { result: None, keep }).await;
    lab.leased(count).await;
    lab.store(&jobs(count, || due_in(lab.ticks(1)))).await;
    let expires_in = Some(lab.ticks(1));
    lab.store(&jobs(count, || NewJob { expires_in, ..plain_job() })).await;
    lab.elapse(2).await;
}
