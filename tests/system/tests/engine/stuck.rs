//! Deadlines, panics and plain functions that do not stop.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hereafter::broker::JobState;
use hereafter::prelude::*;
use hereafter::worker::{WorkerConfig, WorkerError};
use tasksystem::on_each_broker;

#[register_task(name = "stuck::slow", timeout = "50ms", retries = 0)]
async fn slow() {
    std::future::pending().await
}

/// Lets the function below go, so that no thread outlives the test.
static RELEASE: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];

#[register_task(name = "stuck::deaf", timeout = "50ms", retries = 0)]
fn deaf(which: usize) {
    while !RELEASE[which].load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[register_task(name = "stuck::polite", timeout = "50ms", retries = 0)]
fn polite(cx: Context) {
    while !cx.is_cancelled() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[register_task(name = "stuck::wishes")]
async fn wishes(cx: Context) -> Result<(), String> {
    cx.retry_after(Duration::from_secs(3600));
    Err("come back in an hour".to_owned())
}

#[register_task(name = "stuck::blocks_the_runtime")]
async fn blocks_the_runtime(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

on_each_broker! {
    async fn an_async_task_past_its_deadline_has_timed_out(world: World) {
        let job = slow().delay().await.unwrap();
        world.drain().await;
        let Err(JobError::TimedOut(failure)) = job.await else { panic!("it has not") };
        assert!(failure.message.contains("50ms"), "{failure}");
    }

    async fn a_plain_task_past_its_deadline_has_its_verdict_at_once(world: World) {
        let (polite, deaf) = (polite().delay().await.unwrap(), deaf(0).delay().await.unwrap());
        let worker = world.start();
        assert!(matches!(polite.await, Err(JobError::TimedOut(_))));
        assert!(matches!(deaf.await, Err(JobError::TimedOut(_))));
        // The polite one returns; the slot of the other stays taken until its thread does.
        while worker.status.snapshot().stuck != 1 {
            tokio::task::yield_now().await;
        }
        RELEASE[0].store(true, Ordering::SeqCst);
        while worker.status.snapshot().stuck > 0 {
            tokio::task::yield_now().await;
        }
        worker.stop().await.unwrap();
    }

    async fn a_worker_with_every_slot_stuck_ends_with_an_error(world: World) {
        let mut config = WorkerConfig::default();
        config.concurrency = NonZeroU32::new(2).unwrap();
        let worker = world.start_with(world.worker().config(config));
        let jobs = world.client.delay_all([deaf(1), deaf(1), deaf(1)]).await.unwrap();
        let error = worker.ended().await.unwrap_err();
        assert!(matches!(error, WorkerError::AllSlotsStuck { slots: 2 }), "{error}");
        // The third was never started, and is there for the next worker.
        assert_eq!(jobs[2].state().await, Ok(Some(JobState::Ready)));
        RELEASE[1].store(true, Ordering::SeqCst);
    }

    async fn a_task_may_say_when_to_come_back(world: World) {
        let job = wishes().delay().await.unwrap();
        world.drain().await;
        let record = job.record().await.unwrap().unwrap();
        let wait = record.due_at.duration_since(record.started_at.unwrap()).as_secs();
        assert!((3599..=3601).contains(&wait), "{wait} s");
    }

    async fn tasks_that_block_the_runtime_keep_their_leases(world: World) {
        let mut config = WorkerConfig::default();
        config.lease = Duration::from_millis(600);
        let worker = world.start_with(world.worker().config(config));
        // Both threads of the runtime, for several leases.
        let jobs = [blocks_the_runtime(1500), blocks_the_runtime(1500)];
        let jobs = world.client.delay_all(jobs).await.unwrap();
        for job in jobs {
            job.clone().await.unwrap();
            let record = job.record().await.unwrap().unwrap();
            assert_eq!(record.losses, 0);
        }
        assert_eq!(worker.status.snapshot().stale, 0);
        worker.stop().await.unwrap();
    }
}
