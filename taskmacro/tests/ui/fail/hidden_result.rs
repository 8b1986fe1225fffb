#![allow(unused)]

use hereafter::prelude::*;

type Outcome = Result<u8, String>;

type Loaded = Result<u8, std::io::Error>;

#[register_task]
fn serialisable() -> Outcome {
    Ok(1)
}

#[register_task]
fn load() -> Loaded {
    Ok(1)
}

fn main() {}
