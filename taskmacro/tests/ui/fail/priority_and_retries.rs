#![allow(unused)]

use hereafter::prelude::*;

#[register_task(priority = 3)]
fn urgent() {}

#[register_task(priority = "high")]
fn text() {}

#[register_task(retries = -1)]
fn negative() {}

fn main() {}
