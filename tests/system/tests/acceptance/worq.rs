//! WORQ: named queues, results, failures and worker pools.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use hereafter::broker::{Due, Enqueued, JobFilter, JobState, NewJob};
use hereafter::prelude::*;
use hereafter::worker::{QueueConfig, Shutdown, Worker, WorkerConfig, WorkerError};
use hereafter::{FailureKind, JobId, Priority, QueueName, TaskDescriptor};
use serde::{Deserialize, Serialize};
use tasksystem::tasks::{abort_process_once, wait_for_file};
use tasksystem::{Journal, World, on_each_broker, on_each_store};

use crate::{LIMIT, PROGRAM, lines, until_written};

#[register_task(name = "worq.func")]
async fn func(State(journal): State<Journal>, arg: String) -> String {
    journal.write(&arg);
    arg
}

#[register_task(name = "worq.held")]
async fn held(State(journal): State<Journal>) -> String {
    journal.write("inside");
    journal.wait_for("go").await;
    "over".to_owned()
}

#[register_task(name = "worq.fails", retries = 0)]
async fn fails() -> Result<u64, Fail> {
    Err(Fail)
}

#[register_task(name = "worq.interrupted", retries = 0)]
fn interrupted() {
    panic!("interrupted");
}

#[derive(Debug)]
struct Fail;

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fail!")
    }
}

impl std::error::Error for Fail {}

