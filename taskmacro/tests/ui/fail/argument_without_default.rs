#![allow(unused)]

use hereafter::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Size(u8);

#[register_task]
fn shrink(#[arg(default)] size: Size) {
    let _ = size;
}

fn main() {}
