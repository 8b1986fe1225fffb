#![allow(unused)]

use hereafter::prelude::*;

#[register_task(unique_by = nowhere)]
fn unknown(id: u64) {}

#[register_task(unique_by = key_of_one)]
fn too_many_arguments(id: u64, name: String) {}

#[register_task(unique_by = key_of_text)]
fn another_type(id: u64) {}

#[register_task(unique_by = no_text)]
fn no_text_as_key(id: u64) {}

fn key_of_one(id: &u64) -> u64 {
    *id
}

fn key_of_text(text: &str) -> String {
    text.to_owned()
}

struct NoText;

fn no_text(id: &u64) -> NoText {
    NoText
}

fn main() {}
