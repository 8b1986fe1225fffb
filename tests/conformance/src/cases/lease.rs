//! Leases: extending them, losing them, and what that says of a job.

use std::time::Duration;

use taskcore::broker::{Delivery, Extended, Maintain, Settled, Verdict};

use crate::harness::Harness;
use crate::lab::*;

/// The job of a worker that died runs elsewhere.
pub async fn a_job_whose_lease_ended_is_reclaimed(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.elapse_leases(2).await;
    let upkeep = lab.sibling().await.maintain().await;
    assert_eq!((upkeep.reclaimed, upkeep.lost), (batch as u64, 0));
    lab.assert_depth(Counts::ready(batch)).await;
    let again = lab.reserve_all(batch).await;
    lab.assert_again(&again, &jobs_of(&deliveries));
    for after in &again {
        assert_eq!(after.attempt.get(), 1, "an interruption is not a failure");
        assert!(deliveries.iter().all(|before| before.receipt != after.receipt));
        assert_eq!(after.envelope, envelope_of(after.job));
    }
}

/// Upkeep takes nothing from a worker that is alive.
pub async fn a_lease_that_goes_on_is_not_reclaimed(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.elapse_leases(1).await;
    assert!(lab.maintain().await.is_idle());
    lab.assert_depth(Counts::running(batch)).await;
    lab.apply(&deliveries, &done()).await;
}

/// From now, not from the end of the lease before.
pub async fn an_extension_makes_the_lease_end_that_span_from_now(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    for _ in 0..3 {
        lab.elapse_leases(1).await;
        assert_eq!(lab.extend(&deliveries, 2).await, vec![Extended::Held; batch]);
        assert!(lab.maintain().await.is_idle());
    }
    lab.elapse_leases(2).await;
    assert_eq!(lab.maintain().await.reclaimed, batch as u64);
}

/// The same receipt settles the job: an extension is no new lease.
pub async fn a_verdict_counts_after_an_extension(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.elapse_leases(1).await;
    lab.extend(&deliveries, 4).await;
    lab.elapse_leases(3).await;
    lab.maintain().await;
    lab.apply(&deliveries, &done()).await;
}

/// Each lease is one job's, however many were reserved in one call.
pub async fn of_jobs_reserved_together_only_those_not_extended_are_reclaimed(
    harness: &dyn Harness,
) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(2).await;
    lab.elapse_leases(1).await;
    assert_eq!(lab.extend(&deliveries[..1], 3).await, [Extended::Held]);
    lab.elapse_leases(1).await;
    assert_eq!(lab.maintain().await.reclaimed, 1);
    assert_eq!(jobs_of(&lab.reserve_all(1).await), [deliveries[1].job]);
    let answers = lab.settle(&deliveries, &done()).await;
    assert_eq!(answers, [Settled::Applied, Settled::Stale]);
}

/// Even if nobody has reclaimed it yet: somebody may be about to.
pub async fn a_lease_that_has_ended_is_not_extended(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.elapse_leases(2).await;
    assert_eq!(lab.extend(&deliveries, 9).await, vec![Extended::Lost; batch]);
    assert_eq!(lab.maintain().await.reclaimed, batch as u64);
    assert_eq!(lab.extend(&deliveries, 9).await, vec![Extended::Lost; batch]);
    lab.reserve_all(batch).await;
}

/// A worker that stops can give its jobs up early.
pub async fn a_shorter_extension_shortens_the_lease(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    assert_eq!(lab.extend(&deliveries, 1).await, vec![Extended::Held; batch]);
    lab.elapse_leases(1).await;
    assert_eq!(lab.settle(&deliveries, &done()).await, vec![Settled::Stale; batch]);
    assert_eq!(lab.maintain().await.reclaimed, batch as u64);
}

/// This is how a worker learns of it.
pub async fn an_extension_tells_which_jobs_were_cancelled(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(2 * batch).await;
    let (cancelled, others) = deliveries.split_at(batch);
    lab.second().await.cancel(&jobs_of(cancelled)).await;
    let expected = [vec![Extended::Cancelled; batch], vec![Extended::Held; batch]].concat();
    assert_eq!(lab.extend(&deliveries, 2).await, expected);
    assert_eq!(lab.extend(&deliveries, 2).await, expected, "it is told again");
    lab.apply(others, &done()).await;
}

/// Nothing is left to extend.
pub async fn an_extension_of_a_settled_job_is_lost(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    for verdict in all_verdicts() {
        let deliveries = lab.leased(batch).await;
        lab.apply(&deliveries, &verdict).await;
        assert_eq!(lab.extend(&deliveries, 9).await, vec![Extended::Lost; batch]);
        lab.assert_depth_with(&verdict, Counts::after(&verdict, batch)).await;
        lab.purge_all().await;
    }
}

