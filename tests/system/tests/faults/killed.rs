//! Workers that are killed, and workers that come back.

use std::time::{Duration, Instant};

use futures::future::join_all;
use hereafter::JobError;
use hereafter::broker::JobState;
use tasksystem::tasks::{abort_process, no_op, sleep_and_note};
use tasksystem::{Store, on_each_store};

use crate::{LIMIT, PROGRAM, lines, until};

/// A lease short enough to wait for, and long enough for a loaded machine to renew in time.
const LEASE: Duration = Duration::from_secs(2);

/// What a database stores in one step.
const BATCH: u64 = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_of_a_worker_with_a_full_reserve_condemn_no_job_on_sqlite() {
    kill_ten_times(&Store::sqlite(), 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_of_a_worker_with_a_full_reserve_condemn_no_job_on_postgres() {
    kill_ten_times(&Store::postgres(), 3_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_of_a_worker_with_a_full_reserve_condemn_no_job_on_mysql() {
    kill_ten_times(&Store::mysql(), 3_000).await;
}

/// `jobs` are stored before each start: more than a worker of this store gets through before it is
/// met in the middle of them.
async fn kill_ten_times(store: &Store, jobs: u64) {
    let client = store.client().await;
    let batch = jobs.min(BATCH);
    let mut handles = Vec::new();
    for round in 0..10 {
        let ids = round * jobs..(round + 1) * jobs;
        for first in ids.step_by(batch as usize) {
            let calls = (first..first + batch).map(|id| no_op(id, "full".to_owned()));
            handles.extend(client.delay_all(calls).await.unwrap());
        }
        let worker = store.start(PROGRAM, &["run", "--lease", "1s"]);
        let first = handles[(round * jobs) as usize].clone();
        tokio::time::timeout(LIMIT, first).await.unwrap().unwrap();
        worker.kill();
        let last = handles.last().unwrap().state().await.unwrap();
        assert_ne!(last, Some(JobState::Done), "the worker was too fast to be met at work");
    }
    let _last = store.start(PROGRAM, &["run", "--lease", "5s"]);
    let answers = tokio::time::timeout(LIMIT, join_all(handles)).await.unwrap();
    for (id, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, Ok(id as u64));
    }
}

on_each_store! {
    async fn fifty_long_jobs_of_a_killed_worker_finish_elsewhere_in_time(store: Store) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        let length = Duration::from_secs(3);
        let ms = length.as_millis() as u64;
        let first = store.start(PROGRAM, &["run", "--concurrency", "50", "--lease", "2s"]);
        let calls = (0..50).map(|id| sleep_and_note(ledger.clone(), id, ms));
        let handles = client.delay_all(calls).await.unwrap();
        until("all jobs to start", || lines(&ledger).len() >= 50).await;
        let _second = store.start(PROGRAM, &["run", "--concurrency", "50", "--lease", "2s"]);
        let killed_at = Instant::now();
        first.kill();
        let answers = tokio::time::timeout(LIMIT, join_all(handles)).await.unwrap();
        let late = killed_at.elapsed().saturating_sub(length);
        for (id, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer, Ok(id as u64));
        }
        // Each job started anew: not later than its lease plus 5 s.
        assert!(late <= LEASE + Duration::from_secs(5), "the last job was {late:?} late");
    }

    async fn only_the_job_that_kills_its_worker_ends_as_lost(store: Store) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        let calls = (0..50).map(|id| sleep_and_note(ledger.clone(), id, 100));
        let sleeping = client.delay_all(calls).await.unwrap();
        let aborting = abort_process(ledger.clone()).delay_on(&client).await.unwrap();
        let program = ["run", "--concurrency", "60", "--lease", "1s", "--log-level", "off"];
        let supervisor = {
            let aborting = aborting.clone();
            let mut worker = store.start(PROGRAM, &program);
            async {
                // A supervisor starts another worker whenever one has died.
                let mut aborting = std::pin::pin!(aborting);
                loop {
                    tokio::select! {
                        answer = &mut aborting => break (answer, worker),
                        () = tokio::time::sleep(Duration::from_millis(20)) => {}
                    }
                    if worker.ended().is_some() {
                        worker = store.start(PROGRAM, &program);
                    }
                }
            }
        };
        let (answer, _worker) = tokio::time::timeout(LIMIT, supervisor).await.unwrap();
        let Err(JobError::Lost(failure)) = answer else { panic!("{answer:?}") };
        assert!(failure.task.ends_with("abort_process"), "{failure:?}");
        let answers = tokio::time::timeout(LIMIT, join_all(sleeping)).await.unwrap();
        for (id, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer, Ok(id as u64));
        }
    }

    async fn a_stalled_worker_comes_back_with_a_stale_verdict_that_changes_nothing(store: Store) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        let log = store.file("first.log");
        let log_file = log.display().to_string();
        let first = ["run", "--name", "first", "--lease", "1s", "--log-file", &log_file];
        let first = store.start(PROGRAM, &first);
        let job = sleep_and_note(ledger.clone(), 7, 600).delay_on(&client).await.unwrap();
        until("the job to start", || lines(&ledger).contains_key("start 7")).await;
        first.suspend();
        let _second = store.start(PROGRAM, &["run", "--name", "second", "--lease", "20s"]);
        // Also where it was stopped in the middle of a transaction.
        let answer = tokio::time::timeout(Duration::from_secs(30), job.clone()).await;
        assert_eq!(answer.expect("who stands still does not hold up others for long"), Ok(7));
        let before = job.record().await.unwrap().unwrap();
        first.resume();
        until("the stalled worker to notice", || {
            std::fs::read_to_string(&log).unwrap_or_default().contains("lost the lease")
                || std::fs::read_to_string(&log).unwrap_or_default().contains("changed nothing")
        })
        .await;
        first.terminate();
        let after = job.record().await.unwrap().unwrap();
        assert_eq!(after.state, JobState::Done);
        assert_eq!(after.worker.as_deref(), Some("second"));
        assert_eq!(after.finished_at, before.finished_at);
        assert_eq!(job.await, Ok(7));
    }

    async fn a_worker_told_to_stop_finishes_what_it_runs_and_gives_back_the_rest(store: Store) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        let mut worker = store.start(PROGRAM, &["run", "--concurrency", "2"]);
        let calls = (0..10).map(|id| sleep_and_note(ledger.clone(), id, 400));
        let handles = client.delay_all(calls).await.unwrap();
        until("two jobs to start", || lines(&ledger).len() >= 2).await;
        worker.terminate();
        assert!(worker.wait(LIMIT).success());
        let seen = lines(&ledger);
        let started = seen.keys().filter(|line| line.starts_with("start")).count();
        let ended = seen.keys().filter(|line| line.starts_with("end")).count();
        assert_eq!(started, ended, "a started job was not let finish: {seen:?}");
        assert!(started < 10, "the worker went on taking jobs");
        let _next = store.start(PROGRAM, &["run", "--concurrency", "10"]);
        let answers = tokio::time::timeout(LIMIT, join_all(handles)).await.unwrap();
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert!(lines(&ledger).values().all(|&count| count == 1), "a released job ran twice");
    }
}
