#![allow(unused)]

use hereafter::prelude::*;

#[register_task]
fn unknown(#[arg(dflt)] n: u8) {}

#[register_task]
fn with_value(#[arg(default = 5)] n: u8) {}

#[register_task]
fn on_state(#[arg(default)] State(pool): State<u8>) {}

#[register_task]
fn conditional(#[cfg(unix)] n: u8) {}

fn main() {}