/// A stalled worker does not hold the lease of its successor open.
pub async fn an_extension_with_an_earlier_receipt_is_lost_and_extends_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let stalled = lab.leased(batch).await;
    lab.lose_leases().await;
    let current = lab.reserve_all(batch).await;
    assert_eq!(lab.extend(&stalled, 9).await, vec![Extended::Lost; batch]);
    lab.elapse_leases(2).await;
    assert_eq!(lab.extend(&current, 9).await, vec![Extended::Lost; batch]);
    assert_eq!(lab.maintain().await.reclaimed, batch as u64);
}

/// One answer per receipt, in order.
pub async fn an_extension_answers_each_receipt_in_order(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let lost = lab.leased(2).await;
    lab.lose_leases().await;
    lab.purge_all().await;
    let live = lab.leased(4).await;
    lab.cancel(&[live[1].job, live[3].job]).await;
    let mixed = [&live[1], &lost[0], &live[0], &lost[1], &live[3], &live[2]].map(Clone::clone);
    let (held, cancelled, lost) = (Extended::Held, Extended::Cancelled, Extended::Lost);
    let expected = [cancelled, lost, held, lost, cancelled, held];
    assert_eq!(lab.extend(&mixed, 2).await, expected);
}

/// A job that only waited in a worker that died is not suspected of anything.
pub async fn a_lost_delivery_that_never_began_is_no_recovery(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let ids = jobs_of(&lab.leased(batch).await);
    lab.lose_leases().await;
    lab.assert_marks(&ids, Marks { losses: 1, recoveries: 0 }).await;
}

/// Only the loss of a begun delivery counts.
pub async fn a_lost_delivery_that_began_is_a_recovery(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    assert_eq!(lab.begin(&deliveries).await, vec![Settled::Applied; batch]);
    assert_eq!(lab.begin(&deliveries).await, vec![Settled::Applied; batch], "it may be repeated");
    let upkeep = lab.lose_leases().await;
    assert_eq!((upkeep.reclaimed, upkeep.lost), (batch as u64, 0));
    let ids = jobs_of(&deliveries);
    lab.assert_marks(&ids, Marks { losses: 1, recoveries: 1 }).await;
}

/// Its neighbours in the same worker did not.
pub async fn beginning_one_delivery_says_nothing_of_its_neighbours(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(3).await;
    lab.begin(&deliveries[1..2]).await;
    lab.lose_leases().await;
    let records = lab.kept_records(&jobs_of(&deliveries)).await;
    for (record, recoveries) in records.iter().zip([0, 1, 0]) {
        assert_eq!(record.recoveries, recoveries);
    }
    // The one that has begun before is at the limit.
    let again = lab.reserve_all(3).await;
    lab.begin(&again).await;
    lab.elapse_leases(2).await;
    let maintain = Maintain { recovery_limit: 1, ..Maintain::default() };
    let upkeep = lab.broker().maintain(&maintain).await.unwrap();
    assert_eq!((upkeep.reclaimed, upkeep.lost), (2, 1));
    lab.assert_lost(&[deliveries[1].job]).await;
}

/// Nobody begins a job that is no longer theirs.
pub async fn beginning_with_a_lease_that_is_over_is_stale_and_marks_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let ended = lab.leased(batch).await;
    lab.apply(&ended, &done()).await;
    assert_eq!(lab.begin(&ended).await, vec![Settled::Stale; batch]);
    let stalled = lab.leased(batch).await;
    lab.elapse_leases(2).await;
    assert_eq!(lab.begin(&stalled).await, vec![Settled::Stale; batch]);
    lab.maintain().await;
    assert_eq!(lab.begin(&stalled).await, vec![Settled::Stale; batch]);
    let current = lab.reserve_all(batch).await;
    assert_eq!(lab.begin(&stalled).await, vec![Settled::Stale; batch]);
    lab.lose_leases().await;
    let ids = jobs_of(&current);
    lab.assert_marks(&ids, Marks { losses: 2, recoveries: 0 }).await;
}

/// What was begun is the delivery, not the job.
pub async fn the_mark_of_having_begun_ends_with_the_delivery(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.begin(&deliveries).await;
    lab.apply(&deliveries, &Verdict::Release).await;
    lab.reserve_all(batch).await;
    lab.lose_leases().await;
    let ids = jobs_of(&deliveries);
    lab.assert_marks(&ids, Marks { losses: 1, recoveries: 0 }).await;
}

