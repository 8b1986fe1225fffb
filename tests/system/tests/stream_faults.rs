//! Streams where something goes wrong: lost leases, slow readers, items that are gone.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use hereafter::JobId;
use hereafter::broker::{
    BrokerError, Connection, Demand, EventKind, Items, JobState, LogLine, ProgressNow, ReadItems,
    Report, Reports, Settled,
};
use hereafter::prelude::*;
use hereafter::worker::{Worker, WorkerConfig};
use tasksystem::{Journal, World, on_each_broker};
use tokio::sync::Notify;

/// Never waits, and takes a while for each item.
#[register_task(name = "stream_faults::busy", timeout = "1s", retries = 0)]
fn busy() -> impl Stream<Item = u64> {
    stream::iter(0..40_000).inspect(|_| {
        let since = Instant::now();
        while since.elapsed() < Duration::from_micros(500) {
            std::hint::spin_loop();
        }
    })
}

/// Writes when it is dropped.
struct Guard(Journal);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.write("dropped");
    }
}

#[register_task(name = "stream_faults::patient", on_demand, window = 0, patience = "1h")]
fn patient(State(journal): State<Journal>, count: u64) -> impl Stream<Item = u64> {
    let guard = Guard(journal);
    stream::iter(0..count).inspect(move |_| {
        let _held = &guard;
    })
}

#[register_task(name = "stream_faults::impatient", on_demand, window = 0, patience = "1s")]
fn impatient(count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count)
}

#[register_task(name = "stream_faults::numbers")]
fn numbers(count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count)
}

/// Goes on as a stream of which less is kept than of itself.
#[register_task(name = "stream_faults::continued", keep_result = "1h")]
async fn continued(count: u64) -> Call<Vec<u64>> {
    numbers(count).keep_result(Duration::from_secs(1)).erase()
}

/// Has items in its first attempt only, which fails.
#[register_task(name = "stream_faults::once", retries = 1, backoff = "fixed(10s)")]
fn once(cx: Context, count: u64) -> impl Stream<Item = Result<u64, String>> {
    let is_first = cx.attempt() == 1;
    let items = (0..count).map(Ok).chain([Err("broke".to_owned())]);
    stream::iter(items.filter(move |_| is_first))
}

#[register_task(name = "stream_faults::each")]
fn each(State(journal): State<Journal>, place: String, item: u64) {
    journal.write(format_args!("{place} {item}"));
}

const LONG: Duration = Duration::from_secs(60);

/// A store with which something is wrong.
#[derive(Debug)]
struct Faulty {
    store: Arc<dyn Reports>,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    /// Somebody took all items out of it.
    Emptied,
    /// It cannot take reports.
    Deaf(Notify),
}

impl Faulty {
    /// The client of a world whose store has this fault.
    fn client(world: &World, fault: Fault) -> (Client, Arc<Self>) {
        let open = world.client.connection().unwrap().clone();
        let faulty = Arc::new(Self { store: open.reports.clone().unwrap(), fault });
        let reports: Option<Arc<dyn Reports>> = Some(faulty.clone());
        (Client::new(Connection { reports, ..open }), faulty)
    }
}

#[async_trait]
impl Reports for Faulty {
    async fn report(&self, batch: &[Report]) -> Result<Vec<Settled>, BrokerError> {
        if let Fault::Deaf(asked) = &self.fault {
            asked.notify_one();
            let source = "it is deaf".into();
            return Err(BrokerError::Unavailable { broker: "faulty", source });
        }
        self.store.report(batch).await
    }

    async fn progress(
        &self,
        job: JobId,
        seen: Option<u64>,
        wait: Duration,
    ) -> Result<ProgressNow, BrokerError> {
        self.store.progress(job, seen, wait).await
    }

    async fn log(&self, job: JobId) -> Result<Vec<LogLine>, BrokerError> {
        self.store.log(job).await
    }

    async fn items(&self, read: &ReadItems, wait: Duration) -> Result<Items, BrokerError> {
        let found = self.store.items(read, wait).await?;
        Ok(match self.fault {
            Fault::Emptied => Items { items: Vec::new(), ..found },
            Fault::Deaf(_) => found,
        })
    }

