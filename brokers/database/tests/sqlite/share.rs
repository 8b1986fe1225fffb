//! Several programs on one file.

use std::time::{Duration, Instant};

use taskcore::broker::{Broker, Settled};

use crate::rig::{Rig, done, job, jobs, run, store, take};

#[tokio::test(flavor = "multi_thread")]
async fn two_openings_of_one_file_share_its_jobs_and_give_each_out_once() {
    let rig = Rig::new();
    let (first, second) = (rig.open().await, rig.open().await);
    let (odd, even) = (jobs(500), jobs(500));
    tokio::join!(store(&first, &odd), store(&second, &even));
    let mut seen = Vec::new();
    loop {
        let (left, right) = tokio::join!(take(&first, 30), take(&second, 30));
        if left.is_empty() && right.is_empty() {
            break;
        }
        for (broker, deliveries) in [(&first, left), (&second, right)] {
            let verdicts: Vec<_> = deliveries.iter().map(done).collect();
            let settled = broker.settle(&verdicts).await.unwrap();
            assert!(settled.iter().all(|settled| *settled == Settled::Applied));
            seen.extend(deliveries.into_iter().map(|delivery| delivery.job));
        }
    }
    seen.sort();
    let mut all: Vec<_> = odd.iter().chain(&even).map(|job| job.id).collect();
    all.sort();
    assert_eq!(seen, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_the_lock_of_another_program() {
    let rig = Rig::new();
    let broker = rig.open().await;
    let mut raw = rig.raw().await;
    run(&mut raw, "BEGIN IMMEDIATE").await;
    let call = tokio::spawn({
        let broker = broker.clone();
        async move { broker.enqueue(&[job()]).await }
    });
    // Reads do not wait: that this one answers shows that the lock is what holds up the other.
    assert!(take(&broker, 1).await.is_empty());
    assert!(!call.is_finished());
    run(&mut raw, "COMMIT").await;
    call.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_gets_in_between_the_calls_of_a_busy_program() {
    let rig = Rig::new();
    let busy = rig.open().await;
    store(&busy, &jobs(1)).await;
    let held = take(&busy, 1).await;
    let heartbeat = busy.duplicate().await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (busy, stop) = (busy.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    store(&busy, &jobs(200)).await;
                }
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let started = Instant::now();
        let receipts = [held[0].receipt.clone()];
        heartbeat.extend(&receipts, Duration::from_secs(30)).await.unwrap();
        longest = longest.max(started.elapsed());
    }
    stop.cancel();
    for task in load {
        task.await.unwrap();
    }
    // A third of the usual lease.
    assert!(longest < Duration::from_secs(10), "an extension took {longest:?}");
}
