//! Events: everything that happens, once each, in order.

use std::time::{Duration, Instant};

use futures::future::join_all;
use taskcore::JobId;
use taskcore::broker::{
    BrokerError, Event, EventId, EventKind, JobFilter, Maintain, NewJob, Settled, Verdict,
};

use crate::harness::Harness;
use crate::holding::*;
use crate::lab::*;
use crate::past::*;
use crate::waiting::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// It has nothing to wait for.
pub async fn without_a_position_events_answers_at_once_with_that_of_now(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    lab.stored(batch).await;
    let now = soon("the position", lab.history().events(None, 9, HOUR)).await.unwrap();
    assert_eq!((now.missed, now.events.len()), (0, 0));
    assert_eq!(now.next, EventId(batch as u64), "they are numbered from 1");
    assert!(lab.events(now.next).await.is_empty(), "what was before is not told");
    let later = lab.stored(batch).await;
    lab.assert_happened(now.next, &later, &[EventKind::Stored]).await;
}

/// With when it was, and of which task.
pub async fn the_life_of_a_job_is_told_in_order(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.elapse(1).await;
    lab.apply(&deliveries, &done()).await;
    let ids = jobs_of(&deliveries);
    let second = lab.second().await;
    let kinds = [EventKind::Stored, EventKind::Started, EventKind::Done];
    second.assert_happened(EventId::START, &ids, &kinds).await;
    let events = second.events(EventId::START).await;
    assert!(events.iter().all(|event| event.task.as_deref() == Some("suite::plain")));
    for timeline in lab.timelines(&ids).await {
        let of_job: Vec<_> = events.iter().filter(|event| event.job == timeline.job).collect();
        let times: Vec<_> = of_job.iter().map(|event| event.at).collect();
        let started_at = timeline.attempts[0].started_at;
        assert_eq!(times, [timeline.created_at, started_at, timeline.finished_at.unwrap()]);
    }
}

/// In one batch too.
pub async fn each_verdict_is_an_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    for (verdict, kind) in [
        (done(), EventKind::Done),
        (done_keeping_nothing(), EventKind::Done),
        (retry(Duration::ZERO), EventKind::Retried),
        (failed(), EventKind::Failed),
        (Verdict::Cancelled, EventKind::Cancelled),
        (Verdict::Release, EventKind::Released),
        (snooze(lab.ticks(1)), EventKind::Released),
    ] {
        let deliveries = lab.leased(batch).await;
        let before = lab.position().await;
        lab.apply(&deliveries, &verdict).await;
        lab.assert_happened(before, &jobs_of(&deliveries), &[kind]).await;
        lab.purge_all().await;
    }
}

/// The job goes on as others, which are stored in the same step.
pub async fn a_continuation_is_an_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    for (verdict, kind) in [(done(), EventKind::Done), (failed(), EventKind::Failed)] {
        let deliveries = lab.leased(batch).await;
        let ids = jobs_of(&deliveries);
        let before = lab.position().await;
        let next = lab.continue_each(&deliveries).await;
        let events = lab.events(before).await;
        assert_eq!(events.len(), 2 * batch);
        assert_each(&events, &ids, &[EventKind::Continued]);
        assert_each(&events, &next, &[EventKind::Stored]);
        let next = lab.reserve_these(&next).await;
        let before = lab.position().await;
        lab.apply(&next, &verdict).await;
        lab.assert_happened(before, &[ids, jobs_of(&next)].concat(), &[kind]).await;
    }
}

/// An attempt was made, and it failed.
pub async fn a_job_that_would_wait_for_itself_is_an_event_of_a_failure(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let deliveries = lab.leased(batch).await;
    let ids = jobs_of(&deliveries);
    let before = lab.position().await;
    let answers = lab.settle_each(&deliveries, &each_by_id(&ids)).await;
    assert_eq!(answers, applied(batch));
    lab.assert_happened(before, &ids, &[EventKind::Failed]).await;
}

/// Until it has happened too often.
pub async fn a_lost_lease_is_an_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let first = lab.leased(batch).await;
    let ids = jobs_of(&first);
    let before = lab.position().await;
    lab.elapse(2).await;
    assert!(lab.events(before).await.is_empty(), "nobody has noticed");
    lab.maintain().await;
    lab.assert_happened(before, &ids, &[EventKind::Lost]).await;
    let again = lab.reserve_all(batch).await;
    lab.begin(&again).await;
    lab.elapse(2).await;
    let before = lab.position().await;
    let maintain = Maintain { recovery_limit: 0, ..Maintain::default() };
    lab.broker().maintain(&maintain).await.unwrap();
    lab.assert_happened(before, &ids, &[EventKind::Failed]).await;
}

