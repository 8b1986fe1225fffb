#![allow(unused)]

use hereafter::prelude::*;

#[register_task(queue = "mail", retries = 1, queue = "bulk")]
fn task() {}

fn main() {
    task().call();
}
