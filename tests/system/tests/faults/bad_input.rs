//! Bad input: each gets a clear error that names the thing and the remedy, ends no worker, and
//! loses nothing.

use std::borrow::Cow;
use std::collections::HashMap;

use hereafter::broker::{Due, Enqueued, JobState, NewJob};
use hereafter::prelude::*;
use hereafter::worker::{Shutdown, WorkerError};
use hereafter::{FailureKind, JobId, Priority, QueueName};
use tasksystem::{on_each_broker, on_each_store};

use crate::{LIMIT, PROGRAM};

#[register_task(name = "bad_input::twice")]
fn twice(n: u64) -> u64 {
    n * 2
}

#[register_task(name = "bad_input::panics", retries = 0)]
fn panics(text: String) {
    panic!("the task says {text}")
}

/// JSON has no map with keys that are no texts.
#[register_task(name = "bad_input::unencodable")]
fn unencodable() -> HashMap<Option<u8>, u8> {
    HashMap::from([(Some(1), 1), (None, 2)])
}

#[register_task(name = "bad_input::large")]
fn large(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// Stores bytes under a task's name, as some other program might.
async fn enqueue_raw(world: &tasksystem::World, task: &'static str, bytes: &[u8]) -> JobId {
    let job = NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: Cow::Borrowed(task),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: bytes.to_vec().into(),
    };
    let broker = &world.client.connection().unwrap().broker;
    assert_eq!(broker.enqueue(std::slice::from_ref(&job)).await.unwrap(), [Enqueued::Stored]);
    job.id
}

/// A good job behind the bad one: the worker goes on.
async fn assert_worker_goes_on(world: &tasksystem::World) {
    let job = twice(21).delay().await.unwrap();
    world.drain().await;
    assert_eq!(job.await, Ok(42));
}

