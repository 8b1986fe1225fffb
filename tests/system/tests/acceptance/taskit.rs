//! TASKIT: waiting, ignoring, stopping.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hereafter::FailureKind;
use hereafter::broker::JobState;
use hereafter::prelude::*;
use hereafter::worker::WorkerConfig;
use tasksystem::{Journal, on_each_broker};

use crate::LIMIT;

#[register_task(name = "taskit.slow")]
fn slow(number: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(50));
    number + 1
}

#[test]
fn taskit_1_a_call_in_place_takes_as_long_as_the_function_and_returns_its_value() {
    let started = Instant::now();
    assert_eq!(slow(1).call(), 2);
    assert!(started.elapsed() >= Duration::from_millis(50));
}

#[register_task(name = "taskit.note", retries = 0)]
async fn note(State(journal): State<Journal>, text: String) -> Result<(), String> {
    journal.write(&text);
    if text == "bad" { Err(text) } else { Ok(()) }
}

/// Starts two futures of its own, and waits for them.
#[register_task(name = "taskit.with_subtasks")]
async fn with_subtasks(State(journal): State<Journal>) {
    let subtask = async |name: &str| {
        journal.write(format!("{name} started"));
        journal.wait_for("go").await;
        journal.write(format!("{name} ended"));
    };
    tokio::join!(subtask("one"), subtask("two"));
}

/// JSON has no map whose keys are lists.
#[register_task(name = "taskit.unencodable")]
async fn unencodable() -> BTreeMap<Vec<u8>, u8> {
    BTreeMap::from([(vec![1, 2], 3)])
}

on_each_broker! {
    carried, alone;

    // TASKIT-17: subtasks are futures that the task waits for, or jobs of their own.
    async fn taskit_17_a_stop_lets_running_jobs_and_their_subtasks_finish(world: World) {
        let running = world.start();
        let job = with_subtasks().delay().await.unwrap();
        world.journal.wait_for("one started").await;
        world.journal.wait_for("two started").await;
        running.shutdown.request();
        let late = slow(1).delay().await.unwrap();
        world.journal.write("go");
        tokio::time::timeout(LIMIT, running.ended()).await.unwrap().unwrap();
        assert_eq!(job.wait(Duration::ZERO).await, Ok(()));
        let mut lines = world.journal.lines();
        lines.sort();
        assert_eq!(lines, ["go", "one ended", "one started", "two ended", "two started"]);
        assert_eq!(late.state().await, Ok(Some(JobState::Ready)), "it is for another worker");
    }

    // TASKIT-26: an error at once, without a retry, and the slot is free again.
    async fn taskit_26_a_result_without_an_encoded_form_is_an_error(world: World) {
        let running = world.start();
        let error = unencodable().delay().await.unwrap().await.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!((failure.kind, failure.attempt), (FailureKind::Result, 1));
        assert!(failure.message.contains("cannot be encoded"), "{failure}");
        assert_eq!(failure.causes, ["key must be a string"]);
        assert_eq!(note("next").delay().await.unwrap().await, Ok(()));
        let status = running.status.clone();
        tokio::time::timeout(LIMIT, running.stop()).await.unwrap().unwrap();
        assert_eq!(status.snapshot().running, 0);
    }
}

on_each_broker! {
    carried;

    // TASKIT-2: the caller sees no error; the failed job is kept all the same, so that nothing
    // is lost without a trace.
    async fn taskit_2_ignored_calls_return_at_once_and_show_no_error(world: World) {
        // There is no worker yet, so this could wait for nothing.
        let good = note("good").ignore_result().delay().await.unwrap();
        let bad = note("bad").ignore_result().delay().await.unwrap();
        let ended = world.drain().await;
        assert_eq!((ended.done, ended.failed), (1, 1));
        let mut ran = world.journal.lines();
        ran.sort();
        assert_eq!(ran, ["bad", "good"]);
        for job in [good, bad.clone()] {
            assert!(matches!(job.await, Err(JobError::NotKept { .. })));
        }
        let [kept] = &world.jobs().await[..] else { panic!("one job is kept") };
        assert_eq!((kept.id, kept.state), (bad.id(), JobState::Failed));
    }

    // TASKIT-15: the kind is `unknown_task`, and the failure names the task. It is an answer
    // only after the attempts in which a worker that knows the task may come.
    async fn taskit_15_an_unknown_task_is_a_kind_of_failure_that_names_it(world: World) {
        let job = note("x").delay().await.unwrap();
        for _ in 0..6 {
            world.drain_with(world.worker().tasks([slow(0).task()])).await;
            world.advance(Duration::from_secs(200));
        }
        let error = job.await.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(failure.kind, FailureKind::UnknownTask);
        assert_eq!(failure.kind.as_str(), "unknown_task");
        assert_eq!(failure.task, "taskit.note");
        assert!(world.journal.lines().is_empty());
    }

    // TASKIT-18: what ran is given back, and is no worse off for it.
    async fn taskit_18_a_second_request_ends_the_worker_and_gives_its_jobs_back(world: World) {
        // Far more patience than the test has.
        let mut config = WorkerConfig::default();
        (config.grace, config.cancel_grace) = (LIMIT * 100, LIMIT * 100);
        let running = world.start_with(world.worker().config(config));
        let job = with_subtasks().delay().await.unwrap();
        world.journal.wait_for("two started").await;
        running.shutdown.request();
        running.shutdown.request();
        tokio::time::timeout(LIMIT, running.ended()).await.unwrap().unwrap();
        assert!(!world.journal.lines().contains(&"one ended".to_owned()));
        let record = job.record().await.unwrap().unwrap();
        assert_eq!((record.state, record.failures, record.losses), (JobState::Ready, 0, 0));
        world.journal.write("go");
        world.drain().await;
        assert_eq!(job.await, Ok(()));
    }
}
