//! Tasks that are continued by the call, or by the job, that they return.

use std::time::Duration;

use hereafter::broker::{CancelOutcome, JobFilter, JobState};
use hereafter::prelude::*;
use tasksystem::{Journal, on_each_broker};

#[register_task(name = "continuation::value")]
fn value(n: u64) -> u64 {
    n
}

#[register_task(name = "continuation::add")]
async fn add(left: u64, right: u64) -> u64 {
    left + right
}

/// Fails at a number, and else goes on down to nothing.
#[register_task(name = "continuation::count_down", retries = 0)]
async fn count_down(n: u64, fails_at: Option<u64>) -> Result<Call<u64>, String> {
    match n {
        _ if Some(n) == fails_at => Err(format!("{n} is no good")),
        0 => Ok(value(0).erase()),
        _ => Ok(count_down(n - 1, fails_at).erase()),
    }
}

/// A loop: its state is its arguments, and a value ends it.
#[register_task(name = "continuation::collatz")]
fn collatz(n: u64, steps: u64) -> Call<u64> {
    match n {
        1 => value(steps).erase(),
        _ if n.is_multiple_of(2) => collatz(n / 2, steps + 1).erase(),
        _ => collatz(3 * n + 1, steps + 1).erase(),
    }
}

#[register_task(name = "continuation::double_later")]
async fn double_later(n: u64) -> Result<Handle<u64>, DelayError> {
    add(n, n).delay().await
}

#[register_task(name = "continuation::note")]
fn note(State(journal): State<Journal>, n: u64) {
    journal.write(n);
}

#[register_task(name = "continuation::note_end")]
fn note_end(State(journal): State<Journal>, ended: Result<u64, JobError>) {
    journal.write(
        ended.map_or_else(|error| error.failure().unwrap().message.clone(), |n| n.to_string()),
    );
}

/// Answers a gather, which is a job of its own then.
#[register_task(name = "continuation::both")]
fn both(left: u64, right: u64) -> Call<Vec<u64>> {
    gather([value(left), value(right)]).erase()
}

on_each_broker! {
    async fn a_job_ends_with_the_job_that_its_task_returned(world: World) {
        let job = double_later(21).delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.await, Ok(42));
        assert_eq!(world.jobs().await.len(), 2);
    }

    async fn a_gather_may_continue_a_job(world: World) {
        let job = both(3, 4).delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.await, Ok(vec![3, 4]));
    }

    async fn a_loop_ends_by_a_value(world: World) {
        let job = collatz(27, 0).delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.await, Ok(111));
    }

    async fn a_failure_in_the_middle_is_named_at_the_top(world: World) {
        let job = count_down(20, Some(7)).delay().await.unwrap();
        job.then(note_end).await.unwrap();
        world.drain().await;
        let error = job.await.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(failure.attempt, 1);
        assert!(failure.message.contains("7 is no good"), "{}", failure.message);
        let text = error.to_string();
        assert!(text.contains("was continued by a job without a result"), "{text}");
        let root = world.jobs().await.into_iter().find(|job| {
            job.failure.as_ref().is_some_and(|failure| failure.message == "7 is no good")
        });
        let root = root.unwrap().id.to_string();
        assert!(failure.message.contains(&root), "{} does not name {root}", failure.message);
        assert!(world.journal.lines()[0].contains("7 is no good"));
    }

    async fn what_follows_a_continued_job_gets_its_result(world: World) {
        let job = count_down(5, None).then(note).delay().await.unwrap();
        world.drain().await;
        assert_eq!((job.await, world.journal.lines()), (Ok(0), vec!["0".to_owned()]));
    }

    async fn a_continued_job_is_an_argument_as_any_other(world: World) {
        let sum = add(collatz(6, 0), double_later(add(1, collatz(2, 0)))).delay().await.unwrap();
        world.drain().await;
        assert_eq!(sum.await, Ok(8 + 4));
    }

    async fn a_continued_job_waits_blocked_and_is_cancelled_with_what_continues_it(world: World) {
        let job = goes_elsewhere(3).delay().await.unwrap();
        world.drain().await;
        assert_eq!(job.state().await, Ok(Some(JobState::Blocked)));
        assert_eq!(job.cancel().await.unwrap(), CancelOutcome::Prevented);
        let states: Vec<_> = world.jobs().await.iter().map(|job| job.state).collect();
        assert_eq!(states, [JobState::Cancelled; 2]);
    }

    async fn a_replay_of_the_root_goes_on_to_the_top(world: World) {
        let job = add(count_down(2, Some(0)), 1).delay().await.unwrap();
        world.drain().await;
        assert!(job.clone().await.is_err());
        let replayed = world.operate().replay(&JobFilter::default()).await.unwrap();
        assert_eq!(replayed.len(), 1);
        assert_eq!(job.state().await, Ok(Some(JobState::Blocked)));
        world.drain().await;
        assert_eq!(job.state().await, Ok(Some(JobState::Failed)));
    }

    async fn a_task_that_returns_its_own_handle_fails_instead_of_waiting(world: World) {
        let job = returns_itself().retries(0).delay().await.unwrap();
        world.drain().await;
        let error = job.await.unwrap_err().to_string();
        assert!(error.contains("cannot wait for itself"), "{error}");
    }

    async fn what_ignores_its_result_leaves_nothing_when_it_was_continued(world: World) {
        let job = collatz(4, 0).ignore_result().delay().await.unwrap();
        world.drain().await;
        world.advance(Duration::from_secs(2));
        world.upkeep().await;
        let left: Vec<_> = world.jobs().await.into_iter().map(|job| job.id).collect();
        assert!(!left.contains(&job.id()), "{left:?}");
    }
}

/// To a queue that no worker of these tests serves.
#[register_task(name = "continuation::goes_elsewhere")]
fn goes_elsewhere(n: u64) -> Call<u64> {
    value(n).queue("elsewhere").erase()
}

#[register_task(name = "continuation::returns_itself")]
async fn returns_itself(cx: Context) -> Handle<u64> {
    cx.client().unwrap().handle(cx.id())
}

#[tokio::test]
async fn an_eager_client_goes_on_to_the_end() {
    let client = Client::eager();
    let nested = add(collatz(6, 0), double_later(3)).delay_on(&client).await.unwrap();
    assert_eq!(nested.await, Ok(14));
    assert_eq!(count_down(2_000, None).delay_on(&client).await.unwrap().await, Ok(0));
    let failed = count_down(9, Some(4)).delay_on(&client).await.unwrap().await.unwrap_err();
    assert!(failed.failure().unwrap().message.contains("4 is no good"), "{failed}");
    assert_eq!(both(1, 2).delay_on(&client).await.unwrap().await, Ok(vec![1, 2]));
}

#[test]
fn a_drain_of_the_testing_kit_goes_on_to_the_end() {
    hereafter::testing::run(|_| async {
        let job = collatz(6, 0).delay().await.unwrap();
        let drained = hereafter::testing::drain().await;
        // Nine steps, and the value that ends them.
        assert_eq!((drained.done, drained.failed), (10, 0));
        assert_eq!(job.await, Ok(8));
    });
}
