//! What happened: how much of it is kept, and what older programs leave.

use std::time::Duration;

use taskbroker_database::sqlite::SqliteBroker;
use taskcore::broker::{
    AttemptEnd, Broker, EventId, EventKind, Events, History, JobState, NewJob, Receipt, Reports,
    Settled, Settlement, Verdict,
};

use crate::rig::{Rig, done, job, jobs, number, report, run, settle, store, take, with_events};

async fn events(broker: &SqliteBroker, after: u64, max: u32) -> Events {
    broker.events(Some(EventId(after)), max, Duration::ZERO).await.unwrap()
}

#[tokio::test]
async fn old_events_are_deleted_and_a_large_batch_is_cut() {
    let rig = Rig::new();
    let broker = with_events(&rig, 10).await;
    let mut raw = rig.raw().await;
    for _ in 0..25 {
        store(&broker, &[job()]).await;
        assert!(number(&mut raw, "SELECT count(*) FROM hereafter_event").await <= 10);
    }
    let found = events(&broker, 3, 100).await;
    assert_eq!((found.missed, found.events.len(), found.next), (12, 10, EventId(25)));
    let batch = jobs(30);
    store(&broker, &batch).await;
    let found = events(&broker, 25, 100).await;
    assert_eq!((found.missed, found.next), (20, EventId(55)));
    let told: Vec<_> = found.events.iter().map(|event| event.job).collect();
    assert_eq!(told, batch[20..].iter().map(|job| job.id).collect::<Vec<_>>());
    let found = events(&broker, 50, 2).await;
    assert_eq!((found.missed, found.events.len(), found.next), (0, 2, EventId(52)));
    let size = "SELECT sum(length(events)) FROM hereafter_event";
    assert_eq!(number(&mut raw, size).await, 10 * 17);
}

#[tokio::test]
async fn without_events_nothing_of_them_is_written() {
    let rig = Rig::new();
    let broker = with_events(&rig, 0).await;
    store(&broker, &jobs(3)).await;
    assert_eq!(number(&mut rig.raw().await, "SELECT count(*) FROM hereafter_event").await, 0);
    assert_eq!(broker.events(None, 9, Duration::ZERO).await.unwrap().next, EventId::START);
    assert_eq!(broker.stats().await.unwrap()[0].stored, 3);
}

#[tokio::test]
async fn a_call_that_fails_is_no_event_and_in_no_sum() {
    let rig = Rig::new();
    let broker = rig.open().await;
    store(&broker, &[job()]).await;
    let mut raw = rig.raw().await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON hereafter_ready
         BEGIN SELECT raise(ABORT, 'no'); END";
    run(&mut raw, refuse).await;
    let new = NewJob { task: "other".into(), ..job() };
    broker.enqueue(std::slice::from_ref(&new)).await.unwrap_err();
    run(&mut raw, "DROP TRIGGER refuse").await;
    assert_eq!(events(&broker, 0, 9).await.events.len(), 1);
    assert_eq!(broker.stats().await.unwrap().len(), 1);
    store(&broker, &[new]).await;
    let found = events(&broker, 1, 9).await.events;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id, found[0].task.as_deref()), (EventId(2), Some("other")));
    let stored: Vec<_> = broker.stats().await.unwrap().iter().map(|task| task.stored).collect();
    assert_eq!(stored, [1, 1]);
}

/// As a program had it that was upgraded while its worker ran.
#[tokio::test]
async fn a_receipt_of_an_older_program_settles_extends_and_reports() {
    let rig = Rig::new();
    let broker = rig.open().await;
    store(&broker, &jobs(2)).await;
    let mut taken = take(&broker, 2).await;
    for delivery in &mut taken {
        let bytes = delivery.receipt.as_slice();
        delivery.receipt = Receipt::new([&bytes[..16], &bytes[40..]].concat());
    }
    let reports = [report(&taken[0], 0, Vec::new())];
    assert_eq!(broker.report(&reports).await.unwrap(), [Settled::Applied]);
    settle(&broker, done(&taken[0])).await;
    let (job, receipt) = (taken[1].job, taken[1].receipt.clone());
    settle(&broker, Settlement { job, receipt, verdict: Verdict::Release }).await;
    assert_eq!(broker.settle(&[done(&taken[0])]).await.unwrap(), [Settled::Stale]);
    let kinds: Vec<_> =
        events(&broker, 4, 9).await.events.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Done, EventKind::Released]);
    let timeline = broker.timeline(taken[0].job).await.unwrap().unwrap();
    assert_eq!((timeline.state, timeline.attempts.len()), (JobState::Done, 1));
    // What the receipt did not say is not made up.
    assert_eq!(broker.stats().await.unwrap()[0].runs, 0);
}

#[tokio::test]
async fn the_latest_hundred_deliveries_of_a_job_are_kept() {
    let rig = Rig::new();
    let broker = rig.open().await;
    store(&broker, &[job()]).await;
    for _ in 0..110 {
        let delivery = take(&broker, 1).await.remove(0);
        let (job, receipt) = (delivery.job, delivery.receipt);
        settle(&broker, Settlement { job, receipt, verdict: Verdict::Release }).await;
    }
    let delivery = take(&broker, 1).await.remove(0);
    let timeline = broker.timeline(delivery.job).await.unwrap().unwrap();
    assert_eq!(timeline.attempts.len(), 101);
    assert!(timeline.attempts[..100].iter().all(|it| it.end == Some(AttemptEnd::Released)));
    assert_eq!(timeline.attempts[100].end, None);
    let first = "SELECT min(number) FROM hereafter_attempt";
    assert_eq!(number(&mut rig.raw().await, first).await, 11);
}
