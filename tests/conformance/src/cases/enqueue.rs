//! Storing jobs.

use std::time::Duration;

use taskcore::broker::{Due, Enqueued, JobState, Keep, NewJob, Verdict};
use taskcore::{Payload, Priority};

use crate::harness::Harness;
use crate::lab::*;

/// From the contract of `enqueue`.
const DEDUPE: Duration = Duration::from_secs(10 * 60);

/// What goes in comes out, byte for byte, as a first attempt of no suspect.
pub async fn a_job_is_handed_out_as_it_was_stored(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = plain_jobs(batch);
    lab.store(&jobs).await;
    let deliveries = lab.reserve_all(batch).await;
    for (job, delivery) in jobs.iter().zip(&deliveries) {
        assert_eq!(delivery.job, job.id);
        assert_eq!(delivery.task, job.task);
        assert_eq!(delivery.queue, job.queue);
        assert_eq!(delivery.envelope, job.envelope);
        assert_eq!(delivery.attempt.get(), 1);
        assert!(!delivery.suspect);
        assert_eq!(delivery.due_at, delivery.enqueued_at, "it could run when it was stored");
    }
}

/// Err means unknown: the caller repeats with the same ids.
pub async fn a_repeated_enqueue_answers_duplicate_and_changes_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let jobs = plain_jobs(batch);
    lab.store(&jobs).await;
    let changed: Vec<NewJob> = jobs
        .iter()
        .map(|job| NewJob {
            priority: Priority::MAX,
            due: Due::After(lab.ticks(9)),
            envelope: Payload::from(b"changed".to_vec()),
            ..job.clone()
        })
        .collect();
    let repeated = lab.broker().enqueue(&changed).await.unwrap();
    if !lab.broker().capabilities().dedupe {
        assert_eq!(repeated, vec![Enqueued::Stored; batch]);
        return;
    }
    assert_eq!(repeated, vec![Enqueued::Duplicate; batch]);
    let deliveries = lab.reserve_all(batch).await;
    for (job, delivery) in jobs.iter().zip(&deliveries) {
        assert_eq!((delivery.job, &delivery.envelope), (job.id, &job.envelope));
    }
}

/// Whatever state the first one is in.
pub async fn an_id_stays_taken_while_its_job_runs_and_after_it_ended(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let jobs = plain_jobs(batch);
    lab.store(&jobs).await;
    let deliveries = lab.reserve_all(batch).await;
    assert_taken(&lab, &jobs).await;
    lab.apply(&deliveries, &retry(lab.ticks(1))).await;
    assert_taken(&lab, &jobs).await;
    lab.elapse(1).await;
    let deliveries = lab.reserve_all(batch).await;
    lab.apply(&deliveries, &done()).await;
    assert_taken(&lab, &jobs).await;
    assert_eq!(lab.depth().await, Counts::default());
}

/// As above, for jobs that failed, were cancelled, or expired.
pub async fn an_id_stays_taken_after_its_job_ended_badly(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let failing = plain_jobs(batch);
    lab.store(&failing).await;
    let deliveries = lab.reserve_all(batch).await;
    lab.apply(&deliveries, &failed()).await;
    assert_taken(&lab, &failing).await;

    let cancelled = plain_jobs(batch);
    lab.store(&cancelled).await;
    lab.cancel(&ids_of(&cancelled)).await;
    assert_taken(&lab, &cancelled).await;

    let expires_in = Some(lab.ticks(1));
    let expired = jobs(batch, || NewJob { expires_in, ..plain_job() });
    lab.store(&expired).await;
    lab.elapse(1).await;
    lab.maintain().await;
    assert_taken(&lab, &expired).await;
}

/// Where nothing of the outcome stays, the id does.
pub async fn an_id_stays_taken_for_ten_minutes_when_nothing_else_was_kept(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let jobs = plain_jobs(batch);
    lab.store(&jobs).await;
    let deliveries = lab.reserve_all(batch).await;
    lab.apply(&deliveries, &done_keeping_nothing()).await;
    assert_taken(&lab, &jobs).await;
    lab.elapse_span(DEDUPE - Duration::from_secs(30)).await;
    lab.maintain().await;
    assert_taken(&lab, &jobs).await;
    assert!(lab.reserve(batch).await.is_empty());
}

