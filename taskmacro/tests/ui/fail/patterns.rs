#![allow(unused)]

use hereafter::prelude::*;

struct Point {
    x: u8,
}

#[register_task]
fn tuple((a, b): (u8, u8)) {}

#[register_task]
fn fields(Point { x }: Point) {}

#[register_task]
fn nameless(_: u8) {}

#[register_task]
fn by_reference(ref a: u8) {}

#[register_task]
fn nested(State((a, b)): State<(u8, u8)>) {}

fn main() {}