/// An extension does not lose the mark.
pub async fn the_mark_of_having_begun_survives_an_extension(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.begin(&deliveries).await;
    lab.extend(&deliveries, 2).await;
    lab.lose_leases().await;
    let ids = jobs_of(&deliveries);
    lab.assert_marks(&ids, Marks { losses: 1, recoveries: 1 }).await;
}

/// The first loss is forgiven: a worker that is killed from outside loses all its jobs.
pub async fn a_job_is_a_suspect_from_its_second_lost_lease_on(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    lab.stored(batch).await;
    for losses in 0..5 {
        let deliveries = lab.reserve_all(batch).await;
        let expected = losses >= Delivery::SUSPECT_AFTER;
        assert!(deliveries.iter().all(|delivery| delivery.suspect == expected), "{losses} losses");
        lab.lose_leases().await;
    }
}

/// It came to a verdict, so it does not kill its worker.
pub async fn a_retry_clears_suspicion(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    lab.leased(batch).await;
    lab.lose_leases().await;
    lab.reserve_all(batch).await;
    lab.lose_leases().await;
    let suspects = lab.reserve_all(batch).await;
    assert!(suspects.iter().all(|delivery| delivery.suspect));
    lab.apply(&suspects, &retry(Duration::ZERO)).await;
    let cleared = lab.reserve_all(batch).await;
    assert!(cleared.iter().all(|delivery| !delivery.suspect && delivery.attempt.get() == 2));
}

/// However often: it never ran.
pub async fn a_job_that_never_began_is_never_lost(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let ids = lab.stored(batch).await;
    for _ in 0..10 {
        lab.reserve_all(batch).await;
        lab.elapse_leases(2).await;
        let strict = Maintain { recovery_limit: 0, ..Maintain::default() };
        let upkeep = lab.broker().maintain(&strict).await.unwrap();
        assert_eq!((upkeep.reclaimed, upkeep.lost), (batch as u64, 0));
    }
    lab.assert_marks(&ids, Marks { losses: 10, recoveries: 0 }).await;
}

/// It survives as many lost begun leases as the limit says; the next one is its last.
pub async fn a_job_that_keeps_killing_its_worker_ends_as_lost(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let ids = lab.stored(batch).await;
    let maintain = Maintain { recovery_limit: 2, ..Maintain::default() };
    for death in 1..=3 {
        let deliveries = lab.reserve_all(batch).await;
        lab.begin(&deliveries).await;
        lab.elapse_leases(2).await;
        let upkeep = lab.broker().maintain(&maintain).await.unwrap();
        let survives = death <= 2;
        let expected = if survives { (batch as u64, 0) } else { (0, batch as u64) };
        assert_eq!((upkeep.reclaimed, upkeep.lost), expected, "after death {death}");
    }
    lab.assert_depth(Counts::failed(batch)).await;
    lab.assert_lost(&ids).await;
}

/// None is a limit too.
pub async fn a_limit_of_zero_recoveries_ends_a_begun_job_at_its_first_loss(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(2).await;
    lab.begin(&deliveries[..1]).await;
    lab.elapse_leases(2).await;
    let maintain = Maintain { recovery_limit: 0, ..Maintain::default() };
    let upkeep = lab.broker().maintain(&maintain).await.unwrap();
    assert_eq!((upkeep.reclaimed, upkeep.lost), (1, 1));
    lab.assert_lost(&[deliveries[0].job]).await;
    assert_eq!(jobs_of(&lab.reserve_all(1).await), [deliveries[1].job]);
}

/// The verdict of a job that ended as lost comes too late.
pub async fn a_verdict_of_a_lost_job_is_stale(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.begin(&deliveries).await;
    lab.elapse_leases(2).await;
    let maintain = Maintain { recovery_limit: 0, ..Maintain::default() };
    lab.broker().maintain(&maintain).await.unwrap();
    assert_eq!(lab.settle(&deliveries, &done()).await, vec![Settled::Stale; batch]);
    assert_eq!(lab.extend(&deliveries, 2).await, vec![Extended::Lost; batch]);
    lab.assert_lost(&jobs_of(&deliveries)).await;
}

/// Or the job that kills its worker is the first again each time, and nothing else runs.
pub async fn a_reclaimed_job_that_had_begun_goes_behind_its_neighbours(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let ids = lab.stored(3).await;
    for _ in 0..2 {
        lab.reserve_all(3).await;
        lab.lose_leases().await;
    }
    let suspects = lab.reserve_all(3).await;
    assert_eq!(jobs_of(&suspects), ids);
    lab.begin(&suspects[..1]).await;
    lab.lose_leases().await;
    assert_eq!(jobs_of(&lab.reserve_all(3).await), [ids[1], ids[2], ids[0]]);
}
