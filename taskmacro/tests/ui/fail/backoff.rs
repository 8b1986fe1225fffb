#![allow(unused)]

use hereafter::prelude::*;

#[register_task(backoff = "quadratic(2s)")]
fn kind() {}

#[register_task(backoff = "exponential(2s, 10m)")]
fn limit() {}

#[register_task(backoff = "linear(2x)")]
fn unit() {}

#[register_task(backoff = "fixed(2s, max = 10m)")]
fn fixed() {}

#[register_task(backoff = "exponential(0s)")]
fn zero() {}

#[register_task(backoff = "exponential(2h)")]
fn long() {}

fn main() {}
