//! The life of a job.

use std::time::Duration;

use jiff::SignedDuration;
use taskcore::JobId;
use taskcore::broker::{
    AttemptEnd, BrokerError, EventId, JobState, Maintain, Reserve, Settled, Verdict,
};

use crate::harness::Harness;
use crate::lab::*;
use crate::past::*;
use crate::waiting::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Nothing is made up.
pub async fn there_is_no_timeline_of_an_unknown_job(harness: &dyn Harness) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    lab.stored(1).await;
    assert!(lab.history().timeline(JobId::new()).await.unwrap().is_none());
}

/// It was stored, and that is all.
pub async fn the_timeline_of_a_job_that_waits_has_no_attempts(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let jobs = jobs(batch, || due_in(lab.ticks(3)));
    lab.store(&jobs).await;
    let ids = ids_of(&jobs);
    let records = lab.records(&ids).await;
    for (timeline, record) in lab.timelines(&ids).await.iter().zip(records) {
        assert_eq!((timeline.task.as_str(), timeline.state), ("suite::plain", JobState::Scheduled));
        assert_eq!((timeline.created_at, timeline.due_at), (record.created_at, record.due_at));
        let waits: Duration =
            timeline.due_at.duration_since(timeline.created_at).try_into().unwrap();
        assert_eq!(waits, lab.ticks(3));
        assert_eq!((timeline.attempts.len(), timeline.waited()), (0, None));
    }
}

/// Who has it since when.
pub async fn the_timeline_of_a_running_job_tells_who_has_it(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let ids = lab.stored(batch).await;
    lab.elapse(1).await;
    let request = Reserve { worker: HOSTILE[5].to_owned(), ..lab.request(batch) };
    assert_eq!(lab.broker().reserve(&request).await.unwrap().len(), batch);
    let records = lab.records(&ids).await;
    for (timeline, record) in lab.timelines(&ids).await.iter().zip(records) {
        let attempt = &timeline.attempts[0];
        assert_eq!((attempt.attempt, attempt.worker.as_str()), (1, HOSTILE[5]));
        assert_eq!(Some(attempt.started_at), record.started_at);
        assert_eq!((attempt.end, attempt.failure.as_ref()), (None, None));
        assert_eq!((timeline.attempts.len(), timeline.state), (1, JobState::Running));
        assert!(timeline.waited().unwrap() >= SignedDuration::try_from(lab.ticks(1)).unwrap());
    }
}

/// From when it was stored to its end.
pub async fn the_timeline_of_a_job_that_is_done_tells_its_end(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.elapse(1).await;
    lab.apply(&deliveries, &done()).await;
    lab.elapse(1).await;
    let ids = jobs_of(&deliveries);
    lab.assert_attempts(&ids, &[(1, Some(AttemptEnd::Done))]).await;
    for (timeline, end) in lab.timelines(&ids).await.iter().zip(lab.ends(&ids).await) {
        assert_eq!((timeline.state, timeline.finished_at), (JobState::Done, Some(end.finished_at)));
        let attempt = &timeline.attempts[0];
        assert_eq!((attempt.ended_at, attempt.failure.as_ref()), (timeline.finished_at, None));
        let ran = run_of(attempt);
        assert!((lab.ticks(1)..lab.ticks(2)).contains(&ran), "{ran:?}");
    }
}

/// One after the other, with the reasons.
pub async fn the_timeline_tells_each_attempt_and_why_it_failed(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let first = lab.leased(batch).await;
    let ids = jobs_of(&first);
    lab.apply(&first, &retry(lab.ticks(1))).await;
    for timeline in lab.timelines(&ids).await {
        let ended_at = timeline.attempts[0].ended_at.unwrap();
        assert_eq!(timeline.due_at, ended_at.checked_add(lab.ticks(1)).unwrap());
        assert_eq!(timeline.state, JobState::Scheduled);
    }
    lab.elapse(1).await;
    lab.apply(&lab.reserve_all(batch).await, &failed()).await;
    let failed = Some(AttemptEnd::Failed);
    lab.assert_attempts(&ids, &[(1, failed), (2, failed)]).await;
    for timeline in lab.timelines(&ids).await {
        assert_eq!(timeline.attempts[0].failure, Some(failure("again")));
        assert_eq!(timeline.attempts[1].failure, Some(failure("for good")));
        assert_eq!(timeline.state, JobState::Failed);
    }
}

