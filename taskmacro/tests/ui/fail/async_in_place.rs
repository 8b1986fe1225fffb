#![allow(unused)]

use hereafter::prelude::*;

#[register_task]
async fn wait() {}

fn main() {
    wait().call();
}
