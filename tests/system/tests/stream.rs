//! Tasks that return streams: readers early and late, failures midway, and readers that leave.

use std::num::NonZeroU32;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use hereafter::broker::{EventKind, JobState};
use hereafter::prelude::*;
use hereafter::worker::WorkerConfig;
use tasksystem::{Journal, World, on_each_broker};

#[register_task(name = "stream::numbers")]
fn numbers(count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count)
}

#[register_task(name = "stream::sum")]
fn sum(numbers: Vec<u64>) -> u64 {
    numbers.iter().sum()
}

/// Fails after `n` items, the first time.
#[register_task(name = "stream::flaky", retries = 1, backoff = "fixed(10s)")]
fn flaky(cx: Context, n: u64) -> impl Stream<Item = Result<(u32, u64), String>> {
    let attempt = cx.attempt();
    let end = if attempt == 1 { vec![Err("broke".to_owned())] } else { Vec::new() };
    stream::iter(0..n).map(move |item| Ok((attempt, item))).chain(stream::iter(end))
}

/// Its third item comes when the test says so.
#[register_task(name = "stream::waiting")]
fn waiting(State(journal): State<Journal>) -> impl Stream<Item = u64> {
    stream::iter(0..3).then(move |n| {
        let journal = journal.clone();
        async move {
            if n == 2 {
                journal.wait_for("go").await;
            }
            n
        }
    })
}

#[register_task(name = "stream::panicking", retries = 0)]
fn panicking() -> impl Stream<Item = u64> {
    stream::iter(0..2).chain(stream::once(async { panic!("no third one") }))
}

#[register_task(name = "stream::lazy", on_demand, window = 3, patience = "2s")]
fn lazy(State(journal): State<Journal>, count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count).inspect(move |n| journal.write(n))
}

#[register_task(name = "stream::large_item", retries = 0)]
fn large_item(size: usize) -> impl Stream<Item = String> {
    stream::iter([1, size]).map(|size| "x".repeat(size))
}

#[register_task(name = "stream::each")]
fn each(State(journal): State<Journal>, place: String, item: u64) {
    journal.write(format_args!("{place} {item}"));
}

#[register_task(name = "stream::plain_list")]
fn plain_list() -> Vec<u64> {
    vec![3, 1, 2]
}

async fn listed(handle: &Handle<Vec<u64>>) -> Vec<u64> {
    handle.stream().try_collect().await.unwrap()
}

/// A worker with this many slots.
fn with_slots(world: &World, slots: u32) -> hereafter::worker::WorkerBuilder {
    let mut config = WorkerConfig::default();
    config.concurrency = NonZeroU32::new(slots).unwrap();
    world.worker().config(config)
}

const LONG: Duration = Duration::from_secs(60);

/// Goes on as another job, whose stream is its own.
#[register_task(name = "stream::continued")]
async fn continued(count: u64) -> Call<Vec<u64>> {
    numbers(count).erase()
}

