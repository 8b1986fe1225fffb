//! Calls as arguments of calls, run here.

use std::collections::HashMap;
use std::num::ParseIntError;
use std::sync::Arc;

use hereafter::{FailureKind, JobError, gather, gather_map, gather_results};
use tokio::sync::Barrier;

use super::*;

#[register_task]
async fn add(left: i64, right: i64) -> i64 {
    left + right
}

#[register_task]
fn double(n: i64) -> i64 {
    n * 2
}

#[register_task]
fn parse(text: String) -> Result<i64, ParseIntError> {
    text.parse()
}

#[register_task]
fn sum(parts: Vec<i64>) -> i64 {
    parts.iter().sum()
}

#[register_task]
fn count_failures(parts: Vec<Result<i64, JobError>>) -> usize {
    parts.iter().filter(|part| part.is_err()).count()
}

#[register_task]
fn or_zero(part: Result<i64, JobError>) -> i64 {
    part.unwrap_or(0)
}

#[register_task]
fn total(parts: HashMap<String, i64>) -> i64 {
    parts.values().sum()
}

#[register_task]
fn rows(table: Vec<Vec<i64>>) -> usize {
    table.len()
}

#[register_task]
fn flag(mark: Option<u8>, words: Vec<String>, name: &str) -> String {
    format!("{mark:?} {words:?} {name}")
}

#[tokio::test]
async fn a_call_with_values_yields_what_its_function_returns() {
    let _: i64 = add(1, 2).await;
    let _: Result<i64, ParseIntError> = parse("1").await;
    assert_eq!(flag(None, vec![], "x").call(), "None [] x");
    assert_eq!(flag(Some(1), ["a".to_owned()], String::from("y")).call(), r#"Some(1) ["a"] y"#);
}

#[tokio::test]
async fn calls_nest_as_functions_do() {
    let answer: Result<i64, JobError> = add(add(1, 2), double(add(3, 4))).await;
    assert_eq!(answer, Ok(17));
    assert_eq!(add(parse("12"), 1).await, Ok(13));
}

#[test]
fn plain_calls_with_plain_inputs_run_in_place() {
    let answer: Result<i64, JobError> = double(double(double(1))).call();
    assert_eq!(answer, Ok(8));
    assert_eq!(sum(gather((1..=3).map(double))).call(), Ok(12));
}

#[tokio::test]
async fn many_calls_are_gathered_in_order() {
    assert_eq!(gather(["3", "1", "2"].map(parse)).await, Ok(vec![3, 1, 2]));
    assert_eq!(sum(gather(["1", "2"].map(parse))).await, Ok(3));
    assert_eq!(sum(gather(Vec::<hereafter::Call<i64>>::new())).await, Ok(0));
    let table = gather([gather(vec![add(1, 1)]), gather(vec![add(2, 2), add(1, 1)])]);
    assert_eq!(rows(table).await, Ok(2));
}

#[tokio::test]
async fn gathered_calls_keep_their_keys() {
    let calls = [("a", parse("1")), ("b", parse("2"))].map(|(key, call)| (key.to_owned(), call));
    assert_eq!(total(gather_map(calls)).await, Ok(3));
}

#[tokio::test]
async fn the_failure_of_an_input_is_the_failure_of_the_call_around_it() {
    let error = double(add(parse("x"), 1)).await.unwrap_err();
    let failure = error.failure().expect("an input failed");
    assert_eq!(failure.kind, FailureKind::Input);
    let text = error.to_string();
    assert!(text.starts_with(&format!("task `{}` did not run", double(0).task().name)), "{text}");
    assert!(text.contains(&format!("task `{}` failed", parse("").task().name)), "{text}");
    assert!(text.contains("invalid digit"), "{text}");
    assert!(!text.contains(&format!("`{}`", add(0, 0).task().name)), "{text}");
}

#[tokio::test]
async fn a_result_parameter_receives_the_failure() {
    let seven: i64 = or_zero(parse("7")).await;
    assert_eq!(seven, 7);
    assert_eq!(or_zero(parse("x")).await, 0);
    assert_eq!(or_zero(Ok(3)).call(), 3);
    assert_eq!(count_failures(gather_results(["1", "x", "y"].map(parse))).await, Ok(2));
}

#[register_task]
async fn meet(State(barrier): State<Arc<Barrier>>, n: i64) -> i64 {
    barrier.wait().await;
    n
}

#[tokio::test]
async fn inner_calls_run_at_the_same_time() {
    let barrier = Arc::new(Barrier::new(4));
    let call = |n| meet(n).with(barrier.clone());
    let answer = add(add(call(1), call(2)), sum(gather([call(3), call(4)])));
    assert_eq!(answer.await, Ok(10));
}

#[tokio::test]
async fn an_eager_client_runs_the_whole_expression_in_its_encoded_form() {
    let client = hereafter::Client::eager();
    let handle = add(add(1, 2), sum(gather(["3", "4"].map(parse)))).delay_on(&client).await;
    let handle = handle.unwrap();
    assert_eq!(handle.clone().await, Ok(10));
    // A handle is an input as well, and what it yields is known here.
    assert_eq!(double(handle).delay_on(&client).await.unwrap().await, Ok(20));
    let failed = double(parse("x")).delay_on(&client).await.unwrap();
    let error = failed.clone().await.unwrap_err();
    assert!(error.to_string().contains("invalid digit"), "{error}");
    assert_eq!(or_zero(failed).delay_on(&client).await.unwrap().await, Ok(0));
    let alone = gather_results(["1", "x"].map(parse)).delay_on(&client).await.unwrap();
    let answers = alone.await.unwrap();
    assert_eq!(answers[0], Ok(1));
    assert!(answers[1].is_err());
    let keyed = gather_map([("a".to_owned(), double(4))]).delay_on(&client).await.unwrap();
    assert_eq!(keyed.await.unwrap(), HashMap::from([("a".to_owned(), 8)]));
}

#[tokio::test]
async fn a_call_made_of_a_handle_is_the_job_that_is_there() {
    let client = hereafter::Client::eager();
    let handle = double(2).delay_on(&client).await.unwrap();
    let again = hereafter::Call::from(handle.clone()).delay_on(&client).await.unwrap();
    assert_eq!(again.id(), handle.id());
    assert_eq!(hereafter::Call::from(handle).await, Ok(4));
}
