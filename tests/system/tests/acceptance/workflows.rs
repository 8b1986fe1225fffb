//! WORQ, MARROW and TASKIT: calls in calls, handles as arguments, waiting on many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use hereafter::broker::{Depth, JobState, Keep, Settled, Settlement, Verdict};
use hereafter::prelude::*;
use hereafter::worker::WorkerConfig;
use hereafter::{Failure, FailureKind, JobId, QueueName, map, map_within};
use tasksystem::tasks::{sum, wait_for_file};
use tasksystem::{Journal, World, on_each_broker, on_each_store};

use crate::{LIMIT, PROGRAM, lines, until_written};

#[register_task(name = "flow.value")]
async fn value(State(journal): State<Journal>, number: u64) -> u64 {
    journal.write(number);
    number
}

#[register_task(name = "flow.add")]
fn add(left: u64, right: u64) -> u64 {
    left + right
}

#[register_task(name = "flow.at_least_ten", retries = 0)]
fn at_least_ten(number: u64) -> Result<u64, String> {
    if number < 10 { Err("too low".to_owned()) } else { Ok(number) }
}

/// Its input as it came, failures included.
#[register_task(name = "flow.as_it_came")]
fn as_it_came(parts: Vec<Result<u64, JobError>>) -> Vec<Result<u64, JobError>> {
    parts
}

#[register_task(name = "flow.text_of")]
fn text_of(part: Result<u64, JobError>) -> String {
    part.map_or_else(|error| error.to_string(), |number| number.to_string())
}

on_each_broker! {
    carried;

    async fn worq_7_calls_as_arguments_arrive_as_their_values(world: World) {
        let job = sum(gather([1, 2, 3].map(value))).delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.await, Ok(6));
        let mut ran = world.journal.lines();
        ran.sort();
        assert_eq!(ran, ["1", "2", "3"]);
    }

    async fn worq_8_calls_nest_and_mix_with_values(world: World) {
        let nested = add(sum(gather([1, 2, 3].map(value))), value(4)).delay().await.unwrap();
        let mixed = add(add(value(1), 2), 3).delay().await.unwrap();
        world.drain().await;
        assert_eq!((nested.await, mixed.await), (Ok(10), Ok(6)));
    }
}

#[register_task(name = "flow.left")]
fn left(number: u64) -> String {
    format!("left {number}")
}

#[register_task(name = "flow.right")]
fn right(number: u64) -> String {
    format!("right {number}")
}

type Triple = (String, String, u64);

#[register_task(name = "flow.catch")]
fn catch(left: String, right: String, number: u64) -> Triple {
    (left, right, number)
}

#[register_task(name = "flow.combine")]
fn combine(triples: HashMap<u64, Triple>) -> HashMap<u64, Triple> {
    triples
}

on_each_broker! {
    carried, alone;

    // WORQ-15: a running job whose worker is gone for good is failed by the store, and whoever
    // waits is told.
    async fn worq_15_who_waits_for_a_job_that_is_lost_is_told(world: World) {
        let lost = value(1).delay().await.unwrap();
        let waiting = tokio::spawn(lost.clone());
        for _ in 0..4 {
            let [taken] = &world.take(1).await[..] else { panic!("it was given back") };
            world.broker().begin(&taken.receipt).await.unwrap();
            world.advance(World::LEASE);
            world.upkeep().await;
        }
        assert!(matches!(waiting.await.unwrap(), Err(JobError::Lost(_))));
    }
}

