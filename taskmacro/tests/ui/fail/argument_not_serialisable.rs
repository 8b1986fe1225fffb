#![allow(unused)]

use hereafter::prelude::*;

struct Picture;

struct Frame;

#[register_task]
async fn shrink(width: u32, picture: Picture, frames: Vec<Frame>) {
    let _ = (width, picture, frames);
}

fn main() {
    let _ = shrink(1, Picture, vec![Frame]);
}
