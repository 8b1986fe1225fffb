//! Cases of marrow.task.

use std::time::Duration;

use hereafter::broker::{CancelOutcome, JobState, Receipt, Settled, Settlement, Verdict};
use hereafter::prelude::*;
use hereafter::worker::{Exit, WorkerConfig};
use hereafter::{FailureKind, JobId, registry};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize, Serializer};
use tasksystem::{Journal, World, on_each_broker};

/// Where the tasks of this file are.
const MODULE: &str = module_path!();

/// What the originals multiply by.
const FACTOR: u64 = 42;

#[register_task]
fn times_42(n: u64) -> u64 {
    n * FACTOR
}

#[register_task]
async fn times_42_async(n: u64) -> u64 {
    n * FACTOR
}

#[register_task]
fn times_42_float(n: f64) -> f64 {
    n * 42.0
}

#[register_task]
fn as_text(value: u64) -> String {
    format!("String {value}")
}

#[register_task]
async fn write(State(journal): State<Journal>, line: String) -> usize {
    journal.write(&line);
    journal.lines().len()
}

/// Writes `begun`, and returns once the test has written `go`.
#[register_task]
async fn wait_for_go(State(journal): State<Journal>) -> u64 {
    journal.write("begun");
    journal.wait_for("go").await;
    84
}

#[register_task]
async fn own_id(cx: Context) -> (JobId, Option<JobId>) {
    (cx.id(), Context::current().map(|current| current.id()))
}

#[register_task]
fn own_id_without_a_parameter() -> Option<JobId> {
    Context::current().map(|current| current.id())
}

#[derive(Debug)]
struct AttributeError(&'static str);

impl std::fmt::Display for AttributeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for AttributeError {}

#[register_task(retries = 0)]
async fn fail_with_failure() -> Result<u64, AttributeError> {
    Err(AttributeError("FAILURE"))
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sample {
    field: u64,
}

#[register_task]
impl Sample {
    #[task]
    async fn times(&self, factor: u64) -> u64 {
        self.field * factor
    }
}

/// An object that other processes know only by the id that it has once it is saved.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    #[serde(serialize_with = "saved")]
    id: Option<u64>,
}

fn saved<S: Serializer>(id: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.serialize_some(id),
        None => Err(serde::ser::Error::custom("the row was not saved yet")),
    }
}

#[register_task]
impl Row {
    #[task]
    async fn id(&self) -> Option<u64> {
        self.id
    }
}

/// MARROW-1, 2 and 5: a name finds the function that registered it. The original imports
/// whatever `module:qualname` says; here only what is registered can be named, methods too.
#[test]
fn marrow_1_2_5_a_registered_name_and_its_task_find_each_other() {
    let sample = Sample { field: 1 };
    for (task, name) in
        [(times_42(1).task(), "times_42"), (sample.times(1).task(), "Sample::times")]
    {
        assert_eq!(task.name, format!("{MODULE}::{name}"));
        let found = registry().find(task.name).unwrap();
        assert_eq!((found.name, found.file, found.line), (task.name, task.file, task.line));
    }
    assert!(registry().find("std::process::abort").is_none());
}

