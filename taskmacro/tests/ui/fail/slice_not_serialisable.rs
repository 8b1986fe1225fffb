#![allow(unused)]

use hereafter::prelude::*;

struct Frame;

#[register_task]
fn shrink(frames: &[Frame]) {
    let _ = frames;
}

fn main() {}
