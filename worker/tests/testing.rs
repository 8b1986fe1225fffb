//! The testing kit on calls whose arguments are calls.

use std::panic::{AssertUnwindSafe, catch_unwind};

use taskcore::{Call, JobError, gather, gather_map, gather_results, panic_message, register_task};
use taskworker::testing::{self, assert_delayed, drain, refute_delayed};

#[register_task(crate = taskcore, name = "count")]
fn count(text: String) -> u64 {
    text.split_whitespace().count() as u64
}

#[register_task(crate = taskcore, name = "length")]
fn length(text: String) -> u64 {
    text.len() as u64
}

#[register_task(crate = taskcore, name = "sum")]
fn sum(parts: Vec<u64>, start: u64) -> u64 {
    parts.iter().sum::<u64>() + start
}

#[register_task(crate = taskcore, name = "succeeded")]
fn succeeded(parts: Vec<Result<u64, JobError>>) -> usize {
    parts.iter().filter(|part| part.is_ok()).count()
}

#[register_task(crate = taskcore, name = "rank")]
fn rank(of: std::collections::HashMap<String, u64>) -> usize {
    of.len()
}

#[register_task(crate = taskcore, name = "two+words")]
fn join(left: u64, right: u64) -> u64 {
    left + right
}

/// `sum` of two `count`s.
fn total(first: &str, second: &str) -> Call<u64, Result<u64, JobError>, taskcore::InPlace> {
    sum(gather([count(first), count(second)]), 5)
}

#[test]
fn an_expression_is_found_by_its_tasks_and_all_its_values() {
    testing::run(|client| async move {
        total("a", "b").delay_on(&client).await.unwrap();
        for _ in ["before it ran", "after"] {
            assert_delayed(&total("a", "b"));
            assert_delayed(&count("b"));
            refute_delayed(&total("b", "a"));
            refute_delayed(&total("a", "c"));
            refute_delayed(&sum(gather([count("a"), length("b")].map(Call::from)), 5));
            refute_delayed(&sum(gather([count("a")]), 5));
            refute_delayed(&sum(gather([count("a"), count("b")]), 6));
            refute_delayed(&sum(vec![1, 1], 5));
            assert_eq!(drain().await.failed, 0);
        }
    });
}

#[test]
fn a_handle_is_that_job_and_a_call_is_any_like_it() {
    testing::run(|client| async move {
        let first = count("a").delay_on(&client).await.unwrap();
        let second = count("a").delay_on(&client).await.unwrap();
        join(first.clone(), first.clone()).delay_on(&client).await.unwrap();
        assert_delayed(&join(first.clone(), first.clone()));
        refute_delayed(&join(first.clone(), second.clone()));
        refute_delayed(&join(second.clone(), second.clone()));
        refute_delayed(&join(count("a"), count("a")));
        join(first.clone(), second.clone()).delay_on(&client).await.unwrap();
        assert_delayed(&join(first, second));
        assert_delayed(&join(count("a"), count("a")));
    });
}

#[test]
fn fans_by_key_and_tolerant_ones_are_compared_as_well() {
    testing::run(|client| async move {
        let keyed = |keys: [&'static str; 2]| {
            rank(gather_map(keys.map(|key| (key.to_owned(), count(key)))))
        };
        keyed(["a", "b"]).delay_on(&client).await.unwrap();
        assert_delayed(&keyed(["b", "a"]));
        refute_delayed(&keyed(["a", "c"]));
        let tried = |texts: [&'static str; 2]| succeeded(gather_results(texts.map(count)));
        tried(["a", "b"]).delay_on(&client).await.unwrap();
        assert_delayed(&tried(["a", "b"]));
        refute_delayed(&tried(["a", "a"]));
        gather(["alone"].map(count)).delay_on(&client).await.unwrap();
        assert_delayed(&gather(["alone"].map(count)));
        refute_delayed(&gather(["other"].map(count)));
    });
}

/// What a test that fails says.
fn failure<F: Future>(test: impl FnOnce(taskcore::Client) -> F) -> String {
    let caught = catch_unwind(AssertUnwindSafe(|| drop(testing::run(test))));
    panic_message(&*caught.expect_err("the assertion holds"))
}

#[test]
fn a_failure_shows_calls_as_calls_and_names_a_shared_job() {
    let text = failure(|client| async move {
        let shared = count("x").delay_on(&client).await.unwrap();
        let inner = join(shared.clone(), shared);
        join(inner, count("\"y\"")).delay_on(&client).await.unwrap();
        assert_delayed(&join(length("x"), 3));
    });
    let lines: Vec<&str> = text.lines().collect();
    let wanted = r#"{"right":3,"left":length{"text":"x"}}"#;
    assert_eq!(
        lines[0],
        format!(
            "no job of task `two+words` with arguments {wanted} was delayed; its jobs have the arguments:"
        )
    );
    let outer = r#"{"left":"two+words"{"left":#1=count{"text":"x"},"right":#1},"right":count{"text":"\"y\""}}"#;
    let inner = r#"{"left":#1=count{"text":"x"},"right":#1}"#;
    let mut others: Vec<_> = lines[1..].iter().map(|line| line.trim()).collect();
    others.sort_unstable();
    assert_eq!(others, [outer, inner]);
}

#[test]
fn a_failure_shows_the_start_of_a_long_fan() {
    let text = failure(|client| async move {
        refute_delayed(&count("nothing is delayed"));
        let fan = || sum(gather((0..5_000).map(|n| count(n.to_string()))), 0);
        fan().delay_on(&client).await.unwrap();
        refute_delayed(&fan());
    });
    assert!(
        text.starts_with("1 job(s) of task `sum` with arguments {\"start\":0,\"parts\":[count"),
        "{text}"
    );
    assert!(text.contains("… 4") && text.ends_with(" more]} were delayed"), "{text}");
    assert!(text.len() < 3_000, "{}", text.len());
}

#[test]
fn a_task_without_a_job_is_said_to_have_none() {
    let text = failure(|_| async { assert_delayed(&total("a", "b")) });
    assert!(text.ends_with("was delayed; it has no jobs"), "{text}");
}
