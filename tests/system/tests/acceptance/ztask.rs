//! Cases of django-ztask. Those of its start hooks are in `tests/hooks.rs`.

use std::borrow::Cow;
use std::io;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hereafter::broker::{BrokerError, Due, Enqueued, JobFilter, JobRecord, JobState, NewJob};
use hereafter::prelude::*;
use hereafter::worker::WorkerConfig;
use hereafter::{FailureKind, JobId, Mode, Priority, QueueName, TaskOptions, scope_state};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tasksystem::tasks::{no_op, run_with_permit, wait_for_file};
use tasksystem::{Journal, Store, World, on_each_broker, on_each_store};
use tracing::instrument::WithSubscriber;

use crate::{LIMIT, PROGRAM, lines, until_written};

#[register_task]
fn thread_name_of(name: String) -> (String, String) {
    (name, format!("{:?}", std::thread::current().id()))
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Letter {
    to: String,
    pages: Vec<u32>,
}

#[register_task]
async fn send(
    cx: Context,
    State(journal): State<Journal>,
    letter: Letter,
    copies: u8,
    stamp: Option<String>,
) -> Letter {
    let stamp = stamp.unwrap_or_else(|| "no stamp".to_owned());
    journal.write(format!("job {}: {} to {}, {stamp}", cx.id(), copies, letter.to));
    letter
}

#[register_task]
async fn write(State(journal): State<Journal>, line: String) -> String {
    journal.write(&line);
    line
}

#[register_task]
async fn fail_until(
    cx: Context,
    State(journal): State<Journal>,
    attempt: u32,
) -> Result<u32, String> {
    journal.write(format!("attempt {}", cx.attempt()));
    if cx.attempt() >= attempt {
        Ok(cx.attempt())
    } else {
        Err(format!("attempt {} failed", cx.attempt()))
    }
}

/// Fails for good unless the journal has a line `permit NAME`.
#[register_task(retries = 0)]
async fn need_permit(State(journal): State<Journal>, name: String) -> Result<String, String> {
    journal.write(&name);
    let permit = format!("permit {name}");
    if journal.lines().contains(&permit) { Ok(name) } else { Err(format!("no {permit}")) }
}

/// ZTASK-1: "here" is this very thread.
#[test]
fn ztask_1_a_plain_call_runs_here_and_returns_the_functions_value() {
    let (name, thread) = thread_name_of("cat").call();
    assert_eq!(name, "cat");
    assert_eq!(thread, format!("{:?}", std::thread::current().id()));
}

on_each_broker! {
    carried, alone;

    /// ZTASK-2 and 3: `.async` and its older form `.delay` are one here. Arguments have names,
    /// whatever way they are passed.
    async fn ztask_2_3_a_delayed_call_runs_in_a_worker_with_its_arguments(world: World) {
        let letter = Letter { to: "Zoë".to_owned(), pages: vec![1, 2] };
        let worker = world.start();
        let stamped = send(letter.clone(), 2, Some("A".to_owned())).delay().await.unwrap();
        let plain = send(letter.clone(), 1, None).delay().await.unwrap();
        assert_eq!(stamped.clone().await.unwrap(), letter);
        assert_eq!(plain.clone().await.unwrap(), letter);
        let mut told = world.journal.lines();
        told.sort_by_key(|line| !line.contains("2 to"));
        let expected = [
            format!("job {}: 2 to Zoë, A", stamped.id()),
            format!("job {}: 1 to Zoë, no stamp", plain.id()),
        ];
        assert_eq!(told, expected);
        worker.stop().await.unwrap();
    }

    /// ZTASK-8: the original runs the function in the caller. Here `.delay()` that is Ok means
    /// stored, so it is an error, and what to do instead is the caller's choice.
    async fn ztask_8_a_call_that_cannot_be_stored_is_an_error_and_runs_nowhere(world: World) {
        world.client.close().await.unwrap();
        let error = write("lost").delay().await.unwrap_err();
        let DelayError::Broker { task, source } = &error else { panic!("{error:?}") };
        assert_eq!(*task, write("").task().name);
        assert!(matches!(**source, BrokerError::Closed { .. }), "{source:?}");
        assert!(world.journal.lines().is_empty());
        assert_eq!(write("here").with(world.journal.clone()).await, "here");
    }

    async fn ztask_12_without_retries_there_is_one_attempt(world: World) {
        let job = fail_until(2).retries(0).delay().await.unwrap();
        let ended = world.drain().await;
        assert_eq!((ended.retried, ended.failed), (0, 1));
        assert_eq!(job.state().await.unwrap(), Some(JobState::Failed));
        assert_eq!(world.journal.lines(), ["attempt 1"]);
    }

    async fn ztask_13_another_worker_leaves_a_failed_job_alone(world: World) {
        let job = need_permit("A").delay().await.unwrap();
        world.drain().await;
        world.advance(Duration::from_secs(365 * 24 * 60 * 60));
        world.upkeep().await;
        world.drain().await;
        assert_eq!(world.journal.lines(), ["A"]);
        assert_eq!(job.state().await.unwrap(), Some(JobState::Failed));
    }

    /// ZTASK-15: the original waits 5 s after its start; here the jobs are free when the leases
    /// of the worker that is gone have ended.
    async fn ztask_15_jobs_of_a_worker_that_died_run_in_order_of_creation(world: World) {
        for name in ["A", "B", "C"] {
            write(name).delay().await.unwrap();
        }
        assert_eq!(world.take(3).await.len(), 3);
        world.drain().await;
        assert!(world.journal.lines().is_empty());
        world.advance(World::LEASE);
        world.drain_with(world.worker().config(one_at_a_time())).await;
        assert_eq!(world.journal.lines(), ["A", "B", "C"]);
    }
}

on_each_broker! {
    carried;

    async fn ztask_4_a_call_after_5_s_runs_5_s_later(world: World) {
        let worker = world.start();
        let job = write("late").call_after(Duration::from_secs(5)).await.unwrap();
        assert_eq!(job.state().await.unwrap(), Some(JobState::Scheduled));
        assert!(world.journal.lines().is_empty());
        world.advance(Duration::from_secs(5));
        assert_eq!(job.clone().await.unwrap(), "late");
        let JobRecord { created_at, started_at, .. } = job.record().await.unwrap().unwrap();
        let waited = started_at.unwrap().duration_since(created_at);
        assert!((5..60).contains(&waited.as_secs()), "{waited}");
        worker.stop().await.unwrap();
    }

    /// ZTASK-5: the original takes an integer and drops anything else with a line in the log.
    /// Here a text or a number does not compile (see `tasksystem::refused`), a fraction of a
    /// second counts, and what only shows at run time is an error of the call.
    async fn ztask_5_a_delay_is_a_span_and_a_wrong_option_is_an_error(world: World) {
        let job = write("soon").call_after(Duration::from_millis(1_500)).await.unwrap();
        let record = job.record().await.unwrap().unwrap();
        let wait = record.due_at.duration_since(record.created_at);
        assert_eq!(wait, SignedDuration::from_millis(1_500));
        let never = write("never").call_after(Duration::MAX).await.unwrap();
        assert_eq!(never.state().await.unwrap(), Some(JobState::Scheduled));

        let after = Duration::from_secs(5);
        let error = write("lost").queue("no such name!").call_after(after).await.unwrap_err();
        assert!(matches!(&error, DelayError::Option { .. }), "{error:?}");
        assert!(error.to_string().contains("`no such name!` is not a queue name"), "{error}");
        let error = write("lost").priority(9).call_after(after).await.unwrap_err();
        assert!(matches!(&error, DelayError::Option { .. }), "{error:?}");
        assert_eq!(world.jobs().await.len(), 2);
    }

    /// ZTASK-7, though connected to a broker.
    async fn ztask_7_a_disabled_client_stores_nothing_and_logs_what_would_have_run(world: World) {
        let connection = world.client.connection().unwrap().clone();
        let disabled = Client::builder(connection).mode(Mode::Disabled).build();
        let log = Log::default();
        let now = write("now").delay_on(&disabled).with_subscriber(log.subscriber());
        let job = now.await.unwrap();
        assert_eq!(log.lines_with(&["WARN", "would have delayed", job.task()]).len(), 1);
        assert!(world.jobs().await.is_empty());
        world.drain().await;
        assert!(world.journal.lines().is_empty());
        let task = job.task().to_owned();
        assert_eq!(job.await.unwrap_err(), JobError::Disabled { task });
    }

    /// ZTASK-9: the original deletes a job that succeeded, and has no results. Here its outcome
    /// stays for as long as was asked, an hour by default, for handles.
    async fn ztask_9_a_successful_job_is_gone_after_its_retention_or_at_once(world: World) {
        let kept = write("kept").delay().await.unwrap();
        let ignored = write("ignored").ignore_result().delay().await.unwrap();
        world.drain().await;
        assert_eq!(world.journal.lines().len(), 2);
        assert!(ignored.record().await.unwrap().is_none());
        assert_eq!(kept.clone().await.unwrap(), "kept");

        world.advance(TaskOptions::KEEP_RESULT + Duration::from_secs(60));
        assert_eq!(world.upkeep().await.pruned, 1);
        assert!(kept.record().await.unwrap().is_none());
        assert!(world.jobs().await.is_empty());
        for job in [kept, ignored] {
            let error = job.await.unwrap_err();
            assert!(matches!(error, JobError::NotKept { .. }), "{error}");
        }
    }

    /// ZTASK-10: 6 attempts by default, as in the original. It waits 5 s each time; here the
    /// wait doubles, and has a tenth of jitter.
    async fn ztask_10_a_failing_job_is_tried_six_times_and_kept_with_its_last_error(world: World) {
        let job = fail_until(u32::MAX).delay().await.unwrap();
        for (failures, secs) in (1..).zip([5, 10, 20, 40, 80]) {
            let ended = world.drain().await;
            assert_eq!((ended.retried, ended.failed), (1, 0));
            let record = job.record().await.unwrap().unwrap();
            assert_eq!((record.state, record.failures), (JobState::Scheduled, failures));
            assert_eq!(last_error(&record), format!("attempt {failures} failed"));
            assert_waits_about(&record, Duration::from_secs(secs));
            world.advance(Duration::from_secs(secs).mul_f64(1.2));
        }
        let ended = world.drain().await;
        assert_eq!((ended.retried, ended.failed), (0, 1));
        let record = job.record().await.unwrap().unwrap();
        assert_eq!((record.state, record.failures), (JobState::Failed, 6));
        assert_eq!(last_error(&record), "attempt 6 failed");
        assert!(record.finished_at.unwrap() >= record.started_at.unwrap());
        assert_eq!(world.journal.lines(), (1..=6).map(|n| format!("attempt {n}")).collect::<Vec<_>>());
        assert_eq!(job.await.unwrap_err().failure().unwrap().attempt, 6);
    }

    /// ZTASK-10: the fixed wait of the original is one option away.
    async fn ztask_10_a_fixed_back_off_waits_the_same_each_time(world: World) {
        let call = fail_until(u32::MAX).backoff(Backoff::fixed(Duration::from_secs(5)));
        let job = call.delay().await.unwrap();
        for _ in 1..=5 {
            assert_eq!(world.drain().await.retried, 1);
            assert_waits_about(&job.record().await.unwrap().unwrap(), Duration::from_secs(5));
            world.advance(Duration::from_secs(6));
        }
        assert_eq!(world.drain().await.failed, 1);
    }

    async fn ztask_11_a_job_that_fails_twice_is_done_at_its_third_attempt(world: World) {
        let job = fail_until(3).delay().await.unwrap();
        for retried in [1, 1, 0] {
            assert_eq!(world.drain().await.retried, retried);
            world.advance(Duration::from_secs(60));
        }
        assert_eq!(job.clone().await.unwrap(), 3);
        let record = job.record().await.unwrap().unwrap();
        assert_eq!((record.state, record.failures), (JobState::Done, 2));
        assert_eq!(world.journal.lines().len(), 3);
    }

    /// ZTASK-14 and 17: a replay is a command, not a flag of the worker. The original gives a
    /// replayed job one attempt; here it starts anew with all its retries, none for these.
    async fn ztask_14_17_a_replay_runs_each_failed_job_once_in_order_of_creation(world: World) {
        let mut jobs = Vec::new();
        for name in ["A", "B", "C"] {
            jobs.push(need_permit(name).delay().await.unwrap());
        }
        world.drain_with(world.worker().config(one_at_a_time())).await;
        assert_eq!(world.journal.lines(), ["A", "B", "C"]);
        for permit in ["permit A", "permit C"] {
            world.journal.write(permit);
        }

        let replayed = world.operate().replay(&JobFilter::default()).await.unwrap();
        assert_eq!(replayed, jobs.iter().map(Handle::id).collect::<Vec<_>>());
        assert_eq!(jobs[0].record().await.unwrap().unwrap().failures, 0);
        world.drain_with(world.worker().config(one_at_a_time())).await;
        assert_eq!(world.journal.lines()[5..], ["A", "B", "C"]);
        assert_eq!(states(&jobs).await, [JobState::Done, JobState::Failed, JobState::Done]);

        // What failed again stays; what succeeded is no longer there to replay.
        world.advance(Duration::from_secs(600));
        world.drain().await;
        assert_eq!(world.journal.lines().len(), 8);
        let again = world.operate().replay(&JobFilter::default()).await.unwrap();
        assert_eq!(again, [jobs[1].id()]);
    }

    async fn ztask_16_a_restart_does_not_change_when_a_job_is_due(world: World) {
        let first = world.start();
        let job = write("at its time").call_after(Duration::from_secs(60)).await.unwrap();
        let due_at = job.record().await.unwrap().unwrap().due_at;
        first.stop().await.unwrap();

        world.advance(Duration::from_secs(30));
        world.drain().await;
        let record = job.record().await.unwrap().unwrap();
        assert_eq!((record.state, record.due_at), (JobState::Scheduled, due_at));

        let third = world.start();
        world.advance(Duration::from_secs(30));
        assert_eq!(job.clone().await.unwrap(), "at its time");
        let record = job.record().await.unwrap().unwrap();
        assert_eq!(record.due_at, due_at);
        assert!(record.started_at.unwrap() >= due_at);
        third.stop().await.unwrap();
    }

    /// ZTASK-22: the worker knows one task only, as before a deploy.
    async fn ztask_22_an_unknown_task_is_retried_then_kept_with_the_remedy(world: World) {
        let job = write("new").delay().await.unwrap();
        let old = || world.worker().tasks([need_permit("").task()]);
        for _ in 1..=5 {
            assert_eq!(world.drain_with(old()).await.retried, 1);
            world.advance(Duration::from_secs(100));
        }
        assert_eq!(world.drain_with(old()).await.failed, 1);
        let record = job.record().await.unwrap().unwrap();
        assert_eq!((record.state, record.failures), (JobState::Failed, 6));
        let failure = record.failure.unwrap();
        assert_eq!(failure.kind, FailureKind::UnknownTask);
        let told = format!("no task `{}` is registered in this worker", job.task());
        assert!(failure.message.starts_with(&told), "{failure}");

        // After the deploy.
        world.operate().replay(&JobFilter::default()).await.unwrap();
        world.drain().await;
        assert_eq!(job.await.unwrap(), "new");
    }

    async fn ztask_23_a_job_that_is_no_envelope_is_parked_and_the_worker_goes_on(world: World) {
        let id = enqueue_raw(&world.client, b"\x80\x04cos\nsystem\n").await;
        let good = write("good").delay().await.unwrap();
        let ended = world.drain().await;
        assert_eq!((ended.failed, ended.done), (1, 1));
        assert_eq!(good.await.unwrap(), "good");
        let record = world.client.record(id).await.unwrap().unwrap();
        assert_eq!(record.state, JobState::Failed);
        assert_eq!(record.envelope.as_slice(), b"\x80\x04cos\nsystem\n");
        assert_eq!(record.failure.unwrap().kind, FailureKind::Envelope);
    }
}

/// ZTASK-6: an error is the handle's, not the call's.
#[tokio::test]
async fn ztask_6_an_eager_client_runs_a_delayed_call_here_at_once() {
    let (journal, log) = (Journal::new(), Log::default());
    let calls = async {
        let now = write("now").delay().await.unwrap();
        assert_eq!(journal.lines(), ["now"]);
        let late = write("late").call_after(Duration::from_secs(5)).await.unwrap();
        assert_eq!(journal.lines(), ["now", "late"]);
        assert_eq!(now.await.unwrap(), "now");
        assert_eq!(late.await.unwrap(), "late");
        let failed = fail_until(2).delay().await.unwrap();
        let error = failed.await.unwrap_err();
        assert_eq!(error.failure().unwrap().message, "attempt 1 failed");
    };
    let eager = Client::eager();
    let calls = scope_state(journal.clone(), eager.scope(calls));
    calls.with_subscriber(log.subscriber()).await;
    let told = log.lines_with(&["eager mode ignores the delay", "ztask::write"]);
    assert_eq!(told.len(), 1, "{told:?}");
}

/// ZTASK-7: by variables, which are of a whole process; so this test runs itself in another.
#[test]
fn ztask_7_disabled_wins_over_eager_and_opens_no_broker() {
    const NAME: &str = "ztask_7_disabled_wins_over_eager_and_opens_no_broker";
    if std::env::var_os("HEREAFTER_DISABLED").is_some() {
        return disabled_by_variable();
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args([&format!("{module}::{NAME}"), "--exact", "--nocapture"]);
    child.env("HEREAFTER_DISABLED", "1").env("HEREAFTER_EAGER", "1");
    let output = child.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "{told}");
}

#[tokio::main(flavor = "current_thread")]
async fn disabled_by_variable() {
    let journal = Journal::new();
    let client = Client::open("sqlite:///dev/null/no/such/tasks.db").await.unwrap();
    assert_eq!(client.mode(), Mode::Disabled);
    let call = client.scope(async { write("never").delay().await.unwrap().await });
    let error = scope_state(journal.clone(), call).await.unwrap_err();
    assert!(matches!(error, JobError::Disabled { .. }), "{error}");
    assert!(journal.lines().is_empty());
}

/// ZTASK-8, the other way to be unreachable.
#[tokio::test]
async fn ztask_8_a_store_that_cannot_be_opened_is_an_error_that_names_it() {
    for (url, name) in [
        ("sqlite:///dev/null/tasks.db", "/dev/null/tasks.db"),
        ("postgres://me:secret@127.0.0.1:1/tasks", "postgres://me@127.0.0.1:1/tasks"),
    ] {
        let error = Client::open(url).await.unwrap_err();
        let error = hereafter::error_chain(&error);
        assert!(error.contains(name) && !error.contains("secret"), "{error}");
    }
}

on_each_store! {
    carried, alone;

    /// ZTASK-15 with processes: SIGKILL while one job runs and two wait.
    async fn ztask_15_jobs_of_a_killed_worker_process_run_in_the_next_one(store: Store) {
        let client = store.client().await;
        let (ledger, gate) = (store.file("ledger"), store.file("gate"));
        let calls = (1..=3).map(|id| wait_for_file(&ledger, id, &gate));
        let jobs = client.delay_all(calls).await.unwrap();
        let args = ["run", "--concurrency", "1", "--lease", "1s"];
        let first = store.start(PROGRAM, &args);
        until_written(&ledger, "start 1").await;
        first.kill();
        std::fs::write(&gate, "").unwrap();
        let _second = store.start(PROGRAM, &args);
        for (id, job) in (1..).zip(jobs) {
            assert_eq!(job.wait(LIMIT).await.unwrap(), id);
        }
        let count = |line: &str| lines(&ledger).iter().filter(|it| *it == line).count();
        assert_eq!([count("start 1"), count("start 2"), count("start 3")], [2, 1, 1]);
        assert_eq!([count("end 1"), count("end 2"), count("end 3")], [1, 1, 1]);
    }

    /// ZTASK-21, and the line of ZTASK-23.
    async fn ztask_21_23_a_log_file_gets_lines_of_the_level_and_above(store: Store) {
        let client = store.client().await;
        let logged = async |level: &str| {
            let id = enqueue_raw(&client, b"garbage").await;
            let file = store.file(level);
            let path = file.to_str().unwrap();
            finish(&store, &["run", "--burst", "-l", level, "-f", path]);
            (id, lines(&file))
        };
        let (_, told) = logged("Info").await;
        assert!(told.iter().any(|line| line.contains(" INFO ")), "{told:#?}");

        let (id, told) = logged("warning").await;
        let [line] = &told[..] else { panic!("{told:#?}") };
        assert!(line.contains(" ERROR ") && line.contains("job failed for good"), "{line}");
        assert!(line.contains(&id.to_string()) && line.contains("envelope"), "{line}");
    }
}

on_each_store! {
    carried;

    /// ZTASK-2 with processes. Not on memory, as all tests of processes: it has one only.
    async fn ztask_2_a_worker_process_runs_the_calls_of_another_process(store: Store) {
        let client = store.client().await;
        let job = no_op(7, "Zoë").delay_on(&client).await.unwrap();
        let _worker = store.start(PROGRAM, &["run", "--name", "the other process"]);
        assert_eq!(job.wait(LIMIT).await.unwrap(), 7);
        let record = job.record().await.unwrap().unwrap();
        assert_eq!(record.worker.as_deref(), Some("the other process"));
    }

    /// ZTASK-13, 14 and 17 with processes: restarts, and `replay` on the command line.
    async fn ztask_13_14_17_failed_jobs_survive_restarts_and_are_replayed_by_command(store: Store) {
        let client = store.client().await;
        let (ledger, permit) = (store.file("ledger"), store.file("permit"));
        let burst = || finish(&store, &["run", "--burst", "--concurrency", "1"]);
        let mut jobs = Vec::new();
        for name in ["A", "B", "C"] {
            // B asks for another permit, which it never gets.
            let permit = if name == "B" { store.file("another") } else { permit.clone() };
            let call = run_with_permit(&ledger, name, permit);
            jobs.push(call.delay_on(&client).await.unwrap());
        }
        burst();
        burst();
        assert_eq!(lines(&ledger), ["A", "B", "C"]);
        assert_eq!(states(&jobs).await, [JobState::Failed; 3]);

        std::fs::write(&permit, "").unwrap();
        finish(&store, &["replay", "--all", "--yes"]);
        burst();
        assert_eq!(lines(&ledger)[3..], ["A", "B", "C"]);
        assert_eq!(states(&jobs).await, [JobState::Done, JobState::Failed, JobState::Done]);
        burst();
        assert_eq!(lines(&ledger).len(), 6);
    }

    /// ZTASK-16 with processes; it waits in real time.
    async fn ztask_16_a_delayed_job_outlives_its_client_and_a_killed_worker(store: Store) {
        let client = store.client().await;
        let first = store.start(PROGRAM, &["run"]);
        no_op(0, "is it there?").delay_on(&client).await.unwrap().wait(LIMIT).await.unwrap();
        let wait = Duration::from_millis(1_500);
        let job = client.scope(no_op(1, "late").call_after(wait)).await.unwrap().id();
        client.close().await.unwrap();
        first.kill();

        let _worker = store.start(PROGRAM, &["run"]);
        let client = store.client().await;
        assert_eq!(client.handle::<u64>(job).wait(LIMIT).await.unwrap(), 1);
        let record = client.record(job).await.unwrap().unwrap();
        let due = record.due_at.duration_since(record.created_at);
        assert_eq!(due, SignedDuration::try_from(wait).unwrap());
        let late = record.started_at.unwrap().duration_since(record.due_at);
        assert!(!late.is_negative() && late < SignedDuration::from_secs(10), "{late}");
    }
}

/// What was logged, as text.
#[derive(Debug, Clone, Default)]
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
}

