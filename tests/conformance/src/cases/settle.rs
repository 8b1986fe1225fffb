//! Verdicts.

use std::time::Duration;

use jiff::Timestamp;
use taskcore::broker::{Extended, JobState, Keep, Receipt, Settled, Settlement, Verdict};
use taskcore::{Failure, FailureKind, JobId};

use crate::harness::Harness;
use crate::lab::*;

/// The task succeeded.
pub async fn a_job_that_is_done_never_runs_again(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.apply(&deliveries, &done()).await;
    lab.assert_depth(Counts::default()).await;
    lab.assert_all(&jobs_of(&deliveries), JobState::Done).await;
    lab.lose_leases().await;
    assert!(lab.reserve(batch).await.is_empty());
}

/// The next attempt comes after the back-off, by the broker's clock, and not before.
pub async fn a_retry_is_scheduled_and_counts_an_attempt(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    let ids = jobs_of(&deliveries);
    lab.apply(&deliveries, &retry(lab.ticks(3))).await;
    lab.assert_depth(Counts::scheduled(batch)).await;
    lab.elapse(2).await;
    lab.maintain().await;
    assert!(lab.reserve(batch).await.is_empty());
    lab.elapse(1).await;
    let again = lab.reserve_all(batch).await;
    assert_eq!(sorted(jobs_of(&again)), sorted(ids.clone()));
    assert!(again.iter().all(|delivery| delivery.attempt.get() == 2));
    for record in lab.kept_records(&ids).await {
        assert_eq!((record.failures, record.losses, record.recoveries), (1, 0, 0));
        assert_eq!(record.failure, Some(failure_of(&retry(lab.ticks(3)))));
    }
}

/// Zero is a span like any other.
pub async fn a_retry_without_a_delay_can_run_at_once(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    for attempt in 1..=4 {
        let deliveries =
            if attempt == 1 { lab.leased(batch).await } else { lab.reserve_all(batch).await };
        assert!(deliveries.iter().all(|delivery| delivery.attempt.get() == attempt));
        lab.apply(&deliveries, &retry(Duration::ZERO)).await;
    }
}

/// The worker found that there is nothing to do.
pub async fn a_verdict_of_nothing_to_do_ends_the_job_as_cancelled(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.apply(&deliveries, &Verdict::Cancelled).await;
    lab.assert_depth(Counts::default()).await;
    lab.assert_all(&jobs_of(&deliveries), JobState::Cancelled).await;
    lab.lose_leases().await;
    assert!(lab.reserve(batch).await.is_empty());
}

/// Failed for good: kept, with the reason, and out of the way.
pub async fn a_failed_job_is_kept_with_its_failure(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    let ids = jobs_of(&deliveries);
    lab.apply(&deliveries, &failed()).await;
    lab.assert_depth(Counts::failed(batch)).await;
    assert!(lab.reserve(batch).await.is_empty());
    for (id, outcome) in ids.iter().zip(lab.kept_outcomes(&ids).await) {
        assert_eq!((outcome.job, outcome.state), (*id, JobState::Failed));
        assert_eq!(outcome.failure, Some(failure_of(&failed())));
    }
    for (record, delivery) in lab.failed_records(&ids).await.iter().zip(&deliveries) {
        assert_eq!(record.failures, 1);
        assert_eq!(record.failure, Some(failure_of(&failed())));
        assert_eq!(record.envelope, delivery.envelope, "a failed job can be replayed");
    }
}

/// An interruption is not a failure.
pub async fn a_released_job_is_ready_again_and_counts_nothing(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    let ids = jobs_of(&deliveries);
    lab.apply(&deliveries, &Verdict::Release).await;
    lab.assert_depth(Counts::ready(batch)).await;
    for record in lab.kept_records(&ids).await {
        assert_eq!((record.failures, record.losses, record.recoveries), (0, 0, 0));
    }
    let again = lab.reserve_all(batch).await;
    lab.assert_again(&again, &ids);
    assert!(again.iter().all(|delivery| delivery.attempt.get() == 1 && !delivery.suspect));
}

/// It waited before those that came after it.
pub async fn a_released_job_keeps_its_turn(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.elapse(1).await;
    let later = lab.stored(batch).await;
    lab.apply(&deliveries, &Verdict::Release).await;
    let expected = [jobs_of(&deliveries), later].concat();
    assert_eq!(jobs_of(&lab.reserve_all(2 * batch).await), expected);
}