on_each_broker! {
    carried, alone;

    async fn marrow_16_a_call_runs_here_and_touches_no_broker(world: World) {
        assert_eq!(times_42(2).call(), 84);
        assert_eq!(times_42(2).await, 84);
        assert_eq!(times_42_async(2).await, 84);
        assert_eq!(world.waiting().await, 0);
    }

    async fn marrow_17_a_delayed_call_waits_until_a_worker_runs_it(world: World) {
        let job = times_42(4).delay().await.unwrap();
        assert_eq!(job.state().await.unwrap(), Some(JobState::Ready));
        let error = job.wait(Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, JobError::NotYet { .. }), "{error}");
        world.drain().await;
        assert_eq!(job.await.unwrap(), 168);
    }

    /// MARROW-18: the original converts a handle by waiting; ours is awaited, and has its type.
    async fn marrow_18_a_handle_waits_for_a_worker_and_yields_the_tasks_own_type(world: World) {
        let whole = times_42(4).delay().await.unwrap();
        let text = as_text(168).delay().await.unwrap();
        let fraction = times_42_float(14.2).delay().await.unwrap();
        let early = tokio::spawn(whole.clone());
        let worker = world.start();
        assert_eq!(early.await.unwrap().unwrap(), 168);
        assert_eq!(text.await.unwrap(), "String 168");
        assert_eq!(fraction.await.unwrap(), 14.2 * 42.0);
        // Reading does not consume.
        assert_eq!(whole.await.unwrap(), 168);
        worker.stop().await.unwrap();
    }

    /// MARROW-18: what a float was, it is at the other end, in each of its bits.
    async fn marrow_18_floats_arrive_as_they_left(world: World) {
        let values: Vec<f64> = (1..=100).map(|n| 1.0 / f64::from(n * 7)).collect();
        let calls = values.iter().map(|value| times_42_float(*value));
        let jobs = world.client.delay_all(calls).await.unwrap();
        world.drain().await;
        for (value, job) in values.iter().zip(jobs) {
            assert_eq!(job.await.unwrap().to_bits(), (value * 42.0).to_bits(), "of {value}");
        }
    }

    /// MARROW-27: the time-out is the reader's. The job goes on, and can be asked again.
    async fn marrow_27_a_handle_can_be_asked_with_a_time_limit(world: World) {
        let worker = world.start();
        let quick = times_42(2).delay().await.unwrap();
        assert_eq!(quick.wait(Duration::from_secs(60)).await.unwrap(), 84);

        let slow = wait_for_go().delay().await.unwrap();
        world.journal.wait_for("begun").await;
        let limit = Duration::from_millis(50);
        let error = slow.wait(limit).await.unwrap_err();
        assert_eq!(error, JobError::NotYet { job: slow.id(), waited: limit });
        assert_eq!(error.to_string(), format!("job {} was not finished after 50ms", slow.id()));
        world.journal.write("go");
        assert_eq!(slow.await.unwrap(), 84);
        worker.stop().await.unwrap();
    }

    async fn marrow_31_a_task_knows_the_id_of_its_own_job(world: World) {
        assert!(Context::current().is_none());
        let asked = own_id().delay().await.unwrap();
        let plain = own_id_without_a_parameter().delay().await.unwrap();
        world.drain().await;
        assert_eq!(asked.clone().await.unwrap(), (asked.id(), Some(asked.id())));
        assert_eq!(plain.clone().await.unwrap(), Some(plain.id()));
    }

    /// MARROW-32: the original raises the very exception object. Ours is plain data: the same
    /// type name and text in every process and language.
    async fn marrow_32_a_failed_job_tells_type_and_text_of_its_error(world: World) {
        let job = fail_with_failure().delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.state().await.unwrap(), Some(JobState::Failed));
        let error = job.clone().await.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(failure.kind, FailureKind::Error);
        assert_eq!(failure.error_type.as_deref(), Some(std::any::type_name::<AttributeError>()));
        assert_eq!(failure.message, "FAILURE");
        assert_eq!((failure.job, failure.attempt), (job.id(), 1));
        assert!(error.to_string().ends_with("attempt 1): FAILURE"), "{error}");
    }

    /// MARROW-35: the original stores a reference to a database document. Here the object
    /// itself travels with the job.
    async fn marrow_35_a_method_runs_on_its_object_in_the_worker(world: World) {
        let sample = Sample { field: 42 };
        assert_eq!(sample.times(2).await, 84);
        let job = sample.times(2).delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.await.unwrap(), 84);
    }

    /// MARROW-41: an object without a stored form is refused where it is sent.
    async fn marrow_41_a_method_of_an_unsaved_object_is_refused_before_queueing(world: World) {
        let error = Row { id: None }.id().delay().await.unwrap_err();
        let DelayError::Encode { task, source } = &error else { panic!("{error}") };
        assert_eq!(*task, format!("{MODULE}::Row::id"));
        assert!(hereafter::error_chain(source).contains("not saved yet"), "{source:?}");
        assert_eq!(world.waiting().await, 0);

        let job = Row { id: Some(7) }.id().delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.await.unwrap(), Some(7));
    }

    /// MARROW-44: `Worker::run` takes the worker, so that running it twice does not compile
    /// (see `tasksystem::refused`). Two workers beside each other are what one wants instead.
    async fn marrow_44_two_workers_share_the_jobs_and_run_each_once(world: World) {
        let workers = [world.start(), world.start()];
        let lines: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let jobs = world.client.delay_all(lines.iter().map(write)).await.unwrap();
        for job in jobs {
            job.await.unwrap();
        }
        let mut ran = world.journal.lines();
        ran.sort_by_key(|line| line.parse::<u32>().unwrap());
        assert_eq!(ran, lines);
        for worker in workers {
            worker.stop().await.unwrap();
        }
    }

    async fn marrow_46_a_worker_without_work_stops_by_itself(world: World) {
        let mut config = WorkerConfig::default();
        config.exit = Exit::Idle(Duration::from_millis(50));
        let job = times_42(2).delay().await.unwrap();
        let worker = world.start_with(world.worker().config(config));
        worker.ended().await.unwrap();
        assert_eq!(job.wait(Duration::ZERO).await.unwrap(), 84);
    }
}

