//! A broker that carries jobs and keeps nothing of them but those that failed: whose its leases
//! are, what it does with failed jobs, and that it refuses the rest.

use std::time::{Duration, Instant};

use taskcore::broker::{
    BrokerError, CancelScope, Capabilities, Enqueued, Extended, JobFilter, JobState, Maintain,
    NewJob, Reserve, Settled,
};
use taskcore::{JobId, Priority};

use crate::cases::connection::assert_closed;
use crate::harness::Harness;
use crate::holding::*;
use crate::lab::*;
use crate::waiting::*;

/// How late a due job may come beside the resolution of due times: from the documentation of
/// [`Transport`](crate::Transport).
const LATEST: Duration = Duration::from_millis(300);

/// Who asks for what is off is told so, and not by silence.
pub async fn what_is_off_has_no_face(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let Capabilities { dedupe, results, unique, .. } = lab.broker().capabilities();
    assert_eq!((dedupe, results, unique), (false, false, false));
    let connection = lab.connection();
    assert!(connection.schedules.is_none() && connection.reports.is_none());
    assert!(connection.history.is_none() && connection.outbox.is_none());
    assert!(connection.operate.is_some(), "failed jobs can be replayed");
    assert_unsupported("cancelled", &lab.broker().cancelled(None, Duration::ZERO).await);
}

/// A worker that stops, in order or not, holds nobody up until its leases end.
pub async fn closing_a_connection_gives_its_jobs_back(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let ids = jobs_of(&lab.leased(batch).await);
    assert!(second.reserve(1).await.is_empty());
    lab.broker().close().await.unwrap();
    let again = second.reserve_all(batch).await;
    second.assert_again(&again, &ids);
    for delivery in &again {
        assert_eq!(delivery.attempt.get(), 1, "an interruption is not a failure");
        assert!(!delivery.suspect);
        assert_eq!(delivery.envelope, envelope_of(delivery.job));
    }
    second.apply(&again, &done()).await;
}

/// What was settled is settled.
pub async fn closing_a_connection_gives_back_no_verdict(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let ended = lab.leased(batch).await;
    lab.apply(&ended, &done()).await;
    let failing = lab.leased(batch).await;
    lab.apply(&failing, &failed()).await;
    lab.broker().close().await.unwrap();
    assert!(second.reserve(1).await.is_empty());
    second.assert_depth(Counts::failed(batch)).await;
}

/// The heartbeat of a worker may be opened anew.
pub async fn closing_a_duplicate_leaves_the_jobs_of_the_others(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let duplicate = lab.sibling().await;
    let kept = lab.leased(batch).await;
    lab.stored(batch).await;
    let lent = duplicate.reserve_all(batch).await;
    duplicate.broker().close().await.unwrap();
    let again = lab.reserve_all(batch).await;
    lab.assert_again(&again, &jobs_of(&lent));
    lab.apply(&kept, &done()).await;
}

/// Of a connection that holds nothing of the kind.
pub async fn a_receipt_of_another_connection_is_stale_and_changes_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let deliveries = lab.leased(batch).await;
    for verdict in all_verdicts() {
        assert_eq!(second.settle(&deliveries, &verdict).await, vec![Settled::Stale; batch]);
    }
    assert_eq!(second.begin(&deliveries).await, vec![Settled::Stale; batch]);
    assert_eq!(second.extend(&deliveries, 9).await, vec![Extended::Lost; batch]);
    second.assert_depth(Counts::running(batch)).await;
    assert!(second.reserve(1).await.is_empty());
    lab.apply(&deliveries, &done()).await;
}

/// Err means unknown: the caller repeats with the same ids, and the job may run twice.
pub async fn a_repeated_enqueue_is_answered_as_stored(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let jobs = plain_jobs(batch);
    lab.store(&jobs).await;
    assert_eq!(lab.broker().enqueue(&jobs).await.unwrap(), vec![Enqueued::Stored; batch]);
    let delivered = lab.reserve(3 * batch).await;
    let mut ids = sorted(jobs_of(&delivered));
    assert!(ids.len() <= 2 * batch);
    ids.dedup();
    assert_eq!(ids, sorted(ids_of(&jobs)));
    lab.apply(&delivered, &done()).await;
}