/// A better time, by the broker's clock; until then nobody asks for it.
pub async fn a_snoozed_job_is_scheduled_and_counts_nothing(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    let ids = jobs_of(&deliveries);
    lab.apply(&deliveries, &snooze(lab.ticks(3))).await;
    lab.assert_depth(Counts::scheduled(batch)).await;
    lab.assert_all(&ids, JobState::Scheduled).await;
    lab.elapse(2).await;
    lab.maintain().await;
    assert!(lab.reserve(batch).await.is_empty());
    lab.elapse(1).await;
    let again = lab.reserve_all(batch).await;
    assert_eq!(sorted(jobs_of(&again)), sorted(ids.clone()));
    assert!(again.iter().all(|delivery| delivery.attempt.get() == 1 && !delivery.suspect));
    for record in lab.kept_records(&ids).await {
        assert_eq!((record.failures, record.losses, record.recoveries), (0, 0, 0));
        assert_eq!(record.failure, None);
    }
}

/// Its wait begins anew.
pub async fn a_snoozed_job_is_due_that_span_from_now(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.elapse(1).await;
    lab.apply(&deliveries, &snooze(lab.ticks(2))).await;
    let is_due_in = |created_at: Timestamp, due_at: Timestamp| {
        let due_in = Duration::try_from(due_at.duration_since(created_at)).unwrap();
        assert!((lab.ticks(3)..lab.ticks(4)).contains(&due_in), "{due_in:?}");
    };
    for record in lab.kept_records(&jobs_of(&deliveries)).await {
        is_due_in(record.created_at, record.due_at);
    }
    lab.elapse(2).await;
    let records = lab.kept_records(&jobs_of(&deliveries)).await;
    let again = lab.reserve_all(batch).await;
    again.iter().for_each(|delivery| is_due_in(delivery.enqueued_at, delivery.due_at));
    for (delivery, record) in again.iter().zip(records) {
        assert_eq!((delivery.job, delivery.due_at), (record.id, record.due_at));
    }
}

/// Zero is a span like any other.
pub async fn a_snooze_of_no_time_can_run_at_once(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let ids = lab.stored(batch).await;
    for _ in 0..4 {
        let deliveries = lab.reserve_all(batch).await;
        assert_eq!(sorted(jobs_of(&deliveries)), sorted(ids.clone()));
        assert!(deliveries.iter().all(|delivery| delivery.attempt.get() == 1));
        lab.apply(&deliveries, &snooze(Duration::ZERO)).await;
    }
}

/// It did not fail, and did not come to an end either.
pub async fn a_snooze_leaves_what_was_counted_before(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let first = lab.leased(batch).await;
    let ids = jobs_of(&first);
    lab.apply(&first, &retry(Duration::ZERO)).await;
    for _ in 0..2 {
        let deliveries = lab.reserve_all(batch).await;
        lab.begin(&deliveries).await;
        lab.lose_leases().await;
    }
    let before = lab.kept_records(&ids).await;
    lab.apply(&lab.reserve_all(batch).await, &snooze(Duration::ZERO)).await;
    for (record, before) in lab.kept_records(&ids).await.iter().zip(before) {
        assert_eq!((record.failures, record.losses, record.recoveries), (1, 2, 2));
        assert_eq!(record.recoveries, before.recoveries);
        assert_eq!(record.failure, before.failure);
        assert!(record.failure.is_some());
    }
    let again = lab.reserve_all(batch).await;
    assert!(again.iter().all(|delivery| delivery.attempt.get() == 2 && delivery.suspect));
}

/// A lost reply repeated: the second call finds the lease over, and has no second effect.
pub async fn a_repeated_verdict_is_stale_and_has_no_second_effect(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    for verdict in all_verdicts() {
        let deliveries = lab.leased(batch).await;
        lab.apply(&deliveries, &verdict).await;
        let expected = Counts::after(&verdict, batch);
        lab.assert_depth_with(&verdict, expected).await;
        let before = lab.kept_states(&jobs_of(&deliveries)).await;
        for other in all_verdicts() {
            assert_eq!(lab.settle(&deliveries, &other).await, vec![Settled::Stale; batch]);
        }
        lab.assert_depth_with(&verdict, expected).await;
        assert_eq!(lab.kept_states(&jobs_of(&deliveries)).await, before, "{verdict:?}");
        lab.purge_all().await;
    }
}

