//! What became of jobs.

use std::time::{Duration, Instant};

use taskcore::broker::{Cursor, JobState, Keep, Lookup, NewJob, Outcome, Verdict};
use taskcore::{JobId, Payload};

use crate::harness::Harness;
use crate::lab::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The result came with the verdict, and is there when the verdict is.
pub async fn an_outcome_holds_the_result_as_it_was_given(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let ids = lab.stored(batch).await;
    let taken = lab.records(&ids).await;
    let deliveries = lab.reserve_all(batch).await;
    lab.elapse(1).await;
    lab.apply(&deliveries, &done_with(&bytes, HOUR)).await;
    for (outcome, record) in final_outcomes(&second, &ids).await.iter().zip(taken) {
        assert_eq!((outcome.job, outcome.state), (record.id, JobState::Done));
        assert_eq!(outcome.task, "suite::plain");
        assert_eq!(outcome.failure, None);
        assert!(outcome.finished_at > record.created_at);
        assert!(outcome.result.as_ref().is_some_and(|result| result.as_slice() == bytes));
    }
}

/// Each job has its own.
pub async fn results_of_one_batch_are_not_mixed_up(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    let verdicts = deliveries.iter().map(|delivery| {
        let verdict = done_with(delivery.job.to_string().as_bytes(), HOUR);
        settlements(std::slice::from_ref(delivery), &verdict).remove(0)
    });
    lab.broker().settle(&verdicts.rev().collect::<Vec<_>>()).await.unwrap();
    for outcome in final_outcomes(&lab, &jobs_of(&deliveries)).await {
        let expected = Payload::from(outcome.job.to_string().into_bytes());
        assert_eq!(outcome.result, Some(expected));
    }
}

/// No result and an empty result are two things.
pub async fn an_outcome_without_a_result_is_final_all_the_same(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(2).await;
    let none = Verdict::Done { result: None, keep: Keep::For(HOUR) };
    lab.apply(&deliveries[..1], &none).await;
    lab.apply(&deliveries[1..], &done_with(b"", HOUR)).await;
    let outcomes = final_outcomes(&lab, &jobs_of(&deliveries)).await;
    assert_eq!(outcomes[0].result, None);
    assert_eq!(outcomes[1].result, Some(Payload::default()));
}

/// Whoever reads, and however often.
pub async fn reading_an_outcome_never_consumes_it(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let deliveries = lab.leased(batch).await;
    lab.apply(&deliveries, &done()).await;
    let ids = jobs_of(&deliveries);
    for _ in 0..3 {
        for reader in [&lab, &second] {
            let outcomes = final_outcomes(reader, &ids).await;
            assert!(outcomes.iter().all(|outcome| outcome.result.is_some()));
        }
    }
}

/// A handle that waits learns how far its job is.
pub async fn a_job_that_is_not_final_is_pending_in_its_state(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let running = jobs_of(&lab.leased(batch).await);
    let ready = lab.stored(batch).await;
    let scheduled = jobs(batch, || due_in(lab.ticks(9)));
    lab.store(&scheduled).await;
    lab.assert_all(&running, JobState::Running).await;
    lab.assert_all(&ready, JobState::Ready).await;
    lab.assert_all(&ids_of(&scheduled), JobState::Scheduled).await;
    let lookups = lab.outcomes(&running).await;
    assert!(lookups.iter().all(|lookup| matches!(lookup, Lookup::Pending(_))));
}

/// One answer per id, in order, also for ids that nobody stored or that come twice.
pub async fn lookups_answer_each_id_in_order(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(2).await;
    lab.apply(&deliveries[1..], &done()).await;
    let (running, done) = (deliveries[0].job, deliveries[1].job);
    let asked = [JobId::new(), done, JobId::new(), running, done];
    let (is_running, is_done) = (Some(JobState::Running), Some(JobState::Done));
    assert_eq!(lab.states(&asked).await, [None, is_done, None, is_running, is_done]);
    for (id, lookup) in asked.iter().zip(lab.outcomes(&asked).await) {
        if let Lookup::Final(outcome) = lookup {
            assert_eq!(outcome.job, *id);
        }
    }
}

/// Kept as long as was said, then not for ever.
pub async fn an_outcome_is_kept_for_its_retention(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    let ids = jobs_of(&deliveries);
    lab.apply(&deliveries, &done_with(b"1", lab.ticks(3))).await;
    lab.elapse(2).await;
    lab.maintain().await;
    lab.assert_all(&ids, JobState::Done).await;
    lab.elapse(1).await;
    assert_eq!(lab.maintain().await.pruned, batch as u64);
    assert_eq!(lab.states(&ids).await, vec![None; batch]);
    assert!(lab.listed(&taskcore::broker::JobFilter::default()).await.is_empty());
}

/// The caller said that nobody will ask.
pub async fn nothing_is_kept_of_a_job_that_keeps_nothing(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.apply(&deliveries, &done_keeping_nothing()).await;
    assert_eq!(lab.states(&jobs_of(&deliveries)).await, vec![None; batch]);
    assert!(lab.listed(&taskcore::broker::JobFilter::default()).await.is_empty());
    assert_eq!(lab.depth().await, Counts::default());
}

/// Until somebody replays or purges it.
pub async fn a_failed_job_is_never_pruned(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(batch).await;
    lab.apply(&deliveries, &failed()).await;
    lab.elapse_span(1_000 * HOUR).await;
    assert!(lab.maintain().await.is_idle());
    lab.assert_all(&jobs_of(&deliveries), JobState::Failed).await;
    assert_eq!(lab.depth().await, Counts::failed(batch));
}

