//! The tasks of the test worker; the tests delay calls of them.

#![allow(dead_code, reason = "the worker calls none of them, and not every test file all")]

use std::path::PathBuf;
use std::time::Duration;

use taskcore::{JobError, register_task};

#[register_task(crate = taskcore, name = "add", alias = "plus", queue = "sums", timeout = "2m")]
pub(crate) async fn add(left: u32, right: u32) -> u32 {
    left + right
}

#[register_task(crate = taskcore, name = "sum", queue = "sums")]
pub(crate) async fn sum(parts: Vec<u32>) -> u32 {
    parts.iter().sum()
}

/// Says what became of two jobs.
#[register_task(crate = taskcore, name = "judge", queue = "sums")]
pub(crate) async fn judge(needed: u32, tried: Result<(), JobError>) -> String {
    format!("{needed} {}", tried.is_ok())
}

#[register_task(crate = taskcore, name = "refuse", retries = 0)]
pub(crate) async fn refuse(reason: String) -> Result<(), String> {
    Err(reason)
}

/// Says that it runs by making `begun`, and ends once `end` is there.
#[register_task(crate = taskcore, name = "wait_for", retries = 0)]
pub(crate) async fn wait_for(begun: PathBuf, end: PathBuf) -> bool {
    std::fs::write(begun, "").expect("the folder of a test can be written");
    while !end.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

/// Says that it runs by making `begun`, and never ends.
#[register_task(crate = taskcore, name = "hang", retries = 0)]
pub(crate) fn hang(begun: PathBuf) {
    std::fs::write(begun, "").expect("the folder of a test can be written");
    loop {
        std::thread::park();
    }
}

/// Never ends, and must after a moment.
#[register_task(crate = taskcore, name = "overrun", retries = 0, timeout = "50ms")]
pub(crate) fn overrun() {
    loop {
        std::thread::park();
    }
}

#[register_task(crate = taskcore, name = "explode", retries = 0)]
pub(crate) async fn explode() {
    panic!("as asked\nin two lines");
}
