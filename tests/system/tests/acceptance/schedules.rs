//! Cases about calls that come again and again: MARROW-37, 38 and 42.

use std::time::Duration;

use hereafter::broker::JobState;
use hereafter::prelude::*;
use jiff::SignedDuration;
use tasksystem::{Journal, on_each_broker};

const TEN: Duration = Duration::from_secs(10);

/// Counts its runs.
#[register_task]
fn run_number(State(journal): State<Journal>) -> usize {
    journal.write("run");
    journal.lines().len()
}

async fn results(runs: Vec<Handle<usize>>) -> Vec<usize> {
    let mut results = Vec::new();
    for run in runs {
        results.push(run.await.unwrap());
    }
    results
}

on_each_broker! {
    carried;

    async fn marrow_37_every_10_s_until_it_is_cancelled_after_three_runs(world: World) {
        let schedule = run_number().every(TEN).save().await.unwrap();
        for _ in 0..3 {
            world.advance(TEN);
            world.drain().await;
        }
        schedule.cancel().await.unwrap();
        world.advance(TEN * 6);
        world.drain().await;
        let runs = schedule.ended().await.unwrap();
        assert_eq!(runs.len(), 3);
        let last = runs[2].clone();
        assert_eq!(results(runs).await, [1, 2, 3]);
        assert_eq!(last.await.unwrap(), 3);
    }

    async fn marrow_38_every_10_s_with_a_start_and_an_end(world: World) {
        let now = world.clock().now();
        let at = |seconds| now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let call = run_number().every(TEN).starting(at(5)).until(at(35));
        let schedule = call.save().await.unwrap();
        for _ in 0..12 {
            world.advance(TEN / 2);
            world.drain().await;
        }
        let runs = schedule.ended().await.unwrap();
        for run in &runs {
            assert_eq!(run.state().await.unwrap(), Some(JobState::Done));
        }
        assert_eq!(results(runs).await, [1, 2, 3]);
    }

    /// MARROW-42: what has another type does not compile (see `tasksystem::refused`); an interval
    /// that is none is an error before anything is stored.
    async fn marrow_42_an_interval_that_is_none_is_refused(world: World) {
        let error = run_number().every(Duration::ZERO).save().await.unwrap_err();
        assert!(error.to_string().contains("an interval is at least 1ms long"), "{error}");
        assert!(world.jobs().await.is_empty());
    }
}
