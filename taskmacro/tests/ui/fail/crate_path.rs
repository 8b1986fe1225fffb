#![allow(unused)]

use hereafter::prelude::*;

#[register_task(crate = "hereafter")]
fn text() {}

fn main() {}