    async fn pull(&self, job: JobId, until: u64) -> Result<(), BrokerError> {
        self.store.pull(job, until).await
    }

    async fn demand(
        &self,
        known: &[(JobId, u64)],
        wait: Duration,
    ) -> Result<Vec<Option<Demand>>, BrokerError> {
        self.store.demand(known, wait).await
    }
}

/// A worker whose leases last this long.
fn with_lease(world: &World, lease: Duration) -> hereafter::worker::WorkerBuilder {
    let mut config = WorkerConfig::default();
    config.lease = lease;
    config.concurrency = NonZeroU32::new(4).unwrap();
    config.cancel_grace = Duration::from_millis(100);
    world.worker().config(config)
}

on_each_broker! {
    async fn a_stream_on_demand_that_a_worker_lost_and_took_again_hears_its_readers(world: World) {
        let lease = Duration::from_secs(3);
        let worker = world.start_with(with_lease(&world, lease));
        let handle = patient(5).delay().await.unwrap();
        let mut items = handle.stream();
        assert_eq!(items.next().await.unwrap(), Ok(0));
        while world.client.stats().await.unwrap().iter().all(|task| task.lost == 0) {
            world.advance(lease + Duration::from_secs(1));
            world.upkeep().await;
        }
        world.journal.wait_for("dropped").await;
        let rest = tokio::time::timeout(Duration::from_secs(20), items.collect::<Vec<_>>()).await;
        let rest = rest.expect("the stream hears its reader");
        let expected = [Err(JobError::Restarted { job: handle.id() })];
        let expected: Vec<_> = expected.into_iter().chain((0..5).map(Ok)).collect();
        assert_eq!(rest, expected);
        worker.stop().await.unwrap();
    }

    async fn a_reader_that_is_slower_than_a_short_patience_is_there_all_the_same(world: World) {
        let worker = world.start();
        let handle = impatient(3).delay().await.unwrap();
        let mut items = handle.stream();
        assert_eq!(items.next().await.unwrap(), Ok(0));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(items.try_collect::<Vec<_>>().await.unwrap(), [1, 2]);
        worker.stop().await.unwrap();
    }

    async fn a_reader_that_comes_too_late_for_the_rest_is_told_so(world: World) {
        let call = numbers(2_500).keep_result(Duration::from_secs(1));
        let handle = call.delay().await.unwrap();
        world.drain().await;
        let mut items = handle.stream();
        assert_eq!(items.next().await.unwrap(), Ok(0));
        world.advance(Duration::from_secs(5));
        world.upkeep().await;
        let rest: Vec<_> = items.collect().await;
        let (last, before) = rest.split_last().unwrap();
        assert!(matches!(last, Err(JobError::NotKept { .. })), "{last:?}");
        assert!(before.iter().all(Result::is_ok), "{:?}", before.last());
    }

    async fn items_that_somebody_took_out_of_the_store_are_missed(world: World) {
        let handle = numbers(3).delay().await.unwrap();
        world.drain().await;
        let (client, _) = Faulty::client(&world, Fault::Emptied);
        let handle = client.handle::<Vec<u64>>(handle.id());
        let read: Vec<_> = handle.stream().collect().await;
        assert!(matches!(read[..], [Err(JobError::Unreadable { .. })]), "{read:?}");
    }

    async fn items_that_are_gone_are_an_error_and_no_shorter_list(world: World) {
        let handle = continued(10).delay().await.unwrap();
        world.drain().await;
        world.advance(Duration::from_secs(5));
        world.upkeep().await;
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Done));
        let answer = handle.clone().await;
        assert!(matches!(answer, Err(JobError::NotKept { .. })), "{answer:?}");
        let read: Vec<_> = handle.stream().collect().await;
        assert!(matches!(read[..], [Err(JobError::NotKept { .. })]), "{read:?}");
    }

    async fn the_state_of_a_job_that_streamed_needs_none_of_its_items(world: World) {
        let handle = numbers(3).delay().await.unwrap();
        world.drain().await;
        let open = world.client.connection().unwrap().clone();
        let client = Client::new(Connection { reports: None, ..open });
        let handle = client.handle::<Vec<u64>>(handle.id());
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Done));
        let answer = handle.stream().next().await.unwrap();
        assert!(matches!(answer, Err(JobError::Unreachable { .. })), "{answer:?}");
    }

    async fn what_follows_the_items_of_a_stream_that_is_gone_fails(world: World) {
        let handle = numbers(3).keep_result(Duration::from_secs(1)).delay().await.unwrap();
        world.drain().await;
        world.advance(Duration::from_secs(5));
        world.upkeep().await;
        let followed = handle.then_each(|item| each("late", item)).await.unwrap();
        world.drain().await;
        let answer = followed.wait(LONG).await;
        assert!(matches!(answer, Err(JobError::Failed(_))), "{answer:?}");
    }

    async fn each_item_of_a_stream_on_demand_is_followed(world: World) {
        let worker = world.start();
        let handle = patient(3).delay().await.unwrap();
        world.until(EventKind::Started, handle.id()).await;
        let followed = handle.then_each(|item| each("each", item)).await.unwrap();
        assert_eq!(followed.wait(LONG).await.unwrap(), 3);
        world.journal.wait_for("each 2").await;
        worker.stop().await.unwrap();
    }

    async fn a_stream_that_never_waits_is_timed_out(world: World) {
        let worker = world.start();
        let handle = busy().delay().await.unwrap();
        let answer = handle.wait(LONG).await;
        assert!(matches!(answer, Err(JobError::TimedOut(_))), "{:?}", answer.map(|all| all.len()));
        worker.stop().await.unwrap();
    }

    async fn each_item_of_a_job_that_is_there_already_is_followed(world: World) {
        let first = numbers(3).unique("numbers").delay().await.unwrap();
        let again = numbers(3).unique("numbers").on_conflict(OnConflict::Reuse);
        let again = again.then_each(|item| each("again", item)).delay().await.unwrap();
        assert_eq!(first.id(), again.id());
        world.drain().await;
        world.advance(Duration::from_secs(2));
        world.drain().await;
        let mut lines = world.journal.lines();
        lines.sort();
        assert_eq!(lines, ["again 0", "again 1", "again 2"]);
    }

    async fn what_follows_each_item_counts_those_of_the_last_attempt(world: World) {
        let handle = once(3).delay().await.unwrap();
        world.drain().await;
        let followed = handle.then_each(|item| each("first", item)).await.unwrap();
        world.drain().await;
        world.journal.wait_for_lines(3).await;
        world.advance(Duration::from_secs(12));
        world.drain().await;
        assert_eq!(handle.await.unwrap(), [0_u64; 0]);
        world.advance(Duration::from_secs(2));
        world.drain().await;
        assert_eq!(followed.wait(LONG).await.unwrap(), 0);
    }

    async fn a_worker_that_drains_does_not_wait_for_readers_for_ever(world: World) {
        let handle = impatient(3).delay().await.unwrap();
        world.drain().await;
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Cancelled));
    }

    async fn a_stream_that_waits_for_readers_goes_back_when_its_worker_stops(world: World) {
        let mut config = WorkerConfig::default();
        config.grace = Duration::from_millis(100);
        config.cancel_grace = Duration::from_millis(100);
        let worker = world.start_with(world.worker().config(config));
        let handle = patient(3).delay().await.unwrap();
        world.until(EventKind::Started, handle.id()).await;
        worker.stop().await.unwrap();
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Ready));
        let worker = world.start();
        assert_eq!(handle.stream().try_collect::<Vec<_>>().await.unwrap(), [0, 1, 2]);
        worker.stop().await.unwrap();
    }

    async fn a_stream_whose_items_could_not_be_stored_in_time_is_not_done(world: World) {
        let handle = numbers(3).delay().await.unwrap();
        let (client, faulty) = Faulty::client(&world, Fault::Deaf(Notify::new()));
        let mut config = WorkerConfig::default();
        config.grace = Duration::from_millis(100);
        config.cancel_grace = Duration::from_millis(100);
        let worker = Worker::builder(client).without_hooks().provide(world.journal.clone());
        let worker = world.start_with(worker.config(config));
        let Fault::Deaf(asked) = &faulty.fault else { unreachable!() };
        asked.notified().await;
        worker.stop().await.unwrap();
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Ready));
        world.drain().await;
        assert_eq!(handle.await.unwrap(), [0, 1, 2]);
    }
}
