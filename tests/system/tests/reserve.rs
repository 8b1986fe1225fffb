//! What a worker holds: queues at their limit, jobs that turn out slow, suspects, and a broker
//! that takes no verdicts.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use hereafter::broker::{CancelScope, Connection, Depth, JobState};
use hereafter::prelude::*;
use hereafter::worker::{Shutdown, Worker, WorkerConfig};
use taskconformance::{Fault, Faulty, Operation};
use tasksystem::{Journal, World, on_each_broker};
use tokio::sync::{Mutex, Semaphore};

#[register_task(name = "reserve::quick", queue = "reserve")]
async fn quick(n: u64) -> u64 {
    n
}

/// A door that jobs wait at, and who came to it.
#[derive(Clone)]
struct Door {
    open: Arc<Semaphore>,
    came: Arc<Mutex<BTreeSet<u64>>>,
}

impl Door {
    fn closed() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), came: Arc::default() }
    }
}

#[register_task(name = "reserve::wait_at_the_door", queue = "reserve")]
async fn wait_at_the_door(State(door): State<Door>, n: u64) -> u64 {
    door.came.lock().await.insert(n);
    door.open.acquire().await.expect("it is never closed for good").forget();
    n
}

/// Ends once it is cancelled.
#[register_task(name = "reserve::until_told", queue = "reserve")]
async fn until_told(cx: Context, State(journal): State<Journal>) {
    cx.cancelled().await;
    journal.write("told");
}

/// A worker with this many slots, on the queue of these tasks.
fn worker(world: &World, slots: u32, door: &Door) -> hereafter::worker::WorkerBuilder {
    let worker = Worker::builder(world.client.clone()).without_hooks().config(config(slots));
    let tasks = [quick(0).task(), wait_at_the_door(0).task(), until_told().task()];
    worker.tasks(tasks).provide(door.clone()).provide(world.journal.clone())
}

fn config(slots: u32) -> WorkerConfig {
    let mut config = WorkerConfig::default();
    config.concurrency = NonZeroU32::new(slots).unwrap();
    config.lease = Duration::from_secs(6);
    config
}

async fn depth(world: &World) -> Depth {
    let queue = "reserve".parse().unwrap();
    let broker = &world.client.connection().unwrap().broker;
    broker.depth(&[queue]).await.unwrap().remove(0)
}

#[register_task(name = "reserve::limited", queue = "limited")]
async fn limited(State(journal): State<Journal>) {
    stay(&journal, "limited").await;
}

#[register_task(name = "reserve::unlimited", queue = "unlimited")]
async fn unlimited(State(journal): State<Journal>) {
    stay(&journal, "unlimited").await;
}

async fn stay(journal: &Journal, queue: &str) {
    journal.write(format_args!("{queue} in"));
    tokio::time::sleep(Duration::from_millis(10)).await;
    journal.write(format_args!("{queue} out"));
}

/// The most jobs that ran at once, of those whose lines start so.
fn most_at_once(journal: &Journal, start: &str) -> i32 {
    let lines = journal.lines();
    let moves = lines.iter().filter(|line| line.starts_with(start));
    let now = moves.scan(0, |now, line| {
        *now += if line.ends_with("in") { 1 } else { -1 };
        Some(*now)
    });
    now.max().unwrap_or(0)
}

