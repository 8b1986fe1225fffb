//! Shapes of workflows that are too large or too odd for the suite.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

use taskbroker_memory::MemoryBroker;
use taskcore::broker::{
    CancelScope, Connection, Delivery, Due, Input, JobFilter, JobState, Keep, Lookup, NewJob,
    Operate, QueueShare, Reserve, Settlement, Verdict,
};
use taskcore::{Failure, FailureKind, JobId, Payload, Priority, QueueName};
use tokio_util::sync::CancellationToken;

/// So deep that one stack frame for each job would be too many.
const DEEP: usize = 100_000;

#[tokio::test]
async fn an_input_that_is_named_twice_is_waited_for_once() {
    let store = store();
    let input = job([]);
    let waiting = job([owns(input.id), owns(input.id)]);
    enqueue(&store, &[input.clone(), waiting.clone()]).await;
    finish_all(&store).await;
    assert_eq!(states(&store, &[input.id, waiting.id]).await, [JobState::Done, JobState::Ready]);
}

#[tokio::test]
async fn a_chain_of_any_length_fails_is_replayed_and_is_cancelled() {
    let store = store();
    let mut chain = vec![job([])];
    for place in 1..DEEP {
        chain.push(job([owns(chain[place - 1].id)]));
    }
    enqueue(&store, &chain).await;
    let (first, last) = (chain[0].id, chain[DEEP - 1].id);
    settle(&store, &reserve(&store).await, &failed(first)).await;
    assert_eq!(count(&store, JobState::Failed).await, DEEP as u64);
    let replayed = operate(&store).replay(&JobFilter::default()).await.unwrap();
    assert_eq!(replayed, [first]);
    assert_eq!(count(&store, JobState::Blocked).await, DEEP as u64 - 1);
    operate(&store).cancel(&[last], CancelScope::WithInputs).await.unwrap();
    let ends = [first, chain[DEEP / 2].id, last];
    assert_eq!(states(&store, &ends).await, [JobState::Cancelled; 3]);
    assert_eq!(count(&store, JobState::Blocked).await, 0);
}

/// Each job goes on as the next one, as a recursion does; the last is leased.
async fn recursion(store: &Connection) -> (Vec<JobId>, Vec<Delivery>) {
    let first = job([]);
    enqueue(store, std::slice::from_ref(&first)).await;
    let mut ids = vec![first.id];
    let mut running = reserve(store).await;
    while ids.len() < DEEP {
        let next = job([]);
        let (by, keep) = (next.id, Keep::For(Duration::from_secs(60)));
        settle(store, &running, &Verdict::Continued { jobs: vec![next], by, keep }).await;
        ids.push(by);
        running = reserve(store).await;
    }
    (ids, running)
}

#[tokio::test]
async fn a_recursion_of_any_depth_fails_is_replayed_and_ends() {
    let store = store();
    let (ids, running) = recursion(&store).await;
    assert_eq!(count(&store, JobState::Blocked).await, DEEP as u64 - 1);
    settle(&store, &running, &failed(running[0].job)).await;
    assert_eq!(count(&store, JobState::Failed).await, DEEP as u64);
    let replayed = operate(&store).replay(&JobFilter::default()).await.unwrap();
    assert_eq!(replayed, ids[DEEP - 1..]);
    assert_eq!(count(&store, JobState::Blocked).await, DEEP as u64 - 1);
    finish_all(&store).await;
    let ends = [ids[0], ids[DEEP / 2], ids[DEEP - 1]];
    assert_eq!(states(&store, &ends).await, [JobState::Done; 3]);
    assert_eq!(count(&store, JobState::Blocked).await, 0);
}

#[tokio::test]
async fn a_recursion_of_any_depth_is_cancelled_with_its_first_job() {
    let store = store();
    let (ids, _) = recursion(&store).await;
    operate(&store).cancel(&ids[..1], CancelScope::WithInputs).await.unwrap();
    let ends = [ids[0], ids[DEEP / 2], ids[DEEP - 1]];
    assert_eq!(states(&store, &ends).await, [JobState::Cancelled; 3]);
    assert_eq!(count(&store, JobState::Blocked).await, 0);
}

/// The jobs that continue are newer than what waits for the continued ones.
#[tokio::test]
async fn a_replay_revives_what_waits_for_thousands_of_continued_jobs() {
    const WIDE: usize = 20_000;
    let store = store();
    let jobs: Vec<NewJob> = (0..WIDE).map(|_| job([])).collect();
    let mut all = job([]);
    all.inputs = jobs.iter().map(|job| owns(job.id)).collect();
    enqueue(&store, &jobs).await;
    enqueue(&store, std::slice::from_ref(&all)).await;
    for running in reserve(&store).await {
        let next = job([]);
        let (by, keep) = (next.id, Keep::Nothing);
        settle(&store, &[running], &Verdict::Continued { jobs: vec![next], by, keep }).await;
    }
    let running = reserve(&store).await;
    settle(&store, &running, &failed(all.id)).await;
    assert_eq!(count(&store, JobState::Failed).await, 2 * WIDE as u64 + 1);
    let replayed = operate(&store).replay(&JobFilter::default()).await.unwrap();
    assert_eq!(replayed.len(), WIDE);
    assert_eq!(count(&store, JobState::Blocked).await, WIDE as u64 + 1);
    finish_all(&store).await;
    finish_all(&store).await;
    assert_eq!(states(&store, &[all.id]).await, [JobState::Done]);
}