on_each_broker! {
    carried, alone;

    // WORQ-2: the handle's text form is constant; its state says what became of the job.
    async fn worq_2_a_handle_waits_for_the_result(world: World) {
        let job = func("arg").delay().await.unwrap();
        let running = world.start();
        assert_eq!(job.wait(LIMIT).await, Ok("arg".to_owned()));
        assert_eq!(job.state().await.unwrap().unwrap().to_string(), "done");
        assert_eq!(format!("{job:?}"), format!("Handle(worq.func {})", job.id()));
        // Reading never consumes: neither by the same handle nor by another one of the job.
        assert_eq!(job.wait(LIMIT).await, Ok("arg".to_owned()));
        assert_eq!(world.client.handle::<String>(job.id()).await, Ok("arg".to_owned()));
        running.stop().await.unwrap();
    }

    // WORQ-6: the type of the error is a field of the failure rather than part of its text.
    async fn worq_6_an_error_of_a_task_reaches_the_handle_with_type_and_text(world: World) {
        let job = fails().delay().await.unwrap();
        assert_eq!(world.drain().await.failed, 1);
        assert_eq!(job.state().await, Ok(Some(JobState::Failed)));
        let error = job.clone().await.unwrap_err();
        let expected = format!("task `worq.fails` failed (job {}, attempt 1): fail!", job.id());
        assert_eq!(error.to_string(), expected);
        let failure = error.failure().unwrap();
        assert_eq!(failure.kind, FailureKind::Error);
        assert_eq!(failure.error_type.as_deref(), Some(std::any::type_name::<Fail>()));
    }

    async fn worq_11_each_worker_sees_only_the_jobs_of_its_own_queue(world: World) {
        let (of_foo, of_bar) = (Journal::new(), Journal::new());
        let serve = |name: &str, journal: &Journal| {
            let worker = world.worker().serve([QueueConfig::new(queue(name))]);
            world.start_with(worker.provide(journal.clone()))
        };
        let workers = [serve("foo", &of_foo), serve("bar", &of_bar)];
        for name in ["bar", "foo", "foo", "bar"] {
            func(name).queue(name).delay().await.unwrap().await.unwrap();
        }
        for worker in workers {
            worker.stop().await.unwrap();
        }
        assert_eq!(of_foo.lines(), ["foo", "foo"]);
        assert_eq!(of_bar.lines(), ["bar", "bar"]);
    }

    // WORQ-14: an object that the worker holds is its `State`; one whose method is a task goes
    // along with the call.
    async fn worq_14_a_method_changes_an_object_that_the_worker_holds(world: World) {
        let counter = Counter { name: "visits".to_owned() };
        let job = counter.add(3).delay().await.unwrap();
        assert_eq!(world.drain().await.done, 1);
        assert_eq!(job.await, Ok(()));
        assert_eq!(world.journal.lines(), ["visits + 3"]);
    }

    // WORQ-22: the worker lives on; in the original its thread died of the interrupt.
    async fn worq_22_a_panic_fails_the_job_and_not_its_worker(world: World) {
        let running = world.start_with(world.worker().config(one_at_a_time()));
        let job = interrupted().delay().await.unwrap();
        let error = job.clone().await.unwrap_err();
        let expected =
            format!("task `worq.interrupted` panicked (job {}, attempt 1): interrupted", job.id());
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error, JobError::Panicked(_)));
        assert_eq!(job.state().await, Ok(Some(JobState::Failed)));
        assert_eq!(func("next").delay().await.unwrap().await, Ok("next".to_owned()));
        running.stop().await.unwrap();
    }

    // WORQ-32: a negative wait is no `Duration`, so only zero is left to test.
    // WORQ-33: an early look is an error of its own, and the handle can be asked again.
    async fn worq_32_and_33_a_wait_of_zero_looks_once_and_finds_nothing_yet(world: World) {
        let job = func("arg").delay().await.unwrap();
        let error = job.wait(Duration::ZERO).await.unwrap_err();
        assert_eq!(error, JobError::NotYet { job: job.id(), waited: Duration::ZERO });
        let expected = format!("job {} was not finished after 0s", job.id());
        assert_eq!(error.to_string(), expected);
        world.drain().await;
        assert_eq!(job.wait(Duration::ZERO).await, Ok("arg".to_owned()));
    }

    // WORQ-39: values out of range are reported by `.delay()`; a back-off, a span or a mix of
    // `ignore_result` and `keep_result` that makes no sense on the attribute does not compile.
    async fn worq_39_an_option_without_sense_is_refused_before_anything_is_stored(world: World) {
        let calls = [
            (func("a").queue("no such name"), "`no such name` is not a queue name"),
            (func("a").priority(3), "priority 3 is out of range"),
            (func("a").header("traceparent", "mine"), "`mine`"),
        ];
        for (call, reason) in calls {
            let error = call.delay().await.unwrap_err();
            assert!(matches!(error, DelayError::Option { .. }), "{error:?}");
            let error = error.to_string();
            assert!(error.starts_with("cannot delay task `worq.func`: "), "{error}");
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(world.waiting().await, 0);
    }

    async fn worq_43_jobs_are_taken_in_the_order_in_which_they_were_delayed(world: World) {
        for number in 0..3 {
            func(number.to_string()).delay().await.unwrap();
        }
        // In one batch as well.
        world.client.delay_all((3..9).map(|number| func(number.to_string()))).await.unwrap();
        world.drain_with(world.worker().config(one_at_a_time())).await;
        let expected: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        assert_eq!(world.journal.lines(), expected);
    }
}

