//! Jobs that harm the process that runs them: each ends in its verdict, and its neighbours survive.

use std::fmt::Debug;

use hereafter::prelude::*;
use hereafter::{FailureKind, Handle};
use serde::de::DeserializeOwned;
use tasksystem::poison::{
    block_for, block_runtime, count_in_process, flood_progress, leak_until_killed, overflow_stack,
    panic_in_drop, return_bytes, spin,
};
use tasksystem::tasks::{abort_process, sleep_and_note};
use tasksystem::{Store, WorkerProcess, on_stores};

use crate::{LIMIT, PROGRAM, is_alive, until};

/// A worker whose processes are replaced, and whose lost jobs run again soon.
fn start(store: &Store) -> WorkerProcess {
    let args = ["run", "--processes", "1", "--concurrency", "4", "--lease", "1s", "--grace", "1s"];
    store.start(PROGRAM, &[&args[..], &["--max-memory", "400MiB", "--log-level", "off"]].concat())
}

/// Jobs that run beside a poisoned one, before it and after it.
async fn neighbours(store: &Store) -> Vec<Handle<u64>> {
    let ledger = store.file("neighbours");
    let calls = (0..12).map(|id| sleep_and_note(&ledger, id, 150));
    store.client().await.delay_all(calls).await.unwrap()
}

async fn all_survive(neighbours: Vec<Handle<u64>>) {
    for (id, job) in (0..).zip(neighbours) {
        assert_eq!(job.wait(LIMIT).await, Ok(id));
    }
}

/// A job that takes each of its processes down ends as lost, once it has had its recoveries.
async fn is_quarantined<R>(store: &Store, job: Handle<R>)
where
    R: DeserializeOwned + Debug + Send + Sync + 'static,
{
    let _worker = start(store);
    let neighbours = neighbours(store).await;
    let answer = job.wait(LIMIT).await;
    let Err(JobError::Lost(_)) = answer else { panic!("{answer:?}") };
    all_survive(neighbours).await;
    if !store.url().starts_with("amqp") {
        let record = job.record().await.unwrap().unwrap();
        assert_eq!(record.failures, 0, "an interruption is no failure");
    }
}

/// A job that fails so, and takes nobody along.
async fn fails<R>(store: &Store, job: Handle<R>, kind: FailureKind, text: &str)
where
    R: DeserializeOwned + Debug + Send + Sync + 'static,
{
    let _worker = start(store);
    let neighbours = neighbours(store).await;
    let error = job.wait(LIMIT).await.unwrap_err();
    assert_eq!(error.failure().unwrap().kind, kind);
    assert!(error.to_string().contains(text), "{error}");
    all_survive(neighbours).await;
}

// Who counts the losses is the store or RabbitMQ.
on_stores! {
    [sqlite postgres rabbitmq];

    async fn a_job_that_aborts_its_process_is_quarantined(store: Store) {
        let client = store.client().await;
        let job = abort_process(store.file("ledger")).delay_on(&client).await.unwrap();
        is_quarantined(&store, job).await;
    }
}

// The engine is the same on every store.
on_stores! {
    [sqlite postgres];

    async fn a_job_that_overflows_the_stack_is_quarantined(store: Store) {
        let job = overflow_stack().delay_on(&store.client().await).await.unwrap();
        is_quarantined(&store, job).await;
    }

    async fn a_job_that_leaks_until_it_is_killed_is_quarantined(store: Store) {
        let client = store.client().await;
        let job = leak_until_killed(store.file("ledger")).delay_on(&client).await.unwrap();
        is_quarantined(&store, job).await;
    }

    async fn a_job_that_panics_in_a_drop_fails(store: Store) {
        let job = panic_in_drop().delay_on(&store.client().await).await.unwrap();
        fails(&store, job, FailureKind::Panic, "dropped").await;
    }

    async fn a_result_of_ten_mib_fails_with_the_limit(store: Store) {
        let job = return_bytes(10 << 20).delay_on(&store.client().await).await.unwrap();
        fails(&store, job, FailureKind::Result, "the limit is 1048576").await;
    }

    async fn a_job_that_floods_its_progress_is_done(store: Store) {
        let job = flood_progress(1_000_000).delay_on(&store.client().await).await.unwrap();
        let _worker = start(&store);
        let neighbours = neighbours(&store).await;
        assert_eq!(job.wait(LIMIT).await, Ok(1_000_000));
        all_survive(neighbours).await;
    }

    async fn a_plain_function_that_spins_past_its_time_out_fails_and_its_process_is_replaced(
        store: Store,
    ) {
        let client = store.client().await;
        let job = spin().delay_on(&client).await.unwrap();
        fails(&store, job, FailureKind::Timeout, "timed out").await;
        let _worker = start(&store);
        let before = count_in_process().delay_on(&client).await.unwrap().wait(LIMIT).await.unwrap();
        let again = spin().delay_on(&client).await.unwrap();
        assert!(again.wait(LIMIT).await.is_err());
        until("the process to be replaced", || !is_alive(before.0)).await;
        let after = count_in_process().delay_on(&client).await.unwrap().wait(LIMIT).await.unwrap();
        assert_ne!(before.0, after.0);
    }
}

// Each time takes as long as an orderly end may, so on one store.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_blocks_the_runtime_past_its_time_out_ends_its_process_and_not_its_neighbours() {
    let store = Store::sqlite();
    let client = store.client().await;
    let ledger = store.file("ledger");
    let _worker = start(&store);
    let before = count_in_process().delay_on(&client).await.unwrap().wait(LIMIT).await.unwrap();
    block_runtime(&ledger).delay_on(&client).await.unwrap();
    until("the job to block", || ledger.exists()).await;
    all_survive(neighbours(&store).await).await;
    until("the process to be replaced", || !is_alive(before.0)).await;
    let after = count_in_process().delay_on(&client).await.unwrap().wait(LIMIT).await.unwrap();
    assert_ne!(before.0, after.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_goes_on_in_another_process_when_a_job_has_made_one_stop() {
    let store = Store::sqlite();
    let client = store.client().await;
    // It ends at last, and so does its process, in good order.
    let blocking = block_for(8_000).delay_on(&client).await.unwrap();
    let neighbours = neighbours(&store).await;
    let args = ["run", "--processes", "1", "--concurrency", "1", "--burst"];
    let mut worker = store.start(PROGRAM, &args);
    assert_eq!(blocking.wait(LIMIT).await, Ok(8_000));
    all_survive(neighbours).await;
    let status = tokio::task::spawn_blocking(move || worker.wait(LIMIT)).await.unwrap();
    assert_eq!(status.code(), Some(0));
}
