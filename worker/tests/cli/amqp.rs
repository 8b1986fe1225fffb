//! The command line on a RabbitMQ server, alone and with a store.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::Value;
use taskcore::broker::{Delivery, QueueShare, Reserve, Settled, Settlement, Verdict};
use taskcore::{Failure, QueueName};
use taskservers::RabbitMq;
use tokio_util::sync::CancellationToken;

use crate::support::{System, ends_with};
use crate::tasks::refuse;

/// Queues of their own on the server that tests share.
fn system() -> System {
    let server = RabbitMq::shared();
    System::at(format!("{}?prefix={}", server.url(), server.schema()))
}

/// With a job that has failed, and one that waits. Alone it runs no worker with a task that has a
/// schedule, as one of the tests' has.
fn populated(system: &System) {
    system.client(async |client| {
        refuse("not today".to_owned()).delay_on(client).await.unwrap();
        let broker = &client.connection().unwrap().broker;
        let taken = broker.reserve(&one()).await.unwrap();
        let Delivery { job, task, receipt, .. } = taken[0].clone();
        let failure = Failure { message: "not today".to_owned(), ..Failure::lost(job, task, 1, 3) };
        let verdict = Verdict::Failed { failure };
        let settled = broker.settle(&[Settlement { job, receipt, verdict }]).await.unwrap();
        assert_eq!(settled, [Settled::Applied]);
        refuse("not here".to_owned()).queue("other").delay_on(client).await.unwrap();
    });
}

fn one() -> Reserve {
    Reserve {
        queues: vec![QueueShare { queue: QueueName::DEFAULT, max: NonZeroU32::MIN }],
        max: NonZeroU32::MIN,
        lease: Duration::from_secs(30),
        wait: Duration::from_secs(30),
        interrupt: CancellationToken::new(),
        worker: "test".to_owned(),
    }
}

#[test]
fn the_store_comes_from_the_flag_then_the_variable_then_the_file() {
    // The store is looked for first, so no server is needed.
    let system = System::at("amqp://127.0.0.1:1".to_owned());
    let file = format!("results = '{}'", system.url_of("file.db"));
    std::fs::write(system.path("hereafter.toml"), file).unwrap();
    let (flag, variable) = (system.url_of("flag.db"), system.url_of("variable.db"));
    for (args, variable, opened) in [
        (&["--results", &flag][..], variable.as_str(), "flag.db"),
        (&[], &variable, "variable.db"),
        (&[], "", "file.db"),
    ] {
        let mut command = system.hereafter();
        command.args(["queues", "list"]).args(args).env("HEREAFTER_RESULTS", variable);
        let error = ends_with(3, &mut command);
        assert!(error.contains(opened) && error.contains("there is no such file"), "{error}");
    }
}

#[test]
fn a_store_beside_a_broker_that_keeps_results_is_refused_with_what_to_do() {
    let system = System::with_store();
    let error = system.refused(3, &["queues", "list", "--results", "postgres://me:secret@host/x"]);
    for part in ["keeps results itself", "HEREAFTER_RESULTS", "`amqp://` URL"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn a_store_beside_one_that_the_url_names_is_refused_with_what_to_do() {
    let system = System::at("amqp://host?results=sqlite%3A%2F%2Fa.db".to_owned());
    let error = system.refused(3, &["queues", "list", "--results", "sqlite://b.db"]);
    assert!(error.contains("remove one of the two"), "{error}");
}

#[test]
fn queues_are_listed_with_what_the_server_counts() {
    let system = system();
    populated(&system);
    let queues = system.json(&["queues", "list"]);
    let of = |name: &str| {
        let is_it = |queue: &&Value| queue["queue"] == name;
        queues.as_array().unwrap().iter().find(is_it).unwrap().clone()
    };
    let (default, other) = (of("default"), of("other"));
    assert_eq!((&default["ready"], &default["failed"]), (&0.into(), &1.into()));
    assert_eq!((&other["ready"], &other["failed"]), (&1.into(), &0.into()));
    // What it does not count is not given as none.
    assert_eq!((&other["scheduled"], &other["running"]), (&Value::Null, &Value::Null));
    assert_eq!(other["consumers"], 0);
}

#[test]
fn failed_jobs_are_listed_and_replayed() {
    let system = system();
    populated(&system);
    let failed = || system.json(&["jobs", "list", "--state", "failed"]);
    let before = failed();
    assert_eq!(before[0]["task"], "refuse");
    assert_eq!(before[0]["failure"]["message"], "not today");
    let replayed = system.json(&["replay", "--all", "--yes"]);
    assert_eq!(replayed["jobs"][0], before[0]["id"]);
    assert_eq!(failed().as_array().unwrap().len(), 0);
    assert_eq!(system.json(&["queues", "list"])[0]["ready"], 1);
}

#[test]
fn what_takes_a_store_is_refused_with_how_to_add_one() {
    let system = system();
    populated(&system);
    for args in [
        &["jobs", "list"][..],
        &["queues", "pause", "other"],
        &["queues", "purge", "other", "--yes"],
        &["jobs", "cancel", "01a1fe49-46e5-70b9-8fa4-50ca3f39e325"],
    ] {
        let error = system.refused(1, args);
        assert!(error.contains("add a result store, `results=URL`"), "{args:?}: {error}");
    }
}

#[test]
fn doctor_looks_over_a_server_alone() {
    let system = system();
    populated(&system);
    let told = system.text(&["doctor"]);
    for part in ["amqp: durable jobs, no results, no deduplication by id", "alarms", "queue other"]
    {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn with_a_store_every_job_is_listed() {
    let alone = system();
    let store = alone.url_of("tasks.db");
    let system = System::at(taskbroker_connect::with_results(alone.url(), &store).unwrap());
    populated(&system);
    let mut command = alone.hereafter();
    let listing = command.args(["jobs", "list", "--json", "--results", &store]);
    let listed: Value = serde_json::from_slice(&listing.output().unwrap().stdout).unwrap();
    let states: Vec<&Value> = listed.as_array().unwrap().iter().map(|job| &job["state"]).collect();
    assert_eq!(states, ["ready", "failed"]);
}
