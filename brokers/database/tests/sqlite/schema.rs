//! The schema, and who may have written it.

use sqlx::Row;
use taskcore::JobId;
use taskcore::broker::{
    Broker, ConnectError, Enqueued, History, Input, JobFilter, Keep, NewJob, Operate, Receipt,
    Settlement, Verdict,
};

use taskbroker_database::sqlite::SqliteBroker;

use crate::rig::{Rig, SCHEMA, done, job, jobs, number, run, settle, store, take};

#[tokio::test]
async fn the_migrated_schema_is_the_one_on_file() {
    let rig = Rig::new();
    rig.open().await.close().await.unwrap();
    let mut raw = rig.raw().await;
    let rows = sqlx::query(
        "SELECT sql FROM sqlite_schema WHERE name LIKE 'hereafter%' AND sql IS NOT NULL
         ORDER BY name",
    )
    .fetch_all(&mut raw)
    .await
    .unwrap();
    let texts: Vec<String> = rows.iter().map(|row| row.get("sql")).collect();
    let schema = texts.join(";\n\n") + ";\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sqlite/schema.sql");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let on_file = std::fs::read_to_string(path).unwrap();
    assert_eq!(schema, on_file, "if it is meant to differ, run again with UPDATE_SCHEMA=1");
}

#[tokio::test]
async fn no_number_is_given_twice() {
    let rig = Rig::new();
    let broker = rig.open().await;
    store(&broker, &jobs(600)).await;
    broker.purge(&JobFilter::default()).await.unwrap();
    store(&broker, &jobs(2)).await;
    let seq = number(&mut rig.raw().await, "SELECT min(seq) FROM hereafter_job").await;
    assert_eq!(seq, 601);
}