/// The end of a lease counts by itself, before any upkeep has run.
pub async fn a_verdict_with_an_expired_lease_is_stale_and_changes_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    for verdict in all_verdicts() {
        let deliveries = lab.leased(batch).await;
        lab.elapse_leases(2).await;
        assert_eq!(lab.settle(&deliveries, &verdict).await, vec![Settled::Stale; batch]);
        lab.assert_depth_with(&verdict, Counts::running(batch)).await;
        assert_eq!(lab.maintain().await.reclaimed, batch as u64);
        lab.purge_all().await;
    }
}

/// A worker that was stalled comes back: the job is another's by now.
pub async fn a_verdict_of_an_earlier_lease_is_stale_and_changes_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    for verdict in all_verdicts() {
        let stalled = lab.leased(batch).await;
        lab.lose_leases().await;
        let current = lab.reserve_all(batch).await;
        assert_eq!(lab.settle(&stalled, &verdict).await, vec![Settled::Stale; batch]);
        lab.assert_depth_with(&verdict, Counts::running(batch)).await;
        lab.apply(&current, &done()).await;
        lab.assert_all(&jobs_of(&stalled), JobState::Done).await;
    }
}

/// The same, where upkeep took the job back and nobody has it yet.
pub async fn a_verdict_of_a_reclaimed_job_is_stale_and_changes_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    for verdict in all_verdicts() {
        let stalled = lab.leased(batch).await;
        lab.lose_leases().await;
        assert_eq!(lab.settle(&stalled, &verdict).await, vec![Settled::Stale; batch]);
        lab.assert_depth_with(&verdict, Counts::ready(batch)).await;
        lab.purge_all().await;
    }
}

/// Cancelled is final, whatever the worker says.
pub async fn a_verdict_of_a_cancelled_job_is_stale_and_changes_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    for verdict in all_verdicts() {
        let deliveries = lab.leased(batch).await;
        lab.cancel(&jobs_of(&deliveries)).await;
        assert_eq!(lab.settle(&deliveries, &verdict).await, vec![Settled::Stale; batch]);
        lab.assert_depth(Counts::default()).await;
        lab.assert_all(&jobs_of(&deliveries), JobState::Cancelled).await;
    }
}

/// A batch is many verdicts, not one.
pub async fn a_stale_entry_does_not_touch_its_neighbours(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let stale = lab.leased(3).await;
    lab.lose_leases().await;
    lab.purge_all().await;
    let current = lab.leased(3).await;
    let mixed = [&stale[0], &current[0], &current[1], &stale[1], &current[2], &stale[2]];
    let answers = lab.settle(&mixed.map(Clone::clone), &done()).await;
    let (applied, late) = (Settled::Applied, Settled::Stale);
    assert_eq!(answers, [late, applied, applied, late, applied, late]);
    lab.assert_all(&jobs_of(&current), JobState::Done).await;
}

/// Each entry gets its own verdict.
pub async fn a_batch_may_hold_verdicts_of_every_kind(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let verdicts = [
        done(),
        retry(lab.ticks(9)),
        failed(),
        Verdict::Release,
        done_keeping_nothing(),
        snooze(lab.ticks(9)),
    ];
    let deliveries = lab.leased(verdicts.len()).await;
    let batch: Vec<Settlement> = deliveries
        .iter()
        .zip(&verdicts)
        .flat_map(|(delivery, verdict)| settlements(std::slice::from_ref(delivery), verdict))
        .collect();
    let answers = lab.broker().settle(&batch).await.unwrap();
    assert_eq!(answers, vec![Settled::Applied; verdicts.len()]);
    if lab.is_transport() {
        lab.assert_depth(Counts { ready: 1, scheduled: 2, ..Counts::failed(1) }).await;
        assert_eq!(lab.listed(&failed_jobs()).await, [deliveries[2].job]);
        assert_eq!(jobs_of(&lab.reserve_all(1).await), [deliveries[3].job]);
        return;
    }
    let (done, scheduled) = (Some(JobState::Done), Some(JobState::Scheduled));
    let (failed, ready) = (Some(JobState::Failed), Some(JobState::Ready));
    let states = lab.states(&jobs_of(&deliveries)).await;
    assert_eq!(states, [done, scheduled, failed, ready, None, scheduled]);
}

