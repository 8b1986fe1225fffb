#![allow(unused)]

use hereafter::prelude::*;

struct Failure;

#[register_task]
async fn load() -> Result<u8, Failure> {
    Err(Failure)
}

fn main() {
    let _ = load();
}
