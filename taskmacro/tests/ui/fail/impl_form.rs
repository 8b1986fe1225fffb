#![allow(unused)]

use hereafter::prelude::*;

struct Generic<T>(T);

#[register_task]
impl<T> Generic<T> {
    #[task]
    fn make(#[arg] n: u8) {
        let _ = n;
    }
}

struct Report;

#[register_task]
impl Clone for Report {
    #[task]
    fn clone(&self) -> Self {
        Self
    }
}

#[register_task]
impl Report {
    fn print() {}
}

#[register_task(queue = "reports")]
impl Report {
    #[task(crate = hereafter)]
    fn load() {}

    #[register_task]
    fn save() {}
}

fn main() {
    Report::print();
    Report::save();
}
