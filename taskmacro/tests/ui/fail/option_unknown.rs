#![allow(unused)]

use hereafter::prelude::*;

#[register_task(qeue = "mail")]
fn task() {}

fn main() {
    task().call();
}