on_each_broker! {
    carried;

    // WORQ-1: a task is known by a name, but called as the typed function that it is.
    async fn worq_1_a_worker_runs_a_task_that_is_known_by_its_name_once(world: World) {
        let job = func("arg").delay().await.unwrap();
        let running = world.start();
        job.await.unwrap();
        running.stop().await.unwrap();
        assert_eq!(world.journal.lines(), ["arg"]);
        assert_eq!(world.jobs().await[0].task, "worq.func");
    }

    // WORQ-3: the call returns a handle all the same, which says that there is nothing to read.
    async fn worq_3_a_job_whose_result_is_ignored_runs_and_leaves_nothing_behind(world: World) {
        let job = func("arg").ignore_result().delay().await.unwrap();
        assert_eq!(world.drain().await.done, 1);
        assert_eq!(world.journal.lines(), ["arg"]);
        assert!(world.jobs().await.is_empty());
        assert_eq!(job.state().await, Ok(None));
        let error = job.await.unwrap_err().to_string();
        assert!(error.contains("the call said `ignore_result`"), "{error}");
    }

    // WORQ-4: ours are called ready, running and done.
    async fn worq_4_the_state_follows_the_job(world: World) {
        let job = held().delay().await.unwrap();
        assert_eq!(job.state().await, Ok(Some(JobState::Ready)));
        let running = world.start();
        world.journal.wait_for("inside").await;
        assert_eq!(job.state().await, Ok(Some(JobState::Running)));
        world.journal.write("go");
        assert_eq!(job.clone().await, Ok("over".to_owned()));
        assert_eq!(job.state().await, Ok(Some(JobState::Done)));
        running.stop().await.unwrap();
    }

    // WORQ-5: retried first, because a worker that knows the task may be on its way.
    async fn worq_5_a_task_that_no_worker_knows_fails_in_the_end(world: World) {
        let job = func("arg").delay().await.unwrap();
        for _ in 0..6 {
            world.drain_with(world.worker().tasks([held().task()])).await;
            world.advance(Duration::from_secs(200));
        }
        assert_eq!(job.state().await, Ok(Some(JobState::Failed)));
        let error = job.clone().await.unwrap_err();
        assert_eq!(error.failure().unwrap().kind, FailureKind::UnknownTask);
        let expected = format!(
            "task `worq.func` failed (job {}, attempt 6): no task `worq.func` is registered in \
             this worker: deploy a worker that links it, then replay the job",
            job.id(),
        );
        assert_eq!(error.to_string(), expected);
    }

    // WORQ-19: a part can be cleared too, by task, queue, state or time.
    async fn worq_19_a_queue_can_be_cleared_and_so_can_a_part_of_it(world: World) {
        let first = func("a").delay().await.unwrap();
        fails().delay().await.unwrap();
        func("b").delay().await.unwrap();
        assert_eq!(ready(&world).await, 3);
        let of_task = JobFilter { task: Some("worq.fails".to_owned()), ..JobFilter::default() };
        assert_eq!(world.operate().purge(&of_task).await.unwrap(), 1);
        assert_eq!(ready(&world).await, 2);
        let of_queue = JobFilter { queue: Some(QueueName::DEFAULT), ..JobFilter::default() };
        assert_eq!(world.operate().purge(&of_queue).await.unwrap(), 2);
        assert_eq!(ready(&world).await, 0);
        world.drain().await;
        assert!(world.journal.lines().is_empty());
        assert!(matches!(first.await, Err(JobError::NotKept { .. })));
    }

    async fn worq_38_a_result_is_kept_for_as_long_as_the_call_said(world: World) {
        let short = func("short").keep_result(Duration::from_secs(1)).delay().await.unwrap();
        let long = func("long").delay().await.unwrap();
        world.drain().await;
        world.upkeep().await;
        assert_eq!(short.clone().await, Ok("short".to_owned()));
        world.advance(Duration::from_secs(2));
        world.upkeep().await;
        assert_eq!(short.state().await, Ok(None));
        let error = short.await.unwrap_err();
        assert!(matches!(error, JobError::NotKept { .. }));
        assert!(error.to_string().contains("its retention is over"), "{error}");
        assert_eq!(long.await, Ok("long".to_owned()));
    }

    // WORQ-41: not dropped but parked, with the bytes and the reason, for whoever can mend it.
    async fn worq_41_garbage_in_the_queue_is_parked_and_the_worker_lives(world: World) {
        let garbage = b"\x80\x04garbage";
        let job = NewJob {
            id: JobId::new(),
            queue: QueueName::DEFAULT,
            task: Cow::Borrowed("worq.func"),
            priority: Priority::default(),
            due: Due::Now,
            expires_in: None,
            inputs: Vec::new(),
            unique: None,
            with_next: false,
            envelope: garbage.to_vec().into(),
        };
        let id = job.id;
        assert_eq!(world.broker().enqueue(&[job]).await.unwrap(), [Enqueued::Stored]);
        let running = world.start_with(world.worker().config(one_at_a_time()));
        let error = world.client.handle::<String>(id).await.unwrap_err();
        assert_eq!(error.failure().unwrap().kind, FailureKind::Envelope);
        let record = world.client.record(id).await.unwrap().unwrap();
        assert_eq!(record.envelope.as_slice(), garbage);
        assert_eq!(func("next").delay().await.unwrap().await, Ok("next".to_owned()));
        running.stop().await.unwrap();
    }
}

