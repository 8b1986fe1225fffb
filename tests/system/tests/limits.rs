//! What is too long, too large or too much: it stops nothing but itself.

use std::time::{Duration, Instant};

use hereafter::broker::{Due, JobFilter, JobState, NewJob};
use hereafter::prelude::*;
use hereafter::worker::{Shutdown, Worker};
use hereafter::{Failure, FailureKind, Handle, JobError, JobId, Priority, QueueName, error_chain};
use taskbroker_amqp::{AmqpBroker, AmqpOptions};
use tasksystem::{Store, World, on_each_broker};

#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Long {
    text: String,
    #[source]
    source: Option<Box<Self>>,
}

/// Fails with an error of so many bytes, behind which are as many causes of 1,000 bytes.
#[register_task(name = "limits::fail", retries = 0)]
fn fail(bytes: usize, causes: usize) -> Result<(), Long> {
    let cause =
        |source: Option<Box<Long>>, _| Some(Box::new(Long { text: "c".repeat(1_000), source }));
    let source = (0..causes).fold(None, cause);
    // Each byte of it takes six in JSON.
    Err(Long { text: "\u{1}".repeat(bytes), source })
}

#[register_task(name = "limits::panic", retries = 0)]
fn panic(bytes: usize) {
    panic!("{}", "p".repeat(bytes));
}

#[register_task(name = "limits::take", retries = 0)]
fn take(number: u64) -> u64 {
    number
}

#[register_task(name = "limits::length")]
fn length(text: String) -> usize {
    text.len()
}

#[register_task(name = "limits::give")]
async fn give(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// A job as another program stores it.
async fn by_hand(world: &World, task: &'static str, args: &str) -> Handle<u64> {
    let envelope = format!("{{\"hereafter\":1,\"task\":\"{task}\",\"args\":{args}}}");
    // A call knows where its answer goes, and the job of another program may have that, too.
    let job = NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: task.into(),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: envelope.into_bytes().into(),
    };
    world.broker().enqueue(std::slice::from_ref(&job)).await.unwrap();
    world.client.handle(job.id)
}

fn failure(answer: Result<impl Sized, JobError>) -> Failure {
    let Err(error) = answer else { panic!("it does not fail") };
    error.failure().cloned().unwrap_or_else(|| panic!("{error}"))
}

on_each_broker! {
    carried, alone;

    async fn errors_of_any_length_are_cut_and_reach_who_waits(world: World) {
        let errors = fail(20 << 20, 200).delay_on(&world.client).await.unwrap();
        let panics = panic(3 << 20).delay_on(&world.client).await.unwrap();
        // An argument that does not fit is quoted.
        let args = format!("{{\"number\":\"{}\"}}", "z".repeat(900_000));
        let quoted = by_hand(&world, "limits::take", &args).await;
        let small = give(3).delay_on(&world.client).await.unwrap();
        let worker = world.start();
        let error = failure(errors.wait(LIMIT).await);
        assert!(error.message.len() <= Failure::MAX_TEXT + 3 && error.message.ends_with('…'));
        let causes: usize = error.causes.iter().map(String::len).sum();
        assert!(causes <= Failure::MAX_TEXT + 3, "{causes}");
        let panicked = failure(panics.wait(LIMIT).await);
        assert_eq!(panicked.kind, FailureKind::Panic);
        assert!(panicked.message.len() <= Failure::MAX_TEXT + 3);
        let quoted = failure(quoted.wait(LIMIT).await);
        assert_eq!(quoted.kind, FailureKind::Arguments);
        assert!(quoted.message.contains("zzz") && quoted.message.len() <= Failure::MAX_TEXT + 3);
        assert_eq!(small.wait(LIMIT).await.unwrap(), "xxx");
        worker.stop().await.unwrap();
    }

    /// Forty results of 900 kB are more than MariaDB takes in one message.
    async fn results_that_are_too_much_together_are_stored_one_by_one(world: World) {
        let jobs = world.client.delay_all((0..40).map(|_| give(900_000))).await.unwrap();
        let worker = world.start();
        for job in jobs {
            assert_eq!(job.wait(LIMIT).await.unwrap().len(), 900_000);
        }
        worker.stop().await.unwrap();
    }
}

// MariaDB takes 8 MiB, and RabbitMQ 16.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_store_cannot_take_is_set_aside_and_nothing_waits_behind_it() {
    let store = Store::rabbitmq_with_mysql();
    store
        .run(async |store: Store| {
            let client = store.client().await;
            let worker = Worker::builder(client.clone()).build();
            let shutdown = Shutdown::new();
            let stop = shutdown.clone();
            let working = tokio::spawn(async move { worker.run(&stop).await });
            let first = give(1).delay_on(&client).await.unwrap();
            assert_eq!(first.wait(LIMIT).await.unwrap(), "x");

            // Somebody who knows of no store.
            let url = store.url().split_once("&results=").unwrap().0;
            let broker = AmqpBroker::open(AmqpOptions::parse(url).unwrap()).await.unwrap();
            let connection = broker.connection();
            let operate = connection.operate.clone().unwrap();
            let alone = Client::builder(connection).payload_limit(16 << 20).build();
            let large = length("x".repeat(9 << 20)).delay_on(&alone).await.unwrap();
            let small = length("x".to_owned()).delay_on(&alone).await.unwrap();
            let small = client.handle::<usize>(small.id());
            // Until its message is received, the store knows nothing of it.
            let give_up = Instant::now() + LIMIT;
            let mut answer = small.wait(LIMIT).await;
            while matches!(answer, Err(JobError::NotKept { .. })) && Instant::now() < give_up {
                tokio::time::sleep(Duration::from_millis(20)).await;
                answer = client.handle::<usize>(small.id()).wait(LIMIT).await;
            }
            assert_eq!(answer, Ok(1));

            let failed = JobFilter { states: vec![JobState::Failed], ..JobFilter::default() };
            let kept = operate.jobs(&failed).await.unwrap();
            let [kept] = &kept[..] else { panic!("{} jobs are kept", kept.len()) };
            assert_eq!(kept.id, large.id());
            let reason = kept.failure.as_ref().unwrap().to_string();
            assert!(reason.contains("the limit is 8388608"), "{reason}");
            assert!(kept.envelope.len() > 9 << 20);
            operate.purge(&failed).await.unwrap();
            alone.close().await.unwrap();
            shutdown.request();
            working.await.unwrap().unwrap_or_else(|error| panic!("{}", error_chain(&error)));
            client.close().await.unwrap();
        })
        .await;
}

const LIMIT: Duration = Duration::from_secs(60);
