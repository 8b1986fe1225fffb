//! Tasks that no process survives, or that it would rather not have, and one that tells who ran it.

use std::hint::{black_box, spin_loop};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hereafter::prelude::*;

use crate::tasks::note;

/// The process that ran it, and how many of these have run there.
#[register_task]
pub async fn count_in_process() -> (u32, u64) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    (process::id(), COUNT.fetch_add(1, Ordering::SeqCst) + 1)
}

/// Calls itself until the stack is used up.
#[register_task]
pub fn overflow_stack() -> u64 {
    fn deeper(depth: u64) -> u64 {
        let room = black_box([depth; 1024]);
        if depth == u64::MAX { room[0] } else { deeper(depth + 1) + room[1023] }
    }
    deeper(0)
}

/// Takes so many bytes, and keeps them.
#[register_task]
pub fn leak(bytes: usize) -> usize {
    let taken: &'static [u8] = vec![7_u8; bytes].leak();
    black_box(taken).len()
}

/// Takes more and more.
#[register_task]
pub fn leak_until_killed(ledger: PathBuf) -> std::io::Result<()> {
    note(&ledger, "leak")?;
    loop {
        leak_bytes(4 << 20);
        thread::sleep(Duration::from_millis(5));
    }
}

fn leak_bytes(bytes: usize) {
    black_box(vec![7_u8; bytes].leak());
}

/// Blocks a thread of the runtime, and never comes back.
#[register_task(timeout = "300ms", retries = 0)]
pub async fn block_runtime(ledger: PathBuf) -> std::io::Result<()> {
    note(&ledger, "block")?;
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// Blocks a thread of the runtime for so many milliseconds.
#[register_task(timeout = "300ms", retries = 0)]
pub async fn block_for(ms: u64) -> u64 {
    thread::sleep(Duration::from_millis(ms));
    ms
}

/// Computes without end.
#[register_task(timeout = "300ms", retries = 0)]
pub fn spin() {
    loop {
        spin_loop();
    }
}

/// Returns, and panics when what it has is dropped.
#[register_task(retries = 0)]
pub async fn panic_in_drop() -> u64 {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let _bad = Bad;
    1
}

/// So many bytes of result.
#[register_task(retries = 0)]
pub fn return_bytes(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// Tells its progress so often.
#[register_task]
pub async fn flood_progress(cx: Context, times: u64) -> u64 {
    for done in 0..times {
        cx.progress(done, times);
    }
    times
}
