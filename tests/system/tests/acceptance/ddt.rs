//! DDT: the decorator, what survives the way to a worker, and workers on a database.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use futures::future::try_join_all;
use hereafter::broker::JobState;
use hereafter::prelude::*;
use hereafter::worker::{QueueConfig, WorkerConfig};
use hereafter::{FailureKind, QueueName, registry};
use serde::{Deserialize, Serialize};
use tasksystem::tasks::{exit_process, no_op as no_op_of_another_crate, sleep_and_note};
use tasksystem::{Journal, World, on_each_broker, on_each_store};

use crate::{LIMIT, PROGRAM, lines};

#[register_task(name = "ddt.double")]
fn double(number: u64) -> u64 {
    number * 2
}

#[register_task(name = "ddt.note")]
async fn note(State(journal): State<Journal>, id: u64) {
    journal.write(id);
}

#[test]
fn ddt_1_there_is_one_registry_of_all_linked_tasks() {
    assert!(std::ptr::eq(registry(), registry()));
    let found = registry().find("ddt.double").unwrap();
    assert_eq!((found.file, found.line), (double(1).task().file, double(1).task().line));
    // Of other crates too.
    assert!(registry().find("tasksystem::tasks::no_op").is_some());
    assert!(registry().find("ddt.nobody").is_none());
}

/// Stands in for the `delay` that a value which is no call does not have: an inherent method
/// would win over it.
trait NoCall: Sized {
    fn delay(self) -> &'static str {
        "not a task"
    }
}

impl NoCall for u64 {}

// DDT-8: a compile error rather than one at run time.
#[test]
fn ddt_8_a_function_that_is_no_task_cannot_be_delayed() {
    fn unregistered(number: u64) -> u64 {
        number * 2
    }
    assert_eq!(unregistered(2).delay(), "not a task");
}

#[register_task(name = "ddt.maps")]
async fn maps(
    value: BTreeMap<String, BTreeMap<String, u64>>,
) -> BTreeMap<String, BTreeMap<String, u64>> {
    value
}

#[register_task(name = "ddt.lists")]
async fn lists(value: Vec<Vec<Vec<i64>>>) -> Vec<Vec<Vec<i64>>> {
    value
}

#[register_task(name = "ddt.floats")]
async fn floats(value: Vec<f64>) -> Vec<f64> {
    value
}

/// A record of the user's, passed as an argument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    manager: Option<Box<Self>>,
}

#[register_task(name = "ddt.greet")]
async fn greet(
    State(journal): State<Journal>,
    text: String,
    user: User,
    flag: bool,
    f: f64,
) -> User {
    journal.write(format!("{text}, {} of {:?}, {flag}, {f}", user.name, user.manager));
    user
}

/// Has a worker run a call that answers with its argument.
async fn assert_round_trip<T>(world: &World, call: Call<T, T>, value: T)
where
    T: PartialEq + std::fmt::Debug + Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    let job = call.delay().await.unwrap();
    assert_eq!(world.drain().await.done, 1);
    assert_eq!(job.await, Ok(value));
}

