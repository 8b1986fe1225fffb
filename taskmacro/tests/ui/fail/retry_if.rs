#![allow(unused)]

use hereafter::prelude::*;

#[register_task(retry_if = |_| true)]
fn closure() -> Result<(), String> {
    Ok(())
}

#[register_task(retry_if = is_transient)]
fn infallible() {}

#[register_task(retry_if = is_transient)]
fn other_error() -> Result<(), String> {
    Ok(())
}

fn is_transient(_: &std::io::Error) -> bool {
    true
}

fn main() {}
