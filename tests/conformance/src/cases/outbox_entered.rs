//! What waits to be sent: whatever becomes ready, however it does.

use taskcore::broker::{JobFilter, Verdict};

use crate::harness::Harness;
use crate::lab::*;

/// Nobody has entered it before, for nobody was to send it.
pub async fn what_is_ready_when_the_outbox_is_opened_is_entered(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let running = lab.leased(batch).await;
    lab.store(&jobs(batch, || due_in(lab.ticks(1)))).await;
    let ready = lab.stored(batch).await;
    lab.assert_entered(&[]).await;
    lab.open_outbox().await;
    lab.assert_entered(&ready).await;
    lab.apply(&running, &done()).await;
    lab.assert_entered(&[]).await;
}

/// For whoever stores jobs, and whenever.
pub async fn an_outbox_stays_open_without_who_opened_it(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    second.open_outbox().await;
    second.broker().close().await.unwrap();
    let first = lab.stored(1).await;
    let third = lab.second().await;
    let other = third.stored(1).await;
    lab.assert_entered(&[first, other].concat()).await;
}

/// At once.
pub async fn a_job_is_entered_as_it_is_stored(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let jobs = plain_jobs(batch);
    lab.store(&jobs).await;
    lab.assert_entered(&ids_of(&jobs)).await;
    // What is stored already does not become ready.
    lab.broker().enqueue(&jobs).await.unwrap();
    lab.assert_entered(&[]).await;
}

/// Without upkeep, and not before.
pub async fn a_job_is_entered_when_it_becomes_due(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let jobs = jobs(batch, || due_in(lab.ticks(1)));
    lab.store(&jobs).await;
    lab.assert_entered(&[]).await;
    lab.elapse(1).await;
    lab.assert_entered(&ids_of(&jobs)).await;
}

/// An attempt that failed is followed by another one.
pub async fn a_job_is_entered_when_its_next_attempt_is_due(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let deliveries = lab.claim_all(&lab.stored(batch).await).await;
    lab.apply(&deliveries, &retry(lab.ticks(1))).await;
    lab.assert_entered(&[]).await;
    lab.elapse(1).await;
    lab.assert_entered(&jobs_of(&deliveries)).await;
}

/// It goes on later.
pub async fn a_job_is_entered_when_its_snooze_is_over(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let deliveries = lab.claim_all(&lab.stored(batch).await).await;
    lab.apply(&deliveries, &snooze(lab.ticks(1))).await;
    lab.assert_entered(&[]).await;
    lab.elapse(1).await;
    lab.assert_entered(&jobs_of(&deliveries)).await;
}

/// Somebody else is to have it.
pub async fn a_job_is_entered_as_it_is_given_back(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let deliveries = lab.claim_all(&lab.stored(batch).await).await;
    lab.apply(&deliveries, &Verdict::Release).await;
    lab.assert_entered(&jobs_of(&deliveries)).await;
}

/// The message that it came with is used up.
pub async fn a_job_is_entered_as_its_lost_lease_is_reclaimed(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let deliveries = lab.claim_all(&lab.stored(batch).await).await;
    lab.elapse(2).await;
    lab.assert_entered(&[]).await;
    lab.maintain().await;
    lab.assert_entered(&jobs_of(&deliveries)).await;
}

/// What waits for others is ready with the last of them.
pub async fn a_job_is_entered_as_its_inputs_end(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let inputs = lab.stored(batch).await;
    let jobs = lab.store_after_each(&inputs).await;
    lab.assert_entered(&inputs).await;
    let deliveries = lab.claim_all(&inputs).await;
    lab.apply(&deliveries, &done()).await;
    lab.assert_entered(&jobs).await;
}

/// What failed is to run again.
pub async fn a_job_is_entered_as_it_is_replayed(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let deliveries = lab.claim_all(&lab.stored(batch).await).await;
    lab.apply(&deliveries, &failed()).await;
    lab.assert_entered(&[]).await;
    lab.operate().replay(&JobFilter::default()).await.unwrap();
    lab.assert_entered(&jobs_of(&deliveries)).await;
}

/// Like any job that is stored.
pub async fn a_job_is_entered_as_its_schedule_ticks(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let jobs = plain_jobs(batch);
    if lab.fire(&jobs).await {
        lab.assert_entered(&ids_of(&jobs)).await;
    }
}

/// It is stored with a verdict.
pub async fn a_job_is_entered_as_it_continues_another(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let deliveries = lab.claim_all(&lab.stored(batch).await).await;
    let next = lab.continue_each(&deliveries).await;
    lab.assert_entered(&next).await;
}
