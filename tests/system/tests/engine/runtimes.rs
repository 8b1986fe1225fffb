//! One client, shared by runtimes that come and go.

use std::sync::Arc;
use std::time::Duration;

use hereafter::broker::Connection;
use hereafter::prelude::*;
use hereafter::worker::Worker;
use taskconformance::{Fault, Faulty, Operation};
use tasksystem::World;
use tokio::runtime::{Builder, Runtime};

/// Far beyond what is needed; it turns a hang into a failure.
const LIMIT: Duration = Duration::from_secs(30);

#[register_task(name = "runtimes::echo")]
async fn echo(n: u64) -> u64 {
    n
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("the system gives a runtime")
}

async fn drain(world: &World) {
    let worker = Worker::builder(world.client.clone()).without_hooks();
    world.drain_with(worker.tasks([echo(0).task()])).await;
}

/// A job that nobody runs, and a runtime that has waited for it and is not driven any more.
fn left_behind(world: &World) -> (Runtime, Handle<u64>) {
    let runtime = current_thread();
    let handle = runtime.block_on(echo(7).delay_on(&world.client)).unwrap();
    let waited = runtime.block_on(handle.wait(Duration::from_millis(10)));
    assert!(matches!(waited, Err(JobError::NotYet { .. })), "{waited:?}");
    (runtime, handle)
}

#[test]
fn a_handle_is_answered_though_the_runtime_that_waited_first_is_not_driven() {
    let world = current_thread().block_on(World::memory(World::EVENTS));
    let (_kept, handle) = left_behind(&world);
    current_thread().block_on(async {
        let answered = tokio::spawn(tokio::time::timeout(LIMIT, handle));
        drain(&world).await;
        assert_eq!(answered.await.unwrap().expect("it hangs"), Ok(7));
    });
}

#[test]
fn a_handle_is_answered_though_the_runtime_that_waited_first_is_dropped_meanwhile() {
    let world = current_thread().block_on(World::memory(World::EVENTS));
    let (first, handle) = left_behind(&world);
    current_thread().block_on(async {
        let answered = tokio::spawn(tokio::time::timeout(LIMIT, handle));
        // It waits by now.
        tokio::task::yield_now().await;
        first.shutdown_background();
        drain(&world).await;
        assert_eq!(answered.await.unwrap().expect("it hangs"), Ok(7));
    });
}

#[test]
fn a_handle_that_was_polled_on_one_runtime_is_answered_on_another() {
    let world = current_thread().block_on(World::memory(World::EVENTS));
    let (first, mut handle) = left_behind(&world);
    let polled = first
        .block_on(async { tokio::time::timeout(Duration::from_millis(10), &mut handle).await });
    assert!(polled.is_err(), "nobody ran it: {polled:?}");
    current_thread().block_on(async {
        drain(&world).await;
        let answer = tokio::time::timeout(LIMIT, handle).await;
        assert_eq!(answer.expect("it hangs"), Ok(7));
    });
}

/// A client whose first call is under way, and the runtime of that call, not driven any more.
fn sending_behind(world: &World) -> (Runtime, Client) {
    let open = world.client.connection().unwrap().clone();
    let faulty = Faulty::new(open.broker.clone());
    faulty.next(Operation::Enqueue, Fault::Delayed(Duration::from_secs(3_600)));
    let client = Client::new(Connection { broker: Arc::new(faulty), ..open });
    let runtime = current_thread();
    runtime.block_on(async {
        let delayed = echo(1).delay_on(&client);
        let sent = tokio::time::timeout(Duration::from_millis(10), delayed).await;
        assert!(sent.is_err(), "the broker is not slow: {sent:?}");
    });
    (runtime, client)
}

#[test]
fn a_call_is_stored_though_the_runtime_that_sent_first_is_not_driven() {
    let world = current_thread().block_on(World::memory(World::EVENTS));
    let (_kept, client) = sending_behind(&world);
    current_thread().block_on(async {
        let delayed = tokio::time::timeout(LIMIT, echo(2).delay_on(&client)).await;
        let handle = delayed.expect("it hangs").unwrap();
        drain(&world).await;
        assert_eq!(handle.await, Ok(2));
    });
}

#[test]
fn a_call_is_stored_though_the_runtime_that_sent_first_is_dropped_meanwhile() {
    let world = current_thread().block_on(World::memory(World::EVENTS));
    let (first, client) = sending_behind(&world);
    current_thread().block_on(async {
        let call = {
            let client = client.clone();
            async move { echo(2).delay_on(&client).await }
        };
        let delayed = tokio::spawn(tokio::time::timeout(LIMIT, call));
        // It waits by now.
        tokio::task::yield_now().await;
        first.shutdown_background();
        let handle = delayed.await.unwrap().expect("it hangs").unwrap();
        drain(&world).await;
        assert_eq!(handle.await, Ok(2));
    });
}