on_each_broker! {
    carried, alone;

    async fn ddt_3_4_and_5_maps_lists_and_floats_survive_the_way_there_and_back(world: World) {
        let map = BTreeMap::from([
            ("empty".to_owned(), BTreeMap::new()),
            ("full".to_owned(), BTreeMap::from([("one".to_owned(), 1)])),
        ]);
        assert_round_trip(&world, maps(map.clone()), map).await;
        let list = vec![vec![vec![1, 2], vec![]], vec![], vec![vec![-3]]];
        assert_round_trip(&world, lists(list.clone()), list).await;
        let numbers = vec![12.124, 9.2, 0.1 + 0.2, f64::MIN_POSITIVE, f64::MAX, -0.0];
        assert_round_trip(&world, floats(numbers.clone()), numbers).await;
    }

    // DDT-6: `.call()` runs it, or `.await`; a call alone is a value.
    async fn ddt_6_a_call_that_runs_here_touches_no_broker(world: World) {
        world.client.close().await.unwrap();
        assert_eq!(double(21).call(), 42);
        assert_eq!(double(21).await, 42);
        // The counter-check: a delayed one does touch it.
        assert!(matches!(double(21).delay().await, Err(DelayError::Broker { .. })));
    }

    async fn ddt_7_a_worker_gets_all_arguments_with_records_as_their_type(world: World) {
        let boss = User { id: 1, name: "Ada".to_owned(), manager: None };
        let user = User { id: 2, name: "Grace".to_owned(), manager: Some(Box::new(boss)) };
        let job = greet("arg 1", user.clone(), false, 12.5212).delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.await.as_ref(), Ok(&user));
        let expected = format!("arg 1, Grace of {:?}, false, 12.5212", user.manager);
        assert_eq!(world.journal.lines(), [expected]);
    }

    async fn ddt_9_tasks_of_one_short_name_in_two_crates_are_two_tasks(world: World) {
        let ours = no_op(7);
        let theirs = no_op_of_another_crate(7, "seven");
        assert!(ours.task().name.ends_with("::ddt::no_op"), "{ours:?}");
        assert_eq!(theirs.task().name, "tasksystem::tasks::no_op");
        let (ours, theirs) = (ours.delay().await.unwrap(), theirs.delay().await.unwrap());
        world.drain().await;
        assert_eq!(ours.await, Ok("ours".to_owned()));
        assert_eq!(theirs.await, Ok(7));
    }

    // DDT-10: what ends the whole process is the next test's.
    async fn ddt_10_a_worker_goes_on_after_an_error_and_after_a_panic(world: World) {
        let running = world.start_with(world.worker().config(slots(1)));
        let raises = ends_badly("error").delay().await.unwrap();
        let panics = ends_badly("panic").delay().await.unwrap();
        let next = double(4).delay().await.unwrap();
        assert_eq!(next.await, Ok(8));
        assert!(matches!(raises.await, Err(JobError::Failed(_))));
        assert!(matches!(panics.await, Err(JobError::Panicked(_))));
        running.stop().await.unwrap();
    }

    // DDT-14: at once, where the original polled every 10 s.
    async fn ddt_14_a_job_that_comes_after_the_queue_ran_dry_is_picked_up(world: World) {
        let running = world.start();
        for number in 1..=3 {
            // The answer means that nothing is left to do.
            let job = double(number).delay().await.unwrap();
            assert_eq!(job.wait(Duration::from_secs(10)).await, Ok(number * 2));
        }
        running.stop().await.unwrap();
    }

    async fn ddt_15_two_workers_of_one_queue_run_each_job_once(world: World) {
        let workers = [world.start(), world.start()];
        let handles = world.client.delay_all((0..100).map(note)).await.unwrap();
        try_join_all(handles).await.unwrap();
        for worker in workers {
            worker.stop().await.unwrap();
        }
        let ran: BTreeSet<String> = world.journal.lines().into_iter().collect();
        assert_eq!(ran, (0..100).map(|id: u64| id.to_string()).collect());
        assert_eq!(world.journal.lines().len(), 100);
    }

    // DDT-18: each of the four ends only when all are there, so it takes no clock to see that
    // they run at the same time.
    async fn ddt_18_as_many_jobs_run_at_once_as_the_worker_has_slots(world: World) {
        let running = world.start_with(world.worker().config(slots(4)));
        let handles = world.client.delay_all((0..4).map(meet_three_others)).await.unwrap();
        try_join_all(handles).await.unwrap();
        running.stop().await.unwrap();
    }

    async fn ddt_20_two_queues_of_one_broker_are_independent(world: World) {
        let serve = |name: &str| {
            let queue = QueueConfig::new(QueueName::new(name).unwrap());
            world.worker().serve([queue])
        };
        note(1).queue("one").delay().await.unwrap();
        note(2).queue("two").delay().await.unwrap();
        assert_eq!(world.drain_with(serve("two")).await.done, 1);
        assert_eq!(world.journal.lines(), ["2"]);
        let names = ["one", "two"].map(|name| QueueName::new(name).unwrap());
        let depths = world.broker().depth(&names).await.unwrap();
        let ready: Vec<_> = depths.into_iter().map(|depth| depth.ready).collect();
        assert_eq!(ready, [Some(1), Some(0)]);
        assert_eq!(world.drain_with(serve("one")).await.done, 1);
        assert_eq!(world.journal.lines(), ["2", "1"]);
    }

    async fn ddt_21_a_map_with_the_keys_model_and_fields_arrives_as_that_map(world: World) {
        let fields = BTreeMap::from([("model".to_owned(), 1), ("fields".to_owned(), 2)]);
        let model = BTreeMap::from([("fields".to_owned(), 3)]);
        let map = BTreeMap::from([("model".to_owned(), model), ("fields".to_owned(), fields)]);
        assert_round_trip(&world, maps(map.clone()), map).await;
    }

    // DDT-22: what has an encoded form travels; a type without any does not compile; a value
    // without one is an error at the caller.
    async fn ddt_22_a_value_that_cannot_be_stored_is_an_error_at_the_caller(world: World) {
        let now = SystemTime::now();
        let sent = (now, BTreeSet::from([3, 1]), vec![0, 255]);
        let job = travels(sent.0, sent.1.clone(), sent.2.clone()).delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.await, Ok(sent));

        let error = keyed(BTreeMap::from([(vec![1, 2], 3)])).delay().await.unwrap_err();
        assert!(matches!(error, DelayError::Encode { .. }), "{error:?}");
        let text = hereafter::error_chain(&error);
        assert_eq!(text, "cannot encode the arguments of task `ddt.keyed`: key must be a string");
        assert_eq!(world.waiting().await, 0);
    }
}

