//! Hostile and extreme input.

use taskcore::Payload;
use taskcore::broker::{BrokerError, JobFilter, NewJob, Reserve};

use crate::harness::Harness;
use crate::lab::*;

/// A name is data: nothing in it is syntax to any store.
pub async fn a_task_may_have_any_name(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let mut names: Vec<String> = HOSTILE.iter().map(|name| (*name).to_owned()).collect();
    names.push("n".repeat(255));
    names.push("é".repeat(127));
    let job = |name: &String| NewJob { task: name.clone().into(), ..plain_job() };
    let jobs: Vec<NewJob> = names.iter().map(job).collect();
    lab.store(&jobs).await;
    let deliveries = lab.reserve_all(jobs.len()).await;
    let delivered: Vec<_> = deliveries.iter().map(|delivery| delivery.task.clone()).collect();
    assert_eq!(delivered, names);
    lab.apply(&deliveries, &failed()).await;
    for (record, name) in lab.failed_records(&ids_of(&jobs)).await.iter().zip(&names) {
        assert_eq!(record.task, *name);
    }
    for job in jobs.iter().filter(|_| !lab.is_transport()) {
        let filter = JobFilter { task: Some(job.task.to_string()), ..JobFilter::default() };
        assert_eq!(lab.listed(&filter).await, [job.id], "{:?}", job.task);
    }
}

/// A filter is a text to compare with, not a pattern.
pub async fn a_filter_matches_whole_names_literally(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    lab.store(&[NewJob { task: "suite::Plain".into(), ..plain_job() }]).await;
    let patterns =
        ["%", "suite::%", "suite::Plai_", "*", ".*", "suite::plain", "suite", "", "' OR 1=1 --"];
    for pattern in patterns {
        let filter = JobFilter { task: Some(pattern.to_owned()), ..JobFilter::default() };
        assert!(lab.listed(&filter).await.is_empty(), "{pattern:?} matched");
        assert_eq!(lab.operate().purge(&filter).await.unwrap(), 0, "{pattern:?} matched");
    }
}

/// The broker does not read what it carries.
pub async fn an_envelope_may_be_any_bytes(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let envelopes: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0],
        vec![0xff; 3],
        (0..=255).collect(),
        b"{\"hereafter\":1".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        b"*3\r\n$3\r\nSET\r\n".to_vec(),
        b"AMQP\x00\x00\x09\x01\xce".to_vec(),
        b"'; DROP TABLE job; --".to_vec(),
        b"\\x41\\000\\N".to_vec(),
    ];
    let job = |bytes: &Vec<u8>| NewJob { envelope: Payload::from(bytes.clone()), ..plain_job() };
    lab.store(&envelopes.iter().map(job).collect::<Vec<_>>()).await;
    let deliveries = lab.reserve_all(envelopes.len()).await;
    let delivered: Vec<_> =
        deliveries.iter().map(|delivery| delivery.envelope.as_slice().to_vec()).collect();
    assert_eq!(delivered, envelopes);
}

/// The default limit of a client.
pub async fn an_envelope_of_one_mebibyte_comes_out_whole(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    // Every byte value, in an order that is different in each job.
    let bytes = |seed: usize| -> Vec<u8> {
        (0..1 << 20).map(|at: usize| (at.wrapping_mul(31 + 2 * seed) >> 3) as u8).collect()
    };
    let job = |seed| NewJob { envelope: bytes(seed).into(), ..plain_job() };
    let jobs: Vec<NewJob> = (0..batch).map(job).collect();
    lab.store(&jobs).await;
    for (job, delivery) in jobs.iter().zip(lab.reserve_all(batch).await) {
        assert!(delivery.envelope == job.envelope, "the bytes have changed");
    }
}

/// It is shown to people, and nothing else.
pub async fn a_worker_may_have_any_name(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let long = "w".repeat(255);
    for name in HOSTILE.into_iter().chain([long.as_str(), ""]) {
        let ids = lab.stored(1).await;
        let request = Reserve { worker: name.to_owned(), ..lab.request(1) };
        assert_eq!(jobs_of(&lab.broker().reserve(&request).await.unwrap()), ids);
        for record in lab.kept_records(&ids).await {
            assert_eq!(record.worker.as_deref(), Some(name));
        }
    }
}

/// Exactly as it is spelt, to the last character of the longest.
pub async fn queues_are_told_apart_by_every_character(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let long = "q".repeat(63);
    let names =
        ["a", "A", "a-", "a.", "a_", "a..", &format!("{long}1"), &format!("{long}2"), &long];
    let jobs: Vec<NewJob> = names.iter().map(|name| in_queue(name)).collect();
    lab.store(&jobs).await;
    for (name, job) in names.iter().zip(&jobs) {
        let request = Reserve { queues: vec![share(name, 9)], ..lab.request(9) };
        let deliveries = lab.broker().reserve(&request).await.unwrap();
        assert_eq!(jobs_of(&deliveries), [job.id], "{name}");
        assert_eq!(deliveries[0].queue.as_str(), *name);
    }
}

/// Nothing of it is stored, and repeating it is no help.
pub async fn a_batch_above_the_limit_is_refused_as_a_whole(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let limit = lab.broker().capabilities().max_batch;
    let jobs = plain_jobs(limit + 1);
    assert_refused(lab.broker().enqueue(&jobs).await);
    lab.assert_depth(Counts::default()).await;
}

/// Its neighbours are not stored either: all or none.
pub async fn a_batch_with_an_envelope_above_the_limit_is_refused_as_a_whole(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let limit = lab.broker().capabilities().max_envelope;
    let large = NewJob { envelope: vec![0; limit + 1].into(), ..plain_job() };
    assert_too_large(lab.broker().enqueue(&[plain_job(), large, plain_job()]).await);
    lab.assert_depth(Counts::default()).await;
}

/// So is one of a task whose name is longer than any store has room for.
pub async fn a_batch_with_a_name_above_the_limit_is_refused_as_a_whole(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let long = NewJob { task: "n".repeat(NewJob::MAX_TASK + 1).into(), ..plain_job() };
    assert_too_large(lab.broker().enqueue(&[plain_job(), long, plain_job()]).await);
    lab.assert_depth(Counts::default()).await;
}

/// Nothing in, nothing out, for whatever takes a batch.
pub async fn an_empty_batch_answers_an_empty_list(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    lab.leased(1).await;
    assert!(lab.broker().enqueue(&[]).await.unwrap().is_empty());
    assert!(lab.broker().settle(&[]).await.unwrap().is_empty());
    assert!(lab.broker().extend(&[], lab.ticks(9)).await.unwrap().is_empty());
    assert!(lab.broker().depth(&[]).await.unwrap().is_empty());
    if !lab.is_transport() {
        assert!(lab.outcomes(&[]).await.is_empty());
        assert!(lab.cancel(&[]).await.is_empty());
    }
    let request = Reserve { queues: Vec::new(), ..lab.request(1) };
    assert!(lab.broker().reserve(&request).await.unwrap().is_empty());
    lab.assert_depth(Counts::running(1)).await;
}

fn assert_too_large<T: std::fmt::Debug>(answer: Result<T, BrokerError>) {
    let error = answer.expect_err("a call above a limit must be refused");
    assert!(matches!(error, BrokerError::TooLarge { .. }), "{error:?}");
    assert!(!error.is_transient());
}

fn assert_refused<T: std::fmt::Debug>(answer: Result<T, BrokerError>) {
    let error = answer.expect_err("a call above a limit must be refused");
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    assert!(!error.is_transient());
}
