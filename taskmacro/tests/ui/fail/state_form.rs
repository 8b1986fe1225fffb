#![allow(unused)]

use hereafter::prelude::*;

struct Pool;

#[register_task]
fn type_is_missing(State(pool): State) {}

#[register_task]
fn other_type(State(pool): Pool) {}

fn main() {}