/// Whether or not it ran.
pub async fn a_cancel_is_an_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let running = jobs_of(&lab.leased(batch).await);
    let ids = [running, lab.stored(batch).await].concat();
    let before = lab.position().await;
    lab.cancel(&ids).await;
    lab.cancel(&ids).await;
    lab.assert_happened(before, &ids, &[EventKind::Cancelled]).await;
}

/// They are cancelled as well.
pub async fn inputs_that_are_cancelled_with_their_job_are_events(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let running = jobs_of(&lab.leased(batch).await);
    let waiting_inputs = lab.stored(batch).await;
    let pairs = running.iter().zip(&waiting_inputs);
    let jobs: Vec<_> = pairs.map(|(one, other)| waiting([owns(*one), owns(*other)])).collect();
    lab.store(&jobs).await;
    let before = lab.position().await;
    lab.cancel(&ids_of(&jobs)).await;
    let all = [ids_of(&jobs), running, waiting_inputs].concat();
    lab.assert_happened(before, &all, &[EventKind::Cancelled]).await;
}

/// One comes, one goes.
pub async fn a_holder_that_is_replaced_is_an_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().unique {
        return;
    }
    let holders = lab.store_holding(&keys(batch)).await;
    let before = lab.position().await;
    let jobs: Vec<_> = keys(batch).iter().map(|key| replacing(key)).collect();
    lab.store(&jobs).await;
    let events = lab.events(before).await;
    assert_eq!(events.len(), 2 * batch);
    assert_each(&events, &holders, &[EventKind::Cancelled]);
    assert_each(&events, &ids_of(&jobs), &[EventKind::Stored]);
}

/// Whoever notices.
pub async fn an_expiry_is_an_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    for by_upkeep in [true, false] {
        let jobs = lab.expiring(batch);
        lab.store(&jobs).await;
        lab.elapse(1).await;
        let before = lab.position().await;
        if by_upkeep {
            lab.maintain().await;
        } else {
            lab.reserve_all(0).await;
        }
        lab.assert_happened(before, &ids_of(&jobs), &[EventKind::Expired]).await;
    }
}

/// Of the jobs that it takes, and of those that it revives.
pub async fn a_replay_is_an_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let inputs = lab.leased(batch).await;
    let mut ids = jobs_of(&inputs);
    if lab.broker().capabilities().results {
        ids.extend(lab.store_after_each(&jobs_of(&inputs)).await);
    }
    lab.apply(&inputs, &failed()).await;
    let before = lab.position().await;
    lab.replay(&ids).await;
    lab.assert_happened(before, &ids, &[EventKind::Replayed]).await;
    assert!(lab.replay(&ids).await.is_empty());
    lab.assert_happened(before, &ids, &[EventKind::Replayed]).await;
}

/// All the way, each after what it needed.
pub async fn a_failure_because_of_an_input_is_an_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let inputs = lab.leased(batch).await;
    let first = lab.store_after_each(&jobs_of(&inputs)).await;
    let second = lab.store_after_each(&first).await;
    let before = lab.position().await;
    lab.apply(&inputs, &Verdict::Cancelled).await;
    let events = lab.events(before).await;
    assert_eq!(events.len(), 3 * batch);
    assert_each(&events, &jobs_of(&inputs), &[EventKind::Cancelled]);
    assert_each(&events, &[first.clone(), second.clone()].concat(), &[EventKind::Failed]);
    let place = |id: JobId| events.iter().position(|event| event.job == id);
    for ((input, first), second) in jobs_of(&inputs).into_iter().zip(first).zip(second) {
        assert!(place(input) < place(first) && place(first) < place(second), "{events:?}");
    }
}

/// Stored, and failed in the same step.
pub async fn a_job_that_cannot_run_is_two_events(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let ids = lab.store_after_each(&ids_of(&plain_jobs(batch))).await;
    let kinds = [EventKind::Stored, EventKind::Failed];
    lab.assert_happened(EventId::START, &ids, &kinds).await;
}

