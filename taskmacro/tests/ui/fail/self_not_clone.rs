#![allow(unused)]

use hereafter::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Report;

#[register_task]
impl Report {
    #[task]
    fn print(&self) {}
}

fn main() {}