impl Log {
    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        let log = self.clone();
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish()
    }

    /// The lines that have all of these words.
    fn lines_with(&self, words: &[&str]) -> Vec<String> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        let fits = |line: &&str| words.iter().all(|word| line.contains(word));
        text.lines().filter(fits).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn one_at_a_time() -> WorkerConfig {
    let mut config = WorkerConfig::default();
    config.concurrency = NonZeroU32::MIN;
    config
}

fn last_error(record: &JobRecord) -> &str {
    &record.failure.as_ref().expect("it has failed").message
}

/// The wait counts from the verdict, a moment after the job was handed out.
fn assert_waits_about(record: &JobRecord, span: Duration) {
    let wait = record.due_at.duration_since(record.started_at.expect("it was tried"));
    let (wait, span) = (wait.as_secs_f64(), span.as_secs_f64());
    assert!((0.9 * span..1.1 * span + 5.0).contains(&wait), "{wait} s instead of {span} s");
}

async fn states<T>(jobs: &[Handle<T>]) -> Vec<JobState> {
    let mut states = Vec::new();
    for job in jobs {
        states.push(job.state().await.unwrap().expect("the job is kept"));
    }
    states
}

/// Stores bytes that no client of ours would.
async fn enqueue_raw(client: &Client, bytes: &[u8]) -> JobId {
    let job = NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: Cow::Borrowed("foreign"),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: bytes.to_vec().into(),
    };
    let broker = &client.connection().unwrap().broker;
    assert_eq!(broker.enqueue(std::slice::from_ref(&job)).await.unwrap(), [Enqueued::Stored]);
    job.id
}

/// Runs a command of the worker program to its end, which must be a good one.
fn finish(store: &Store, args: &[&str]) {
    let status = store.start(PROGRAM, args).wait(LIMIT);
    assert!(status.success(), "{args:?} ended with {status}");
}
