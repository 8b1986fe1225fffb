//! Hearing of cancels before the next heartbeat.

use std::time::{Duration, Instant};

use taskcore::JobId;
use taskcore::broker::{Broker, BrokerError, Cursor};

use crate::harness::Harness;
use crate::lab::*;
use crate::waiting::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// It has nothing to wait for.
pub async fn without_a_cursor_cancelled_answers_at_once_with_the_position_of_now(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    if now(&lab).await.is_none() {
        return;
    }
    let before = jobs_of(&lab.leased(batch).await);
    lab.cancel(&before).await;
    let answer = soon("the position", lab.broker().cancelled(None, HOUR)).await.unwrap();
    assert!(answer.ids.is_empty());
    let later = lab.broker().cancelled(Some(answer.next), Duration::ZERO).await.unwrap();
    assert!(later.ids.is_empty(), "what was cancelled before the cursor is not named");
}

/// Those that ran; nobody has to stop the others.
pub async fn cancelled_names_the_running_jobs_that_were_cancelled(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let Some(start) = now(&lab).await else { return };
    let second = lab.second().await;
    let running = jobs_of(&lab.leased(2 * batch).await);
    let ready = lab.stored(batch).await;
    second.cancel(&ready).await;
    second.cancel(&running[..batch]).await;
    let first = lab.broker().cancelled(Some(start), Duration::ZERO).await.unwrap();
    assert_eq!(sorted(first.ids), sorted(running[..batch].to_vec()));
    second.cancel(&running).await;
    let rest = lab.broker().cancelled(Some(first.next), Duration::ZERO).await.unwrap();
    assert_eq!(sorted(rest.ids), sorted(running[batch..].to_vec()));
    let again = read(lab.broker(), start, 2 * batch).await;
    assert_eq!(again, sorted(running), "reading consumes nothing");
}

/// A part of a call that nobody wants any more is stopped too.
pub async fn cancelled_names_running_inputs_that_were_cancelled_with_their_job(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let Some(start) = now(&lab).await else { return };
    let running = jobs_of(&lab.leased(batch).await);
    let job = lab.store_one(waiting(running.iter().copied().map(owns))).await;
    lab.cancel(&[job]).await;
    let answer = lab.broker().cancelled(Some(start), Duration::ZERO).await.unwrap();
    assert_eq!(sorted(answer.ids), sorted(running));
}

/// That is what it is for. The heartbeat asks, on its own connection.
pub async fn a_waiting_cancelled_answers_when_a_job_is_cancelled(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let Some(start) = now(&lab).await else { return };
    let duplicate = lab.broker().duplicate().await.unwrap();
    let second = lab.second().await;
    let running = jobs_of(&lab.leased(batch).await);
    let mut waiting = duplicate.cancelled(Some(start), HOUR);
    assert_waits(&mut waiting).await;
    second.cancel(&running).await;
    let answer = soon("the cancelled jobs", waiting).await.unwrap();
    assert!(!answer.ids.is_empty());
    assert_eq!(read(duplicate.as_ref(), start, batch).await, sorted(running));
}

/// Bounded by the caller.
pub async fn cancelled_waits_no_longer_than_asked(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let Some(start) = now(&lab).await else { return };
    let wait = Duration::from_millis(50);
    let started = Instant::now();
    let answer = soon("the end of the wait", lab.broker().cancelled(Some(start), wait)).await;
    assert!(answer.unwrap().ids.is_empty());
    assert!(started.elapsed() >= wait / 2, "it did not wait");
}

/// A bounded answer, and a cursor that goes on from there.
pub async fn cancelled_answers_at_most_ten_thousand_ids_and_goes_on(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let Some(start) = now(&lab).await else { return };
    let chunk = lab.broker().capabilities().max_batch.min(3_500);
    let mut running = Vec::new();
    while running.len() < 10_500 {
        let ids = jobs_of(&lab.leased(chunk).await);
        lab.cancel(&ids).await;
        running.extend(ids);
    }
    let first = lab.broker().cancelled(Some(start), HOUR).await.unwrap();
    assert!(first.ids.len() <= 10_000, "{} ids", first.ids.len());
    assert_eq!(read(lab.broker(), start, running.len()).await, sorted(running));
}

/// A worker that stops does not sit it out.
pub async fn close_ends_a_cancelled_that_waits(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let Some(start) = now(&lab).await else { return };
    let mut waiting = lab.broker().cancelled(Some(start), HOUR);
    assert_waits(&mut waiting).await;
    lab.broker().close().await.unwrap();
    match soon("the answer", waiting).await {
        Ok(answer) => assert!(answer.ids.is_empty()),
        Err(error) => assert!(matches!(error, BrokerError::Closed { .. }), "{error:?}"),
    }
    let later = lab.broker().cancelled(Some(start), HOUR).await;
    assert!(matches!(later, Err(BrokerError::Closed { .. })), "{later:?}");
}

/// The position of now; `None` for a broker that nothing can be cancelled in, which must say so.
async fn now(lab: &Lab<'_>) -> Option<Cursor> {
    match lab.broker().cancelled(None, Duration::ZERO).await {
        Ok(answer) => Some(answer.next),
        Err(BrokerError::Unsupported { .. }) if lab.connection().operate.is_none() => None,
        Err(error) => panic!("who can cancel must tell: {error:?}"),
    }
}

/// The ids of `count` cancelled jobs after a position, sorted.
async fn read(broker: &dyn Broker, mut from: Cursor, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let more = soon("the next ids", broker.cancelled(Some(from), HOUR)).await.unwrap();
        ids.extend(more.ids);
        from = more.next;
    }
    sorted(ids)
}
