//! Handing jobs out.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use taskcore::JobId;
use taskcore::broker::{Due, JobFilter, NewJob, Reserve, Verdict};
use tokio_util::sync::CancellationToken;

use crate::harness::Harness;
use crate::lab::*;

/// Long enough that a wait which nothing ends shows.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Leased before handed out, whoever else asks.
pub async fn a_job_goes_to_one_caller_until_its_lease_ends(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    lab.leased(batch).await;
    assert!(lab.reserve(batch).await.is_empty());
    assert!(second.reserve(batch).await.is_empty());
    lab.assert_depth(Counts::running(batch)).await;
    lab.elapse_leases(1).await;
    lab.maintain().await;
    assert!(second.reserve(batch).await.is_empty());
}

/// First in, first out.
pub async fn jobs_come_in_the_order_of_enqueueing(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let mut stored = lab.stored(batch).await;
    stored.extend(lab.second().await.stored(batch).await);
    stored.extend(lab.stored(batch).await);
    let mut delivered = Vec::new();
    for _ in 0..3 {
        delivered.extend(jobs_of(&lab.reserve(batch).await));
    }
    assert_eq!(delivered, stored);
}

/// Within a queue, priority is the first criterion.
pub async fn higher_priorities_come_first(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let levels = [0, -2, 2, 1, -1, 2, 0, -2];
    let jobs = levels.map(with_priority);
    lab.store(&jobs).await;
    let order = [2, 5, 3, 0, 6, 4, 1, 7];
    assert_eq!(jobs_of(&lab.reserve_all(8).await), order.map(|place: usize| jobs[place].id));
}

/// Within a priority, due time is the next criterion.
pub async fn within_a_priority_earlier_due_times_come_first(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let late = due_in(lab.ticks(2));
    let early = due_in(lab.ticks(1));
    let urgent = NewJob { due: Due::After(lab.ticks(3)), ..with_priority(1) };
    let now = plain_job();
    lab.store(&[late.clone(), early.clone(), urgent.clone(), now.clone()]).await;
    lab.elapse(4).await;
    let later = plain_job();
    lab.store(std::slice::from_ref(&later)).await;
    let expected = [urgent.id, now.id, early.id, late.id, later.id];
    assert_eq!(jobs_of(&lab.reserve_all(5).await), expected);
}

/// A weight is the order of the request, not the urgency of the jobs.
pub async fn queues_are_served_in_the_order_of_the_request(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let urgent = NewJob { queue: queue("b"), ..with_priority(2) };
    let jobs = [urgent, in_queue("a"), in_queue("c"), in_queue("b")];
    lab.store(&jobs).await;
    let request =
        Reserve { queues: vec![share("c", 9), share("a", 9), share("b", 9)], ..lab.request(9) };
    let deliveries = lab.broker().reserve(&request).await.unwrap();
    assert_eq!(jobs_of(&deliveries), [2, 1, 0, 3].map(|place: usize| jobs[place].id));
    let queues: Vec<_> = deliveries.iter().map(|delivery| delivery.queue.as_str()).collect();
    assert_eq!(queues, ["c", "a", "b", "b"]);
}

/// A queue that is full leaves the rest to the next one.
pub async fn each_queue_gives_no_more_than_its_own_limit(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let (a, b) = (jobs(5, || in_queue("a")), jobs(5, || in_queue("b")));
    lab.store(&[a.clone(), b.clone()].concat()).await;
    let queues = vec![share("a", 2), share("b", 4)];
    let request = Reserve { queues, ..lab.request(5) };
    let first = lab.broker().reserve(&request).await.unwrap();
    assert_eq!(jobs_of(&first), ids_of(&[&a[..2], &b[..3]].concat()));
    let second = lab.broker().reserve(&request).await.unwrap();
    assert_eq!(jobs_of(&second), ids_of(&[&a[2..4], &b[3..]].concat()));
}

/// A second share of one queue is a second limit, not a second copy.
pub async fn a_queue_that_is_asked_for_twice_gives_each_job_once(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let ids = lab.stored(3).await;
    let queues = vec![share("plain", 1), share("plain", 9)];
    let request = Reserve { queues, ..lab.request(9) };
    let deliveries = lab.broker().reserve(&request).await.unwrap();
    assert_eq!(jobs_of(&deliveries), ids);
}

/// The limit of the request holds over all its queues.
pub async fn no_more_than_the_limit_is_handed_out(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    lab.stored(batch + 3).await;
    assert_eq!(lab.broker().reserve(&lab.request(batch)).await.unwrap().len(), batch);
    lab.assert_depth(Counts { ready: 3, ..Counts::running(batch) }).await;
}

