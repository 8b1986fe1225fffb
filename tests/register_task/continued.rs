//! Tasks that are continued by what they return, run here.

use std::error::Error;

use hereafter::{FailureKind, InPlace};

use super::*;

#[register_task]
fn value(n: u64) -> u64 {
    n
}

#[register_task]
async fn add(left: u64, right: u64) -> u64 {
    left + right
}

#[register_task]
fn parse(text: String) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

#[register_task]
async fn count_down(n: u64, steps: u64) -> Call<u64> {
    match n {
        0 => value(steps).erase(),
        _ => count_down(n - 1, steps + 1).erase(),
    }
}

#[register_task]
fn fibonacci(n: u64) -> Call<u64> {
    match n {
        0 | 1 => value(n).erase(),
        _ => add(fibonacci(n - 1), fibonacci(n - 2)).erase(),
    }
}

/// Its return type says all there is to say of the call.
#[register_task]
fn as_it_is(n: u64) -> Call<u64, u64, InPlace> {
    value(n)
}

#[register_task]
async fn parse_if_short(text: String) -> Result<Call<u64>, Box<dyn Error + Send + Sync>> {
    match text.len() {
        0..3 => Ok(parse(text).erase()),
        _ => Err("too long".into()),
    }
}

#[register_task]
fn parse_if_short_plainly(text: String) -> Result<Call<u64>, Box<dyn Error + Send + Sync>> {
    match text.len() {
        0..3 => Ok(parse(text).erase()),
        _ => Err("too long".into()),
    }
}

#[register_task]
async fn by_handle(n: u64) -> Result<Handle<u64>, DelayError> {
    add(n, 1).delay().await
}

#[register_task]
fn and_state(State(store): State<Store>, n: u64) -> Call<String> {
    match n {
        0 => name(store.0).erase(),
        _ => and_state(n - 1).with(store).erase(),
    }
}

#[register_task]
fn name(text: &str) -> String {
    text.to_owned()
}

#[tokio::test]
async fn an_async_task_goes_on_until_a_value_ends_it() {
    let direct: Result<u64, JobError> = count_down(200, 0).await;
    assert_eq!(direct, Ok(200));
}

#[tokio::test]
async fn a_plain_task_goes_on_until_a_value_ends_it() {
    let direct: Result<u64, JobError> = fibonacci(10).await;
    assert_eq!(direct, Ok(55));
    assert_eq!(as_it_is(7).await, Ok(7));
}

#[tokio::test]
async fn a_task_that_is_continued_is_an_argument_as_any_other() {
    assert_eq!(add(fibonacci(7), count_down(3, 0)).await, Ok(16));
    assert_eq!(add(1, parse_if_short("x")).await.unwrap_err().failure().unwrap().attempt, 0);
}

#[tokio::test]
async fn an_error_before_or_after_is_that_of_the_call() {
    for long in [parse_if_short("long").await, parse_if_short_plainly("long").await] {
        let error = long.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Error, "too long"));
        assert!(failure.task.contains("parse_if_short"), "{}", failure.task);
    }
    for bad in [parse_if_short("x").await, parse_if_short_plainly("x").await] {
        let error = bad.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(failure.message, "invalid digit found in string");
        assert_eq!(failure.task, "register_task::continued::parse");
    }
    assert_eq!(parse_if_short("12").await, Ok(12));
    assert_eq!(parse_if_short_plainly("12").await, Ok(12));
}

#[tokio::test]
async fn a_task_goes_on_as_a_job_that_it_delayed() {
    let client = Client::eager();
    assert_eq!(client.scope(async { by_handle(4).await }).await, Ok(5));
}

#[tokio::test]
async fn state_is_passed_on_with_the_call() {
    assert_eq!(and_state(3).with(Store("s3")).await, Ok("s3".to_owned()));
}

#[tokio::test]
async fn an_erased_call_is_the_call_that_it_was() {
    let call = add(1, 2).queue("bulk").header("a", "b");
    let given = call.encoded_args().unwrap();
    let erased: Call<u64> = call.erase();
    assert_eq!(erased.task().name, "register_task::continued::add");
    assert_eq!(erased.encoded_args().unwrap(), given);
    let calls: Vec<Call<u64>> = vec![erased, value(4).erase(), parse("5").erase()];
    assert_eq!(hereafter::gather(calls).await, Ok(vec![3, 4, 5]));
    let failed: Result<u64, JobError> = parse("x").erase().await;
    assert_eq!(failed.unwrap_err().failure().unwrap().kind, FailureKind::Error);
    assert_eq!(name("a").erase().erase().await, Ok("a".to_owned()));
}

#[tokio::test]
async fn an_erased_call_keeps_its_options_and_its_state() {
    let client = Client::eager();
    let call = and_state(0).with(Store("s3")).queue("bulk").erase();
    assert_eq!(call.delay_on(&client).await.unwrap().await, Ok("s3".to_owned()));
}

#[test]
fn what_a_task_yields_is_what_its_call_does() {
    let call = by_handle(1);
    assert_eq!(call.task().params, ["n"]);
    fn yields<T>(_: &Call<T, Result<T, JobError>>) -> &'static str {
        std::any::type_name::<T>()
    }
    assert_eq!(yields(&call), "u64");
    assert_eq!(yields(&parse_if_short("a")), "u64");
}
