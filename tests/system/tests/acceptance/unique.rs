//! WORQ: jobs with an id of the caller's, which ours call a unique key.

use hereafter::JobId;
use hereafter::prelude::*;
use tasksystem::{Journal, World, on_each_broker};

#[register_task(name = "worq.add")]
async fn add(State(journal): State<Journal>, numbers: Vec<u64>) -> u64 {
    journal.write("inside");
    journal.wait_for("go").await;
    numbers.iter().sum()
}

#[register_task(name = "worq.add_by_sum", unique_by = sum_of)]
async fn add_by_sum(State(journal): State<Journal>, numbers: Vec<u64>) -> u64 {
    journal.write("inside");
    journal.wait_for("go").await;
    numbers.iter().sum()
}

fn sum_of(numbers: &[u64]) -> u64 {
    numbers.iter().sum()
}

/// Refused while the job lives, with its id; accepted when it has ended. Its record may still
/// be there: a key is not an id.
async fn is_unique_while_it_lives(world: &World, key: &str, call: impl Fn() -> Call<u64, u64>) {
    let first = call().delay().await.unwrap();
    let refused = |error: DelayError, by: JobId| {
        let text = error.to_string();
        assert!(text.contains(&format!("job {by} holds the unique key `{key}`")), "{text}");
        assert!(matches!(error, DelayError::Duplicate { existing, .. } if existing == by));
    };
    refused(call().delay().await.unwrap_err(), first.id());
    let running = world.start();
    world.journal.wait_for("inside").await;
    refused(call().delay().await.unwrap_err(), first.id());
    world.journal.write("go");
    assert_eq!(first.clone().await, Ok(4));
    let second = call().delay().await.unwrap();
    assert_ne!(second.id(), first.id());
    assert_eq!(second.await, Ok(4));
    running.stop().await.unwrap();
}

on_each_broker! {
    carried;

    // WORQ-16: an id is always new; what the caller chooses is a key.
    async fn worq_16_a_key_is_refused_while_its_job_lives(world: World) {
        is_unique_while_it_lives(&world, "int", || add([1, 3]).unique("int")).await;
    }

    async fn worq_17_a_function_of_the_arguments_gives_the_key(world: World) {
        is_unique_while_it_lives(&world, "4", || add_by_sum([1, 3])).await;
    }
}
