//! Batches so large that their rows are stored in another way.

use std::time::Duration;

use taskbroker_database::DatabaseBroker;
use taskcore::broker::{Broker, Delivery, Due, Enqueued, History, Keep, NewJob, Verdict};
use taskcore::{JobId, Payload, Priority, QueueName};

use crate::rig::{Rig, done, job, jobs, settle, store, take};

/// So many are stored by `COPY` on PostgreSQL, and on MySQL by 500, with some left over.
const MANY: usize = 8_123;

/// The numbers of 1,048,576 jobs that batches took.
async fn batches(rig: &Rig) -> i64 {
    let numbers = "SELECT count(*) FROM (SELECT DISTINCT floor(seq / 1048576) FROM {t}job) AS n";
    rig.raw().await.number(numbers).await
}

/// The highest of them.
async fn last_batch(rig: &Rig) -> i64 {
    let text =
        format!("SELECT CAST(floor(max(seq) / 1048576) AS {}) FROM {{t}}job", crate::rig::INTEGER);
    rig.raw().await.number(&text).await
}

async fn take_all(broker: &DatabaseBroker) -> Vec<Delivery> {
    let mut taken = Vec::new();
    loop {
        let more = take(broker, 5_000).await;
        if more.is_empty() {
            return taken;
        }
        taken.extend(more);
    }
}

fn varied(number: usize) -> NewJob {
    let task = if number.is_multiple_of(3) { "a\0 task\u{10fffe}e" } else { "ein Prüfling ✓" };
    NewJob {
        task: task.into(),
        priority: if number.is_multiple_of(7) { Priority::MAX } else { Priority::default() },
        expires_in: number.is_multiple_of(5).then_some(Duration::from_secs(3600)),
        envelope: Payload::from(number.to_be_bytes().repeat(number % 50)),
        ..job()
    }
}

#[tokio::test]
async fn they_come_back_as_they_were_in_the_order_of_handing_out() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    let mut batch: Vec<_> = (0..MANY).map(varied).collect();
    batch[0].due = Due::After(Duration::from_secs(3600));
    batch[1].queue = QueueName::new("other").unwrap();
    store(&broker, &batch).await;
    assert_eq!((batches(&rig).await, last_batch(&rig).await), (1, 1));
    let taken = take_all(&broker).await;
    let (first, later): (Vec<_>, Vec<_>) =
        batch[2..].iter().partition(|job| job.priority == Priority::MAX);
    let expected: Vec<_> = first.into_iter().chain(later).collect();
    assert_eq!(taken.len(), expected.len());
    for (delivery, job) in taken.iter().zip(expected) {
        assert_eq!(
            (delivery.job, &*delivery.task, &delivery.envelope),
            (job.id, &*job.task, &job.envelope)
        );
    }
    let queues = [QueueName::DEFAULT, QueueName::new("other").unwrap()];
    let waiting = broker.depth(&queues).await.unwrap();
    assert_eq!((waiting[0].scheduled, waiting[1].ready), (Some(1), Some(1)));
    let mut raw = rig.raw().await;
    let expiring = batch.iter().filter(|job| job.expires_in.is_some()).count();
    assert_eq!(raw.number("SELECT count(*) FROM {t}expiry").await, expiring as i64);
    let sums = broker.stats().await.unwrap();
    assert_eq!(sums.iter().map(|sum| sum.stored).sum::<u64>(), MANY as u64);
}

#[tokio::test]
async fn of_jobs_that_are_there_already_the_others_are_stored() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    let batch = jobs(MANY);
    store(&broker, &batch[4_000..4_002]).await;
    let answers = broker.enqueue(&batch).await.unwrap();
    for (place, answer) in answers.into_iter().enumerate() {
        let is_known = (4_000..4_002).contains(&place);
        let expected = if is_known { Enqueued::Duplicate } else { Enqueued::Stored };
        assert_eq!(answer, expected, "{place}");
    }
    assert_eq!(take_all(&broker).await.len(), MANY);
}

/// A late repetition of an enqueue does not run a job again of which nothing was kept.
#[tokio::test]
async fn a_job_that_was_deleted_is_not_stored_again() {
    let rig = Rig::shared();
    let broker = rig.open().await;
    let batch = jobs(MANY);
    let of_batch: Vec<JobId> = batch.iter().map(|job| job.id).collect();
    store(&broker, &batch[1..2]).await;
    let delivery = take(&broker, 1).await.remove(0);
    let mut ignored = done(&delivery);
    let Verdict::Done { keep, .. } = &mut ignored.verdict else { unreachable!() };
    *keep = Keep::Nothing;
    settle(&broker, ignored).await;
    let mut raw = rig.raw().await;
    assert_eq!(raw.number("SELECT count(*) FROM {t}tombstone").await, 1);
    let answers = broker.enqueue(&batch).await.unwrap();
    let repeated: Vec<_> = (0..MANY).filter(|n| answers[*n] == Enqueued::Duplicate).collect();
    assert_eq!(repeated, [1]);
    let taken: Vec<_> = take_all(&broker).await.iter().map(|delivery| delivery.job).collect();
    assert_eq!((taken.len(), taken[0], taken[1]), (MANY - 1, of_batch[0], of_batch[2]));
}