on_each_broker! {
    carried;

    async fn worq_9_three_diamonds_come_together_in_one_map(world: World) {
        let mut diamonds = Vec::new();
        for number in 1..=3 {
            let top = value(number).delay().await.unwrap();
            diamonds.push((number, catch(left(top.clone()), right(top.clone()), top)));
        }
        let job = combine(gather_map(diamonds)).delay().await.unwrap();
        world.drain().await;
        let triple = |number| (format!("left {number}"), format!("right {number}"), number);
        let expected = HashMap::from([1, 2, 3].map(|number| (number, triple(number))));
        assert_eq!(job.await, Ok(expected));
        assert_eq!(world.journal.lines().len(), 3, "a shared job runs once");
    }

    // WORQ-10: a parameter that takes a `Result` passes failures on; there is no option for it.
    async fn worq_10_a_failed_input_is_a_value_where_the_parameter_takes_results(world: World) {
        let parts = world.client.delay_all([11, 2, 13].map(at_least_ten)).await.unwrap();
        let failed = parts[1].id();
        let job = as_it_came(gather_results(parts)).delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.await, Ok(vec![Ok(11), Err(too_low(failed)), Ok(13)]));
    }

    // WORQ-18: jobs are counted by state, so the five lengths are sums.
    async fn worq_18_a_job_that_waits_for_another_counts_in_its_queue(world: World) {
        assert_eq!(lengths(&world).await, (0, 0));
        let first = value(1).delay().await.unwrap();
        assert_eq!(lengths(&world).await, (1, 0));
        let sum = add(first, value(2)).delay().await.unwrap();
        assert_eq!(lengths(&world).await, (2, 1));
        let [taken] = &world.take(1).await[..] else { panic!("there are two") };
        let keep = Keep::For(Duration::from_secs(60));
        let verdict = Verdict::Done { result: Some(b"1".to_vec().into()), keep };
        let settlement = Settlement { job: taken.job, receipt: taken.receipt.clone(), verdict };
        assert_eq!(world.broker().settle(&[settlement]).await.unwrap(), [Settled::Applied]);
        assert_eq!(lengths(&world).await, (1, 1));
        world.drain().await;
        assert_eq!(lengths(&world).await, (0, 0));
        assert_eq!(sum.await, Ok(3));
    }

    // WORQ-20: there are no options of a queue. `ignore_result` is the task's or the call's, and
    // what becomes of a failed argument is decided by the parameter's type.
    async fn worq_20_a_task_says_what_is_kept_and_its_parameter_what_is_passed(world: World) {
        let unread = unread(5).delay().await.unwrap();
        let low = at_least_ten(1).delay().await.unwrap();
        let text = text_of(low.clone()).delay().await.unwrap();
        world.drain().await;
        assert_eq!(world.journal.lines(), ["5"]);
        assert!(matches!(unread.await, Err(JobError::NotKept { .. })));
        let expected =
            format!("task `flow.at_least_ten` failed (job {}, attempt 1): too low", low.id());
        assert_eq!(text.await, Ok(expected));
    }

    async fn worq_21_a_handle_whose_result_was_read_is_an_argument_like_any_other(world: World) {
        let first = value(20).delay().await.unwrap();
        world.drain().await;
        assert_eq!(first.clone().await, Ok(20));
        let second = add(first, 1).delay().await.unwrap();
        assert_eq!(second.state().await, Ok(Some(JobState::Ready)), "it waits for nothing");
        world.drain().await;
        assert_eq!(second.await, Ok(21));
    }

    async fn worq_23_one_failed_input_of_three_fails_the_job_and_is_named(world: World) {
        let parts = world.client.delay_all([11, 2, 13].map(at_least_ten)).await.unwrap();
        let failed = parts[1].id();
        let job = sum(gather(parts)).delay().await.unwrap();
        world.drain().await;
        let error = job.clone().await.unwrap_err();
        assert_eq!(error.failure().unwrap().kind, FailureKind::Input);
        let expected = format!(
            "task `tasksystem::tasks::sum` did not run (job {}), because of an input: task \
             `flow.at_least_ten` failed (job {failed}, attempt 1): too low",
            job.id(),
        );
        assert_eq!(error.to_string(), expected);
    }

    // WORQ-34: allowed.
    async fn worq_34_one_handle_is_an_argument_of_two_jobs(world: World) {
        let shared = value(5).delay().await.unwrap();
        let one = add(shared.clone(), 1).delay().await.unwrap();
        let two = add(shared.clone(), 2).delay().await.unwrap();
        world.drain().await;
        assert_eq!((one.await, two.await, shared.await), (Ok(6), Ok(7), Ok(5)));
        assert_eq!(world.journal.lines(), ["5"]);
    }

    async fn worq_35_one_handle_three_times_in_a_call_fills_every_place(world: World) {
        let shared = value(5).delay().await.unwrap();
        let list = gather([shared.clone(), shared.clone()]);
        let map = gather_map([("key".to_owned(), shared.clone())]);
        let job = places(shared, list, map).delay().await.unwrap();
        assert_eq!(job.record().await.unwrap().unwrap().waits_for, 1);
        world.drain().await;
        assert_eq!(job.await, Ok(r#"5 [5, 5] {"key": 5}"#.to_owned()));
    }

    async fn worq_36_a_chain_whose_first_job_fails_ends_with_that_one_named(world: World) {
        let first = at_least_ten(1).delay().await.unwrap();
        let middle = value(first.clone()).delay().await.unwrap();
        let last = value(middle.clone()).delay().await.unwrap();
        world.drain().await;
        let root = first.clone().await.unwrap_err().to_string();
        for job in [middle, last] {
            let error = job.clone().await.unwrap_err();
            let expected = format!(
                "task `flow.value` did not run (job {}), because of an input: {root}",
                job.id()
            );
            assert_eq!(error.to_string(), expected);
        }
        assert!(root.contains("`flow.at_least_ten`") && root.contains(&first.id().to_string()));
        assert!(world.journal.lines().is_empty(), "neither was run");
    }

    // WORQ-37: a lost job runs again; the dependant learns of the loss once that was in vain.
    async fn worq_37_what_waits_for_a_lost_job_is_told(world: World) {
        let lost = value(1).delay().await.unwrap();
        let dependant = add(lost.clone(), 1).delay().await.unwrap();
        let waiting = tokio::spawn(dependant.clone());
        for _ in 0..4 {
            assert_eq!(dependant.state().await, Ok(Some(JobState::Blocked)));
            let [taken] = &world.take(1).await[..] else { panic!("it was given back") };
            world.broker().begin(&taken.receipt).await.unwrap();
            world.advance(World::LEASE);
            world.upkeep().await;
        }
        let error = waiting.await.unwrap().unwrap_err().to_string();
        assert!(error.contains(&format!("task `flow.value` was lost (job {}", lost.id())), "{error}");
        assert!(matches!(lost.await, Err(JobError::Lost(_))));
    }

    async fn worq_45_a_long_job_keeps_its_lease_and_what_waits_for_it_waits(world: World) {
        let mut config = WorkerConfig::default();
        config.lease = Duration::from_secs(2);
        let long = 2 * config.lease + config.lease / 2;
        let running = world.start_with(world.worker().config(config));
        let slow = sleeps(long).delay().await.unwrap();
        let dependant = add(slow.clone(), 1).delay().await.unwrap();
        assert_eq!(dependant.clone().await, Ok(2));
        assert_eq!(world.journal.lines(), ["slept"]);
        for job in [slow, dependant] {
            let record = job.record().await.unwrap().unwrap();
            assert_eq!((record.state, record.losses), (JobState::Done, 0));
        }
        running.stop().await.unwrap();
    }
}

#[register_task(name = "flow.unread", ignore_result)]
async fn unread(State(journal): State<Journal>, number: u64) -> u64 {
    journal.write(number);
    number
}

#[register_task(name = "flow.places")]
fn places(one: u64, list: Vec<u64>, map: HashMap<String, u64>) -> String {
    format!("{one} {list:?} {map:?}")
}

#[register_task(name = "flow.sleeps")]
async fn sleeps(State(journal): State<Journal>, span: Duration) -> u64 {
    tokio::time::sleep(span).await;
    journal.write("slept");
    1
}

on_each_store! {
    carried;

    // WORQ-31: two processes. Each has five slots: ten jobs at once are in both.
    async fn worq_31_two_worker_processes_add_ten_numbers(store: Store) {
        let (client, ledger, gate) = (store.client().await, store.file("ledger"), store.file("gate"));
        let workers = [(); 2].map(|()| store.start(PROGRAM, &["run", "--concurrency", "5"]));
        let numbers = (0..10).map(|number| wait_for_file(&ledger, number, &gate));
        let total = sum(gather(numbers)).delay_on(&client).await.unwrap();
        for number in 0..10 {
            until_written(&ledger, &format!("start {number}")).await;
        }
        assert_eq!(total.state().await, Ok(Some(JobState::Blocked)));
        std::fs::write(&gate, "").unwrap();
        assert_eq!(total.wait(LIMIT).await, Ok(45));
        assert_eq!(lines(&ledger).len(), 20, "each ran once");
        drop(workers);
    }
}

#[register_task(name = "flow.length")]
fn length(parts: Vec<u64>) -> usize {
    parts.len()
}

#[register_task(name = "flow.unless_even")]
fn unless_even(number: u64) -> Option<u64> {
    (number % 2 == 1).then_some(number)
}

// WORQ-46: here, no broker is needed. A delayed one is a job like any other.
#[tokio::test]
async fn worq_46_nothing_gathered_here_is_an_empty_list_at_once() {
    assert_eq!(gather(Vec::<Call<u64>>::new()).await, Ok(vec![]));
    assert_eq!(length(gather(Vec::<Call<u64>>::new())).await, Ok(0));
}

on_each_broker! {
    carried, alone;

    async fn worq_46_nothing_gathered_in_a_job_is_an_empty_list(world: World) {
        let none = gather(Vec::<Call<u64>>::new()).delay().await.unwrap();
        let length = length(gather(Vec::<Call<u64>>::new())).delay().await.unwrap();
        world.drain().await;
        assert_eq!((none.await, length.await), (Ok(vec![]), Ok(0)));
    }

    async fn marrow_28_a_map_over_texts_is_one_job_each_and_answers_in_order(world: World) {
        let texts = ["Übung", "日本語", "naïve", "Ωmega"];
        let jobs = world.client.delay_all(texts.map(backwards)).await.unwrap();
        assert_eq!(world.waiting().await, 4);
        world.drain().await;
        let answers: Vec<_> = map(jobs).map(Result::unwrap).collect().await;
        assert_eq!(answers, ["gnubÜ", "語本日", "evïan", "agemΩ"]);
    }
}

on_each_broker! {
    carried;

    async fn worq_47_sets_have_a_final_task_and_nest(world: World) {
        let flat = sum(gather([1, 2, 3].map(value))).delay().await.unwrap();
        let inner = [vec![1, 2, 3], vec![4, 5]]
            .map(|numbers| sum(gather(numbers.into_iter().map(value))));
        let nested = sum(gather(inner)).delay().await.unwrap();
        world.drain().await;
        assert_eq!((flat.await, nested.await), (Ok(6), Ok(15)));
    }

    // WORQ-48: the original drops what is nothing. Ours keeps each in its place.
    async fn worq_48_a_set_keeps_the_places_of_jobs_that_return_nothing(world: World) {
        let numbers = gather([1, 2, 3].map(unless_even)).delay().await.unwrap();
        world.drain().await;
        let numbers = numbers.await.unwrap();
        assert_eq!(numbers, [Some(1), None, Some(3)]);
        assert_eq!(numbers.into_iter().flatten().collect::<Vec<_>>(), [1, 3]);
    }

    // WORQ-49: the error names the first job that failed rather than "subtask(s)".
    async fn worq_49_a_failed_one_of_a_set_fails_it_or_stands_in_its_place(world: World) {
        let parts = world.client.delay_all([11, 2, 13].map(at_least_ten)).await.unwrap();
        let failed = parts[1].id();
        let all = value(length_of(gather(parts.clone()))).delay().await.unwrap();
        let each = gather_results(parts).delay().await.unwrap();
        world.drain().await;
        let error = all.await.unwrap_err();
        assert_eq!(error.failure().unwrap().message, too_low(failed).to_string());
        assert!(world.journal.lines().is_empty(), "the final task was not run");
        assert_eq!(each.await, Ok(vec![Ok(11), Err(too_low(failed)), Ok(13)]));
    }

    // MARROW-29: each answer says that it did not come in time, and the late jobs are cancelled.
    async fn marrow_29_a_map_within_a_time_ends_with_it(world: World) {
        let running = world.start();
        let jobs = world.client.delay_all([1, 2, 3, 4].map(held)).await.unwrap();
        let limit = Duration::from_millis(100);
        let answers: Vec<_> = map_within(jobs.clone(), limit).collect().await;
        let late = jobs.iter().map(|job| Err(JobError::NotYet { job: job.id(), waited: limit }));
        assert_eq!(answers, late.collect::<Vec<_>>());
        for job in jobs {
            assert_eq!(job.state().await, Ok(Some(JobState::Cancelled)));
        }
        running.stop().await.unwrap();
    }
}

#[register_task(name = "flow.length_of")]
fn length_of(parts: Vec<u64>) -> u64 {
    parts.len() as u64
}

#[register_task(name = "flow.backwards")]
fn backwards(text: String) -> String {
    text.chars().rev().collect()
}

/// Waits until the test says `go`, then hands the number over.
#[register_task(name = "flow.held")]
async fn held(State(journal): State<Journal>, number: u64) -> u64 {
    journal.write("inside");
    journal.wait_for("go").await;
    number
}

#[register_task(name = "flow.byte_length")]
fn byte_length(text: String) -> usize {
    text.len()
}

// TASKIT-5 to 9: what the original's mediator is, from one thread to another in a process, is a
// handle of a job: the worker sets it once, and any number of waiters read it.
on_each_broker! {
    carried, alone;

    async fn taskit_5_a_waiter_gets_what_a_worker_hands_over_later(world: World) {
        let running = world.start();
        let job = held(7).delay().await.unwrap();
        let waiting = tokio::spawn(job.clone());
        world.journal.wait_for("inside").await;
        assert!(!waiting.is_finished());
        world.journal.write("go");
        assert_eq!(waiting.await.unwrap(), Ok(7));
        running.stop().await.unwrap();
    }

    async fn taskit_6_a_wait_that_was_too_short_loses_nothing(world: World) {
        let running = world.start();
        let job = held(7).delay().await.unwrap();
        let waited = Duration::from_millis(50);
        assert_eq!(job.wait(waited).await, Err(JobError::NotYet { job: job.id(), waited }));
        world.journal.write("go");
        assert_eq!(job.wait(LIMIT).await, Ok(7));
        running.stop().await.unwrap();
    }

    async fn taskit_7_an_error_handed_over_is_the_waiters_error(world: World) {
        let job = at_least_ten(7).delay().await.unwrap();
        let waiting = tokio::spawn(job.clone());
        world.drain().await;
        assert_eq!(waiting.await.unwrap(), Err(too_low(job.id())));
    }

    async fn taskit_8_values_set_and_read_in_turns_do_not_mix(world: World) {
        let running = world.start();
        for number in 0..100 {
            assert_eq!(value(number).delay().await.unwrap().await, Ok(number));
        }
        running.stop().await.unwrap();
    }

    async fn taskit_9_looking_once_where_nothing_is_answers_at_once(world: World) {
        let job = value(1).delay().await.unwrap();
        let (waited, asked) = (Duration::ZERO, Instant::now());
        assert_eq!(job.wait(waited).await, Err(JobError::NotYet { job: job.id(), waited }));
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }

    async fn taskit_10_a_job_hands_over_its_functions_value_or_error(world: World) {
        let running = world.start();
        let low = at_least_ten(1).delay().await.unwrap();
        assert_eq!(low.clone().await, Err(too_low(low.id())));
        assert_eq!(byte_length("Python+TaskIt").delay().await.unwrap().await, Ok(13));
        running.stop().await.unwrap();
    }
}

/// The failure of `at_least_ten`.
fn too_low(job: JobId) -> JobError {
    JobError::Failed(Box::new(Failure {
        kind: FailureKind::Error,
        task: "flow.at_least_ten".to_owned(),
        job,
        attempt: 1,
        error_type: Some(std::any::type_name::<String>().to_owned()),
        message: "too low".to_owned(),
        causes: Vec::new(),
        permanent: false,
    }))
}

/// How many jobs are ready, and how many wait for others.
async fn lengths(world: &World) -> (u64, u64) {
    let depths = world.broker().depth(&[QueueName::DEFAULT]).await.unwrap();
    let Depth { ready, blocked, .. } = &depths[0];
    (ready.unwrap(), blocked.unwrap())
}
