//! Cases of RabbitMQ: what `django_distributed_task` does on AMQP, and what waits, where only real time
//! lets a delay pass.

use std::process::Command;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use hereafter::prelude::*;
use hereafter::{Backoff, QueueName};
use taskservers::RabbitMq;
use tasksystem::tasks::{no_op, sleep_and_note};
use tasksystem::{Journal, World, on_stores, on_worlds};

use crate::{LIMIT, PROGRAM, lines, until_written};

on_stores! {
    [rabbitmq rabbitmq_with_sqlite rabbitmq_with_postgres];

    async fn ddt_13_a_worker_in_drain_mode_runs_the_oldest_first_empties_the_queue_and_exits(
        store: Store,
    ) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        for id in 0..3 {
            sleep_and_note(&ledger, id, 0).ignore_result().delay_on(&client).await.unwrap();
        }
        let mut worker = store.start(PROGRAM, &["run", "--burst", "--concurrency", "1"]);
        let status = tokio::task::spawn_blocking(move || worker.wait(LIMIT)).await.unwrap();
        assert_eq!(status.code(), Some(0));
        assert_eq!(lines(&ledger), ["start 0", "end 0", "start 1", "end 1", "start 2", "end 2"]);
        assert_eq!(ready(&client).await, 0);
    }

    async fn ddt_17_a_worker_goes_on_after_its_server_was_restarted(store: Store) {
        let mut server = RabbitMq::start();
        let store = store.at(&server.url());
        let (client, ledger) = (store.client().await, store.file("ledger"));
        let mut worker = store.start(PROGRAM, &["run", "--concurrency", "2"]);
        let note = |id| sleep_and_note(&ledger, id, 200).delay_on(&client);
        let before = try_join_all((0..20).map(note)).await.unwrap();
        until_written(&ledger, "end 3").await;
        // What runs now runs again, where no store has its verdict.
        let server = tokio::task::spawn_blocking(move || {
            server.restart();
            server
        });
        let _server = server.await.unwrap();
        let after = try_join_all((20..25).map(note)).await.unwrap();
        for job in before.into_iter().chain(after) {
            job.wait(LIMIT).await.unwrap();
        }
        assert_eq!(worker.ended(), None, "it is the same worker");
        let ran = lines(&ledger);
        assert!((0..25).all(|id| ran.contains(&format!("end {id}"))), "{ran:?}");
    }
}

on_stores! {
    [rabbitmq];

    // ZTASK-16: with processes.
    async fn ztask_16_a_delayed_job_outlives_its_client_and_a_killed_worker(store: Store) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        let first = store.start(PROGRAM, &["run"]);
        no_op(0, "is it there?").delay_on(&client).await.unwrap().wait(LIMIT).await.unwrap();
        let (wait, stored) = (Duration::from_millis(1_500), Instant::now());
        client.scope(sleep_and_note(&ledger, 1, 0).call_after(wait)).await.unwrap();
        client.close().await.unwrap();
        first.kill();
        let _worker = store.start(PROGRAM, &["run"]);
        until_written(&ledger, "end 1").await;
        assert!(stored.elapsed() >= wait);
    }
}

/// Fails until it has been tried three times.
#[register_task(name = "amqp::third_time", retries = 2)]
async fn third_time(State(journal): State<Journal>) -> Result<usize, String> {
    journal.write("tried");
    match journal.lines().len() {
        3 => Ok(3),
        tried => Err(format!("tried {tried} times")),
    }
}

on_worlds! {
    [rabbitmq]; World::EVENTS;

    async fn ztask_11_a_job_that_fails_twice_is_done_at_its_third_attempt(world: World) {
        let running = world.start();
        let (wait, stored) = (Duration::from_millis(300), Instant::now());
        let job = third_time().backoff(Backoff::fixed(wait)).delay().await.unwrap();
        assert_eq!(job.wait(LIMIT).await, Ok(3));
        assert!(stored.elapsed() >= 2 * wait);
        running.stop().await.unwrap();
        assert_eq!(world.journal.lines().len(), 3);
    }
}

// DDT-16: in words, and with the URL; the password is not shown.
#[tokio::test]
async fn ddt_16_a_worker_does_not_start_while_its_server_is_down() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("amqp://app:secret@127.0.0.1:{port}");
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--url", &url]).env_remove("HEREAFTER_URL");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    // As the command line has it: the broker cannot be reached.
    assert_eq!(output.status.code(), Some(3), "{told}");
    let refused = format!("no RabbitMQ answers at `amqp://127.0.0.1:{port}//`");
    assert!(told.contains(&refused) && !told.contains("secret"), "{told}");
}

// DDT-16: once it has started, it waits.
#[tokio::test(flavor = "multi_thread")]
async fn ddt_16_a_job_stored_while_the_server_is_down_is_an_error_and_no_hang() {
    let mut server = RabbitMq::start();
    let client = Client::open(server.url()).await.unwrap();
    no_op(1, "one").delay_on(&client).await.unwrap();
    server.stop();
    let delayed = tokio::time::timeout(LIMIT, no_op(2, "two").delay_on(&client)).await;
    let error = hereafter::error_chain(&delayed.expect("it does not hang").unwrap_err());
    assert!(error.contains("cannot reach amqp"), "{error}");
}

/// Jobs that wait.
async fn ready(client: &Client) -> u64 {
    let broker = &client.connection().unwrap().broker;
    broker.depth(&[QueueName::DEFAULT]).await.unwrap()[0].ready.unwrap()
}