on_each_broker! {
    carried;

    /// MARROW-6, 7 and 8. The original's identity is host, parent and process; ours has no
    /// parent, and can be given a name.
    async fn marrow_6_7_8_a_record_names_its_worker_by_host_and_process(world: World) {
        let by_default = WorkerConfig::default().name;
        assert!(by_default.ends_with(&format!(":{}", std::process::id())), "{by_default}");
        let job = times_42(2).delay().await.unwrap();
        assert_eq!(job.record().await.unwrap().unwrap().worker, None);
        world.drain().await;
        assert_eq!(job.record().await.unwrap().unwrap().worker, Some(by_default));
    }

    /// MARROW-19: the original marks the task as deferred, so that a plain call queues it. Here
    /// a call always says where it runs, and `.delay()` is how it says "there".
    async fn marrow_19_only_delay_queues_and_the_worker_executes(world: World) {
        assert_eq!(as_text(42).call(), "String 42");
        assert!(world.jobs().await.is_empty());
        let worker = world.start();
        let job = as_text(42).delay().await.unwrap();
        assert_eq!(job.clone().await.unwrap(), "String 42");
        let record = job.record().await.unwrap().unwrap();
        assert_eq!(record.worker, Some(WorkerConfig::default().name));
        worker.stop().await.unwrap();
    }

    /// MARROW-33: acquiring is a `reserve`, releasing a verdict; what is not held cannot be
    /// released.
    async fn marrow_33_a_job_is_held_by_one_worker_and_released_once(world: World) {
        let job = times_42(2).delay().await.unwrap();
        let foreign = Receipt::new(vec![0; 16]);
        assert_eq!(release(&world, job.id(), &foreign).await, Settled::Stale);
        let receipt = acquire(&world).await.expect("it is free");
        assert_eq!(job.state().await.unwrap(), Some(JobState::Running));
        assert!(acquire(&world).await.is_none());
        assert_eq!(release(&world, job.id(), &receipt).await, Settled::Applied);
        assert_eq!(job.state().await.unwrap(), Some(JobState::Ready));
        assert_eq!(release(&world, job.id(), &receipt).await, Settled::Stale);
        // An interruption is not a failure.
        assert!(acquire(&world).await.is_some());
        assert_eq!(job.record().await.unwrap().unwrap().failures, 0);
    }

    /// MARROW-34: the original forces a lock open. Here a lock ends by itself: when nobody
    /// renews its lease, the job is free, and the former holder's word no longer counts.
    async fn marrow_34_a_lock_whose_holder_is_gone_ends_by_itself(world: World) {
        let job = times_42(2).delay().await.unwrap();
        let lost = acquire(&world).await.expect("it is free");
        world.advance(World::LEASE);
        assert_eq!(world.upkeep().await.reclaimed, 1);
        let current = acquire(&world).await.expect("it is free again");
        assert_eq!(release(&world, job.id(), &lost).await, Settled::Stale);
        assert_eq!(job.state().await.unwrap(), Some(JobState::Running));
        assert_eq!(release(&world, job.id(), &current).await, Settled::Applied);
    }

    async fn marrow_36_a_scheduled_job_runs_at_its_time(world: World) {
        let at = world.clock().now() + Duration::from_secs(20);
        let absolute = times_42(2).call_at(at).await.unwrap();
        let relative = times_42(3).call_after(Duration::from_secs(20)).await.unwrap();
        let due = async |job: &Handle<u64>| job.record().await.unwrap().unwrap().due_at;
        assert!(due(&absolute).await.duration_since(at).abs() <= SignedDuration::from_millis(1));
        let created = relative.record().await.unwrap().unwrap().created_at;
        assert_eq!(due(&relative).await.duration_since(created), SignedDuration::from_secs(20));

        world.advance(Duration::from_secs(15));
        world.drain().await;
        for job in [&absolute, &relative] {
            assert_eq!(job.state().await.unwrap(), Some(JobState::Scheduled));
        }
        world.advance(Duration::from_secs(5));
        world.drain().await;
        assert_eq!(absolute.await.unwrap(), 84);
        assert_eq!(relative.await.unwrap(), 126);
    }

    async fn marrow_39_a_job_cancelled_before_its_start_never_runs(world: World) {
        let ready = write("ready").delay().await.unwrap();
        let scheduled = write("scheduled").call_after(Duration::from_secs(5)).await.unwrap();
        for job in [&ready, &scheduled] {
            assert_eq!(job.cancel().await.unwrap(), CancelOutcome::Prevented);
        }
        world.advance(Duration::from_secs(60));
        world.drain().await;
        assert!(world.journal.lines().is_empty());
        for job in [ready, scheduled] {
            assert_eq!(job.state().await.unwrap(), Some(JobState::Cancelled));
            let (id, task) = (job.id(), job.task().to_owned());
            assert_eq!(job.await.unwrap_err(), JobError::Cancelled { job: id, task });
        }
    }

    async fn marrow_40_a_cancel_after_completion_changes_nothing(world: World) {
        let job = write("once").delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.cancel().await.unwrap(), CancelOutcome::TooLate);
        assert_eq!(job.state().await.unwrap(), Some(JobState::Done));
        assert_eq!(job.await.unwrap(), 1);
    }

    /// MARROW-45: the original tells three spans; here a job starts when it is handed out, so
    /// queue wait and run time are all there is.
    async fn marrow_45_a_record_tells_how_long_a_job_waited_and_ran(world: World) {
        let job = wait_for_go().delay().await.unwrap();
        let record = job.record().await.unwrap().unwrap();
        assert_eq!((record.started_at, record.finished_at), (None, None));

        world.advance(Duration::from_secs(300));
        let worker = world.start();
        world.journal.wait_for("begun").await;
        let record = job.record().await.unwrap().unwrap();
        let waited = record.started_at.unwrap().duration_since(record.due_at);
        assert!(within_a_minute_over(300, waited), "{waited}");
        assert_eq!(record.finished_at, None);

        // Well below the lease.
        world.advance(Duration::from_secs(5));
        world.journal.write("go");
        job.clone().await.unwrap();
        let record = job.record().await.unwrap().unwrap();
        let ran = record.finished_at.unwrap().duration_since(record.started_at.unwrap());
        assert!(within_a_minute_over(5, ran), "{ran}");
        worker.stop().await.unwrap();
    }
}

/// Leases the one job that is ready, as a worker does.
async fn acquire(world: &World) -> Option<Receipt> {
    world.take(1).await.pop().map(|delivery| delivery.receipt)
}

async fn release(world: &World, job: JobId, receipt: &Receipt) -> Settled {
    let settlement = Settlement { job, receipt: receipt.clone(), verdict: Verdict::Release };
    world.broker().settle(&[settlement]).await.unwrap()[0]
}

/// The clock that tests move goes on by itself, too.
fn within_a_minute_over(secs: i64, span: SignedDuration) -> bool {
    (secs..secs + 60).contains(&span.as_secs())
}
