#![allow(unused)]

use hereafter::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Result;

#[register_task]
fn measure() -> Result {
    Result
}

fn main() {}