/// A worker gets what it asked for.
pub async fn a_queue_that_was_not_asked_for_gives_nothing(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    lab.store(&[in_queue("plain.2"), in_queue("plai"), in_queue("Plain")]).await;
    assert!(lab.reserve(9).await.is_empty());
    lab.stored(1).await;
    lab.reserve_all(1).await;
}

/// Asking makes no queue.
pub async fn an_unknown_queue_gives_nothing_and_is_not_created(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    assert!(lab.reserve(9).await.is_empty());
    if lab.is_transport() {
        // It has no list of queues.
        return lab.assert_depth(Counts::default()).await;
    }
    assert!(lab.operate().queues().await.unwrap().is_empty());
}

/// Zero looks once.
pub async fn an_empty_store_answers_at_once_when_there_is_no_wait(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let request = Reserve { wait: Duration::ZERO, ..lab.request(1) };
    assert!(soon("the answer", lab.broker().reserve(&request)).await.unwrap().is_empty());
}

/// Bounded by the caller.
pub async fn a_wait_ends_with_an_empty_list(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let wait = Duration::from_millis(50);
    let started = Instant::now();
    let request = Reserve { wait, ..lab.request(1) };
    let deliveries = soon("the end of the wait", lab.broker().reserve(&request)).await.unwrap();
    assert!(deliveries.is_empty());
    assert!(started.elapsed() >= wait / 2, "it did not wait");
}

/// As soon as there is one job, there is no more waiting for a full batch.
pub async fn a_reserve_returns_with_what_there_is(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    lab.stored(1).await;
    let request = Reserve { wait: HOUR, ..lab.request(100) };
    let deliveries = soon("the one job", lab.broker().reserve(&request)).await.unwrap();
    assert_eq!(deliveries.len(), 1);
}

/// A stopping worker does not sit out its wait.
pub async fn an_interrupt_ends_the_wait_with_an_empty_list(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let request = Reserve { wait: HOUR, ..lab.request(1) };
    let mut waiting = Box::pin(lab.broker().reserve(&request));
    assert_waits(&mut waiting).await;
    request.interrupt.cancel();
    assert!(soon("the interrupted answer", waiting).await.unwrap().is_empty());
    let again = soon("an answer interrupted before", lab.broker().reserve(&request)).await;
    assert!(again.unwrap().is_empty());
}

/// What was leased is in the answer, or was not leased.
pub async fn an_interrupt_never_drops_what_was_leased(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    lab.stored(batch).await;
    let interrupt = CancellationToken::new();
    interrupt.cancel();
    let request = Reserve { interrupt, wait: HOUR, ..lab.request(batch) };
    let answered = lab.broker().reserve(&request).await.unwrap().len();
    let expected = Counts { ready: (batch - answered) as u64, ..Counts::running(answered) };
    lab.assert_depth(expected).await;
}

/// Whatever tells it, or however often it looks.
pub async fn a_waiting_reserve_gets_a_job_that_another_connection_stores(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let request = Reserve { wait: HOUR, ..lab.request(batch) };
    let mut waiting = Box::pin(lab.broker().reserve(&request));
    assert_waits(&mut waiting).await;
    let ids = second.stored(batch).await;
    // It need not wait for the others once one is there.
    let mut deliveries = soon("the stored jobs", waiting).await.unwrap();
    assert!(!deliveries.is_empty());
    if deliveries.len() < batch {
        lab.reserve_rest(&mut deliveries, batch).await;
    }
    assert_eq!(jobs_of(&deliveries), ids);
}

/// Nobody enqueues at that moment; the wait itself ends at the due time.
pub async fn a_waiting_reserve_gets_a_job_that_becomes_due(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let job = due_in(lab.ticks(1));
    lab.store(std::slice::from_ref(&job)).await;
    let request = Reserve { wait: HOUR, ..lab.request(1) };
    let mut waiting = Box::pin(lab.broker().reserve(&request));
    assert_waits(&mut waiting).await;
    lab.elapse(1).await;
    assert_eq!(jobs_of(&soon("the due job", waiting).await.unwrap()), [job.id]);
}

/// A job that is given back is work like any other.
pub async fn a_waiting_reserve_gets_a_job_that_is_released(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let deliveries = second.leased(1).await;
    let request = Reserve { wait: HOUR, ..lab.request(1) };
    let mut waiting = Box::pin(lab.broker().reserve(&request));
    assert_waits(&mut waiting).await;
    second.apply(&deliveries, &Verdict::Release).await;
    assert_eq!(jobs_of(&soon("the released job", waiting).await.unwrap()), jobs_of(&deliveries));
}

