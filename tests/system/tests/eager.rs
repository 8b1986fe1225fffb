//! Calls that an eager client runs here.

use std::thread::ThreadId;
use std::time::Duration;

use futures::{Stream, TryStreamExt, stream};
use hereafter::prelude::*;
use hereafter::scope_state;
use serde::{Deserialize, Deserializer, Serialize};

#[derive(Clone)]
struct Greeting(&'static str);

#[register_task(name = "eager::greet")]
async fn greet(State(greeting): State<Greeting>, name: String) -> String {
    format!("{} {name}", greeting.0)
}

#[register_task(name = "eager::greet_plainly")]
fn greet_plainly(cx: Context, State(greeting): State<Greeting>, name: String) -> String {
    assert_eq!(Context::current().expect("a job runs").id(), cx.id());
    assert!(Client::current().is_some());
    format!("{} {name}", greeting.0)
}

#[tokio::test]
async fn a_call_with_state_gets_it_before_that_of_the_scope() {
    let client = Client::eager();
    let calls = async {
        let given = greet("cat").with(Greeting("good morning")).delay_on(&client).await.unwrap();
        assert_eq!(given.await.unwrap(), "good morning cat");
        let plain =
            greet_plainly("cat").with(Greeting("good morning")).delay_on(&client).await.unwrap();
        assert_eq!(plain.await.unwrap(), "good morning cat");
        let scoped = greet_plainly("cat").delay_on(&client).await.unwrap();
        assert_eq!(scoped.await.unwrap(), "hello cat");
    };
    scope_state(Greeting("hello"), calls).await;
}

/// Blocks its thread, which Tokio refuses on a thread that drives tasks.
#[register_task(name = "eager::block")]
fn block() -> String {
    let thread: ThreadId = std::thread::current().id();
    tokio::runtime::Handle::current().block_on(async { format!("{thread:?}") })
}

#[tokio::test]
async fn a_plain_function_runs_on_a_thread_that_may_block() {
    let job = block().delay_on(&Client::eager()).await.unwrap();
    assert_ne!(job.await.unwrap(), format!("{:?}", std::thread::current().id()));
}

#[register_task(name = "eager::twice")]
fn twice(n: u32) -> u32 {
    2 * n
}

#[test]
fn a_plain_function_runs_in_place_outside_of_a_runtime() {
    let delayed = futures::executor::block_on(async {
        let call = twice(4).timeout(Duration::from_secs(60));
        call.delay_on(&Client::eager()).await.unwrap().await
    });
    assert_eq!(delayed, Ok(8));
}

#[derive(Serialize)]
struct Bomb;

impl<'de> Deserialize<'de> for Bomb {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("it went off")
    }
}

#[register_task(name = "eager::defuse")]
async fn defuse(bomb: Bomb) {
    let _ = bomb;
}

#[register_task(name = "eager::explode")]
fn explode() {
    panic!("it went off")
}

#[tokio::test]
async fn a_panic_is_the_handles_wherever_it_happens() {
    let client = Client::eager();
    for job in [defuse(Bomb).delay_on(&client).await, explode().delay_on(&client).await] {
        let Err(JobError::Panicked(failure)) = job.unwrap().await else { panic!("no panic") };
        assert_eq!(failure.message, "it went off");
    }
}

#[register_task(name = "eager::wait_for_ever", timeout = "20ms")]
async fn wait_for_ever(cx: Context) {
    assert!(cx.deadline().is_some());
    std::future::pending().await
}

#[register_task(name = "eager::wait_to_be_told")]
fn wait_to_be_told(cx: Context) {
    while !cx.is_cancelled() {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_time_out_ends_the_run() {
    let client = Client::eager();
    let plain = wait_to_be_told().timeout(Duration::from_millis(20));
    for job in [wait_for_ever().delay_on(&client).await, plain.delay_on(&client).await] {
        let Err(JobError::TimedOut(failure)) = job.unwrap().await else { panic!("no time-out") };
        assert_eq!(failure.message, "the attempt ran past its time-out of 20ms");
    }
}

#[register_task(name = "eager::numbers")]
fn numbers(count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count)
}

#[register_task(name = "eager::each")]
fn each(item: u64) {
    assert!(item < 3);
}

#[tokio::test]
async fn an_eager_stream_is_read_but_nothing_follows_each_of_its_items() {
    let client = Client::eager();
    let handle = numbers(3).delay_on(&client).await.unwrap();
    assert_eq!(handle.stream().try_collect::<Vec<_>>().await.unwrap(), [0, 1, 2]);
    let refused = client.scope(handle.then_each(each)).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("eager"), "{refused}");
    let refused = numbers(3).then_each(each).delay_on(&client).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("eager"), "{refused}");
}
