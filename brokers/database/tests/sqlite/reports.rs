//! What jobs say, in large numbers, and what becomes of it.

use std::time::Duration;

use taskbroker_database::sqlite::SqliteBroker;
use taskcore::broker::{
    Broker, FindingLevel, Items, JobFilter, Keep, Maintain, Operate, ReadItems, Reports,
    Settlement, Verdict,
};
use taskcore::{Clock, JobId, Payload};

use crate::rig::{Rig, done, job, jobs, number, report, run, say, settle, store, take};

/// Every row of what jobs have said.
const ROWS: &str = "SELECT (SELECT count(*) FROM hereafter_report)
     + (SELECT count(*) FROM hereafter_log) + (SELECT count(*) FROM hereafter_chunk)";

fn item(index: u64) -> Payload {
    format!("item {index} of a stream that is long").into_bytes().into()
}

async fn page(broker: &SqliteBroker, job: JobId, from: u64, max: u32) -> Items {
    let read = ReadItems { job, run: None, from, max };
    broker.items(&read, Duration::ZERO).await.unwrap()
}

#[tokio::test]
async fn a_stream_of_a_hundred_thousand_items_is_few_rows_and_read_in_pages() {
    let rig = Rig::new();
    let broker = rig.open().await;
    store(&broker, &[job()]).await;
    let delivery = take(&broker, 1).await.remove(0);
    let (all, step) = (100_000, 2_500);
    for first in (0..all).step_by(step as usize) {
        // Some are repeated, as after an unknown answer.
        let from = first - first.min(10);
        say(&broker, report(&delivery, from, (from..first + step).map(item).collect())).await;
    }
    let chunks = number(&mut rig.raw().await, "SELECT count(*) FROM hereafter_chunk").await;
    assert!((40..=200).contains(&chunks), "{chunks} rows");
    let mut from = 0;
    while from < all {
        let page = page(&broker, delivery.job, from, 7_000).await;
        assert_eq!((page.first, page.total, page.run), (from, all, Some(1)));
        assert!(!page.items.is_empty() && page.items.len() <= 7_000);
        for (index, found) in (from..).zip(&page.items) {
            assert_eq!(*found, item(index));
        }
        from += page.items.len() as u64;
    }
    assert_eq!(from, all);
    let middle = page(&broker, delivery.job, 54_321, 1).await;
    assert_eq!((middle.first, middle.items), (54_321, vec![item(54_321)]));
    assert!(page(&broker, delivery.job, all, 9).await.items.is_empty());
}

#[tokio::test]
async fn what_a_job_has_said_is_deleted_with_it_in_every_way() {
    let rig = Rig::new();
    let clock = Clock::system();
    let broker = SqliteBroker::open(rig.options().clock(clock.clone())).await.unwrap();
    let mut raw = rig.raw().await;
    store(&broker, &jobs(4)).await;
    for delivery in &take(&broker, 4).await {
        say(&broker, report(delivery, 0, vec![item(0)])).await;
        let verdict = match number(&mut raw, "SELECT count(*) FROM hereafter_outcome").await {
            0 | 1 => done(delivery).verdict,
            _ => Verdict::Done { result: None, keep: Keep::Nothing },
        };
        let (job, receipt) = (delivery.job, delivery.receipt.clone());
        settle(&broker, Settlement { job, receipt, verdict }).await;
    }
    assert_eq!(number(&mut raw, ROWS).await, 2 * 3, "two were settled with nothing to keep");
    let one = broker.jobs(&JobFilter { limit: Some(1), ..JobFilter::default() }).await.unwrap();
    let one = JobFilter { ids: Some(vec![one[0].id]), ..JobFilter::default() };
    assert_eq!(broker.purge(&one).await.unwrap(), 1);
    assert_eq!(number(&mut raw, ROWS).await, 3);
    clock.advance(Duration::from_secs(7200));
    assert_eq!(broker.maintain(&Maintain::default()).await.unwrap().pruned, 1);
    assert_eq!(number(&mut raw, ROWS).await, 0);
}

#[tokio::test]
async fn what_is_left_of_a_deleted_job_is_found_and_falls_on_no_other() {
    let rig = Rig::new();
    let broker = rig.open().await;
    store(&broker, &[job()]).await;
    let delivery = take(&broker, 1).await.remove(0);
    say(&broker, report(&delivery, 0, vec![item(0)])).await;
    run(&mut rig.raw().await, "DELETE FROM hereafter_running; DELETE FROM hereafter_job").await;
    let findings = broker.check().await.unwrap();
    let found = findings.iter().find(|finding| finding.subject == "left-over rows").unwrap();
    assert_eq!(found.level, FindingLevel::Warning);
    assert!(found.detail.starts_with("3 rows"), "{}", found.detail);
    let next = job();
    store(&broker, std::slice::from_ref(&next)).await;
    assert!(broker.log(next.id).await.unwrap().is_empty());
    assert_eq!(page(&broker, next.id, 0, 9).await.run, None);
}
