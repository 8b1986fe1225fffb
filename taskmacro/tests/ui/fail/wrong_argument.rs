#![allow(unused)]

use hereafter::prelude::*;

#[register_task]
fn repeat(text: String, times: u8) -> String {
    text.repeat(times.into())
}

fn main() {
    repeat(1, 2u8).call();
}