/// Their handles learn of it; nobody keeps them for ever.
pub async fn outcomes_of_cancelled_and_expired_jobs_are_kept_for_a_while(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let cancelled = lab.stored(batch).await;
    lab.cancel(&cancelled).await;
    let expires_in = Some(Duration::from_millis(1));
    let expired = jobs(batch, || NewJob { expires_in, ..plain_job() });
    lab.store(&expired).await;
    lab.elapse(1).await;
    lab.maintain().await;
    lab.assert_all(&cancelled, JobState::Cancelled).await;
    lab.assert_all(&ids_of(&expired), JobState::Expired).await;
    lab.elapse_span(2 * HOUR).await;
    assert_eq!(lab.maintain().await.pruned, 2 * batch as u64);
    let all = [cancelled, ids_of(&expired)].concat();
    assert_eq!(lab.states(&all).await, vec![None; 2 * batch]);
}

/// It has nothing to wait for.
pub async fn without_a_cursor_finished_answers_at_once_with_the_position_of_now(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let before = lab.leased(batch).await;
    lab.apply(&before, &done()).await;
    let now = soon("the position", lab.results().finished(None, HOUR)).await.unwrap();
    assert!(now.ids.is_empty());
    let later = lab.results().finished(Some(now.next), Duration::ZERO).await.unwrap();
    assert!(later.ids.is_empty(), "what ended before the cursor is not named");
}

/// Every final state, and each job that ended after the cursor.
pub async fn finished_names_the_jobs_that_became_final(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let start = second.results().finished(None, Duration::ZERO).await.unwrap().next;
    let mut expected = Vec::new();
    for verdict in [done(), done_keeping_nothing(), failed()] {
        let deliveries = lab.leased(batch).await;
        lab.apply(&deliveries, &verdict).await;
        expected.extend(jobs_of(&deliveries));
    }
    let cancelled = lab.stored(batch).await;
    lab.cancel(&cancelled).await;
    expected.extend(cancelled);
    let expires_in = Some(lab.ticks(1));
    let expired = jobs(batch, || NewJob { expires_in, ..plain_job() });
    lab.store(&expired).await;
    lab.elapse(1).await;
    lab.maintain().await;
    expected.extend(ids_of(&expired));
    let lost = lab.leased(batch).await;
    lab.begin(&lost).await;
    lab.elapse(2).await;
    let strict = taskcore::broker::Maintain { recovery_limit: 0, ..Default::default() };
    lab.broker().maintain(&strict).await.unwrap();
    expected.extend(jobs_of(&lost));
    lab.leased(batch).await;
    assert_eq!(read_finished(&second, start, expected.len()).await, sorted(expected));
}

/// A bounded answer, and a cursor that goes on from there.
pub async fn finished_answers_at_most_ten_thousand_ids_and_goes_on(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let start = lab.results().finished(None, Duration::ZERO).await.unwrap().next;
    let jobs = plain_jobs(10_500);
    for chunk in jobs.chunks(lab.broker().capabilities().max_batch.min(5_000)) {
        lab.store(chunk).await;
        lab.cancel(&ids_of(chunk)).await;
    }
    let first = lab.results().finished(Some(start), HOUR).await.unwrap();
    assert!(first.ids.len() <= 10_000, "{} ids", first.ids.len());
    assert_eq!(read_finished(&lab, start, jobs.len()).await, sorted(ids_of(&jobs)));
}

/// Whatever tells it, or however often it looks.
pub async fn a_waiting_finished_answers_when_a_job_ends(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let deliveries = second.leased(batch).await;
    let start = lab.results().finished(None, Duration::ZERO).await.unwrap().next;
    let mut waiting = lab.results().finished(Some(start), HOUR);
    assert_waits(&mut waiting).await;
    second.apply(&deliveries, &done()).await;
    let answer = soon("the ended jobs", waiting).await.unwrap();
    assert!(!answer.ids.is_empty());
    assert!(answer.ids.iter().all(|id| jobs_of(&deliveries).contains(id)));
}

/// Bounded by the caller.
pub async fn finished_waits_no_longer_than_asked(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let start = lab.results().finished(None, Duration::ZERO).await.unwrap().next;
    let wait = Duration::from_millis(50);
    let started = Instant::now();
    let answer = soon("the end of the wait", lab.results().finished(Some(start), wait)).await;
    assert!(answer.unwrap().ids.is_empty());
    assert!(started.elapsed() >= wait / 2, "it did not wait");
}

/// A set-up says whether it keeps results, and does what it says.
pub async fn results_are_there_if_the_capabilities_say_so(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let says = lab.broker().capabilities().results;
    assert!(!says || lab.connection().results.is_some());
}

async fn final_outcomes(lab: &Lab<'_>, ids: &[JobId]) -> Vec<Outcome> {
    let outcome = |lookup| match lookup {
        Lookup::Final(outcome) => *outcome,
        other => panic!("{other:?} is not final"),
    };
    lab.outcomes(ids).await.into_iter().map(outcome).collect()
}

/// Reads on from a cursor until `count` different ids were named; sorted.
async fn read_finished(lab: &Lab<'_>, start: Cursor, count: usize) -> Vec<JobId> {
    let reading = async {
        let (mut found, mut cursor) = (std::collections::BTreeSet::new(), start);
        while found.len() < count {
            let answer = lab.results().finished(Some(cursor), HOUR).await.unwrap();
            found.extend(answer.ids);
            cursor = answer.next;
        }
        found.into_iter().collect()
    };
    soon("the ids of all ended jobs", reading).await
}
