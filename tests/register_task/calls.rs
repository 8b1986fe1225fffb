//! What a call does here.

use serde::{Deserialize, Serialize};

use super::*;

#[register_task]
async fn join(left: String, right: String) -> String {
    left + &right
}

#[register_task]
fn count_words(text: String) -> u64 {
    text.split_whitespace().count() as u64
}

#[tokio::test]
async fn an_async_task_is_awaited_like_the_function_it_was() {
    assert_eq!(join("a", String::from("b")).await, "ab");
}

#[tokio::test]
async fn a_plain_task_is_called_or_awaited() {
    assert_eq!(count_words("a b c").call(), 3);
    assert_eq!(count_words("a b c").await, 3);
}

/// Counts what touches its serialised form.
#[derive(Debug, PartialEq)]
struct Unwritable(u8);

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("it was serialised")
    }
}

impl<'de> Deserialize<'de> for Unwritable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("it was deserialised")
    }
}

#[register_task]
async fn pass_async(value: Unwritable) -> Unwritable {
    value
}

#[register_task]
fn pass_plain(value: Unwritable) -> Unwritable {
    value
}

#[tokio::test]
async fn a_direct_call_touches_no_serialisation() {
    assert_eq!(pass_async(Unwritable(1)).await, Unwritable(1));
    assert_eq!(pass_plain(Unwritable(2)).await, Unwritable(2));
    assert_eq!(pass_plain(Unwritable(3)).call(), Unwritable(3));
}

#[test]
#[should_panic(expected = "it was serialised")]
fn the_type_of_the_test_above_would_have_told() {
    let _ = pass_plain(Unwritable(1)).encoded_args();
}

#[register_task]
async fn factorial(n: u64) -> u64 {
    if n == 0 { 1 } else { n * factorial(n - 1).await }
}

#[register_task]
fn fibonacci(n: u64) -> u64 {
    if n < 2 { n } else { fibonacci(n - 1).call() + fibonacci(n - 2).call() }
}

#[tokio::test]
async fn a_task_calls_itself_as_a_task() {
    assert_eq!(factorial(5).await, 120);
    assert_eq!(fibonacci(10).call(), 55);
}

#[tokio::test]
async fn a_task_may_lie_in_a_function() {
    #[register_task]
    async fn double(n: u32) -> u32 {
        n * 2
    }

    assert_eq!(double(21).await, 42);
    assert!(hereafter::registry().find("register_task::calls::double").is_some());
}