on_each_broker! {
    carried;

    async fn ddt_2_a_task_has_a_delay_which_stores_a_job(world: World) {
        let job: Handle<u64> = double(2).delay().await.unwrap();
        let [stored] = &world.jobs().await[..] else { panic!("one job expected") };
        assert_eq!((stored.id, stored.task.as_str()), (job.id(), "ddt.double"));
        assert_eq!(stored.state, JobState::Ready);
    }

    // DDT-11: the job is kept for a worker that knows the task.
    async fn ddt_11_a_worker_goes_on_after_a_job_of_a_task_that_it_does_not_know(world: World) {
        let unknown = note(5).delay().await.unwrap();
        let known = double(5).delay().await.unwrap();
        let old = world.worker().config(slots(1)).tasks([double(0).task()]);
        let ended = world.drain_with(old).await;
        assert_eq!((ended.done, ended.retried), (1, 1));
        assert_eq!(known.await, Ok(10));
        let record = unknown.record().await.unwrap().unwrap();
        assert_eq!(record.state, JobState::Scheduled);
        let failure = record.failure.unwrap();
        assert_eq!(failure.kind, FailureKind::UnknownTask);
        assert!(failure.message.contains("no task `ddt.note` is registered"), "{failure}");
        world.advance(Duration::from_secs(10));
        world.drain().await;
        assert_eq!(unknown.await, Ok(()));
        assert_eq!(world.journal.lines(), ["5"]);
    }
}

#[register_task]
async fn no_op(number: u64) -> String {
    let _ = number;
    "ours".to_owned()
}

#[register_task(name = "ddt.ends_badly", retries = 0)]
fn ends_badly(how: String) -> Result<(), String> {
    if how == "panic" {
        panic!("{how}");
    }
    Err(how)
}

#[register_task(name = "ddt.meet_three_others")]
async fn meet_three_others(State(journal): State<Journal>, id: u64) {
    journal.write(format!("{id} is here"));
    for other in 0..4 {
        journal.wait_for(&format!("{other} is here")).await;
    }
}