/// An object whose method is a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Counter {
    name: String,
}

#[register_task]
impl Counter {
    #[task(name = "worq.counter.add")]
    async fn add(&self, State(journal): State<Journal>, number: u64) {
        journal.write(format!("{} + {number}", self.name));
    }
}

mod module {
    pub(super) mod path {
        use hereafter::prelude::*;

        #[register_task]
        pub(crate) async fn foo() -> String {
            "foo".to_owned()
        }

        #[register_task]
        pub(crate) async fn bar(arg: u64) -> String {
            format!("bar {arg}")
        }
    }
}

/// Four tasks of one short name.
mod spaces {
    use hereafter::prelude::*;

    #[register_task]
    pub(crate) async fn foo() -> String {
        "spaces".to_owned()
    }

    pub(super) mod one {
        use hereafter::prelude::*;

        #[register_task]
        pub(crate) async fn foo() -> String {
            "spaces one".to_owned()
        }

        pub(crate) mod deep {
            use hereafter::prelude::*;

            #[register_task]
            pub(crate) async fn foo() -> String {
                "spaces one deep".to_owned()
            }
        }
    }

    pub(super) mod two {
        use hereafter::prelude::*;

        #[register_task]
        pub(crate) async fn foo() -> String {
            "spaces two".to_owned()
        }
    }
}

on_each_broker! {
    carried, alone;

    // WORQ-12: the namespace of a task is its module.
    async fn worq_12_a_module_is_a_namespace_of_tasks(world: World) {
        let first = module::path::foo();
        assert!(first.task().name.ends_with("::worq::module::path::foo"), "{first:?}");
        let first = first.delay().await.unwrap();
        let second = module::path::bar(1).delay().await.unwrap();
        world.drain().await;
        assert_eq!(first.await, Ok("foo".to_owned()));
        assert_eq!(second.await, Ok("bar 1".to_owned()));
    }

    async fn worq_13_tasks_of_one_short_name_live_side_by_side_in_their_modules(world: World) {
        let (one, deep) = (spaces::one::foo(), spaces::one::deep::foo());
        let calls = [spaces::foo(), one, deep, spaces::two::foo()];
        let handles = world.client.delay_all(calls).await.unwrap();
        world.drain().await;
        let answers = futures::future::try_join_all(handles).await.unwrap();
        assert_eq!(answers, ["spaces", "spaces one", "spaces one deep", "spaces two"]);
    }
}

// WORQ-40: there is no silent replacement; a worker that shall run another task of the same name
// is given the one to run.
#[hereafter::test]
async fn worq_40_two_tasks_of_one_name_are_refused_unless_one_is_chosen(client: Client) {
    let one = fails().task();
    let other: &'static TaskDescriptor =
        Box::leak(Box::new(TaskDescriptor { file: "elsewhere.rs", line: 7, ..*one }));
    let worker = |tasks: Vec<&'static TaskDescriptor>| {
        Worker::builder(client.clone()).without_hooks().tasks(tasks).burst().build()
    };
    let error = worker(vec![one, other]).run(&Shutdown::new()).await.unwrap_err();
    assert!(matches!(error, WorkerError::DuplicateTask(_)));
    let text = error.to_string();
    for part in ["`worq.fails`", "elsewhere.rs:7", &format!("{}:{}", one.file, one.line)] {
        assert!(text.contains(part), "{text}");
    }
    worker(vec![other]).run(&Shutdown::new()).await.unwrap();
}