/// There is nothing that could be given to a job that waits.
pub async fn a_batch_with_inputs_is_refused_as_a_whole(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    for input in [needs(JobId::new()), tolerates(JobId::new()), owns(JobId::new())] {
        let batch = [plain_job(), waiting([input]), plain_job()];
        assert_unsupported("inputs", &lab.broker().enqueue(&batch).await);
    }
    let first = plain_job();
    let after = waiting([needs(first.id)]);
    assert_unsupported("inputs of a batch", &lab.broker().enqueue(&[first, after]).await);
    assert_empty(&lab).await;
}

/// Nobody knows who holds a key.
pub async fn a_batch_with_unique_keys_is_refused_as_a_whole(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    for job in [holding("key"), replacing("key")] {
        let batch = [plain_job(), job, plain_job()];
        assert_unsupported("unique keys", &lab.broker().enqueue(&batch).await);
    }
    let group = together(vec![holding("one"), holding("other")]);
    assert_unsupported("a group with keys", &lab.broker().enqueue(&group).await);
    assert_empty(&lab).await;
}

/// A job that goes on as another one waits for it, which nothing here can. Its neighbours keep
/// their leases, too.
pub async fn a_batch_with_a_continuation_is_refused_as_a_whole(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(3).await;
    let next = plain_job();
    let verdicts = [
        [done(), continued(vec![next.clone()], next.id), failed()],
        [done(), continued(vec![], JobId::new()), failed()],
    ];
    for verdicts in verdicts {
        let mut batch = Vec::new();
        for (delivery, verdict) in deliveries.iter().zip(&verdicts) {
            batch.extend(settlements(std::slice::from_ref(delivery), verdict));
        }
        assert_unsupported("a continuation", &lab.broker().settle(&batch).await);
    }
    assert_empty(&lab).await;
    lab.apply(&deliveries, &done()).await;
}

/// Not an empty list, which would say that there is no such job.
pub async fn what_a_transport_does_not_know_of_jobs_is_refused(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let failing = lab.failing(1).await;
    lab.stored(1).await;
    let mixed = vec![JobState::Failed, JobState::Ready];
    let others = JobState::ALL.into_iter().filter(|state| *state != JobState::Failed);
    for states in others.map(|state| vec![state]).chain([mixed, Vec::new()]) {
        let filter = JobFilter { states, ..JobFilter::default() };
        assert_unsupported("jobs", &lab.operate().jobs(&filter).await);
        assert_unsupported("purge", &lab.operate().purge(&filter).await);
    }
    assert_eq!(lab.listed(&failed_jobs()).await, failing);
    lab.reserve_all(1).await;
}

/// Waiting, running or unknown: nobody finds a job among the messages of a queue.
pub async fn a_cancel_is_refused_and_changes_nothing(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let running = lab.leased(1).await;
    let waiting = lab.stored(1).await;
    for scope in [CancelScope::WithInputs, CancelScope::JobsAlone] {
        for id in [running[0].job, waiting[0], JobId::new()] {
            assert_unsupported("cancel", &lab.operate().cancel(&[id], scope).await);
        }
    }
    assert_eq!(lab.extend(&running, 2).await, [Extended::Held]);
    lab.apply(&running, &done()).await;
    assert_eq!(jobs_of(&lab.reserve_all(1).await), waiting);
}

/// Nothing tells the other workers.
pub async fn a_pause_is_refused_and_changes_nothing(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    for paused in [true, false] {
        assert_unsupported("pause", &lab.operate().pause(&plain_queue(), paused).await);
    }
    lab.stored(1).await;
    lab.reserve_all(1).await;
}

/// One answer per receipt, in order.
pub async fn an_extension_answers_held_and_lost_in_order(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let over = lab.leased(2).await;
    lab.apply(&over, &done()).await;
    let live = lab.leased(3).await;
    let mixed = [&live[1], &over[0], &live[0], &over[1], &live[2]].map(Clone::clone);
    let (held, lost) = (Extended::Held, Extended::Lost);
    assert_eq!(lab.extend(&mixed, 2).await, [held, lost, held, lost, held]);
}

