#![allow(unused)]

use hereafter::prelude::*;

#[register_task(qeue = "mail", retries = "5", timeout = "2x")]
const fn task<T>(first: &String, (a, b): (u8, u8), _: T) -> impl Copy {}

fn main() {}