/// Those that needed it, not itself.
pub async fn deleting_an_input_is_an_event_of_what_needs_it(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let inputs = lab.stored(batch).await;
    let ids = lab.store_after_each(&inputs).await;
    let before = lab.position().await;
    lab.purge(&inputs).await;
    lab.assert_happened(before, &ids, &[EventKind::Failed]).await;
}

/// A tick is a way in.
pub async fn a_job_that_a_schedule_stored_is_an_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let jobs = plain_jobs(batch);
    if !lab.fire(&jobs).await {
        return;
    }
    lab.assert_happened(EventId::START, &ids_of(&jobs), &[EventKind::Stored]).await;
}

/// It did not happen.
pub async fn what_changes_nothing_is_no_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let first = lab.leased(batch).await;
    lab.lose_leases().await;
    let current = lab.reserve_all(batch).await;
    let before = lab.position().await;
    for verdict in all_verdicts() {
        assert_eq!(lab.settle(&first, &verdict).await, vec![Settled::Stale; batch]);
    }
    let again: Vec<_> =
        jobs_of(&first).iter().map(|id| NewJob { id: *id, ..plain_job() }).collect();
    lab.broker().enqueue(&again).await.unwrap();
    lab.begin(&current).await;
    lab.extend(&current, 2).await;
    lab.replay(&jobs_of(&first)).await;
    lab.operate().pause(&plain_queue(), true).await.unwrap();
    lab.maintain().await;
    lab.depth().await;
    assert_eq!(lab.events(before).await, []);
}

/// Time passes for all of them.
pub async fn a_job_that_becomes_ready_is_no_event(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    lab.store(&jobs(batch, || due_in(lab.ticks(1)))).await;
    let before = lab.position().await;
    lab.elapse(1).await;
    lab.maintain().await;
    assert_eq!(lab.depth().await, Counts::ready(batch));
    assert_eq!(lab.events(before).await, []);
    if !lab.broker().capabilities().results {
        return;
    }
    let inputs = lab.reserve_all(batch).await;
    lab.store_after_each(&jobs_of(&inputs)).await;
    let before = lab.position().await;
    lab.apply(&inputs, &done()).await;
    assert_eq!(lab.depth().await, Counts::ready(batch));
    lab.assert_happened(before, &jobs_of(&inputs), &[EventKind::Done]).await;
}

/// What happened is told all the same, but not of which task.
pub async fn the_task_of_a_deleted_job_is_not_told(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let deliveries = lab.leased(3 * batch).await;
    let (nothing, others) = deliveries.split_at(batch);
    let (pruned, purged) = others.split_at(batch);
    lab.apply(nothing, &done_keeping_nothing()).await;
    lab.apply(pruned, &done_with(b"1", lab.ticks(1))).await;
    lab.apply(purged, &failed()).await;
    let before = lab.position().await;
    // The tasks of the events of their ends; the store may not keep what was before.
    let tasks = async |deliveries: &[_]| {
        let ids = jobs_of(deliveries);
        let mut events = lab.page(EventId(before.0 - 3 * batch as u64), 1_000).await.events;
        events.retain(|event| ids.contains(&event.job));
        events.into_iter().map(|event| event.task).collect::<Vec<_>>()
    };
    let (told, gone) = (vec![Some("suite::plain".to_owned()); batch], vec![None; batch]);
    assert_eq!(tasks(nothing).await, gone);
    assert_eq!((tasks(pruned).await, tasks(purged).await), (told.clone(), told));
    lab.purge(&jobs_of(purged)).await;
    lab.elapse(1).await;
    lab.maintain().await;
    assert_eq!((tasks(pruned).await, tasks(purged).await), (gone.clone(), gone));
    assert!(lab.events(before).await.is_empty(), "to be deleted is no event");
}

/// Whoever comes back goes on where it was.
pub async fn a_reader_that_resumes_sees_each_event_once(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let (mut seen, mut position): (Vec<Event>, _) = (Vec::new(), EventId::START);
    let mut stored = Vec::new();
    for max in 1..=4 {
        stored.extend(lab.stored(batch).await);
        let page = lab.page(position, max).await;
        assert!(!page.events.is_empty(), "at least one if there is one");
        position = page.next;
        seen.extend(page.events);
    }
    seen.extend(lab.second().await.events(position).await);
    let jobs: Vec<_> = seen.iter().map(|event| event.job).collect();
    assert_eq!(sorted(jobs), sorted(stored));
    let again = lab.events(EventId::START).await;
    assert_eq!(seen, again, "reading consumes nothing");
}

