#![allow(unused)]

use hereafter::prelude::*;

#[register_task]
async fn name() -> String {
    String::new()
}

#[register_task]
fn double(n: i64) -> i64 {
    n * 2
}

#[register_task]
fn sum(parts: Vec<i64>) -> i64 {
    parts.iter().sum()
}

fn main() {
    let _ = double(name());
    let _ = sum(gather([name()]));
    let _ = sum(gather_results([double(1)]));
    double(sum(gather([async_number()]))).call();
}

#[register_task]
async fn async_number() -> i64 {
    1
}
