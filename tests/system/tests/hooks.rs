//! Start hooks: ZTASK-18 and 19 of `docs/acceptance.md`.
//!
//! A program of its own, because its hooks run in each of its workers.

use std::num::NonZeroU32;

use hereafter::broker::JobState;
use hereafter::prelude::*;
use hereafter::worker::{Worker, WorkerBuilder, WorkerConfig, WorkerError};
use hereafter::{Start, error_chain};
use tasksystem::{Journal, World, on_each_broker};

/// What the first hook opens, and tasks use.
#[derive(Debug, Clone)]
struct Connection(String);

/// Makes the first hook fail.
#[derive(Debug, Clone)]
struct IsDown;

// The order in the file is not the order in which they run.
#[on_start(order = 2)]
fn count_connections(start: &mut Start) {
    let Connection(name) = start.provided().expect("the hook before has opened it");
    journal(start).write(format!("counted {name}"));
}

#[on_start(order = 1)]
async fn open_connection(start: &mut Start) -> Result<(), std::io::Error> {
    if start.provided::<IsDown>().is_some() {
        return Err(std::io::Error::other("the database is down"));
    }
    journal(start).write("opened");
    start.provide(Connection("main".to_owned()));
    Ok(())
}

/// Delays a call, through the worker's client.
#[on_start(order = 3)]
async fn say_hello(start: &mut Start) -> Result<(), DelayError> {
    greet("hello").delay_on(start.client()).await.map(drop)
}

#[register_task]
fn greet(State(connection): State<Connection>, State(journal): State<Journal>, greeting: String) {
    journal.write(format!("{greeting} over {}", connection.0));
}

fn journal(start: &Start) -> Journal {
    start.provided().expect("the test provides it")
}

/// A worker with the hooks of this file. It runs one job at a time, so that they keep their order.
fn worker(world: &World) -> WorkerBuilder {
    let mut config = WorkerConfig::default();
    config.concurrency = NonZeroU32::MIN;
    Worker::builder(world.client.clone()).provide(world.journal.clone()).config(config)
}

on_each_broker! {
    /// ZTASK-18: the original runs functions and classes; here hooks are async or plain
    /// functions. What they provide is there for every task.
    async fn ztask_18_start_hooks_run_in_order_before_any_job_and_again_at_each_start(world: World) {
        greet("waiting").delay().await.unwrap();
        let first = ["opened", "counted main", "waiting over main", "hello over main"];
        world.drain_with(worker(&world)).await;
        assert_eq!(world.journal.lines(), first);

        let second = ["opened", "counted main", "hello over main"];
        world.drain_with(worker(&world)).await;
        assert_eq!(world.journal.lines()[first.len()..], second);
    }

    async fn ztask_19_a_failing_start_hook_keeps_the_worker_from_starting(world: World) {
        let job = greet("waiting").delay().await.unwrap();
        let error = world.start_with(worker(&world).provide(IsDown)).ended().await.unwrap_err();
        assert!(matches!(error, WorkerError::Hook { .. }), "{error:?}");
        let told = error_chain(&error);
        assert_eq!(told, "start hook `hooks::open_connection` failed: the database is down");
        // Nothing ran: no later hook, and no job.
        assert!(world.journal.lines().is_empty());
        assert_eq!(job.state().await.unwrap(), Some(JobState::Ready));
        assert_eq!(world.jobs().await.len(), 1);
    }
}
