//! Jobs that wait for the results of others, from the outside.

use std::collections::HashMap;
use std::time::Duration;

use hereafter::broker::{CancelOutcome, CancelScope, JobFilter, JobState};
use hereafter::prelude::*;
use hereafter::worker::QueueConfig;
use hereafter::{FailureKind, JobId, QueueName};
use tasksystem::tasks::sum;
use tasksystem::{Journal, World, on_each_broker};

/// Passes its argument on, and writes it down.
#[register_task(name = "workflow.noted")]
async fn noted(State(journal): State<Journal>, number: u64) -> u64 {
    journal.write(number);
    number
}

#[register_task(name = "workflow.add")]
async fn add(left: u64, right: u64) -> u64 {
    left + right
}

#[register_task(name = "workflow.fails", retries = 0)]
async fn fails(message: String) -> Result<u64, String> {
    Err(message)
}

/// Fails for good until the test writes `permit`.
#[register_task(name = "workflow.needs_permit", retries = 0)]
async fn needs_permit(State(journal): State<Journal>, number: u64) -> Result<u64, String> {
    let is_permitted = journal.lines().iter().any(|line| line == "permit");
    is_permitted.then_some(number).ok_or_else(|| "no permit".to_owned())
}

/// Its inputs as they came, failures included.
#[register_task(name = "workflow.as_they_came")]
async fn as_they_came(parts: Vec<Result<u64, JobError>>) -> Vec<Result<u64, JobError>> {
    parts
}