#[register_task(name = "ddt.travels")]
async fn travels(
    time: SystemTime,
    set: BTreeSet<u64>,
    bytes: Vec<u8>,
) -> (SystemTime, BTreeSet<u64>, Vec<u8>) {
    (time, set, bytes)
}

/// JSON has no map whose keys are lists.
#[register_task(name = "ddt.keyed")]
async fn keyed(map: BTreeMap<Vec<u8>, u8>) {
    drop(map);
}

on_each_store! {
    carried, alone;

    // DDT-15: in processes of their own.
    async fn ddt_15_two_worker_processes_on_one_database_run_each_job_once(store: Store) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        let workers = [(); 2].map(|()| store.start(PROGRAM, &["run", "--concurrency", "4"]));
        let calls = (0..100).map(|id| sleep_and_note(&ledger, id, 1));
        let handles = client.delay_all(calls).await.unwrap();
        try_join_all(handles.clone()).await.unwrap();
        drop(workers);
        let mut started: Vec<String> = lines(&ledger);
        started.retain(|line| line.starts_with("start"));
        started.sort();
        let mut expected: Vec<String> = (0..100).map(|id| format!("start {id}")).collect();
        expected.sort();
        assert_eq!(started, expected);
    }
}

on_each_store! {
    carried;

    // DDT-10: what the original swallowed. With processes.
    async fn ddt_10_a_task_that_exits_takes_only_its_own_process_down(store: Store) {
        let client = store.client().await;
        let args = ["run", "--concurrency", "1", "--lease", "5s"];
        let exits = exit_process(7).delay_on(&client).await.unwrap();
        let mut first = store.start(PROGRAM, &args);
        let status = tokio::task::spawn_blocking(move || first.wait(LIMIT)).await.unwrap();
        assert_eq!(status.code(), Some(7));
        // What a supervisor does.
        let _second = store.start(PROGRAM, &args);
        let next = no_op_of_another_crate(1, "next").delay_on(&client).await.unwrap();
        assert_eq!(next.await, Ok(1));
        let record = exits.record().await.unwrap().unwrap();
        assert_eq!(record.failures, 0, "a lost worker is not a failure of the task's");
    }

    // DDT-12: with processes.
    async fn ddt_12_a_worker_in_drain_mode_runs_the_oldest_first_empties_the_table_and_exits(
        store: Store,
    ) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        for id in 0..3 {
            sleep_and_note(&ledger, id, 0).ignore_result().delay_on(&client).await.unwrap();
        }
        let mut worker = store.start(PROGRAM, &["run", "--burst", "--concurrency", "1"]);
        let status = tokio::task::spawn_blocking(move || worker.wait(LIMIT)).await.unwrap();
        assert_eq!(status.code(), Some(0));
        assert_eq!(lines(&ledger), ["start 0", "end 0", "start 1", "end 1", "start 2", "end 2"]);
        let operate = client.connection().unwrap().operate.clone().unwrap();
        assert!(operate.jobs(&hereafter::broker::JobFilter::default()).await.unwrap().is_empty());
    }
}

// DDT-19: our null broker is the disabled mode: the handle says that nothing was stored.
#[hereafter::test]
async fn ddt_19_a_disabled_client_takes_calls_and_does_nothing() {
    let client = Client::disabled();
    let job = double(1).delay_on(&client).await.unwrap();
    let error = job.clone().await.unwrap_err();
    assert_eq!(error, JobError::Disabled { task: "ddt.double".to_owned() });
    assert_eq!(error.to_string(), "task `ddt.double` was not stored: Hereafter is disabled");
    assert_eq!(job.state().await, Err(error));
}

/// A worker's configuration with so many slots.
fn slots(slots: u32) -> WorkerConfig {
    let mut config = WorkerConfig::default();
    config.concurrency = NonZeroU32::new(slots).unwrap();
    config
}
