#![allow(unused)]

use hereafter::prelude::*;

#[register_task]
struct Report;

#[register_task]
mod reports {}

fn main() {
    let _ = Report;
}
