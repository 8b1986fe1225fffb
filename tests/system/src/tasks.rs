//! Tasks that worker processes run.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use hereafter::prelude::*;

/// Does nothing.
#[register_task]
pub async fn no_op(id: u64, name: String) -> u64 {
    let _ = name;
    id
}

/// Adds them up.
#[register_task]
pub fn sum(parts: Vec<u64>) -> u64 {
    parts.iter().sum()
}

/// Writes down that it started, sleeps, and writes down that it ended: one line each.
#[register_task]
pub async fn sleep_and_note(ledger: PathBuf, id: u64, ms: u64) -> io::Result<u64> {
    note(&ledger, &format!("start {id}"))?;
    tokio::time::sleep(Duration::from_millis(ms)).await;
    note(&ledger, &format!("end {id}"))?;
    Ok(id)
}

/// Writes down that it started, waits until there is a file `gate`, and writes down that it
/// ended.
#[register_task]
pub async fn wait_for_file(ledger: PathBuf, id: u64, gate: PathBuf) -> io::Result<u64> {
    note(&ledger, &format!("start {id}"))?;
    while !gate.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    note(&ledger, &format!("end {id}"))?;
    Ok(id)
}

/// Writes its name down, and fails for good unless there is a file `permit`.
#[register_task(retries = 0)]
pub fn run_with_permit(ledger: PathBuf, name: String, permit: PathBuf) -> io::Result<String> {
    note(&ledger, &name)?;
    match permit.exists() {
        true => Ok(name),
        false => Err(io::Error::other(format!("{name} has no permit"))),
    }
}

/// Ends its process without a word, but only the first time.
#[register_task]
pub async fn abort_process_once(ledger: PathBuf) -> io::Result<String> {
    let is_first = !ledger.exists();
    note(&ledger, "run")?;
    if is_first {
        std::process::abort();
    }
    Ok("survived".to_owned())
}

/// Ends its process without a word.
#[register_task]
pub async fn abort_process(ledger: PathBuf) -> io::Result<()> {
    note(&ledger, "abort")?;
    std::process::abort()
}

/// Ends its process in order, as a careless library might.
#[register_task]
pub fn exit_process(code: i32) {
    std::process::exit(code)
}

/// Appends one line; small appends are not torn apart (POSIX, `O_APPEND`).
pub fn note(ledger: &PathBuf, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(ledger)?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// Numbers, one every few milliseconds, with the process that makes them.
#[register_task]
pub fn slow_numbers(count: u64, pause_ms: u64) -> impl Stream<Item = (u32, u64)> {
    stream::iter(0..count).then(move |number| async move {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        (process::id(), number)
    })
}

/// Writes down an item, and who made it.
#[register_task]
pub fn note_item(ledger: PathBuf, item: (u32, u64)) -> io::Result<()> {
    let (process, number) = item;
    note(&ledger, &format!("{process} {number}"))
}