/// They were deliveries, though nothing is counted of them.
pub async fn the_timeline_tells_deliveries_that_were_given_back(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let first = lab.leased(batch).await;
    let ids = jobs_of(&first);
    lab.apply(&first, &Verdict::Release).await;
    let second = lab.reserve_all(batch).await;
    lab.apply(&second, &snooze(lab.ticks(1))).await;
    for timeline in lab.timelines(&ids).await {
        let ended_at = timeline.attempts[1].ended_at.unwrap();
        assert_eq!(timeline.due_at, ended_at.checked_add(lab.ticks(1)).unwrap());
        assert_eq!(timeline.state, JobState::Scheduled);
    }
    lab.elapse(1).await;
    lab.reserve_all(batch).await;
    let released = Some(AttemptEnd::Released);
    lab.assert_attempts(&ids, &[(1, released), (1, released), (1, None)]).await;
    for timeline in lab.timelines(&ids).await {
        assert!(timeline.attempts.iter().all(|attempt| attempt.failure.is_none()));
    }
}

/// It goes on until somebody has noticed.
pub async fn the_timeline_tells_deliveries_that_were_lost(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let ids = jobs_of(&lab.leased(batch).await);
    lab.lose_leases().await;
    let lost = Some(AttemptEnd::Lost);
    lab.assert_attempts(&ids, &[(1, lost)]).await;
    for timeline in lab.timelines(&ids).await {
        let attempt = &timeline.attempts[0];
        assert!(run_of(attempt) >= lab.ticks(2), "not before the end of the lease");
        assert_eq!((attempt.failure.as_ref(), timeline.state), (None, JobState::Ready));
    }
    let again = lab.reserve_all(batch).await;
    lab.begin(&again).await;
    lab.elapse(2).await;
    let maintain = Maintain { recovery_limit: 0, ..Maintain::default() };
    lab.broker().maintain(&maintain).await.unwrap();
    lab.assert_attempts(&ids, &[(1, lost), (1, lost)]).await;
    lab.assert_all(&ids, JobState::Failed).await;
}

/// By whoever.
pub async fn the_timeline_tells_a_cancel(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let running = lab.leased(2 * batch).await;
    let waiting = lab.stored(batch).await;
    lab.cancel(&jobs_of(&running[..batch])).await;
    lab.apply(&running[batch..], &Verdict::Cancelled).await;
    lab.cancel(&waiting).await;
    assert_eq!(lab.settle(&running, &done()).await, vec![Settled::Stale; 2 * batch]);
    let ids = jobs_of(&running);
    lab.assert_attempts(&ids, &[(1, Some(AttemptEnd::Cancelled))]).await;
    lab.assert_attempts(&waiting, &[]).await;
    for timeline in lab.timelines(&[ids, waiting].concat()).await {
        assert_eq!(timeline.state, JobState::Cancelled);
        assert!(timeline.attempts.iter().all(|one| one.ended_at == timeline.finished_at));
    }
}

/// By the cancel of a job that they were made for.
pub async fn the_timeline_tells_a_cancel_of_inputs(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let inputs = jobs_of(&lab.leased(batch).await);
    let jobs: Vec<_> = inputs.iter().map(|input| waiting([owns(*input)])).collect();
    lab.store(&jobs).await;
    lab.cancel(&ids_of(&jobs)).await;
    lab.assert_attempts(&inputs, &[(1, Some(AttemptEnd::Cancelled))]).await;
    lab.assert_attempts(&ids_of(&jobs), &[]).await;
}

/// It never began.
pub async fn the_timeline_of_an_expired_job_has_no_attempts(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let jobs = lab.expiring(batch);
    lab.store(&jobs).await;
    lab.elapse(1).await;
    lab.maintain().await;
    for timeline in lab.timelines(&ids_of(&jobs)).await {
        assert_eq!((timeline.state, timeline.attempts.len()), (JobState::Expired, 0));
        assert!(timeline.took().unwrap() >= SignedDuration::try_from(lab.ticks(1)).unwrap());
    }
}