/// Pruning an outcome does not free its id early.
pub async fn an_id_stays_taken_for_ten_minutes_when_the_outcome_was_pruned_before(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let jobs = plain_jobs(batch);
    lab.store(&jobs).await;
    let deliveries = lab.reserve_all(batch).await;
    let keep = Keep::For(Duration::from_secs(1));
    lab.apply(&deliveries, &Verdict::Done { result: None, keep }).await;
    lab.elapse_span(Duration::from_secs(1)).await;
    lab.maintain().await;
    assert_eq!(lab.states(&ids_of(&jobs)).await, vec![None; batch]);
    assert_taken(&lab, &jobs).await;
    lab.elapse_span(DEDUPE - Duration::from_secs(30)).await;
    lab.maintain().await;
    assert_taken(&lab, &jobs).await;
}

/// The first of them counts.
pub async fn an_id_named_twice_in_one_batch_is_stored_once(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    if !lab.broker().capabilities().dedupe {
        return assert_stores_twice(&lab).await;
    }
    let (one, other) = (plain_job(), plain_job());
    let answers = lab.broker().enqueue(&[one.clone(), other.clone(), one.clone()]).await.unwrap();
    assert_eq!(answers, [Enqueued::Stored, Enqueued::Stored, Enqueued::Duplicate]);
    assert_eq!(jobs_of(&lab.reserve_all(2).await), [one.id, other.id]);
}

/// One answer per job, in order.
pub async fn a_batch_of_new_and_known_ids_answers_each_in_order(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    if !lab.broker().capabilities().dedupe {
        return assert_stores_twice(&lab).await;
    }
    let known = plain_jobs(3);
    lab.store(&known).await;
    let new = plain_jobs(3);
    let mixed = [&known[0], &new[0], &new[1], &known[1], &new[2], &known[2]].map(Clone::clone);
    let (stored, duplicate) = (Enqueued::Stored, Enqueued::Duplicate);
    let answers = lab.broker().enqueue(&mixed).await.unwrap();
    assert_eq!(answers, [duplicate, stored, stored, duplicate, stored, duplicate]);
    let expected: Vec<_> = known.iter().chain(&new).map(|job| job.id).collect();
    assert_eq!(jobs_of(&lab.reserve_all(6).await), expected);
}

/// A large batch is no special case: nothing is lost, doubled or reordered.
pub async fn ten_thousand_jobs_come_out_once_each_in_order(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let jobs = plain_jobs(10_000);
    for chunk in jobs.chunks(lab.broker().capabilities().max_batch) {
        lab.store(chunk).await;
    }
    lab.assert_depth(Counts::ready(jobs.len())).await;
    let mut delivered = Vec::new();
    while delivered.len() < jobs.len() {
        let deliveries = lab.reserve(3_333).await;
        assert!(!deliveries.is_empty(), "{} of {} came out", delivered.len(), jobs.len());
        delivered.extend(jobs_of(&deliveries));
        lab.apply(&deliveries, &done_keeping_nothing()).await;
    }
    assert_eq!(delivered, ids_of(&jobs));
    lab.assert_depth(Counts::default()).await;
}

/// The store holds the jobs, not the connection.
pub async fn jobs_outlive_the_connection_that_stored_them(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let ids = lab.stored(batch).await;
    lab.broker().close().await.unwrap();
    drop(lab);
    let lab = Lab::open(harness).await;
    assert_eq!(jobs_of(&lab.reserve_all(batch).await), ids);
}

async fn assert_taken(lab: &Lab<'_>, jobs: &[NewJob]) {
    if !lab.broker().capabilities().dedupe {
        return;
    }
    let before = lab.depth().await;
    let answers = lab.broker().enqueue(jobs).await.unwrap();
    assert_eq!(answers, vec![Enqueued::Duplicate; jobs.len()]);
    assert_eq!(lab.depth().await, before);
}

/// A broker that says it does not dedupe must not do so now and then.
async fn assert_stores_twice(lab: &Lab<'_>) {
    let job = plain_job();
    let answers = lab.broker().enqueue(&[job.clone(), job]).await.unwrap();
    assert_eq!(answers, [Enqueued::Stored, Enqueued::Stored]);
    lab.reserve_all(2).await;
}

/// What a batch stores is there for every other call at once.
pub async fn a_stored_job_is_seen_by_every_connection(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let ids = lab.stored(batch).await;
    second.assert_depth(Counts::ready(batch)).await;
    second.assert_all(&ids, JobState::Ready).await;
    assert_eq!(jobs_of(&second.reserve_all(batch).await), ids);
}