/// Never early is a case of all brokers; how late is this one.
pub async fn a_due_job_comes_soon_after_it_is_due(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let job = due_in(lab.ticks(1));
    lab.store(std::slice::from_ref(&job)).await;
    let hour = Duration::from_secs(60 * 60);
    let request = Reserve { wait: hour, ..lab.request(1) };
    let mut waiting = Box::pin(lab.broker().reserve(&request));
    assert_waits(&mut waiting).await;
    lab.elapse(1).await;
    let elapsed = Instant::now();
    let deliveries = soon("the due job", waiting).await.unwrap();
    let late = elapsed.elapsed();
    let resolution = lab.broker().capabilities().due_resolution;
    assert!(late <= resolution + LATEST, "it came {late:?} after it was due");
    assert_eq!(jobs_of(&deliveries), [job.id]);
}

/// Until somebody acts: what, whose, why and the bytes to run it again.
pub async fn failed_jobs_are_listed_with_all_that_is_known_of_them(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let urgent = || NewJob { priority: Priority::MAX, ..in_queue("other") };
    let jobs = [plain_jobs(batch), jobs(batch, urgent)].concat();
    lab.store(&jobs).await;
    let queues = vec![share("plain", batch), share("other", batch)];
    let request = Reserve { queues, ..lab.request(2 * batch) };
    let mut deliveries = Vec::new();
    while deliveries.len() < jobs.len() {
        let more = lab.broker().reserve(&request).await.unwrap();
        assert!(!more.is_empty(), "{} of {} came", deliveries.len(), jobs.len());
        deliveries.extend(more);
    }
    lab.apply(&deliveries, &failed()).await;
    assert_eq!(sorted(lab.listed(&failed_jobs()).await), sorted(ids_of(&jobs)));
    // Looking takes nothing away, also from those who look somewhere else.
    let records = lab.second().await.failed_records(&ids_of(&jobs)).await;
    for (record, job) in records.iter().zip(&jobs) {
        assert_eq!((&record.queue, record.task.as_str()), (&job.queue, &*job.task));
        assert_eq!((record.priority, &record.envelope), (job.priority, &job.envelope));
        assert_eq!(record.failures, 1);
        assert!(record.failure.is_some());
    }
    lab.assert_depth(Counts::failed(batch)).await;
    lab.assert_depth_of(&queue("other"), Counts::failed(batch)).await;
}

/// Its attempts, its losses and its recoveries are another life's.
pub async fn a_replayed_job_starts_anew(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let ids = lab.stored(batch).await;
    for _ in 0..2 {
        let deliveries = lab.reserve_all(batch).await;
        lab.begin(&deliveries).await;
        lab.lose_leases().await;
    }
    lab.apply(&lab.reserve_all(batch).await, &failed()).await;
    lab.elapse(1).await;
    let replayed = lab.operate().replay(&JobFilter::default()).await.unwrap();
    assert_eq!(sorted(replayed), sorted(ids.clone()));
    assert_eq!(lab.listed(&failed_jobs()).await, []);
    lab.assert_depth(Counts::ready(batch)).await;
    lab.assert_marks(&ids, Marks { losses: 0, recoveries: 0 }).await;
}

/// By id, queue and task, up to the limit.
pub async fn a_replay_takes_what_passes_the_filter(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let ids = fail_some(&lab).await;
    let all = JobFilter::default;
    for nothing in nothing_passes() {
        assert_eq!(lab.operate().replay(&nothing).await.unwrap(), []);
    }
    let one = JobFilter { ids: Some(vec![ids.plain[2], JobId::new()]), ..all() };
    assert_eq!(lab.operate().replay(&one).await.unwrap(), [ids.plain[2]]);
    let elsewhere = JobFilter { queue: Some(queue("other")), ..all() };
    assert_eq!(lab.operate().replay(&elsewhere).await.unwrap(), [ids.other]);
    let named = JobFilter { task: Some("suite::other".to_owned()), ..all() };
    assert_eq!(lab.operate().replay(&named).await.unwrap(), [ids.named]);
    let limited = JobFilter { limit: Some(2), ..all() };
    assert_eq!(lab.operate().replay(&limited).await.unwrap().len(), 2);
    assert_eq!(lab.operate().replay(&all()).await.unwrap().len(), 1);
    assert_eq!(lab.listed(&failed_jobs()).await, []);
    let expected = [&ids.plain[..], &[ids.named]].concat();
    assert_eq!(sorted(jobs_of(&lab.reserve_all(5).await)), sorted(expected));
}

