//! Cancelling what runs: its worker is told at once, and at its heartbeat where the news is lost.

use std::sync::Arc;
use std::time::Duration;

use hereafter::broker::{CancelOutcome, Connection, JobState};
use hereafter::prelude::*;
use hereafter::worker::{Worker, WorkerBuilder, WorkerConfig};
use taskconformance::{Fault, Faulty, Operation};
use tasksystem::{Journal, World, on_each_broker};

/// Ends once it is cancelled.
#[register_task(name = "cancel::until_told", queue = "cancel")]
async fn until_told(cx: Context, State(journal): State<Journal>, n: u32) {
    journal.write(format_args!("runs {n}"));
    cx.cancelled().await;
    journal.write(format_args!("told {n}"));
}

/// The same for a function that cannot be dropped.
#[register_task(name = "cancel::ask_until_told", queue = "cancel")]
fn ask_until_told(cx: Context, State(journal): State<Journal>, n: u32) {
    journal.write(format_args!("runs {n}"));
    while !cx.is_cancelled() {
        std::thread::yield_now();
    }
    journal.write(format_args!("told {n}"));
}

/// A worker that renews its leases each third of `lease`.
fn worker(world: &World, client: &Client, lease: Duration) -> WorkerBuilder {
    let mut config = WorkerConfig::default();
    config.lease = lease;
    let worker = Worker::builder(client.clone()).without_hooks().config(config);
    let tasks = [until_told(0).task(), ask_until_told(0).task()];
    worker.tasks(tasks).provide(world.journal.clone())
}

/// Waits until this job has heard of its cancellation.
async fn told_within(world: &World, n: u32, span: Duration) {
    let line = format!("told {n}");
    let told = tokio::time::timeout(span, world.journal.wait_for(&line)).await;
    assert!(told.is_ok(), "job {n} was not told within {span:?}");
}

/// Its heartbeats are 100 s apart.
const LONG: Duration = Duration::from_secs(300);

/// Far sooner than a heartbeat of the long lease.
const SOON: Duration = Duration::from_secs(20);

on_each_broker! {
    async fn a_running_job_is_told_long_before_the_next_heartbeat(world: World) {
        let worker = world.start_with(worker(&world, &world.client, LONG));
        let job = until_told(1).delay().await.unwrap();
        world.journal.wait_for("runs 1").await;
        assert_eq!(job.cancel().await, Ok(CancelOutcome::Signalled));
        told_within(&world, 1, SOON).await;
        assert_eq!(job.state().await, Ok(Some(JobState::Cancelled)));
        worker.stop().await.unwrap();
    }

    async fn a_plain_function_that_asks_is_told_as_soon(world: World) {
        let worker = world.start_with(worker(&world, &world.client, LONG));
        let job = ask_until_told(1).delay().await.unwrap();
        world.journal.wait_for("runs 1").await;
        job.cancel().await.unwrap();
        told_within(&world, 1, SOON).await;
        worker.stop().await.unwrap();
    }

    async fn news_that_got_lost_on_the_way_are_asked_for_again(world: World) {
        let (faulty, client) = faulty(&world);
        let worker = world.start_with(worker(&world, &client, LONG));
        let (first, second) = (until_told(1).delay().await, until_told(2).delay().await);
        world.journal.wait_for("runs 1").await;
        world.journal.wait_for("runs 2").await;
        // The question under way answers; the reply to the next one is lost.
        faulty.next(Operation::Cancelled, Fault::LostReply);
        first.unwrap().cancel().await.unwrap();
        told_within(&world, 1, SOON).await;
        second.unwrap().cancel().await.unwrap();
        told_within(&world, 2, SOON).await;
        worker.stop().await.unwrap();
    }

    async fn a_worker_that_cannot_ask_hears_of_it_at_its_heartbeat(world: World) {
        let (faulty, client) = faulty(&world);
        faulty.always(Operation::Cancelled, Fault::Refused);
        let worker = world.start_with(worker(&world, &client, Duration::from_secs(3)));
        let job = until_told(1).delay().await.unwrap();
        world.journal.wait_for("runs 1").await;
        job.cancel().await.unwrap();
        told_within(&world, 1, SOON).await;
        // It asked again, and with rests in between.
        assert!((2..50).contains(&faulty.calls(Operation::Cancelled)));
        worker.stop().await.unwrap();
    }

    async fn a_worker_that_waits_for_news_stops_at_once(world: World) {
        let worker = world.start_with(worker(&world, &world.client, LONG));
        let job = until_told(1).delay().await.unwrap();
        world.journal.wait_for("runs 1").await;
        job.cancel().await.unwrap();
        told_within(&world, 1, SOON).await;
        // One question waits 10 s for news.
        let stopped = tokio::time::timeout(Duration::from_secs(8), worker.stop()).await;
        stopped.expect("it waited for news that it does not need").unwrap();
    }
}

/// A client of the world's store whose broker can be spoilt.
fn faulty(world: &World) -> (Faulty, Client) {
    let open = world.client.connection().unwrap().clone();
    let faulty = Faulty::new(open.broker.clone());
    let broker = Arc::new(faulty.clone());
    (faulty, Client::new(Connection { broker, ..open }))
}