/// Its own part is over, and its life goes on.
pub async fn the_timeline_of_a_continued_job_ends_with_what_continues_it(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let deliveries = lab.leased(batch).await;
    let ids = jobs_of(&deliveries);
    let next = lab.continue_each(&deliveries).await;
    let continued = [(1, Some(AttemptEnd::Continued))];
    lab.assert_attempts(&ids, &continued).await;
    for timeline in lab.timelines(&ids).await {
        assert_eq!(timeline.state, JobState::Blocked);
    }
    lab.elapse(1).await;
    lab.run_these(&next).await;
    lab.assert_attempts(&ids, &continued).await;
    for timeline in lab.timelines(&ids).await {
        assert_eq!(timeline.state, JobState::Done);
        assert!(timeline.finished_at > timeline.attempts[0].ended_at);
    }
}

/// The verdict was that it goes on; that it cannot is the job's failure.
pub async fn the_timeline_tells_a_continuation_that_failed_at_once(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let deliveries = lab.leased(batch).await;
    let ids = jobs_of(&deliveries);
    lab.settle_each(&deliveries, &each_by_id(&ids)).await;
    lab.assert_attempts(&ids, &[(1, Some(AttemptEnd::Continued))]).await;
    lab.assert_all(&ids, JobState::Failed).await;
}

/// What was before is not forgotten.
pub async fn a_replay_adds_to_the_timeline(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let ids = lab.failing(batch).await;
    let before = lab.timelines(&ids).await;
    lab.elapse(1).await;
    lab.replay(&ids).await;
    let failed = (1, Some(AttemptEnd::Failed));
    lab.assert_attempts(&ids, &[failed]).await;
    for (timeline, before) in lab.timelines(&ids).await.iter().zip(before) {
        assert_eq!((timeline.state, timeline.finished_at), (JobState::Ready, None));
        assert_eq!(timeline.created_at, before.created_at);
        assert_eq!(timeline.attempts[0].failure, before.attempts[0].failure);
    }
    lab.apply(&lab.reserve_all(batch).await, &done()).await;
    lab.assert_attempts(&ids, &[failed, (1, Some(AttemptEnd::Done))]).await;
}

/// However often it comes round; the latest are those that somebody asks for.
pub async fn at_least_the_latest_fifty_deliveries_are_told(harness: &dyn Harness) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let job = lab.stored(1).await[0];
    for round in 0..60 {
        let request = Reserve { worker: format!("worker {round}"), ..lab.request(1) };
        let deliveries = lab.broker().reserve(&request).await.unwrap();
        lab.apply(&deliveries, &Verdict::Release).await;
    }
    let attempts = lab.timelines(&[job]).await.remove(0).attempts;
    let told: Vec<_> = attempts.iter().map(|attempt| attempt.worker.clone()).collect();
    assert!(told.len() >= 50, "{} deliveries", told.len());
    let latest: Vec<_> = (60 - told.len()..60).map(|round| format!("worker {round}")).collect();
    assert_eq!(told, latest);
}

/// Nothing is kept of it.
pub async fn a_timeline_is_kept_as_long_as_the_job(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let deliveries = lab.leased(3 * batch).await;
    let (nothing, others) = deliveries.split_at(batch);
    let (pruned, purged) = others.split_at(batch);
    lab.apply(nothing, &done_keeping_nothing()).await;
    lab.apply(pruned, &done_with(b"1", lab.ticks(1))).await;
    lab.apply(purged, &failed()).await;
    lab.timelines(&jobs_of(others)).await;
    lab.elapse(1).await;
    lab.maintain().await;
    lab.purge(&jobs_of(purged)).await;
    for id in jobs_of(&deliveries) {
        assert!(lab.history().timeline(id).await.unwrap().is_none());
    }
}

/// Like every other call.
pub async fn after_close_history_answers_closed(harness: &dyn Harness) {
    let Some(lab) = Lab::with_history(harness).await else { return };
    let job = lab.stored(1).await[0];
    lab.broker().close().await.unwrap();
    let history = lab.history();
    let errors = [
        history.timeline(job).await.err(),
        history.stats().await.err(),
        history.events(None, 1, HOUR).await.err(),
        history.events(Some(EventId::START), 1, HOUR).await.err(),
    ];
    for error in errors {
        assert!(matches!(error, Some(BrokerError::Closed { .. })), "{error:?}");
    }
}
