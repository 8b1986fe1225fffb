#![allow(unused)]

use hereafter::prelude::*;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Report;

#[register_task]
impl Report {
    #[task]
    fn change(&mut self) {}

    #[task]
    fn boxed(self: Box<Self>) {}
}

fn main() {}
