#![allow(unused)]

use hereafter::prelude::*;

#[register_task]
unsafe fn dangerous() {}

#[register_task]
extern "C" fn foreign() {}

#[register_task]
const fn constant() {}

fn main() {}
