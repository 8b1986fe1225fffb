#![allow(unused)]

use hereafter::prelude::*;

struct Report;

impl Report {
    #[task]
    fn print(&self) {}
}

#[task]
fn free() {}

fn main() {
    Report.print();
    free();
}
