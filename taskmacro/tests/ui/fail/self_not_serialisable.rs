#![allow(unused)]

use hereafter::prelude::*;

#[derive(Clone)]
struct Report;

#[register_task]
impl Report {
    #[task]
    fn print(&self, copies: u8) {
        let _ = copies;
    }
}

fn main() {}
