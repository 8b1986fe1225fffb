//! The tasks of the test worker; the tests delay calls of them.

#![allow(dead_code, reason = "the worker calls none of them, and not every test file all")]

use std::path::PathBuf;
use std::time::Duration;

use futures::Stream;
use futures::stream::{self, StreamExt};
use taskcore::{Context, JobError, register_task};

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

/// Runs by itself.
#[register_task(crate = taskcore, name = "tidy", cron = "0 5 * * *", tz = "Europe/Berlin")]
pub(crate) async fn tidy() {}

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

/// Says how far it is, and writes 25 lines.
#[register_task(crate = taskcore, name = "climb", queue = "hills")]
pub(crate) async fn climb(cx: Context) {
    for step in 1..=25 {
        cx.log(format!("step {step}"));
    }
    cx.progress(25, 25);
    cx.message("at the\u{1b}[2J top");
}

/// Says that it is half done, and ends once `end` is there: well if the file is empty, else with
/// its text as the error.
#[register_task(crate = taskcore, name = "halve", retries = 0)]
pub(crate) async fn halve(cx: Context, end: PathBuf) -> Result<(), String> {
    cx.progress(1, 2);
    cx.message("half");
    while !end.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = std::fs::read_to_string(end).expect("the test wrote it at once");
    if error.is_empty() { Ok(()) } else { Err(error) }
}

/// Fails at first.
#[register_task(crate = taskcore, name = "stumble", retries = 1, backoff = "fixed(1ms)")]
pub(crate) async fn stumble(cx: Context) -> Result<u32, String> {
    cx.log(format!("try {}", cx.attempt()));
    if cx.attempt() == 1 { Err("a stone\nin the way".to_owned()) } else { Ok(cx.attempt()) }
}

#[register_task(crate = taskcore, name = "count_up")]
pub(crate) fn count_up(to: u32) -> impl Stream<Item = String> {
    stream::iter(1..=to).map(|n| format!("no. {n}"))
}
