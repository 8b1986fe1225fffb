#![allow(unused)]

use hereafter::prelude::*;

#[register_task]
fn owned_already(text: &String) {}

#[register_task]
fn changed(list: &mut Vec<u8>) {}

#[register_task]
fn nested(text: Option<&str>) {}

#[register_task]
fn with_lifetime(text: &'static str) {}

#[register_task]
fn hidden_lifetime(text: std::borrow::Cow<'_, str>) {}

#[register_task]
fn context(cx: &Context) {}

fn main() {}
