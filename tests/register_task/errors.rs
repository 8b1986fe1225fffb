//! Fallible tasks: what a worker stores of an error, and whether it may be tried again.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::*;

#[derive(Debug)]
enum SendError {
    Busy,
    Rejected,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_transient() { "busy" } else { "rejected" })
    }
}

impl std::error::Error for SendError {}

impl SendError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Busy)
    }
}

#[register_task(retry_if = SendError::is_transient)]
fn send(to: &str) -> Result<u8, SendError> {
    match to {
        "busy" => Err(SendError::Busy),
        "rejected" => Err(SendError::Rejected),
        _ => Ok(1),
    }
}

#[register_task]
async fn parse(text: String) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
    let number: i64 = text.parse()?;
    if number < 0 {
        Err("it is negative")?;
    }
    Ok(number)
}

#[register_task]
async fn read(path: PathBuf) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::NotFound, path.display().to_string()))
}

#[register_task]
fn give_up(wrapped: bool) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let error = Permanent::new(io::Error::other("gone"));
    if wrapped { Err(Box::new(Wrapped(error))) } else { Err(error.into()) }
}

#[derive(Debug)]
struct Wrapped(Permanent);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// As `anyhow::Error`: no `Error` itself, but refers to one.
#[derive(Debug)]
pub(super) struct Opaque(pub(super) Box<dyn std::error::Error + Send + Sync>);

impl AsRef<dyn std::error::Error + Send + Sync> for Opaque {
    fn as_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl From<Opaque> for Box<dyn std::error::Error + Send + Sync> {
    fn from(error: Opaque) -> Self {
        error.0.to_string().into()
    }
}

mod opaque {
    pub(super) type Result<T, E = super::Opaque> = std::result::Result<T, E>;
}

#[register_task]
fn open(permanent: bool) -> opaque::Result<()> {
    let error = io::Error::other("closed");
    Err(Opaque(if permanent { Permanent::new(error).into() } else { error.into() }))
}

#[tokio::test]
async fn a_fallible_task_run_here_returns_its_own_result() {
    assert_eq!(parse("42").await.unwrap(), 42);
    assert!(parse("x").await.unwrap_err().to_string().contains("invalid digit"));
    assert_eq!(read("missing").await.unwrap_err().kind(), io::ErrorKind::NotFound);
    let busy: Result<u8, SendError> = send("busy").call();
    assert!(busy.unwrap_err().is_transient());
}

#[test]
fn retry_if_decides_which_errors_are_final() {
    let task = send("").task();
    assert!(!raised(task, r#"{"to":"busy"}"#).permanent);
    assert!(raised(task, r#"{"to":"rejected"}"#).permanent);
    assert_eq!(output(task, r#"{"to":"ada"}"#), "1");
}

#[test]
fn an_error_is_stored_with_its_text_and_type() {
    let raised = raised(send("").task(), r#"{"to":"busy"}"#);
    assert_eq!(raised.message, "busy");
    assert_eq!(raised.error_type, "register_task::errors::SendError");
}

#[tokio::test]
async fn an_alias_of_result_with_one_parameter_is_fallible() {
    let Run::Async(run) = run(read("").task(), r#"{"path":"missing"}"#) else { unreachable!() };
    assert_eq!(run.await.unwrap_err().message, "missing");
}

#[test]
fn a_permanent_error_anywhere_in_the_chain_is_final() {
    let task = give_up(true).task();
    assert!(raised(task, r#"{"wrapped":true}"#).permanent);
    assert!(raised(task, r#"{"wrapped":false}"#).permanent);
}

#[test]
fn a_permanent_error_is_found_behind_an_error_that_only_refers_to_it() {
    let task = open(true).task();
    assert!(raised(task, r#"{"permanent":true}"#).permanent);
    assert!(!raised(task, r#"{"permanent":false}"#).permanent);
}
