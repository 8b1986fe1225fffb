//! Arguments: what may be passed, and how a job carries it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::*;

#[register_task]
async fn borrow_async(text: &str, bytes: &[u8], path: &Path) -> String {
    tokio::task::yield_now().await;
    format!("{text} {bytes:?} {}", path.display())
}

#[register_task]
fn borrow_plain(text: &str, bytes: &[u8], path: &std::path::Path) -> usize {
    text.len() + bytes.len() + path.as_os_str().len()
}

#[tokio::test]
async fn borrowed_parameters_take_owned_and_borrowed_values() {
    assert_eq!(borrow_async("a", [1, 2], Path::new("p")).await, "a [1, 2] p");
    let owned = borrow_async("a".to_owned(), vec![1, 2], PathBuf::from("p"));
    assert_eq!(owned.await, "a [1, 2] p");
    assert_eq!(borrow_plain("ab", vec![1, 2, 3], "path").call(), 9);
}

#[test]
fn a_job_carries_arguments_by_the_names_of_the_parameters() {
    let call = borrow_plain("a", [1, 2], "p");
    let json = r#"{"text":"a","bytes":[1,2],"path":"p"}"#;
    assert_eq!(call.encoded_args().unwrap().as_slice(), json.as_bytes());
    assert_eq!(call.task().params, ["text", "bytes", "path"]);
}

/// Names that generated code uses too, and a keyword.
#[register_task]
#[allow(non_snake_case, clippy::too_many_arguments)]
async fn clashing(
    mut args: u8,
    frame: u8,
    wire: u8,
    serializer: u8,
    A0: u8,
    self_: u8,
    returned: u8,
    r#type: u8,
    clashing: u8,
) -> u8 {
    args += frame + wire + serializer + A0 + self_ + returned + r#type + clashing;
    args
}

#[tokio::test]
async fn parameters_may_have_any_name() {
    assert_eq!(clashing(1, 1, 1, 1, 1, 1, 1, 1, 1).await, 9);
    let Run::Async(run) = run(
        clashing(1, 1, 1, 1, 1, 1, 1, 1, 1).task(),
        r#"{"args":1,"frame":1,"wire":1,"serializer":1,"A0":1,"self_":1,"returned":1,"type":1,"clashing":2}"#,
    ) else {
        panic!("an async function runs as a future");
    };
    assert_eq!(result(run.await).unwrap().unwrap().as_slice(), b"10");
}

/// A type that the generated code must not confuse with its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Args {
    n: u8,
}

#[register_task]
fn with_own_args(args: Args) -> Args {
    Args { n: args.n + 1 }
}

#[test]
fn the_body_sees_the_names_of_its_module() {
    assert_eq!(with_own_args(Args { n: 1 }).call(), Args { n: 2 });
}

#[register_task]
fn optional(name: String, nick: Option<String>, #[arg(default)] age: u8) -> String {
    format!("{name} {nick:?} {age}")
}

#[test]
fn a_missing_option_is_none_and_a_default_fills_in() {
    let task = optional("", None, 0).task();
    assert_eq!(output(task, r#"{"name":"Ada"}"#), r#""Ada None 0""#);
    let all = r#"{"name":"Ada","nick":"A","age":36}"#;
    assert_eq!(output(task, all), r#""Ada Some(\"A\") 36""#);
    assert_eq!(output(task, r#"{"name":"Ada","nick":null}"#), r#""Ada None 0""#);
}

#[test]
fn a_missing_value_or_an_unknown_name_is_an_error() {
    let task = optional("", None, 0).task();
    let error = |args| refusal(task, args);
    assert!(error("{}").contains("missing field `name`"));
    assert!(error(r#"{"name":"Ada","agee":1}"#).contains("unknown field `agee`"));
    assert!(error(r#"{"name":1}"#).contains("invalid type"));
    assert!(error(r#"{"name":"Ada","age":null}"#).contains("invalid type"));
    assert!(error("not json").contains("expected"));
}

#[register_task]
fn nothing() {}

#[test]
fn a_task_without_arguments_stores_an_empty_object_and_no_result() {
    assert_eq!(nothing().encoded_args().unwrap().as_slice(), b"{}");
    assert_eq!(complete(nothing().task(), "{}"), Ok(None));
}
