//! A broker whose calls and replies get lost: nothing is lost, and nothing runs for nothing.

use std::sync::Arc;
use std::time::Duration;

use hereafter::FailureKind;
use hereafter::broker::{Connection, JobState};
use hereafter::prelude::*;
use hereafter::worker::Worker;
use taskconformance::{Fault, Faulty, Operation};
use tasksystem::{World, on_each_broker};

#[register_task(name = "broken_broker::double")]
async fn double(n: u64) -> u64 {
    n * 2
}

/// A client of the world's store whose broker can be spoilt.
fn faulty(world: &World) -> (Faulty, Client) {
    let open = world.client.connection().unwrap().clone();
    let faulty = Faulty::new(open.broker.clone());
    let broker = Arc::new(faulty.clone());
    (faulty, Client::new(Connection { broker, ..open }))
}

on_each_broker! {
    async fn a_lost_call_is_repeated_with_the_same_id(world: World) {
        let (faulty, client) = faulty(&world);
        faulty.next(Operation::Enqueue, Fault::LostCall);
        let job = double(1).delay_on(&client).await.unwrap();
        assert_eq!(world.jobs().await.len(), 1);
        assert_eq!(world.jobs().await[0].id, job.id());
    }

    async fn a_lost_reply_stores_one_job(world: World) {
        let (faulty, client) = faulty(&world);
        faulty.next(Operation::Enqueue, Fault::LostReply);
        double(1).delay_on(&client).await.unwrap();
        assert_eq!(faulty.calls(Operation::Enqueue), 2);
        assert_eq!(world.jobs().await.len(), 1);
    }

    async fn a_refusal_is_told_and_not_repeated(world: World) {
        let (faulty, client) = faulty(&world);
        faulty.next(Operation::Enqueue, Fault::Refused);
        let error = double(1).delay_on(&client).await.unwrap_err();
        assert!(error.to_string().contains("broken_broker::double"), "{error}");
        assert_eq!(faulty.calls(Operation::Enqueue), 1);
        assert!(world.jobs().await.is_empty());
    }

    async fn a_lost_reply_to_a_verdict_runs_nothing_twice(world: World) {
        let (faulty, client) = faulty(&world);
        let job = double(4).delay_on(&client).await.unwrap();
        faulty.next(Operation::Settle, Fault::LostReply);
        faulty.next(Operation::Settle, Fault::LostCall);
        let drained = world.drain_with(Worker::builder(client).without_hooks()).await;
        assert_eq!((drained.done, drained.stale), (1, 1));
        assert_eq!(job.await, Ok(8));
    }

    async fn verdicts_that_are_too_much_together_are_settled_one_by_one(world: World) {
        let (faulty, client) = faulty(&world);
        let jobs = client.delay_all((0..20).map(double)).await.unwrap();
        // While the first ones are tried again, the others pile up.
        faulty.next(Operation::Settle, Fault::Refused);
        faulty.always(Operation::Settle, Fault::TooMuch);
        let drained = world.drain_with(Worker::builder(client).without_hooks()).await;
        assert_eq!((drained.done, drained.stale), (20, 0));
        assert!(faulty.calls(Operation::Settle) > 21, "no batch was too much");
        for (n, job) in (0..).zip(jobs) {
            assert_eq!(job.await, Ok(n * 2));
        }
    }

    async fn a_verdict_that_is_too_large_fails_its_job_and_no_other_waits_for_it(world: World) {
        let (faulty, client) = faulty(&world);
        let jobs = client.delay_all((0..20).map(double)).await.unwrap();
        faulty.always(Operation::Settle, Fault::TooLarge(jobs[7].id()));
        let drained = world.drain_with(Worker::builder(client).without_hooks()).await;
        assert_eq!(drained.stale, 0);
        for (n, job) in (0..).zip(jobs) {
            let answer = job.await;
            if n == 7 {
                let error = answer.unwrap_err();
                let failure = error.failure().unwrap();
                assert_eq!((failure.kind, failure.attempt), (FailureKind::Result, 1));
                assert!(failure.message.contains("cannot be stored"), "{failure}");
            } else {
                assert_eq!(answer, Ok(n * 2));
            }
        }
    }

    async fn a_worker_outlives_a_broker_that_does_not_answer_for_a_while(world: World) {
        let (faulty, client) = faulty(&world);
        for _ in 0..3 {
            faulty.next(Operation::Reserve, Fault::LostCall);
            faulty.next(Operation::Maintain, Fault::LostCall);
        }
        let worker = world.start_with(Worker::builder(client).without_hooks());
        let job = double(5).delay().await.unwrap();
        assert_eq!(job.await, Ok(10));
        assert!(worker.status.snapshot().failing_since.is_none());
        worker.stop().await.unwrap();
    }

    async fn what_a_lost_answer_had_leased_comes_back(world: World) {
        let (faulty, client) = faulty(&world);
        let job = double(6).delay_on(&client).await.unwrap();
        faulty.next(Operation::Reserve, Fault::LostReply);
        let worker = world.start_with(Worker::builder(client).without_hooks());
        while faulty.calls(Operation::Reserve) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(job.state().await, Ok(Some(JobState::Running)));
        world.advance(Duration::from_secs(31));
        assert_eq!(job.await, Ok(12));
        worker.stop().await.unwrap();
    }
}
