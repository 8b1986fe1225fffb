//! Rows that we did not write.

use taskcore::broker::{JobFilter, Lookup, Operate, ResultStore};

use crate::rig::{Rig, job, run, store, take};

#[tokio::test]
async fn a_row_changed_by_hand_keeps_no_other_job_from_running() {
    let rig = Rig::new();
    let broker = rig.open().await;
    let jobs = [job(), job()];
    store(&broker, &jobs).await;
    let mut raw = rig.raw().await;
    run(
        &mut raw,
        "UPDATE hereafter_job SET task = CAST(x'ff00fe' AS TEXT), failure = 'not json',
             created_at = 9223372036854775807, failures = -5, envelope = x'' WHERE seq = 1",
    )
    .await;
    let taken = take(&broker, 10).await;
    assert_eq!(
        taken.iter().map(|delivery| delivery.job).collect::<Vec<_>>(),
        jobs.map(|job| job.id)
    );
    assert_eq!(taken[0].attempt.get(), 1);
    assert!(taken[0].task.contains('\u{fffd}'));
    let records = broker.jobs(&JobFilter::default()).await.unwrap();
    assert_eq!(records.len(), 2);
    let failure = records[1].failure.as_ref().unwrap();
    assert!(failure.message.contains("cannot be read"), "{}", failure.message);
}

#[tokio::test]
async fn rows_that_the_schema_forbids_cannot_be_written_by_anybody() {
    let rig = Rig::new();
    let broker = rig.open().await;
    let mut raw = rig.raw().await;
    let columns = "(id, queue, task, priority, created_at, due_at, envelope)";
    for values in [
        "(x'00', 'default', 't', 0, 0, 0, x'')",
        "(randomblob(16), 'default', 't', 3, 0, 0, x'')",
        "(randomblob(16), 'default', 't', 0, 'soon', 0, x'')",
        "(randomblob(16), 'default', 't', 0, 0, 0, NULL)",
    ] {
        let statement = format!("INSERT INTO hereafter_job {columns} VALUES {values}");
        let inserted = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut raw).await;
        assert!(inserted.is_err(), "{values}");
    }
    assert!(take(&broker, 1).await.is_empty());
}

#[tokio::test]
async fn a_job_of_a_row_that_vanished_is_unknown_and_holds_up_nobody() {
    let rig = Rig::new();
    let broker = rig.open().await;
    let jobs = [job(), job()];
    store(&broker, &jobs).await;
    run(&mut rig.raw().await, "DELETE FROM hereafter_job WHERE seq = 1").await;
    let taken = take(&broker, 10).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].job, jobs[1].id);
    let lookups = broker.outcomes(&[jobs[0].id]).await.unwrap();
    assert!(matches!(lookups[0], Lookup::Unknown));
    assert!(take(&broker, 10).await.is_empty());
}
