#![allow(unused)]

use hereafter::prelude::*;

struct Report;

impl Report {
    #[register_task]
    fn print(&self) {}

    #[register_task]
    fn make() -> Self {
        Self
    }
}

fn main() {}