#[tokio::test]
async fn an_input_is_cancelled_with_the_last_that_waits_for_it_however_far_down_it_is() {
    let store = store();
    let shared = job([]);
    let owner = job([owns(shared.id)]);
    let deep = job([shares(shared.id)]);
    let between = job([owns(deep.id)]);
    let root = job([owns(owner.id), owns(between.id)]);
    let all = [shared, owner, deep, between, root];
    enqueue(&store, &all).await;
    operate(&store).cancel(&[all[4].id], CancelScope::WithInputs).await.unwrap();
    let ids = all.map(|job| job.id);
    assert_eq!(states(&store, &ids).await, [JobState::Cancelled; 5]);
}

#[tokio::test]
async fn a_job_that_fails_because_of_a_cancel_wants_no_other_input_either() {
    let store = store();
    let shared = job([]);
    let owner = job([owns(shared.id)]);
    let other = job([shares(shared.id), shares(owner.id)]);
    let all = [shared, owner, other];
    enqueue(&store, &all).await;
    operate(&store).cancel(&[all[1].id], CancelScope::WithInputs).await.unwrap();
    let expected = [JobState::Cancelled, JobState::Cancelled, JobState::Failed];
    assert_eq!(states(&store, &all.map(|job| job.id)).await, expected);
}

#[tokio::test]
async fn a_replay_looks_at_each_job_once_all_its_inputs_were_looked_at() {
    let store = store();
    let roots = [job([]), job([])];
    // Its second input is revived after the first root has told it.
    let between = job([owns(roots[1].id)]);
    let sink = job([owns(roots[0].id), owns(between.id)]);
    let all = [roots[0].clone(), roots[1].clone(), between, sink];
    enqueue(&store, &all).await;
    settle(&store, &reserve(&store).await, &failed(all[0].id)).await;
    operate(&store).replay(&JobFilter::default()).await.unwrap();
    let (ready, blocked) = (JobState::Ready, JobState::Blocked);
    let ids = all.map(|job| job.id);
    assert_eq!(states(&store, &ids).await, [ready, ready, blocked, blocked]);
    finish_all(&store).await;
    finish_all(&store).await;
    finish_all(&store).await;
    assert_eq!(states(&store, &ids).await, [JobState::Done; 4]);
}

fn store() -> Connection {
    MemoryBroker::new().connection()
}

fn job<const COUNT: usize>(inputs: [Input; COUNT]) -> NewJob {
    NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: Cow::Borrowed("test::job"),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: inputs.to_vec(),
        unique: None,
        with_next: false,
        envelope: Payload::default(),
    }
}

fn owns(job: JobId) -> Input {
    Input { job, tolerant: false, owned: true }
}

fn shares(job: JobId) -> Input {
    Input { job, tolerant: false, owned: false }
}

fn failed(job: JobId) -> Verdict {
    let failure = Failure {
        kind: FailureKind::Error,
        task: "test::job".to_owned(),
        job,
        attempt: 1,
        error_type: None,
        message: "for good".to_owned(),
        causes: Vec::new(),
        permanent: false,
    };
    Verdict::Failed { failure }
}

async fn enqueue(store: &Connection, jobs: &[NewJob]) {
    store.broker.enqueue(jobs).await.unwrap();
}

/// Leases all that can run.
async fn reserve(store: &Connection) -> Vec<Delivery> {
    let max = NonZeroU32::MAX;
    let request = Reserve {
        queues: vec![QueueShare { queue: QueueName::DEFAULT, max }],
        max,
        lease: Duration::from_secs(60),
        wait: Duration::ZERO,
        interrupt: CancellationToken::new(),
        worker: "test".to_owned(),
    };
    store.broker.reserve(&request).await.unwrap()
}

async fn settle(store: &Connection, deliveries: &[Delivery], verdict: &Verdict) {
    let settlement = |delivery: &Delivery| Settlement {
        job: delivery.job,
        receipt: delivery.receipt.clone(),
        verdict: verdict.clone(),
    };
    let batch: Vec<_> = deliveries.iter().map(settlement).collect();
    store.broker.settle(&batch).await.unwrap();
}

/// Runs all that can run.
async fn finish_all(store: &Connection) {
    let keep = Keep::For(Duration::from_secs(60));
    settle(store, &reserve(store).await, &Verdict::Done { result: None, keep }).await;
}

async fn states(store: &Connection, ids: &[JobId]) -> Vec<JobState> {
    let lookups = store.results.as_ref().unwrap().outcomes(ids).await.unwrap();
    let state = |lookup| match lookup {
        Lookup::Unknown => panic!("a job is gone"),
        Lookup::Pending(state) => state,
        Lookup::Final(outcome) => outcome.state,
    };
    lookups.into_iter().map(state).collect()
}

/// How many jobs are blocked or failed.
async fn count(store: &Connection, state: JobState) -> u64 {
    let depth = store.broker.depth(&[QueueName::DEFAULT]).await.unwrap().remove(0);
    let count = if state == JobState::Blocked { depth.blocked } else { depth.failed };
    count.unwrap()
}

fn operate(store: &Connection) -> &dyn Operate {
    store.operate.as_deref().unwrap()
}