/// Somebody looks at it live.
pub async fn a_waiting_events_answers_when_something_happens(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let second = lab.second().await;
    let before = lab.position().await;
    let mut waiting = second.history().events(Some(before), 1_000, HOUR);
    assert_waits(&mut waiting).await;
    let ids = lab.stored(batch).await;
    let found = soon("the events", waiting).await.unwrap();
    assert!(!found.events.is_empty());
    assert!(found.events.iter().all(|event| ids.contains(&event.job)));
    lab.assert_happened(before, &ids, &[EventKind::Stored]).await;
}

/// Bounded by the caller.
pub async fn events_waits_no_longer_than_asked(harness: &dyn Harness) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    lab.stored(1).await;
    let (started, wait) = (Instant::now(), Duration::from_millis(50));
    let now = lab.position().await;
    let found = soon("the end", lab.history().events(Some(now), 9, wait)).await.unwrap();
    assert_eq!((found.missed, found.events.len(), found.next), (0, 0, now));
    assert!(started.elapsed() >= wait / 2, "it did not wait");
}

/// A server that stops does not sit it out.
pub async fn close_ends_an_events_that_waits(harness: &dyn Harness) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let now = lab.position().await;
    let mut waiting = lab.history().events(Some(now), 9, HOUR);
    assert_waits(&mut waiting).await;
    lab.broker().close().await.unwrap();
    match soon("the answer", waiting).await {
        Ok(found) => assert!(found.events.is_empty()),
        Err(error) => assert!(matches!(error, BrokerError::Closed { .. }), "{error:?}"),
    }
}

/// The store is bounded, and says what is gone.
pub async fn a_slow_reader_is_told_how_many_events_it_missed(harness: &dyn Harness) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let kept = lab.events_kept();
    let mut stored = Vec::new();
    for _ in 0..kept + 7 {
        stored.extend(lab.stored(1).await);
    }
    for (after, missed) in [(0, 7), (3, 4), (6, 1), (7, 0), (8, 0)] {
        let page = lab.page(EventId(after), 1_000_000).await;
        assert_eq!(page.missed, missed, "after {after}");
        let jobs: Vec<_> = page.events.iter().map(|event| event.job).collect();
        let first = usize::try_from(after + missed).unwrap();
        assert!(!jobs.is_empty());
        assert_eq!(jobs[..], stored[first..first + jobs.len()]);
    }
    let first = lab.page(EventId::START, 2).await;
    assert_eq!((first.missed, first.next), (7, EventId(first.events.len() as u64 + 7)));
    let rest = lab.events(first.next).await;
    assert_eq!((first.events.len() + rest.len()) as u64, kept, "so many stay");
}

/// A store may keep a batch more than it has to, and no others.
pub async fn what_is_gone_of_batches_is_counted_too(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let (kept, count) = (lab.events_kept(), batch as u64);
    let mut stored = Vec::new();
    while (stored.len() as u64) < kept + 3 * count {
        stored.extend(lab.stored(batch).await);
    }
    let missed = lab.page(EventId::START, 1).await.missed;
    let told = lab.events(EventId(missed)).await;
    assert_eq!(missed + told.len() as u64, stored.len() as u64);
    assert!((kept..=kept + count).contains(&(told.len() as u64)), "{} stay", told.len());
    let jobs: Vec<_> = told.iter().map(|event| event.job).collect();
    let missed = usize::try_from(missed).unwrap();
    // Of a batch of which some is gone, who knows which.
    let first = missed.next_multiple_of(batch);
    assert_eq!(sorted(jobs[first - missed..].to_vec()), sorted(stored[first..].to_vec()));
}

/// None is lost, and none has another's number.
pub async fn events_at_the_same_time_are_all_told_once(harness: &dyn Harness) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let mut labs = Vec::new();
    for _ in 0..4 {
        labs.push(lab.second().await);
    }
    let storing = labs.iter().map(async |lab| {
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.extend(lab.stored(1).await);
        }
        ids
    });
    let stored = join_all(storing).await.concat();
    lab.assert_happened(EventId::START, &stored, &[EventKind::Stored]).await;
    lab.operate().purge(&JobFilter::default()).await.unwrap();
    assert_eq!(lab.position().await, EventId(40));
}

/// Checks what happened to each of these jobs.
fn assert_each(events: &[Event], jobs: &[JobId], expected: &[EventKind]) {
    for job in jobs {
        assert_eq!(kinds_of(events, *job), expected);
    }
}