on_each_store! {
    carried, alone;

    // WORQ-28: with processes and signals.
    async fn worq_28_a_worker_told_to_stop_lets_the_running_task_finish_and_exits(store: Store) {
        let client = store.client().await;
        let (ledger, gate, log) = (store.file("ledger"), store.file("gate"), store.file("log"));
        let log_file = log.display().to_string();
        let mut worker = store.start(PROGRAM, &["run", "--log-file", &log_file]);
        let job = wait_for_file(&ledger, 1, &gate).delay_on(&client).await.unwrap();
        until_written(&ledger, "start 1").await;
        worker.terminate();
        until_written(&log, "stopping").await;
        assert_eq!(worker.ended(), None, "a task is inside");
        std::fs::write(&gate, "").unwrap();
        assert_eq!(job.await, Ok(1));
        let status = tokio::task::spawn_blocking(move || worker.wait(LIMIT)).await.unwrap();
        assert_eq!(status.code(), Some(0));
        assert_eq!(lines(&ledger), ["start 1", "end 1"]);
    }

    // WORQ-44: two pools under one manager are one worker that serves two queues. With processes
    // and signals.
    async fn worq_44_one_signal_stops_the_work_on_two_queues_after_their_running_jobs(
        store: Store,
    ) {
        let client = store.client().await;
        let (ledger, gate, log) = (store.file("ledger"), store.file("gate"), store.file("log"));
        let log_file = log.display().to_string();
        let args = ["run", "--queue", "foo", "--queue", "bar", "--log-file", &log_file];
        let mut worker = store.start(PROGRAM, &args);
        let call = |id, queue: &str| wait_for_file(&ledger, id, &gate).queue(queue);
        let jobs = client.delay_all([call(1, "foo"), call(2, "bar")]).await.unwrap();
        until_written(&ledger, "start 1").await;
        until_written(&ledger, "start 2").await;
        worker.terminate();
        until_written(&log, "stopping").await;
        let late = call(3, "foo").delay_on(&client).await.unwrap();
        std::fs::write(&gate, "").unwrap();
        assert_eq!(futures::future::join_all(jobs).await, [Ok(1), Ok(2)]);
        let status = tokio::task::spawn_blocking(move || worker.wait(LIMIT)).await.unwrap();
        assert_eq!(status.code(), Some(0));
        assert_eq!(late.state().await, Ok(Some(JobState::Ready)), "it is for another worker");
    }
}

on_each_store! {
    carried;

    // WORQ-26: ours runs a lost job again; only one that takes its workers down each time is reported
    // as lost (`only_the_job_that_kills_its_worker_ends_as_lost` in the suite `faults`). With
    // processes.
    async fn worq_26_the_job_of_a_worker_that_died_runs_again_and_its_waiter_is_answered(
        store: Store,
    ) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        let mut first = store.start(PROGRAM, &["run", "--lease", "1s"]);
        let job = abort_process_once(ledger.clone()).delay_on(&client).await.unwrap();
        let waiting = tokio::spawn(job.clone());
        let ended = tokio::task::spawn_blocking(move || first.wait(LIMIT)).await.unwrap();
        assert_eq!(ended.code(), None, "it was ended by a signal");
        let _second = store.start(PROGRAM, &["run", "--lease", "1s"]);
        let answer = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert_eq!(answer.expect("a lease is much shorter").unwrap(), Ok("survived".to_owned()));
        assert_eq!(lines(&ledger), ["run", "run"]);
        let record = job.record().await.unwrap().unwrap();
        assert_eq!((record.losses, record.failures), (1, 0));
    }
}

fn one_at_a_time() -> WorkerConfig {
    let mut config = WorkerConfig::default();
    config.concurrency = NonZeroU32::MIN;
    config
}

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

async fn ready(world: &World) -> u64 {
    let depths = world.broker().depth(&[QueueName::DEFAULT]).await.unwrap();
    depths[0].ready.unwrap()
}
