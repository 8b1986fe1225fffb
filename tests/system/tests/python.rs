//! The example of docs/rabbitmq.md: a program in Python stores a job, a worker in Rust runs it.

use std::process::Command;

use hereafter::prelude::*;
use hereafter::worker::{Shutdown, Worker};
use taskservers::RabbitMq;

#[register_task(name = "shop::total")]
fn total(prices: Vec<u64>, copies: u64) -> u64 {
    prices.iter().sum::<u64>() * copies
}

/// Debian's pika is for Debian's Python, which need not be the first on the search path.
fn python() -> &'static str {
    let has_pika = |python: &&str| {
        let asked = Command::new(python).args(["-c", "import pika"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has_pika);
    found.expect("Python has pika: `tests/run --install` installs it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_in_python_has_its_job_run_and_reads_the_result() {
    let server = RabbitMq::shared();
    let prefix = server.schema();
    let client = Client::open(format!("{}?prefix={prefix}", server.url())).await.unwrap();
    let shutdown = Shutdown::new();
    let worker = Worker::builder(client.clone()).build();
    let stop = shutdown.clone();
    let working = tokio::spawn(async move { worker.run(&stop).await });
    // From here on the queue is there.
    let job = total(vec![1, 2], 3).delay_on(&client).await.unwrap();
    assert_eq!(job.await, Ok(9));

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rabbitmq.py");
    let mut command = Command::new(python());
    command.args([script, server.url(), &prefix]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "20\n", "{errors}");

    shutdown.request();
    working.await.unwrap().unwrap();
    client.close().await.unwrap();
}

#[test]
fn the_page_shows_the_program() {
    let page = include_str!("../../../docs/rabbitmq.md");
    let (_, rest) = page.split_once("```python\n").expect("the page has Python in it");
    let (shown, _) = rest.split_once("```").expect("the block ends");
    assert_eq!(shown, include_str!("../../../docs/rabbitmq.py"));
}