/// So is a job that upkeep took back.
pub async fn a_waiting_reserve_gets_a_job_that_is_reclaimed(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let deliveries = second.leased(1).await;
    let request = Reserve { wait: 24 * HOUR, ..lab.request(1) };
    let mut waiting = Box::pin(lab.broker().reserve(&request));
    assert_waits(&mut waiting).await;
    second.lose_leases().await;
    assert_eq!(jobs_of(&soon("the reclaimed job", waiting).await.unwrap()), jobs_of(&deliveries));
}

/// So is a job that somebody replayed.
pub async fn a_waiting_reserve_gets_a_job_that_is_replayed(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let deliveries = second.leased(1).await;
    second.apply(&deliveries, &failed()).await;
    let request = Reserve { wait: HOUR, ..lab.request(1) };
    let mut waiting = Box::pin(lab.broker().reserve(&request));
    assert_waits(&mut waiting).await;
    second.operate().replay(&JobFilter::default()).await.unwrap();
    assert_eq!(jobs_of(&soon("the replayed job", waiting).await.unwrap()), jobs_of(&deliveries));
}

/// So are the jobs of a queue that goes on.
pub async fn a_waiting_reserve_gets_the_jobs_of_a_queue_that_goes_on(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    second.operate().pause(&plain_queue(), true).await.unwrap();
    let ids = second.stored(1).await;
    let request = Reserve { wait: HOUR, ..lab.request(1) };
    let mut waiting = Box::pin(lab.broker().reserve(&request));
    assert_waits(&mut waiting).await;
    second.operate().pause(&plain_queue(), false).await.unwrap();
    assert_eq!(jobs_of(&soon("the job of the queue", waiting).await.unwrap()), ids);
}

/// The worker never does it, but a runtime that ends does.
pub async fn dropping_a_waiting_reserve_leaves_the_store_sound(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    for _ in 0..10 {
        let request = Reserve { wait: HOUR, ..lab.request(batch) };
        let waiting = lab.broker().reserve(&request);
        assert!(tokio::time::timeout(Duration::from_millis(5), waiting).await.is_err());
    }
    let ids = lab.stored(batch).await;
    assert_eq!(jobs_of(&lab.reserve_all(batch).await), ids);
}

/// What a dropped call had leased comes back when the lease ends; nothing else is touched.
pub async fn dropping_a_reserve_midway_loses_no_job(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let ids = lab.stored(10 * batch).await;
    for polls in 0..10 {
        let request = lab.request(batch);
        let mut call = Box::pin(lab.broker().reserve(&request));
        for _ in 0..=polls {
            if futures::poll!(&mut call).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let all_come = async {
        let mut missing: BTreeSet<JobId> = ids.into_iter().collect();
        while !missing.is_empty() {
            lab.lose_leases().await;
            for id in jobs_of(&lab.reserve(10 * batch).await) {
                missing.remove(&id);
            }
        }
    };
    soon("every job is handed out again", all_come).await;
}

/// In every worker, until it is told otherwise; then everything is where it was.
pub async fn a_paused_queue_gives_nothing_until_it_goes_on(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let ids = lab.stored(batch).await;
    let scheduled = jobs(batch, || due_in(lab.ticks(1)));
    lab.store(&scheduled).await;
    lab.operate().pause(&plain_queue(), true).await.unwrap();
    lab.elapse(1).await;
    lab.maintain().await;
    assert!(lab.reserve(batch).await.is_empty());
    assert!(second.reserve(batch).await.is_empty());
    assert_eq!(lab.depth().await, Counts::ready(2 * batch));
    second.operate().pause(&plain_queue(), false).await.unwrap();
    let expected = [ids, ids_of(&scheduled)].concat();
    assert_eq!(jobs_of(&lab.reserve_all(2 * batch).await), expected);
}

/// A pause is of one queue, and running jobs are not its business.
pub async fn a_paused_queue_holds_up_neither_other_queues_nor_running_jobs(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(1).await;
    let (held, other) = (plain_job(), in_queue("other"));
    lab.store(&[held, other.clone()]).await;
    lab.operate().pause(&plain_queue(), true).await.unwrap();
    let queues = vec![share("plain", 9), share("other", 9)];
    let request = Reserve { queues, ..lab.request(9) };
    let given = lab.broker().reserve(&request).await.unwrap();
    assert_eq!(jobs_of(&given), [other.id]);
    lab.apply(&deliveries, &done()).await;
}

/// For `jobs show` and the timeline.
pub async fn a_store_remembers_who_took_a_job_and_when(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let ids = lab.stored(batch).await;
    for record in lab.records(&ids).await {
        assert_eq!((record.worker, record.started_at), (None, None));
    }
    lab.elapse(1).await;
    lab.reserve_all(batch).await;
    for record in lab.records(&ids).await {
        assert_eq!(record.worker.as_deref(), Some("worker of the suite"));
        assert!(record.started_at.is_some_and(|at| at > record.created_at));
    }
}
