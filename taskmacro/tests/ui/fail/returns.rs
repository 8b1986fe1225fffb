#![allow(unused)]

use hereafter::prelude::*;

#[register_task]
async fn opaque() -> impl Iterator<Item = u8> {
    std::iter::empty()
}

#[register_task]
fn borrowed() -> &'static str {
    "text"
}

#[register_task]
fn never() -> ! {
    panic!()
}

fn main() {}
