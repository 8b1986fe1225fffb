#![allow(unused)]

use hereafter::prelude::*;

#[register_task(queue = "")]
fn empty() {}

#[register_task(queue = "mail/high")]
fn character() {}

fn main() {}
