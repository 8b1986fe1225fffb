//! Calls that follow a job: marrow's and TaskIt's callbacks.

use std::time::Duration;

use hereafter::broker::JobState;
use hereafter::prelude::*;
use tasksystem::{Journal, World, on_each_broker};

#[register_task(name = "follow::parse", retries = 0)]
fn parse(text: String) -> Result<i64, std::num::ParseIntError> {
    text.parse()
}

#[register_task(name = "follow::double")]
fn double(n: i64) -> i64 {
    n * 2
}

#[register_task(name = "follow::on_success")]
fn on_success(State(journal): State<Journal>, n: i64) {
    journal.write(format_args!("success {n}"));
}

#[register_task(name = "follow::on_failure")]
fn on_failure(State(journal): State<Journal>, error: JobError) {
    let failure = error.failure().expect("the job failed");
    journal.write(format_args!("failure {}", failure.message));
}

#[register_task(name = "follow::on_end")]
fn on_end(State(journal): State<Journal>, ended: Result<i64, JobError>) {
    journal.write(format_args!("end {}", ended.is_ok()));
}

fn with_all_three(
    text: &str,
) -> Call<i64, Result<i64, std::num::ParseIntError>, hereafter::InPlace> {
    parse(text).then(on_success).then(|job| on_failure(job.failure())).then(on_end)
}

fn sorted(world: &World) -> Vec<String> {
    let mut lines = world.journal.lines();
    lines.sort();
    lines
}

on_each_broker! {
    carried;

    // TASKIT-4: the callback has the value, and the error callback does not run.
    async fn marrow_30_a_success_is_followed_once_by_what_wants_it(world: World) {
        let handle = with_all_three("7").delay().await.unwrap();
        world.drain().await;
        assert_eq!(sorted(&world), ["end true", "success 7"]);
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Done));
        let states: Vec<_> = world.jobs().await.iter().map(|job| (job.task.clone(), job.state)).collect();
        assert!(states.contains(&("follow::on_failure".to_owned(), JobState::Cancelled)), "{states:?}");
    }

    // MARROW-43, TASKIT-4. Where nothing takes the error, it is the job's, kept in the store.
    async fn taskit_3_a_failure_is_followed_once_by_what_wants_it(world: World) {
        let handle = with_all_three("x").delay().await.unwrap();
        world.drain().await;
        assert_eq!(sorted(&world), ["end false", "failure invalid digit found in string"]);
        assert!(handle.await.is_err());
        let jobs = world.jobs().await;
        let skipped = jobs.iter().find(|job| job.task == "follow::on_success").unwrap();
        assert_eq!(skipped.state, JobState::Failed);
    }

    // MARROW-26, the half about callbacks of the end.
    async fn marrow_26_what_comes_late_runs_at_once_by_the_same_rule(world: World) {
        for (text, expected) in [
            ("7", ["end true", "success 7"]),
            ("x", ["end false", "failure invalid digit found in string"]),
        ] {
            let before = world.journal.lines().len();
            let handle = parse(text).delay().await.unwrap();
            world.drain().await;
            handle.then(on_success).await.unwrap();
            handle.then(|job| on_failure(job.failure())).await.unwrap();
            handle.then(on_end).await.unwrap();
            world.drain().await;
            let mut lines = world.journal.lines().split_off(before);
            lines.sort();
            assert_eq!(lines, expected);
        }
    }

    async fn follow_ups_are_stored_with_their_call_or_not_at_all(world: World) {
        let refused = parse("7").then(|job| on_success(job).priority(9)).delay().await;
        assert!(refused.unwrap_err().to_string().contains("priority"));
        assert!(world.jobs().await.is_empty());
        double(parse("1").then(on_success)).then(on_end).delay().await.unwrap();
        assert_eq!(world.jobs().await.len(), 4);
        world.drain().await;
        assert_eq!(sorted(&world), ["end true", "success 1"]);
    }

    async fn follow_ups_are_followed_and_may_wait_for_their_time(world: World) {
        let later = parse("4").delay().await.unwrap();
        let doubled = later.then(|job| double(job).then(on_success)).await.unwrap();
        let at = hereafter::gather([doubled.clone()]).then(|all| double(sum(all)));
        let handle = at.call_after(Duration::from_secs(60)).await.unwrap();
        world.drain().await;
        assert_eq!(sorted(&world), ["success 8"]);
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Scheduled));
        world.advance(Duration::from_secs(61));
        world.upkeep().await;
        world.drain().await;
        assert_eq!(handle.await, Ok(vec![8]));
        assert!(world.jobs().await.iter().all(|job| job.state == JobState::Done));
    }

    async fn a_call_made_of_a_handle_has_follow_ups_too(world: World) {
        let handle = parse("7").delay().await.unwrap();
        let again = Call::from(handle.clone()).then(on_success).delay().await.unwrap();
        assert_eq!(again.id(), handle.id());
        world.drain().await;
        assert_eq!(sorted(&world), ["success 7"]);
    }
}

#[register_task(name = "follow::sum")]
fn sum(parts: Vec<i64>) -> i64 {
    parts.iter().sum()
}

#[tokio::test]
async fn an_eager_client_runs_what_follows() {
    let journal = Journal::new();
    let client = hereafter::Client::eager();
    let calls = async {
        let handle = with_all_three("x").delay_on(&client).await.unwrap();
        assert!(handle.clone().await.is_err());
        handle.then(on_end).await.unwrap();
    };
    client.scope(hereafter::scope_state(journal.clone(), calls)).await;
    let lines = journal.lines();
    assert_eq!(lines, ["failure invalid digit found in string", "end false", "end false"]);
}
