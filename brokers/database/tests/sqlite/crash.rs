//! Processes that are killed.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::str::FromStr;
use std::time::Duration;

use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskcore::broker::{Broker, Maintain, Operate};
use taskcore::{Clock, JobId};

use crate::rig::{Rig, block_on, child, done, is_child, jobs, store, take};

/// Stores, takes and settles without an end, and tells what was answered.
async fn work_until_killed(path: &std::path::Path) {
    let broker = SqliteBroker::open(SqliteOptions::file(path)).await.unwrap();
    loop {
        let batch = jobs(20);
        store(&broker, &batch).await;
        for job in &batch {
            println!("stored={}", job.id);
        }
        let taken = take(&broker, 10).await;
        broker.settle(&taken[..5].iter().map(done).collect::<Vec<_>>()).await.unwrap();
        for delivery in &taken[..5] {
            println!("done={}", delivery.job);
        }
    }
}

#[test]
fn a_writer_that_is_killed_leaves_a_sound_file_with_all_that_it_was_answered() {
    if let Some(path) = is_child() {
        return block_on(work_until_killed(&path));
    }
    let rig = Rig::new();
    let test = "crash::a_writer_that_is_killed_leaves_a_sound_file_with_all_that_it_was_answered";
    let (mut stored, mut finished) = (HashSet::new(), HashSet::new());
    for _ in 0..3 {
        let mut process = child(test, &rig.path()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut note = |line: String| {
            if let Some(id) = line.strip_prefix("stored=") {
                stored.extend(JobId::from_str(id));
            } else if let Some(id) = line.strip_prefix("done=") {
                finished.extend(JobId::from_str(id));
            }
        };
        for line in lines.by_ref().take(500) {
            note(line.unwrap());
        }
        process.kill().unwrap();
        process.wait().unwrap();
        // What it said before it died.
        lines.map_while(Result::ok).filter(|line| line.len() >= 41).for_each(note);
    }
    assert!(stored.len() >= 60 && !finished.is_empty());
    block_on(check(&rig, &stored, &finished));
}

async fn check(rig: &Rig, stored: &HashSet<JobId>, finished: &HashSet<JobId>) {
    let clock = Clock::system();
    let broker = SqliteBroker::open(rig.options().clock(clock.clone())).await.unwrap();
    let findings = broker.check().await.unwrap();
    let integrity = findings.iter().find(|finding| finding.subject == "integrity").unwrap();
    assert_eq!(integrity.detail, "sound");
    let records = broker.jobs(&taskcore::broker::JobFilter::default()).await.unwrap();
    let known: HashSet<_> = records.iter().map(|record| record.id).collect();
    assert!(stored.is_subset(&known), "a stored job is gone");
    for record in &records {
        assert!(!finished.contains(&record.id) || record.state.is_final(), "{record:?}");
    }
    // What it had leased comes back when the lease is over.
    clock.advance(Duration::from_secs(60));
    broker.maintain(&Maintain::default()).await.unwrap();
    let open = records.iter().filter(|record| !record.state.is_final()).count();
    let mut taken = HashSet::new();
    loop {
        let deliveries = take(&broker, 500).await;
        if deliveries.is_empty() {
            break;
        }
        taken.extend(deliveries.into_iter().map(|delivery| delivery.job));
    }
    assert_eq!(taken.len(), open);
}