/// The first of them counts, as if it had been sent alone.
pub async fn a_receipt_named_twice_in_one_batch_counts_once(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(2).await;
    let first = settlements(&deliveries, &done());
    let again = settlements(&deliveries, &failed());
    let batch = [first[0].clone(), again[0].clone(), first[1].clone(), again[1].clone()];
    let (applied, stale) = (Settled::Applied, Settled::Stale);
    let answers = lab.broker().settle(&batch).await.unwrap();
    assert_eq!(answers, [applied, stale, applied, stale]);
    lab.assert_depth(Counts::default()).await;
}

/// A receipt proves one lease of one job.
pub async fn a_receipt_does_not_settle_another_job(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(2).await;
    let mut swapped = settlements(&deliveries, &done());
    swapped[0].job = deliveries[1].job;
    swapped[1].job = deliveries[0].job;
    let answers = lab.broker().settle(&swapped).await.unwrap();
    assert_eq!(answers, [Settled::Stale, Settled::Stale]);
    lab.assert_depth(Counts::running(2)).await;
}

/// Bytes that prove nothing: no panic, no error, no effect.
pub async fn a_receipt_that_no_broker_made_is_stale(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let delivery = lab.leased(1).await.remove(0);
    let mut forged = delivery.receipt.as_slice().to_vec();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    let longer = [delivery.receipt.as_slice(), b"x"].concat();
    for bytes in [vec![], b"0".to_vec(), vec![0xff; 1000], b"'; --".to_vec(), forged, longer] {
        let receipt = Receipt::new(bytes);
        assert_eq!(lab.broker().begin(&receipt).await.unwrap(), Settled::Stale);
        let alone = std::slice::from_ref(&receipt);
        let extended = lab.broker().extend(alone, lab.ticks(9)).await.unwrap();
        assert_eq!(extended, [Extended::Lost]);
        let settlement = Settlement { job: delivery.job, receipt, verdict: done() };
        assert_eq!(lab.broker().settle(&[settlement]).await.unwrap(), [Settled::Stale]);
    }
    lab.assert_depth(Counts::running(1)).await;
    lab.apply(&[delivery], &done()).await;
}

/// A job that was purged, or never stored, has no lease.
pub async fn a_verdict_of_an_unknown_job_is_stale(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let delivery = lab.leased(1).await.remove(0);
    let settlement =
        Settlement { job: JobId::new(), receipt: delivery.receipt.clone(), verdict: done() };
    assert_eq!(lab.broker().settle(&[settlement]).await.unwrap(), [Settled::Stale]);
    lab.apply(&[delivery], &done()).await;
}

/// Every field, whatever its text holds: it is data, and may be anybody's.
pub async fn a_failure_comes_back_as_it_was_given(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let given = Failure {
        kind: FailureKind::Panic,
        attempt: 7,
        error_type: Some("Box<dyn Error + 'static>".to_owned()),
        causes: HOSTILE.iter().map(|text| (*text).to_owned()).collect(),
        permanent: true,
        ..failure(&HOSTILE.concat())
    };
    let deliveries = lab.leased(batch).await;
    lab.apply(&deliveries, &Verdict::Failed { failure: given.clone() }).await;
    for outcome in lab.kept_outcomes(&jobs_of(&deliveries)).await {
        assert_eq!(outcome.failure.as_ref(), Some(&given));
    }
    for record in lab.failed_records(&jobs_of(&deliveries)).await {
        assert_eq!(record.failure.as_ref(), Some(&given));
    }
}

/// The end is one, and it is the verdict's.
pub async fn a_job_that_failed_before_and_is_done_has_a_result_and_no_failure(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.apply(&deliveries, &retry(Duration::ZERO)).await;
    let again = lab.reserve_all(batch).await;
    let keep = Keep::For(lab.ticks(1));
    lab.apply(&again, &Verdict::Done { result: Some(b"1".to_vec().into()), keep }).await;
    for outcome in lab.kept_outcomes(&jobs_of(&deliveries)).await {
        assert_eq!(outcome.state, JobState::Done);
        assert_eq!(outcome.result, Some(b"1".to_vec().into()));
        assert_eq!(outcome.failure, None);
    }
}

fn failure_of(verdict: &Verdict) -> Failure {
    match verdict {
        Verdict::Retry { failure, .. } | Verdict::Failed { failure } => failure.clone(),
        other => panic!("{other:?} has no failure"),
    }
}