on_each_broker! {
    async fn a_diamond_by_a_handle_runs_its_top_once(world: World) {
        let top = noted(7).delay().await.unwrap();
        let bottom = add(add(top.clone(), 1), add(top.clone(), 2)).delay().await.unwrap();
        let deeper = add(top, bottom.clone()).delay().await.unwrap();
        world.drain().await;
        assert_eq!((bottom.await, deeper.await), (Ok(17), Ok(24)));
        assert_eq!(world.journal.lines(), ["7"]);
    }

    async fn one_result_feeds_many_jobs_and_is_still_readable(world: World) {
        let one = noted(1).delay().await.unwrap();
        let before = (0..100).map(|number| add(one.clone(), number));
        let before = world.client.delay_all(before).await.unwrap();
        world.drain().await;
        assert_eq!(one.clone().await, Ok(1));
        let after = (100..200).map(|number| add(one.clone(), number));
        let after = world.client.delay_all(after).await.unwrap();
        world.drain().await;
        for (number, job) in before.into_iter().chain(after).enumerate() {
            assert_eq!(job.await, Ok(1 + number as u64));
        }
        assert_eq!(one.await, Ok(1));
        assert_eq!(world.journal.lines(), ["1"]);
    }

    async fn a_cancelled_job_takes_those_inputs_along_that_nothing_else_wants(world: World) {
        let given = noted(1).delay().await.unwrap();
        let job = add(add(noted(2), noted(3)), given.clone()).delay().await.unwrap();
        let [_, unwanted, wanted, inner, _] = ids(&world).await[..] else { panic!("five jobs") };
        let wanted = world.client.handle::<u64>(wanted);
        let other = add(wanted.clone(), 1).delay().await.unwrap();
        assert_eq!(job.cancel().await, Ok(CancelOutcome::Prevented));
        for job in [unwanted, inner].map(|job| world.client.handle::<u64>(job)) {
            assert_eq!(job.state().await, Ok(Some(JobState::Cancelled)));
        }
        world.drain().await;
        // The one was not made for the job, the other feeds another job.
        assert_eq!((given.await, wanted.await, other.await), (Ok(1), Ok(3), Ok(4)));
        assert_eq!(sorted(&world.journal), ["1", "3"]);
        let error = job.clone().await.unwrap_err();
        assert_eq!(error, JobError::Cancelled { job: job.id(), task: job.task().to_owned() });
    }

    async fn a_job_cancelled_alone_leaves_its_inputs_to_run(world: World) {
        let job = add(add(noted(2), noted(3)), 1).delay().await.unwrap();
        let cancelled = job.cancel_with(CancelScope::JobsAlone).await;
        assert_eq!(cancelled, Ok(CancelOutcome::Prevented));
        assert_eq!(world.drain().await.done, 3);
        assert_eq!(sorted(&world.journal), ["2", "3"]);
        assert!(matches!(job.await, Err(JobError::Cancelled { .. })));
    }

    async fn a_failure_goes_through_three_levels_at_once_and_names_its_root(world: World) {
        let root = fails("the disk is full").delay().await.unwrap();
        let mut levels = vec![noted(root.clone()).delay().await.unwrap()];
        for level in 1..3 {
            let below = levels[level - 1].clone();
            levels.push(add(below, noted(level as u64)).delay().await.unwrap());
        }
        // The one failure; the two other inputs are not waited for.
        let worker = world.worker().tasks([fails("").task()]).serve([QueueConfig::new(QueueName::DEFAULT)]);
        let running = world.start_with(worker);
        let cause = root.clone().await.unwrap_err();
        let failure = cause.failure().unwrap();
        assert_eq!((failure.kind, &*failure.message), (FailureKind::Error, "the disk is full"));
        for job in levels {
            let error = job.clone().wait(Duration::ZERO).await.unwrap_err();
            let failure = error.failure().unwrap();
            assert_eq!((failure.kind, failure.job), (FailureKind::Input, job.id()));
            let expected = format!(
                "task `workflow.fails` failed (job {}, attempt 1): the disk is full",
                root.id()
            );
            assert_eq!(failure.message, expected);
        }
        running.stop().await.unwrap();
    }

    async fn a_result_parameter_receives_failed_cancelled_and_expired_inputs(world: World) {
        let failed = fails("no").delay().await.unwrap();
        let cancelled = noted(1).call_after(Duration::from_secs(60)).await.unwrap();
        let expiring = noted(2).queue("unserved").expires_in(Duration::from_secs(1));
        let expired = expiring.delay().await.unwrap();
        let done = noted(3).delay().await.unwrap();
        let parts = [failed.clone(), cancelled.clone(), expired.clone(), done];
        let early = as_they_came(gather_results(parts.clone())).delay().await.unwrap();
        cancelled.cancel().await.unwrap();
        world.advance(Duration::from_secs(2));
        assert_eq!(world.upkeep().await.expired, 1);
        world.drain().await;
        let late = as_they_came(gather_results(parts)).delay().await.unwrap();
        world.drain().await;
        let task = || "workflow.noted".to_owned();
        let expected = vec![
            Err(failed.await.unwrap_err()),
            Err(JobError::Cancelled { job: cancelled.id(), task: task() }),
            Err(JobError::Expired { job: expired.id(), task: task() }),
            Ok(3),
        ];
        assert_eq!(early.await.unwrap(), expected);
        assert_eq!(late.await.unwrap(), expected);
        assert_eq!(world.journal.lines(), ["3"]);
    }

    async fn replaying_a_failed_inner_job_runs_what_depends_on_it_to_the_end(world: World) {
        let job = add(sum(gather([needs_permit(1), needs_permit(2)])), noted(3));
        let job = job.delay().await.unwrap();
        let outer = add(job.clone(), 4).delay().await.unwrap();
        world.drain().await;
        for job in [&job, &outer] {
            let error = job.clone().await.unwrap_err();
            assert_eq!(error.failure().unwrap().kind, FailureKind::Input);
        }
        let roots = &ids(&world).await[..2];
        world.journal.write("permit");
        let mut replayed = world.operate().replay(&JobFilter::default()).await.unwrap();
        replayed.sort();
        assert_eq!(replayed, roots, "what failed by an input comes along");
        assert_eq!(outer.state().await, Ok(Some(JobState::Blocked)));
        world.drain().await;
        assert_eq!((job.await, outer.await), (Ok(6), Ok(10)));
        assert_eq!(sorted(&world.journal), ["3", "permit"], "what was done stays so");
    }

    async fn a_result_lives_until_its_last_dependant_ran_whatever_its_retention(world: World) {
        let input = noted(5).keep_result(Duration::from_secs(1)).delay().await.unwrap();
        let hour = Duration::from_secs(60 * 60);
        let soon = add(input.clone(), 1).delay().await.unwrap();
        let late = add(input.clone(), 2).call_after(hour).await.unwrap();
        world.drain().await;
        assert_eq!(soon.await, Ok(6));
        world.advance(hour / 2);
        world.upkeep().await;
        assert_eq!(input.clone().await, Ok(5));
        world.advance(hour / 2);
        world.drain().await;
        assert_eq!(late.await, Ok(7));
        world.upkeep().await;
        assert_eq!(input.state().await, Ok(None), "nobody wants it any more");
    }

    async fn the_result_of_an_ignored_inner_call_reaches_the_call_around_it(world: World) {
        let job = add(noted(1).ignore_result(), noted(2).ignore_result()).delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.clone().await, Ok(3));
        world.advance(Duration::from_secs(1));
        world.upkeep().await;
        assert_eq!(ids(&world).await, [job.id()]);
    }

    async fn a_delay_is_the_outer_calls_and_the_inner_ones_run_at_once(world: World) {
        let span = Duration::from_secs(60);
        let job = add(noted(1), noted(2)).call_after(span).await.unwrap();
        assert_eq!(job.state().await, Ok(Some(JobState::Blocked)));
        world.drain().await;
        assert_eq!(sorted(&world.journal), ["1", "2"]);
        assert_eq!(job.state().await, Ok(Some(JobState::Scheduled)));
        world.advance(span);
        world.drain().await;
        assert_eq!(job.await, Ok(3));
        // Late inputs do not make it run early, nor later than they end.
        let job = add(noted(3), 4).call_after(span).await.unwrap();
        world.advance(span);
        assert_eq!(job.state().await, Ok(Some(JobState::Blocked)));
        world.drain().await;
        assert_eq!(job.await, Ok(7));
    }

    async fn a_gather_delayed_alone_is_a_job_that_yields_what_its_calls_do(world: World) {
        let given = noted(9).delay().await.unwrap();
        let list = gather((0..20).map(noted)).delay().await.unwrap();
        let pair = [given.clone(), given.clone()];
        let nested = gather([gather(vec![given.clone()]), gather(pair)]).delay().await.unwrap();
        let mixed = [Call::from(given), Call::from(fails("no").delay().await.unwrap())];
        let results = gather_results(mixed).delay().await.unwrap();
        let keyed = gather_map([("a".to_owned(), noted(1))]).delay().await.unwrap();
        let failed = gather([fails("no")]).delay().await.unwrap();
        world.drain().await;
        assert_eq!(list.await, Ok((0..20).collect()));
        assert_eq!(nested.await, Ok(vec![vec![9], vec![9, 9]]));
        let results = results.await.unwrap();
        assert_eq!((results[0].clone(), results[1].is_err()), (Ok(9), true));
        assert_eq!(keyed.await, Ok(HashMap::from([("a".to_owned(), 1)])));
        assert_eq!(failed.await.unwrap_err().failure().unwrap().kind, FailureKind::Input);
    }

    async fn many_nested_calls_are_delayed_in_one_batch(world: World) {
        let calls = (0..50).map(|number| add(noted(number), noted(number)));
        let jobs = world.client.delay_all(calls).await.unwrap();
        assert_eq!(world.jobs().await.len(), 150);
        world.drain().await;
        for (number, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await, Ok(2 * number as u64));
        }
        // All or none.
        let unusable = noted(1).priority(9);
        let calls = [add(noted(1), noted(2)), add(unusable, noted(3))];
        assert!(matches!(world.client.delay_all(calls).await, Err(DelayError::Option { .. })));
        assert_eq!(world.jobs().await.len(), 150);
    }

    async fn an_expression_beyond_one_batch_is_refused_whole(world: World) {
        let limit = world.broker().capabilities().max_batch;
        let fans = (0..limit / 1_000).map(|_| sum(gather((0..1_000).map(number))));
        let call = sum(gather(fans));
        let error = call.delay().await.unwrap_err();
        let DelayError::TooMany { calls, limit: told } = error else { panic!("{error}") };
        assert_eq!((calls, told), (limit + limit / 1_000 + 1, limit));
        assert!(world.jobs().await.is_empty());
    }

    async fn ten_thousand_jobs_come_together_in_one(world: World) {
        let total = sum(gather((0..10_000).map(number))).delay().await.unwrap();
        assert_eq!(total.record().await.unwrap().unwrap().waits_for, 10_000);
        assert_eq!(world.drain().await.done, 10_001);
        assert_eq!(total.await, Ok(49_995_000));
    }

    async fn a_chain_of_five_hundred_runs_to_its_end_or_fails_to_it(world: World) {
        let chain = |first| (0..499).fold(add(first, 1), |call, _| add(call, 1));
        let good = chain(noted(0).delay().await.unwrap()).delay().await.unwrap();
        let bad = chain(fails("first").delay().await.unwrap()).delay().await.unwrap();
        world.drain().await;
        assert_eq!(good.await, Ok(500));
        let message = bad.await.unwrap_err().failure().unwrap().message.clone();
        assert!(message.starts_with("task `workflow.fails` failed"), "{message}");
        assert_eq!(world.journal.lines(), ["0"]);
    }

    async fn calls_nested_too_deep_are_refused_with_the_remedy(world: World) {
        let deep = (0..1_000).fold(add(number(1), 1), |call, _| add(call, 1));
        let error = deep.delay().await.unwrap_err().to_string();
        assert!(error.contains("1002 levels deep and the limit is 1000"), "{error}");
        assert!(error.contains("pass their handles"), "{error}");
        assert!(world.jobs().await.is_empty());
    }

    async fn a_blocked_job_expires_and_fails_what_waits_for_it(world: World) {
        let span = Duration::from_secs(10);
        let input = noted(1).queue("unserved").delay().await.unwrap();
        let job = add(input.clone(), 1).expires_in(span).delay().await.unwrap();
        let outer = add(job.clone(), 1).delay().await.unwrap();
        world.advance(span);
        assert_eq!(world.upkeep().await.expired, 1);
        let error = job.clone().await.unwrap_err();
        assert_eq!(error, JobError::Expired { job: job.id(), task: "workflow.add".to_owned() });
        assert_eq!(outer.await.unwrap_err().failure().unwrap().message, error.to_string());
        assert_eq!(input.state().await, Ok(Some(JobState::Ready)), "others may want it");
    }

    async fn a_dependant_waits_in_its_own_queue_for_a_worker_of_that(world: World) {
        let inner = noted(1);
        let job = add(inner, 1).queue("bulk").delay().await.unwrap();
        let serving = |name: &str| {
            let queue = QueueConfig::new(QueueName::new(name).unwrap());
            world.worker().serve([queue])
        };
        assert_eq!(world.drain_with(serving("bulk")).await.done, 0);
        assert_eq!(world.drain_with(serving("default")).await.done, 1);
        assert_eq!(job.state().await, Ok(Some(JobState::Ready)));
        assert_eq!(world.drain_with(serving("bulk")).await.done, 1);
        assert_eq!(job.await, Ok(2));
        // Workers of both at the same time: the one wakes the other.
        let running = ["bulk", "default"].map(|name| world.start_with(serving(name)));
        assert_eq!(add(noted(2), 1).queue("bulk").delay().await.unwrap().await, Ok(3));
        for worker in running {
            worker.stop().await.unwrap();
        }
    }
}

#[register_task(name = "workflow.number")]
async fn number(number: u64) -> u64 {
    number
}

/// All jobs, in the order in which they were made: inner calls before those around them.
async fn ids(world: &World) -> Vec<JobId> {
    world.jobs().await.into_iter().map(|job| job.id).collect()
}

/// What ran, where the order is nobody's.
fn sorted(journal: &Journal) -> Vec<String> {
    let mut lines = journal.lines();
    lines.sort();
    lines
}
