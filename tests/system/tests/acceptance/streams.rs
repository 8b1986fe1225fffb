//! Tasks that return streams: marrow's generators.

use std::num::NonZeroU32;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use hereafter::broker::{EventKind, JobState};
use hereafter::prelude::*;
use hereafter::worker::WorkerConfig;
use tasksystem::{Journal, on_each_broker};

#[register_task(name = "streams::numbers")]
fn numbers(cx: Context, count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count).inspect(move |n| cx.message(format!("made {n}")))
}

#[register_task(name = "streams::on_demand", on_demand, window = 0)]
fn on_demand(State(journal): State<Journal>, count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count).inspect(move |n| journal.write(n))
}

/// A generator's last value is an item like the others.
#[register_task(name = "streams::with_a_last_one")]
async fn with_a_last_one(count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count).chain(stream::iter([42]))
}

#[register_task(name = "streams::broken", retries = 0)]
fn broken(at: u64) -> impl Stream<Item = Result<u64, String>> {
    stream::iter(0..at).map(Ok).chain(stream::iter([Err("FAILURE".to_owned())]))
}

#[register_task(name = "streams::each")]
fn each(State(journal): State<Journal>, n: u64) {
    journal.write(format_args!("each {n}"));
}

#[register_task(name = "streams::all")]
fn all(State(journal): State<Journal>, numbers: Vec<u64>) {
    journal.write(format_args!("all {}", numbers.len()));
}

async fn listed(handle: &Handle<Vec<u64>>) -> Vec<u64> {
    handle.stream().try_collect().await.unwrap()
}

const SLOTS: u32 = 4;

fn ten() -> Vec<u64> {
    (0..10).collect()
}

on_each_broker! {
    carried;

    async fn marrow_20_a_generator_handled_in_process_yields_its_items(world: World) {
        assert_eq!(numbers(10).await, ten());
        let handle = numbers(10).delay().await.unwrap();
        world.drain().await;
        assert_eq!(listed(&handle).await, ten());
        assert_eq!(handle.await.unwrap(), ten());
    }

    async fn marrow_21_a_stream_is_read_live_and_again_and_leaves_no_slot_taken(world: World) {
        let mut config = WorkerConfig::default();
        config.concurrency = NonZeroU32::new(SLOTS).unwrap();
        let worker = world.start_with(world.worker().config(config));
        for _ in 0..SLOTS + 2 {
            let handle = numbers(10).delay().await.unwrap();
            assert_eq!(listed(&handle).await, ten());
            let last = handle.progress().try_collect::<Vec<_>>().await.unwrap().pop().unwrap();
            assert_eq!(last.message, "made 9");
            assert_eq!(listed(&handle).await, ten());
            let again = handle.progress().try_collect::<Vec<_>>().await.unwrap();
            assert_eq!(again, [last], "listing again makes nothing anew");
        }
        worker.stop().await.unwrap();
    }

    async fn marrow_22_a_stream_on_demand_is_listed_and_stored(world: World) {
        let worker = world.start();
        let handle = on_demand(10).delay().await.unwrap();
        assert_eq!(listed(&handle).await, ten());
        assert_eq!(handle.await.unwrap(), ten());
        worker.stop().await.unwrap();
    }

    async fn marrow_23_a_stream_on_demand_makes_what_is_pulled_and_no_more(world: World) {
        let worker = world.start();
        let handle = on_demand(10).delay().await.unwrap();
        world.until(EventKind::Started, handle.id()).await;
        let mut items = handle.stream();
        assert_eq!(world.journal.lines(), [""; 0], "before the first pull");
        assert_eq!(items.next().await.unwrap().unwrap(), 0);
        assert_eq!(items.next().await.unwrap().unwrap(), 1);
        assert_eq!(world.journal.lines(), ["0", "1"], "after two pulls");
        let rest: Vec<u64> = items.try_collect().await.unwrap();
        assert_eq!(rest, (2..10).collect::<Vec<_>>());
        assert_eq!(handle.await.unwrap(), ten());
        worker.stop().await.unwrap();
    }

    async fn marrow_24_a_last_value_is_an_item(world: World) {
        let worker = world.start();
        let handle = with_a_last_one(10).delay().await.unwrap();
        assert_eq!(listed(&handle).await, [ten(), vec![42]].concat());
        worker.stop().await.unwrap();
    }

    // That a task which yields no list has no stream is a compile error: taskmacro/tests/ui/fail.
    async fn marrow_25_a_stream_that_fails_yields_its_items_then_the_error(world: World) {
        let worker = world.start();
        let handle = broken(5).delay().await.unwrap();
        let read: Vec<_> = handle.stream().collect().await;
        let items: Vec<u64> = read[..5].iter().map(|item| *item.as_ref().unwrap()).collect();
        assert_eq!(items, [0, 1, 2, 3, 4]);
        assert_eq!(read.len(), 6);
        let error = read[5].as_ref().unwrap_err();
        assert_eq!(error.failure().unwrap().message, "FAILURE");
        assert_eq!(&handle.await.unwrap_err(), error);
        worker.stop().await.unwrap();
    }

    async fn marrow_26_what_follows_each_item_and_what_follows_them_all(world: World) {
        let worker = world.start();
        let handle = numbers(10).delay().await.unwrap();
        let followed = handle.then_each(each).await.unwrap();
        assert_eq!(followed.wait(Duration::from_secs(60)).await.unwrap(), 10);
        world.journal.wait_for_lines(10).await;
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Done));
        handle.then(all).await.unwrap().wait(Duration::from_secs(60)).await.unwrap();
        let mut lines = world.journal.lines();
        assert_eq!(lines.pop().unwrap(), "all 10", "late, and exactly once");
        lines.sort();
        let expected: Vec<_> = (0..10).map(|n| format!("each {n}")).collect();
        assert_eq!(lines, expected);
        worker.stop().await.unwrap();
    }
}