on_each_broker! {
    async fn bytes_that_are_no_job_are_parked_with_the_bytes_and_the_reason(world: World) {
        let bytes = b"\x80\x04pickled\xff";
        let id = enqueue_raw(&world, "bad_input::foreign", bytes).await;
        assert_eq!(world.drain().await.failed, 1);
        let record = world.client.record(id).await.unwrap().unwrap();
        assert_eq!(record.state, JobState::Failed);
        assert_eq!(record.envelope.as_slice(), bytes);
        let failure = record.failure.unwrap();
        assert_eq!(failure.kind, FailureKind::Envelope);
        assert!(failure.message.contains("not a Hereafter job"), "{failure}");
        assert_worker_goes_on(&world).await;
    }

    async fn a_task_that_nobody_has_is_retried_then_parked_with_the_remedy(world: World) {
        let envelope = br#"{"hereafter":1,"task":"bad_input::gone","args":{}}"#;
        let id = enqueue_raw(&world, "bad_input::gone", envelope).await;
        assert_eq!(world.drain().await.retried, 1);
        for _ in 0..5 {
            world.advance(std::time::Duration::from_secs(4000));
            world.drain().await;
        }
        let job = world.client.handle::<u64>(id);
        let Err(JobError::Failed(failure)) = job.await else { panic!("it is not parked") };
        assert_eq!((failure.kind, failure.attempt), (FailureKind::UnknownTask, 6));
        assert!(failure.message.contains("`bad_input::gone`"), "{failure}");
        assert!(failure.message.contains("replay"), "{failure}");
        assert_worker_goes_on(&world).await;
    }

    async fn arguments_of_another_signature_are_parked_at_once(world: World) {
        for (args, says) in [
            (r#"{}"#, "missing field `n`"),
            (r#"{"n":1,"m":2}"#, "unknown field `m`"),
            (r#"{"n":"one"}"#, "invalid type"),
        ] {
            let envelope = format!(r#"{{"hereafter":1,"task":"bad_input::twice","args":{args}}}"#);
            let id = enqueue_raw(&world, "bad_input::twice", envelope.as_bytes()).await;
            assert_eq!(world.drain().await.failed, 1);
            let job = world.client.handle::<u64>(id);
            let Err(JobError::Failed(failure)) = job.await else { panic!("{args} was run") };
            assert_eq!((failure.kind, failure.attempt), (FailureKind::Arguments, 1));
            assert!(failure.message.contains(says), "{failure}");
        }
        assert_worker_goes_on(&world).await;
    }

    async fn a_newer_envelope_is_parked_with_the_remedy(world: World) {
        let id = enqueue_raw(&world, "bad_input::twice", br#"{"hereafter":99,"shape":"new"}"#).await;
        world.drain().await;
        let Err(JobError::Failed(failure)) = world.client.handle::<u64>(id).await else {
            panic!("it was run")
        };
        assert!(failure.message.contains("version 99"), "{failure}");
        assert!(failure.message.contains("upgrade the worker"), "{failure}");
    }

    async fn a_panic_is_a_failure_with_its_text(world: World) {
        let job = panics("no").delay().await.unwrap();
        world.drain().await;
        let Err(JobError::Panicked(failure)) = job.await else { panic!("no panic was told") };
        assert_eq!(failure.message, "the task says no");
        assert_worker_goes_on(&world).await;
    }

    async fn a_result_without_an_encoded_form_is_a_failure_that_names_its_type(world: World) {
        let job = unencodable().delay().await.unwrap();
        assert_eq!(world.drain().await.failed, 1);
        let Err(JobError::Failed(failure)) = job.await else { panic!("it was stored") };
        assert_eq!(failure.kind, FailureKind::Result);
        assert!(failure.message.contains("HashMap"), "{failure}");
        assert_worker_goes_on(&world).await;
    }

    async fn a_result_over_the_limit_is_a_failure_with_both_sizes(world: World) {
        let job = large(2_000_000).delay().await.unwrap();
        world.drain().await;
        let Err(JobError::Failed(failure)) = job.await else { panic!("it was stored") };
        assert!(failure.message.contains("2000002 bytes"), "{failure}");
        assert!(failure.message.contains("1048576"), "{failure}");
    }

    async fn an_oversized_payload_is_refused_with_task_size_and_limit(world: World) {
        let error = panics("x".repeat(2_000_000)).delay().await.unwrap_err().to_string();
        assert!(error.contains("`bad_input::panics`"), "{error}");
        assert!(error.contains("the limit is 1048576"), "{error}");
        assert!(world.jobs().await.is_empty());
    }

    async fn an_unusable_option_is_refused_before_anything_is_stored(world: World) {
        let error = twice(1).queue("no such name!").delay().await.unwrap_err().to_string();
        assert!(error.contains("`no such name!` is not a queue name"), "{error}");
        let error = twice(1).priority(9).delay().await.unwrap_err().to_string();
        assert!(error.contains("use -2 (last) to 2 (first)"), "{error}");
        let error = twice(1).header("traceparent", "x").delay().await.unwrap_err().to_string();
        assert!(error.contains("`x` is not a W3C traceparent"), "{error}");
        assert!(world.jobs().await.is_empty());
    }

    async fn a_handle_of_the_wrong_type_names_the_task(world: World) {
        let id = twice(1).delay().await.unwrap().id();
        world.drain().await;
        let error = world.client.handle::<String>(id).await.unwrap_err();
        assert!(matches!(error, JobError::Unreadable { .. }), "{error:?}");
        assert!(error.to_string().contains("`bad_input::twice`"), "{error}");
    }

    async fn two_tasks_of_one_name_do_not_start(world: World) {
        let task = twice(1).task();
        let worker = world.worker().tasks([task, task]).build();
        let error = worker.run(&Shutdown::new()).await.unwrap_err();
        assert!(matches!(error, WorkerError::DuplicateTask(_)), "{error:?}");
        assert!(error.to_string().matches("bad_input.rs:").count() == 2, "{error}");
    }

    async fn a_worker_without_a_task_does_not_start(world: World) {
        let error = world.worker().tasks([]).build().run(&Shutdown::new()).await.unwrap_err();
        assert!(error.to_string().contains("use my_tasks as _;"), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_scheme_is_named_beside_those_compiled_in() {
    let error = hereafter::Client::open("carrier-pigeon://loft").await.unwrap_err().to_string();
    assert!(error.contains("`carrier-pigeon`"), "{error}");
    assert!(error.contains("memory") && error.contains("sqlite"), "{error}");
    assert!(error.contains("postgres"), "{error}");
    let error = hereafter::Client::open("pigeons://u:secret@h/db").await.unwrap_err().to_string();
    assert!(error.contains("`pigeons`") && !error.contains("secret"), "{error}");
}

on_each_store! {
    async fn a_task_that_ends_its_process_is_lost_and_its_neighbours_are_not(store: Store) {
        let client = store.client().await;
        let exiting = tasksystem::tasks::exit_process(0).delay_on(&client).await.unwrap();
        let program = ["run", "--lease", "1s", "--log-level", "off"];
        let mut worker = store.start(PROGRAM, &program);
        let lost = async {
            let mut exiting = std::pin::pin!(exiting);
            loop {
                tokio::select! {
                    answer = &mut exiting => break answer,
                    () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
                }
                if worker.ended().is_some() {
                    worker = store.start(PROGRAM, &program);
                }
            }
        };
        let answer = tokio::time::timeout(LIMIT, lost).await.unwrap();
        assert!(matches!(answer, Err(JobError::Lost(_))), "{answer:?}");
        let neighbour = tasksystem::tasks::no_op(3, "n").delay_on(&client).await.unwrap();
        assert_eq!(tokio::time::timeout(LIMIT, neighbour).await.unwrap(), Ok(3));
    }
}
