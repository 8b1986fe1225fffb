//! What happens at the same time shares a round trip.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hereafter::broker::{Connection, JobState};
use hereafter::prelude::*;
use hereafter::worker::{Worker, WorkerConfig};
use hereafter::{JobId, QueueName};
use taskconformance::{Fault, Faulty, Operation};
use tasksystem::on_each_broker;

#[register_task(name = "together::echo", queue = "together")]
async fn echo(n: u64) -> u64 {
    n
}

#[register_task(name = "together::context")]
async fn context(cx: Context) -> (JobId, String, u32, String) {
    (cx.id(), cx.task().to_owned(), cx.attempt(), cx.trace().trace_id())
}

#[register_task(name = "together::outer")]
async fn outer() -> Result<(String, Handle<(JobId, String, u32, String)>), DelayError> {
    let trace = Context::current().expect("a job runs").trace().trace_id();
    Ok((trace, context().delay().await?))
}

on_each_broker! {
    async fn calls_delayed_at_the_same_time_share_a_round_trip(world: World) {
        let open = world.client.connection().unwrap().clone();
        let faulty = Faulty::new(open.broker.clone());
        let at_once = world.broker().capabilities().enqueues_at_once;
        // Long enough for all to arrive while the first are under way.
        for _ in 0..at_once {
            faulty.next(Operation::Enqueue, Fault::Delayed(Duration::from_millis(200)));
        }
        let client = Client::new(Connection { broker: Arc::new(faulty.clone()), ..open });
        let delayed = join_all((0..64).map(|n| echo(n).delay_on(&client))).await;
        assert!(delayed.iter().all(Result::is_ok), "{delayed:?}");
        // As many as may be under way, for the first; and as many for those that came meanwhile.
        let calls = faulty.calls(Operation::Enqueue);
        assert!(calls <= 2 * at_once as u64, "they did not share: {calls} batches");
        assert_eq!(world.jobs().await.len(), 64);
    }

    async fn more_calls_than_are_stored_all_or_none_are_refused_before_any_is_stored(world: World) {
        let limit = world.broker().capabilities().max_batch;
        let calls = (0..=limit as u64).map(echo);
        let Err(error) = world.client.delay_all(calls).await else { panic!("it took them all") };
        let calls = limit + 1;
        assert!(matches!(error, DelayError::TooMany { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!(
                "cannot store {calls} calls in one batch: this broker stores at most {limit} all or none; delay \
                 them in several batches"
            )
        );
        assert!(world.jobs().await.is_empty());
        let handles = world.client.delay_all((0..limit as u64).map(echo)).await.unwrap();
        assert_eq!(handles.len(), limit);
    }

    async fn many_handles_are_answered_in_order_and_more_than_once(world: World) {
        let handles = world.client.delay_all((0..2_000).map(echo)).await.unwrap();
        let worker = world.start();
        let answers = join_all(handles.clone()).await;
        assert!(answers.iter().zip(0..).all(|(answer, n)| *answer == Ok(n)));
        assert_eq!(join_all(handles).await, answers);
        worker.stop().await.unwrap();
    }

    async fn a_handle_of_an_ignored_result_says_so_however_it_is_asked(world: World) {
        let job = echo(1).ignore_result().delay().await.unwrap();
        let reason = "the call said `ignore_result`".to_owned();
        let refused = Err(JobError::NotKept { job: job.id(), reason });
        assert_eq!(job.wait(Duration::ZERO).await, refused);
        let worker = Worker::builder(world.client.clone()).without_hooks();
        world.drain_with(worker.tasks([echo(0).task()])).await;
        assert_eq!(job.wait(Duration::ZERO).await, refused);
        assert_eq!(job.wait(Duration::from_secs(1)).await, refused);
        assert_eq!(job.await, refused);
    }

    async fn a_paused_queue_waits_until_it_is_resumed(world: World) {
        let queue = QueueName::new("together").unwrap();
        world.operate().pause(&queue, true).await.unwrap();
        let job = echo(7).delay().await.unwrap();
        assert_eq!(world.drain().await.done, 0);
        world.operate().pause(&queue, false).await.unwrap();
        assert_eq!(world.drain().await.done, 1);
        assert_eq!(job.await, Ok(7));
    }

    async fn a_job_delayed_by_a_job_goes_through_its_client_and_continues_its_trace(world: World) {
        let job = outer().delay().await.unwrap();
        let worker = world.start();
        let (trace, inner) = job.await.unwrap();
        // What a worker sent is a handle of the same store.
        let inner = world.client.handle::<(JobId, String, u32, String)>(inner.id());
        let (id, task, attempt, inner_trace) = inner.clone().await.unwrap();
        assert_eq!((id, task.as_str(), attempt), (inner.id(), "together::context", 1));
        assert_eq!(inner_trace, trace);
        worker.stop().await.unwrap();
    }

    async fn a_traceparent_of_the_caller_is_continued(world: World) {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let job = context().header("traceparent", parent).delay().await.unwrap();
        world.drain().await;
        let (_, _, _, trace) = job.await.unwrap();
        assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
    }

    async fn a_cancelled_job_that_runs_is_told_and_stays_cancelled(world: World) {
        let job = until_cancelled().delay().await.unwrap();
        let mut config = WorkerConfig::default();
        config.lease = Duration::from_millis(600);
        let worker = world.start_with(world.worker().config(config));
        while job.state().await != Ok(Some(JobState::Running)) {
            tokio::task::yield_now().await;
        }
        job.cancel().await.unwrap();
        assert!(matches!(job.clone().await, Err(JobError::Cancelled { .. })));
        // Told at the next heartbeat, the task returns; its verdict changes nothing.
        while worker.status.snapshot().running > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(job.state().await, Ok(Some(JobState::Cancelled)));
        worker.stop().await.unwrap();
    }
}

#[register_task(name = "together::until_cancelled")]
async fn until_cancelled(cx: Context) {
    cx.cancelled().await;
}
