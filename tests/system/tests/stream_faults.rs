//! Streams where something goes wrong: lost leases, slow readers, items that are gone.

use std::num::NonZeroU32;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use hereafter::prelude::*;
use hereafter::worker::WorkerConfig;
use tasksystem::{Journal, World, on_each_broker};

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
}
