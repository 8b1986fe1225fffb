#![allow(unused)]

use hereafter::prelude::*;

#[register_task]
fn of_type<T>(value: T) {}

#[register_task]
fn of_lifetime<'a>(text: &'a str) {}

#[register_task]
fn of_number<const N: usize>(bytes: [u8; N]) {}

#[register_task]
fn with_clause(bytes: Vec<u8>)
where
    u8: Copy,
{
}

#[register_task]
fn opaque(text: impl Into<String>) {}

fn main() {}
