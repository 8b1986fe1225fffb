#![allow(unused)]

use hereafter::prelude::*;

#[register_task(timeout = "2x")]
fn unit() {}

#[register_task(timeout = 120)]
fn number() {}

#[register_task(timeout = "0s")]
fn zero_timeout() {}

#[register_task(expires_in = "0s")]
fn zero_expiry() {}

#[register_task(keep_result = "0s")]
fn zero_keep() {}

#[register_task(keep_result = "1h", ignore_result)]
fn contradiction() {}

fn main() {}