/// The same, and nothing else goes.
pub async fn a_purge_takes_what_passes_the_filter(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let ids = fail_some(&lab).await;
    let ready = lab.stored(1).await;
    for nothing in nothing_passes() {
        let nothing = JobFilter { states: vec![JobState::Failed], ..nothing };
        assert_eq!(lab.operate().purge(&nothing).await.unwrap(), 0);
    }
    let one = JobFilter { ids: Some(vec![ids.plain[2], JobId::new()]), ..failed_jobs() };
    assert_eq!(lab.operate().purge(&one).await.unwrap(), 1);
    let elsewhere = JobFilter { queue: Some(queue("other")), ..failed_jobs() };
    assert_eq!(lab.operate().purge(&elsewhere).await.unwrap(), 1);
    let named = JobFilter { task: Some("suite::other".to_owned()), ..failed_jobs() };
    assert_eq!(lab.operate().purge(&named).await.unwrap(), 1);
    let limited = JobFilter { limit: Some(1), ..failed_jobs() };
    assert_eq!(lab.operate().purge(&limited).await.unwrap(), 1);
    let left = [ids.plain[0], ids.plain[1], ids.plain[3]];
    let listed = lab.listed(&failed_jobs()).await;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|id| left.contains(id)), "{listed:?}");
    assert_eq!(jobs_of(&lab.reserve_all(1).await), ready);
}

/// Deleted is deleted: no replay brings it back.
pub async fn purged_failed_jobs_are_gone(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    lab.failing(batch).await;
    assert_eq!(lab.operate().purge(&failed_jobs()).await.unwrap(), batch as u64);
    assert_eq!(lab.operate().purge(&failed_jobs()).await.unwrap(), 0);
    assert_eq!(lab.listed(&failed_jobs()).await, []);
    assert_eq!(lab.operate().replay(&JobFilter::default()).await.unwrap(), []);
    lab.assert_depth(Counts::default()).await;
    lab.broker().maintain(&Maintain::default()).await.unwrap();
    assert!(lab.reserve(1).await.is_empty());
}

/// Whatever is asked of failed jobs after the end is told so, as jobs are.
pub async fn after_close_no_failed_job_can_be_asked_for(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let failing = lab.failing(1).await;
    lab.broker().close().await.unwrap();
    assert_closed("jobs", &lab.operate().jobs(&failed_jobs()).await);
    assert_closed("replay", &lab.operate().replay(&JobFilter::default()).await);
    assert_closed("purge", &lab.operate().purge(&failed_jobs()).await);
    assert_eq!(second.listed(&failed_jobs()).await, failing);
}

/// Jobs that failed, of several kinds.
struct Failed {
    plain: Vec<JobId>,
    named: JobId,
    other: JobId,
}

async fn fail_some(lab: &Lab<'_>) -> Failed {
    let plain = lab.failing(4).await;
    let named = NewJob { task: "suite::other".into(), ..plain_job() };
    let other = in_queue("other");
    lab.store(&[named.clone(), other.clone()]).await;
    lab.apply(&lab.reserve_all(1).await, &failed()).await;
    let request = Reserve { queues: vec![share("other", 1)], ..lab.request(1) };
    let elsewhere = lab.broker().reserve(&request).await.unwrap();
    assert_eq!(jobs_of(&elsewhere), [other.id]);
    lab.apply(&elsewhere, &failed()).await;
    Failed { plain, named: named.id, other: other.id }
}

/// Filters that no job of [`fail_some`] passes.
fn nothing_passes() -> [JobFilter; 5] {
    let all = JobFilter::default;
    [
        JobFilter { ids: Some(Vec::new()), ..all() },
        JobFilter { ids: Some(vec![JobId::new()]), ..all() },
        JobFilter { queue: Some(queue("unknown")), ..all() },
        JobFilter { task: Some("suite::%".to_owned()), ..all() },
        JobFilter { limit: Some(0), ..all() },
    ]
}

async fn assert_empty(lab: &Lab<'_>) {
    assert!(lab.reserve(1).await.is_empty());
    lab.assert_depth(Counts::default()).await;
}

fn assert_unsupported<T: std::fmt::Debug>(call: &str, answer: &Result<T, BrokerError>) {
    let is_refused = matches!(answer, Err(BrokerError::Unsupported { .. }));
    assert!(is_refused, "{call} answered {answer:?}");
}