#[tokio::test]
async fn jobs_between_known_ones_are_all_handed_out() {
    let rig = Rig::new();
    let broker = rig.open().await;
    let known = jobs(700);
    store(&broker, &known).await;
    let new = jobs(700);
    let mixed: Vec<_> = known.iter().zip(&new).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    let answers = broker.enqueue(&mixed).await.unwrap();
    assert_eq!(answers, [Enqueued::Duplicate, Enqueued::Stored].repeat(700));
    let expected: Vec<_> = known.iter().chain(&new).map(|job| job.id).collect();
    let taken = take(&broker, 2000).await;
    assert_eq!(taken.iter().map(|delivery| delivery.job).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions() {
    let rig = Rig::new();
    rig.open().await.close().await.unwrap();
    run(&mut rig.raw().await, "INSERT INTO hereafter_schema VALUES (99, 0)").await;
    let error = SqliteBroker::open(rig.options()).await.unwrap_err();
    let ConnectError::NewerSchema { found, supported, .. } = &error else { panic!("{error}") };
    assert_eq!((*found, *supported), (99, SCHEMA));
    let text = error.to_string();
    let up_to = format!("up to {SCHEMA}");
    assert!(text.contains("tasks.db") && text.contains("99") && text.contains(&up_to), "{text}");
}

#[tokio::test]
async fn a_newer_schema_is_left_as_it_is() {
    let rig = Rig::new();
    let mut raw = rig.raw().await;
    run(&mut raw, "CREATE TABLE hereafter_schema (version INTEGER, applied_at INTEGER)").await;
    run(&mut raw, "INSERT INTO hereafter_schema VALUES (99, 0)").await;
    rig.refusal().await;
    assert_eq!(number(&mut raw, "SELECT count(*) FROM sqlite_schema").await, 1);
}

/// A file that the first version wrote, with a job in each state that it had.
#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_and_its_jobs_go_on() {
    let rig = Rig::new();
    let mut raw = rig.raw().await;
    run(
        &mut raw,
        "CREATE TABLE hereafter_schema (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)",
    )
    .await;
    run(&mut raw, include_str!("../../migrations/sqlite/0001_jobs.sql")).await;
    run(&mut raw, "INSERT INTO hereafter_schema VALUES (1, 0)").await;
    for (seq, place) in [
        (1, "INSERT INTO hereafter_ready VALUES ('default', 0, 0, 1)"),
        (2, "INSERT INTO hereafter_scheduled VALUES (0, 2, 'default', 0)"),
        (3, "INSERT INTO hereafter_outcome (seq, state, finished_at) VALUES (3, 'failed', 0)"),
    ] {
        let row = "INSERT INTO hereafter_job
             (id, queue, task, priority, created_at, due_at, envelope)
             VALUES (randomblob(16), 'default', 'task', 0, 0, 0, x'00')";
        run(&mut raw, row).await;
        run(&mut raw, place).await;
        assert_eq!(number(&mut raw, "SELECT max(seq) FROM hereafter_job").await, seq);
    }
    let broker = rig.open().await;
    assert_eq!(number(&mut raw, "SELECT max(version) FROM hereafter_schema").await, SCHEMA);
    assert_eq!(broker.replay(&JobFilter::default()).await.unwrap().len(), 1);
    let taken = take(&broker, 10).await;
    assert_eq!(taken.len(), 3);
    let input = Input { job: taken[0].job, tolerant: false, owned: false };
    store(&broker, &[NewJob { inputs: vec![input], ..job() }]).await;
    broker.settle(&taken.iter().map(done).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(take(&broker, 10).await.len(), 1);
}

/// A file of the version before reports, with a job in each state.
#[tokio::test]
async fn jobs_in_every_state_go_on_after_an_upgrade_from_version_5() {
    let rig = Rig::new();
    let mut raw = rig.raw().await;
    let schema = "CREATE TABLE hereafter_schema
         (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT";
    run(&mut raw, schema).await;
    for migration in [
        include_str!("../../migrations/sqlite/0001_jobs.sql"),
        include_str!("../../migrations/sqlite/0002_inputs.sql"),
        include_str!("../../migrations/sqlite/0003_unique.sql"),
        include_str!("../../migrations/sqlite/0004_schedules.sql"),
        include_str!("../../migrations/sqlite/0005_continued.sql"),
        "INSERT INTO hereafter_schema VALUES (5, 0)",
    ] {
        run(&mut raw, migration).await;
    }
    let places = [
        "INSERT INTO hereafter_ready VALUES ('default', 0, 0, 1)",
        "INSERT INTO hereafter_scheduled VALUES (0, 2, 'default', 0)",
        "INSERT INTO hereafter_running VALUES (3, 77, 9e15, 0, 5, 'old')",
        "INSERT INTO hereafter_input VALUES (3, 4, 0, 0);
         INSERT INTO hereafter_blocked VALUES (4, 'default', 0, 1, 0)",
        "INSERT INTO hereafter_outcome VALUES (5, 'done', 9, 9e15, 6, 'old', NULL)",
        "INSERT INTO hereafter_outcome VALUES (6, 'failed', 9, NULL, 6, 'old', NULL)",
        "INSERT INTO hereafter_outcome VALUES (7, 'cancelled', 9, 9e15, 6, 'old', NULL)",
        "INSERT INTO hereafter_outcome VALUES (8, 'expired', 9, 9e15, 6, 'old', NULL)",
    ];
    for (seq, place) in (1..).zip(places) {
        let row = format!(
            "INSERT INTO hereafter_job (id, queue, task, priority, created_at, due_at, envelope)
             VALUES (unhex('{seq:032x}'), 'default', 'task', 0, 0, 0, x'00')"
        );
        run(&mut raw, &row).await;
        run(&mut raw, place).await;
    }
    let broker = rig.open().await;
    let id = |seq| JobId::from_bytes(std::array::from_fn(|at| if at == 15 { seq } else { 0 }));
    let sums = broker.stats().await.unwrap().remove(0);
    assert_eq!((sums.stored, sums.done, sums.failed, sums.cancelled), (8, 1, 1, 1));
    assert_eq!((sums.expired, sums.runs), (1, 0));
    let ended = broker.timeline(id(5)).await.unwrap().unwrap();
    assert_eq!((ended.attempts.len(), &*ended.attempts[0].worker), (1, "old"));
    // The worker that had the lease goes on with its receipt of then.
    let numbers = [3_i64, 77].map(i64::to_be_bytes).concat();
    let receipt = Receipt::new([id(3).as_bytes().as_slice(), &numbers].concat());
    let verdict = Verdict::Done { result: None, keep: Keep::Nothing };
    settle(&broker, Settlement { job: id(3), receipt, verdict }).await;
    assert_eq!(broker.replay(&JobFilter::default()).await.unwrap(), [id(6)]);
    let taken = take(&broker, 10).await;
    let mut jobs: Vec<_> = taken.iter().map(|delivery| delivery.job).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, [1, 2, 4, 6].map(id));
    broker.settle(&taken.iter().map(done).collect::<Vec<_>>()).await.unwrap();
    let sums = broker.stats().await.unwrap().remove(0);
    assert_eq!((sums.stored, sums.done, sums.runs), (8, 5, 4));
    assert_eq!(broker.purge(&JobFilter::default()).await.unwrap(), 8);
}

#[tokio::test]
async fn an_application_s_own_database_takes_the_tables_and_keeps_its_identity() {
    let rig = Rig::new();
    let mut raw = rig.raw().await;
    run(&mut raw, "PRAGMA application_id = 7; CREATE TABLE user (name TEXT)").await;
    run(&mut raw, "INSERT INTO user VALUES ('ada')").await;
    let broker = rig.open().await;
    crate::rig::store(&broker, &crate::rig::jobs(1)).await;
    assert_eq!(number(&mut raw, "PRAGMA application_id").await, 7);
    assert_eq!(number(&mut raw, "SELECT count(*) FROM user").await, 1);
}

#[tokio::test]
async fn a_file_of_our_own_says_whose_it_is() {
    let rig = Rig::new();
    rig.open().await.close().await.unwrap();
    assert_eq!(number(&mut rig.raw().await, "PRAGMA application_id").await, 0x4852_4654);
}

#[tokio::test]
async fn of_programs_that_start_together_one_migrates_and_all_work() {
    let rig = Rig::new();
    let opened = futures::future::join_all((0..8).map(|_| rig.open())).await;
    for broker in &opened {
        crate::rig::store(broker, &crate::rig::jobs(3)).await;
    }
    assert_eq!(number(&mut rig.raw().await, "SELECT count(*) FROM hereafter_job").await, 24);
    assert_eq!(number(&mut rig.raw().await, "SELECT count(*) FROM hereafter_schema").await, SCHEMA);
}