on_each_broker! {
    async fn the_slots_and_the_limit_of_a_queue_bound_what_runs_at_once(world: World) {
        world.client.delay_all((0..50).map(|_| limited())).await.unwrap();
        world.client.delay_all((0..50).map(|_| unlimited())).await.unwrap();
        let mut config = WorkerConfig::default();
        config.concurrency = NonZeroU32::new(5).unwrap();
        let queues = ["limited=3", "unlimited"].map(|queue| queue.parse().unwrap());
        let worker = world.worker().config(config).serve(queues);
        world.drain_with(worker.tasks([limited().task(), unlimited().task()])).await;
        assert!(world.jobs().await.iter().all(|job| job.state == JobState::Done));
        assert_eq!(most_at_once(&world.journal, "limited"), 3);
        assert_eq!(most_at_once(&world.journal, ""), 5);
    }

    async fn a_queue_at_its_limit_is_served_again_as_soon_as_it_has_room(world: World) {
        let handles = world.client.delay_all((0..6).map(quick)).await.unwrap();
        let queues = ["reserve=1", "default"].map(|text| text.parse().unwrap());
        let worker = world.start_with(worker(&world, 4, &Door::closed()).serve(queues));
        // A wait for jobs of the other queue would take 10 s for each of the six.
        let answers = tokio::time::timeout(Duration::from_secs(8), join_all(handles)).await;
        assert!(answers.expect("the queue stalled").iter().all(Result::is_ok));
        worker.stop().await.unwrap();
    }

    async fn jobs_that_find_no_slot_go_back_to_the_queue(world: World) {
        let door = Door::closed();
        // The short ones teach the worker to hold many.
        let short = world.client.delay_all((0..3_000).map(quick)).await.unwrap();
        let slow = world.client.delay_all((0..40).map(wait_at_the_door)).await.unwrap();
        let worker = world.start_with(worker(&world, 2, &door));
        assert!(join_all(short).await.iter().all(Result::is_ok));
        // Two run; whatever else was taken is there for other workers.
        loop {
            let seen = depth(&world).await;
            let came = door.came.lock().await.len();
            if (seen.running, seen.ready, came) == (Some(2), Some(38), 2) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        door.open.add_permits(40);
        assert!(join_all(slow).await.iter().all(Result::is_ok));
        worker.stop().await.unwrap();
    }

    async fn a_job_that_was_cancelled_in_the_reserve_never_starts(world: World) {
        let door = Door::closed();
        let short = world.client.delay_all((0..3_000).map(quick)).await.unwrap();
        let guard = until_told().delay().await.unwrap();
        let slow = world.client.delay_all((0..10).map(wait_at_the_door)).await.unwrap();
        let mut config = config(2);
        // No heartbeat will tell it.
        config.lease = Duration::from_secs(300);
        let worker = worker(&world, 2, &door).config(config);
        let worker = world.start_with(worker);
        assert!(join_all(short).await.iter().all(Result::is_ok));
        while door.came.lock().await.is_empty() {
            tokio::task::yield_now().await;
        }
        let waiting: Vec<_> = slow[1..].iter().map(Handle::id).collect();
        world.client.cancel(&waiting, CancelScope::WithInputs).await.unwrap();
        assert_eq!(depth(&world).await.running, Some(2));
        // The worker is told in order: once the job that runs has heard, those that wait have.
        guard.cancel().await.unwrap();
        world.journal.wait_for("told").await;
        door.open.add_permits(10);
        assert_eq!(slow[0].clone().await, Ok(0));
        worker.stop().await.unwrap();
        assert_eq!(*door.came.lock().await, BTreeSet::from([0]));
    }

    async fn suspects_that_wait_for_their_turn_leave_room_for_others(world: World) {
        let door = Door::closed();
        let suspects = world.client.delay_all((0..3).map(wait_at_the_door)).await.unwrap();
        for _ in 0..2 {
            let taken = world.take_from("reserve", 3).await;
            assert_eq!(taken.len(), 3);
            world.advance(Duration::from_secs(3_600));
            world.upkeep().await;
        }
        let worker = world.start_with(worker(&world, 3, &door));
        while door.came.lock().await.is_empty() {
            tokio::task::yield_now().await;
        }
        let others = world.client.delay_all((0..5).map(quick)).await.unwrap();
        assert!(join_all(others).await.iter().all(Result::is_ok));
        assert_eq!(door.came.lock().await.len(), 1, "suspects ran side by side");
        door.open.add_permits(3);
        assert!(join_all(suspects).await.iter().all(Result::is_ok));
        worker.stop().await.unwrap();
    }

    async fn a_suspect_has_its_turn_while_others_wait_for_slots(world: World) {
        let door = Door::closed();
        let suspect = wait_at_the_door(0).delay().await.unwrap();
        for _ in 0..2 {
            assert_eq!(world.take_from("reserve", 1).await.len(), 1);
            world.advance(Duration::from_secs(3_600));
            world.upkeep().await;
        }
        // The first ones teach the worker to hold many, among which it then finds the suspect.
        world.client.delay_all((0..2_000).map(|n| quick(n).priority(1))).await.unwrap();
        world.client.delay_all((0..6_000).map(quick)).await.unwrap();
        let worker = world.start_with(worker(&world, 1, &door));
        while door.came.lock().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let done = worker.status.snapshot().done;
        assert!((1_000..5_000).contains(&done), "{done} others were served first");
        door.open.add_permits(1);
        assert_eq!(suspect.await, Ok(0));
        worker.stop().await.unwrap();
    }

    async fn a_worker_whose_verdicts_nobody_takes_stops_when_it_is_told_twice(world: World) {
        let open = world.client.connection().unwrap().clone();
        let faulty = Faulty::new(open.broker.clone());
        faulty.always(Operation::Settle, Fault::LostCall);
        let client = Client::new(Connection { broker: Arc::new(faulty.clone()), ..open });
        let handles = world.client.delay_all((0..3_000).map(quick)).await.unwrap();
        let mut config = WorkerConfig::default();
        config.concurrency = NonZeroU32::new(3_000).unwrap();
        let worker = Worker::builder(client).without_hooks().config(config);
        let worker = world.start_with(worker.tasks([quick(0).task()]));
        // More verdicts than the way to the broker holds.
        while worker.status.snapshot().done < 2_500 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        worker.shutdown.request();
        worker.shutdown.request();
        let ended = tokio::time::timeout(Duration::from_secs(30), worker.ended()).await;
        ended.expect("the worker did not stop").unwrap();
        assert_eq!(handles[0].state().await, Ok(Some(JobState::Running)));
    }
}

/// Never waits.
#[register_task(name = "reserve::busy", queue = "reserve")]
async fn busy(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(5));
    n
}

#[test]
fn jobs_that_never_wait_leave_the_thread_to_others_now_and_then() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let longest = runtime.block_on(async {
        let client = Client::open("memory://never-waits").await.unwrap();
        // The short ones teach the worker to hold many.
        client.delay_all((0..3_000).map(quick)).await.unwrap();
        let busy_ones = client.delay_all((0..100).map(busy)).await.unwrap();
        let worker = Worker::builder(client.clone()).without_hooks().config(config(1));
        let worker = worker.tasks([quick(0).task(), busy(0).task()]).build();
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        let run = tokio::spawn(async move { worker.run(&stop).await });
        let mut all = std::pin::pin!(join_all(busy_ones));
        let mut longest = Duration::ZERO;
        loop {
            let since = Instant::now();
            tokio::select! {
                results = &mut all => {
                    assert!(results.iter().all(Result::is_ok));
                    break;
                }
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            longest = longest.max(since.elapsed());
        }
        shutdown.request();
        run.await.unwrap().unwrap();
        longest
    });
    assert!(longest < Duration::from_millis(200), "nobody else ran for {longest:?}");
}