on_each_broker! {
    async fn a_job_that_goes_on_as_a_stream_has_its_items(world: World) {
        let handle = continued(1_000).delay().await.unwrap();
        let sum = sum(handle.clone()).delay().await.unwrap();
        world.drain().await;
        let expected: Vec<u64> = (0..1_000).collect();
        assert_eq!(listed(&handle).await, expected);
        assert_eq!(handle.await.unwrap(), expected);
        assert_eq!(sum.await.unwrap(), 499_500);
    }

    async fn items_are_read_before_the_job_ends(world: World) {
        let worker = world.start();
        let handle = waiting().delay().await.unwrap();
        let mut items = handle.stream();
        assert_eq!(items.next().await.unwrap(), Ok(0));
        assert_eq!(items.next().await.unwrap(), Ok(1));
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Running));
        world.journal.write("go");
        assert_eq!(items.next().await.unwrap(), Ok(2));
        assert_eq!(items.next().await, None);
        assert_eq!(items.next().await, None, "the end stays the end");
        worker.stop().await.unwrap();
    }

    async fn a_long_stream_is_read_by_many_readers_from_the_start(world: World) {
        const COUNT: u64 = 100_000;
        let handle = numbers(COUNT).delay().await.unwrap();
        let early: Vec<_> = (0..3).map(|_| tokio::spawn({
            let handle = handle.clone();
            async move { listed(&handle).await }
        })).collect();
        world.drain().await;
        let expected: Vec<u64> = (0..COUNT).collect();
        for reader in early {
            assert!(reader.await.unwrap() == expected);
        }
        assert!(listed(&handle).await == expected, "late");
        assert!(handle.await.unwrap() == expected, "as a whole");
    }

    async fn a_stream_is_an_argument_where_a_list_is_one(world: World) {
        let handle = sum(numbers(1_000)).delay().await.unwrap();
        let again = sum(numbers(10)).delay().await.unwrap();
        world.drain().await;
        assert_eq!(handle.await.unwrap(), 499_500);
        assert_eq!(again.await.unwrap(), 45);
    }

    async fn a_stream_without_items_ends(world: World) {
        let handle = numbers(0).delay().await.unwrap();
        world.drain().await;
        assert_eq!(listed(&handle).await, [0_u64; 0]);
        assert_eq!(handle.await.unwrap(), [0_u64; 0]);
    }

    async fn a_list_that_is_no_stream_is_read_when_it_is_there(world: World) {
        let handle = plain_list().delay().await.unwrap();
        let reader = tokio::spawn({
            let handle = handle.clone();
            async move { listed(&handle).await }
        });
        world.drain().await;
        assert_eq!(reader.await.unwrap(), [3, 1, 2]);
        assert_eq!(handle.await.unwrap(), [3, 1, 2]);
    }

    async fn a_stream_that_is_tried_again_begins_anew_and_readers_are_told(world: World) {
        let handle = flaky(3).delay().await.unwrap();
        let mut early = handle.stream();
        world.drain().await;
        let first: Vec<_> = early.by_ref().take(3).try_collect().await.unwrap();
        assert_eq!(first, [(1, 0), (1, 1), (1, 2)]);
        world.advance(Duration::from_secs(12));
        world.drain().await;
        assert_eq!(early.next().await, Some(Err(JobError::Restarted { job: handle.id() })));
        let second: Vec<_> = early.try_collect().await.unwrap();
        assert_eq!(second, [(2, 0), (2, 1), (2, 2)]);
        let late: Vec<_> = handle.stream().try_collect().await.unwrap();
        assert_eq!(late, second, "of the failed attempt nothing is left");
        assert_eq!(handle.await.unwrap(), second);
    }

    async fn a_panic_midway_comes_after_the_items(world: World) {
        let handle = panicking().delay().await.unwrap();
        world.drain().await;
        let read: Vec<_> = handle.stream().collect().await;
        assert_eq!(read.len(), 3);
        assert_eq!(read[..2], [Ok(0), Ok(1)]);
        assert!(matches!(read[2], Err(JobError::Panicked(_))), "{:?}", read[2]);
    }

    async fn an_item_that_is_too_large_is_an_error_that_says_so(world: World) {
        let handle = large_item(2 << 20).delay().await.unwrap();
        world.drain().await;
        let read: Vec<_> = handle.stream().collect().await;
        assert_eq!(read[0], Ok("x".to_owned()));
        let error = read[1].as_ref().unwrap_err().to_string();
        assert!(error.contains("the limit is 1048576"), "{error}");
    }

    async fn a_stream_on_demand_is_at_most_its_window_ahead(world: World) {
        let worker = world.start();
        let handle = lazy(100).delay().await.unwrap();
        let mut items = handle.stream();
        for n in 0..20_u64 {
            assert_eq!(items.next().await.unwrap(), Ok(n));
            let made = world.journal.lines().len() as u64;
            assert!(made <= n + 1 + 3, "{made} were made when {n} was read");
        }
        drop(items);
        worker.stop().await.unwrap();
    }

    async fn who_wants_the_list_of_a_stream_on_demand_gets_all_of_it(world: World) {
        let worker = world.start();
        let expected: Vec<u64> = (0..100).collect();
        let handle = lazy(100).delay().await.unwrap();
        assert_eq!(handle.wait(LONG).await.unwrap(), expected);
        let sum = sum(lazy(100)).delay().await.unwrap();
        assert_eq!(sum.wait(LONG).await.unwrap(), 4_950);
        worker.stop().await.unwrap();
    }

    async fn a_reader_that_left_frees_the_slot(world: World) {
        let worker = world.start_with(with_slots(&world, 1));
        let left = lazy(100).delay().await.unwrap();
        assert_eq!(left.stream().next().await.unwrap(), Ok(0));
        let next = numbers(1).delay().await.unwrap();
        assert_eq!(next.state().await.unwrap(), Some(JobState::Ready), "the slot is taken");
        world.advance(Duration::from_secs(3));
        assert_eq!(next.wait(LONG).await.unwrap(), [0]);
        assert_eq!(left.state().await.unwrap(), Some(JobState::Cancelled));
        let read: Vec<_> = left.stream().collect().await;
        assert!(matches!(read.last(), Some(Err(JobError::Cancelled { .. }))), "{read:?}");
        worker.stop().await.unwrap();
    }

    async fn a_cancelled_stream_ends_its_readers(world: World) {
        let worker = world.start();
        let handle = waiting().delay().await.unwrap();
        let mut items = handle.stream();
        assert_eq!(items.next().await.unwrap(), Ok(0));
        handle.cancel().await.unwrap();
        let rest: Vec<_> = items.collect().await;
        assert!(matches!(rest.last(), Some(Err(JobError::Cancelled { .. }))), "{rest:?}");
        worker.stop().await.unwrap();
    }

    async fn what_follows_each_item_needs_one_slot_at_a_time(world: World) {
        let call = numbers(5).then_each(|item| each("early", item));
        let handle = call.delay().await.unwrap();
        let worker = world.start_with(with_slots(&world, 1));
        world.journal.wait_for_lines(5).await;
        let late = handle.then_each(|item| each("late", item)).await.unwrap();
        assert_eq!(late.wait(LONG).await.unwrap(), 5);
        world.journal.wait_for_lines(10).await;
        worker.stop().await.unwrap();
        let mut lines = world.journal.lines();
        lines.sort();
        let expected = ["early", "late"].map(|place| (0..5).map(move |n| format!("{place} {n}")));
        assert_eq!(lines, expected.into_iter().flatten().collect::<Vec<_>>());
    }

    async fn items_of_a_stream_that_is_not_yet_running_are_followed_live(world: World) {
        let handle = waiting().call_after(Duration::from_secs(100)).await.unwrap();
        handle.then_each(|item| each("each", item)).await.unwrap();
        let worker = world.start_with(with_slots(&world, 2));
        world.advance(Duration::from_secs(101));
        world.until(EventKind::Started, handle.id()).await;
        world.journal.wait_for_lines(2).await;
        world.journal.write("go");
        world.journal.wait_for("each 2").await;
        worker.stop().await.unwrap();
    }

    async fn what_cannot_follow_each_item_is_refused(world: World) {
        let refusal = |result: Result<_, DelayError>| result.map(drop).unwrap_err().to_string();
        let call = numbers(1).ignore_result().then_each(|item| each("x", item));
        assert!(refusal(call.delay().await).contains("keep_result"));
        let call = numbers(1).then_each(|item| each("x", item).unique("key"));
        assert!(refusal(call.delay().await).contains("unique"));
        let call = numbers(1).then_each(|_| sum(numbers(3)));
        assert!(refusal(call.delay().await).contains("one call"));
        assert_eq!(world.jobs().await.len(), 0);
    }
}
