//! Brokers that work on the same jobs at the same time, as processes do.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::{join, join_all, try_join_all};
use taskbroker_database::DatabaseBroker;
use taskcore::JobId;
use taskcore::broker::{
    Broker, CancelScope, Enqueued, Extended, Input, Maintain, NewJob, OnConflict, Operate, Settled,
    Settlement, Unique, UniqueScope, Verdict,
};

use crate::rig::{Rig, done, in_time, job, jobs, request, settle, store, take};

async fn brokers(rig: &Rig, count: usize) -> Vec<Arc<DatabaseBroker>> {
    join_all((0..count).map(|_| rig.open())).await
}

async fn drain(broker: Arc<DatabaseBroker>) -> Vec<JobId> {
    let mut taken = Vec::new();
    loop {
        let deliveries = take(&broker, 37).await;
        if deliveries.is_empty() {
            return taken;
        }
        taken.extend(deliveries.iter().map(|delivery| delivery.job));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_brokers_are_given_each_job_of_a_queue_once() {
    let rig = Rig::shared();
    let brokers = brokers(&rig, 4).await;
    let all = jobs(2000);
    store(&brokers[0], &all).await;
    let drains = brokers.iter().map(|broker| tokio::spawn(drain(broker.clone())));
    let taken: Vec<_> = in_time(try_join_all(drains)).await.unwrap().concat();
    assert_eq!(taken.len(), 2000);
    let taken: HashSet<_> = taken.into_iter().collect();
    assert_eq!(taken, all.iter().map(|job| job.id).collect());
    // What one passes over because others were taking it is not lost.
    assert!(take(&brokers[0], 10).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_verdicts_with_one_receipt_one_counts() {
    let rig = Rig::shared();
    let (one, other) = (rig.open().await, rig.open().await);
    store(&one, &jobs(40)).await;
    for delivery in take(&one, 40).await {
        let verdicts = [done(&delivery)];
        let (a, b) = in_time(join(one.settle(&verdicts), other.settle(&verdicts))).await;
        let mut answers = [a.unwrap(), b.unwrap()].concat();
        answers.sort_by_key(|answer| *answer == Settled::Stale);
        assert_eq!(answers, [Settled::Applied, Settled::Stale]);
    }
    let rows = rig.raw().await.number("SELECT count(*) FROM {t}outcome").await;
    assert_eq!(rows, 40);
}

#[tokio::test]
async fn of_two_receipts_of_one_job_in_a_batch_the_current_one_counts() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    store(&broker, &jobs(1)).await;
    let stale = take(&broker, 1).await.remove(0);
    settle(&broker, Settlement { verdict: Verdict::Release, ..done(&stale) }).await;
    let current = take(&broker, 1).await.remove(0);
    let settled = broker.settle(&[done(&stale), done(&current), done(&current)]).await.unwrap();
    assert_eq!(settled, [Settled::Stale, Settled::Applied, Settled::Stale]);
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_on_leases_that_are_being_extended_count() {
    let rig = Rig::shared();
    let (worker, heartbeat) = (rig.open().await, rig.open().await);
    for _ in 0..20 {
        store(&worker, &jobs(100)).await;
        let deliveries = take(&worker, 100).await;
        let receipts: Vec<_> = deliveries.iter().map(|it| it.receipt.clone()).collect();
        let verdicts: Vec<_> = deliveries.iter().map(done).collect();
        let lease = std::time::Duration::from_secs(30);
        let calls = join(heartbeat.extend(&receipts, lease), worker.settle(&verdicts));
        let (extended, settled) = in_time(calls).await;
        extended.unwrap();
        assert_eq!(settled.unwrap(), [Settled::Applied; 100]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_somebody_has_locked_is_extended_once_it_is_free() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    store(&broker, &jobs(1)).await;
    let receipt = take(&broker, 1).await.remove(0).receipt;
    let mut raw = rig.raw().await;
    let end = "SELECT lease_end FROM {t}running";
    let before = raw.number(end).await;
    raw.run("BEGIN").await;
    raw.number(&format!("{end} FOR UPDATE")).await;
    let lease = std::time::Duration::from_secs(3_600);
    let unlock = async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        raw.run("COMMIT").await;
    };
    let receipts = [receipt];
    let (extended, ()) = in_time(join(broker.extend(&receipts, lease), unlock)).await;
    assert_eq!(extended.unwrap(), [Extended::Held]);
    assert!(raw.number(end).await > before + 3_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_stored_while_others_of_the_same_broker_wait_for_somebody() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    let [held, free] = [jobs(1), jobs(1)];
    store(&broker, &held).await;
    let mut raw = rig.raw().await;
    let seq = raw.number("SELECT seq FROM {t}job").await;
    raw.run("BEGIN").await;
    // Until that ends nobody knows whether the job is stored.
    raw.run(&format!("DELETE FROM {{t}}job WHERE seq = {seq}")).await;
    let waiting = broker.clone();
    let waiting = tokio::spawn(async move { waiting.enqueue(&held).await });
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    assert!(!waiting.is_finished());
    assert_eq!(in_time(broker.enqueue(&free)).await.unwrap(), [Enqueued::Stored]);
    assert!(!waiting.is_finished());
    raw.run("ROLLBACK").await;
    assert_eq!(in_time(waiting).await.unwrap().unwrap(), [Enqueued::Duplicate]);
}

#[tokio::test]
async fn a_large_batch_that_is_stored_in_part_already_is_completed() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    let batch = jobs(700);
    store(&broker, &batch[300..302]).await;
    let answers = broker.enqueue(&batch).await.unwrap();
    for (place, answer) in answers.into_iter().enumerate() {
        let is_known = (300..302).contains(&place);
        let expected = if is_known { Enqueued::Duplicate } else { Enqueued::Stored };
        assert_eq!(answer, expected, "{place}");
    }
    assert_eq!(take(&broker, 1000).await.len(), 700);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_from_two_brokers_at_once_is_stored_once() {
    let rig = Rig::shared();
    let (one, other) = (rig.open().await, rig.open().await);
    for _ in 0..30 {
        let batch = jobs(20);
        let (a, b) = in_time(join(one.enqueue(&batch), other.enqueue(&batch))).await;
        let pairs: Vec<_> = a.unwrap().into_iter().zip(b.unwrap()).collect();
        for (a, b) in pairs {
            let mut answers = [a, b];
            answers.sort_by_key(|answer| *answer == Enqueued::Duplicate);
            assert_eq!(answers, [Enqueued::Stored, Enqueued::Duplicate]);
        }
    }
    assert_eq!(take(&one, 1000).await.len(), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_ids_in_another_order_are_stored_once_and_nobody_is_told_of_a_deadlock() {
    let rig = Rig::shared();
    let (one, other) = (rig.open().await, rig.open().await);
    for _ in 0..2 {
        let batch = jobs(2000);
        let reversed: Vec<_> = batch.iter().rev().cloned().collect();
        let (a, b) = in_time(join(one.enqueue(&batch), other.enqueue(&reversed))).await;
        let answers = [a.unwrap(), b.unwrap()].concat();
        let stored = answers.iter().filter(|answer| **answer == Enqueued::Stored).count();
        assert_eq!(stored, 2000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_input_ends_while_it_is_stored_runs() {
    let rig = Rig::shared();
    let (one, other) = (rig.open().await, rig.open().await);
    for _ in 0..60 {
        store(&one, &jobs(2)).await;
        let inputs = take(&one, 2).await;
        assert_eq!(inputs.len(), 2);
        let input = |at: usize| Input { job: inputs[at].job, tolerant: false, owned: false };
        let dependant = NewJob { inputs: vec![input(0), input(1)], ..job() };
        let (first, second) = ([done(&inputs[0])], [done(&inputs[1])]);
        let settled = join(one.settle(&first), one.settle(&second));
        let batch = [dependant];
        let (stored, (a, b)) = in_time(join(other.enqueue(&batch), settled)).await;
        assert_eq!(stored.unwrap(), [Enqueued::Stored]);
        assert_eq!([a.unwrap(), b.unwrap()].concat(), [Settled::Applied; 2]);
        let taken = take(&one, 2).await;
        assert_eq!(taken.len(), 1, "its release was lost");
        assert_eq!(taken[0].job, batch[0].id);
        assert_eq!(one.settle(&[done(&taken[0])]).await.unwrap(), [Settled::Applied]);
    }
}

fn with_key(key: &str) -> NewJob {
    let (scope, on_conflict) = (UniqueScope::Unfinished, OnConflict::Fail);
    NewJob { unique: Some(Unique { key: key.to_owned(), scope, on_conflict }), ..job() }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_jobs_with_one_key_one_is_stored_and_the_others_are_told_which() {
    let rig = Rig::shared();
    let brokers = brokers(&rig, 4).await;
    for round in 0..20 {
        let key = format!("key {round}");
        let batches: Vec<_> = brokers.iter().map(|_| [with_key(&key)]).collect();
        let calls = brokers.iter().zip(&batches).map(|(broker, batch)| broker.enqueue(batch));
        let answers = in_time(try_join_all(calls)).await.unwrap().concat();
        let stored = answers.iter().position(|answer| *answer == Enqueued::Stored).unwrap();
        let winner = Enqueued::Conflict(batches[stored][0].id);
        assert_eq!(answers.iter().filter(|answer| **answer == winner).count(), 3, "{answers:?}");
    }
}

/// Everything that takes locks, in a loop.
async fn mix(broker: Arc<DatabaseBroker>, own: usize) -> usize {
    let mut settled = 0;
    for round in 0..25 {
        let mut batch = jobs(5);
        batch.push(with_key(&format!("key {}", round % 3)));
        let input = Input { job: batch[0].id, tolerant: false, owned: true };
        batch.push(NewJob { inputs: vec![input], ..job() });
        broker.enqueue(&batch).await.unwrap();
        let deliveries = broker.reserve(&request(6, std::time::Duration::ZERO)).await.unwrap();
        let receipts: Vec<_> = deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
        broker.extend(&receipts, std::time::Duration::from_secs(30)).await.unwrap();
        if round % 5 == own {
            let ids: Vec<_> = batch.iter().map(|job| job.id).collect();
            broker.cancel(&ids, CancelScope::WithInputs).await.unwrap();
        }
        let verdicts: Vec<_> = deliveries.iter().map(done).collect();
        let answers = broker.settle(&verdicts).await.unwrap();
        settled += answers.iter().filter(|answer| **answer == Settled::Applied).count();
        broker.maintain(&Maintain::default()).await.unwrap();
    }
    settled
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_at_once_nobody_waits_in_a_circle() {
    let rig = Rig::shared();
    let brokers = brokers(&rig, 4).await;
    let mixes = (0..).zip(&brokers).map(|(own, broker)| tokio::spawn(mix(broker.clone(), own)));
    let settled: usize = in_time(try_join_all(mixes)).await.unwrap().into_iter().sum();
    let mut raw = rig.raw().await;
    assert_eq!(
        raw.number("SELECT count(*) FROM {t}outcome WHERE state = 'done'").await,
        i64::try_from(settled).unwrap()
    );
    // Every job is in exactly one state.
    let places = "SELECT count(*) FROM {t}job AS j WHERE 1 <>
         (SELECT count(*) FROM (SELECT seq FROM {t}ready UNION ALL SELECT seq FROM {t}scheduled
             UNION ALL SELECT seq FROM {t}running UNION ALL SELECT seq FROM {t}outcome
             UNION ALL SELECT seq FROM {t}blocked WHERE broken = 0) AS t WHERE t.seq = j.seq)";
    assert_eq!(raw.number(places).await, 0);
}
